using Sparseland.Selection;
using Sparseland.Tensors;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Attention.Graphs;

/// <summary>How the heads' weights become one number per pair of tokens.</summary>
public enum HeadReduction
{
    /// <summary>min(1, sum over heads).</summary>
    Sum,

    /// <summary>Mean over heads.</summary>
    Mean,

    /// <summary>The largest head's: an edge where any head is above the cut.</summary>
    Max,
}

/// <summary>Which edges of the attention count.</summary>
public enum EdgeDirection
{
    /// <summary>From a key to the query that looks at it.</summary>
    KeyToQuery,

    /// <summary>From each token to itself alone: what remains in the released code, which sends from query to key and keeps earlier to later.</summary>
    SelfLoopsOnly,
}

/// <summary>Settings of <see cref="AttentionGraph.FromHeads"/>.</summary>
public sealed record AttentionGraphOptions
{
    /// <summary>How heads are joined. Default their sum, at most 1.</summary>
    public HeadReduction Reduction { get; init; }

    /// <summary>t, from 0 to 1. Default 0.1.</summary>
    public double Threshold { get; init; } = 0.1;

    /// <summary>alpha of the sigmoid, above 0. Default 10.</summary>
    public double Sharpness { get; init; } = 10;

    /// <summary>epsilon, above 0 and below 1: edges of a smaller weight are cut. Default 0.6.</summary>
    public double Epsilon { get; init; } = 0.6;

    /// <summary>Which edges count. Default from key to query.</summary>
    public EdgeDirection Direction { get; init; }

    /// <summary>What a joined weight must be above to be an edge: t + log(epsilon / (1 - epsilon)) / alpha. The two thresholds are one.</summary>
    public double CutPoint => Threshold + (Math.Log(Epsilon / (1 - Epsilon)) / Sharpness);

    /// <summary>Refuses what has no meaning.</summary>
    /// <exception cref="ArgumentOutOfRangeException">A value is out of its range.</exception>
    public void Validate()
    {
        if (!Enum.IsDefined(Reduction)) throw new ArgumentOutOfRangeException(nameof(Reduction), Reduction, "There is no such reduction.");
        if (!Enum.IsDefined(Direction)) throw new ArgumentOutOfRangeException(nameof(Direction), Direction, "There is no such direction.");
        if (!(Threshold is >= 0 and <= 1)) throw new ArgumentOutOfRangeException(nameof(Threshold), Threshold, "Threshold must be from 0 to 1.");
        Finite.Positive(Sharpness);
        if (!(Epsilon is > 0 and < 1)) throw new ArgumentOutOfRangeException(nameof(Epsilon), Epsilon, "Epsilon must be above 0 and below 1.");
    }
}

/// <summary>Numbers of a graph.</summary>
/// <param name="Edges">Edges of all texts.</param>
/// <param name="Density">Edges over the cells of the causal triangles.</param>
/// <param name="PerRow">Edges of a token, on average.</param>
/// <param name="RowsWithSelfLoop">Share of tokens with an edge to themselves.</param>
/// <param name="SelfLoopShare">Share of self loops among the edges; 0 where there is none.</param>
/// <param name="RowsWithoutEdge">Share of tokens that get no message.</param>
public sealed record GraphStatistics(long Edges, double Density, double PerRow, double RowsWithSelfLoop, double SelfLoopShare, double RowsWithoutEdge);

/// <summary>
/// A sparse causal graph over the tokens of some texts, kept as a list of weighted edges (Buehler 2025, arXiv 2501.02393, Sparse-GIN): from the attention of a block by <see cref="FromHeads"/>. Messages are
/// gathered and added edge by edge; no matrix of all pairs is made. Weights keep their gradient.
/// </summary>
public sealed class AttentionGraph : IDisposable
{
    private readonly NativeSize _size;

    private AttentionGraph(int batch, int tokens, Tensor targets, Tensor sources, Tensor weights, double rowSumError)
    {
        (Batch, Tokens, Targets, Sources, Weights, RowSumError) = (batch, tokens, targets, sources, weights, rowSumError);
        _size = NativeSize.Of(targets, sources, weights);
    }

