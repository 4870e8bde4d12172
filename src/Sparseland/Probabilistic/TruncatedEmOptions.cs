using Sparseland.Tensors;

namespace Sparseland.Probabilistic;

/// <summary>Settings of <see cref="TruncatedEm"/>.</summary>
public sealed record TruncatedEmOptions
{
    /// <summary>H' and gamma.</summary>
    public required Truncation Truncation { get; init; }

    /// <summary>Steps, temperature, cut-out and noise. Default all at their own defaults.</summary>
    public AnnealingSchedule Schedule { get; init; } = new();

    /// <summary>Seed of all noise of the schedule. Default 0.</summary>
    public int Seed { get; init; }

    /// <summary>Most threads; -1 for all. Results do not depend on it. Default -1.</summary>
    public int Threads { get; init; } = -1;

    /// <summary>
    /// Steps already done: with the model that <see cref="OnStep"/> saw after them, the run goes on as if it had never stopped. Default 0.
    /// </summary>
    public int StartStep { get; init; }

    /// <summary>Called after every step with its record and the new model: for pictures, and to keep the last state of a run that is cancelled. Default null.</summary>
    public Action<TruncatedEmStep, TruncatedSparseCoder>? OnStep { get; init; }

    /// <summary>Throws when a value is outside its range or does not fit the model.</summary>
    /// <param name="model">The model to learn.</param>
    /// <exception cref="ArgumentException">A value is outside its range.</exception>
    public void Validate(TruncatedSparseCoder model)
    {
        ArgumentNullException.ThrowIfNull(model);
        ArgumentNullException.ThrowIfNull(Truncation);
        ArgumentNullException.ThrowIfNull(Schedule);
        Truncation.Validate(model.Components, model.Values.Count);
        Schedule.Validate();
        if (Threads is 0 or < -1) throw new ArgumentOutOfRangeException(nameof(Threads), Threads, "Threads must be positive, or -1 for all.");
        if (StartStep < 0 || StartStep > Schedule.Steps)
            throw new ArgumentOutOfRangeException(nameof(StartStep), StartStep, $"StartStep must be from 0 to the {Schedule.Steps} steps of the schedule.");
    }
}

/// <summary>One EM step. The likelihoods are those of the parameters before its M-step, with the noise of the schedule on parameters and data.</summary>
/// <param name="Step">Steps done, from 1.</param>
/// <param name="Temperature">T.</param>
/// <param name="LogLikelihood">Mean log sum_K p(s, y) at T = 1, in nats per point: a lower bound of the log-likelihood.</param>
/// <param name="FreeEnergy">The bound of the annealed posterior, at most <see cref="LogLikelihood"/>; see <see cref="ExpectationStep.FreeEnergy"/>.</param>
/// <param name="CutLogLikelihood">See <see cref="ExpectationStep.CutLogLikelihood"/>.</param>
/// <param name="Used">Points that the M-step used.</param>
/// <param name="Sigma">Noise after the step.</param>
/// <param name="Activity">pi after the step, mean over components.</param>
public sealed record TruncatedEmStep(
    int Step, double Temperature, double LogLikelihood, double FreeEnergy, double CutLogLikelihood, int Used, double Sigma, double Activity);

/// <summary>A learned model and how it was reached.</summary>
/// <typeparam name="TModel">Type of the model.</typeparam>
/// <param name="Model">Parameters after the last step.</param>
/// <param name="Trace">One record per step.</param>
/// <param name="Final">E-step of <see cref="Model"/> at T = 1 on all points, without cut-out.</param>
/// <param name="Seconds">Wall time.</param>
public sealed record TruncatedEmResult<TModel>(TModel Model, IReadOnlyList<TruncatedEmStep> Trace, ExpectationStep Final, double Seconds)
    where TModel : TruncatedSparseCoder
{
    /// <summary>Mean log sum_K p(s, y) of the training data under the final model, in nats per point: what restarts are chosen by.</summary>
    public double LogLikelihood => Final.LogLikelihood;

    /// <inheritdoc/>
    public override string ToString() => Readable.Of(this);
}
