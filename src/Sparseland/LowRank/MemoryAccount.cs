using Sparseland.Models.Language;
using Sparseland.Tensors;

namespace Sparseland.LowRank;

/// <summary>Bytes of a number of each kind. The defaults reproduce the tables of GaLore and SLTrain: bfloat16, no gradients counted, since each layer is updated as soon as its gradient is there.</summary>
/// <param name="Parameter">Bytes of a parameter. Default 2.</param>
/// <param name="Gradient">Bytes of a gradient; 0, the default, where none is kept.</param>
/// <param name="Moment">Bytes of one moment. Default 2.</param>
/// <param name="Index">Bytes of an index. Default 8.</param>
/// <param name="Projector">Bytes of a number of a projector. Default 2.</param>
public sealed record NumberSizes(int Parameter = 2, int Gradient = 0, int Moment = 2, int Index = 8, int Projector = 2)
{
    /// <summary>Everything in float32, gradients kept, indices of 4 bytes.</summary>
    public static NumberSizes Single { get; } = new(4, 4, 4, 4, 4);
}

/// <summary>Numbers that a training of one group of weights holds.</summary>
/// <param name="Name">Name of the group.</param>
/// <param name="Parameters">Parameters, frozen ones too.</param>
/// <param name="Trained">Parameters that have a gradient.</param>
/// <param name="Moments">Numbers in BOTH moments of Adam.</param>
/// <param name="Indices">Indices. Default 0.</param>
/// <param name="Projectors">Numbers of projectors. Default 0.</param>
public sealed record MemoryGroup(string Name, long Parameters, long Trained, long Moments, long Indices = 0, long Projectors = 0)
{
    /// <summary>Bytes.</summary>
    /// <param name="sizes">Bytes of a number.</param>
    public long Bytes(NumberSizes sizes)
    {
        ArgumentNullException.ThrowIfNull(sizes);
        return (Parameters * sizes.Parameter) + (Trained * sizes.Gradient) + (Moments * sizes.Moment) + (Indices * sizes.Index) + (Projectors * sizes.Projector);
    }

    /// <summary>Trained whole, with Adam.</summary>
    /// <param name="name">Name.</param>
    /// <param name="numbers">Numbers.</param>
    public static MemoryGroup Full(string name, long numbers) => new(name, numbers, numbers, 2 * numbers);

    /// <summary>A matrix W [out, in], trained whole.</summary>
    /// <param name="outputs">out.</param>
    /// <param name="inputs">in.</param>
    public static MemoryGroup Dense(long outputs, long inputs) => Full("dense", Positive(outputs, inputs));

    /// <summary>B A: r (out + in) numbers.</summary>
    /// <param name="outputs">out.</param>
    /// <param name="inputs">in.</param>
    /// <param name="rank">r.</param>
    public static MemoryGroup LowRank(long outputs, long inputs, long rank)
    {
        Positive(outputs, inputs, rank);
        return Full("low rank", rank * (outputs + inputs));
    }

    /// <summary>B A and a sparse part of k = floor(density out in) values, each with an index (SLTrain).</summary>
    /// <param name="outputs">out.</param>
    /// <param name="inputs">in.</param>
    /// <param name="rank">r; 0 for a sparse part alone.</param>
    /// <param name="density">Share of the entries that have a value, from 0 to 1.</param>
    public static MemoryGroup LowRankSparse(long outputs, long inputs, long rank, double density)
    {
        long numbers = Positive(outputs, inputs);
        ArgumentOutOfRangeException.ThrowIfNegative(rank);
        if (!(density is >= 0 and <= 1)) throw new ArgumentOutOfRangeException(nameof(density), density, "density must be from 0 to 1.");
        long k = (long)(density * numbers);
        return Full("low rank and sparse", (rank * (outputs + inputs)) + k) with { Indices = k };
    }

    /// <summary>A frozen W0 and a trained B A (LoRA, ReLoRA).</summary>
    /// <param name="outputs">out.</param>
    /// <param name="inputs">in.</param>
    /// <param name="rank">r.</param>
    public static MemoryGroup Lora(long outputs, long inputs, long rank)
    {
        long trained = rank * (outputs + inputs);
        return new("adapter", Positive(outputs, inputs, rank) + trained, trained, 2 * trained);
    }

    /// <summary>A dense W whose moments have r times the longer side, with a projector of r times the shorter (GaLore).</summary>
    /// <param name="outputs">out.</param>
    /// <param name="inputs">in.</param>
    /// <param name="rank">r.</param>
    public static MemoryGroup GaLore(long outputs, long inputs, long rank)
    {
        long numbers = Positive(outputs, inputs, rank);
        return new("projected gradient", numbers, numbers, 2 * rank * Math.Max(outputs, inputs), Projectors: rank * Math.Min(outputs, inputs));
    }

    /// <summary>U, s and V whole, with moments and gradients of r pairs and of all s (sparse spectral training).</summary>
    /// <param name="outputs">out.</param>
    /// <param name="inputs">in.</param>
    /// <param name="rank">r, the active pairs.</param>
    public static MemoryGroup Spectral(long outputs, long inputs, long rank)
    {
        Positive(outputs, inputs, rank);
        long m = Math.Min(outputs, inputs), trained = (rank * (outputs + inputs)) + m;
        return new("spectral", m * (outputs + inputs + 1), trained, 2 * trained);
    }

