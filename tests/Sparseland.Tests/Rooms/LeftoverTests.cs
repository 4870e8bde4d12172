using Sparseland.Bayes;
using Sparseland.Coding;
using Sparseland.Data;
using Sparseland.Evaluation;
using Sparseland.Kernels;
using Sparseland.Penalties;
using Sparseland.Selection;
using Sparseland.Sketching;
using Sparseland.Solvers;
using Sparseland.Tests.Coding;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Tests.Rooms;

/// <summary>
/// A call leaves no tensor behind but its result: what it leaves stays in the caller's dispose scope, native memory that the collector does
/// not see, and grows with every call of a loop.
/// </summary>
public class LeftoverTests
{
    private static readonly Tensor D = CodingData.Dictionary(12, 10, 1).DetachFromDisposeScope();
    private static readonly Tensor X = CodingData.Planted(D, 60, 3, 2).DetachFromDisposeScope();
    private static readonly Tensor Single = X.to(ScalarType.Float32).DetachFromDisposeScope();
    private static readonly Tensor Phi = CodingData.Random(20, 40, 3).DetachFromDisposeScope();
    private static readonly Tensor Y = CodingData.Random(20, 1, 4).view(-1).DetachFromDisposeScope();

    private static readonly Tensor Eight = Single[.., ..8].DetachFromDisposeScope(), Transposed = X.t().DetachFromDisposeScope(), TransposedD = D.t().DetachFromDisposeScope();
    private static readonly Tensor Large = Single.mul(1e30f).DetachFromDisposeScope(), SingleD = D.to(ScalarType.Float32).DetachFromDisposeScope();

    private static readonly Dictionary<string, Func<IDisposable?>> Calls = new()
    {
        ["TopK per row"] = () => Select.TopK(Single, Budget.PerRow(3)).ToMask(),
        ["TopK per column"] = () => Select.TopK(Single, Budget.PerColumn(3)).ToMask(),
        ["TopK global"] = () => Select.TopK(X, Budget.Global(30)).ToMask(),
        ["TopK N:M"] = () => Select.TopK(Eight, Budget.NofM(2, 4)).ToMask(),
        ["prox"] = () => new L1(0.1).Prox(Single, 1),
        ["prox of a view"] = () => new LHalf(0.1).Prox(Transposed, 1),
        ["value"] = () => Nothing(new Scad(0.1).Value(X)),
        ["group prox"] = () => new GroupLasso(GroupPartition.Consecutive(10, 2), 0.1).Prox(X, 1),
        ["DenseMap"] = () => DenseMap.FromPhi(Single),
        ["LeastSquares"] = () => LeastSquares.FromPhi(Phi, Y),
        ["spectral norm"] = () => Nothing(SpectralNorm.SquaredBound(X)),
        ["coordinate descent"] = () => With(LeastSquares.FromPhi(Phi, Y), fit => new CoordinateDescent().Solve(fit, new L1(0.1))),
        ["proximal gradient"] = () => With(LeastSquares.FromPhi(Phi, Y), fit => new ProximalGradient().Solve(fit, new L1(0.1))),
        ["Lars"] = () => With(LeastSquares.FromPhi(Phi, Y), fit => Lars.Solve(fit)),
        ["Cosamp"] = () => With(LeastSquares.FromPhi(Phi, Y), fit => Cosamp.Solve(fit, 3)),
        ["Niht"] = () => With(LeastSquares.FromPhi(Phi, Y), fit => HardThresholding.Niht(fit, 3)),
        ["OMP"] = () => BatchOmp.Encode(X, D, 3),
        ["OMP, other scale"] = () => BatchOmp.Encode(Large, SingleD, 3),
        ["lasso codes"] = () => new CoordinateCoder(new L1(0.1)).Encode(X, D),
        ["thresholding"] = () => new ThresholdCoder(new L1(0.1)).Encode(X, D),
        ["gradient learning"] = () => new GradientDictionaryLearner(new ThresholdCoder(new L1(0.1)), new() { Atoms = 5, Batches = 2 }).Fit(X),
        ["K-SVD"] = () => Learned(new AlternatingDictionaryLearner(D, 0, new OmpCoder(2))),
        ["MOD"] = () => Learned(new AlternatingDictionaryLearner(D, 0, new OmpCoder(2), DictionaryUpdate.Mod)),
        ["online learning"] = () => Learned(new OnlineDictionaryLearner(X, new OmpCoder(2), new() { Atoms = 8 })),
        ["EM-SBL"] = () => EmSbl.Recover(Phi, Y, new() { Noise = NoiseModel.Known(0.1) }),
        ["fast SBL"] = () => FastSbl.Recover(Phi, Y, new() { Noise = NoiseModel.Known(0.1) }),
        ["debiased refit"] = () => DebiasedRefit.Fit(X, D, CodesOf()),
        ["unexplained variance"] = () => Nothing(ReconstructionError.FractionOfVarianceUnexplained(X, X)),
        ["dictionary match"] = () => Nothing(DictionaryMatch.Of(D, D)),
        ["patches"] = () => ImagePatches.DeadLeaves(size: 64, seed: 1),
        ["checked product"] = () => X.MatMul(TransposedD),
    };

    private static readonly Tensor Codes = BatchOmp.Encode(X, D, 2).ToDense().DetachFromDisposeScope();

    public static TheoryData<string> Names() => [.. Calls.Keys];

    [Theory]
    [MemberData(nameof(Names))]
    public void Nothing_is_left_but_the_result(string name)
    {
        Calls[name]()?.Dispose();
        using var scope = NewDisposeScope();
        using var caller = NewDisposeScope();
        Calls[name]()?.Dispose();
        Assert.Equal(0, caller.DisposablesCount);
    }

    private static Tensor CodesOf() => Codes;

    private static IDisposable? Nothing(object result) => result is null ? throw new InvalidOperationException() : null;

    private static IDisposable? With<T>(LeastSquares fit, Func<LeastSquares, T> use)
    {
        using (fit)
        {
            return Nothing(use(fit)!);
        }
    }

    private static AlternatingDictionaryLearner Learned(AlternatingDictionaryLearner learner)
    {
        learner.Fit(X, 2);
        return learner;
    }

    private static OnlineDictionaryLearner Learned(OnlineDictionaryLearner learner)
    {
        learner.Fit(X, 1);
        return learner;
    }
}
