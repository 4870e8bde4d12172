using System.Collections.Concurrent;
using Sparseland.Tensors;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Kernels;

/// <summary>
/// A convolution whose weights are kept or pruned in groups of N outputs times one input times the whole k x k kernel (1xN pattern, Lin et al., arXiv 2105.14713; the groups of SparseByteNN,
/// arXiv 2310.19509, in our reading): one index serves N k k weights, and each number that is read N multiplications.
/// </summary>
/// <remarks>
/// Packed: for each block of N outputs the number of stored inputs, the inputs, and the values [stored, k k, N]. Where outputs are not divisible by N the last block is filled up with zeros that no output sees; they
/// count in <see cref="ChannelMajorConvolution.StoredWeights"/>.
/// </remarks>
public sealed unsafe class GroupSparseConvolution : ChannelMajorConvolution
{
    private const int MostPlans = 16;
    private readonly WeightStream _stream;
    private readonly ConcurrentDictionary<(int Images, int Height, int Width, long Stride), PlannedStream> _plans = [];

    internal GroupSparseConvolution(WeightStream stream, int inputs, int kernelHeight, int kernelWidth, int stride, int padding, ConvolutionClamp clamp)
        : base(inputs, stream.Outputs, kernelHeight, kernelWidth, stride, padding, clamp) => _stream = stream;

    /// <summary>N: outputs of a group.</summary>
    public int GroupOutputs => _stream.Rows;

    /// <summary>What lies in a vector. Default <see cref="GroupForm.Positions"/>.</summary>
    public GroupForm Form { get; init; }

    /// <summary>Stored inputs of each block of N outputs.</summary>
    public IReadOnlyList<int> Counts => [.. _stream.Counts.Select(count => count / Taps)];

    /// <summary>Stored inputs, block after block.</summary>
    public IReadOnlyList<ushort> InputChannels => [.. _stream.Sources.Where((_, i) => i % Taps == 0).Select(source => (ushort)(source / Taps))];

    /// <summary>The share of weights that are not stored.</summary>
    public double Sparsity => 1 - ((double)_stream.Weights / ((double)Outputs * Inputs * Taps));

    /// <inheritdoc/>
    public override long StoredWeights => _stream.StoredWeights;

    /// <inheritdoc/>
    public override long Bytes => (sizeof(float) * (long)_stream.Values.Length) + (sizeof(ushort) * ((long)_stream.Sources.Length / Taps)) + (sizeof(int) * (long)_stream.Counts.Length);

    private int Taps => KernelHeight * KernelWidth;

