using Sparseland.FineTuning;
using Sparseland.IO;
using Sparseland.LowRank;
using Sparseland.Models;
using Sparseland.Models.Language;
using Sparseland.Training;
using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Sparseland.Tests.FineTuning;

/// <summary>Attacks on fine-tuning: sizes of numbers, half types, strided weights, damaged files, defaults that do nothing, runs that are told twice.</summary>
public sealed class FineTuningTrialTests : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("tuned-").FullName;

    private string File0 => Path.Combine(_folder, "one.safetensors");

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Theory]
    [InlineData(ScalarType.Float32, 1e-30, 1e-5)]
    [InlineData(ScalarType.Float32, 1e-17, 1e-5)]
    [InlineData(ScalarType.Float32, 1e25, 1e-5)]
    [InlineData(ScalarType.Float32, 1e34, 1e-5)]
    [InlineData(ScalarType.Float64, 1e-200, 1e-12)]
    [InlineData(ScalarType.Float64, 1e200, 1e-12)]
    public void What_ranks_add_scales_with_the_input_over_the_range_of_the_type(ScalarType type, double scale, double most)
    {
        using var scope = NewDisposeScope();
        using RankMixtureLinear layer = Mixture(type);
        Tensor x = randn([7, 10], dtype: ScalarType.Float64, generator: new Generator(3)).to(type), none = zeros([1, 10], dtype: type);
        layer.eval();
        Tensor Added(Tensor input) => layer.call(input) - nn.functional.linear(input, layer.Base);
        Tensor one = Added(x), far = Added(x * scale) / scale;
        Assert.True(one.abs().max().to(ScalarType.Float64).item<double>() > 1e-3);
        Assert.True(TuneData.Farthest(one, far) < most * 10);
        Assert.True(TuneData.Same(layer.Weights(x).gt(0), layer.Weights(x * scale).gt(0)));
        Assert.True(TuneData.Same(layer.call(none), none.new_zeros([1, 6])));
        Assert.True(layer.Weights(none).isfinite().all().item<bool>());

        // The gradient is that of the formula, the selection fixed: of s the size of z counts for nothing.
        Tensor input = (x * scale).requires_grad_();
        layer.call(input).sum().backward();
        Tensor plain = x.clone().requires_grad_();
        layer.call(plain).sum().backward();
        Assert.True(TuneData.Farthest(input.grad!, plain.grad!) < most * 1e3);
    }

    [Theory]
    [InlineData(ScalarType.Float16)]
    [InlineData(ScalarType.BFloat16)]
    public void Mixtures_of_half_types_choose_as_those_of_float32_do(ScalarType half)
    {
        using var scope = NewDisposeScope();
        using RankMixtureLinear layer = Mixture(ScalarType.Float32);
        Tensor x = randn([40, 10], generator: new Generator(3)) * 400;
        layer.eval();
        layer.to(half);
        Tensor low = layer.Weights(x.to(half)), out16 = layer.call(x.to(half));
        Assert.Equal(half, out16.dtype);
        layer.to(ScalarType.Float32);
        Tensor wide = layer.Weights(x.to(half).to(ScalarType.Float32));

        // Digits of z decide near ties; beside them the same ranks are on.
        Assert.True(low.to(ScalarType.Float32).sub(wide).abs().gt(0.2).sum().item<long>() <= 24, low.to(ScalarType.Float32).sub(wide).abs().gt(0.2).sum().item<long>().ToString());
        Assert.True(low.count_nonzero().item<long>() > 40);
        Assert.True(out16.isfinite().all().item<bool>());
    }

    [Fact]
    public void Continual_layers_refuse_inputs_of_another_width_and_do_not_cut_them_anew()
    {
        using var scope = NewDisposeScope();
        using RankMixtureLinear layer = Mixture(ScalarType.Float32);
        Assert.Contains("10]", Assert.Throws<ArgumentException>(() => layer.Weights(zeros([4, 20]))).Message, StringComparison.Ordinal);
        Assert.Throws<ArgumentException>(() => layer.Weights(zeros([4, 10], dtype: ScalarType.Float64)));
        Assert.Throws<ArgumentException>(() => layer.call(zeros([4, 5])));
        foreach (ContinualRule rule in Enum.GetValues<ContinualRule>())
        {
            using Linear linear = nn.Linear(10, 6);
            using ContinualLora lora = new(linear, rule, 2);
            lora.BeginTask(1);
            Assert.Throws<ArgumentException>(() => lora.call(zeros([4, 5])));
            Assert.Throws<ArgumentException>(() => lora.call(zeros([4, 10], dtype: ScalarType.Float64)));
            foreach (Tensor input in new[] { zeros(10), zeros([0, 10]), randn([3, 2, 10]).transpose(0, 1), randn([10, 3]).t() })
            {
                foreach (bool training in new[] { true, false })
                {
                    lora.train(training);
                    Assert.Equal([.. input.shape[..^1], 6], lora.call(input).shape);
                }
            }
        }
    }

    [Fact]
    public void Weights_that_lie_in_memory_by_columns_are_trained_in_part_like_others()
    {
        using var scope = NewDisposeScope();
        Sequential plain = TuneData.Mlp(), turned = TuneData.Mlp();
        foreach (LinearSlot slot in LinearSlots.Of(turned))
        {
            var linear = (Linear)slot.Module;
            linear.weight = new Parameter(linear.weight!.detach().t().contiguous().t());
            Assert.False(linear.weight.is_contiguous());
        }

        SaraOptions options = new() { RankPenaltyEvery = 1, MinimumSide = 3, LearningRate = 0.01, Training = new() { Steps = 12, FinalRate = 0, Beta2 = 0.999, WeightDecay = 0.1, ClipNorm = double.PositiveInfinity } };
        (Dictionary<string, Tensor> Trained, double[] Spectrum, Dictionary<string, Tensor> Merged) Run(Sequential network)
        {
            SparseDelta delta = SparseDelta.Attach(network, new SaraSelection { Share = 0.4 });
            SaraTraining.Run(network, delta, TuneData.Samples(), Losses.CrossEntropy(network), options);
            delta.Save(File0);
            Dictionary<string, Tensor> trained = delta.Names.ToDictionary(n => n, delta.UpdateOf);
            double[] spectrum = [.. delta.SpectrumOf(delta.Names[0]).SingularValues];
            delta.Dispose();
            SparseDelta.Load(File0, network);
            return (trained, spectrum, network.named_parameters().ToDictionary(p => p.name, p => p.parameter.detach().contiguous().clone()));
        }

        var (a, b) = (Run(plain), Run(turned));
        foreach ((string name, Tensor update) in a.Trained) Assert.True(update.count_nonzero().item<long>() > 0 && TuneData.Farthest(update, b.Trained[name]) < 1e-12);
        Assert.All(a.Spectrum.Zip(b.Spectrum), p => Assert.Equal(p.First, p.Second, 10));
        foreach ((string name, Tensor value) in a.Merged) Assert.True(TuneData.Farthest(value, b.Merged[name]) < 1e-12);
    }

    [Fact]
    public void A_rate_that_moves_nothing_is_said()
    {
        using var scope = NewDisposeScope();
        using Sequential network = TuneData.Mlp();
        using SparseDelta delta = SparseDelta.Attach(network, new SaraSelection { Share = 0.4 });
        SaraResult result = SaraTraining.Run(network, delta, TuneData.Samples(), Losses.CrossEntropy(network), new() { Training = new SaraOptions().Training with { Steps = 3 } });
        Assert.True(result.LearningRate < 1e-6);
        Assert.Contains("give a LearningRate", result.Warning, StringComparison.Ordinal);
        SaraResult other = SaraTraining.Run(network, delta, TuneData.Samples(), Losses.CrossEntropy(network), new() { LearningRate = 1e-9, Training = new SaraOptions().Training with { Steps = 3 } });
        Assert.Null(other.Warning);
    }

    [Fact]
    public void Told_twice_a_training_is_the_same_bit_for_bit()
    {
        using var scope = NewDisposeScope();
        float[][] runs = [.. Enumerable.Range(0, 2).Select(_ =>
        {
            using Sequential network = TuneData.Mlp();
            using SparseDelta delta = SparseDelta.Attach(network, new SaraSelection { Share = 0.5 });
            SaraTraining.Run(network, delta, TuneData.Samples(), Losses.CrossEntropy(network), new() { LearningRate = 0.01, MinimumSide = 3, Training = new SaraOptions().Training with { Steps = 15 } });
            return delta.Names.SelectMany(n => delta.WeightOf(n).to(ScalarType.Float32).view(-1).data<float>().ToArray()).ToArray();
        })];
        Assert.Equal(runs[0], runs[1]);
    }

    [Fact]
    public void A_loss_that_does_not_look_at_the_matrix_has_no_scores()
    {
        using var scope = NewDisposeScope();
        using TinyLM model = TuneData.Decoder();
        Assert.Contains("does not depend", Assert.Throws<ArgumentException>(() => StructureScores.Gradient(model, SlicedMatrix.Down, () => model.Blocks[0].Query.weight!.sum())).Message, StringComparison.Ordinal);
        Assert.Throws<ArgumentException>(() => StructureScores.Gradient(model, SlicedMatrix.Down, () => model.Blocks[0].Down.weight!.sum()));
        Assert.Throws<ArgumentException>(() => StructureScores.Gradient(model, SlicedMatrix.Down, () => tensor(1f)));
        Tensor scores = StructureScores.Gradient(model, SlicedMatrix.Down, () => model.Logits(TuneData.Ids()).square().mean());
        Assert.Equal([2L, 20L], scores.shape);
        Assert.True(scores.gt(0).all().item<bool>());
    }

    [Fact]
    public void A_merge_into_double_weights_has_their_digits_and_settings_stand_once()
    {
        using var scope = NewDisposeScope();
        using Sequential network = (Sequential)nn.Sequential(("first", nn.Linear(6, 8)), ("second", nn.Linear(8, 3))).to(ScalarType.Float64);
        Tensor A = LowRank.LowRankData.Gaussian(2, 6, 1), B = LowRank.LowRankData.Gaussian(8, 2, 2), before = ((Linear)network[0]).weight!.detach().clone();
        const string Config = """{ "peft_type": "LORA", "r": 2, "lora_alpha": 3, "target_modules": ["first"] }""";
        File.WriteAllText(Path.Combine(_folder, PeftAdapter.ConfigFile), Config);
        string tensors = Path.Combine(_folder, PeftAdapter.TensorFile);
        SafeTensors.Save(tensors, new Dictionary<string, Tensor> { ["base_model.model.first.lora_A.weight"] = A, ["base_model.model.first.lora_B.weight"] = B });
        using (PeftAdapter adapter = PeftAdapter.Load(_folder))
        {
            adapter.MergeInto(network);
            Assert.True(TuneData.Farthest(((Linear)network[0]).weight!, before + (B.mm(A) * 1.5)) < 1e-14);
        }

        byte[] whole = File.ReadAllBytes(tensors);
        for (int at = 0; at < whole.Length; at += 5)
        {
            byte[] broken = (byte[])whole.Clone();
            broken[at] ^= (byte)(1 << (at % 8));
            File.WriteAllBytes(tensors, broken);
            Refused(() => PeftAdapter.Load(_folder).Dispose(), at, mayPass: true);
            File.WriteAllBytes(tensors, whole[..at]);
            Refused(() => PeftAdapter.Load(_folder).Dispose(), at, mayPass: false);
        }

        SafeTensors.Save(tensors, new Dictionary<string, Tensor> { ["base_model.model.first.lora_A.weight"] = A, ["base_model.model.first.lora_B.weight"] = B, ["first.lora_B.weight"] = B * 2 });
        Assert.Contains("twice", Assert.Throws<InvalidDataException>(() => PeftAdapter.Load(_folder)).Message, StringComparison.Ordinal);
        foreach (string field in new[] { "rank_pattern", "alpha_pattern" })
            Assert.Contains(field, Assert.Throws<InvalidDataException>(() => PeftConfig.Parse($$"""{ "peft_type": "LORA", "{{field}}": { "q": 1, "q": 2 } }""")).Message, StringComparison.Ordinal);
        for (int cut = 0; cut < Config.Length; cut++) Assert.Throws<InvalidDataException>(() => PeftConfig.Parse(Config[..cut]));
        foreach (string value in new[] { "1e999", "-1", "[]", "{}", "\"8\"", "8.5", "99999999999999999999" }) Assert.Throws<InvalidDataException>(() => PeftConfig.Parse($$"""{ "peft_type": "LORA", "r": {{value}} }"""));
    }

    [Fact]
    public void Damaged_adapters_are_refused_or_whole_and_no_part_of_one_is_lost()
    {
        using var scope = NewDisposeScope();
        using SparseUpdate one = new("a.weight", [3, 4], UpdateForm.Columns, [0, 2], randn([3, 2]), "h"), two = new("b.weight", [2, 2], UpdateForm.Rows, [1], randn([1, 2]), "h");
        using (SparseAdapterFile file = new("s2ft", AdapterMeaning.Added, [one, two])) file.Save(File0);
        byte[] whole = File.ReadAllBytes(File0);
        for (int at = 0; at < whole.Length; at++)
        {
            byte[] broken = (byte[])whole.Clone();
            broken[at] ^= (byte)(1 << (at % 8));
            File.WriteAllBytes(File0, broken);
            Refused(() => SparseAdapterFile.Load(File0).Dispose(), at, mayPass: true);
            File.WriteAllBytes(File0, whole[..at]);
            Refused(() => SparseAdapterFile.Load(File0).Dispose(), at, mayPass: false);
        }

        File.WriteAllBytes(File0, whole);
        Dictionary<string, string> notes;
        Dictionary<string, Tensor> parts;
        using (SafeTensorsFile file = SafeTensors.Open(File0)) (notes, parts) = (new(file.Metadata), file.LoadAll());
        foreach (string missing in parts.Keys.ToArray())
        {
            SafeTensors.Save(File0, parts.Where(p => p.Key != missing).ToDictionary(p => p.Key, p => p.Value), notes);
            Assert.Throws<InvalidDataException>(() => SparseAdapterFile.Load(File0));
        }

        SafeTensors.Save(File0, new Dictionary<string, Tensor>(parts) { ["c.bias"] = zeros(2) }, notes);
        Assert.Contains("c.bias", Assert.Throws<InvalidDataException>(() => SparseAdapterFile.Load(File0)).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Damaged_mixtures_are_refused_or_whole()
    {
        using var scope = NewDisposeScope();
        using RankMixtureLinear layer = Mixture(ScalarType.Float32);
        layer.Save(File0);
        byte[] whole = File.ReadAllBytes(File0);
        for (int at = 0; at < whole.Length; at += 3)
        {
            byte[] broken = (byte[])whole.Clone();
            broken[at] ^= (byte)(1 << (at % 8));
            File.WriteAllBytes(File0, broken);
            using Linear linear = nn.Linear(10, 6, hasBias: false);
            using RankMixtureLinear other = new(linear, layer.Options);
            Refused(() => other.Load(File0), at, mayPass: true);
            Assert.True(other.Tasks is 0 or 2);
        }
    }

    [Theory]
    [InlineData(1e-30)]
    [InlineData(1.0)]
    [InlineData(1e30)]
    public void The_nuclear_norm_and_its_slope_at_any_scale_and_stride(double scale)
    {
        using var scope = NewDisposeScope();
        foreach (ScalarType type in new[] { ScalarType.Float32, ScalarType.Float64 })
        {
            Tensor M = LowRank.LowRankData.Gaussian(7, 4, 3), own = (M * scale).to(type), turned = own.t().contiguous().t();
            (Tensor u, _, Tensor vt) = linalg.svd(M, fullMatrices: false);
            double norm = linalg.svdvals(M).sum().item<double>(), most = type == ScalarType.Float32 ? 1e-5 : 1e-12;
            Assert.Equal(1, NuclearNorm.Value(own) / scale / norm, 5);
            Assert.True(TuneData.Farthest(NuclearNorm.Subgradient(own).to(ScalarType.Float64), u.mm(vt)) < most);
            Assert.True(TuneData.Farthest(NuclearNorm.Subgradient(turned), NuclearNorm.Subgradient(own)) < most);
        }
    }

    [Fact]
    public void Runs_are_compared_where_they_first_come_down()
    {
        FineTuningReport Of(params (double Target, double Retention)[] points) => new("x", 1, [.. points.Select((p, i) => new FineTuningPoint(i, p.Target, p.Retention))]);
        Assert.Equal(2, Of((5, 1), (3, 3), (4, 9), (3, 7)).RetentionAt(4));
        Assert.Equal(1, Of((5, 1), (5, 4), (4, 9)).RetentionAt(5));
        Assert.Equal(6.5, Of((5, 1), (5, 4), (4, 9)).RetentionAt(4.5));
        Assert.True(double.IsNaN(Of((5, 1), (5, 4)).RetentionAt(4.9)));
        Assert.True(double.IsNaN(Of((5, 1), (double.NaN, 4), (double.NaN, 9)).RetentionAt(4.9)));
    }

    [Theory]
    [InlineData(ScalarType.Float16)]
    [InlineData(ScalarType.BFloat16)]
    public void Projected_gradients_of_half_types_and_turned_weights_step(ScalarType half)
    {
        using var scope = NewDisposeScope();
        float[] Run(bool turned, ScalarType type)
        {
            using Linear linear = nn.Linear(12, 8, hasBias: false);
            using (no_grad()) linear.weight!.copy_(randn([8, 12], generator: new Generator(1)));
            if (turned) linear.weight = new Parameter(linear.weight!.detach().t().contiguous().t());
            using Sequential network = (Sequential)nn.Sequential(("only", linear)).to(type);
            using GaLoreOptimizer optimizer = new(network, new() { Rank = 2, Gap = 2 });
            for (int i = 0; i < 5; i++)
            {
                network.zero_grad();
                network.call(randn([16, 12], generator: new Generator(7)).to(type)).to(ScalarType.Float32).square().mean().backward();
                optimizer.Step(0.05);
            }

            return ((Linear)network[0]).weight!.detach().to(ScalarType.Float32).contiguous().data<float>().ToArray();
        }

        float[] plain = Run(false, ScalarType.Float32), turned = Run(true, ScalarType.Float32), narrow = Run(false, half);
        Assert.All(plain.Zip(turned), p => Assert.Equal(p.First, p.Second, 4));
        Assert.All(plain.Zip(narrow), p => Assert.InRange(p.Second, p.First - 0.15, p.First + 0.15));
    }

    private static RankMixtureLinear Mixture(ScalarType type)
    {
        using Linear linear = nn.Linear(10, 6, hasBias: false);
        using (no_grad()) linear.weight!.copy_(randn([6, 10], generator: new Generator(1)));
        linear.to(type);
        var layer = new RankMixtureLinear(linear, new() { Rank = 4, ActiveRanks = 3, Temperature = 0.05, Threshold = 0.2 });
        for (int task = 0; task < 2; task++)
        {
            layer.BeginTask(task);
            using (no_grad())
            {
                foreach ((string name, Parameter parameter) in layer.named_parameters()) if (name == $"values{task}") parameter.copy_(randn(parameter.shape, generator: new Generator((ulong)task + 8)));
            }

            layer.EndTask();
        }

        return layer;
    }

    private static void Refused(Action act, int at, bool mayPass)
    {
        Exception? error = Record.Exception(act);
        Assert.True(error is InvalidDataException or IOException || (mayPass && error is null), $"byte {at}: {error}");
    }
}
