using Sparseland.Models.Language;
using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Sparseland.Attention.Routing;

/// <summary>What the heads under test of <see cref="RoutingHeads"/> attend to.</summary>
public enum RoutedKind
{
    /// <summary>Lists of the nearest tokens of learned centroids.</summary>
    Routing,

    /// <summary>Lists of random tokens, as many and as long: the control.</summary>
    Random,

    /// <summary>All earlier tokens.</summary>
    Full,

    /// <summary>The local window, as the other heads.</summary>
    Local,
}

/// <summary>Settings of <see cref="RoutingHeads"/>.</summary>
public sealed record RoutingHeadsOptions
{
    /// <summary>Heads of a block that stay local, the first ones. Default 2.</summary>
    public int LocalHeads { get; init; } = 2;

    /// <summary>Tokens of a block of the local heads: each token sees its own block and the one before. Default 16.</summary>
    public int LocalBlock { get; init; } = 16;

    /// <summary>What the other heads attend to. Default routing.</summary>
    public RoutedKind Kind { get; init; }

    /// <summary>Clusters of a head, C. Default 8.</summary>
    public int Clusters { get; init; } = 8;

    /// <summary>How lists are made and read. Default those of the record.</summary>
    public RoutingOptions Routing { get; init; } = new();

    /// <summary>What a step of training keeps of the moving averages, from 0 to below 1. Default 0.95, for hundreds of steps; the paper's 0.999 is for thousands.</summary>
    public double Decay { get; init; } = 0.95;

    /// <summary>Seed of the centroids' start and of random lists. Default 1.</summary>
    public long Seed { get; init; } = 1;

    /// <summary>Refuses what has no meaning.</summary>
    /// <exception cref="ArgumentOutOfRangeException">A value is out of its range.</exception>
    public void Validate()
    {
        ArgumentOutOfRangeException.ThrowIfNegative(LocalHeads);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(LocalBlock);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(Clusters);
        if (!Enum.IsDefined(Kind)) throw new ArgumentOutOfRangeException(nameof(Kind), Kind, "Not a kind.");
        if (!(Decay is >= 0 and < 1)) throw new ArgumentOutOfRangeException(nameof(Decay), Decay, "Decay must be from 0 to below 1.");
        ArgumentNullException.ThrowIfNull(Routing);
        Routing.Validate();
    }
}

/// <summary>
/// The heads of a model with content-based routing, for training too: some heads of each block stay local, the others attend within clusters whose centroids follow the queries and keys that
/// pass in training mode, once in each pass with gradients (Roy et al. 2021, section 4). It is given per call as the model's attention; the centroids are saved with it.
/// </summary>
public sealed class RoutingHeads : nn.Module, IAttentionMethod
{
    private readonly SphericalKMeans[] _means;
    private readonly Tensor started;
    private long _pass;

