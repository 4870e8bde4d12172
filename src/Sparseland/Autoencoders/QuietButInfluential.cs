using Sparseland.Tensors;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Autoencoders;

/// <summary>
/// A planted world in which small things matter: loud features (strength 1 + |n| / 2) and as many quiet ones (half as strong), each present with
/// probability 1/8, and a "model" that reads the quiet ones only: a softmax over classes with logits R x, R = A P, P the quiet rows of the pseudo-inverse of
/// the features, A Gaussian with deviation 1.43. Labels are drawn from it, and g = R^T (p - onehot(y)) is the gradient of their cross-entropy at x.
/// </summary>
/// <remarks>Test bed of gradient autoencoders (Olmo et al. 2025): reconstruction spends its latents on the loud half.</remarks>
public sealed class QuietButInfluential : PlantedFeatures
{
    private const double Probability = 0.125, QuietAmplitude = 0.5, ReadoutDeviation = 1.43;
    private readonly NativeSize _size;

    /// <summary>A world.</summary>
    /// <param name="seed">Seed of features, model and tokens. Default 1.</param>
    /// <param name="orthonormal">Orthonormal features in place of Gaussian unit ones. Default false.</param>
    /// <param name="width">d, at least the number of features: the pseudo-inverse must tell them apart. Default 64.</param>
    /// <param name="each">Number of loud and of quiet features. Default 24.</param>
    /// <param name="classes">Classes of the model, at least 2. Default 10.</param>
    /// <param name="noise">Standard deviation of the noise. Default 0.01.</param>
    /// <exception cref="ArgumentException">A number is out of its range.</exception>
    public QuietButInfluential(long seed = 1, bool orthonormal = false, int width = 64, int each = 24, int classes = 10, double noise = 0.01)
        : base(Directions(FeaturesOf(each, width), width, orthonormal, seed), noise, seed)
    {
        if (classes < 2) throw new ArgumentOutOfRangeException(nameof(classes), classes, "classes must be at least 2.");
        using DisposeScope scope = NewDisposeScope();
        using IDisposable off = no_grad();
        (Loud, Orthonormal) = (each, orthonormal);
        Tensor quiet = linalg.pinv(Features.to(ScalarType.Float64)).t().narrow(0, each, each);
        Tensor mixing = Gaussian(classes, each, seed, 651).mul_(ReadoutDeviation);
        Readout = mixing.mm(quiet).to(ScalarType.Float32).DetachFromDisposeScope();
        _size = NativeSize.Of(Readout);
    }

    /// <summary>Number of loud features, which come first; the quiet ones are as many.</summary>
    public int Loud { get; }

    /// <summary>Whether features are orthonormal.</summary>
    public bool Orthonormal { get; }

    /// <summary>R [classes, d], float32.</summary>
    public Tensor Readout { get; }

    /// <inheritdoc/>
    public override string Description => $"{Loud} loud and {Loud} quiet {(Orthonormal ? "orthonormal" : "Gaussian")} features in {Width} dimensions, {Readout.shape[0]} classes";

    /// <summary>What the model says: log p, of logits R x.</summary>
    /// <param name="x">Activations [tokens, d], Float32 or Float64.</param>
    /// <returns>[tokens, classes].</returns>
    /// <exception cref="ArgumentException">Another shape or type.</exception>
    public Tensor LogProbabilities(Tensor x)
    {
        CheckWidth(x, nameof(x));
        using DisposeScope scope = NewDisposeScope();
        return x.mm(Readout.to(x.dtype).t()).log_softmax(1).MoveToOuterDisposeScope();
    }

