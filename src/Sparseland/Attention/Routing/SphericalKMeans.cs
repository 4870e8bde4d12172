using Sparseland.Tensors;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Attention.Routing;

/// <summary>
/// k-means on the sphere, online, for several heads at once (Roy et al. 2021, section 4.1): vectors are centred and scaled to norm sqrt(width), where the nearest centroid is the one with the
/// largest product; centroids follow what is assigned to them as moving averages. Centroids are state and no parameters: they are saved with a network and get no gradient.
/// </summary>
public sealed class SphericalKMeans : nn.Module
{
    // Named as they are registered, so that a change of type or device reaches them.
    private readonly Tensor centroids;
    private readonly Tensor counts;
    private readonly Tensor sums;

    /// <summary>Centroids at random places of the sphere, the published start. Most of them may never be used: see <see cref="Init"/>.</summary>
    /// <param name="heads">Heads, each with centroids of its own.</param>
    /// <param name="clusters">Centroids of a head, C.</param>
    /// <param name="width">Width of the vectors, at least 2.</param>
    /// <param name="seed">Seed. Default 1.</param>
    /// <exception cref="ArgumentOutOfRangeException">A number is too small.</exception>
    public SphericalKMeans(int heads, int clusters, int width, long seed = 1)
        : base(nameof(SphericalKMeans))
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(heads);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(clusters);
        ArgumentOutOfRangeException.ThrowIfLessThan(width, 2);
        (Heads, Clusters, Width) = (heads, clusters, width);
        using var generator = new Generator(unchecked((ulong)seed));
        using Tensor drawn = randn([heads, clusters, width], generator: generator);
        centroids = Normalise(drawn).DetachFromDisposeScope();
        sums = centroids.clone().DetachFromDisposeScope();
        counts = ones(heads, clusters).DetachFromDisposeScope();
        register_buffer(nameof(centroids), centroids);
        register_buffer(nameof(counts), counts);
        register_buffer(nameof(sums), sums);
    }

    /// <summary>Heads.</summary>
    public int Heads { get; }

    /// <summary>Centroids of a head.</summary>
    public int Clusters { get; }

    /// <summary>Width of the vectors.</summary>
    public int Width { get; }

    /// <summary>The centroids [heads, clusters, width], of norm sqrt(width); they belong to this.</summary>
    public Tensor Centroids => get_buffer(nameof(centroids))!;

    /// <summary>Mean 0 and norm sqrt(width): a layer norm without gain and bias. Vectors of equal numbers become 0.</summary>
    /// <param name="x">[..., width].</param>
    /// <returns>[..., width], with gradients.</returns>
    public static Tensor Normalise(Tensor x)
    {
        ArgumentNullException.ThrowIfNull(x);
        using var scope = NewDisposeScope();
        Tensor centred = x.sub(x.mean([-1L], keepdim: true));

        // What rounding leaves of equal numbers is nothing. Numbers whose squares leave the type, or vanish beside the 1e-12, are brought to one first; of all others no bit changes.
        Tensor size = centred.detach().abs().amax([-1L], keepdim: true), whole = x.detach().abs().amax([-1L], keepdim: true);
        Tensor equal = size.le(whole.mul(x.dtype == ScalarType.Float64 ? 1e-15 : 1e-6)), plain = size.gt(1e-3).logical_and(size.lt(1e15)).logical_or(equal);
        if (equal.any().item<bool>()) centred = centred.masked_fill(equal, 0);
        if (!plain.all().item<bool>()) centred = centred.div(size.masked_fill(plain, 1));
        return scope.MoveToOuter(centred.div(centred.square().mean([-1L], keepdim: true).add(1e-12).sqrt()));
    }

    /// <summary>Starts from data: different vectors drawn as centroids, then passes of Lloyd's algorithm over all of them.</summary>
    /// <param name="data">[heads, n, width] with n at least the number of clusters; normalised here.</param>
    /// <param name="seed">Seed of the draw. Default 1.</param>
    /// <param name="passes">Passes. Default 10.</param>
    /// <exception cref="ArgumentException">Another shape, too few vectors, or a value that is not finite.</exception>
    public void Init(Tensor data, long seed = 1, int passes = 10)
    {
        Check(data, nameof(data));
        ArgumentOutOfRangeException.ThrowIfNegative(passes);
        if (data.shape[1] < Clusters) throw new ArgumentException($"{data.shape[1]} vectors are too few to start {Clusters} clusters.", nameof(data));
        using IDisposable off = no_grad();
        using var scope = NewDisposeScope();
        using var generator = new Generator(unchecked((ulong)seed));
        Tensor x = Normalise(data.detach().to(Centroids.dtype).to(Centroids.device));
        Tensor[] chosen = [.. Enumerable.Range(0, Heads).Select(h => x[h].index_select(0, randperm(x.shape[1], generator: generator).narrow(0, 0, Clusters).to(x.device)))];
        Centroids.copy_(stack(chosen));
        for (int pass = 0; pass <= passes; pass++)
        {
            (Tensor count, Tensor sum) = Assigned(x);
            get_buffer(nameof(counts))!.copy_(count.clamp_min(1));
            get_buffer(nameof(sums))!.copy_(where(count.gt(0).unsqueeze(2), sum, Centroids));
            if (pass < passes) Place();
        }
    }

    /// <summary>The nearest centroid of each vector.</summary>
    /// <param name="x">[..., heads, n, width], normalised.</param>
    /// <returns>[..., heads, n], int64.</returns>
    /// <exception cref="ArgumentException">Another shape.</exception>
    public Tensor Assign(Tensor x)
    {
        using IDisposable off = no_grad();
        using var scope = NewDisposeScope();
        return scope.MoveToOuter(Similarity(x).argmax(-1));
    }

    /// <summary>Products of vectors with the centroids; no gradient passes to the centroids.</summary>
    /// <param name="x">[..., heads, n, width], normalised.</param>
    /// <returns>[..., heads, n, clusters].</returns>
    /// <exception cref="ArgumentException">Another shape.</exception>
    public Tensor Similarity(Tensor x)
    {
        ArgumentNullException.ThrowIfNull(x);
        if (x.dim() < 3 || x.shape[^3] != Heads || x.shape[^1] != Width)
            throw new ArgumentException($"x must be [..., {Heads}, n, {Width}], but is [{string.Join(", ", x.shape)}].", nameof(x));
        using var scope = NewDisposeScope();
        return scope.MoveToOuter(x.MatMul(Centroids.to(x.dtype).transpose(1, 2)));
    }

    /// <summary>Moves the centroids: number and sum of what is assigned to each as moving averages, the centroid their quotient, put back onto the sphere. One that has nothing stays.</summary>
    /// <param name="batch">[heads, n, width]; normalised here.</param>
    /// <param name="decay">What is kept of the averages, from 0 to below 1. Default 0.999, the published one: it needs thousands of steps.</param>
    /// <exception cref="ArgumentException">Another shape, a value that is not finite, or decay out of its range.</exception>
    /// <exception cref="InvalidOperationException">The network is in evaluation mode.</exception>
    public void Update(Tensor batch, double decay = 0.999)
    {
        Check(batch, nameof(batch));
        if (!(decay is >= 0 and < 1)) throw new ArgumentOutOfRangeException(nameof(decay), decay, "decay must be from 0 to below 1.");
        if (!training) throw new InvalidOperationException("Centroids move in training mode only; call train() first.");
        using IDisposable off = no_grad();
        using var scope = NewDisposeScope();
        (Tensor count, Tensor sum) = Assigned(Normalise(batch.detach().to(Centroids.dtype)));
        (Tensor number, Tensor total) = (get_buffer(nameof(counts))!, get_buffer(nameof(sums))!);

        // What an unused centroid keeps fades to nothing; before that happens it is left as it is.
        Tensor moves = count.gt(0).logical_or(number.gt(1e-3));
        number.copy_(where(moves, number.mul(decay).add(count.mul(1 - decay)), number));
        total.copy_(where(moves.unsqueeze(2), total.mul(decay).add(sum.mul(1 - decay)), total));
        Place();
    }

    /// <summary>The share of centroids that are the nearest of at least one vector.</summary>
    /// <param name="x">[heads, n, width]; normalised here.</param>
    /// <exception cref="ArgumentException">Another shape, or a value that is not finite.</exception>
    public double Used(Tensor x)
    {
        Check(x, nameof(x));
        using IDisposable off = no_grad();
        using var scope = NewDisposeScope();
        return Assigned(Normalise(x.detach().to(Centroids.dtype))).Count.gt(0).to(ScalarType.Float64).mean().item<double>();
    }

    /// <summary>How many vectors each centroid is nearest to [heads, clusters], and their sums [heads, clusters, width].</summary>
    private (Tensor Count, Tensor Sum) Assigned(Tensor x)
    {
        Tensor chosen = nn.functional.one_hot(Assign(x), Clusters).to(x.dtype);
        return (chosen.sum(1L), chosen.transpose(1, 2).MatMul(x));
    }

    private void Place() => Centroids.copy_(Normalise(get_buffer(nameof(sums))!.div(get_buffer(nameof(counts))!.add(1e-5).unsqueeze(2))));

    private void Check(Tensor x, string name)
    {
        ArgumentNullException.ThrowIfNull(x, name);
        if (x.dim() != 3 || x.shape[0] != Heads || x.shape[2] != Width || x.numel() == 0)
            throw new ArgumentException($"{name} must be [{Heads}, n, {Width}] and not empty, but is [{string.Join(", ", x.shape)}].", name);
        if (!TensorInput.IsFinite(x)) throw new ArgumentException($"{name} holds a value that is not finite.", name);
    }
}
