using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Attention.Routing;

/// <summary>
/// Causal attention within clusters (Roy, Saffar, Vaswani and Grangier 2021, section 4): queries and keys are normalised, each centroid takes the list of its nearest ones, a token attends
/// within the lists that it stands in, and its output is the mean over them, zero where it stands in none. About tokens^1.5 headDim with sqrt(tokens) clusters.
/// </summary>
/// <remarks>
/// The mean over lists is not the softmax over all keys of the lists together (<see cref="AttentionMerge"/>): a list with little to say counts as much as another. No gradient passes to the
/// centroids or through the choice.
/// </remarks>
public static class RoutingAttention
{
    private const double Nothing = -1e30;
    private const double Self = -5e4;

    /// <summary>The whole method.</summary>
    /// <param name="q">Queries [batch, heads, tokens, headDim]; normalised here.</param>
    /// <param name="k">Keys [batch, keyValueHeads, tokens, headDim]; normalised here. With shared queries and keys the same tensor as q.</param>
    /// <param name="v">Values [batch, keyValueHeads, tokens, valueDim]; of as many heads as the queries where those are shared with the keys.</param>
    /// <param name="centroids">[heads, clusters, headDim], of norm sqrt(headDim): <see cref="SphericalKMeans.Centroids"/>.</param>
    /// <param name="options">Settings; null, the default, for those of the record.</param>
    /// <returns>[batch, heads, tokens, valueDim].</returns>
    /// <exception cref="ArgumentException">Shapes do not fit, a value is not finite, the window is above the number of tokens, or queries and keys differ where they shall be shared.</exception>
    public static Tensor Attend(Tensor q, Tensor k, Tensor v, Tensor centroids, RoutingOptions? options = null)
    {
        options ??= new();
        options.Validate();
        AttentionShape shape = HeadInput.Check(q, k, v, causal: true);
        int window = Window(shape, centroids, options);
        if (options.Shared && (shape.Group != 1 || !(ReferenceEquals(q, k) || Equal(q, k))))
            throw new ArgumentException("Shared lists need one tensor for queries and keys, but these differ.", nameof(k));
        using var scope = NewDisposeScope();
        (Tensor queries, Tensor keys) = (SphericalKMeans.Normalise(q), SphericalKMeans.Normalise(HeadInput.Shared(k, shape.Group)));
        Tensor values = HeadInput.Shared(v, shape.Group), places = centroids.detach().to(q.dtype).transpose(1, 2);
        double scale = shape.Scale(options.Scale, q.dtype);
        Tensor nearQ = queries.detach().MatMul(places), nearK = keys.detach().MatMul(places);
        if (options.Selection == RoutingSelection.Prefix) return scope.MoveToOuter(Prefix(queries, keys, values, nearQ, nearK, window, options.SelfAttention, scale));
        Tensor listsQ = BalancedLists.TopPerCentroid(nearQ, window), listsK = options.Shared ? listsQ : BalancedLists.TopPerCentroid(nearK, window);
        return scope.MoveToOuter(OverLists(queries, keys, values, listsQ, listsK, options.SelfAttention, scale));
    }