    /// <summary>Packs the kept groups of a layer.</summary>
    /// <param name="weight">[outputs, inputs, rows, columns] or [outputs, inputs], Float32, on the CPU, finite where it is kept.</param>
    /// <param name="mask">Bool, of the weight's shape, the same for all weights of a group; null, the default, for the groups that are not all zero.</param>
    /// <param name="groupOutputs">N: 1, 2, 4, 8 or 16. Default 16.</param>
    /// <param name="bias">[outputs]; null for zeros.</param>
    /// <param name="stride">Step. Default 1.</param>
    /// <param name="padding">Zeros on each side. Default 0.</param>
    /// <param name="clamp">Where outputs are cut; null, the default, for nowhere.</param>
    /// <param name="form">What lies in a vector. Default <see cref="GroupForm.Positions"/>; the other form needs N = 8 or 16.</param>
    /// <exception cref="ArgumentException">A shape, type, device or number does not fit, or a group is kept in part; it is named.</exception>
    public static GroupSparseConvolution Pack(
        Tensor weight, Tensor? mask = null, int groupOutputs = 16, Tensor? bias = null, int stride = 1, int padding = 0, ConvolutionClamp? clamp = null, GroupForm form = GroupForm.Positions)
    {
        RequireFloats(weight, nameof(weight));
        if (weight.dim() is not (2 or 4)) throw new ArgumentException($"weight is [{string.Join(", ", weight.shape)}]; it must be [outputs, inputs, rows, columns] or [outputs, inputs].", nameof(weight));
        if (!StreamKernels.Knows(groupOutputs)) throw new ArgumentOutOfRangeException(nameof(groupOutputs), groupOutputs, "A group has 1, 2, 4, 8 or 16 outputs.");
        if (!Enum.IsDefined(form)) throw new ArgumentOutOfRangeException(nameof(form), form, "form is Positions or Channels.");
        if (form == GroupForm.Channels && groupOutputs < 8)
            throw new ArgumentException($"Outputs fill a vector from 8 on, but a group has {groupOutputs}; take {nameof(GroupForm)}.{nameof(GroupForm.Positions)}.", nameof(form));
        (int outputs, int inputs) = (checked((int)weight.shape[0]), checked((int)weight.shape[1]));
        if (inputs > ushort.MaxValue + 1) throw new ArgumentException($"weight has {inputs} inputs; indices of 16 bits reach 65,536.", nameof(weight));
        (int high, int wide) = weight.dim() == 2 ? (1, 1) : ((int)weight.shape[2], (int)weight.shape[3]);
        Func<int, int, bool>? stored = null;
        using DisposeScope scope = NewDisposeScope();
        Tensor counted = weight;
        if (mask is not null)
        {
            bool[] kept = Kept(mask, weight, groupOutputs, inputs, high * wide);
            stored = (row, column) => kept[(row / groupOutputs * inputs) + column];
            counted = weight.detach().masked_fill(mask.cpu().logical_not(), 0);
        }

        return new(SparseConvolution1x1.StreamOf(Numbers(counted, nameof(weight)), Biases(bias, outputs), outputs, inputs, high * wide, groupOutputs, stored), inputs, high, wide, stride, padding, clamp ?? ConvolutionClamp.None) { Form = form };
    }

    /// <summary>The weights as a dense tensor.</summary>
    /// <returns>[outputs, inputs, rows, columns].</returns>
    public Tensor ToDense()
    {
        float[] dense = new float[(long)Outputs * Inputs * Taps];
        for (int block = 0; block < _stream.Blocks; block++)
        {
            for (int k = 0; k < _stream.Counts[block]; k++)
            {
                int source = _stream.Sources[_stream.Entry(block) + k];
                for (int r = 0; r < GroupOutputs && (block * GroupOutputs) + r < Outputs; r++)
                    dense[((((long)block * GroupOutputs) + r) * Inputs * Taps) + source] = _stream.Values[_stream.Value(block) + ((k + 1) * GroupOutputs) + r];
            }
        }

        return tensor(dense, [Outputs, Inputs, KernelHeight, KernelWidth]);
    }

    internal override long ScratchLength(int images, int height, int width) => IsPointwise ? 0 : Padded(images, height, width).Channel * Inputs;

    internal override void Run(Planes input, Planes output, nint scratch, int threads)
    {
        if (IsPointwise)
        {
            Pointwise(input, output, threads);
            return;
        }

        PaddedPlanes padded = Padded(input.Images, input.Height, input.Width);
        ConvolutionWork.Run(Inputs * input.Images, 1, (long)Inputs * padded.Channel, threads, (item, _, _) =>
        {
            int channel = item / input.Images, image = item % input.Images;
            padded.Fill(input.Of(channel) + ((long)image * input.Height * input.Width), (float*)scratch + (channel * padded.Channel) + ((long)image * padded.Plane));
        });
        PlannedStream plan = PlanFor(
            (input.Images, input.Height, input.Width, 0), source => (source / Taps * padded.Channel) + padded.Tap(source % Taps / KernelWidth, source % KernelWidth));
        int rows = padded.OutputHeight, columns = padded.OutputWidth, blocks = _stream.Blocks, segments = (columns + StreamKernels.MostPositions - 1) / StreamKernels.MostPositions;
        ConvolutionWork.Run(input.Images * rows * segments, blocks, StoredWeights * output.Positions, threads, (strip, part, parts) =>
        {
            int row = strip / segments, at = strip % segments * StreamKernels.MostPositions, image = row / rows;
            float* x = (float*)scratch + ((long)image * padded.Plane) + padded.OutputRow(row % rows) + at, y = output.Of(0) + ((long)row * columns) + at;
            Part(plan, part, parts, x, y, output.Stride, Math.Min(StreamKernels.MostPositions, columns - at));
        });
    }

