using Sparseland.Coding;
using Sparseland.Penalties;
using Sparseland.Solvers;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Tests.Coding;

/// <summary>Transposed and strided views, extreme scales, and cancelling in the middle: what users have that tests of algorithms do not.</summary>
public class ViewsAndScalesTests
{
    public static TheoryData<string> Names() => [.. Calls.Keys];

    // Each gives numbers that must not depend on how its arguments lie in memory.
    private static readonly Dictionary<string, Func<Tensor, Tensor, Tensor>> Calls = new()
    {
        ["OMP"] = (X, D) => BatchOmp.Encode(X, D, 3).ToDense(),
        ["OMP to an error"] = (X, D) => BatchOmp.EncodeToError(X, D, 0.1).ToDense(),
        ["lasso"] = (X, D) => new CoordinateCoder(new L1(0.1)).Encode(X, D).Codes,
        ["MCP"] = (X, D) => new CoordinateCoder(new Mcp(0.2)).Encode(X, D).Codes,
        ["thresholding"] = (X, D) => new ThresholdCoder(new L1(0.1)).Encode(X, D).Codes,
        ["V1"] = (X, D) => new ThresholdCoder(new Cel0(0.1), ThresholdCoderOptions.V1).Encode(X, D).Codes,
        ["K-SVD"] = (X, D) => Alternating(X, D, DictionaryUpdate.KSvd),
        ["approximate K-SVD"] = (X, D) => Alternating(X, D, DictionaryUpdate.ApproximateKSvd),
        ["MOD"] = (X, D) => Alternating(X, D, DictionaryUpdate.Mod),
        ["online learning"] = (X, D) =>
        {
            using var learner = new OnlineDictionaryLearner(X, new CoordinateCoder(new L1(0.1)), new() { Atoms = 12, BatchSize = 50 });
            learner.Fit(X, 1);
            learner.Step(X);
            return learner.Dictionary.clone();
        },
        ["gradient learning"] = (X, D) =>
        {
            var learner = new GradientDictionaryLearner(new ThresholdCoder(new L1(0.1)), new() { Atoms = 12, Batches = 3 });
            using var state = DictionaryState.From(D);
            return learner.Fit(X, state).Dictionary;
        },
        ["MOD step"] = (X, D) => Mod.Update(X, BatchOmp.Encode(X, D, 3).ToDense(), D),
        ["LISTA"] = (X, D) => new Lista(D, 0.1, 3).forward(X),
    };

    [Theory]
    [MemberData(nameof(Names))]
    public void Views_give_what_their_copies_give(string name)
    {
        using var scope = NewDisposeScope();
        Tensor D = CodingData.Dictionary(12, 10, 1), X = CodingData.Planted(D, 200, 3, 2) + 0.01 * CodingData.Random(200, 10, 3);
        Tensor expected = Calls[name](X, D);
        Tensor transposedX = X.t().contiguous().t(), transposedD = D.t().contiguous().t();
        Assert.False(transposedX.is_contiguous() || transposedD.is_contiguous());
        Tensor wide = zeros(200, 30, dtype: ScalarType.Float64);
        Tensor strided = wide.slice(1, 5, 25, 2);
        strided.copy_(X);
        Assert.InRange(CodingData.MaxDifference(expected, Calls[name](transposedX, transposedD)), 0, 1e-9);
        Assert.InRange(CodingData.MaxDifference(expected, Calls[name](strided, D)), 0, 1e-9);
    }

