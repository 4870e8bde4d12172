using System.Globalization;
using Sparseland.Training;
using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Sparseland.LowRank;

/// <summary>When sparse spectral training draws other pairs and decomposes anew.</summary>
public sealed record SstSchedule
{
    /// <summary>Steps of an iteration, after which other pairs are drawn. Default 200.</summary>
    public long StepsPerIteration { get; init; } = 200;

    /// <summary>Iterations of a round, after which every weight is decomposed anew; null, the default, for m / r of each layer, which is one pass over the pairs in expectation. 0 for never.</summary>
    public int? IterationsPerRound { get; init; }

    /// <summary>Steps after a draw over which the rate of ALL parameters climbs to the schedule's again; 0 for at once. Default 20.</summary>
    public long WarmUp { get; init; } = 20;

    /// <summary>What a step's rate is multiplied by: min(1, (steps since the draw + 1) / warm-up), 1 before the second draw.</summary>
    /// <param name="step">Steps done before it, from 0.</param>
    public double FactorOf(long step) => step < StepsPerIteration || WarmUp == 0 ? 1 : Math.Min(1, ((step % StepsPerIteration) + 1.0) / WarmUp);

    /// <summary>Throws when a value is outside its range.</summary>
    /// <exception cref="ArgumentException">A value is outside its range.</exception>
    public void Validate()
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(StepsPerIteration);
        if (IterationsPerRound is < 0) throw new ArgumentOutOfRangeException(nameof(IterationsPerRound), IterationsPerRound, "IterationsPerRound must not be negative; 0 decomposes never.");
        if (WarmUp < 0 || WarmUp > StepsPerIteration) throw new ArgumentOutOfRangeException(nameof(WarmUp), WarmUp, $"WarmUp must be from 0 to StepsPerIteration, {StepsPerIteration}: the rate would never be the schedule's.");
    }
}

/// <summary>
/// Sparse spectral training (SST, Zhao et al. 2025): an optimizer that keeps the vectors of a network's <see cref="SpectralLinear"/> layers at unit length and their singular values from below zero, draws other pairs every few steps, forgets
/// the moments of the vectors then (those of s go on), warms the rate up again, and decomposes anew after each round.
/// </summary>
/// <remarks>
/// Where layers share a seed, the first keeps the draws of the seed and each other one gets its own, its first draw too where no other has followed it: otherwise layers of one shape would train the same pairs
/// throughout.
/// </remarks>
public sealed class SstOptimizer : WrappedOptimizer
{
    private readonly SpectralLinear[] _layers;

    /// <summary>Wraps a rule.</summary>
    /// <param name="inner">A new optimizer of the network; it is disposed with this.</param>
    /// <param name="model">The network, with <see cref="SpectralLinear"/> layers.</param>
    /// <param name="schedule">When it draws; null, the default, for the defaults of the record.</param>
    /// <exception cref="ArgumentException">The network has no such layer, an option is out of its range, or the inner rule has made steps or does not step a layer.</exception>
    public SstOptimizer(IOptimizer inner, nn.Module model, SstSchedule? schedule = null)
        : base(inner)
    {
        ArgumentNullException.ThrowIfNull(model);
        Schedule = schedule ?? new();
        Schedule.Validate();
        (string Name, SpectralLinear Layer)[] layers = [.. model.named_modules().Prepend(("", model)).Where(m => m.Item2 is SpectralLinear).Select(m => (m.Item1, (SpectralLinear)m.Item2)).DistinctBy(m => m.Item2, ReferenceEqualityComparer.Instance).Cast<(string, SpectralLinear)>()];
        if (layers.Length == 0) throw new ArgumentException("The network has no SpectralLinear; replace layers first.", nameof(model));
        HashSet<string> stepped = [.. inner.Parameters.Select(p => p.Name)];
        foreach ((string name, _) in layers)
        {
            string path = name.Length == 0 ? "active_U" : name + ".active_U";
            if (!stepped.Contains(path)) throw new ArgumentException($"The inner optimizer does not step {path}.", nameof(inner));
        }

        _layers = [.. layers.Select(l => l.Layer)];
        foreach (IGrouping<long, SpectralLinear> alike in _layers.GroupBy(l => l.Options.Seed))
        {
            int stream = 0;
            foreach (SpectralLinear layer in alike) layer.DrawAs(stream++);
        }
    }

    /// <summary>When it draws.</summary>
    public SstSchedule Schedule { get; }

    /// <summary>Iterations done.</summary>
    public long Iterations => Count / Schedule.StepsPerIteration;

    /// <inheritdoc/>
    public override string Name => "sst-" + Inner.Name;

    /// <inheritdoc/>
    public override IReadOnlyDictionary<string, string> Settings => new Dictionary<string, string>(Inner.Settings)
    {
        [nameof(SstSchedule.StepsPerIteration)] = Schedule.StepsPerIteration.ToString(CultureInfo.InvariantCulture), ["SstWarmUp"] = Schedule.WarmUp.ToString(CultureInfo.InvariantCulture),
        [nameof(SstSchedule.IterationsPerRound)] = Schedule.IterationsPerRound?.ToString(CultureInfo.InvariantCulture) ?? "m/r",
    };

    /// <inheritdoc/>
    /// <exception cref="ArgumentException">A singular value or weight is not finite when a draw is due; the layer is named.</exception>
    public override void Step(double rate)
    {
        Inner.Step(rate * Schedule.FactorOf(Count));
        foreach (SpectralLinear layer in _layers) layer.Normalize();
        if (Count % Schedule.StepsPerIteration != 0) return;
        foreach (SpectralLinear layer in _layers)
        {
            long round = Schedule.IterationsPerRound ?? Math.Max(1, layer.S.numel() / layer.Options.Rank);
            if (round > 0 && Iterations % round == 0) layer.Redecompose(Inner);
            else layer.Resample(Inner);
        }
    }

}
