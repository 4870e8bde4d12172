using Sparseland.Evaluation;
using Sparseland.Probabilistic;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Tests.Probabilistic;

public class BadInputTests
{
    private static readonly Tensor W = BruteForce.Gaussian(4, 6, 1);
    private static readonly Tensor Data = BruteForce.Gaussian(20, 6, 2);
    private static readonly BinarySparseCoding Model = new(W, 0.2, 1);

    [Fact]
    public void Truncations_that_do_not_fit_are_refused()
    {
        Refused("Candidates", () => Model.Expect(Data, new(5, 2)));
        Refused("Candidates", () => Model.Expect(Data, new(0, 0)));
        Refused("Active", () => Model.Expect(Data, new(3, 4)));
        Refused("Active", () => Model.Expect(Data, new(3, 0)));
        var large = new TernarySparseCoding(BruteForce.Gaussian(40, 6, 1), 0.1, 1);
        ArgumentException many = Assert.ThrowsAny<ArgumentException>(() => large.Expect(Data, new(30, 5)));
        Assert.Contains("states per point", many.Message, StringComparison.Ordinal);
        Assert.Contains("smaller gamma", many.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Parameters_outside_their_range_are_refused()
    {
        foreach (double pi in new[] { 0, 1, -0.1, double.NaN }) Refused("activity", () => new BinarySparseCoding(W, pi, 1));
        foreach (double sigma in new[] { 0, -1, double.NaN, double.PositiveInfinity }) Refused("sigma", () => new TernarySparseCoding(W, 0.2, sigma));
        Refused("values", () => new DiscreteSparseCoding(W, [1, 2], [0.5, 0.5], 1));
        Refused("values", () => new DiscreteSparseCoding(W, [0, 1, 1], [0.5, 0.25, 0.25], 1));
        Refused("probabilities", () => new DiscreteSparseCoding(W, [0, 1], [0.5, 0.4], 1));
        Refused("probabilities", () => new DiscreteSparseCoding(W, [0, 1], [1], 1));
        Refused("dictionary", () => new MaximalCauses(W, 0.2, 1));
        Refused("dictionary", () => new MaximalCauses(zeros(4, 6, dtype: ScalarType.Float64), 0.2, 1));
        Refused("hardness", () => new MaximalCauses(W.abs() + 1, 0.2, 1, (MaxHardness)7));
        Refused("dictionary", () => new BinarySparseCoding(W[..1], 0.2, 1));
        Refused("dictionary", () => new BinarySparseCoding(W.log(), 0.2, 1));
        Refused("dictionary", () => new BinarySparseCoding(W[0], 0.2, 1));
        Refused("activities", () => new SpikeSlabSparseCoding(W, [0.1], [0, 0, 0, 0], [1, 1, 1, 1], [1]));
        Refused("activities", () => new SpikeSlabSparseCoding(W, [0.1, 0.1, 0.1, 0], [0, 0, 0, 0], [1, 1, 1, 1], [1]));
        Refused("slabMeans", () => new SpikeSlabSparseCoding(W, [0.1, 0.1, 0.1, 0.1], [0, 0, 0, double.NaN], [1, 1, 1, 1], [1]));
        Refused("slabVariances", () => new SpikeSlabSparseCoding(W, [0.1, 0.1, 0.1, 0.1], [0, 0, 0, 0], [1, 1, 1, -1], [1]));
        Refused("noiseVariances", () => new SpikeSlabSparseCoding(W, [0.1, 0.1, 0.1, 0.1], [0, 0, 0, 0], [1, 1, 1, 1], [1, 1]));
        Refused("noiseVariances", () => new SpikeSlabSparseCoding(W, [0.1, 0.1, 0.1, 0.1], [0, 0, 0, 0], [1, 1, 1, 1], []));
    }

    [Fact]
    public void Data_that_does_not_fit_is_refused()
    {
        Tensor holed = Data.clone();
        holed[3, 2] = double.NaN;
        Assert.Contains("NaN", Refused("Y", () => Model.Expect(holed, new(3, 2))).Message, StringComparison.Ordinal);
        Refused("Y", () => Model.Expect(Data[.., ..5], new(3, 2)));
        Refused("Y", () => Model.Expect(Data[0], new(3, 2)));
        Refused("Y", () => Model.Expect(Data[..0], new(3, 2)));
        Refused("Y", () => Model.Expect(Data.to(ScalarType.Int64), new(3, 2)));
        Refused("Y", () => TruncatedEm.Run(Model, Data[..3], new() { Truncation = new(3, 2) }));
        Refused("Y", () => BinarySparseCoding.Initial(Data[..3], 4, 1));
        Refused("Y", () => BinarySparseCoding.Initial(ones(10, 3, dtype: ScalarType.Float64), 4, 1));
        Refused("components", () => BinarySparseCoding.Initial(Data, 1, 1));
        Refused("states", () => Model.Superpose(Data));
        Refused("count", () => Model.Sample(0, 1));
    }

    [Fact]
    public void Calls_outside_their_rules_are_refused()
    {
        Refused("annealing", () => Model.Expect(Data, new(3, 2), new(0.5)));
        Refused("annealing", () => Model.Expect(Data, new(3, 2), new(1, CutOut: 2)));
        Refused("threads", () => Model.Expect(Data, new(3, 2), threads: 0));
        Refused("Threads", () => TruncatedEm.Run(Model, Data, new() { Truncation = new(3, 2), Threads = -2 }));
        Refused("StartStep", () => TruncatedEm.Run(Model, Data, new() { Truncation = new(3, 2), StartStep = 101 }));
        Refused("topK", () => Model.Infer(Data, new(3, 2), topK: 0));
        Refused("topK", () => Model.Infer(Data, new(3, 2), topK: 9));
        Refused("adaptUpTo", () => Model.Infer(Data, new(3, 2), adaptUpTo: new(2, 2)));
        Refused("expectation", () => new BinarySparseCoding(W, 0.2, 1).Maximise(Model.Expect(Data, new(3, 2)), new(3, 2)));
        Refused("components", () => BarsTest.Dictionary(5));
        Refused("height", () => BarsTest.Dictionary(height: 0));
        Refused("restarts", () => TruncatedEm.Best(_ => Model, 0, Data, new() { Truncation = new(3, 2) }));
        Refused("noise", () => SpikeSlabSparseCoding.Initial(Data, 4, 1, (NoiseShape)5));
        var gsc = (SpikeSlabSparseCoding)BruteForce.Make("GSC");
        Refused("active", () => gsc.Slab(gsc.Sample(1, 1).Data[0], [1, 1]));
        Refused("active", () => new MaximalCauses(W.abs() + 1, 0.2, 1).SmoothMaximum([4]));
        using var cancel = new CancellationTokenSource();
        cancel.Cancel();
        Assert.ThrowsAny<OperationCanceledException>(() => Model.Expect(Data, new(3, 2), cancel: cancel.Token));
        Assert.ThrowsAny<OperationCanceledException>(() => Model.Infer(Data, new(3, 2), cancel: cancel.Token));
    }

    [Fact]
    public void Components_that_are_equal_or_never_used_do_not_make_numbers_that_are_not_finite()
    {
        using var scope = NewDisposeScope();
        foreach (string name in BruteForce.Names)
        {
            Tensor twice = cat([W[..2].abs() + 0.1, W[..2].abs() + 0.1]), data = BruteForce.Make(name, 4, 6).Sample(30, 3).Data;
            TruncatedSparseCoder model = name switch
            {
                "MCA" => new MaximalCauses(twice, 1e-4, 1),
                "MMCA" => new MaximumMagnitudeCauses(twice, 1e-4, 1),
                "BSC" => new BinarySparseCoding(twice, 1e-4, 1),
                "TSC" => new TernarySparseCoding(twice, 1e-4, 1),
                "DSC" => new DiscreteSparseCoding(twice, [0, 1], [0.9999, 0.0001], 1),
                _ => new SpikeSlabSparseCoding(twice, [1e-4, 1e-4, 1e-4, 1e-4], [0, 0, 0, 0], [1, 1, 1, 1], name == "GSC" ? [1] : [1, 1, 1, 1, 1, 1]),
            };
            TruncatedEmResult<TruncatedSparseCoder> result = TruncatedEm.Run(model, data, new() { Truncation = new(3, 2), Schedule = new() { Steps = 10 } });
            Assert.True(double.IsFinite(result.LogLikelihood) && double.IsFinite(result.Model.Sigma) && result.Model.Sigma > 0, name);
            Assert.True(result.Model.Dictionary().isfinite().all().item<bool>(), name);
        }
    }

    [Fact]
    public void Points_that_are_all_zero_are_explained_by_nothing()
    {
        using var scope = NewDisposeScope();
        TruncatedEmResult<BinarySparseCoding> result = TruncatedEm.Run(
            Model, zeros(20, 6, dtype: ScalarType.Float64), new() { Truncation = new(3, 2), Schedule = new() { Steps = 5 } });
        Assert.True(double.IsFinite(result.LogLikelihood));
        Assert.True(result.Model.Dictionary().isfinite().all().item<bool>());
    }

    [Fact]
    public void Dictionaries_that_cannot_be_compared_are_refused()
    {
        Refused("learned", () => DictionaryError.Of(W, W[.., ..5]));
        Refused("learned", () => DictionaryError.Of(W, W[..3]));
        Refused("reference", () => DictionaryError.Of(W[0], W));
        Assert.Equal(0, DictionaryError.Of(W, cat([-W, W.mul(3)]), eitherSign: true).Largest, 1e-15);
    }

    private static ArgumentException Refused(string name, Action call)
    {
        ArgumentException refused = Assert.ThrowsAny<ArgumentException>(call);
        Assert.Equal(name, refused.ParamName);
        return refused;
    }
}
