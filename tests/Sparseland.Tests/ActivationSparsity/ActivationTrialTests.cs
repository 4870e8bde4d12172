using Sparseland.ActivationSparsity;
using Sparseland.Kernels;
using Sparseland.Models.Language;
using Sparseland.Selection;
using Sparseland.Tensors;
using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;
using Turned = Sparseland.ActivationSparsity.Rotation;

namespace Sparseland.Tests.ActivationSparsity;

/// <summary>Scores, budgets, layers, allocations and corrected texts with hostile input; expected values are the formulas of the papers in plain loops.</summary>
public class ActivationTrialTests
{
    private static readonly LlamaConfig s_config = Decoder.Config with { Context = 64 };

    [Theory]
    [InlineData(20, 0.9, 2)]
    [InlineData(1, 0.99, 1)]
    [InlineData(10, 0.0, 10)]
    [InlineData(3, 0.5, 1)]
    [InlineData(1000, 0.999, 1)]
    [InlineData(7, 0.4285714285714286, 4)]
    public void Kept_inputs_are_those_of_the_formula_and_ties_go_to_the_first(int inputs, double sparsity, int kept)
    {
        using var scope = NewDisposeScope();
        ActivationBudget budget = ActivationBudget.TopK(sparsity);
        Tensor flat = ones(3, inputs);
        Assert.Equal([.. Enumerable.Range(0, kept)], budget.Choose(flat).Row(2).ToArray());
        Assert.Equal([.. Enumerable.Range(0, kept)], budget.Choose(ones(inputs).data<float>().ToArray()));
        Assert.Equal(kept, budget.Choose(zeros(1, inputs)).Count);
        Tensor with = ones(1, inputs);
        with[0, inputs - 1] = float.PositiveInfinity;
        Assert.Contains(inputs - 1, budget.Choose(with).Row(0).ToArray());
    }

    [Fact]
    public void Budgets_refuse_nothing_and_what_is_no_number()
    {
        using var scope = NewDisposeScope();
        var histogram = new ScoreHistogram();
        Assert.Throws<InvalidOperationException>(() => ActivationBudget.Threshold(histogram, 0.5));
        histogram.Add(arange(100, dtype: ScalarType.Float32));
        foreach (ActivationBudget budget in new[] { ActivationBudget.TopK(0.5), ActivationBudget.Channels(2), ActivationBudget.Threshold(histogram, 0.5) })
        {
            Assert.True(Record.Exception(() => budget.Choose((Tensor)null!)) is ArgumentNullException, $"{budget}: {Record.Exception(() => budget.Choose((Tensor)null!))}");
            Assert.ThrowsAny<ArgumentException>(() => budget.Choose(full([2, 4], float.NaN)));
            Assert.ThrowsAny<ArgumentException>(() => budget.Choose([1, float.NaN, 3]));
        }

        foreach (double bad in new[] { -0.1, 1, double.NaN, double.PositiveInfinity }) Assert.Throws<ArgumentOutOfRangeException>(() => ActivationBudget.TopK(bad));
        Assert.Throws<ArgumentOutOfRangeException>(() => ActivationBudget.Channels(-1));
        Assert.ThrowsAny<ArgumentException>(() => ActivationBudget.Channels(5).Choose(ones(2, 4)));
        Assert.ThrowsAny<ArgumentException>(() => ActivationBudget.Channels(5).Choose([1, 2, 3]));
        Assert.Empty(ActivationBudget.Channels(0).Choose([1, 2, 3]));
        Assert.Equal(0, ActivationBudget.Channels(0).Choose(ones(2, 4)).Count);
        Assert.Throws<ArgumentNullException>(() => ActivationBudget.Threshold(null!, 0.5));
    }

    [Theory]
    [InlineData(1e-38)]
    [InlineData(1e-20)]
    [InlineData(1)]
    [InlineData(1e20)]
    [InlineData(1e37)]
    public void Thresholds_drop_their_share_at_any_scale_and_of_any_shape(double scale)
    {
        using var scope = NewDisposeScope();
        using Generator generator = new(8);
        Tensor fit = rand([40, 50], generator: generator).pow(3) * scale, fresh = rand([40, 50], generator: generator).pow(3) * scale;
        var histogram = new ScoreHistogram();
        for (int i = 0; i < 40; i++) histogram.Add(fit[i]);
        foreach (double share in new[] { 0.25, 0.4, 0.5, 0.75 })
        {
            Assert.Equal(1 - share, ActivationBudget.Threshold(histogram, share).Choose(fit).Count / 2000.0, 0.011);
            Assert.Equal(1 - share, ActivationBudget.Threshold(histogram, share).Choose(fresh).Count / 2000.0, 0.04);
        }

        Assert.Equal(2000, ActivationBudget.Threshold(histogram, 0).Choose(fit).Count);
        long before = histogram.Count;
        foreach (float bad in new[] { -1f, float.NaN, float.PositiveInfinity }) Assert.Throws<ArgumentException>(() => histogram.Add(tensor(new[] { 1f, bad })));
        Assert.Equal(before, histogram.Count);
        foreach (double bad in new[] { -0.1, 1.1, double.NaN }) Assert.Throws<ArgumentOutOfRangeException>(() => histogram.Quantile(bad));
    }

