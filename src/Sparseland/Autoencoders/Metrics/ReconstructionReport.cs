using Sparseland.Tensors;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Autoencoders.Metrics;

/// <summary>
/// How well an autoencoder rebuilds a set of activations, and with how many latents. FVU = sum (x - xhat)^2 / sum (x - mean x)^2 with sums and the mean
/// over the whole set, the same number as <see cref="Evaluation.ReconstructionError.FractionOfVarianceUnexplained"/>.
/// </summary>
/// <remarks>
/// Ratios per token or per batch averaged, or ratios without the mean, are other numbers. Figures of two autoencoders are comparable only on the same set.
/// </remarks>
public sealed record ReconstructionReport
{
    // Windows are put together in so many groups, so that memory does not grow with the set.
    private const int MostGroups = 64;

    private ReconstructionReport()
    {
    }

    /// <summary>What the activations are of.</summary>
    public required string Source { get; init; }

    /// <summary>Tokens measured.</summary>
    public required long Tokens { get; init; }

    /// <summary>Windows that the tokens came in; as many as tokens where each stands alone.</summary>
    public required int Windows { get; init; }

    /// <summary>Fraction of variance unexplained: 0 is perfect, 1 no better than the mean of the set.</summary>
    public required double Fvu { get; init; }

    /// <summary>Standard error of <see cref="Fvu"/> over groups of neighbouring windows; NaN for one group.</summary>
    public required double FvuError { get; init; }

    /// <summary>Mean number of active latents of a token.</summary>
    public required double L0 { get; init; }

    /// <summary>Standard error of <see cref="L0"/> over groups of neighbouring windows; NaN for one group.</summary>
    public required double L0Error { get; init; }

    /// <summary>Groups of neighbouring windows behind the standard errors, 64 at most.</summary>
    public required int Groups { get; init; }

    /// <summary>Mean over tokens of sum over d of (x - xhat)^2.</summary>
    public required double SquaredError { get; init; }

    /// <summary>1 - FVU.</summary>
    public double ExplainedVariance => 1 - Fvu;

    /// <summary>Measures over a source in one pass; memory stays flat.</summary>
    /// <param name="autoencoder">The autoencoder.</param>
    /// <param name="source">The whole set; a held-out one. Where it brings gradients, a rule that weighs by them uses them, and its codes then know the labels: leave them out to measure what a user will see.</param>
    /// <param name="progress">Windows done; null, the default, for none.</param>
    /// <param name="cancel">Stops the call. Never by default.</param>
    /// <exception cref="ArgumentException">Widths differ, the source is empty, or its activations have no variance.</exception>
    /// <exception cref="InvalidDataException">An activation is not finite; the message names window and token.</exception>
    /// <exception cref="OperationCanceledException">Cancelled.</exception>
    public static ReconstructionReport Of(SparseAutoencoder autoencoder, IActivationSource source, IProgress<ProgressReport>? progress = null, CancellationToken cancel = default)
    {
        ArgumentNullException.ThrowIfNull(source);
        var measure = new Measure(autoencoder, source);
        CodeStream.Each(autoencoder, source, "rebuilding activations", progress, cancel, measure.Add);
        return measure.Report();
    }

    /// <summary>Measures over a matrix of activations.</summary>
    /// <param name="autoencoder">The autoencoder.</param>
    /// <param name="activations">The whole set [tokens, d]; Float32 or Float64.</param>
    /// <param name="progress">Tokens done; null, the default, for none.</param>
    /// <param name="cancel">Stops the call. Never by default.</param>
    /// <exception cref="ArgumentException">Widths differ, or the set is empty, not finite, or without variance.</exception>
    /// <exception cref="OperationCanceledException">Cancelled.</exception>
    public static ReconstructionReport Of(SparseAutoencoder autoencoder, Tensor activations, IProgress<ProgressReport>? progress = null, CancellationToken cancel = default) =>
        Of(autoencoder, new TensorActivations(activations), progress, cancel);

    /// <inheritdoc/>
    public override string ToString() => Readable.Of(this);