    [Theory]
    [InlineData(ScalarType.Float32, 1e20)]
    [InlineData(ScalarType.Float32, 1e-20)]
    [InlineData(ScalarType.Float32, 1e-30)]
    [InlineData(ScalarType.Float64, 1e160)]
    [InlineData(ScalarType.Float64, 1e-200)]
    public void Pursuit_knows_no_scale(ScalarType type, double scale)
    {
        using var scope = NewDisposeScope();
        Tensor D = CodingData.Dictionary(30, 20, 1, type), X = CodingData.Planted(D, 50, 3, 2);
        using PursuitResult plain = BatchOmp.Encode(X, D, 3), scaled = BatchOmp.Encode(X.mul(scale), D, 3);
        Assert.Equal(plain.Indices.data<long>().ToArray(), scaled.Indices.data<long>().ToArray());
        double difference = CodingData.MaxDifference(plain.Values, scaled.Values.div(scale));
        Assert.InRange(difference, 0, type == ScalarType.Float32 ? 1e-4 : 1e-12);

        // One sample of another size among the others.
        Tensor mixed = X.clone();
        mixed[7] *= scale;
        using PursuitResult together = BatchOmp.Encode(mixed, D, 3);
        Assert.Equal(plain.Indices.data<long>().ToArray(), together.Indices.data<long>().ToArray());
    }

    [Fact]
    public void Scales_that_leave_the_type_are_refused_with_the_reason()
    {
        using var scope = NewDisposeScope();
        Tensor D = CodingData.Dictionary(12, 10, 1, ScalarType.Float32), X = CodingData.Planted(D, 20, 3, 2);
        Assert.Contains("Float32", Assert.Throws<ArgumentException>(() => new ThresholdCoder(new L1(0.1)).Encode(X * 1e20f, D)).Message);
        Assert.Contains("scale the dictionary", Assert.Throws<ArgumentException>(() => BatchOmp.Encode(X, D * 1e20f, 3)).Message);
        Tensor wide = X.to(ScalarType.Float64);
        Assert.Contains("scale X", Assert.Throws<ArgumentException>(() => new CoordinateCoder(new L1(0.1)).Encode(wide * 1e200, D.to(ScalarType.Float64))).Message);
        Tensor phi = tensor(new double[,] { { 1 }, { 2 }, { 3 } });
        Assert.Contains("scale", Assert.Throws<ArgumentException>(() => DenseMap.FromPhi(phi * 1e160)).Message);

        // Within the range of double nothing changes with the scale.
        SolveResult one = new ProximalGradient().Solve(LeastSquares.FromPhi(phi, tensor(new double[] { 1, 2, 2 })), new L1(0.5));
        SolveResult large = new ProximalGradient().Solve(LeastSquares.FromPhi(phi * 1e100, tensor(new double[] { 1, 2, 2 })), new L1(0.5e100));
        Assert.True(one.Converged && large.Converged);
        Assert.Equal(1, large.Coefficients[0] * 1e100 / one.Coefficients[0], 1e-5);
    }

    [Fact]
    public void A_coder_stops_within_blocks_of_samples()
    {
        // Asked while it works, a coder stops long before it would be done: the whole takes half a minute, so that 10 s leave room for
        // the tests that run beside this one. Both threads are this test's own, since others hold those of the pool.
        using var scope = NewDisposeScope();
        Tensor D = CodingData.Dictionary(1500, 700, 1), X = CodingData.Random(3000, 700, 2);
        foreach (ISparseCoder coder in new ISparseCoder[] { new CoordinateCoder(new L1(0.02), new() { Tolerance = 1e-12 }), new OmpCoder(300) })
        {
            using var cancel = new CancellationTokenSource();
            Exception? end = null;
            var work = new Thread(() => end = Record.Exception(() => coder.Codes(X, D, null, cancel.Token).Dispose()));
            work.Start();
            Thread.Sleep(1500);
            Assert.True(work.IsAlive, $"{coder.Name} was done before it could be cancelled.");
            cancel.Cancel();
            Assert.True(work.Join(TimeSpan.FromSeconds(10)), $"{coder.Name} goes on after it was asked to stop.");
            Assert.IsAssignableFrom<OperationCanceledException>(end);
        }
    }

    private static Tensor Alternating(Tensor X, Tensor D, DictionaryUpdate update)
    {
        using var learner = new AlternatingDictionaryLearner(D, 0, new OmpCoder(3), update, new() { ReplaceAtoms = false });
        learner.Fit(X, 2);
        return learner.Dictionary.clone();
    }
}
