using Sparseland.Tensors;

namespace Sparseland.Solvers;

/// <summary>How an evolutionary search goes.</summary>
public sealed record EvolutionOptions
{
    /// <summary>Candidates alive at a time, at least 2. Default 32.</summary>
    public int Population { get; init; } = 32;

    /// <summary>The best of them, which live on and are the parents of the others; from 1 to Population - 1. Default 8.</summary>
    public int Elite { get; init; } = 8;

    /// <summary>Generations after the first, at least 0. Default 10.</summary>
    public int Generations { get; init; } = 10;

    /// <summary>Chance that a child has two parents and not one, in [0, 1]. Default 0.5.</summary>
    public double Crossing { get; init; } = 0.5;

    /// <summary>Chance that a child of two parents is changed as well, in [0, 1]; one of a single parent always is. Default 0.5.</summary>
    public double Mutation { get; init; } = 0.5;

    /// <summary>Seed. Default 1.</summary>
    public long Seed { get; init; } = 1;

    /// <summary>Refuses options out of their range.</summary>
    /// <exception cref="ArgumentOutOfRangeException">One is.</exception>
    public void Validate()
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(Population, 2);
        if (Elite < 1 || Elite >= Population) throw new ArgumentOutOfRangeException(nameof(Elite), Elite, $"Elite must be from 1 to {Population - 1}, one less than Population.");
        ArgumentOutOfRangeException.ThrowIfNegative(Generations);
        if (!(Crossing is >= 0 and <= 1)) throw new ArgumentOutOfRangeException(nameof(Crossing), Crossing, "Crossing must lie in [0, 1].");
        if (!(Mutation is >= 0 and <= 1)) throw new ArgumentOutOfRangeException(nameof(Mutation), Mutation, "Mutation must lie in [0, 1].");
    }
}

/// <summary>A candidate and its value; small is good.</summary>
/// <typeparam name="T">What is searched.</typeparam>
/// <param name="Candidate">The candidate.</param>
/// <param name="Loss">Its value, finite.</param>
public sealed record JudgedCandidate<T>(T Candidate, double Loss);

/// <summary>Where an evolutionary search stands: its result, and what it goes on from.</summary>
/// <typeparam name="T">What is searched.</typeparam>
/// <param name="Generation">Generations done after the first.</param>
/// <param name="Population">The candidates alive, best first; of equal values the older first.</param>
/// <param name="BestLosses">The smallest value after the first generation and after each later one.</param>
/// <param name="Evaluations">Candidates judged.</param>
/// <param name="Dropped">Of these, those whose value was not finite.</param>
public sealed record EvolutionState<T>(int Generation, IReadOnlyList<JudgedCandidate<T>> Population, IReadOnlyList<double> BestLosses, int Evaluations, int Dropped)
{
    /// <summary>The best candidate.</summary>
    public T Best => Population[0].Candidate;

    /// <summary>The smallest value.</summary>
    public double BestLoss => Population[0].Loss;

    /// <inheritdoc/>
    public override string ToString() => Readable.Of(this);
}

