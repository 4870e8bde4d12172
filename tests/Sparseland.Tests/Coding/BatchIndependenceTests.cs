using Sparseland.Coding;
using Sparseland.Penalties;
using Sparseland.Unmixing;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Tests.Coding;

/// <summary>The code of a sample is the same alone and beside others that are 1e5 times larger or smaller.</summary>
public sealed class BatchIndependenceTests
{
    private static readonly Dictionary<string, Func<Tensor, Tensor, Tensor>> Coders = new()
    {
        ["OMP"] = (X, D) => BatchOmp.Encode(X, D, 3).ToDense(),
        ["OMP to an error"] = (X, D) => BatchOmp.EncodeToError(X, D, 0.1).ToDense(),
        ["lasso, coordinates"] = (X, D) => new CoordinateCoder(new L1(0.1)).Encode(X, D).Codes,
        ["elastic net, coordinates"] = (X, D) => new CoordinateCoder(new ElasticNet(0.1, 0.05)).Encode(X, D).Codes,
        ["non-negative, coordinates"] = (X, D) => new CoordinateCoder(new NonNegative(new L1(0.1))).Encode(X, D).Codes,
        ["MCP, coordinates"] = (X, D) => new CoordinateCoder(new Mcp(0.2)).Encode(X, D).Codes,
        ["lasso, thresholding"] = (X, D) => new ThresholdCoder(new L1(0.1)).Encode(X, D).Codes,
        ["no zeros, thresholding"] = (X, D) => new ThresholdCoder(new L1(1e-6)).Encode(X, D).Codes,
        ["CEL0, thresholding"] = (X, D) => new ThresholdCoder(new Cel0(0.1)).Encode(X, D).Codes,
        ["weighted, thresholding"] = (X, D) => new ThresholdCoder(new WeightedL1(0.1, [.. Enumerable.Range(1, 30).Select(j => j / 15.0)])).Encode(X, D).Codes,
        ["LISTA"] = (X, D) => new Lista(D, 0.1, 3).forward(X),
        ["fully constrained"] = (X, D) => FullyConstrainedLeastSquares.Abundances(X.t(), D.t()).t(),
    };

    public static TheoryData<string, double> Cases()
    {
        var cases = new TheoryData<string, double>();
        foreach (string name in Coders.Keys)
        {
            cases.Add(name, 1e5);
            cases.Add(name, 1e-5);
        }

        return cases;
    }

    [Theory]
    [MemberData(nameof(Cases))]
    public void A_code_does_not_depend_on_its_neighbours(string name, double scale)
    {
        using var scope = NewDisposeScope();
        const int Samples = 40;
        Tensor D = CodingData.Dictionary(30, 20, 1), X = CodingData.Planted(D, Samples, 3, 2);
        foreach (int s in new[] { 0, 17, Samples - 1 })
        {
            Tensor batch = X * scale;
            batch[s] = X[s];
            Tensor alone = Coders[name](X.narrow(0, s, 1), D), together = Coders[name](batch, D).narrow(0, s, 1);
            double size = alone.abs().max().item<double>();
            Assert.True(size > 0);
            Assert.InRange(CodingData.MaxDifference(alone, together) / size, 0, 1e-6);
        }
    }

    [Fact]
    public void Every_sample_of_a_mixed_batch_is_as_good_as_the_tolerance_says()
    {
        using var scope = NewDisposeScope();
        Tensor D = CodingData.Dictionary(30, 20, 1), X = CodingData.Planted(D, 2, 3, 2);
        X[1] *= 1e5;
        using CodingResult mixed = new ThresholdCoder(new L1(0.1)).Encode(X, D);
        using CodingResult tight = new ThresholdCoder(new L1(0.1), new() { Tolerance = 1e-8 }).Encode(X, D);
        using CoordinateCodes exact = new CoordinateCoder(new L1(0.1), new() { Tolerance = 1e-14 }).Encode(X.narrow(0, 0, 1), D);
        Assert.True(mixed.Converged);
        Assert.InRange(CodingData.MaxDifference(exact.Codes, mixed.Codes.narrow(0, 0, 1)), 0, 1e-2);

        // Beside a strength that is tiny for it the large sample takes longer than the limit; the small one is done all the same.
        Assert.InRange(CodingData.MaxDifference(exact.Codes, tight.Codes.narrow(0, 0, 1)), 0, 1e-5);
    }

    [Fact]
    public void A_sample_that_no_atom_sees_forgets_its_start()
    {
        using var scope = NewDisposeScope();
        Tensor D = CodingData.Dictionary(30, 20, 1), X = CodingData.Planted(D, 3, 3, 2);
        X[1].zero_();
        using CodingResult result = new ThresholdCoder(new L1(0.1)).Encode(X, D, ones([3, 30], dtype: ScalarType.Float64));
        Assert.True(result.Converged);
        Assert.InRange(result.Codes[1].abs().max().item<double>(), 0, 1e-3);
        foreach (IPenalty penalty in new IPenalty[] { new L1(0.1), new Mcp(0.2) })
        {
            using CoordinateCodes codes = new CoordinateCoder(penalty).Encode(X, D, ones([3, 30], dtype: ScalarType.Float64));
            Assert.True(codes.Converged);
            Assert.Equal(0, codes.Codes[1].abs().max().item<double>());
        }
    }

    [Fact]
    public void Pursuit_of_a_view_with_a_tiny_sample_is_that_of_its_copy()
    {
        using var scope = NewDisposeScope();
        Tensor D = CodingData.Dictionary(30, 20, 1), X = CodingData.Planted(D, 40, 3, 2);
        X[5] *= 1e-180;
        Tensor view = X.t().contiguous().t();
        Assert.False(view.is_contiguous());
        Tensor expected = BatchOmp.Encode(X, D, 3).ToDense(), actual = BatchOmp.Encode(view, D, 3).ToDense();
        Assert.InRange(CodingData.MaxDifference(expected, actual), 0, 1e-12);
        Assert.True(actual[5].abs().max().item<double>() > 0);
    }
}
