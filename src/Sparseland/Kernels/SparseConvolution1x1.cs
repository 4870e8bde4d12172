using System.Collections.Concurrent;
using Sparseland.Selection;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Kernels;

/// <summary>The way of the pointer through activations of one size: what stands in a <see cref="SparseConvolution1x1"/>'s stream instead of columns.</summary>
/// <param name="Positions">Numbers of a channel, from one to the next.</param>
/// <param name="Start">Where the pointer starts: the first number of the first stored weight's channel.</param>
/// <param name="Differences">From the channel of each stored weight (or block of M) to that of the next, in numbers; the last leads back to the first, so that their sum is 0.</param>
public sealed record DifferenceStream(int Positions, long Start, IReadOnlyList<int> Differences)
{
    /// <inheritdoc/>
    public override string ToString() => Tensors.Readable.Of(this);
}

/// <summary>
/// A 1 x 1 convolution with sparse weights (Elsen, Dukhan, Gale and Simonyan, "Fast sparse ConvNets", CVPR 2020): a sparse matrix [outputs, inputs] times dense activations
/// [inputs, positions], a strip of 16, 32 or 64 positions at a time, whose numbers are neighbours: nothing is gathered.
/// </summary>
/// <remarks>
/// One stream of numbers: for each block of M outputs their biases, then M weights for each stored place; beside it the count of each block and, in place of column indices, the differences between the
/// channels that follow one another. With M above 1 a block shares its pattern: a place is stored for all M outputs where one of them has it, and each number that is read serves M of them. The last block may be short; it is filled
/// up with zeros that no output sees.
/// </remarks>
public sealed unsafe class SparseConvolution1x1 : ChannelMajorConvolution
{
    private const int MostPlans = 16;
    private readonly WeightStream _stream;
    private readonly ConcurrentDictionary<long, PlannedStream> _plans = [];
    private readonly int _strip;

    private SparseConvolution1x1(WeightStream stream, int inputs, ConvolutionClamp clamp, int strip)
        : base(inputs, stream.Outputs, 1, 1, 1, 0, clamp) => (_stream, _strip) = (stream, strip);

    /// <summary>M: outputs that share a pattern.</summary>
    public int BlockRows => _stream.Rows;

    /// <summary>Positions that are worked on together.</summary>
    public int StripPositions => _strip;

    /// <summary>The biases of a block and then its weights, block after block.</summary>
    public IReadOnlyList<float> Stream => _stream.Values;

    /// <summary>Stored places of each block of outputs.</summary>
    public IReadOnlyList<int> Counts => _stream.Counts;

    /// <summary>Input channel of each stored place, block after block.</summary>
    public IReadOnlyList<int> Columns => _stream.Sources;

    /// <inheritdoc/>
    public override long StoredWeights => _stream.StoredWeights;

    /// <inheritdoc/>
    public override long Bytes => (sizeof(float) * (long)_stream.Values.Length) + (sizeof(int) * ((long)_stream.Counts.Length + _stream.Sources.Length));

    /// <summary>Takes the weights of a layer.</summary>
    /// <param name="weight">[outputs, inputs] or [outputs, inputs, 1, 1], Float32, on the CPU, finite where it counts.</param>
    /// <param name="bias">[outputs]; null for zeros.</param>
    /// <param name="support">Which weights are stored, [outputs, inputs]; null, the default, for those that are not zero. Weights outside do not count, whatever they are.</param>
    /// <param name="blockRows">M: 1, the default, 2 or 4.</param>
    /// <param name="clamp">Where outputs are cut; null, the default, for nowhere.</param>
    /// <param name="stripPositions">Positions that are worked on together: 16, 32 or 64, the default.</param>
    /// <exception cref="ArgumentException">A shape, type, device or number does not fit.</exception>
    public static SparseConvolution1x1 FromDense(
        Tensor weight, Tensor? bias = null, Support? support = null, int blockRows = 1, ConvolutionClamp? clamp = null, int stripPositions = StreamKernels.MostPositions)
    {
        RequireFloats(weight, nameof(weight));
        if (blockRows is not (1 or 2 or 4)) throw new ArgumentOutOfRangeException(nameof(blockRows), blockRows, "A block has 1, 2 or 4 outputs.");
        if (stripPositions is not (16 or 32 or 64)) throw new ArgumentOutOfRangeException(nameof(stripPositions), stripPositions, "A strip has 16, 32 or 64 positions.");
        if (!(weight.dim() == 2 || (weight.dim() == 4 && weight.shape[2] == 1 && weight.shape[3] == 1)))
            throw new ArgumentException($"weight is [{string.Join(", ", weight.shape)}]; it must be [outputs, inputs] or [outputs, inputs, 1, 1].", nameof(weight));
        (int outputs, int inputs) = (checked((int)weight.shape[0]), checked((int)weight.shape[1]));
        if (support is not null && (support.Rows != outputs || support.Columns != inputs))
            throw new ArgumentException($"support is [{support.Rows}, {support.Columns}], the weight [{outputs}, {inputs}].", nameof(support));
        using DisposeScope scope = NewDisposeScope();
        float[] weights = Numbers(support is null ? weight : weight.detach().reshape(outputs, inputs).masked_fill(support.ToMask().reshape(outputs, inputs).logical_not(), 0), nameof(weight));
        WeightStream stream = StreamOf(weights, Biases(bias, outputs), outputs, inputs, 1, blockRows, support is null ? null : (row, column) => support.Row(row).BinarySearch(column) >= 0);
        return new(stream, inputs, clamp ?? ConvolutionClamp.None, stripPositions);
    }

