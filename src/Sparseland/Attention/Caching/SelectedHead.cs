namespace Sparseland.Attention.Caching;

/// <summary>Keys and values of one head: those that were kept of a prompt, and all that came later.</summary>
internal sealed class SelectedHead(int headDim, int[] kept)
{
    private float[] _keys = [], _values = [];

    /// <summary>Places of the prompt that are kept, ascending.</summary>
    public int[] Kept { get; private set; } = kept;

    /// <summary>Tokens held.</summary>
    public int Count { get; private set; }

    /// <summary>Keys, row after row.</summary>
    public float[] Keys => _keys;

    /// <summary>Values, row after row.</summary>
    public float[] Values => _values;

    /// <summary>Takes rows in.</summary>
    public void Append(ReadOnlySpan<float> keys, ReadOnlySpan<float> values)
    {
        int from = Count * headDim, needed = from + keys.Length;
        if (needed > _keys.Length)
        {
            // Room for an eighth more: to double it would give back what the eviction saved.
            int size = from == 0 ? needed : needed + (headDim * Math.Max(64, Count / 8));
            Array.Resize(ref _keys, size);
            Array.Resize(ref _values, size);
        }

        keys.CopyTo(_keys.AsSpan(from));
        values.CopyTo(_values.AsSpan(from));
        Count += keys.Length / headDim;
    }

    /// <summary>Drops the newest tokens.</summary>
    public void Cut(int tokens) => Count -= tokens;

    /// <summary>Drops all, the prompt too.</summary>
    public void Clear() => (Count, Kept, _keys, _values) = (0, [], [], []);
}