    /// <summary>Texts.</summary>
    public int Batch { get; }

    /// <summary>Tokens of a text.</summary>
    public int Tokens { get; }

    /// <summary>Where each edge ends, text * tokens + token, int64 [edges], ascending.</summary>
    public Tensor Targets { get; }

    /// <summary>Where each edge begins, in the same count, int64 [edges].</summary>
    public Tensor Sources { get; }

    /// <summary>Weight of each edge [edges].</summary>
    public Tensor Weights { get; }

    /// <summary>How far the rows that the graph was cut from were from a sum of one, at most; 0 for edges that were given.</summary>
    public double RowSumError { get; }

    /// <summary>What should be known of the weights that the graph was cut from; null where there is nothing.</summary>
    public string? Warning => RowSumError > 1e-3 ? FormattableString.Invariant($"Rows of the attention have sums up to {RowSumError:G3} away from 1; thresholds mean something else for them.") : null;

    /// <summary>Edges of all texts.</summary>
    public long Edges => Weights.shape[0];

    /// <summary>
    /// Joins the heads to a_ij, weighs w_ij = sigmoid(alpha (a_ij - t)), and keeps what is above epsilon on or below the diagonal. Without that second cut every pair would be an edge: the sigmoid of a weight of 0 is 0.27.
    /// </summary>
    /// <param name="pattern">Attention weights [batch, heads, tokens, tokens]; their gradient passes to the weights of the edges.</param>
    /// <param name="options">Thresholds; null, the default, for those of the record.</param>
    /// <exception cref="ArgumentException">Another shape, a value that is not finite or negative, or an option out of its range.</exception>
    public static AttentionGraph FromHeads(Tensor pattern, AttentionGraphOptions? options = null)
    {
        options ??= new();
        options.Validate();
        CheckPattern(pattern);
        using DisposeScope scope = NewDisposeScope();
        (int batch, int tokens) = ((int)pattern.shape[0], (int)pattern.shape[2]);
        Tensor joined = Joined(pattern, options.Reduction), weights = joined.sub(options.Threshold).mul(options.Sharpness).sigmoid();
        Tensor allowed = ones(tokens, tokens, dtype: ScalarType.Bool, device: pattern.device).tril();
        if (options.Direction == EdgeDirection.SelfLoopsOnly) allowed = allowed.triu();
        Tensor kept = weights.detach().gt(options.Epsilon).logical_and(allowed), at = kept.nonzero();
        Tensor first = at.select(1, 0).mul(tokens), targets = first.add(at.select(1, 1)), sources = first.add(at.select(1, 2));
        double error = pattern.detach().sum(-1).sub(1).abs().max().to(ScalarType.Float64).item<double>();
        return new(batch, tokens, scope.MoveToOuter(targets), scope.MoveToOuter(sources), scope.MoveToOuter(weights.masked_select(kept)), error);
    }

    /// <summary>a_ij: what the heads say together.</summary>
    /// <param name="pattern">Attention weights [batch, heads, tokens, tokens].</param>
    /// <param name="reduction">How they are joined. Default their sum, at most 1.</param>
    /// <returns>[batch, tokens, tokens].</returns>
    /// <exception cref="ArgumentException">Another shape, or a value that is not finite or negative.</exception>
    public static Tensor Join(Tensor pattern, HeadReduction reduction = HeadReduction.Sum)
    {
        CheckPattern(pattern);
        using DisposeScope scope = NewDisposeScope();
        return scope.MoveToOuter(Joined(pattern, reduction));
    }