    private void Pointwise(Planes input, Planes output, int threads)
    {
        PlannedStream plan = PlanFor((0, 0, 0, input.Stride), column => column * input.Stride);
        int positions = input.Positions, strips = (positions + StreamKernels.MostPositions - 1) / StreamKernels.MostPositions;
        ConvolutionWork.Run(strips, _stream.Blocks, StoredWeights * positions, threads, (strip, part, parts) =>
        {
            int at = strip * StreamKernels.MostPositions;
            Part(plan, part, parts, input.Of(0) + at, output.Of(0) + at, output.Stride, Math.Min(StreamKernels.MostPositions, positions - at));
        });
    }

    private void Part(PlannedStream plan, int part, int parts, float* x, float* y, long stride, int width)
    {
        int from = (int)((long)_stream.Blocks * part / parts), to = (int)((long)_stream.Blocks * (part + 1) / parts);
        if (Form == GroupForm.Positions) plan.Run(from, to, x, y, stride, width, Clamp, Path);
        else ChannelKernels.Run(GroupOutputs, plan.Part(from, to, stride), x + plan.First(from), y, from * GroupOutputs, Outputs, width, Clamp, Path);
    }

    private PaddedPlanes Padded(int images, int height, int width) => new(images, height, width, KernelHeight, KernelWidth, Stride, Padding);

    private PlannedStream PlanFor((int, int, int, long) key, Func<int, long> offsetOf)
    {
        if (_plans.TryGetValue(key, out PlannedStream? plan)) return plan;
        if (_plans.Count >= MostPlans) _plans.Clear();
        return _plans[key] = _stream.At(offsetOf);
    }

    /// <summary>Whether each group of n outputs, one input and the kernel is all zero or has no row of zeros: whether nothing is stored in vain.</summary>
    internal static bool IsUniform(Tensor weight, int n)
    {
        if (n == 1) return true;
        using DisposeScope scope = NewDisposeScope();
        Tensor here = weight.reshape(weight.shape[0], weight.shape[1], -1).ne(0).any(2);
        if (weight.shape[0] % n != 0) return false;
        Tensor groups = here.view(-1, n, weight.shape[1]);
        return groups.any(1).eq(groups.all(1)).all().item<bool>();
    }

    /// <summary>Of each group whether it is kept.</summary>
    private static bool[] Kept(Tensor mask, Tensor weight, int rows, int inputs, int taps)
    {
        if (mask.dtype != ScalarType.Bool || !mask.shape.SequenceEqual(weight.shape))
            throw new ArgumentException($"mask must be Bool [{string.Join(", ", weight.shape)}], but is {mask.dtype} [{string.Join(", ", mask.shape)}].", nameof(mask));
        using DisposeScope scope = NewDisposeScope();
        ReadOnlySpan<bool> all = TensorMemory.Read<bool>(mask.cpu().contiguous());
        int outputs = (int)weight.shape[0], blocks = (outputs + rows - 1) / rows;
        bool[] kept = new bool[blocks * inputs];
        for (int row = 0; row < outputs; row++)
        {
            for (int i = 0; i < inputs * taps; i++)
            {
                int block = row / rows, input = i / taps;
                bool here = all[(row * inputs * taps) + i];
                if (row % rows == 0 && i % taps == 0) kept[(block * inputs) + input] = here;
                else if (kept[(block * inputs) + input] != here)
                    throw new ArgumentException($"mask keeps the group of outputs {block * rows} to {Math.Min(outputs, (block + 1) * rows) - 1} and input {input} in part; all its weights must be kept or none.", nameof(mask));
            }
        }

        return kept;
    }
}
