using Sparseland.Attention.Features;
using Sparseland.Selection;
using Sparseland.Tensors;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Attention;

/// <summary>What <see cref="Scatterbrain.Attend"/> computes.</summary>
public sealed record ScatterbrainResult : IDisposable
{
    private readonly NativeSize _size;

    internal ScatterbrainResult(Tensor output, Tensor logSum, int flooredRows) =>
        (Output, LogSum, FlooredRows, _size) = (output.DetachFromDisposeScope(), logSum.DetachFromDisposeScope(), flooredRows, NativeSize.Of(output, logSum));

    /// <summary>[batch, heads, tokens, valueDim].</summary>
    public Tensor Output { get; }

    /// <summary>Logarithm of each row's sum of A [batch, heads, tokens]: row i of A times V is exp(LogSum) * Output. Minus infinity where a row has no weight; its output is 0.</summary>
    public Tensor LogSum { get; }

    /// <summary>Rows whose sum fell below a millionth of what it was made of, by rounding, and was raised to it.</summary>
    public int FlooredRows { get; }

    /// <inheritdoc/>
    public void Dispose()
    {
        Output.Dispose();
        LogSum.Dispose();
        _size.Dispose();
    }

    /// <inheritdoc/>
    public override string ToString() => Readable.Of(this);
}

/// <summary>
/// Sparse and low-rank attention in one (Chen, Dao, Winsor, Song, Rudra and Ré 2021, section 4): features estimate every entry of exp(Q K^T), and on a support the estimate is replaced by the exact
/// value, A = phi(Q) phi(K)^T + S with S = exp(Q K^T) - phi(Q) phi(K)^T there and 0 elsewhere. A is an unbiased estimate; the quotient A V / A 1 is not.
/// </summary>
/// <remarks>It is not the sum of a sparse and a linear attention: that would count the pairs of the support twice. Gradients flow to queries, keys and values.</remarks>
public static class Scatterbrain
{
    private const double Floor = 1e-6;

    // Numbers gathered at a time.
    private const long Gathered = 4_000_000;

    /// <summary>A V / A 1 in O(tokens (features + kept keys) headDim), never a matrix of tokens times tokens.</summary>
    /// <param name="q">Queries [batch, heads, tokens, headDim].</param>
    /// <param name="k">Keys [batch, keyValueHeads, keys, headDim].</param>
    /// <param name="v">Values [batch, keyValueHeads, keys, valueDim].</param>
    /// <param name="features">Positive features that estimate the softmax.</param>
    /// <param name="support">The pairs that are exact: one support for all heads, one for each head, or one for each of batch * heads.</param>
    /// <param name="causal">Whether a query sees no later key, in features and support alike. Default true.</param>
    /// <param name="scale">Factor of the scores; null, the default, for 1 / sqrt(headDim).</param>
    /// <param name="cancel">Checked between heads and blocks of rows. Never by default.</param>
    /// <exception cref="ArgumentException">
    /// Shapes or types do not fit each other, the features or the support; a value is not finite; numbers are so large that features or sums overflow; the features may be negative or estimate no softmax; or the support has later keys in causal mode.
    /// </exception>
    /// <exception cref="OperationCanceledException">Cancelled.</exception>
    public static ScatterbrainResult Attend(
        Tensor q, Tensor k, Tensor v, IFeatureMap features, AttentionSupport support, bool causal = true, double? scale = null, CancellationToken cancel = default)
    {
        AttentionShape shape = HeadInput.Check(q, k, v, causal);
        Check(shape, features, support, causal);
        if (!features.Positive) throw new ArgumentException("Features that may be negative give denominators that may vanish; take positive or hyperbolic ones.", nameof(features));
        (Tensor foldedQ, Tensor foldedK) = LinearAttention.Folded(q, k, shape, features, scale, out DisposeScope scope);
        using (scope)
        {
            LinearSums low = LinearAttention.Sums(foldedQ, foldedK, v, features, shape.Group, causal);
            (Tensor keys, Tensor values) = (HeadInput.Shared(foldedK, shape.Group), HeadInput.Shared(v, shape.Group));
            var heads = new List<Tensor>();
            var sums = new List<Tensor>();
            var floored = new List<Tensor>();
            for (int at = 0; at < shape.Batch * shape.Heads; at++)
            {
                (int b, int h) = (at / shape.Heads, at % shape.Heads);
                HeadSums head = new(Of(foldedQ), Of(keys), Of(values), Of(low.QueryFeatures), Of(low.KeyFeatures), Of(low.Numerator), Of(low.Denominator), Of(low.LogScale));
                Support pairs = support.At(b, h, shape.Heads);
                int from = 0;
                while (from < pairs.Rows)
                {
                    cancel.ThrowIfCancellationRequested();
                    int end = BlockEnd(pairs, from, head.NumbersPerPair);
                    using var inner = NewDisposeScope();
                    (Tensor output, Tensor sum, Tensor raised) = Rows(head, pairs, from, end);
                    heads.Add(inner.MoveToOuter(output));
                    sums.Add(inner.MoveToOuter(sum));
                    floored.Add(inner.MoveToOuter(raised));
                    from = end;
                }

                Tensor Of(Tensor x) => x[b, h];
            }

            Tensor all = cat(heads, 0).view(shape.Batch, shape.Heads, shape.Tokens, shape.ValueDim), log = cat(sums, 0).view(shape.Batch, shape.Heads, shape.Tokens);
            return new(scope.MoveToOuter(all), scope.MoveToOuter(log), (int)stack(floored).sum().item<long>());
        }
    }