    /// <summary>Attention within given lists and the mean over them; queries and keys are taken as they are.</summary>
    /// <param name="q">Queries [batch, heads, tokens, headDim].</param>
    /// <param name="k">Keys [batch, heads, tokens, headDim].</param>
    /// <param name="v">Values [batch, heads, tokens, valueDim].</param>
    /// <param name="listsQ">Queries of each list [batch, heads, clusters, window], int64, ascending.</param>
    /// <param name="listsK">Keys of each list, of the same shape.</param>
    /// <param name="selfAttention">Whether a token attends to itself. Default true.</param>
    /// <param name="scale">Factor of the products. Default null: 1 / sqrt(headDim).</param>
    /// <param name="maskByRank">
    /// Whether a query sees the keys up to its own rank in the list, as published, in place of those up to its own position. Default false. With one list both are the same; with two it would show
    /// later tokens, and is refused.
    /// </param>
    /// <returns>[batch, heads, tokens, valueDim].</returns>
    /// <exception cref="ArgumentException">Shapes do not fit, a value is not finite, a list names a token that there is not, or ranks shall be compared between different lists.</exception>
    public static Tensor AttendLists(Tensor q, Tensor k, Tensor v, Tensor listsQ, Tensor listsK, bool selfAttention = true, double? scale = null, bool maskByRank = false)
    {
        AttentionShape shape = HeadInput.Check(q, k, v, causal: true);
        ArgumentNullException.ThrowIfNull(listsQ);
        ArgumentNullException.ThrowIfNull(listsK);
        if (shape.Group != 1) throw new ArgumentException($"Lists are of {shape.Heads} heads, but there are {shape.KeyValueHeads} key and value heads; repeat them.", nameof(k));
        foreach ((string name, Tensor lists) in new[] { (nameof(listsQ), listsQ), (nameof(listsK), listsK) })
        {
            if (lists.dtype != ScalarType.Int64 || lists.dim() != 4 || lists.shape[0] != shape.Batch || lists.shape[1] != shape.Heads || !lists.shape.SequenceEqual(listsQ.shape))
                throw new ArgumentException($"{name} must be Int64 [{shape.Batch}, {shape.Heads}, clusters, window], both alike, but is {lists.dtype} [{string.Join(", ", lists.shape)}].", name);
            using DisposeScope bounds = NewDisposeScope();
            if (lists.numel() > 0 && (lists.min().item<long>() < 0 || lists.max().item<long>() >= shape.Tokens))
                throw new ArgumentException($"{name} name tokens from {lists.min().item<long>()} to {lists.max().item<long>()}; there are 0 to {shape.Tokens - 1}.", name);
        }

        if (maskByRank && !Equal(listsQ, listsK))
            throw new ArgumentException("A rank in the list of the queries says nothing about positions in another list of keys: queries would see later tokens. Mask by position.", nameof(maskByRank));
        using var scope = NewDisposeScope();
        if (maskByRank && listsQ.diff(1, -1).le(0).any().item<bool>()) throw new ArgumentException("A rank says nothing about the position in a list that does not ascend.", nameof(listsQ));
        return scope.MoveToOuter(OverLists(q, k, v, listsQ, listsK, selfAttention, shape.Scale(scale, q.dtype), maskByRank));
    }

    /// <summary>The mean of what tokens received in the lists that they stand in; zero where there is none.</summary>
    /// <param name="results">[batch, heads, clusters, window, valueDim].</param>
    /// <param name="lists">Tokens of each list [batch, heads, clusters, window], int64.</param>
    /// <param name="tokens">Tokens of a sequence.</param>
    /// <returns>[batch, heads, tokens, valueDim].</returns>
    public static Tensor Scatter(Tensor results, Tensor lists, int tokens)
    {
        ArgumentNullException.ThrowIfNull(results);
        ArgumentNullException.ThrowIfNull(lists);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(tokens);
        if (results.dim() != 5 || lists.dim() != 4 || !results.shape[..4].SequenceEqual(lists.shape))
            throw new ArgumentException($"results [{string.Join(", ", results.shape)}] do not fit lists [{string.Join(", ", lists.shape)}].", nameof(results));
        using var scope = NewDisposeScope();
        long width = results.shape[4];
        Tensor flat = results.flatten(2, 3), at = lists.flatten(2, 3).unsqueeze(3).expand(flat.shape);
        Tensor sums = zeros([flat.shape[0], flat.shape[1], tokens, width], dtype: results.dtype, device: results.device).scatter_add(2, at, flat);
        return scope.MoveToOuter(sums.div(BalancedLists.Multiplicity(lists, tokens).clamp_min(1).unsqueeze(3)));
    }

