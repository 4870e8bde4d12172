using Sparseland.Coding;
using Sparseland.Evaluation;
using Sparseland.Penalties;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Tests.Coding;

public sealed class DictionaryLearnersTests
{
    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void KSvdNeverIncreasesTheError(bool approximate)
    {
        using Tensor truth = CodingData.Dictionary(24, 12, 1), X = CodingData.Planted(truth, 300, 3, 2), D = CodingData.Dictionary(24, 12, 3);
        using Tensor codes = new OmpCoder(3).Codes(X, D);
        double before = Error(X, codes, D);
        using Tensor supports = codes.ne(0);
        for (int sweep = 0; sweep < 4; sweep++)
        {
            KSvd.Sweep(X, codes, D, approximate);
            double after = Error(X, codes, D);
            Assert.True(after <= before * (1 + 1e-12), $"{before} to {after}");
            before = after;
        }

        Assert.True(codes.ne(0).logical_and(supports.logical_not()).any().item<bool>() is false);
        Assert.True((D.norm(1) - 1).abs().max().item<double>() < 1e-12);
    }

    [Fact]
    public void KSvdFitsARankOneProblemAtOnce()
    {
        // One atom that all use: the best rank-one fit is the leading singular pair.
        using Tensor X = CodingData.Random(40, 6, 4), D = CodingData.Dictionary(1, 6, 5), codes = ones([40, 1], dtype: ScalarType.Float64);
        KSvd.Sweep(X, codes, D);
        (_, Tensor S, _) = linalg.svd(X, fullMatrices: false);
        double[] singular = S.data<double>().ToArray();
        Assert.Equal(singular.Skip(1).Sum(v => v * v), Error(X, codes, D), 1e-9);
    }

    [Fact]
    public void ModIsTheLeastSquaresDictionary()
    {
        using Tensor truth = CodingData.Dictionary(10, 8, 6), X = CodingData.Planted(truth, 200, 3, 7), start = CodingData.Dictionary(10, 8, 8);
        using Tensor codes = new OmpCoder(3).Codes(X, start);
        codes.select(1, 4).zero_();
        using Tensor updated = Mod.Update(X, codes, start);

        // Unit directions of numpy.linalg.pinv(A) X; here by an independent route, least squares by QR on the used atoms.
        long[] used = [0, 1, 2, 3, 5, 6, 7, 8, 9];
        using Tensor solved = linalg.lstsq(codes.index_select(1, tensor(used)), X).Solution;
        using Tensor unit = solved.div(solved.norm(1, keepdim: true));
        Assert.True(CodingData.MaxDifference(unit, updated.index_select(0, tensor(used))) < 1e-9);
        Assert.True(CodingData.MaxDifference(start[4], updated[4]) == 0);
    }

    [Theory]
    [InlineData(DictionaryUpdate.Mod, 0.80)]
    [InlineData(DictionaryUpdate.KSvd, 0.85)]
    [InlineData(DictionaryUpdate.ApproximateKSvd, 0.80)]
    public void PlantedAtomsComeBack(DictionaryUpdate update, double least)
    {
        // Claim 5 of the core: the K-SVD paper's experiment, at 20 dB.
        using Tensor truth = CodingData.Dictionary(50, 20, 9), X = Signals(truth, 1500, 3, 20, 10);
        using var learner = new AlternatingDictionaryLearner(X, new OmpCoder(3), update, new LearnerOptions { Atoms = 50, Seed = 1 });
        IReadOnlyList<LearningStep> steps = learner.Fit(X, 60);
        double recovered = DictionaryMatch.Of(truth, learner.Dictionary).Recovered(0.99);
        Assert.True(recovered >= least, $"{recovered}");
        Assert.True(steps[^1].Objective < 0.5 * steps[0].Objective);
        Assert.Equal(60, learner.Iterations);
    }

