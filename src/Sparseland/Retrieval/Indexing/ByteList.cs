namespace Sparseland.Retrieval.Indexing;

/// <summary>Bytes that grow.</summary>
internal sealed class ByteList
{
    private byte[] _bytes = new byte[256];

    internal int Count { get; private set; }

    internal ReadOnlySpan<byte> Span => _bytes.AsSpan(0, Count);

    internal void Add(byte value) => Take(1)[0] = value;

    /// <summary>Room for some bytes at the end; valid until the next call.</summary>
    internal Span<byte> Take(int count)
    {
        int needed = checked(Count + count);
        if (needed > _bytes.Length) Array.Resize(ref _bytes, (int)Math.Min(Array.MaxLength, Math.Max(needed, 2L * _bytes.Length)));
        Span<byte> room = _bytes.AsSpan(Count, count);
        Count = needed;
        return room;
    }
}