    [Fact]
    public void A_score_is_the_product_of_size_and_column_norm_for_every_type_and_view()
    {
        using var scope = NewDisposeScope();
        Tensor W = randn(7, 5), x = randn(4, 5);
        float[] w = W.data<float>().ToArray(), v = x.data<float>().ToArray();
        foreach (Tensor weight in new[] { W, W.t().contiguous().t(), W.to(ScalarType.Float64), W.alias().requires_grad_() })
        {
            float[] norms = WeightInformedScore.ColumnNorms(weight).to(ScalarType.Float32).data<float>().ToArray();
            for (int j = 0; j < 5; j++) Assert.Equal(Math.Sqrt(Enumerable.Range(0, 7).Sum(i => Math.Pow(w[(i * 5) + j], 2))), norms[j], 1e-6);
            float[] scores = InputScore.Of(x.to(weight.dtype), WeightInformedScore.ColumnNorms(weight)).to(ScalarType.Float32).data<float>().ToArray();
            for (int i = 0; i < 20; i++) Assert.Equal(Math.Abs(v[i]) * norms[i % 5], scores[i], 1e-5);
        }

        // Norms of numbers whose squares are beyond float32.
        Assert.Equal([5e20f, 5e-30f], WeightInformedScore.ColumnNorms(tensor(new[,] { { 3e20f, 3e-30f }, { 4e20f, 4e-30f } })).data<float>().ToArray());
        Assert.Equal([0, 0, 0], WeightInformedScore.ColumnNorms(zeros(0, 3)).data<float>().ToArray());
        Assert.Throws<ArgumentException>(() => WeightInformedScore.ColumnNorms(ones(3)));
        Assert.Throws<ArgumentException>(() => InputScore.Of(ones(3), ones(4)));
        Assert.Throws<ArgumentException>(() => InputScore.Of(tensor(1f), ones(1)));
        Assert.Throws<ArgumentNullException>(() => InputScore.Of(null!, null));
    }

    [Theory]
    [InlineData(1, 1, 1)]
    [InlineData(1, 40, 1)]
    [InlineData(33, 1, 5)]
    [InlineData(40, 70, 40)]
    [InlineData(40, 70, 0)]
    [InlineData(64, 33, 13)]
    public void One_token_and_many_and_a_token_of_any_rank_give_the_formula(int inputs, int outputs, int kept)
    {
        using var scope = NewDisposeScope();
        using IDisposable off = no_grad();
        foreach (bool bias in new[] { false, true })
        {
            Linear linear = nn.Linear(inputs, outputs, bias);
            Tensor x = randn(2, 3, inputs);
            float[] w = linear.weight!.data<float>().ToArray(), b = bias ? linear.bias!.data<float>().ToArray() : new float[outputs], all = x.data<float>().ToArray();
            using SparseInputLinear sparse = new(linear, "l", new WeightInformedScore(), ActivationBudget.Channels(kept));
            float[] together = sparse.call(x).data<float>().ToArray();
            for (int token = 0; token < 6; token++)
            {
                float[] own = all[(token * inputs)..((token + 1) * inputs)];
                int[] order = [.. Enumerable.Range(0, inputs).OrderByDescending(j => Math.Abs(own[j]) * Math.Sqrt(Enumerable.Range(0, outputs).Sum(i => Math.Pow(w[(i * inputs) + j], 2)))).Take(kept)];
                Tensor alone = tensor(own);
                foreach (Tensor one in new[] { alone, alone.view(1, inputs), alone.view(1, 1, inputs), alone.view(1, 1, 1, inputs), stack([alone, alone], 1).select(1, 0) })
                {
                    Tensor y = sparse.call(one);
                    Assert.Equal([.. one.shape[..^1], outputs], y.shape);
                    float[] numbers = y.data<float>().ToArray();
                    for (int i = 0; i < outputs; i++)
                    {
                        double sum = b[i] + order.Sum(j => (double)w[(i * inputs) + j] * own[j]);
                        Assert.Equal(sum, numbers[i], 1e-5);
                        Assert.Equal(sum, together[(token * outputs) + i], 1e-5);
                    }
                }
            }

            Assert.Equal([0, outputs], sparse.call(zeros(0, inputs)).shape);
            Assert.ThrowsAny<ArgumentException>(() => sparse.call(zeros(2, inputs + 1)));
            Assert.ThrowsAny<ArgumentException>(() => sparse.call(zeros([2, inputs], dtype: ScalarType.Float64)));
            Assert.ThrowsAny<ArgumentException>(() => sparse.call(full([1, inputs], float.NaN)));
            Assert.ThrowsAny<ArgumentException>(() => sparse.call(full([3, inputs], float.NegativeInfinity)));
        }
    }

