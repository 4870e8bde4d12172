using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.LowRank;

/// <summary>
/// The sizes of a Monarch matrix W [out, in]. The inputs are K runs of I neighbours, index (k, i); the outputs are numbered (l, j) with j the faster, J of them; for fixed (j, k) the entries over
/// (l, i) are a matrix of rank b at most. So W is K J interleaved slices, each of rank b (Dao et al. 2022, arXiv 2204.00595; letters as there).
/// </summary>
public sealed record MonarchShape
{
    /// <summary>A shape.</summary>
    /// <param name="inputs">Columns of W.</param>
    /// <param name="outputs">Rows of W.</param>
    /// <param name="inputBlocks">K, the runs of inputs.</param>
    /// <param name="outputBlocks">J, the interleaved groups of outputs.</param>
    /// <param name="blockRank">b. Default 1.</param>
    /// <param name="pad">Whether sizes that the blocks do not divide are rounded up, with inputs that are zero and outputs that nobody sees. Default false.</param>
    /// <exception cref="ArgumentException">A size below 1; blocks that do not divide the sizes and no padding; a rank above that of a full slice.</exception>
    public MonarchShape(int inputs, int outputs, int inputBlocks, int outputBlocks, int blockRank = 1, bool pad = false)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(inputs, 1);
        ArgumentOutOfRangeException.ThrowIfLessThan(outputs, 1);
        CheckBlocks(inputs, inputBlocks, pad, "inputs", nameof(inputBlocks));
        CheckBlocks(outputs, outputBlocks, pad, "outputs", nameof(outputBlocks));
        (Inputs, Outputs, InputBlocks, OutputBlocks, BlockRank) = (inputs, outputs, inputBlocks, outputBlocks, blockRank);
        (InputBlockSize, OutputBlockSize) = ((inputs - 1) / inputBlocks + 1, (outputs - 1) / outputBlocks + 1);
        int most = Math.Min(InputBlockSize, OutputBlockSize);
        if (blockRank < 1 || blockRank > most)
        {
            throw new ArgumentOutOfRangeException(nameof(blockRank), blockRank,
                $"blockRank must be from 1 to {most}: a slice is [{OutputBlockSize}, {InputBlockSize}], and a higher rank than the shorter side has nothing to hold.");
        }
    }

    /// <summary>Columns of W.</summary>
    public int Inputs { get; }

    /// <summary>Rows of W.</summary>
    public int Outputs { get; }

    /// <summary>K.</summary>
    public int InputBlocks { get; }

    /// <summary>J.</summary>
    public int OutputBlocks { get; }

    /// <summary>b.</summary>
    public int BlockRank { get; }

    /// <summary>I, inputs of a run; rounded up where padded.</summary>
    public int InputBlockSize { get; }

    /// <summary>Outputs of a group; rounded up where padded.</summary>
    public int OutputBlockSize { get; }

    /// <summary>K I.</summary>
    public int PaddedInputs => InputBlocks * InputBlockSize;

    /// <summary>J times the outputs of a group.</summary>
    public int PaddedOutputs => OutputBlocks * OutputBlockSize;

    /// <summary>Whether <see cref="PaddedInputs"/> or <see cref="PaddedOutputs"/> is larger than what is asked for.</summary>
    public bool IsPadded => PaddedInputs != Inputs || PaddedOutputs != Outputs;

    /// <summary>Numbers of both factors, b (J in + K out) of the padded sizes: also the multiply-adds of one product with a vector.</summary>
    public long ParameterCount => (long)BlockRank * (((long)OutputBlocks * PaddedInputs) + ((long)InputBlocks * PaddedOutputs));

    /// <summary>Share of the dense matrix's numbers.</summary>
    public double Density => ParameterCount / ((double)Inputs * Outputs);

    /// <summary>Shape of the right factor, [K, b J, I]: block k is a matrix from the inputs of run k to (r, j), j the faster.</summary>
    public long[] RightShape => [InputBlocks, (long)BlockRank * OutputBlocks, InputBlockSize];

    /// <summary>Shape of the left factor, [J, outputs of a group, K b]: block j is a matrix from (k, r), r the faster, to the outputs of group j.</summary>
    public long[] LeftShape => [OutputBlocks, OutputBlockSize, (long)InputBlocks * BlockRank];

    /// <summary>The paper's definition for a square matrix: K = J = I = sqrt(n) and rank 1, W = P L P^T R with 2 n^1.5 numbers.</summary>
    /// <param name="n">Rows and columns, a square number.</param>
    /// <exception cref="ArgumentException">No square number.</exception>
    public static MonarchShape ForSquare(int n)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(n, 1);
        int root = (int)Math.Round(Math.Sqrt(n));
        if (root * root != n) throw new ArgumentException($"n must be a square number, but is {n}; the nearest is {root * root} = {root}^2.", nameof(n));
        return new(n, n, root, root);
    }

    /// <summary>The published layer of N blocks on both sides: the rank of a slice is the shorter side of a block over N, min(in, out) / N^2, rounded down and at least 1. Sizes are padded.</summary>
    /// <param name="inputs">Columns of W.</param>
    /// <param name="outputs">Rows of W.</param>
    /// <param name="blocks">N; the paper's trainings use 4.</param>
    /// <exception cref="ArgumentException">A size below 1, or more blocks than inputs or outputs.</exception>
    public static MonarchShape ForBlocks(int inputs, int outputs, int blocks)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(inputs, 1);
        ArgumentOutOfRangeException.ThrowIfLessThan(outputs, 1);
        if (blocks < 1 || blocks > Math.Min(inputs, outputs)) throw new ArgumentOutOfRangeException(nameof(blocks), blocks, $"blocks must be from 1 to {Math.Min(inputs, outputs)}.");
        int side = (Math.Min(inputs, outputs) - 1) / blocks + 1;
        return new(inputs, outputs, blocks, blocks, Math.Max(1, side / blocks), pad: true);
    }

    internal void CheckFactors(Tensor right, Tensor left)
    {
        ArgumentNullException.ThrowIfNull(right);
        ArgumentNullException.ThrowIfNull(left);
        if (!right.shape.AsSpan().SequenceEqual(RightShape)) throw new ArgumentException($"The right factor must be [{string.Join(", ", RightShape)}], but is [{string.Join(", ", right.shape)}].", nameof(right));
        if (!left.shape.AsSpan().SequenceEqual(LeftShape)) throw new ArgumentException($"The left factor must be [{string.Join(", ", LeftShape)}], but is [{string.Join(", ", left.shape)}].", nameof(left));
        if (left.dtype != right.dtype || left.device_type != right.device_type) throw new ArgumentException($"Both factors must be of one type and on one device, but they are {right.dtype} on {right.device} and {left.dtype} on {left.device}.", nameof(left));
    }

    private static void CheckBlocks(int size, int blocks, bool pad, string what, string name)
    {
        if (blocks < 1 || blocks > size) throw new ArgumentOutOfRangeException(name, blocks, $"{name} must be from 1 to {size}, the number of {what}.");
        if (!pad && size % blocks != 0) throw new ArgumentException($"{blocks} blocks do not divide {size} {what}; choose a divisor or pad.", name);
    }
}
