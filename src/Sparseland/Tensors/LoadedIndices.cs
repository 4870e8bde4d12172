using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Tensors;

/// <summary>
/// Indices in a buffer of a module. A loaded state replaces them where no constructor can look, so they are read whenever they are needed, and checked when they are others
/// than at the last look.
/// </summary>
/// <param name="seen">The indices that the module was made with; none, and the first look checks.</param>
/// <param name="check">Throws <see cref="InvalidDataException"/> for indices that the module cannot have.</param>
internal sealed class LoadedIndices(long[] seen, Action<ReadOnlySpan<long>> check)
{
    /// <summary>The indices as they are now: the same array until a state brings others, which the check has let pass.</summary>
    /// <param name="buffer">The buffer, of any device; a copy off the CPU stops its device.</param>
    public long[] Read(Tensor buffer)
    {
        using DisposeScope scope = NewDisposeScope();
        Tensor here = buffer.cpu().contiguous();
        ReadOnlySpan<long> now = TensorMemory.Read<long>(here);
        if (!now.SequenceEqual(seen))
        {
            check(now);
            seen = now.ToArray();
        }

        GC.KeepAlive(here);
        return seen;
    }

    /// <summary>Throws unless every row ascends, each index once, within 0..length - 1.</summary>
    /// <param name="indices">The indices, row after row.</param>
    /// <param name="perRow">Indices in a row.</param>
    /// <param name="length">Number of what they count.</param>
    /// <param name="owner">Who was loaded, for messages.</param>
    /// <param name="noun">What an index counts, in one word: "channel".</param>
    public static void Check(ReadOnlySpan<long> indices, int perRow, long length, string owner, string noun)
    {
        for (int i = 0; i < indices.Length; i++)
        {
            if (indices[i] < 0 || indices[i] >= length)
                throw new InvalidDataException($"{owner} was loaded with the {noun} {indices[i]}; there are {length}, from 0.");
            if (i % perRow > 0 && indices[i] <= indices[i - 1])
                throw new InvalidDataException($"{owner} was loaded with the {noun} {indices[i]} after {indices[i - 1]}; each row must ascend, each {noun} once.");
        }
    }
}