    [Theory]
    [InlineData(ScalarType.Float16)]
    [InlineData(ScalarType.BFloat16)]
    public void A_layer_of_sixteen_bits_is_refused_by_name_or_multiplies_as_its_masked_input(ScalarType type)
    {
        using var scope = NewDisposeScope();
        using IDisposable off = no_grad();
        Linear linear = nn.Linear(8, 4, dtype: type);
        Exception? error = Record.Exception(() =>
        {
            using SparseInputLinear sparse = new(linear, "model.l", new WeightInformedScore(), ActivationBudget.Channels(3));
            foreach (int rows in new[] { 1, 5 })
            {
                Tensor x = randn([rows, 8]).to(type), scores = InputScore.Of(x, WeightInformedScore.ColumnNorms(linear.weight!));
                Assert.True(sparse.call(x).allclose(linear.call(x * Select.TopK(scores, Budget.PerRow(3)).ToMask()), 1e-2, 1e-2));
            }
        });
        Assert.True(error is null || (error is ArgumentException && error.Message.Contains("model.l", StringComparison.Ordinal)), error?.ToString());
    }

    [Fact]
    public void What_is_made_of_dropped_inputs_follows_or_refuses_another_type_by_name()
    {
        using var scope = NewDisposeScope();
        using IDisposable off = no_grad();
        Linear linear = nn.Linear(6, 4);
        Tensor dropped = randn(20, 6);
        foreach (int count in new[] { 1, 3 })
        {
            using BiasRecovery recovery = BiasRecovery.Of(linear.weight!, dropped, count);
            Assert.True(Record.Exception(() => recovery.Outcome(dropped.to(ScalarType.Float64))) is ArgumentException, $"{count}: {Record.Exception(() => recovery.Outcome(dropped.to(ScalarType.Float64)))}");
            Assert.Throws<ArgumentNullException>(() => recovery.Outcome(null!));
            Assert.Throws<ArgumentException>(() => recovery.Outcome(zeros(2, 7)));
            Assert.Throws<ArgumentException>(() => recovery.Outcome(zeros(6)));
            Assert.Equal([0, 4], recovery.Outcome(zeros(0, 6)).shape);
        }

        // Tokens that are all alike, as many vectors as tokens, and one token.
        using BiasRecovery alike = BiasRecovery.Of(linear.weight!, ones(5, 6), 5);
        Assert.True(alike.Outcome(ones(2, 6)).allclose(linear.weight!.sum([1L]).expand(2, 4), 1e-5, 1e-6));
        using BiasRecovery single = BiasRecovery.Of(linear.weight!, dropped.narrow(0, 0, 1));
        Assert.True(single.Outcome(zeros(1, 6)).allclose(dropped.narrow(0, 0, 1).mm(linear.weight!.t()), 1e-5, 1e-6));
        Assert.Throws<ArgumentOutOfRangeException>(() => BiasRecovery.Of(linear.weight!, dropped, 0));
        Assert.Throws<ArgumentOutOfRangeException>(() => BiasRecovery.Of(linear.weight!, dropped, 21));
        Assert.ThrowsAny<ArgumentException>(() => BiasRecovery.Of(linear.weight!, zeros(0, 6)));
        Assert.ThrowsAny<ArgumentException>(() => BiasRecovery.Of(linear.weight!, full([3, 6], float.NaN)));
        using BiasRecovery a = BiasRecovery.Of(linear.weight!, dropped, 4, seed: 9), b = BiasRecovery.Of(linear.weight!, dropped, 4, seed: 9);
        Assert.True(a.Outcome(dropped).equal(b.Outcome(dropped)).all().item<bool>());
    }

