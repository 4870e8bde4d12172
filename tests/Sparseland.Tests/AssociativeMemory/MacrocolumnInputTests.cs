using Sparseland.AssociativeMemory;

namespace Sparseland.Tests.AssociativeMemory;

public class MacrocolumnInputTests
{
    private static readonly MacOptions Options = new() { Inputs = 10, Q = 2, K = 3 };

    public static TheoryData<string, MacOptions> BadOptions() => new()
    {
        { "Inputs", Options with { Inputs = 0 } },
        { "Q", Options with { Q = 0 } },
        { "K", Options with { K = 0 } },
        { "K", Options with { Q = 1 << 20, K = 1 << 20 } },
        { "G0", Options with { G0 = 1 } },
        { "G0", Options with { G0 = -0.1 } },
        { "G0", Options with { G0 = double.NaN } },
        { "Gamma", Options with { Gamma = 0 } },
        { "Chi", Options with { Chi = double.PositiveInfinity } },
        { "FreezeFraction", Options with { FreezeFraction = 0 } },
        { "FreezeFraction", Options with { FreezeFraction = 1.1 } },
        { "MinActive", Options with { MinActive = 0 } },
        { "MaxActive", Options with { MinActive = 3, MaxActive = 2 } },
        { "TopDownCells", Options with { TopDownCells = -1 } },
        { "Normalizer", Options with { Normalizer = (InputNormalizer)7 } },
        { "Noise", Options with { Noise = (LearningNoise)7 } },
        { "Exponents", Options with { Exponents = new(1, 0, 1) } },
        { "Slope", Options with { Sigmoid = new LogisticSigmoid(0, 1) } },
        { "Shift", Options with { Sigmoid = new LogisticSigmoid(1, double.NaN) } },
        { "S4", Options with { Sigmoid = new GeneralizedSigmoid(S4: 0) } },
        { "Window", Options with { Permanence = new() { Window = 0 } } },
        { "Growth", Options with { Permanence = new() { Growth = 0 } } },
        { "Levels", Options with { Permanence = new() { Levels = 9 } } },
        { "Full", Options with { Backoff = new() { Full = 1.1 } } },
        { "Pair", Options with { Backoff = new() { Pair = double.NaN } } },
        { "Exponent", Options with { Hypotheses = new() { Exponent = -1 } } },
        { "Cap", Options with { Hypotheses = new() { Cap = 0 } } },
    };

    [Theory, MemberData(nameof(BadOptions))]
    public void An_option_out_of_range_is_named(string name, MacOptions options) =>
        Assert.Equal(name, Assert.Throws<ArgumentOutOfRangeException>(() => new Macrocolumn(options)).ParamName);

    [Fact]
    public void A_malformed_input_is_refused_before_anything_is_learned()
    {
        var mac = new Macrocolumn(Options);
        void Refused(MacInput input, string name, string says)
        {
            foreach (Action act in new Action[] { () => mac.Store(input), () => mac.Recall(input), () => mac.Choose(input), () => mac.Evidence(input), () => mac.WinProbabilities(input), () => mac.Learn(input, [0, 3]) })
            {
                var error = Assert.ThrowsAny<ArgumentException>(act);
                Assert.Equal(name, error.ParamName);
                Assert.Contains(says, error.Message, StringComparison.Ordinal);
            }
        }

        Refused(Array.Empty<int>(), "Active", "empty");
        Refused(new[] { 1, 10 }, "Active", "outside 0 .. 9");
        Refused(new[] { -1 }, "Active", "outside 0 .. 9");
        Refused(new[] { 1, 2, 1 }, "Active", "twice");
        Refused(new MacInput(null), "input", "no signal");
        Refused(new MacInput([1], [6, 0]), "Previous", "outside 0 .. 5");
        Refused(new MacInput([1], []), "Previous", "empty");
        Refused(new MacInput([1], TopDown: [0]), "TopDown", "TopDownCells is 0");
        Refused(new MacInput([1], PreviousBoost: double.NaN), "PreviousBoost", "finite");
        Assert.Throws<ArgumentNullException>(() => mac.Store(null!));
        Assert.Equal("signals", Assert.Throws<ArgumentException>(() => mac.Recall(new[] { 1 }, MacSignals.H)).ParamName);
        Assert.Equal("items[1]", Assert.ThrowsAny<ArgumentException>(() => mac.StoreAll([[1], []])).ParamName);
        Assert.Equal("items[0]", Assert.ThrowsAny<ArgumentException>(() => mac.RecallAll([[11]])).ParamName);
        Assert.Equal(0, mac.Steps);
        Assert.Equal(0, mac.WeightDensity);
    }

    [Fact]
    public void A_malformed_code_is_refused()
    {
        var mac = new Macrocolumn(Options);
        Assert.Contains("2 modules", Assert.Throws<ArgumentException>(() => mac.Learn(new[] { 1 }, [0])).Message, StringComparison.Ordinal);
        Assert.Contains("winners[1] is 2", Assert.Throws<ArgumentException>(() => mac.DecodeSupport([0, 2])).Message, StringComparison.Ordinal);
        Assert.Throws<ArgumentException>(() => mac.Decode([-1, 3], 2));
        Assert.Equal("count", Assert.Throws<ArgumentOutOfRangeException>(() => mac.Decode([0, 3], 11)).ParamName);
        Assert.Equal(0, mac.Steps);
    }

    [Fact]
    public void Sequences_must_be_told_apart()
    {
        var memory = new SequenceMemory(new Macrocolumn(Options));
        Assert.Throws<InvalidOperationException>(() => memory.Store([1]));
        Assert.Throws<InvalidOperationException>(() => memory.Recall([1]));
        memory.Begin();
        memory.Store([1]);
        Assert.Contains("End", Assert.Throws<InvalidOperationException>(memory.Begin).Message, StringComparison.Ordinal);
        Assert.Throws<InvalidOperationException>(() => memory.StoreSequence([[1]]));
        memory.End();
        memory.Begin();
        Assert.Throws<InvalidOperationException>(() => memory.Recall(null));
        memory.End();
        Assert.Equal("frames", Assert.Throws<ArgumentException>(() => memory.StoreSequence([])).ParamName);
        Assert.Equal("frames[1]", Assert.ThrowsAny<ArgumentException>(() => memory.StoreSequence([[1], [10]])).ParamName);
        Assert.Equal(1, memory.Mac.Steps);
        Assert.Equal("frames", Assert.ThrowsAny<ArgumentException>(() => memory.RecallSequence([[1], [2]], 1, 2)).ParamName);
        Assert.Equal("features", Assert.ThrowsAny<ArgumentException>(() => memory.RecallSequence([[1]], 2, 0)).ParamName);
        Assert.Equal("choiceSignals", Assert.Throws<ArgumentException>(() => new SequenceMemory(memory.Mac, MacSignals.H)).ParamName);
    }
}
