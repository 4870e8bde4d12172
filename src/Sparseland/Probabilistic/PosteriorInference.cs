using Sparseland.Tensors;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Probabilistic;

/// <summary>What a model believes about the latents of some points.</summary>
/// <param name="States">The most probable states, best first, float64 [points, topK, components]; for a spike and slab the binary s.</param>
/// <param name="Probabilities">Their posterior probabilities within the truncation, float64 [points, topK].</param>
/// <param name="Activity">P(s_h is not 0 | y), float64 [points, components].</param>
/// <param name="Mean">E[s_h | y], for a spike and slab E[s_h z_h | y], float64 [points, components].</param>
/// <param name="Variance">Var[s_h z_h | y] of a spike and slab, float64 [points, components]; null for discrete latents.</param>
/// <param name="LogLikelihood">log sum_K p(s, y) of each point, in nats.</param>
/// <param name="Active">gamma that was used for each point; larger than asked for where inference adapted.</param>
public sealed record PosteriorInference(
    Tensor States, Tensor Probabilities, Tensor Activity, Tensor Mean, Tensor? Variance, double[] LogLikelihood, int[] Active) : IDisposable
{
    private readonly NativeSize _size = NativeSize.Of(States, Probabilities, Activity, Mean, Variance);

    /// <inheritdoc/>
    public void Dispose()
    {
        States.Dispose();
        Probabilities.Dispose();
        Activity.Dispose();
        Mean.Dispose();
        Variance?.Dispose();
        _size.Dispose();
    }

    /// <summary>Truncated posteriors of points.</summary>
    /// <param name="model">The model; no parameter changes.</param>
    /// <param name="Y">[points, features].</param>
    /// <param name="truncation">H' and gamma.</param>
    /// <param name="topK">States to report, at least 1 and at most as many as the truncation looks at. Default 1.</param>
    /// <param name="adaptUpTo">
    /// Where the best state of a point has gamma active components, more may be better still: H' and gamma are then raised by one for that
    /// point, again and again, up to these. Null keeps the truncation.
    /// </param>
    /// <param name="threads">Most threads; -1 for all. The result does not depend on it. Default -1.</param>
    /// <param name="progress">Points done, of those of the current truncation.</param>
    /// <param name="cancel">Checked between points.</param>
    /// <exception cref="ArgumentException">Shapes, values or a truncation do not fit.</exception>
    public static PosteriorInference Of(
        TruncatedSparseCoder model, Tensor Y, Truncation truncation, int topK = 1, Truncation? adaptUpTo = null, int threads = -1,
        IProgress<ProgressReport>? progress = null, CancellationToken cancel = default)
    {
        ArgumentNullException.ThrowIfNull(model);
        ArgumentNullException.ThrowIfNull(truncation);
        int components = model.Components, values = model.Values.Count;
        truncation.Validate(components, values);
        adaptUpTo?.Validate(components, values);
        if (adaptUpTo is not null && (adaptUpTo.Candidates < truncation.Candidates || adaptUpTo.Active < truncation.Active))
            throw new ArgumentException($"adaptUpTo is {adaptUpTo}, below the truncation {truncation} that it should raise.", nameof(adaptUpTo));
        double states = 1 + ((double)components * values) + StateSet.CountStates(truncation.Candidates, truncation.Active, values);
        if (topK < 1 || topK > states)
            throw new ArgumentOutOfRangeException(nameof(topK), topK, $"topK must be from 1 to the {states:N0} states of the truncation.");
        if (threads is 0 or < -1) throw new ArgumentOutOfRangeException(nameof(threads), threads, "threads must be positive, or -1 for all.");
        var into = new Answers(model, ProbabilisticInput.Data(Y, model.Features), topK);
        int[] open = [.. Enumerable.Range(0, (int)Y.shape[0])];
        while (open.Length > 0)
        {
            bool[] full = into.Fill(open, truncation, threads, progress, cancel);
            if (adaptUpTo is null) break;
            Truncation wider = truncation.Wider(components);
            wider = new(Math.Min(wider.Candidates, adaptUpTo.Candidates), Math.Min(wider.Active, adaptUpTo.Active));
            if (wider == truncation) break;
            truncation = wider;
            open = [.. open.Where((_, i) => full[i])];
        }

        return into.ToResult();
    }

    private sealed class Answers(TruncatedSparseCoder model, double[] data, int topK)
    {
        private readonly int _count = data.Length / model.Features, _components = model.Components;
        private readonly double[] _states = new double[data.Length / model.Features * topK * model.Components];
        private readonly double[] _probabilities = new double[data.Length / model.Features * topK];
        private readonly double[] _activity = new double[data.Length / model.Features * model.Components];
        private readonly double[] _mean = new double[data.Length / model.Features * model.Components];
        private readonly double[] _variance = new double[data.Length / model.Features * model.Components];
        private readonly double[] _log = new double[data.Length / model.Features];
        private readonly int[] _active = new int[data.Length / model.Features];

        /// <summary>Infers some points; says which have gamma active components in their best state.</summary>
        public bool[] Fill(int[] rows, Truncation truncation, int threads, IProgress<ProgressReport>? progress, CancellationToken cancel)
        {
            IPosteriorContext context = model.Prepare(StateSet.Build(truncation.Candidates, truncation.Active, model.Values.Count), 1);
            bool[] full = new bool[rows.Length];
            int done = 0;
            object gate = new();
            var options = new ParallelOptions { CancellationToken = cancel, MaxDegreeOfParallelism = threads };
            Parallel.For(0, rows.Length, options, () => (Point: context.NewPoint(), Best: new int[topK]), (i, _, work) =>
            {
                int n = rows[i];
                work.Point.Evaluate(data.AsSpan(n * model.Features, model.Features));
                _log[n] = work.Point.Normalise(1, false).LogLikelihood;
                _active[n] = truncation.Active;
                int at = n * _components;
                work.Point.Marginals(
                    model.Values, _activity.AsSpan(at, _components), _mean.AsSpan(at, _components), _variance.AsSpan(at, _components));
                Top(work.Point.Weight, work.Best);
                for (int k = 0; k < topK; k++)
                {
                    Span<double> state = _states.AsSpan(((n * topK) + k) * _components, _components);
                    state.Clear();
                    (int Component, int Value)[] found = work.Point.Describe(work.Best[k]);
                    foreach ((int component, int value) in found) state[component] = model.Values[value];
                    _probabilities[(n * topK) + k] = work.Point.Weight[work.Best[k]];
                    if (k == 0) full[i] = found.Length == truncation.Active;
                }

                if (progress is not null)
                {
                    lock (gate)
                    {
                        if (++done % 256 == 0 || done == rows.Length) progress.Report(new(done, rows.Length, $"gamma {truncation.Active}"));
                    }
                }

                return work;
            }, _ => { });
            return full;
        }

        public PosteriorInference ToResult() => new(
            tensor(_states, [_count, topK, _components]), tensor(_probabilities, [_count, topK]), tensor(_activity, [_count, _components]),
            tensor(_mean, [_count, _components]), model is SpikeSlabSparseCoding ? tensor(_variance, [_count, _components]) : null, _log, _active);

        /// <summary>Indices of the largest weights, largest first; ties go to the lower index.</summary>
        private static void Top(ReadOnlySpan<double> weights, int[] best)
        {
            int have = 0;
            for (int state = 0; state < weights.Length; state++)
            {
                if (have == best.Length && !(weights[state] > weights[best[have - 1]])) continue;
                int at = have < best.Length ? have++ : have - 1;
                for (; at > 0 && weights[state] > weights[best[at - 1]]; at--) best[at] = best[at - 1];
                best[at] = state;
            }
        }
    }

    /// <inheritdoc/>
    public override string ToString() => Readable.Of(this);
}