    [Fact]
    public void OnlineFindsPlantedAtomsWithEveryKindOfCoder()
    {
        using Tensor truth = CodingData.Dictionary(16, 16, 11), signed = Signals(truth, 2000, 2, 25, 12), positive = CodingData.Planted(truth, 2000, 2, 12);
        foreach (ISparseCoder coder in new ISparseCoder[] { new CoordinateCoder(new L1(0.1)), new CoordinateCoder(new Mcp(0.3)), new OmpCoder(2), new CoordinateCoder(new NonNegative(new L1(0.1))), new ThresholdCoder(new L1(0.1)) })
        {
            Tensor X = coder is CoordinateCoder { Penalty: NonNegative } ? positive : signed;
            using var learner = new OnlineDictionaryLearner(X, coder, new LearnerOptions { Atoms = 16, BatchSize = 100, Seed = 2 });
            IReadOnlyList<LearningStep> steps = learner.Fit(X, 60);
            double recovered = DictionaryMatch.Of(truth, learner.Dictionary).Recovered(0.95);
            
            // The loop of the V1 paper stops its codes early, and then needs far more mini-batches.
            Assert.True(recovered >= (coder is ThresholdCoder ? 0.25 : 0.75), $"{coder.Name}: {recovered}");
            Assert.True(steps[^1].Objective < steps[0].Objective, coder.Name);
            Assert.True(learner.Dictionary.norm(1).max().item<double>() <= 1 + 1e-12);
        }
    }

    [Fact]
    public void OneOnlineStepIsMairalsByHand()
    {
        using Tensor X = CodingData.Random(6, 5, 13);
        var coder = new CoordinateCoder(new L1(0.05));
        using var learner = new OnlineDictionaryLearner(X, coder, new LearnerOptions { Atoms = 4, ReplaceAtoms = false });
        using Tensor before = learner.Dictionary.clone(), codes = coder.Codes(X, before);
        learner.Step(X);
        using Tensor A = codes.t().mm(codes), B = codes.t().mm(X), D = before.clone();
        for (int j = 0; j < 4; j++)
        {
            using var scope = NewDisposeScope();
            Tensor d = D[j].add(B[j].sub(A[j].unsqueeze(0).mm(D).view(-1)).div(A[j, j]));
            double norm = d.norm().item<double>();
            D[j] = norm > 1 ? d.div(norm) : d;
        }

        Assert.True(CodingData.MaxDifference(D, learner.Dictionary) < 1e-12);
    }

    [Fact]
    public void UnusedAtomsBecomeTheWorstRepresentedSamples()
    {
        // Thirty samples with one atom each leave ten of forty atoms at least; those become samples that shared an atom.
        using Tensor start = CodingData.Dictionary(40, 10, 14), X = CodingData.Random(30, 10, 15);
        using var learner = new AlternatingDictionaryLearner(start, 0, new OmpCoder(1), DictionaryUpdate.ApproximateKSvd);
        LearningStep first = learner.Step(X), second = learner.Step(X);
        Assert.True(first.Replaced >= 1);
        Assert.True(second.MeanSquaredError < first.MeanSquaredError, $"{first.MeanSquaredError} to {second.MeanSquaredError}");
        using var keeps = new AlternatingDictionaryLearner(start, 0, new OmpCoder(1), DictionaryUpdate.Mod, new LearnerOptions { ReplaceAtoms = false });
        Assert.Equal(0, keeps.Step(X).Replaced);
    }

    [Fact]
    public void TheLessUsedOfTwoCopiesIsSuperfluous()
    {
        using Tensor D = CodingData.Dictionary(5, 8, 19);
        D[1] = D[4].neg();
        Assert.Equal([1], Atoms.Superfluous(D, [3, 2, 9, 1, 5], 1, 0.99));
        Assert.Equal([0, 4], Atoms.Superfluous(D, [0, 7, 9, 1, 5], 1, 0.99));
        Assert.Equal([0], Atoms.Superfluous(D, [0, 7, 9, 1, 5], 1, 1));
    }