    /// <summary>B A and the columns of some channels (LOST).</summary>
    /// <param name="outputs">out.</param>
    /// <param name="inputs">in.</param>
    /// <param name="rank">r.</param>
    /// <param name="channels">Channels kept.</param>
    public static MemoryGroup LowRankChannel(long outputs, long inputs, long rank, long channels)
    {
        Positive(outputs, inputs, rank);
        ArgumentOutOfRangeException.ThrowIfNegative(channels);
        return Full("low rank and channels", (rank * (outputs + inputs)) + (channels * outputs)) with { Indices = channels };
    }

    private static long Positive(long outputs, long inputs, long rank = 1)
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(outputs);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(inputs);
        Decomposition.CheckRank(rank, outputs, inputs);
        return checked(outputs * inputs);
    }
}

/// <summary>
/// What a training holds, from the sizes of a model alone: parameters, gradients, moments, indices and projectors. Activations are another line, and a layer that forms W in the forward pass must not keep it for
/// the backward pass, or the account is void.
/// </summary>
/// <param name="Groups">Weights by group; embeddings, norms and head are one of their own.</param>
/// <param name="Sizes">Bytes of a number.</param>
public sealed record MemoryAccount(IReadOnlyList<MemoryGroup> Groups, NumberSizes Sizes)
{
    /// <summary>All parameters.</summary>
    public long Parameters => Groups.Sum(g => g.Parameters);

    /// <summary>Parameters that are trained.</summary>
    public long Trained => Groups.Sum(g => g.Trained);

    /// <summary>All bytes.</summary>
    public long Bytes => Groups.Sum(g => g.Bytes(Sizes));

    /// <summary>All bytes, in 10^9.</summary>
    public double Gigabytes => Bytes / 1e9;

    /// <summary>Bytes by what they hold.</summary>
    public IReadOnlyList<(string What, long Bytes)> ByKind =>
    [
        ("parameters", Groups.Sum(g => g.Parameters) * Sizes.Parameter), ("gradients", Groups.Sum(g => g.Trained) * Sizes.Gradient), ("moments", Groups.Sum(g => g.Moments) * Sizes.Moment),
        ("indices", Groups.Sum(g => g.Indices) * Sizes.Index), ("projectors", Groups.Sum(g => g.Projectors) * Sizes.Projector),
    ];

    /// <summary>Account of a decoder whose attention and MLP matrices are trained by some method; embeddings, norms, biases and head are always trained whole.</summary>
    /// <param name="config">Sizes of the decoder.</param>
    /// <param name="matrix">From out and in of a matrix to what its training holds, <see cref="MemoryGroup.Dense"/> and the like.</param>
    /// <param name="sizes">Bytes of a number; null, the default, for the defaults of the record.</param>
    /// <exception cref="ArgumentException">The sizes do not fit each other, or the method does not fit a matrix.</exception>
    public static MemoryAccount Of(LlamaConfig config, Func<long, long, MemoryGroup> matrix, NumberSizes? sizes = null)
    {
        ArgumentNullException.ThrowIfNull(matrix);
        MemoryGroup[] groups = [.. MatricesOf(config).Select(m => matrix(m.Outputs, m.Inputs) with { Name = m.Name }), MemoryGroup.Full("embeddings, norms and head", RestOf(config))];
        return new(groups, sizes ?? new());
    }

    /// <summary>The matrices of attention and MLP of a decoder, block by block.</summary>
    /// <param name="config">Sizes.</param>
    /// <exception cref="ArgumentException">The sizes do not fit each other.</exception>
    public static IReadOnlyList<(string Name, long Outputs, long Inputs)> MatricesOf(LlamaConfig config)
    {
        ArgumentNullException.ThrowIfNull(config);
        config.Validate();
        long width = config.Width, queries = (long)config.Heads * config.HeadDim, keys = (long)config.KeyValueHeads * config.HeadDim, mlp = config.MlpWidth;
        return [.. Enumerable.Range(0, config.Layers).SelectMany(l => new (string, long, long)[]
        {
            ($"block {l} query", queries, width), ($"block {l} key", keys, width), ($"block {l} value", keys, width), ($"block {l} output", width, queries),
            ($"block {l} gate", mlp, width), ($"block {l} up", mlp, width), ($"block {l} down", width, mlp),
        })];
    }

    /// <inheritdoc/>
    public override string ToString() => FormattableString.Invariant($"{Parameters / 1e6:0.00} M parameters, {Trained / 1e6:0.00} M trained, {Gigabytes:0.000} GB");

    /// <summary>Numbers of embeddings, norms, biases and head.</summary>
    private static long RestOf(LlamaConfig config)
    {
        long width = config.Width, queries = (long)config.Heads * config.HeadDim, keys = (long)config.KeyValueHeads * config.HeadDim;
        long norms = width * (config.OutputNorms ? 4 : 2) + (config.HeadNorms ? 2L * config.HeadDim : 0);
        long biases = (config.QueryKeyValueBias ? queries + (2 * keys) : 0) + (config.OutputBias ? width : 0) + (config.MlpBias ? (2L * config.MlpWidth) + width : 0);
        return (config.Vocabulary * width * (config.TiedEmbeddings ? 1 : 2)) + width + (config.Layers * (norms + biases));
    }
}
