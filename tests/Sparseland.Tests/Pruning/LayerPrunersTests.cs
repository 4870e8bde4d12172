using Sparseland.Models.Language;
using Sparseland.Pruning;
using Sparseland.Training;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Tests.Pruning;

public class LayerPrunersTests
{
    private static readonly LlamaConfig s_small = new() { Vocabulary = 50, Width = 16, Layers = 3, Heads = 4, KeyValueHeads = 2, MlpWidth = 24, Context = 12 };

    /// <summary>
    /// Recorded from a plain float64 re-implementation of the paper's algorithm in PyTorch 1.13 (cholesky_inverse, then the upper Cholesky factor; a column sweep over
    /// all entries), on numbers of a linear congruential generator: weights 4 x 8, inputs 20 x 8, one of them dead, two correlated.
    /// </summary>
    public static TheoryData<string, int, double[]> Recorded => new()
    {
        { "0.5", 4, [0, -0.3198646, -0.1922705, 0, 0.4444229, -0.3306212, 0, -0.257123, 0, -0.3769355, -0.4157538, 0, 0, 0, 0.415011, 0, 0.2656819, 0, 0.250153, 0, 0.3457926, -0.3916298, 0, 0, -0.1530989, 0.4172045, 0, 0, 0, 0, 0.5131485, 0.3856532] },
        { "0.5", 8, [0, -0.3198646, 0, 0, 0.4748556, -0.3199265, 0, -0.2261817, 0, -0.3769355, -0.4157538, 0, 0, 0, 0.415011, 0, 0.2656819, 0, 0.250153, 0, 0.3457926, -0.3916298, 0, -0.1877959, 0, 0.3687025, 0, 0, 0, 0.343367, 0.4692696, 0.407354] },
        { "0.3", 3, [0, -0.3198646, -0.1922705, 0, 0.4444229, -0.3306212, 0.2008605, -0.2747319, 0, -0.3769355, -0.4157538, 0, -0.2215665, -0.1310409, 0.4839537, 0, 0.2656819, 0.1464732, 0.2671388, 0, 0.3229514, -0.3480677, 0, -0.174315, -0.1530989, 0.4172045, 0, 0, 0.1036308, 0.2843031, 0.4341331, 0.3665123] },
        { "2:4", 8, [0, -0.3198646, -0.1922705, 0, 0.4444229, 0, 0, -0.2596688, 0, -0.3769355, -0.4157538, 0, -0.2215665, 0, 0.4564722, 0, 0.2656819, 0, 0.250153, 0, 0.3457926, -0.3916298, 0, 0, -0.1530989, 0.4172045, 0, 0, 0, 0, 0.5131485, 0.3856532] },
    };

    [Theory]
    [MemberData(nameof(Recorded))]
    public void SparseGptGivesTheRecordedWeights(string pattern, int block, double[] expected)
    {
        using DisposeScope scope = NewDisposeScope();
        (Tensor W, Tensor X) = Numbers();
        using var inputs = new ActivationStatistics(8, gram: true);
        inputs.Add(X);
        PruningPattern asked = pattern.Contains(':', StringComparison.Ordinal) ? PruningPattern.Parse(pattern) : PruningPattern.PerLayer(double.Parse(pattern, System.Globalization.CultureInfo.InvariantCulture));
        using PrunedWeight pruned = SparseGpt.Prune(W, inputs.Factor(), asked, new() { BlockSize = block });
        double[] values = pruned.Weight!.to(ScalarType.Float64).data<double>().ToArray();
        for (int i = 0; i < values.Length; i++) Assert.Equal(expected[i], values[i], 2e-5);
    }

