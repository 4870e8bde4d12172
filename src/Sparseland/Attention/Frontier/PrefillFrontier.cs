using Sparseland.Attention.Prefill;
using Sparseland.Models.Language;
using Sparseland.Selection;
using Sparseland.Tensors;
using TorchSharp;
using static TorchSharp.torch;
using Tensor = TorchSharp.torch.Tensor;

namespace Sparseland.Attention.Frontier;

/// <summary>
/// A prefill method at an exact budget: every head of every sequence computes as many cells as every other method's, to the cell (<see cref="FrontierMethod.FlexPrefill"/>, whose budgets differ from head to head,
/// in the sum over the heads of a call). The last line or block is cut to what is left. Lines are estimated from the questions at the end, so rows before them know later tokens.
/// </summary>
/// <remarks>On the CPU only: other devices are refused.</remarks>
/// <param name="method">A method of the prefill phase.</param>
/// <param name="sparsity">Share of the causal triangle that is left out, from 0 to below 1.</param>
/// <param name="strip">Queries at the end from which lines are estimated, positive.</param>
/// <param name="options">Blocks and forced lines; null for the defaults.</param>
public sealed class PrefillFrontier(FrontierMethod method, double sparsity, int strip, FrontierOptions? options = null) : IAttentionMethod
{
    private readonly FrontierOptions _options = FrontierMethods.Checked(method, FrontierPhase.Prefill, sparsity, strip, nameof(strip), options);
    private readonly Dictionary<int, IReadOnlyList<VerticalSlash>> _budgets = [];

    /// <summary>The method.</summary>
    public FrontierMethod Method => method;

    /// <summary>Whether outputs never know later tokens: sinks and window alone.</summary>
    public bool Causal => method == FrontierMethod.SinksAndWindow;

    /// <summary>Cells computed in all calls so far.</summary>
    public long Cells { get; private set; }

    /// <summary>Causal cells that there were.</summary>
    public long Allowed { get; private set; }

    /// <summary>Columns of each head in the last call of each block of the model, sequence after sequence; of <see cref="FrontierMethod.FlexPrefill"/> alone.</summary>
    public IReadOnlyDictionary<int, IReadOnlyList<VerticalSlash>> Budgets => _budgets;

    /// <inheritdoc/>
    public Tensor? Attend(AttentionCall call, Tensor q, Tensor k, Tensor v)
    {
        AttentionShape shape = AttentionShape.Of(q, k, v, causal: true);
        if (!call.Causal || call.Stands is not null || shape.Offset != 0) throw new NotSupportedException("A prefill method reads whole texts without padding, in a decoder.");
        AttentionSupport support = Select(q, k, call.Scale, call.Layer);
        Cells += support.Selected;
        Allowed += (long)shape.Batch * shape.Heads * AttentionCost.Cells(shape.Tokens);

        // Masked and dense: at these lengths as fast as a sparse kernel, and the same numbers.
        (Tensor output, Tensor logSumExp) = ExactAttention.Attend(q, k, v, support, scale: call.Scale);
        logSumExp.Dispose();
        return output;
    }