    /// <summary>Makes centroids for each block; they start from the first data.</summary>
    /// <param name="layers">Blocks of the model.</param>
    /// <param name="heads">Query heads of a block.</param>
    /// <param name="headDim">Width of a head.</param>
    /// <param name="options">Settings; null, the default, for those of the record.</param>
    /// <exception cref="ArgumentException">A value is out of its range, or no head is left beside the local ones.</exception>
    public RoutingHeads(int layers, int heads, int headDim, RoutingHeadsOptions? options = null)
        : base(nameof(RoutingHeads))
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(layers);
        Options = options ?? new();
        Options.Validate();
        if (Options.LocalHeads >= heads) throw new ArgumentException($"{Options.LocalHeads} local heads leave none of {heads} to be routed.", nameof(options));
        Heads = heads;
        _means = [.. Enumerable.Range(0, layers).Select(l => new SphericalKMeans(heads - Options.LocalHeads, Options.Clusters, headDim, Options.Seed + l))];
        started = zeros(layers, dtype: ScalarType.Bool).DetachFromDisposeScope();
        for (int l = 0; l < layers; l++) register_module($"means{l}", _means[l]);
        register_buffer(nameof(started), started);
    }

    /// <summary>Settings.</summary>
    public RoutingHeadsOptions Options { get; }

    /// <summary>Query heads of a block.</summary>
    public int Heads { get; }

    /// <summary>Mean squared distance of normalised queries and keys from their centroids in the last pass with gradients, summed over blocks, without gradient: the commitment of the paper as a figure.</summary>
    public double Commitment { get; private set; }

    /// <summary>The centroids of a block.</summary>
    /// <param name="layer">Block, from 0.</param>
    public SphericalKMeans Means(int layer) =>
        layer >= 0 && layer < _means.Length ? _means[layer] : throw new ArgumentOutOfRangeException(nameof(layer), layer, $"There are blocks 0 to {_means.Length - 1}.");

    /// <summary>The attention of one block, local and routed heads together.</summary>
    /// <param name="call">Block, scale, and what may be seen: a causal model without padding.</param>
    /// <param name="q">Queries [batch, heads, tokens, headDim].</param>
    /// <param name="k">Keys [batch, keyValueHeads, tokens, headDim].</param>
    /// <param name="v">Values [batch, keyValueHeads, tokens, valueDim].</param>
    /// <returns>[batch, heads, tokens, valueDim].</returns>
    /// <exception cref="ArgumentException">Another number of heads or blocks, an encoder or padding, or a cache.</exception>
    public Tensor Attend(AttentionCall call, Tensor q, Tensor k, Tensor v)
    {
        ArgumentNullException.ThrowIfNull(q);
        ArgumentNullException.ThrowIfNull(k);
        ArgumentNullException.ThrowIfNull(v);
        AttentionShape.Of(q, k, v, causal: true);
        if (!call.Causal || call.Stands is not null) throw new ArgumentException("Routed heads are for causal models without padding.", nameof(call));
        if (q.dim() != 4 || q.shape[1] != Heads) throw new ArgumentException($"q must be [batch, {Heads}, tokens, headDim], but is [{string.Join(", ", q.shape)}].", nameof(q));
        if (k.shape[2] != q.shape[2]) throw new ArgumentException($"{q.shape[2]} queries have {k.shape[2]} keys: a cache is not supported.", nameof(k));
        SphericalKMeans means = Means(call.Layer);
        using var scope = NewDisposeScope();
        int group = (int)(q.shape[1] / k.shape[1]), local = Options.LocalHeads, routed = Heads - local;
        (k, v) = (HeadInput.Shared(k, group), HeadInput.Shared(v, group));
        if (Options.Kind == RoutedKind.Local) return scope.MoveToOuter(Local(q, k, v, call.Scale));
        (Tensor rq, Tensor rk, Tensor rv) = (q.narrow(1, local, routed), k.narrow(1, local, routed), v.narrow(1, local, routed));
        if (Options.Routing.Shared) rk = rq;
        Tensor far = Far(means, call, rq, rk, rv);
        return scope.MoveToOuter(local == 0 ? far : cat([Local(q.narrow(1, 0, local), k.narrow(1, 0, local), v.narrow(1, 0, local), call.Scale), far], 1));
    }

    private Tensor Far(SphericalKMeans means, AttentionCall call, Tensor q, Tensor k, Tensor v)
    {
        if (Options.Kind == RoutedKind.Full) return nn.functional.scaled_dot_product_attention(q.mul(call.Scale * Math.Sqrt(q.shape[3])), k, v, is_casual: true);
        (int batch, int heads, int tokens) = ((int)q.shape[0], (int)q.shape[1], (int)q.shape[2]);
        if (Options.Kind == RoutedKind.Random)
        {
            int window = Options.Routing.Window ?? (tokens + Options.Clusters - 1) / Options.Clusters;
            Tensor lists = BalancedLists.Random(batch, heads, Options.Clusters, window, tokens, Options.Seed + (1000 * ++_pass) + call.Layer).to(q.device);
            return RoutingAttention.AttendLists(SphericalKMeans.Normalise(q), SphericalKMeans.Normalise(k), v, lists, lists, Options.Routing.SelfAttention, Options.Routing.Scale ?? call.Scale);
        }

        if (training && is_grad_enabled()) Learn(means, call.Layer, q, k);
        return RoutingAttention.Attend(q, k, v, means.Centroids, Options.Routing with { Scale = Options.Routing.Scale ?? call.Scale });
    }

    /// <summary>Starts the centroids from the first data, then moves them.</summary>
    private void Learn(SphericalKMeans means, int layer, Tensor q, Tensor k)
    {
        using IDisposable off = no_grad();
        using var scope = NewDisposeScope();
        Tensor seen = Options.Routing.Shared ? q : cat([q, k], 2), flat = seen.detach().transpose(0, 1).flatten(1, 2);
        Tensor flags = get_buffer(nameof(started))!;
        if (!flags[layer].item<bool>())
        {
            means.Init(flat, Options.Seed + layer);
            flags[layer] = tensor(true);
        }
        else means.Update(flat, Options.Decay);

        Tensor x = SphericalKMeans.Normalise(flat);
        double distance = x.sub(means.Centroids.gather(1, means.Assign(x).unsqueeze(2).expand(x.shape))).square().sum(-1).mean().to(ScalarType.Float64).item<double>();
        Commitment = layer == 0 ? distance : Commitment + distance;
    }

    /// <summary>Each token over its own block and the one before.</summary>
    private Tensor Local(Tensor q, Tensor k, Tensor v, double scale)
    {
        Tensor block = arange(q.shape[2], device: q.device).div(Options.LocalBlock, RoundingMode.floor), apart = block.unsqueeze(1).sub(block.unsqueeze(0));
        Tensor seen = apart.le(1).logical_and(ones(q.shape[2], q.shape[2], dtype: ScalarType.Bool, device: q.device).tril());
        return nn.functional.scaled_dot_product_attention(q.mul(scale * Math.Sqrt(q.shape[3])), k, v, seen);
    }
}