    /// <summary>A graph of given edges.</summary>
    /// <param name="tokens">Tokens of the text.</param>
    /// <param name="support">Rows are tokens that get messages, columns those that send; causal.</param>
    /// <param name="weights">One for each kept cell, row after row [cells].</param>
    /// <exception cref="ArgumentException">Another shape, an edge from a later token, or a weight that is not finite.</exception>
    public static AttentionGraph Of(int tokens, Support support, Tensor weights)
    {
        ArgumentNullException.ThrowIfNull(support);
        ArgumentNullException.ThrowIfNull(weights);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(tokens);
        if (support.Rows != tokens || support.Columns != tokens) throw new ArgumentException($"The support is [{support.Rows}, {support.Columns}], but the text has {tokens} tokens.", nameof(support));
        if (weights.dim() != 1 || weights.shape[0] != support.Count) throw new ArgumentException($"There are {support.Count} edges, but weights are [{string.Join(", ", weights.shape)}].", nameof(weights));
        long[] targets = new long[support.Count], sources = new long[support.Count];
        for (int row = 0, e = 0; row < tokens; row++)
        {
            foreach (int column in support.Row(row))
            {
                if (column > row) throw new ArgumentException($"Token {row} gets a message from token {column}, which comes later.", nameof(support));
                (targets[e], sources[e++]) = (row, column);
            }
        }

        if (!TensorInput.IsFinite(weights)) throw new ArgumentException("A weight is not finite.", nameof(weights));

        return new(1, tokens, tensor(targets, device: weights.device), tensor(sources, device: weights.device), weights.alias(), 0);
    }

    /// <summary>sum_j w_ij x_j for each token i, over its edges alone.</summary>
    /// <param name="x">Node features [batch, tokens, width].</param>
    /// <returns>[batch, tokens, width]; 0 for a token without edges.</returns>
    /// <exception cref="ArgumentException">Another shape or type.</exception>
    public Tensor Propagate(Tensor x)
    {
        ArgumentNullException.ThrowIfNull(x);
        if (x.dim() != 3 || x.shape[0] != Batch || x.shape[1] != Tokens) throw new ArgumentException($"Features must be [{Batch}, {Tokens}, width], but are [{string.Join(", ", x.shape)}].", nameof(x));
        if (x.dtype != Weights.dtype) throw new ArgumentException($"Features are {x.dtype}, the weights of the edges {Weights.dtype}.", nameof(x));
        using DisposeScope scope = NewDisposeScope();
        Tensor messages = x.flatten(0, 1).index_select(0, Sources).mul(Weights.unsqueeze(1));
        return scope.MoveToOuter(zeros([(long)Batch * Tokens, x.shape[2]], dtype: x.dtype, device: x.device).index_add(0, Targets, messages, 1).view(x.shape));
    }

    /// <summary>The control: every token keeps its number of edges and their weights, but they begin at random tokens among itself and those before it.</summary>
    /// <param name="seed">Seed of the draw; which tokens are drawn depends on it, on the sizes and on the token's number of edges.</param>
    public AttentionGraph Shuffled(long seed)
    {
        using DisposeScope scope = NewDisposeScope();
        using var generator = new Generator(unchecked((ulong)seed));
        Tensor later = ones(Tokens, Tokens, dtype: ScalarType.Bool, device: Weights.device).triu(1);
        Tensor order = rand([Batch, Tokens, Tokens], generator: generator).to(Weights.device).masked_fill(later, 2).argsort(-1).view(-1, Tokens);

        // Place of each edge among those of its target: edges come row after row.
        Tensor counts = Targets.bincount(null, (long)Batch * Tokens), place = arange(Edges, dtype: ScalarType.Int64, device: Weights.device).sub(counts.cumsum(0).sub(counts).index_select(0, Targets));
        Tensor drawn = order.index_select(0, Targets).gather(1, place.unsqueeze(1)).squeeze(1);
        Tensor sources = Targets.div(Tokens, RoundingMode.floor).mul(Tokens).add(drawn);
        return new(Batch, Tokens, Targets.alias().DetachFromDisposeScope(), scope.MoveToOuter(sources), Weights.alias().DetachFromDisposeScope(), RowSumError);
    }