    [Theory]
    [InlineData(ScalarType.Float16)]
    [InlineData(ScalarType.BFloat16)]
    public void WeightsOfSixteenBitsArePrunedAsTheirValuesInFloat32Are(ScalarType type)
    {
        using DisposeScope scope = NewDisposeScope();
        Tensor half = randn([6, 32], generator: new Generator(3)).to(type), wide = half.to(ScalarType.Float32), X = randn([2, 20, 32], generator: new Generator(4)) * 1e5;
        using var inputs = new ActivationStatistics(32, gram: true);
        inputs.Add(X);
        foreach (ILayerPruner method in new ILayerPruner[] { new MagnitudePruner(), new WandaPruner(), new SparseGptPruner(), new DSnoTPruner() })
        {
            using PrunedWeight a = method.Prune(new("layer", half, inputs), method.PatternOf(0.5)), b = method.Prune(new("layer", wide, inputs), method.PatternOf(0.5));
            Assert.True(a.Mask.eq(b.Mask).all().item<bool>(), method.Name);
        }
    }

    [Fact]
    public void EveryMethodStopsWhenItIsTold()
    {
        using DisposeScope scope = NewDisposeScope();
        Tensor W = randn([64, 32], generator: new Generator(3)), X = randn([2, 20, 32], generator: new Generator(4));
        using var inputs = new ActivationStatistics(32, gram: true);
        inputs.Add(X);
        using var stopped = new CancellationTokenSource();
        stopped.Cancel();
        foreach (ILayerPruner method in new ILayerPruner[] { new MagnitudePruner(), new WandaPruner(), new RandomPruner(1), new SparseGptPruner(), new DSnoTPruner() })
            Assert.Throws<OperationCanceledException>(() => method.Prune(new("layer", W, inputs), method.PatternOf(0.5), stopped.Token));

        // The sweep over columns and the swaps of rows look at the token themselves.
        Assert.Throws<OperationCanceledException>(() => SparseGpt.Prune(W, inputs.Factor(), PruningPattern.PerLayer(0.5), null, stopped.Token));
        Assert.Throws<OperationCanceledException>(() => DSnoT.Refine(W, W.abs().ge(0.6), inputs, null, null, stopped.Token));
    }