    [Fact]
    public void A_split_of_any_layer_stays_within_its_budget()
    {
        var random = new Random(1);
        for (int i = 0; i < 3000; i++)
        {
            int inputs = random.Next(1, 300), outputs = random.Next(1, 300);
            double s = random.NextDouble(), alpha = random.Next(6) switch { 0 => 0, 1 => 1, _ => random.NextDouble() };
            RankSplit split;
            try
            {
                split = RankSplit.Budget(inputs, outputs, s, alpha);
            }
            catch (ArgumentException)
            {
                Assert.True(((1 - s) * inputs * outputs) < outputs + inputs + outputs + 1);
                continue;
            }

            double budget = (1 - s) * inputs * outputs;
            Assert.InRange(split.Channels, 0, inputs);
            Assert.InRange(split.Rank, 0, Math.Min(inputs, outputs));
            Assert.True(split.Reads(inputs, outputs) <= budget + (1e-5 * (inputs + outputs)), $"{inputs}, {outputs}, {s}, {alpha}: {split}");
            Assert.True(split.Reads(inputs, outputs) > budget - outputs - inputs - outputs - 1e-6, $"{inputs}, {outputs}, {s}, {alpha}: {split}");
        }

        foreach (double bad in new[] { -0.1, 1.1, double.NaN }) Assert.Throws<ArgumentOutOfRangeException>(() => RankSplit.Budget(4, 4, 0.5, bad));
        Assert.Throws<ArgumentOutOfRangeException>(() => RankSplit.Budget(0, 4, 0.5, 1));
    }

    [Fact]
    public void Allocations_cross_and_mutate_only_with_their_own_kind()
    {
        using TinyLM model = Decoder.New();
        RankAllocation whole = RankAllocation.Uniform(model, 0.5, 0.9);
        RankAllocation shorter = new([.. whole.Layers.Take(3)]), other = new([.. whole.Layers.Reverse()]);
        Assert.Throws<ArgumentException>("other", () => whole.Cross(shorter, new Random(1)));
        Assert.Throws<ArgumentException>("other", () => shorter.Cross(whole, new Random(1)));
        Assert.Throws<ArgumentException>("other", () => whole.Cross(other, new Random(1)));
        Assert.Throws<ArgumentNullException>(() => whole.Cross(null!, new Random(1)));
        foreach (double bad in new[] { double.NaN, double.PositiveInfinity, -0.1 }) Assert.Throws<ArgumentOutOfRangeException>("step", () => whole.Mutate(new Random(1), bad));
        var random = new Random(2);
        RankAllocation moved = whole;
        for (int i = 0; i < 200; i++)
        {
            moved = moved.Mutate(random, 0.3).Cross(whole, random).Project(0.6);
            Assert.Equal(0.6, moved.Sparsity, 1e-9);
            Assert.True(moved.ReadShare <= 0.4 + 1e-9);
            Assert.All(moved.Layers, l => Assert.True(l.Sparsity is >= 0 and <= 0.95 && l.Alpha is >= 0 and <= 1));
        }

        Assert.Equal(0, whole.Project(0).Sparsity, 1e-12);
        Assert.Equal(0.95, whole.Project(0.95).Sparsity, 1e-9);
        foreach (double bad in new[] { -0.1, 0.96, double.NaN }) Assert.Throws<ArgumentOutOfRangeException>(() => whole.Project(bad));
    }

    [Fact]
    public void Factors_of_another_model_and_a_rank_that_there_is_not()
    {
        using var scope = NewDisposeScope();
        using TinyLM model = Decoder.New();
        RankAllocation mixed = RankAllocation.Uniform(model, 0.3, 0.5);
        Assert.Throws<ArgumentException>(() => mixed.Apply(model, new Dictionary<string, LowRankFactors>()));
        Assert.Throws<ArgumentNullException>(() => mixed.Apply(model, null!));
        using LowRankFactors wrong = LowRankFactors.Of(randn(5, 7));
        Assert.ThrowsAny<ArgumentException>(() => mixed.Apply(model, mixed.Layers.ToDictionary(l => l.Layer, _ => wrong)));
        Assert.Throws<ArgumentOutOfRangeException>(() => new RankAwareInputs(wrong, 6));
        Assert.Throws<ArgumentOutOfRangeException>(() => new RankAwareInputs(wrong, -1));
        Assert.True(new RankAwareInputs(wrong, 0).Outcome(ones(3, 7)).equal(zeros(3, 5)).all().item<bool>());

        // All ranks are the whole matrix; the model is as it was.
        using (SparseInputs.Apply(model, SparsityTable.Dense(model)))
        {
        }

        Tensor dense = model.Logits(Decoder.Ids());
        IReadOnlyDictionary<string, LowRankFactors> factors = RankAllocation.Factors(model);
        using (SparseInputs sparse = SparseInputs.Apply(model, SparsityAllocation.Uniform(model, 0.7), new() { Dropped = layer => new RankAwareInputs(factors[layer]) }))
            Assert.True(model.Logits(Decoder.Ids()).allclose(dense, 1e-3, 1e-4));
        Assert.True(model.Logits(Decoder.Ids()).equal(dense).all().item<bool>());
        foreach (LowRankFactors own in factors.Values) own.Dispose();
    }

