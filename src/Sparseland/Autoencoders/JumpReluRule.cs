using Sparseland.Kernels;
using Sparseland.Selection;
using Sparseland.Tensors;
using TorchSharp;
using TorchSharp.Modules;
using TorchSharp.Utils;
using static TorchSharp.torch;

namespace Sparseland.Autoencoders;

/// <summary>
/// JumpReLU (Rajamanoharan et al. 2024, 2407.14435): a latent is active where its pre-activation is above a threshold of its own that is learned, and that
/// is its value. A step has no gradient, so a rectangle of width eps around the threshold stands in, for every token, active or not:
/// <code>df_i/dtheta_i := -(theta_i/eps) [|z_i - theta_i| &lt; eps/2],   d[z_i > theta_i]/dtheta_i := -(1/eps) [|z_i - theta_i| &lt; eps/2]</code>
/// z has its gradient only where it is above theta. The parameter is log theta, so that thresholds stay positive. Sparsity comes from an <see cref="L0Penalty"/>.
/// </summary>
/// <remarks>
/// Threshold and bandwidth are on the scale of the activations as the autoencoder sees them; the defaults are for a mean norm of sqrt(d). The paper has
/// activations of mean squared norm one, both numbers 0.001, Beta1 = 0, no centring. The logarithm moves by about the learning rate in a step at most: with
/// the default threshold a thousand steps at 4e-3 end far below their target (seen: L0 27 for a target of 4), where one that begins at 0.5 with a
/// bandwidth of 0.5 reaches it. <b>A threshold moves only with pre-activations within the
/// bandwidth: where <see cref="BandShare"/> is below 1e-4 the thresholds all but stand still; take a wider bandwidth or another threshold to start from.</b>
/// </remarks>
public sealed class JumpReluRule : CodeRule
{
    [ComponentName(Name = "band_share")]
    private readonly Tensor _bandShare;

    /// <summary>All thresholds alike.</summary>
    /// <param name="latents">M.</param>
    /// <param name="threshold">theta at the start, positive. Default 0.01.</param>
    /// <param name="bandwidth">eps, positive. Default 0.05.</param>
    /// <param name="type">Type of the parameter, Float32 (the default) or Float64.</param>
    /// <exception cref="ArgumentException">A number is out of its range.</exception>
    public JumpReluRule(int latents, double threshold = 0.01, double bandwidth = 0.05, ScalarType type = ScalarType.Float32)
        : this([.. Enumerable.Repeat(threshold, Math.Max(0, latents))], bandwidth, type)
    {
    }

    /// <summary>One threshold for each latent.</summary>
    /// <param name="thresholds">theta [latents], positive.</param>
    /// <param name="bandwidth">eps, positive. Default 0.05.</param>
    /// <param name="type">Type of the parameter, Float32 (the default) or Float64.</param>
    /// <exception cref="ArgumentException">A number is out of its range.</exception>
    public JumpReluRule(IReadOnlyList<double> thresholds, double bandwidth = 0.05, ScalarType type = ScalarType.Float32)
        : base("jumprelu")
    {
        ArgumentNullException.ThrowIfNull(thresholds);
        if (thresholds.Count == 0) throw new ArgumentException("There must be at least one latent with a threshold.", nameof(thresholds));
        for (int i = 0; i < thresholds.Count; i++)
        {
            if (!(thresholds[i] > 0) || !double.IsFinite(thresholds[i]))
                throw new ArgumentException(FormattableString.Invariant($"Threshold {i} is {thresholds[i]}; thresholds must be positive and finite."), nameof(thresholds));
        }

        Finite.Positive(bandwidth);
        if (type is not (ScalarType.Float32 or ScalarType.Float64)) throw new ArgumentException($"The type is {type}; it must be Float32 or Float64.", nameof(type));
        Bandwidth = bandwidth;
        using IDisposable off = no_grad();
        using Tensor logs = tensor(thresholds.Select(theta => Math.Log(theta)).ToArray());
        LogThreshold = new Parameter(logs.to(type));
        LogThreshold.DetachFromDisposeScope();
        _bandShare = tensor(new[] { -1.0 }).DetachFromDisposeScope();
        register_parameter("log_threshold", LogThreshold);
        register_buffer("band_share", _bandShare);
    }

