using Sparseland.Tensors;
using Sparseland.Training;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Autoencoders;

/// <summary>Tokens whose features are known. It owns its tensors.</summary>
/// <param name="X">Activations [tokens, d], float32.</param>
/// <param name="Strengths">How strong each feature is in each token [tokens, features], 0 where it is absent.</param>
/// <param name="Gradients">Gradients of the world's loss at the tokens [tokens, d]; null where the world has none.</param>
public sealed record PlantedTokens(Tensor X, Tensor Strengths, Tensor? Gradients = null) : IDisposable
{
    private readonly NativeSize _size = NativeSize.Of(X, Strengths, Gradients);

    /// <summary>How many features each token has [tokens].</summary>
    public int[] FeaturesPerToken()
    {
        using DisposeScope scope = NewDisposeScope();
        return [.. Strengths.gt(0).sum([1L], type: ScalarType.Int32).data<int>()];
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        X.Dispose();
        Strengths.Dispose();
        Gradients?.Dispose();
        _size.Dispose();
    }

    /// <inheritdoc/>
    public override string ToString() => Readable.Of(this);
}

/// <summary>
/// A world of activations with known features: x = sum of strength times feature, and noise. What an autoencoder finds can be held against the
/// truth, and fresh tokens never end. It owns its features.
/// </summary>
public abstract class PlantedFeatures : IDisposable
{
    private const long FeatureStream = 650, TokenStream = 1L << 40;
    private readonly double _noise;
    private readonly NativeSize _size;

    /// <summary>Takes features over.</summary>
    /// <param name="features">Unit directions [features, d], float32.</param>
    /// <param name="noise">Standard deviation of the noise on each coordinate.</param>
    /// <param name="seed">Seed of all draws.</param>
    private protected PlantedFeatures(Tensor features, double noise, long seed)
    {
        Finite.NotNegative(noise);
        (Features, _noise, Seed) = (features.DetachFromDisposeScope(), noise, seed);
        _size = NativeSize.Of(features);
    }

    /// <summary>Unit directions [features, d], float32.</summary>
    public Tensor Features { get; }

    /// <summary>Seed of all draws.</summary>
    public long Seed { get; }

    /// <summary>d.</summary>
    public int Width => (int)Features.shape[1];

    /// <summary>Number of features.</summary>
    public int Count => (int)Features.shape[0];

    /// <summary>What world it is, in one line.</summary>
    public abstract string Description { get; }

    /// <summary>Some tokens.</summary>
    /// <param name="tokens">How many.</param>
    /// <param name="index">Which draw; the same world and index give the same tokens. Draws below zero are kept for tests: batches of a training begin at 0.</param>
    /// <exception cref="ArgumentOutOfRangeException">The number of tokens is not positive.</exception>
    public PlantedTokens Draw(int tokens, long index)
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(tokens);
        (Tensor x, Tensor strengths, Tensor? gradients) = Make(tokens, index);
        return new(x, strengths, gradients);
    }

    /// <summary>Batches of fresh tokens without an end, gradients as their targets where the world has them.</summary>
    /// <param name="batch">Tokens of a batch.</param>
    public IBatchSource Batches(int batch)
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(batch);
        return new Fresh(this, batch);
    }

    /// <summary>Frees the features.</summary>
    public virtual void Dispose()
    {
        Features.Dispose();
        _size.Dispose();
        GC.SuppressFinalize(this);
    }

    /// <summary>Strengths of one token, from zeros.</summary>
    private protected abstract void DrawToken(ref SeededRandom random, Span<float> strengths);

    /// <summary>Gradients of the world's loss; null where there is none.</summary>
    private protected virtual Tensor? GradientsOf(Tensor x, ref SeededRandom random) => null;

    /// <summary>1 + |n| / 2 with n normal: strengths of features that are present.</summary>
    private protected static double Magnitude(ref SeededRandom random) => 1 + (0.5 * Math.Abs(random.NextGaussian()));

    /// <summary>Gaussian directions of norm one, or orthonormal ones.</summary>
    private protected static Tensor Directions(int features, int width, bool orthonormal, long seed)
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(width);
        if (orthonormal && features > width) throw new ArgumentException($"{features} features cannot be orthonormal in {width} dimensions.", nameof(width));
        using DisposeScope scope = NewDisposeScope();
        using IDisposable off = no_grad();
        Tensor rows = Gaussian(features, width, seed, FeatureStream);
        if (orthonormal) rows = linalg.qr(rows.t()).Q.t();
        return rows.div(rows.norm(1, keepdim: true)).to(ScalarType.Float32).contiguous().MoveToOuterDisposeScope();
    }

    /// <summary>Normal numbers [rows, columns], float64.</summary>
    private protected static Tensor Gaussian(int rows, int columns, long seed, long stream)
    {
        var random = new SeededRandom(seed, stream);
        double[] numbers = new double[rows * columns];
        for (int i = 0; i < numbers.Length; i++) numbers[i] = random.NextGaussian();
        return tensor(numbers, [rows, columns]);
    }

    private (Tensor X, Tensor Strengths, Tensor? Gradients) Make(int tokens, long index)
    {
        using DisposeScope scope = NewDisposeScope();
        using IDisposable off = no_grad();
        var random = new SeededRandom(Seed, TokenStream + index);
        float[] strengths = new float[tokens * Count], noise = new float[tokens * Width];
        for (int t = 0; t < tokens; t++) DrawToken(ref random, strengths.AsSpan(t * Count, Count));
        for (int i = 0; i < noise.Length && _noise > 0; i++) noise[i] = (float)(_noise * random.NextGaussian());
        Tensor codes = tensor(strengths, [tokens, Count]), x = addmm(tensor(noise, [tokens, Width]), codes, Features, 1, 1);
        Tensor? gradients = GradientsOf(x, ref random);
        return (x.MoveToOuterDisposeScope(), codes.MoveToOuterDisposeScope(), gradients?.MoveToOuterDisposeScope());
    }

    private sealed class Fresh(PlantedFeatures world, int batch) : IBatchSource
    {
        public string Description => $"{world.Description}, seed {world.Seed}, {batch} fresh tokens a batch";

        public Batch At(long index)
        {
            ArgumentOutOfRangeException.ThrowIfNegative(index);
            (Tensor x, Tensor strengths, Tensor? gradients) = world.Make(batch, index);
            strengths.Dispose();
            return new(x, gradients ?? empty(0));
        }
    }
}