    /// <summary>A itself, dense: for tests and pictures. In causal mode entries above the diagonal are 0.</summary>
    /// <param name="q">Queries [batch, heads, tokens, headDim].</param>
    /// <param name="k">Keys [batch, keyValueHeads, keys, headDim].</param>
    /// <param name="features">Features that estimate the softmax, without an offset, which would bias the estimate.</param>
    /// <param name="support">The pairs that are exact: one support for all heads, one for each head, or one for each of batch * heads.</param>
    /// <param name="causal">Whether a query sees no later key. Default true.</param>
    /// <param name="scale">Factor of the scores; null, the default, for 1 / sqrt(headDim).</param>
    /// <returns>[batch, heads, tokens, keys], not normalised.</returns>
    /// <exception cref="ArgumentException">As for <see cref="Attend"/>, or the features have an offset.</exception>
    public static Tensor Matrix(Tensor q, Tensor k, IFeatureMap features, AttentionSupport support, bool causal = true, double? scale = null)
    {
        AttentionShape shape = HeadInput.Check(q, k, causal);
        Check(shape, features, support, causal);
        if (features.Offset > 0) throw new ArgumentException($"The features have an offset of {features.Offset}, with which they are biased; the matrix would be no unbiased estimate.", nameof(features));
        using var scope = NewDisposeScope();
        Tensor exact = q.MatMul(HeadInput.Shared(k, shape.Group).transpose(2, 3)).mul(shape.Scale(scale, q.dtype)).exp();
        Tensor mask = support.Mask().to(q.device);
        mask = mask.shape[0] == 1 || mask.shape[0] == q.shape[1] ? mask.unsqueeze(0) : mask.view(exact.shape);
        Tensor matrix = where(mask, exact, FeatureEstimate.Matrix(q, k, features, scale));
        if (causal) matrix = matrix.tril();
        HeadInput.InRange(q, matrix);
        return scope.MoveToOuter(matrix);
    }

    /// <summary>The rows of a block that gather at most so many numbers, at least one row.</summary>
    private static int BlockEnd(Support pairs, int from, long perPair)
    {
        (int end, int widest) = (from, 1);
        for (; end < pairs.Rows; end++)
        {
            widest = Math.Max(widest, pairs.Row(end).Length);
            if (end > from && (long)(end + 1 - from) * widest * perPair > Gathered) break;
        }

        return end;
    }

    /// <summary>Outputs, logarithms of sums and the number of raised sums of some rows of a head.</summary>
    private static (Tensor Output, Tensor Sum, Tensor Raised) Rows(HeadSums head, Support pairs, int from, int end)
    {
        (int rows, int widest) = (end - from, 1);
        for (int i = from; i < end; i++) widest = Math.Max(widest, pairs.Row(i).Length);
        long[] columns = new long[rows * widest];
        bool[] absent = new bool[columns.Length];
        for (int i = 0; i < rows; i++)
        {
            ReadOnlySpan<int> row = pairs.Row(from + i);
            for (int j = 0; j < widest; j++) (columns[(i * widest) + j], absent[(i * widest) + j]) = j < row.Length ? (row[j], false) : (0, true);
        }

        Device device = head.Queries.device;
        (Tensor at, Tensor hidden) = (tensor(columns, device: device), tensor(absent, [rows, widest], device: device));
        Tensor scores = Products(head.Queries, head.Keys), estimates = Products(head.QueryFeatures, head.KeyFeatures);
        Tensor log = Own(head.LogScale), most = scores.detach().masked_fill(hidden, double.NegativeInfinity).amax([1L], keepdim: true);

        // One scale for both parts: of the sparse one alone, the features could overflow.
        Tensor top = maximum(most, log.detach()), factor = log.sub(top).exp();
        // Hidden before the exponential: an infinity there would make the gradient NaN.
        Tensor exact = scores.sub(top).masked_fill(hidden, double.NegativeInfinity).exp();
        Tensor correction = exact.sub(estimates.mul(factor)).masked_fill(hidden, 0);
        Tensor sum = correction.sum(1, keepdim: true).add(Own(head.Denominator).mul(factor));
        Tensor least = exact.sum(1, keepdim: true).add(Own(head.Denominator).mul(factor)).detach().mul(Floor);
        Tensor empty = least.eq(0), raised = sum.lt(least);
        sum = maximum(sum, least);
        Tensor numerator = correction.unsqueeze(1).bmm(Gather(head.Values)).squeeze(1).add(Own(head.Numerator).mul(factor));
        return (numerator.div(sum.masked_fill(empty, 1)), sum.log().add(top).squeeze(1), raised.sum());

        Tensor Own(Tensor x) => x.narrow(0, from, rows);
        Tensor Gather(Tensor x) => x.index_select(0, at).view(rows, widest, x.shape[1]);
        Tensor Products(Tensor own, Tensor others) => Gather(others).bmm(Own(own).unsqueeze(2)).squeeze(2);
    }

    private static void Check(AttentionShape shape, IFeatureMap features, AttentionSupport support, bool causal)
    {
        ArgumentNullException.ThrowIfNull(features);
        ArgumentNullException.ThrowIfNull(support);
        if (!features.EstimatesSoftmax) throw new ArgumentException("These features estimate no softmax, so exact entries of it cannot stand among theirs.", nameof(features));
        if (support.Causal != causal) throw new ArgumentException($"The support is {(support.Causal ? "" : "not ")}causal and the attention is {(causal ? "" : "not ")}; they must agree.", nameof(support));
        support.CheckFits(shape, emptyRows: true);
    }

    private readonly record struct HeadSums(
        Tensor Queries, Tensor Keys, Tensor Values, Tensor QueryFeatures, Tensor KeyFeatures, Tensor Numerator, Tensor Denominator, Tensor LogScale)
    {
        public long NumbersPerPair => Keys.shape[1] + KeyFeatures.shape[1] + Values.shape[1];
    }
}