    /// <summary>log theta [latents].</summary>
    [field: ComponentName(Name = "log_threshold")]
    public Parameter LogThreshold { get; }

    /// <summary>eps.</summary>
    public double Bandwidth { get; }

    /// <summary>theta [latents].</summary>
    public double[] Thresholds
    {
        get
        {
            using Tensor theta = Theta(ScalarType.Float64);
            return [.. theta.data<double>()];
        }
    }

    /// <summary>Share of the last training batch's pre-activations that lay within the bandwidth, through which thresholds learn; null before training. Below 1e-4 they cannot move.</summary>
    public double? BandShare => _bandShare.ToDouble() is >= 0 and var share ? share : null;

    /// <inheritdoc/>
    public override string Description => FormattableString.Invariant($"{Architecture}, bandwidth {Bandwidth:R}");

    /// <inheritdoc/>
    public override void Check(int latents)
    {
        if (LogThreshold.shape[0] != latents) throw new ArgumentException($"There are {LogThreshold.shape[0]} thresholds, but {latents} latents.", "rule");
    }

    internal override bool ComparesLatents => false;

    /// <inheritdoc/>
    public override SparseCode Select(Tensor pre, CodeContext context)
    {
        CheckPre(pre);
        using Tensor theta = Theta(pre.dtype);
        return Above(pre, theta);
    }

    internal override void CheckLosses(IReadOnlyList<AuxiliaryLoss> losses) => Need(losses.Any(loss => loss is L0Penalty), $"{nameof(L0Penalty)}, without which nothing keeps thresholds up");

    internal override Tensor Back(AutoencoderPass pass, CodePart part, Tensor values)
    {
        if (!pass.IsCode(part)) return values;
        Tensor theta = Theta(pass.Pre.dtype);
        Support band = Band(pass.Pre, theta);
        _bandShare.fill_(band.Count / (double)Math.Max(1, pass.Pre.numel()));

        // df of an entry within the band is the same whether or not it is active.
        Tensor df = SparseProduct.Sampled(band, part.Gradient, pass.Autoencoder.Decoder);
        Tensor sums = zeros_like(theta).index_add_(0, band.ColumnIndexTensor(), df, 1);

        // d theta / d log theta = theta.
        pass.AddTo(LogThreshold, sums.mul_(theta).mul_(theta).mul_(-1 / Bandwidth).to(LogThreshold.dtype));
        return values;
    }

    internal override Tensor? AtInference() => Theta(ScalarType.Float64);

    internal override void ScaleThresholds(double factor)
    {
        using IDisposable off = no_grad();
        LogThreshold.add_(Math.Log(factor));
    }

    internal override void ScaleLatents(Tensor factors)
    {
        using IDisposable off = no_grad();
        using DisposeScope scope = NewDisposeScope();
        LogThreshold.add_(factors.log().to(LogThreshold.dtype));
    }

    internal Tensor Theta(ScalarType type)
    {
        using IDisposable off = no_grad();
        using DisposeScope scope = NewDisposeScope();
        return LogThreshold.to(type).exp().MoveToOuterDisposeScope();
    }

    /// <summary>Where a pre-activation lies within the bandwidth of its threshold.</summary>
    internal Support Band(Tensor pre, Tensor theta)
    {
        using IDisposable off = no_grad();
        using DisposeScope scope = NewDisposeScope();
        return Support.FromMask(pre.gt(theta - (Bandwidth / 2)).logical_and_(pre.lt(theta + (Bandwidth / 2))));
    }
}