    [Fact]
    public void An_error_map_is_the_sum_over_tokens_of_what_is_lost()
    {
        using var scope = NewDisposeScope();
        Tensor W = randn([6, 4], dtype: ScalarType.Float64), X = randn([9, 4], dtype: ScalarType.Float64);
        ErrorMap map = ErrorMap.Of(W, X, [0, 2, 4], [0, 1, 4]);
        (Tensor u, Tensor s, Tensor vt) = linalg.svd(W, fullMatrices: false);
        Tensor norms = W.square().sum([0L]).sqrt(), full = X.mm(W.t());
        for (int i = 0; i < 3; i++)
        {
            int kept = new[] { 0, 2, 4 }[i];
            Tensor m = kept == 0 ? zeros([9, 4], dtype: ScalarType.Float64) : kept == 4 ? ones([9, 4], dtype: ScalarType.Float64) : zeros([9, 4], dtype: ScalarType.Float64).scatter(1, (X.abs() * norms).topk(kept, 1).indexes, ones([9, kept], dtype: ScalarType.Float64));
            for (int j = 0; j < 3; j++)
            {
                int r = new[] { 0, 1, 4 }[j];
                Tensor low = r == 0 ? zeros_like(W) : (u * s).narrow(1, 0, r).mm(vt.narrow(0, 0, r)), y = (X * m).mm(W.t()) + (X * (1 - m)).mm(low.t());
                Assert.Equal(((full - y).square().sum() / full.square().sum()).item<double>(), map.Errors[i][j], 1e-10);
            }
        }

        Assert.Throws<ArgumentOutOfRangeException>(() => ErrorMap.Of(W, X, [5], [0]));
        Assert.Throws<ArgumentOutOfRangeException>(() => ErrorMap.Of(W, X, [0], [5]));
        Assert.Throws<ArgumentException>(() => ErrorMap.Of(W, zeros([3, 4], dtype: ScalarType.Float64), [0], [0]));
        Assert.ThrowsAny<ArgumentException>(() => ErrorMap.Of(W, full_like(X, double.NaN), [0], [0]));
        Assert.ThrowsAny<ArgumentException>(() => ErrorMap.Of(full_like(W, double.NaN), X, [0], [0]));
        Assert.Empty(ErrorMap.Of(W, X, [], [0]).Errors);
    }

    [Fact]
    public void Units_without_a_gate_a_prompt_or_three_dimensions_are_refused_with_words()
    {
        using var scope = NewDisposeScope();
        var hidden = new ActivationSite(0, Activation.MlpHidden);
        Assert.ThrowsAny<InvalidOperationException>(() => new NeuronSparsity(new GateScore(), 0.5).Visit(hidden, ones(1, 2, 8)));
        foreach (Tensor bad in new[] { ones(8), ones(2, 8), ones(1, 1, 2, 8) }) Assert.ThrowsAny<ArgumentException>(() => new NeuronSparsity(new HiddenScore(), 0.5).Visit(hidden, bad));
        Assert.Throws<ArgumentNullException>(() => new NeuronSparsity(new HiddenScore(), 0.5).Visit(hidden, null!));
        Assert.Contains("block 0", Assert.ThrowsAny<ArgumentException>(() => new NeuronSparsity(new HiddenScore(), 0.5).Visit(hidden, full([1, 2, 8], float.NaN))).Message, StringComparison.Ordinal);

        // A gate of other tokens than the hidden layer's.
        var hook = new NeuronSparsity(new GateScore(), 0.5);
        hook.Visit(new(0, Activation.MlpGate), ones(1, 3, 8));
        Assert.ThrowsAny<ArgumentException>(() => hook.Visit(hidden, ones(1, 2, 8)));
        foreach (double bad in new[] { 0, -0.1, 1.1, double.NaN }) Assert.Throws<ArgumentOutOfRangeException>(() => new NeuronSparsity(new HiddenScore(), bad));
        Assert.Throws<ArgumentOutOfRangeException>(() => new NeuronSparsity(new HiddenScore(), 0.5, -1));
        Assert.Throws<ArgumentNullException>(() => new NeuronSparsity(null!, 0.5));
    }

