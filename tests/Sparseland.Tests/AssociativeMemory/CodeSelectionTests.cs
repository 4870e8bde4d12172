using FsCheck;
using FsCheck.Fluent;
using Sparseland.AssociativeMemory;
using Sparseland.Tensors;

namespace Sparseland.Tests.AssociativeMemory;

public class CodeSelectionTests
{
    private static readonly MacOptions Small = new() { Inputs = 40, Q = 30, K = 8 };

    [Theory]
    [InlineData(0, 0.125)]
    [InlineData(4, 0.4328)]
    [InlineData(6, 0.9030)]
    [InlineData(8, 0.9575)]
    [InlineData(12, 0.9746)]
    public void One_stored_item_is_shared_as_the_closed_form_says(int overlap, double expected)
    {
        (Macrocolumn mac, int[] item, int[] code) = OneItem(Small);
        double[] rho = mac.WinProbabilities(BinaryPatterns.WithOverlap(item, Small.Inputs, overlap, 3));
        Assert.All(code, cell => Assert.Equal(expected, rho[cell], 1e-4));
        Assert.All(code, cell => Assert.Equal(ClosedForm(overlap / 12.0), rho[cell], 1e-12));
    }

    [Fact]
    public void Draws_follow_the_probabilities_at_every_overlap()
    {
        // 2000 draws of 30 independent modules: the mean share of shared winners, within four standard errors.
        (Macrocolumn mac, int[] item, int[] code) = OneItem(Small);
        const int draws = 2000;
        for (int overlap = 0; overlap <= 12; overlap++)
        {
            MacInput cue = BinaryPatterns.WithOverlap(item, Small.Inputs, overlap, overlap);
            double mean = 0, p = ClosedForm(overlap / 12.0);
            for (int draw = 0; draw < draws; draw++) mean += CodeMetrics.Overlap(mac.Choose(cue, draw: draw).Winners, code) / draws;
            Assert.InRange(mean, p - Margin(p), p + Margin(p));
        }

        double Margin(double p) => 4 * Math.Sqrt(p * (1 - p) / (draws * Small.Q));
    }

    [Fact]
    public void The_curve_never_falls_and_starts_at_chance() => Prop.ForAll<int>(The_curve_never_falls_and_starts_at_chanceFor).QuickCheckThrowOnFailure();

    private static void The_curve_never_falls_and_starts_at_chanceFor(int seed)
    {
        var random = new SeededRandom(seed);
        int s = 2 + random.NextInt(20);
        var options = new MacOptions
        {
            Inputs = 3 * s,
            Q = 1 + random.NextInt(5),
            K = 1 + random.NextInt(20),
            G0 = random.NextDouble() * 0.9,
            Gamma = 0.5 + (4 * random.NextDouble()),
            Chi = 200 * random.NextDouble(),
            Sigmoid = new LogisticSigmoid(1 + (40 * random.NextDouble()), 20 * random.NextDouble()),
            Seed = seed,
        };
        var mac = new Macrocolumn(options);
        int[] item = BinaryPatterns.Random(options.Inputs, s, 1, seed)[0], code = mac.Store(item).Winners;
        double last = 0;
        for (int overlap = 0; overlap <= s; overlap++)
        {
            int[] cue = BinaryPatterns.WithOverlap(item, options.Inputs, overlap, seed);
            double shared = mac.WinProbabilities(cue)[code[0]];
            Assert.True(shared >= last - 1e-12, $"{shared} after {last} at {overlap} of {s}");
            if ((double)overlap / s <= options.G0) Assert.Equal(1.0 / options.K, shared, 1e-15);
            if (overlap > 0) Assert.Equal(code, mac.Recall(cue).Winners);
            last = shared;
        }
    }

    [Fact]
    public void The_steps_one_after_another_are_the_whole()
    {
        var mac = new Macrocolumn(Small with { Q = 64 });
        int[][] items = BinaryPatterns.GradedFamilies(40, 12, 3, 5, 1);
        mac.StoreAll(items);
        foreach (int[] cue in items)
        {
            double[] v = CodeSelection.Evidence(mac.BottomUpSupport(cue));
            Assert.Equal(v, mac.Evidence(cue));
            double g = CodeSelection.Familiarity(v, 8);
            Assert.Equal(CodeSelection.Maxima(v, 8).Average(), g, 1e-15);
            double eta = CodeSelection.Expansivity(g, mac.Options);
            double[] rho = CodeSelection.Probabilities(CodeSelection.WinWeights(v, eta, mac.Options.Sigmoid), 8);
            Assert.Equal(rho, mac.WinProbabilities(cue));
            CodeResult whole = mac.Choose(cue);
            Assert.Equal((g, eta), (whole.Familiarity, whole.Expansivity));
            Assert.Equal(CodeSelection.Draw(rho, 8, mac.Options.Seed, mac.Steps), whole.Winners);
        }
    }

    [Fact]
    public void Noise_follows_the_familiarity_of_the_whole_not_of_a_module()
    {
        // Module 0 knows the input, module 1 does not: both are judged by G = 0.5.
        double[] v = [1, 0, 0, 0];
        double g = CodeSelection.Familiarity(v, 2);
        Assert.Equal(0.5, g);
        var options = new MacOptions { Inputs = 1, Q = 2, K = 2, G0 = 0.2 };
        double eta = CodeSelection.Expansivity(g, options);
        Assert.Equal(1 + (0.375 * 0.375 * 100 * 2), eta, 1e-12);
        double[] rho = CodeSelection.Probabilities(CodeSelection.WinWeights(v, eta, options.Sigmoid), 2);
        double top = options.Sigmoid.Weight(1, eta), bottom = options.Sigmoid.Weight(0, eta);
        Assert.Equal([top / (top + bottom), bottom / (top + bottom), 0.5, 0.5], rho.Select(r => Math.Round(r, 15)), (a, b) => Math.Abs(a - b) < 1e-14);
    }