    /// <summary>The edges as a support, one head for each text.</summary>
    public AttentionSupport Support()
    {
        using DisposeScope scope = NewDisposeScope();
        Tensor mask = zeros((long)Batch * Tokens * Tokens, dtype: ScalarType.Bool);
        mask.index_fill_(0, Targets.mul(Tokens).add(Sources.remainder(Tokens)).cpu(), true);
        Tensor each = mask.view(Batch, Tokens, Tokens);
        return new([.. Enumerable.Range(0, Batch).Select(b => Selection.Support.FromMask(each[b]))]);
    }

    /// <summary>Edges of each token, text after text [batch * tokens].</summary>
    public long[] Degrees()
    {
        using DisposeScope scope = NewDisposeScope();
        return [.. Targets.cpu().bincount(null, (long)Batch * Tokens).data<long>()];
    }

    /// <summary>Counts edges, self loops and tokens without a message.</summary>
    public GraphStatistics Measure()
    {
        using DisposeScope scope = NewDisposeScope();
        double rows = (double)Batch * Tokens, loops = Targets.eq(Sources).sum().item<long>();
        return new(Edges, Edges / (rows * (Tokens + 1) / 2), Edges / rows, loops / rows, Edges == 0 ? 0 : loops / Edges, Degrees().Count(d => d == 0) / rows);
    }

    /// <summary>Share of the attention, mean over heads and tokens, that lies on edges.</summary>
    /// <param name="pattern">Attention weights [batch, heads, tokens, tokens].</param>
    /// <exception cref="ArgumentException">Another shape, or a value that is not finite or negative.</exception>
    public double Mass(Tensor pattern)
    {
        CheckPattern(pattern);
        if (pattern.shape[0] != Batch || pattern.shape[2] != Tokens) throw new ArgumentException($"The pattern must be of {Batch} texts of {Tokens} tokens, but is [{string.Join(", ", pattern.shape)}].", nameof(pattern));
        using DisposeScope scope = NewDisposeScope();
        Tensor flat = pattern.detach().mean([1L]).flatten(), at = Targets.mul(Tokens).add(Sources.remainder(Tokens));
        return flat.index_select(0, at).sum().to(ScalarType.Float64).item<double>() / ((double)Batch * Tokens);
    }

    /// <summary>Frees the edges.</summary>
    public void Dispose()
    {
        foreach (Tensor tensor in new[] { Targets, Sources, Weights }) tensor.Dispose();
        _size.Dispose();
    }

    /// <summary>Sizes in one line.</summary>
    public override string ToString() => FormattableString.Invariant($"AttentionGraph of {Batch} texts of {Tokens} tokens, {Edges} edges");

    private static Tensor Joined(Tensor pattern, HeadReduction reduction) => reduction switch
    {
        HeadReduction.Sum => pattern.sum(1).clamp_max(1),
        HeadReduction.Mean => pattern.mean([1L]),
        HeadReduction.Max => pattern.amax([1L]),
        _ => throw new ArgumentOutOfRangeException(nameof(reduction), reduction, "There is no such reduction."),
    };

    private static void CheckPattern(Tensor pattern)
    {
        ArgumentNullException.ThrowIfNull(pattern);
        if (pattern.dim() != 4 || pattern.numel() == 0 || pattern.shape[2] != pattern.shape[3])
            throw new ArgumentException($"A pattern must be [batch, heads, tokens, tokens] and not empty, but is [{string.Join(", ", pattern.shape)}].", nameof(pattern));
        if (pattern.dtype is not (ScalarType.Float32 or ScalarType.Float64)) throw new ArgumentException($"A pattern is Float32 or Float64, this one {pattern.dtype}.", nameof(pattern));
        using DisposeScope scope = NewDisposeScope();

        // One pass finds all three: the sum of a pattern with NaN or infinity is neither finite.
        Tensor values = pattern.detach();
        double least = values.min().to(ScalarType.Float64).item<double>(), sum = values.sum().to(ScalarType.Float64).item<double>();
        if (!double.IsFinite(sum) || !double.IsFinite(least)) throw new ArgumentException("The pattern has a value that is not finite.", nameof(pattern));
        if (least < 0) throw new ArgumentException($"The pattern has a weight of {least}; weights are not negative.", nameof(pattern));
    }
}