    [Fact]
    public void The_statistic_of_a_prompt_is_that_of_the_formula_at_any_scale()
    {
        using var scope = NewDisposeScope();
        Tensor z = randn([1, 5, 12], dtype: ScalarType.Float64);
        double[] v = z.data<double>().ToArray(), statistic = new double[12];
        for (int t = 0; t < 5; t++)
        {
            double norm = Math.Sqrt(Enumerable.Range(0, 12).Sum(j => v[(t * 12) + j] * v[(t * 12) + j]));
            for (int j = 0; j < 12; j++) statistic[j] += Math.Pow(v[(t * 12) + j] / norm, 2);
        }

        foreach (double scale in new[] { 1e-30, 1, 1e20 })
        {
            double[] shares = NeuronSparsity.Shares(z * scale);
            for (int j = 0; j < 12; j++) Assert.Equal(statistic[j], shares[j], 1e-9);
        }

        // A token of zeros has no direction and adds nothing.
        Assert.Equal(NeuronSparsity.Shares(z), NeuronSparsity.Shares(cat([z, zeros([1, 1, 12], dtype: ScalarType.Float64)], 1)));
    }

    [Fact]
    public void Units_of_a_float64_model_are_those_of_the_hook()
    {
        using var scope = NewDisposeScope();
        using TinyLM model = Decoder.New(config: s_config);
        model.to(ScalarType.Float64);
        foreach (ScalarType type in new[] { ScalarType.Float64, ScalarType.Float32 })
        {
            model.to(type);
            Tensor prompt = tensor(new long[] { 1, 2, 3, 4 }, [1, 4]), next = tensor(new long[] { 5, 6, 7 }, [1, 3]);
            foreach (NeuronScore score in new NeuronScore[] { new GateScore(), new PromptScore() })
            {
                Tensor expected = model.Logits(cat([prompt, next], 1), new NeuronSparsity(score, 0.4, sparseFrom: 4)).narrow(1, 4, 3);
                using SparseNeurons sparse = SparseNeurons.Apply(model, score, 0.4);
                using KeyValueCache cache = model.NewCache();
                sparse.Prefill(prompt, cache);
                Assert.True(sparse.Draft(next, cache).allclose(expected, 1e-3, 1e-4), $"{type}, {score}");
                Assert.Equal(19, sparse.UnitsOf(0).Count);
                Assert.Throws<ArgumentOutOfRangeException>(() => sparse.UnitsOf(2));
                Assert.ThrowsAny<ArgumentException>(() => sparse.Prefill(prompt, cache));
                Assert.ThrowsAny<ArgumentException>(() => sparse.Draft(cat([next, next], 0), cache));
                Assert.Throws<ArgumentNullException>(() => sparse.Draft(null!, cache));
                Assert.Throws<ArgumentNullException>(() => sparse.Draft(next, null!));
            }
        }
    }

    [Fact]
    public void After_the_end_everything_says_that_it_is_over_and_the_model_is_its_own_again()
    {
        using var scope = NewDisposeScope();
        using TinyLM model = Decoder.New(config: s_config);
        Tensor dense = model.Logits(Decoder.Ids());
        SparseNeurons neurons = SparseNeurons.Apply(model, new GateScore(), 0.3);
        Assert.ThrowsAny<ArgumentException>(() => SparseInputs.Apply(model, new([], [])));
        Assert.ThrowsAny<ArgumentException>(() => SparseNeurons.Apply(model, new GateScore(), 0.3));
        neurons.Dispose();
        neurons.Dispose();
        using KeyValueCache cache = model.NewCache();
        Assert.Throws<ObjectDisposedException>(() => neurons.Prefill(Decoder.Ids(1), cache));
        Assert.Equal(0, cache.Count);
        Assert.True(model.Logits(Decoder.Ids()).equal(dense).all().item<bool>());
        SparseInputs inputs = SparseInputs.Apply(model, SparsityAllocation.Uniform(model, 0.5));
        inputs.Dispose();
        inputs.Dispose();
        Assert.True(model.Logits(Decoder.Ids()).equal(dense).all().item<bool>());
        Assert.Throws<ArgumentNullException>(() => SparseInputs.Apply(null!, inputs.Table));
        Assert.Throws<ArgumentNullException>(() => SparseInputs.Apply(model, null!));
        Assert.Throws<ArgumentNullException>(() => SparseNeurons.Apply(null!, new GateScore(), 0.5));
        Assert.Throws<ArgumentException>(() => SparseNeurons.Apply(model, new HiddenScore(), 0.5));
        Assert.Throws<ArgumentException>(() => SparseNeurons.Apply(model, new GateScore(GateActivation.GeluTanh), 0.5));
        foreach (double bad in new[] { 0, 1.1, double.NaN }) Assert.Throws<ArgumentOutOfRangeException>(() => SparseNeurons.Apply(model, new GateScore(), bad));
        foreach (double bad in new[] { -0.1, 1, double.NaN }) Assert.Throws<ArgumentOutOfRangeException>(() => SparsityAllocation.Uniform(model, bad));
    }