    /// <summary>The cells of each head.</summary>
    /// <param name="q">Queries [batch, heads, tokens, headDim].</param>
    /// <param name="k">Keys [batch, keyValueHeads, tokens, headDim].</param>
    /// <param name="scale">Factor of the products; null, the default, for 1 / sqrt(headDim).</param>
    /// <param name="layer">Block of the model, under which <see cref="Budgets"/> are kept. Default 0.</param>
    /// <returns>Of batch * heads heads.</returns>
    /// <exception cref="ArgumentException">Shapes that do not fit, another device than the CPU, or fewer cells than the method is forced to compute.</exception>
    public AttentionSupport Select(Tensor q, Tensor k, double? scale = null, int layer = 0)
    {
        AttentionShape shape = AttentionShape.Of(q, k, k, causal: true);
        if (shape.Offset != 0) throw new ArgumentException($"{shape.Offset} tokens stand before the first query; a prefill method reads whole texts.", nameof(k));
        HeadInput.OnCpu(q, "a frontier method");
        int tokens = shape.Tokens, heads = shape.Batch * shape.Heads;
        long cells = AttentionBudget.ForPrefillSparsity(method, tokens, sparsity, _options);
        using DisposeScope scope = NewDisposeScope();
        using IDisposable off = no_grad();
        if (method == FrontierMethod.SinksAndWindow) return AttentionSupport.Shared(ExactCells.SinksAndWindow(tokens, _options.First, cells), heads);
        Support[] made = new Support[heads];
        if (method == FrontierMethod.BlockSparse)
        {
            int n = tokens / _options.Block;
            float[] scores = Numbers(Means(q, n).bmm(HeadInput.Shared(Means(k, n).view(shape.Batch, shape.KeyValueHeads, n, -1), shape.Group).flatten(0, 1).transpose(1, 2)));
            IndependentWork.For(heads, h => made[h] = ExactCells.Blocks(tokens, _options.Block, scores.AsSpan(h * n * n, n * n), cells), CancellationToken.None);
            return new(made);
        }

        Tensor weights = VerticalSlashIndex.Strip(q, k, strip, scale: scale);
        (Tensor columns, Tensor slashes) = VerticalSlashIndex.Scores(weights);
        float[] down = Numbers(columns), along = Numbers(slashes);
        int[][] downOrder = new int[heads][], alongOrder = new int[heads][];
        IndependentWork.For(heads, h => (downOrder[h], alongOrder[h]) = (Order(down.AsSpan(h * tokens, tokens), _options.First), Order(along.AsSpan(h * tokens, tokens), _options.Near)), CancellationToken.None);
        (long[] each, int[] taken) = method == FrontierMethod.FlexPrefill
            ? Flexible(layer, columns / weights.shape[2], slashes / weights.shape[2], downOrder, alongOrder, cells)
            : ([.. Enumerable.Repeat(cells, heads)], [.. Enumerable.Repeat(Math.Min(tokens, _options.Slashes), heads)]);
        IndependentWork.For(heads, h => made[h] = ExactCells.Columns(tokens, downOrder[h], alongOrder[h].AsSpan(0, taken[h]), each[h]), CancellationToken.None);
        return new(made);
    }

    /// <summary>One alpha for all heads, the largest whose columns and slashes fit in the sum; what is left over gives every head some cells more.</summary>
    private (long[] Cells, int[] Slashes) Flexible(int layer, Tensor columns, Tensor slashes, int[][] down, int[][] along, long cells)
    {
        int heads = down.Length, tokens = down[0].Length;
        long total = cells * heads;
        (VerticalSlash[] Sizes, long[] Cells) At(double alpha)
        {
            VerticalSlash[] sizes = [.. FlexPrefill.Budget(columns, slashes, alpha, 1).Select(s => new VerticalSlash(Math.Max(s.Columns, Math.Min(tokens, _options.First)), Math.Max(s.Slashes, Math.Min(tokens, _options.Near))))];
            return (sizes, [.. sizes.Select((s, h) => ExactCells.Count(tokens, down[h].AsSpan(0, s.Columns), along[h].AsSpan(0, s.Slashes)))]);
        }

        double low = 1e-6, high = 1;
        for (int step = 0; step < 14; step++)
        {
            double middle = (low + high) / 2;
            (low, high) = At(middle).Cells.Sum() <= total ? (middle, high) : (low, middle);
        }

        (VerticalSlash[] chosen, long[] each) = At(low);
        long most = AttentionCost.Cells(tokens), left = total - each.Sum();
        if (left < 0) throw new ArgumentOutOfRangeException(nameof(sparsity), sparsity, $"FlexPrefill needs {-left} cells more for the forced lines of {heads} heads.");
        for (int h = 0; left > 0; h = (h + 1) % heads)
        {
            long more = Math.Min(most - each[h], Math.Max(1, left / heads));
            (each[h], left) = (each[h] + more, left - more);
        }

        _budgets[layer] = chosen;
        return (each, [.. chosen.Select(s => s.Slashes)]);
    }

    /// <summary>Best first, forced ones before all; ties go to the lower place.</summary>
    private static int[] Order(ReadOnlySpan<float> scores, int forced)
    {
        var order = new (float Key, int At)[scores.Length];
        for (int j = 0; j < order.Length; j++) order[j] = (j < forced ? float.NegativeInfinity : -scores[j], j);
        Array.Sort(order);
        return Array.ConvertAll(order, o => o.At);
    }

    private Tensor Means(Tensor x, int blocks) => x.detach().to(ScalarType.Float32).reshape(x.shape[0] * x.shape[1], blocks, _options.Block, x.shape[3]).mean([2L]);

    private static float[] Numbers(Tensor x) => x.contiguous().data<float>().ToArray();
}