    [Fact]
    public void Both_sigmoids_are_one_where_their_constants_say_so()
    {
        var logistic = new LogisticSigmoid(28, 12);
        var general = new GeneralizedSigmoid(1, 28, 12.0 / 28, 1);
        double[] v = [.. Enumerable.Range(0, 101).Select(i => i / 100.0)], a = new double[101], b = new double[101];
        logistic.Weights(v, 801, a);
        general.Weights(v, 801, b);
        for (int i = 0; i < v.Length; i++)
        {
            Assert.Equal(1, b[i] / a[i], 1e-10);
            Assert.Equal(1, logistic.Weight(v[i], 801) / a[i], 1e-12);
            Assert.Equal(1, a[0] > 1 && (i == 0 || a[i] > a[i - 1]) ? 1 : 0);
        }

        // (eta - 1) / (1 + 2 exp(-3 (V - 0.5)))^4 + 1 at V = 0.5: 800 / 81 + 1.
        Assert.Equal((800.0 / 81) + 1, new GeneralizedSigmoid(2, 3, 0.5, 4).Weight(0.5, 801), 1e-12);
        Assert.Equal(1, logistic.Weight(0.7, 1));
    }

    [Fact]
    public void Ties_are_broken_evenly_and_only_among_the_best()
    {
        double[] v = [0.5, 0.2, 0.5, 0.5, 0.1];
        var wins = new int[5];
        const int draws = 3000;
        for (int draw = 0; draw < draws; draw++) wins[CodeSelection.DrawMax(v, 5, 1, draw)[0]]++;
        Assert.Equal(0, wins[1] + wins[4]);
        Assert.All(new[] { 0, 2, 3 }, i => Assert.InRange(wins[i], 900, 1100));
        Assert.Equal(CodeSelection.DrawMax(v, 5, 7, 3), CodeSelection.DrawMax(v, 5, 7, 3));
        Assert.Equal([3, 5], CodeSelection.DrawMax([0, 0, 0, 1, 0, 2, 0, 0], 4, 1));
    }

    [Fact]
    public void Hypotheses_are_the_mean_number_of_best_cells()
    {
        Assert.Equal(2, CodeSelection.Hypotheses([1, 1, 0, 0, 0.5, 0.5], 3));
        Assert.Equal(1, CodeSelection.Hypotheses([1, 0.9, 0.2, 0.3], 2));
        Assert.Equal(0, CodeSelection.Hypotheses([0, 0, 0, 0], 2));
    }

    [Fact]
    public void Evidence_multiplies_the_powers_of_what_is_there()
    {
        double[] u = [0.5, 1], h = [0.25, 0.5], d = [1, 0.1];
        Assert.Equal([0.5, 1], CodeSelection.Evidence(u));
        Assert.Equal([0.125, 0.5], CodeSelection.Evidence(u, h));
        double[] all = CodeSelection.Evidence(u, h, d, new(2, 0.5, 3));
        Assert.Equal(0.25 * 0.5, all[0], 1e-15);
        Assert.Equal(Math.Sqrt(0.5) * 0.001, all[1], 1e-15);
    }

    [Fact]
    public void Bad_input_is_refused()
    {
        Assert.Equal("u", Assert.Throws<ArgumentException>(() => CodeSelection.Evidence(null)).ParamName);
        Assert.Equal("h", Assert.Throws<ArgumentException>(() => CodeSelection.Evidence([1, 2], [1])).ParamName);
        Assert.Equal("k", Assert.Throws<ArgumentException>(() => CodeSelection.Familiarity([1, 2, 3], 2)).ParamName);
        Assert.Throws<ArgumentException>(() => CodeSelection.DrawMax([], 2, 1));
        Assert.Contains("NaN", Assert.Throws<ArgumentException>(() => CodeSelection.DrawMax([0, double.NaN], 2, 1)).Message, StringComparison.Ordinal);
        Assert.Throws<ArgumentException>(() => CodeSelection.Draw([0.5, double.NaN], 2, 1));
        Assert.Throws<ArgumentException>(() => CodeSelection.Probabilities([1, 0], 2));
        Assert.Throws<ArgumentOutOfRangeException>(() => CodeSelection.Expansivity(double.NaN, Small));
        Assert.Throws<ArgumentOutOfRangeException>(() => CodeSelection.Expansivity(1.1, Small));
        Assert.Throws<ArgumentOutOfRangeException>(() => CodeSelection.WinWeights([0.5], 0.5, Small.Sigmoid));
    }

    internal static double ClosedForm(double g)
    {
        double eta = 1 + (Math.Pow(Math.Max(0, (g - 0.2) / 0.8), 2) * 100 * 8);
        double Mu(double v) => 1 + ((eta - 1) / (1 + Math.Exp(6 - (14 * v))));
        return Mu(g) / (Mu(g) + (7 * Mu(0)));
    }

    private static (Macrocolumn Mac, int[] Item, int[] Code) OneItem(MacOptions options)
    {
        var mac = new Macrocolumn(options);
        int[] item = BinaryPatterns.Random(options.Inputs, 12, 1, 5)[0];
        return (mac, item, mac.Store(item).Winners);
    }
}