    [Fact]
    public void CancelledAndSavedLearnersGoOnExactly()
    {
        using Tensor truth = CodingData.Dictionary(16, 10, 16), X = CodingData.Planted(truth, 500, 2, 17);
        var coder = new CoordinateCoder(new L1(0.1));
        var options = new LearnerOptions { Atoms = 16, BatchSize = 64, Seed = 3 };
        using var whole = new OnlineDictionaryLearner(X, coder, options);
        whole.Fit(X, 3);

        using var broken = new OnlineDictionaryLearner(X, coder, options);
        using var source = new CancellationTokenSource();
        var stopAt = new Progress(report => { if (report.Done == 11) source.Cancel(); });
        Assert.Throws<OperationCanceledException>(() => broken.Fit(X, 3, stopAt, source.Token));
        Assert.Equal(11, broken.Batches);
        Assert.True(broken.Dictionary.isfinite().all().item<bool>());
        string file = Path.GetTempFileName();
        broken.Save(file);
        using OnlineDictionaryLearner loaded = OnlineDictionaryLearner.Load(file, coder, options);
        File.Delete(file);
        loaded.Fit(X, 3);
        Assert.Equal(whole.Batches, loaded.Batches);
        Assert.True(whole.Dictionary.Equals(loaded.Dictionary));

        using var alternating = new AlternatingDictionaryLearner(X, new OmpCoder(2), DictionaryUpdate.KSvd, options);
        alternating.Fit(X, 4);
        using var first = new AlternatingDictionaryLearner(X, new OmpCoder(2), DictionaryUpdate.KSvd, options);
        first.Fit(X, 2);
        using var second = new AlternatingDictionaryLearner(first.Dictionary, first.Iterations, new OmpCoder(2), DictionaryUpdate.KSvd, options);
        second.Fit(X, 2);
        Assert.True(alternating.Dictionary.Equals(second.Dictionary));
    }

    [Fact]
    public void BadInputIsNamed()
    {
        using Tensor X = CodingData.Random(20, 5, 18), single = X.to(ScalarType.Float32), narrow = X.narrow(1, 0, 4).clone(), nan = X.clone();
        nan[1, 1] = double.NaN;
        var coder = new OmpCoder(2);
        Assert.Throws<ArgumentException>(() => new OnlineDictionaryLearner(nan, coder));
        Assert.Throws<ArgumentException>(() => new OnlineDictionaryLearner(single, coder));
        Assert.Throws<ArgumentException>(() => new AlternatingDictionaryLearner(single, coder));
        Assert.Throws<ArgumentOutOfRangeException>(() => new OnlineDictionaryLearner(X, coder, new LearnerOptions { Atoms = 0 }));
        Assert.Throws<ArgumentOutOfRangeException>(() => new OnlineDictionaryLearner(X, coder, new LearnerOptions { DuplicateCosine = 0 }));
        Assert.Throws<ArgumentOutOfRangeException>(() => new OmpCoder(0));
        using var learner = new OnlineDictionaryLearner(X, coder, new LearnerOptions { Atoms = 8 });
        Assert.Throws<ArgumentException>(() => learner.Step(narrow));
        Assert.Throws<ArgumentOutOfRangeException>(() => learner.Fit(X, 0));
        Assert.Throws<ArgumentException>(() => KSvd.Sweep(X, X, X));
        string file = Path.GetTempFileName();
        Sparseland.IO.SafeTensors.Save(file, new Dictionary<string, Tensor> { ["dictionary"] = X });
        Assert.Throws<InvalidDataException>(() => OnlineDictionaryLearner.Load(file, coder));
        File.Delete(file);

        // Fewer samples than atoms: the rest are Gaussian directions.
        using var many = new OnlineDictionaryLearner(X, coder, new LearnerOptions { Atoms = 30 });
        Assert.Equal([30L, 5L], many.Dictionary.shape);
        Assert.True((many.Dictionary.norm(1) - 1).abs().max().item<double>() < 1e-12);
    }

    /// <summary>Sums of k atoms with Gaussian coefficients, and noise.</summary>
    private static Tensor Signals(Tensor dictionary, int samples, int k, double decibel, int seed)
    {
        using var scope = NewDisposeScope();
        long atoms = dictionary.shape[0];
        Tensor codes = CodingData.Random(samples, atoms, seed), keys = CodingData.Random(samples, atoms, seed + 1000);
        (Tensor top, _) = keys.topk(k, 1);
        Tensor clean = codes.mul(keys.ge(top.narrow(1, k - 1, 1)).to(ScalarType.Float64)).mm(dictionary);
        Tensor noise = CodingData.Random(samples, dictionary.shape[1], seed + 2000);
        return clean.add(noise.mul(clean.norm().div(noise.norm())).mul(Math.Pow(10, -decibel / 20))).MoveToOuterDisposeScope();
    }

    private static double Error(Tensor X, Tensor codes, Tensor D)
    {
        using var scope = NewDisposeScope();
        return X.sub(codes.mm(D)).square().sum().item<double>();
    }

    private sealed class Progress(Action<ProgressReport> action) : IProgress<ProgressReport>
    {
        public void Report(ProgressReport value) => action(value);
    }
}