    /// <summary>The pointer's way for channels of so many numbers.</summary>
    /// <param name="positions">Height times width, times images.</param>
    /// <exception cref="ArgumentOutOfRangeException">Not positive.</exception>
    /// <exception cref="OverflowException">The last channel is more than 2^31 - 1 numbers from the first.</exception>
    public DifferenceStream Plan(int positions)
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(positions);
        PlannedStream plan = _stream.At(column => (long)column * positions);
        return new(positions, plan.Start, plan.Differences);
    }

    /// <summary>The weights as a dense matrix.</summary>
    /// <returns>[outputs, inputs].</returns>
    public Tensor ToDense()
    {
        float[] dense = new float[(long)Outputs * Inputs];
        for (int block = 0; block < _stream.Blocks; block++)
        {
            for (int k = 0; k < _stream.Counts[block]; k++)
            {
                long entry = _stream.Entry(block) + k;
                for (int r = 0; r < BlockRows && (block * BlockRows) + r < Outputs; r++)
                    dense[((((long)block * BlockRows) + r) * Inputs) + _stream.Sources[entry]] = _stream.Values[_stream.Value(block) + ((k + 1) * BlockRows) + r];
            }
        }

        return tensor(dense, [Outputs, Inputs]);
    }

    internal override void Run(Planes input, Planes output, nint scratch, int threads)
    {
        PlannedStream plan = PlanFor(input.Stride);
        int positions = input.Positions, strips = (positions + _strip - 1) / _strip, blocks = _stream.Blocks;
        ConvolutionWork.Run(strips, blocks, StoredWeights * positions, threads, (strip, part, parts) =>
        {
            int at = strip * _strip, from = (int)((long)blocks * part / parts), to = (int)((long)blocks * (part + 1) / parts);
            plan.Run(from, to, input.Of(0) + at, output.Of(0) + at, output.Stride, Math.Min(_strip, positions - at), Clamp, Path);
        });
    }

    /// <summary>The stream of blocks of some outputs, each stored place with all its taps.</summary>
    /// <param name="weights">[outputs, inputs, taps].</param>
    /// <param name="biases">[outputs].</param>
    /// <param name="outputs">Outputs.</param>
    /// <param name="inputs">Inputs.</param>
    /// <param name="taps">Places of a kernel.</param>
    /// <param name="rows">M.</param>
    /// <param name="stored">Whether (output, input) is stored; null for where a weight is not zero.</param>
    internal static WeightStream StreamOf(float[] weights, float[] biases, int outputs, int inputs, int taps, int rows, Func<int, int, bool>? stored)
    {
        stored ??= (row, column) => weights.AsSpan((int)(((long)row * inputs) + column) * taps, taps).ContainsAnyExcept(0f);
        int blocks = (outputs + rows - 1) / rows;
        var values = new List<float>();
        var sources = new List<int>();
        int[] counts = new int[blocks];
        for (int block = 0; block < blocks; block++)
        {
            int first = block * rows, last = Math.Min(outputs, first + rows);
            for (int r = 0; r < rows; r++) values.Add(first + r < outputs ? biases[first + r] : 0);
            for (int column = 0; column < inputs; column++)
            {
                bool any = false;
                for (int row = first; row < last && !any; row++) any = stored(row, column);
                if (!any) continue;
                for (int tap = 0; tap < taps; tap++)
                {
                    for (int r = 0; r < rows; r++) values.Add(first + r < outputs ? weights[((((long)(first + r) * inputs) + column) * taps) + tap] : 0);
                    sources.Add((column * taps) + tap);
                }

                counts[block] += taps;
            }
        }

        return new(rows, outputs, values.ToArray(), counts, [.. sources]);
    }

    // Images of another size than before get a plan of their own.
    private PlannedStream PlanFor(long stride)
    {
        if (_plans.TryGetValue(stride, out PlannedStream? plan)) return plan;
        if (_plans.Count >= MostPlans) _plans.Clear();
        return _plans[stride] = _stream.At(column => column * stride);
    }
}
