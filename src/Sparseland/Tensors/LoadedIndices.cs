namespace Sparseland.Tensors;

/// <summary>Checks indices that came with a loaded state, where no constructor could.</summary>
internal static class LoadedIndices
{
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