    private static Tensor OverLists(Tensor q, Tensor k, Tensor v, Tensor listsQ, Tensor listsK, bool selfAttention, double scale, bool byRank = false)
    {
        Tensor scores = Gather(q, listsQ).MatMul(Gather(k, listsK).transpose(3, 4)).mul(scale);
        Tensor own = listsQ.unsqueeze(4), others = listsK.unsqueeze(3);
        long w = listsQ.shape[3];
        return Scatter(Softmax(scores, byRank ? ones(w, w, dtype: ScalarType.Bool, device: q.device).triu(1) : others.gt(own), selfAttention ? null : others.eq(own)).MatMul(Gather(v, listsK)), listsQ, (int)q.shape[2]);
    }

    /// <summary>Each token over the best earlier members of its cluster. Dense: the reference of what a ragged kernel would compute.</summary>
    private static Tensor Prefix(Tensor q, Tensor k, Tensor v, Tensor nearQ, Tensor nearK, int window, bool selfAttention, double scale)
    {
        Tensor scores = q.MatMul(k.transpose(2, 3)).mul(scale), later = ones(q.shape[2], q.shape[2], dtype: ScalarType.Bool, device: q.device).triu(1);
        Tensor hidden = nearQ.argmax(-1).unsqueeze(3).ne(nearK.argmax(-1).unsqueeze(2)).logical_or(later);
        Tensor self = eye(q.shape[2], dtype: ScalarType.Bool, device: q.device);

        // A token that shall not see itself takes no place from others either.
        if (!selfAttention) scores = scores.masked_fill(self, Self);
        Tensor seen = scores.detach().masked_fill(hidden, double.NegativeInfinity);

        // By place and not by score: of equal scores no more than the window stay.
        Tensor best = seen.topk(window, dim: -1).indexes, among = zeros_like(hidden).scatter(3, best, ones(best.shape, dtype: ScalarType.Bool, device: q.device));
        return Softmax(scores, hidden.logical_or(among.logical_not()), null).MatMul(v);
    }

    /// <summary>Rows of sum one over what is not hidden, or of zeros where everything is.</summary>
    private static Tensor Softmax(Tensor scores, Tensor hidden, Tensor? self)
    {
        if (self is not null) scores = scores.masked_fill(self, Self);
        return scores.masked_fill(hidden, Nothing).softmax(-1).masked_fill(hidden, 0);
    }

    /// <summary>[batch, heads, clusters, window, width].</summary>
    private static Tensor Gather(Tensor x, Tensor lists)
    {
        Tensor flat = lists.flatten(2, 3).unsqueeze(3);
        return x.gather(2, flat.expand(flat.shape[0], flat.shape[1], flat.shape[2], x.shape[3])).view(lists.shape[0], lists.shape[1], lists.shape[2], lists.shape[3], x.shape[3]);
    }

    private static bool Equal(Tensor a, Tensor b)
    {
        if (!a.shape.SequenceEqual(b.shape)) return false;
        using DisposeScope scope = NewDisposeScope();
        return a.detach().eq(b.detach()).all().item<bool>();
    }

    private static int Window(AttentionShape shape, Tensor centroids, RoutingOptions options)
    {
        ArgumentNullException.ThrowIfNull(centroids);
        if (centroids.dim() != 3 || centroids.shape[0] != shape.Heads || centroids.shape[2] != shape.HeadDim || centroids.numel() == 0)
            throw new ArgumentException($"centroids must be [{shape.Heads}, clusters, {shape.HeadDim}], but are [{string.Join(", ", centroids.shape)}].", nameof(centroids));
        int clusters = (int)centroids.shape[1], window = options.Window ?? (shape.Tokens + clusters - 1) / clusters;
        return window <= shape.Tokens ? window : throw new ArgumentOutOfRangeException(nameof(options), window, $"Window must not be above the {shape.Tokens} tokens.");
    }
}