    /// <summary>g = R^T (p - onehot(y)), the gradient of the cross-entropy of given labels.</summary>
    /// <param name="x">Activations [tokens, d], Float32 or Float64.</param>
    /// <param name="labels">y [tokens], int64.</param>
    /// <returns>[tokens, d].</returns>
    /// <exception cref="ArgumentException">A shape or type does not fit, or a label is no class.</exception>
    public Tensor GradientsOf(Tensor x, Tensor labels)
    {
        CheckWidth(x, nameof(x));
        ArgumentNullException.ThrowIfNull(labels);
        if (labels.dim() != 1 || labels.shape[0] != x.shape[0] || labels.dtype != ScalarType.Int64)
            throw new ArgumentException($"labels must be Int64 [{x.shape[0]}], but are {labels.dtype} [{string.Join(", ", labels.shape)}].", nameof(labels));
        using DisposeScope scope = NewDisposeScope();
        using IDisposable off = no_grad();
        if (labels.lt(0).any().item<bool>() || labels.ge(Readout.shape[0]).any().item<bool>()) throw new ArgumentException($"Labels run from 0 to {Readout.shape[0] - 1}.", nameof(labels));
        Tensor difference = LogProbabilities(x).exp();
        difference.scatter_add_(1, labels.unsqueeze(1), full([x.shape[0], 1], -1.0, dtype: x.dtype));
        return difference.mm(Readout.to(x.dtype)).MoveToOuterDisposeScope();
    }

    /// <summary>Fisher influence of directions: sqrt(E_y &lt;w, g_y&gt;^2) over the labels that the model expects, without drawing any.</summary>
    /// <param name="x">Activations [tokens, d], Float32 or Float64.</param>
    /// <param name="directions">w [latents, d] of the same type.</param>
    /// <returns>[tokens, latents], not normalised.</returns>
    /// <exception cref="ArgumentException">A shape or type does not fit.</exception>
    public Tensor Fisher(Tensor x, Tensor directions)
    {
        CheckWidth(x, nameof(x));
        CheckWidth(directions, nameof(directions));
        using DisposeScope scope = NewDisposeScope();
        using IDisposable off = no_grad();

        // <w, g_y> = (p - e_y) . R w, so its mean square is the variance of R w under p.
        Tensor p = LogProbabilities(x).exp(), effect = Readout.to(x.dtype).mm(directions.t()), mean = p.mm(effect);
        return (p.mm(effect.square()) - mean.square()).clamp_min(0).sqrt().MoveToOuterDisposeScope();
    }

    /// <inheritdoc/>
    public override void Dispose()
    {
        Readout.Dispose();
        _size.Dispose();
        base.Dispose();
    }

    private protected override void DrawToken(ref SeededRandom random, Span<float> strengths)
    {
        for (int i = 0; i < strengths.Length; i++)
        {
            if (random.NextDouble() < Probability) strengths[i] = (float)((i < Loud ? 1 : QuietAmplitude) * Magnitude(ref random));
        }
    }

    private protected override Tensor? GradientsOf(Tensor x, ref SeededRandom random)
    {
        // Labels by inverting the distribution function: one uniform number for each token.
        Tensor cumulative = LogProbabilities(x.to(ScalarType.Float64)).exp().cumsum(1);
        double[] uniform = new double[x.shape[0]];
        for (int t = 0; t < uniform.Length; t++) uniform[t] = random.NextDouble();
        Tensor labels = cumulative.lt(tensor(uniform).unsqueeze(1)).sum([1L]).clamp_max(Readout.shape[0] - 1);
        return GradientsOf(x, labels);
    }

    private void CheckWidth(Tensor matrix, string name)
    {
        TensorInput.CheckShape(matrix, name, $"[rows, {Width}]");
        if (matrix.shape[1] != Width) throw new ArgumentException($"{name} must be [rows, {Width}], but is [{string.Join(", ", matrix.shape)}].", name);
    }

    private static int FeaturesOf(int each, int width)
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(each);
        if (2 * each > width) throw new ArgumentException($"{2 * each} features in {width} dimensions depend on each other; the model could not read the quiet ones alone.", nameof(width));
        return 2 * each;
    }
}