/// <summary>
/// Search by selection, crossing and mutation (a (mu + lambda) strategy, see Beyer and Schwefel 2002): the best candidates live on, the others are replaced by their children. Whatever a constraint
/// asks for is restored by a projection after every operation, so that all candidates that are judged meet it.
/// </summary>
/// <remarks>The random numbers of a child depend on the seed, the generation and the child's number alone: a search that is stopped and taken up again gives the same as one that was not.</remarks>
public static class EvolutionarySearch
{
    /// <summary>Searches for a candidate of a small value.</summary>
    /// <typeparam name="T">What is searched; candidates are not changed in place.</typeparam>
    /// <param name="create">A candidate of the first generation.</param>
    /// <param name="loss">The value that is made small. NaN and infinities drop the candidate.</param>
    /// <param name="mutate">A candidate near another.</param>
    /// <param name="cross">A child of two.</param>
    /// <param name="project">The nearest candidate that meets the constraints; applied to every candidate before it is judged.</param>
    /// <param name="options">Null for the defaults.</param>
    /// <param name="start">Candidates that are among the first. Null, the default, for none.</param>
    /// <param name="resume">A state to go on from; null, the default, begins anew. <see cref="EvolutionOptions.Generations"/> counts from the very beginning.</param>
    /// <param name="generations">Is given the state after each generation, to be kept. Null, the default, for nothing.</param>
    /// <param name="progress">Generations done, with the smallest value.</param>
    /// <param name="cancel">Checked before each candidate is judged.</param>
    /// <exception cref="ArgumentException">An option out of its range, more starting candidates than the population, or no candidate of a finite value.</exception>
    public static EvolutionState<T> Run<T>(
        Func<Random, T> create, Func<T, double> loss, Func<T, Random, T> mutate, Func<T, T, Random, T> cross, Func<T, T> project, EvolutionOptions? options = null,
        IReadOnlyList<T>? start = null, EvolutionState<T>? resume = null, Action<EvolutionState<T>>? generations = null, IProgress<ProgressReport>? progress = null, CancellationToken cancel = default)
    {
        ArgumentNullException.ThrowIfNull(create);
        ArgumentNullException.ThrowIfNull(loss);
        ArgumentNullException.ThrowIfNull(mutate);
        ArgumentNullException.ThrowIfNull(cross);
        ArgumentNullException.ThrowIfNull(project);
        options ??= new();
        options.Validate();
        if (start?.Count > options.Population) throw new ArgumentException($"{start.Count} starting candidates do not fit a population of {options.Population}.", nameof(start));
        if (resume is { Population.Count: 0 }) throw new ArgumentException("The state to go on from has no candidates.", nameof(resume));
        EvolutionState<T> state = resume ?? Judged(new(0, [], [], 0, 0), [.. Enumerable.Range(0, options.Population).Select(i => i < start?.Count ? start[i] : create(RandomOf(options, 0, i)))]);
        if (resume is null) Report();
        while (state.Generation < options.Generations)
        {
            EvolutionState<T> parents = state with { Generation = state.Generation + 1, Population = [.. state.Population.Take(options.Elite)] };
            state = Judged(parents, [.. Enumerable.Range(0, options.Population - parents.Population.Count).Select(i => Child(parents, i))]);
            Report();
        }

        return state;

        void Report()
        {
            generations?.Invoke(state);
            progress?.Report(new(state.Generation, options.Generations, FormattableString.Invariant($"best {state.BestLoss:G5}")));
        }

        T Child(EvolutionState<T> parents, int number)
        {
            Random random = RandomOf(options, parents.Generation, number);
            T Parent() => parents.Population[random.Next(parents.Population.Count)].Candidate;
            T child = Parent();
            bool crossed = random.NextDouble() < options.Crossing;
            if (crossed) child = project(cross(child, Parent(), random));
            return !crossed || random.NextDouble() < options.Mutation ? mutate(child, random) : child;
        }

        EvolutionState<T> Judged(EvolutionState<T> kept, T[] candidates)
        {
            List<JudgedCandidate<T>> alive = [.. kept.Population];
            int dropped = 0;
            foreach (T candidate in candidates)
            {
                cancel.ThrowIfCancellationRequested();
                T allowed = project(candidate);
                double value = loss(allowed);
                if (double.IsFinite(value)) alive.Add(new(allowed, value));
                else dropped++;
            }

            if (alive.Count == 0) throw new ArgumentException($"None of the {candidates.Length} first candidates has a finite value.", nameof(loss));
            JudgedCandidate<T>[] ranked = [.. alive.OrderBy(c => c.Loss)];
            return new(kept.Generation, ranked, [.. kept.BestLosses, ranked[0].Loss], kept.Evaluations + candidates.Length, kept.Dropped + dropped);
        }
    }

    private static Random RandomOf(EvolutionOptions options, int generation, int number) =>
        new((int)(SeededRandom.Mix((ulong)options.Seed + SeededRandom.Mix(((ulong)generation << 32) + (ulong)number + 1)) >> 33));
}