    private static ReconstructionReport Report(IActivationSource source, Sums[] groups)
    {
        var all = new Sums(source.Width);
        foreach (Sums group in groups) all.Add(group);
        if (!(all.Scatter > 0)) throw new ArgumentException($"The activations have no variance, so no share of it can be unexplained ({source.Description}).", nameof(source));
        WindowEstimate fvu = WindowEstimate.Ratio([.. groups.Select(g => g.Error)], [.. groups.Select(g => g.ScatterAbout(all.Mean))]);
        WindowEstimate active = WindowEstimate.Ratio([.. groups.Select(g => (double)g.Active)], [.. groups.Select(g => (double)g.Tokens)]);
        return new()
        {
            Source = source.Description,
            Tokens = all.Tokens,
            Windows = source.Windows,
            Fvu = all.Error / all.Scatter,
            FvuError = fvu.StandardError,
            L0 = active.Value,
            L0Error = active.StandardError,
            Groups = groups.Length,
            SquaredError = all.Error / all.Tokens,
        };
    }

    /// <summary>The measurement as part of a pass that measures more.</summary>
    internal sealed class Measure
    {
        private readonly SparseAutoencoder _autoencoder;
        private readonly IActivationSource _source;
        private readonly Sums[] _groups;

        public Measure(SparseAutoencoder autoencoder, IActivationSource source) =>
            (_autoencoder, _source, _groups) = (autoencoder, source, [.. Enumerable.Range(0, Math.Clamp(source.Windows, 1, MostGroups)).Select(_ => new Sums(source.Width))]);

        /// <summary>Takes in some tokens, as <see cref="CodeStream.Visitor"/> brings them.</summary>
        public void Add(Tensor x, SparseCode code, long first)
        {
            int windows = _source.Windows, length = _source.TokensPerWindow;
            Tensor data = x.to(ScalarType.Float64);
            Tensor error = _autoencoder.Decode(code).to(ScalarType.Float64).sub_(data).square().sum(1);
            ReadOnlySpan<int> offsets = code.Support.RowOffsets;
            for (int row = 0; row < code.Tokens;)
            {
                int group = (int)((first + row) / length * _groups.Length / windows);
                long end = ((((long)(group + 1) * windows) + _groups.Length - 1) / _groups.Length * length) - first;
                int count = (int)Math.Min(code.Tokens, end) - row;
                _groups[group].Add(data.narrow(0, row, count), error.narrow(0, row, count).sum().item<double>(), offsets[row + count] - offsets[row]);
                row += count;
            }
        }

        /// <summary>The figures of all tokens.</summary>
        public ReconstructionReport Report() => ReconstructionReport.Report(_source, _groups);
    }

    /// <summary>Mean and scatter about it, brought up to date exactly (Chan, Golub and LeVeque 1983): no difference of large squares.</summary>
    private sealed class Sums(int width)
    {
        public double[] Mean { get; } = new double[width];

        public long Tokens { get; private set; }

        public long Active { get; private set; }

        public double Scatter { get; private set; }

        public double Error { get; private set; }

        public void Add(Tensor data, double error, long active)
        {
            using DisposeScope scope = NewDisposeScope();
            Tensor mean = data.mean([0L]);
            Add(mean.data<double>().ToArray(), data.shape[0], (data - mean).square().sum().item<double>());
            (Error, Active) = (Error + error, Active + active);
        }

        public void Add(Sums other)
        {
            if (other.Tokens == 0) return;
            Add(other.Mean, other.Tokens, other.Scatter);
            (Error, Active) = (Error + other.Error, Active + other.Active);
        }

        public double ScatterAbout(double[] centre) => Scatter + (Tokens * SquaredDistance(centre));

        private void Add(double[] mean, long tokens, double scatter)
        {
            double between = SquaredDistance(mean), share = (double)tokens / (Tokens + tokens);
            Scatter += scatter + (between * Tokens * share);
            for (int i = 0; i < width; i++) Mean[i] += share * (mean[i] - Mean[i]);
            Tokens += tokens;
        }

        private double SquaredDistance(double[] other)
        {
            double sum = 0;
            for (int i = 0; i < width; i++) sum += (other[i] - Mean[i]) * (other[i] - Mean[i]);
            return sum;
        }
    }
}
