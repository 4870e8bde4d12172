using Sparseland.Solvers;

namespace Sparseland.Tests.Solvers;

public class EvolutionarySearchTests
{
    private static readonly double[] Target = [0.1, 0.4, 0.2, 0.3];

    [Fact]
    public void A_hidden_vector_is_found_under_a_constraint_that_every_judged_candidate_meets()
    {
        var judged = new List<double[]>();
        EvolutionState<double[]> state = Search(new() { Generations = 60, Population = 24, Elite = 6 }, judged: judged);
        Assert.All(judged, c => Assert.Equal(1, c.Sum(), 1e-12));
        Assert.True(state.BestLoss < 1e-3, $"{state.BestLoss}");
        Assert.Equal(24 + (60 * 18), state.Evaluations);
        Assert.Equal(61, state.BestLosses.Count);
        Assert.All(state.BestLosses.Zip(state.BestLosses.Skip(1)), pair => Assert.True(pair.Second <= pair.First));
        Assert.Equal(Loss(state.Best), state.BestLoss);
    }

    [Fact]
    public void A_search_taken_up_again_is_the_one_that_was_not_stopped()
    {
        EvolutionOptions options = new() { Generations = 9, Population = 10, Elite = 3, Seed = 7 };
        EvolutionState<double[]> whole = Search(options), half = Search(options with { Generations = 4 }), rest = Search(options, resume: half);
        Assert.Equal(whole.BestLosses, rest.BestLosses);
        Assert.Equal(whole.Best, rest.Best);
        Assert.Equal((whole.Evaluations, whole.Generation), (rest.Evaluations, rest.Generation));
        Assert.NotEqual(whole.BestLosses, Search(options with { Seed = 8 }).BestLosses);
    }

    [Fact]
    public void Candidates_without_a_finite_value_are_dropped_and_counted()
    {
        EvolutionState<double[]> state = Search(new() { Generations = 3, Population = 10, Elite = 3 }, loss: c => c[0] > 0.3 ? double.NaN : Loss(c));
        Assert.True(state.Dropped > 0);
        Assert.All(state.Population, c => Assert.True(c.Candidate[0] <= 0.3));
        Assert.Throws<ArgumentException>(() => Search(new(), loss: _ => double.PositiveInfinity));
    }

    [Fact]
    public void A_start_is_among_the_first_and_bad_options_are_refused()
    {
        Assert.Equal(0, Search(new() { Generations = 0, Population = 4, Elite = 1 }, start: [Target]).BestLoss, 1e-20);
        Assert.Throws<ArgumentOutOfRangeException>(() => Search(new() { Elite = 32 }));
        Assert.Throws<ArgumentOutOfRangeException>(() => Search(new() { Mutation = 2 }));
        Assert.Throws<ArgumentException>(() => Search(new() { Population = 2, Elite = 1 }, start: [Target, Target, Target]));
        Assert.Throws<OperationCanceledException>(() => Search(new(), cancel: new(canceled: true)));
    }

    private static double Loss(double[] c) => c.Zip(Target, (a, b) => (a - b) * (a - b)).Sum();

    private static EvolutionState<double[]> Search(
        EvolutionOptions options, Func<double[], double>? loss = null, IReadOnlyList<double[]>? start = null, EvolutionState<double[]>? resume = null, List<double[]>? judged = null, CancellationToken cancel = default)
        => EvolutionarySearch.Run(
            random => [.. Enumerable.Range(0, 4).Select(_ => random.NextDouble())],
            c =>
            {
                judged?.Add(c);
                return (loss ?? Loss)(c);
            },
            (c, random) => [.. c.Select(v => v + (0.05 * (random.NextDouble() - 0.5)))],
            (a, b, random) => [.. a.Zip(b, (x, y) => random.Next(2) == 0 ? x : y)],
            c => [.. c.Select(v => Math.Max(v, 1e-9)).Select(v => v / c.Sum(u => Math.Max(u, 1e-9)))],
            options, start, resume, cancel: cancel);
}
