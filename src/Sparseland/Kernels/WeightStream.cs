using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace Sparseland.Kernels;

/// <summary>
/// Weights in the order in which a kernel reads them: for each block of M outputs their biases, then M weights for each stored entry. A stored entry takes the numbers of a source (an
/// input channel, or a tap of one); where a source lies depends on the size of the image, and comes in with <see cref="At"/>.
/// </summary>
internal sealed unsafe class WeightStream
{
    /// <summary>So many multiplications are worth handing to another thread.</summary>
    public const long OneThread = 200_000;

    private readonly long[] _entries;

    /// <summary>Takes the blocks.</summary>
    /// <param name="rows">M.</param>
    /// <param name="outputs">Outputs; the last block may be short.</param>
    /// <param name="values">As said above; rows beyond the outputs are zero.</param>
    /// <param name="counts">Stored entries of each block.</param>
    /// <param name="sources">Source of each stored entry.</param>
    public WeightStream(int rows, int outputs, ReadOnlySpan<float> values, ReadOnlySpan<int> counts, int[] sources)
    {
        (Rows, Outputs, Sources) = (rows, outputs, sources);
        Values = GC.AllocateUninitializedArray<float>(values.Length, pinned: true);
        Counts = GC.AllocateUninitializedArray<int>(counts.Length, pinned: true);
        values.CopyTo(Values);
        counts.CopyTo(Counts);
        _entries = new long[counts.Length + 1];
        for (int b = 0; b < counts.Length; b++) _entries[b + 1] = _entries[b] + counts[b];
    }

    /// <summary>M.</summary>
    public int Rows { get; }

    public int Outputs { get; }

    /// <summary>Biases and weights; their memory does not move.</summary>
    public float[] Values { get; }

    /// <summary>Entries of each block; their memory does not move.</summary>
    public int[] Counts { get; }

    public int[] Sources { get; }

    public int Blocks => Counts.Length;

    /// <summary>Weights that are stored: M for each entry, those of a short block's missing rows included.</summary>
    public long StoredWeights => (long)Sources.Length * Rows;

    /// <summary>Weights that belong to an output.</summary>
    public long Weights => Blocks == 0 ? 0 : ((long)Sources.Length * Rows) - ((long)Counts[^1] * ((Blocks * Rows) - Outputs));

    /// <summary>First entry of a block.</summary>
    public long Entry(int block) => _entries[block];

    /// <summary>First number of a block in <see cref="Values"/>.</summary>
    public long Value(int block) => (block + _entries[block]) * Rows;

    /// <summary>The stream for images of one size.</summary>
    /// <param name="offsetOf">Where a source begins, in numbers.</param>
    public PlannedStream At(Func<int, long> offsetOf)
    {
        int n = Sources.Length;
        int[] differences = GC.AllocateUninitializedArray<int>(n, pinned: true);
        long[] offsets = new long[n];
        for (int k = 0; k < n; k++) offsets[k] = offsetOf(Sources[k]);

        // The last entry leads back to the first.
        for (int k = 0; k < n; k++) differences[k] = checked((int)(offsets[k + 1 == n ? 0 : k + 1] - offsets[k]));
        return new(this, differences, offsets);
    }
}

/// <summary>A stream of weights with the pointer's way through images of one size.</summary>
/// <param name="stream">The weights.</param>
/// <param name="differences">From the source of an entry to that of the next, in numbers; the last leads back to the first. Their memory does not move.</param>
/// <param name="offsets">Where the source of each entry begins.</param>
internal sealed unsafe class PlannedStream(WeightStream stream, int[] differences, long[] offsets)
{
    public IReadOnlyList<int> Differences => differences;

    /// <summary>Where the pointer starts: at the source of the first stored entry.</summary>
    public long Start => offsets.Length == 0 ? 0 : offsets[0];

    /// <summary>Runs blocks over a strip.</summary>
    /// <param name="from">First block.</param>
    /// <param name="to">Behind the last.</param>
    /// <param name="x">The strip's first position in source 0.</param>
    /// <param name="y">The strip's first position in output 0.</param>
    /// <param name="stride">Numbers between outputs.</param>
    /// <param name="width">Positions, at most <see cref="StreamKernels.MostPositions"/>.</param>
    /// <param name="clamp">Where to cut.</param>
    /// <param name="path">Instructions.</param>
    public void Run(int from, int to, float* x, float* y, long stride, int width, ConvolutionClamp clamp, KernelPath path)
    {
        int rows = stream.Rows, whole = Math.Min(to, stream.Outputs / rows);
        if (from < whole) StreamKernels.Run(rows, Part(from, whole, stride), x + First(from), y + ((long)from * rows * stride), width, clamp, path);
        if (whole == to || to <= from) return;

        // The last block has fewer outputs than rows.
        float* spare = stackalloc float[16 * StreamKernels.MostPositions];
        StreamKernels.Run(rows, Part(to - 1, to, StreamKernels.MostPositions), x + First(to - 1), spare, width, clamp, path);
        for (int output = (to - 1) * rows, r = 0; output < stream.Outputs; output++, r++)
            new ReadOnlySpan<float>(spare + (r * StreamKernels.MostPositions), width).CopyTo(new Span<float>(y + (output * stride), width));
    }

    /// <summary>Blocks from one to another, with their outputs some numbers apart.</summary>
    public StreamPart Part(int from, int to, long stride) => new(
        (nint)Unsafe.AsPointer(ref MemoryMarshal.GetArrayDataReference(stream.Values)) + (nint)(stream.Value(from) * sizeof(float)),
        (nint)Unsafe.AsPointer(ref MemoryMarshal.GetArrayDataReference(differences)) + (nint)(stream.Entry(from) * sizeof(int)),
        (nint)Unsafe.AsPointer(ref MemoryMarshal.GetArrayDataReference(stream.Counts)) + (from * sizeof(int)),
        to - from,
        stride);

    /// <summary>Where the pointer stands before a block.</summary>
    public long First(int block)
    {
        long entry = stream.Entry(block);
        return offsets.Length == 0 ? 0 : offsets[entry == offsets.Length ? 0 : entry];
    }
}