    [Fact]
    public void AChoiceOfDenseLayersThatNamesNoneIsRefused()
    {
        using var model = new TinyLM(new() { Vocabulary = 20, Width = 8, Layers = 1, Heads = 2, KeyValueHeads = 2, MlpWidth = 8, Context = 8 }, 1);
        Assert.Contains("none of the 7", Assert.Throws<ArgumentException>(() => BlockwisePruning.Run(model, null, new MagnitudePruner(), PruningPattern.PerLayer(0.5), new() { Skip = name => name.Contains("no such layer", StringComparison.Ordinal) })).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void TheFactorIsTheRecordedOne()
    {
        using DisposeScope scope = NewDisposeScope();
        using var inputs = new ActivationStatistics(8, gram: true);
        inputs.Add(Numbers().X);
        ObsFactor factor = inputs.Factor();
        double[] first = [2.7983613, -0.8865255, 0.1860132, 0, 0.6466269, 0.4756447, 0.2765376, 0.2345605];
        double[] row = factor.Upper[0].data<double>().ToArray();
        for (int i = 0; i < 8; i++) Assert.Equal(first[i], row[i], 1e-6);
        Assert.Equal([3], factor.Dead);
        Assert.Equal(2.0485542, factor.Diagonal[7], 1e-6);

        // U^T U is the inverse of the damped H.
        Tensor H = inputs.Gram!.mul(2.0 / 20);
        H[3, 3] = 1.0;
        H = H + (eye(8, dtype: ScalarType.Float64) * factor.Damping);
        Tensor one = factor.Upper.t().mm(factor.Upper).mm(H);
        Assert.True((one - eye(8, dtype: ScalarType.Float64)).abs().max().item<double>() < 1e-9);
    }

    [Fact]
    public void StatisticsDoNotDependOnBatchesAndMerge()
    {
        using DisposeScope scope = NewDisposeScope();
        Tensor X = randn([6, 5, 7], generator: new Generator(3)) + 2;
        using ActivationStatistics whole = new(7, gram: true), parts = new(7, gram: true), half = new(7, gram: true);
        whole.Add(X);
        for (int i = 0; i < 3; i++) parts.Add(X[i]);
        half.Add(X.narrow(0, 3, 3));
        parts.Merge(half);
        Assert.Equal((30, 6), (whole.Count, whole.Sequences));
        Assert.Equal((30, 6), (parts.Count, parts.Sequences));
        double[] diagonal = whole.Gram!.diagonal().contiguous().data<double>().ToArray();
        for (int i = 0; i < 7; i++)
        {
            Assert.Equal(whole.Sum[i], parts.Sum[i], 1e-9);
            Assert.Equal(whole.SumSquares[i], parts.SumSquares[i], 1e-9);
            Assert.Equal(1, diagonal[i] / whole.SumSquares[i], 1e-6);
            Tensor column = X.to(ScalarType.Float64).flatten(0, 1).select(1, i);
            Assert.Equal((column - column.mean()).square().mean().item<double>(), whole.Variance()[i], 1e-9);
            Assert.Equal(whole.VarianceWithinSequences()[i], parts.VarianceWithinSequences()[i], 1e-9);
        }
    }

    [Fact]
    public void WandaIsThePlainFormulaPerRow()
    {
        using DisposeScope scope = NewDisposeScope();
        (Tensor W, Tensor X) = Numbers();
        using var inputs = new ActivationStatistics(8);
        inputs.Add(X);
        using PrunedWeight pruned = new WandaPruner().Prune(new("layer", W, inputs), PruningPattern.PerRow(0.5));
        Tensor scores = W.abs() * X.square().sum(0L).sqrt();
        for (int row = 0; row < 4; row++)
        {
            long[] expected = [.. scores[row].topk(4).indexes.data<long>().ToArray().Order()];
            Assert.Equal(expected, pruned.Mask[row].nonzero().flatten().data<long>().ToArray());
        }

        Assert.Null(pruned.Weight);
    }

    [Fact]
    public void ScalingAnInputAndItsColumnMovesMagnitudeOnly()
    {
        using DisposeScope scope = NewDisposeScope();
        (Tensor W, Tensor X) = Numbers();
        Tensor scale = tensor(new double[] { 1, 8, 0.125, 1, 4, 1, 0.5, 2 });
        using ActivationStatistics before = new(8, gram: true), after = new(8, gram: true);
        before.Add(X);
        after.Add(X * scale);
        Tensor turned = W / scale;
        foreach (ILayerPruner method in new ILayerPruner[] { new WandaPruner(), new MagnitudePruner() })
        {
            using PrunedWeight a = method.Prune(new("a", W, before), PruningPattern.PerRow(0.5)), b = method.Prune(new("b", turned, after), PruningPattern.PerRow(0.5));
            Assert.Equal(method is WandaPruner, a.Mask.equal(b.Mask).all().item<bool>());
        }

        // The factor too, without damping (which looks at the mean of all inputs); a dead input would have a diagonal of 1 in both.
        using ActivationStatistics live = new(7, gram: true), scaled = new(7, gram: true);
        Tensor seven = tensor(new long[] { 0, 1, 2, 4, 5, 6, 7 });
        live.Add(X.index_select(1, seven));
        scaled.Add((X * scale).index_select(1, seven));
        Tensor s1 = live.Factor(0).Scores(W.index_select(1, seven)), s2 = scaled.Factor(0).Scores(turned.index_select(1, seven));
        Assert.True(((s1 - s2) / s1).abs().max().item<double>() < 1e-9);
    }

    [Fact]
    public void WithWhiteInputsAllScoresAgree()
    {
        using DisposeScope scope = NewDisposeScope();
        Tensor W = randn([6, 8], dtype: ScalarType.Float64, generator: new Generator(1));
        using var inputs = new ActivationStatistics(8, gram: true);
        inputs.Add(eye(8, dtype: ScalarType.Float64));
        PruningPattern pattern = PruningPattern.PerRow(0.5);
        using PrunedWeight wanda = new WandaPruner().Prune(new("w", W, inputs), pattern), magnitude = new MagnitudePruner().Prune(new("m", W, null), pattern);
        using MaskHolder obs = new(MaskSet.Keep("o", inputs.Factor().Scores(W), pattern));
        Assert.True(wanda.Mask.equal(magnitude.Mask).all().item<bool>());
        Assert.True(wanda.Mask.equal(obs.Mask).all().item<bool>());
    }

    [Fact]
    public void ADecoderKeepsItsBudgetsAndItsDenseWeightsAreUntouchedElsewhere()
    {
        using DisposeScope scope = NewDisposeScope();
        Tensor ids = randint(0, 50, [4, 10], dtype: ScalarType.Int64, generator: new Generator(2));
        foreach (ILayerPruner method in new ILayerPruner[] { new MagnitudePruner(), new WandaPruner(), new SparseGptPruner(), new RandomPruner(4) })
        {
            using var model = new TinyLM(s_small);
            Dictionary<string, Tensor> before = model.named_parameters().ToDictionary(p => p.name, p => p.parameter.detach().clone());
            using BlockwiseResult result = BlockwisePruning.Run(model, ids, method, PruningPattern.NofM(2, 4));
            Assert.Equal(21, result.Layers.Count);
            Assert.Equal(0.5, result.Sparsity, 1e-12);
            foreach ((string name, var parameter) in model.named_parameters())
            {
                bool masked = result.Masks.Names.Contains(name);
                Assert.Equal(masked, name.Contains("proj", StringComparison.Ordinal));
                if (!masked)
                {
                    Assert.True(parameter.equal(before[name]).all().item<bool>());
                    continue;
                }

                Tensor mask = result.Masks[name];
                Assert.Equal(0, parameter.masked_select(mask.logical_not()).count_nonzero().item<long>());
                Assert.True(mask.reshape(-1, 4).sum(1).eq(2).all().item<bool>());
                if (method is not SparseGptPruner) Assert.True(parameter.equal(before[name] * mask).all().item<bool>());
            }
        }
    }

    [Fact]
    public void DensePropagationIsOnePassOverTheDenseModel()
    {
        using DisposeScope scope = NewDisposeScope();
        Tensor ids = randint(0, 50, [5, 10], dtype: ScalarType.Int64, generator: new Generator(2));
        using TinyLM one = new(s_small), two = new(s_small), three = new(s_small);
        using StatisticsCollector seen = StatisticsCollector.Gather(one, i => one.Logits(ids.narrow(0, i, 1)), 5);
        Assert.Equal(21, seen.Layers.Count);
        Assert.Same(seen["model.layers.1.self_attn.q_proj"], seen["model.layers.1.self_attn.v_proj"]);
        Assert.NotSame(seen["model.layers.1.self_attn.q_proj"], seen["model.layers.1.self_attn.o_proj"]);
        using BlockwiseResult dense = BlockwisePruning.Run(two, ids, new WandaPruner(), PruningPattern.PerRow(0.5), new() { Propagation = Propagation.Dense, Batch = 2 });
        using BlockwiseResult pruned = BlockwisePruning.Run(three, ids, new WandaPruner(), PruningPattern.PerRow(0.5));
        using MaskSet expected = MaskSet.FromScores(one, seen.Layers.ToDictionary(n => $"{n}.weight", n => WandaScore.Of(one.get_parameter($"{n}.weight")!, seen[n])), PruningPattern.PerRow(0.5));
        MaskOverlap same = dense.Masks.Overlap(expected), other = dense.Masks.Overlap(pruned.Masks);
        Assert.Equal(same.First, same.Both);
        Assert.InRange(other.Cosine, 0.8, 0.99999);
    }

    [Fact]
    public void AFailureLeavesTheModelAsItWas()
    {
        using DisposeScope scope = NewDisposeScope();
        using var model = new TinyLM(s_small);
        Tensor ids = randint(0, 50, [4, 10], dtype: ScalarType.Int64, generator: new Generator(2));
        using (no_grad()) model.Blocks[2].Up.weight[0, 0] = float.NaN;
        Dictionary<string, Tensor> before = model.named_parameters().ToDictionary(p => p.name, p => p.parameter.detach().clone());
        ArgumentException error = Assert.Throws<ArgumentException>(() => BlockwisePruning.Run(model, ids, new WandaPruner(), PruningPattern.PerRow(0.5)));
        Assert.Contains("model.layers.2.mlp", error.Message, StringComparison.Ordinal);
        foreach ((string name, var parameter) in model.named_parameters()) Assert.True(parameter.nan_to_num().equal(before[name].nan_to_num()).all().item<bool>(), name);

        using var cancel = new CancellationTokenSource();
        cancel.Cancel();
        Assert.Throws<OperationCanceledException>(() => BlockwisePruning.Run(model, ids, new MagnitudePruner(), PruningPattern.PerRow(0.5), cancel: cancel.Token));
        Assert.Throws<ArgumentException>(() => BlockwisePruning.Run(model, null, new WandaPruner(), PruningPattern.PerRow(0.5)));
        Assert.Throws<ArgumentException>(() => BlockwisePruning.Run(model, ids, new MagnitudePruner(), PruningPattern.Global(0.5)));
        ArgumentException tiling = Assert.Throws<ArgumentException>(() => BlockwisePruning.Run(model, ids, new MagnitudePruner(), PruningPattern.NofM(3, 7)));
        Assert.Contains("model.layers.0.self_attn.q_proj", tiling.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void StatisticsRefuseWhatDoesNotBelong()
    {
        using DisposeScope scope = NewDisposeScope();
        using var inputs = new ActivationStatistics(4);
        Assert.Throws<ArgumentException>(() => inputs.Add(rand(3, 5)));
        Assert.Throws<ArgumentException>(() => inputs.Add(tensor(new[] { 1f, 2, float.NaN, 3 }).unsqueeze(0)));
        Assert.Equal(0, inputs.Count);
        Assert.Throws<ArgumentException>(() => WandaScore.Of(rand(2, 4), inputs));
        Assert.Throws<ArgumentException>(() => inputs.Factor());
        inputs.Add(rand(3, 4));
        Assert.Throws<ArgumentException>(() => inputs.Factor());
        Assert.Throws<ArgumentException>(() => WandaScore.Of(rand(2, 5), inputs));

        // Two tokens span two of four directions; whether rounding leaves the other two pivots positive is chance, so many draws.
        for (int seed = 0; seed < 50; seed++)
        {
            using var few = new ActivationStatistics(4, gram: true);
            using var generator = new Generator((ulong)seed);
            few.Add(rand(2, 4, generator: generator));
            Assert.Throws<ArgumentException>(() => few.Factor(0));
            Assert.Equal(4, few.Factor(0.01).Diagonal.Count);
        }
    }

    private static (Tensor W, Tensor X) Numbers()
    {
        Tensor X = tensor(Lcg(160, 2), 20, 8), W = tensor(Lcg(32, 1), 4, 8);
        X.select(1, 3).zero_();
        X.select(1, 1).add_(X.select(1, 0) * 0.5);
        return (W, X);
    }

    private static double[] Lcg(int n, long state)
    {
        double[] values = new double[n];
        for (int i = 0; i < n; i++)
        {
            state = ((state * 1103515245) + 12345) % (1L << 31);
            values[i] = (state / (double)(1L << 31)) - 0.5;
        }

        return values;
    }

    private sealed record MaskHolder(Tensor Mask) : IDisposable
    {
        public void Dispose() => Mask.Dispose();
    }
}