    [Fact]
    public void Tables_refuse_what_they_do_not_have()
    {
        using var scope = NewDisposeScope();
        using TinyLM model = Decoder.New();
        SparsityTable table = SparsityAllocation.Uniform(model, 0.5);
        Assert.Throws<ArgumentException>(() => table["nothing"]);
        Assert.Throws<ArgumentException>(() => table.With("nothing", 0.5));
        Assert.Throws<ArgumentOutOfRangeException>(() => table.With(table.Layers[0].Layer, double.NaN));
        Assert.Throws<InvalidOperationException>(() => table.At(0.3));
        SparsityTable bad = new([.. table.Layers.Select((l, i) => i == 2 ? l with { Sparsity = double.NaN } : l)], []);
        Assert.Contains(table.Layers[2].Layer, Assert.ThrowsAny<ArgumentException>(() => SparseInputs.Apply(model, bad)).Message, StringComparison.Ordinal);
        Assert.ThrowsAny<ArgumentException>(() => SparsityAllocation.GreedyBlock(model, Decoder.Ids(), 0.5));
        Tensor ids = Decoder.Ids(22);
        SparsityTable none = SparsityAllocation.GreedyBlock(model, ids, 0);
        Assert.Equal(0, none.Sparsity);
        Assert.ThrowsAny<ArgumentException>(() => SparsityAllocation.GreedyBlock(model, ids, 0.5, new() { Step = double.NaN }));
        Assert.ThrowsAny<ArgumentException>(() => SparsityAllocation.GreedyBlock(model, ids, 0.5, new() { LastShare = 0 }));
        using var cancelled = new CancellationTokenSource();
        cancelled.Cancel();
        Tensor dense = model.Logits(Decoder.Ids());
        Assert.Throws<OperationCanceledException>(() => SparsityAllocation.GreedyBlock(model, ids, 0.5, cancel: cancelled.Token));
        Assert.Throws<OperationCanceledException>(() => ScoreCalibration.Gather(model, ids, new InputMagnitudeScore(), cancel: cancelled.Token));
        Assert.Throws<OperationCanceledException>(() => RankAllocation.Factors(model, cancelled.Token));
        Assert.True(model.Logits(Decoder.Ids()).equal(dense).all().item<bool>());
    }

    [Fact]
    public void Likelihoods_of_any_logits_are_those_of_the_softmax()
    {
        using var scope = NewDisposeScope();
        foreach (float shift in new[] { 0, 1e4f, -1e4f, 1e30f })
        {
            var rows = new LogitRows(tensor(new float[] { 1 + shift, 2 + shift, 0.5f + shift }, [1, 1, 3]));
            double[] logits = [1 + shift, 2 + shift, 0.5f + shift];
            foreach (double temperature in new[] { 0.6, 1, 1e-300 })
            {
                double top = logits.Max(), sum = logits.Sum(l => Math.Exp(((float)l - (float)top) / temperature));
                for (int i = 0; i < 3; i++) Assert.Equal((((float)logits[i] - (float)top) / temperature) - Math.Log(sum), rows.LogLikelihood(0, i, temperature), 1e-9);
            }
        }

        // A token that a model has ruled out.
        var masked = new LogitRows(tensor(new[] { 1, float.NegativeInfinity, 1 }, [1, 1, 3]));
        Assert.Equal(0, masked.Best(0));
        Assert.Equal(double.NegativeInfinity, masked.LogLikelihood(0, 1, 1));
        Assert.Equal(-Math.Log(2), masked.LogLikelihood(0, 2, 0.6), 1e-12);
        Assert.Equal([0, 2], masked.Best(0, 2));
        Assert.ThrowsAny<ArgumentException>(() => new LogitRows(full([1, 1, 3], float.NaN)).Best(0));
        Assert.ThrowsAny<ArgumentException>(() => new LogitRows(tensor(new[] { 1f, float.NaN, 3f }, [1, 1, 3])).Best(0));
    }

