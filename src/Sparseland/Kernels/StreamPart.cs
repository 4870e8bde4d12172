namespace Sparseland.Kernels;

/// <summary>Some blocks of outputs in a stream of weights, ready to run.</summary>
/// <param name="Value">Address of the weights: of each block the biases of its M outputs, then M weights for each stored entry.</param>
/// <param name="Difference">Address of the differences: from the row of numbers that a stored entry takes to the row of the next one, in numbers.</param>
/// <param name="Count">Address of the counts: stored entries of each block.</param>
/// <param name="Blocks">How many blocks.</param>
/// <param name="Stride">Numbers between two channels of the output.</param>
internal readonly unsafe record struct StreamPart(nint Value, nint Difference, nint Count, int Blocks, long Stride)
{
    public float* Values => (float*)Value;

    public int* Differences => (int*)Difference;

    public int* Counts => (int*)Count;
}