    [Theory]
    [InlineData(2, 1)]
    [InlineData(5, 1)]
    [InlineData(4, 3)]
    [InlineData(63, 1)]
    public void A_corrected_text_advances_and_costs_what_its_checks_say(int kernel, int width)
    {
        using var scope = NewDisposeScope();
        using TinyLM model = Decoder.New(config: s_config);
        using SparseNeurons sparse = SparseNeurons.Apply(model, new GateScore(), 0.2);
        int[] prompt = kernel == 63 ? [3] : [3, 1, 4];
        CorrectionOptions options = new() { KernelSize = kernel, TreeWidth = width, NewTokens = 25 };
        CorrectedText text = new CorrectedGenerator(sparse, options).Generate(prompt), again = new CorrectedGenerator(sparse, options).Generate(prompt);
        Assert.Equal(text.Ids, again.Ids);
        Assert.Equal(25, text.Ids.Count);

        // The first token is the full model's; each check adds its accepted ones and the full model's own.
        Assert.True(1 + text.Checks.Sum(c => c.Accepted + 1) >= 25);
        Assert.Equal((double)text.Checks.Sum(c => c.Accepted + 1) / text.Checks.Count, text.AverageAdvance, 1e-12);
        Assert.Equal(((text.Checks.Sum(c => c.Drafted) * sparse.Step.Share) + text.Checks.Count) / text.Checks.Sum(c => c.Accepted + 1), text.EffectiveDensity, 1e-12);
        if (width == 1) Assert.InRange(text.CountedDensity / text.EffectiveDensity, 0.98, 1.02);
        foreach (CorrectionCheck check in text.Checks)
        {
            Assert.All(check.Path.Skip(1), node => Assert.True(check.Likelihoods[node] >= 0.1));
            if (check.Rejected is { } rejected && width == 1) Assert.True(rejected.Likelihood < 0.1);
        }

        // What each written token is worth to the full model, from scratch.
        Tensor all = tensor(prompt.Concat(text.Ids).Select(i => (long)i).ToArray()).unsqueeze(0), logits = model.Logits(all);
        for (int i = 0; i < 25; i++)
        {
            double expected = nn.functional.softmax(logits[0, prompt.Length - 1 + i] / 0.6, 0)[text.Ids[i]].item<float>();
            Assert.Equal(expected, text.Tokens[i].Likelihood, 2e-3);
        }

        Assert.ThrowsAny<ArgumentException>(() => new CorrectedGenerator(sparse, options).Generate([-1]));
        Assert.ThrowsAny<ArgumentException>(() => new CorrectedGenerator(sparse, options).Generate([4_000]));
        Assert.Throws<ArgumentNullException>(() => new CorrectedGenerator(sparse, options).Generate(null!));
        Assert.Throws<ArgumentNullException>(() => new CorrectedGenerator(null!));
        Assert.Equal(text.Ids, new CorrectedGenerator(sparse, options).Generate(prompt).Ids);
    }

    [Fact]
    public void A_rotated_decoder_says_the_same_in_float64_and_its_columns_are_orthogonal()
    {
        using var scope = NewDisposeScope();
        using TinyLM model = Decoder.New();
        model.to(ScalarType.Float64);
        using RotatedModel rotated = Turned.ColumnOrthogonal(model, untie: true);
        Assert.True((rotated.Logits(Decoder.Ids()) - model.Logits(Decoder.Ids())).abs().max().item<double>() < 1e-9 * model.Logits(Decoder.Ids()).abs().max().item<double>());
        foreach (LlamaBlock block in rotated.Model.Blocks)
        {
            foreach (Tensor weight in new Tensor[] { block.Key.weight, block.Gate.weight })
            {
                Tensor gram = weight.t().mm(weight), off = gram - diag(gram.diag());
                Assert.True(off.abs().max().item<double>() < 1e-6 * gram.diag().max().item<double>());
            }
        }

        foreach (Tensor odd in new[] { zeros(3, 4), ones(1, 5), randn(7, 3), randn(3, 7).to(ScalarType.Float16) })
        {
            Tensor Q = Turned.RightBasis(odd);
            Assert.True((Q.t().mm(Q) - eye(odd.shape[1], dtype: ScalarType.Float64)).abs().max().item<double>() < 1e-12);
        }

        Assert.ThrowsAny<ArgumentException>(() => Turned.RightBasis(full([2, 2], float.NaN)));
        Assert.ThrowsAny<ArgumentException>(() => Turned.RightBasis(ones(3)));
    }
}
