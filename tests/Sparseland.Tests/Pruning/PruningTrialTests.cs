using System.Text.Json.Nodes;
using Sparseland.Data;
using Sparseland.IO;
using Sparseland.Kernels;
using Sparseland.Models;
using Sparseland.Models.Language;
using Sparseland.Pruning;
using Sparseland.Pruning.Soups;
using Sparseland.Pruning.Unlearning;
using Sparseland.Tensors;
using Sparseland.Training;
using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Sparseland.Tests.Pruning;

/// <summary>Chapter 05 under hostile input: brute force, other types and scales, shared weights, folders as people have them.</summary>
public sealed class PruningTrialTests : IDisposable
{
    private readonly string _root = Directory.CreateTempSubdirectory("sparseland-trial-").FullName;
    private readonly DisposeScope _scope = NewDisposeScope();

    public PruningTrialTests() => random.manual_seed(5);

    public void Dispose()
    {
        _scope.Dispose();
        Directory.Delete(_root, recursive: true);
    }

    // ---- PST

    private static bool[] ByHand(double[] s, double sparsity)
    {
        int gone = (int)Math.Floor((sparsity * s.Length) + 1e-6);
        bool[] stays = new bool[s.Length];
        foreach (int i in Enumerable.Range(0, s.Length).OrderByDescending(i => s[i]).ThenBy(i => i).Take(s.Length - gone)) stays[i] = true;
        return stays;
    }

    [Fact]
    public void Pst_masks_are_those_of_a_sort()
    {
        var random = new Random(1);
        for (int draw = 0; draw < 80; draw++)
        {
            using DisposeScope scope = NewDisposeScope();
            int n = random.Next(1, 14), k = random.Next(1, 14), least = Math.Min(n, k);
            ScalarType type = draw % 2 == 0 ? ScalarType.Float32 : ScalarType.Float64;
            double scale = (draw % 4) switch { 0 => 1e20, 1 => 1e-30, _ => 1 };
            Tensor weight = randn(n, k, dtype: type).mul(10).round() * (scale / 10);
            if (draw % 5 == 0 && k > 2) weight.select(1, 0).zero_();
            if (draw % 7 == 0 && k > 2) weight.select(1, 1).copy_(weight.select(1, 2));
            if (draw % 3 == 0) weight = weight.t();
            (n, k) = ((int)weight.shape[0], (int)weight.shape[1]);
            using var layer = new PstLinear(weight, null, new() { WeightRank = random.Next(1, least + 1), ScoreRank = random.Next(1, least + 1), Seed = draw });
            using (no_grad())
            {
                layer.B!.copy_(randn_like(layer.B) * scale);
                layer.R!.copy_(randn_like(layer.R) * scale);
                layer.C!.copy_(randn_like(layer.C) * scale);
                layer.V.copy_(randn_like(layer.V) * scale);
            }

            double[] s = layer.Importance().detach().to(ScalarType.Float64).contiguous().flatten().data<double>().ToArray();
            double[] w = (weight.to(ScalarType.Float64) + layer.U.to(ScalarType.Float64).mm(layer.V.to(ScalarType.Float64))).detach().contiguous().flatten().data<double>().ToArray();
            foreach (double v in new[] { 0, 0.1, 1.0 / 3, 0.5, 0.77, 1 - (1.0 / (n * k)) })
            {
                bool[] stays = ByHand(s, v);
                Assert.Equal(stays, layer.Mask(v).contiguous().flatten().data<bool>().ToArray());
                layer.eval();
                layer.SetSparsity(v);
                double[] export = layer.Export().to(ScalarType.Float64).contiguous().flatten().data<double>().ToArray();
                for (int i = 0; i < w.Length; i++) Assert.Equal(stays[i] ? w[i] : 0, export[i], Math.Abs(w[i]) * 1e-4 + scale * 1e-5);
                Tensor x = randn(3, k, dtype: type), linear = layer.ToLinear().call(x);
                Assert.True((layer.call(x) - linear).abs().max().to(ScalarType.Float64).item<double>() <= 1e-5 * scale * k, $"{draw}");
            }
        }
    }

    private static Sequential Two(long seed = 1)
    {
        random.manual_seed(seed);
        return nn.Sequential(("a", nn.Linear(6, 5)), ("act", nn.ReLU()), ("b", nn.Linear(5, 4)));
    }

    [Theory]
    [InlineData(ScalarType.Float64)]
    [InlineData(ScalarType.BFloat16)]
    [InlineData(ScalarType.Float16)]
    public void A_converted_network_changes_its_type(ScalarType type)
    {
        foreach (bool movement in new[] { false, true })
        {
            using Sequential network = Two();
            using PstModel model = movement ? PstModel.Convert(network, null, new MovementOptions()) : PstModel.Convert(network, null, new PstOptions { WeightRank = 2, ScoreRank = 2 });
            Tensor x = randn(3, 6), before = network.call(x).detach();
            network.to(type);
            model.SetSparsity(0.5);
            Tensor y = network.call(x.to(type));
            Assert.Equal(type, y.dtype);
            y.sum().backward();
            Assert.All(network.parameters(), p => Assert.NotNull(p.grad));
            model.Merge();
            Assert.True((network.call(x.to(type)) - y).abs().max().to(ScalarType.Float32).item<float>() < 0.05);
            Assert.NotNull(before);
        }
    }

    [Fact]
    public void A_converted_network_is_saved_and_loaded()
    {
        string file = Path.Combine(_root, "network.bin");
        using Sequential network = Two(), other = Two(9);
        using PstModel model = PstModel.Convert(network, null, new PstOptions { WeightRank = 2, ScoreRank = 2 });
        using (no_grad())
        {
            foreach (Parameter p in network.parameters()) if (p.requires_grad) p.copy_(randn_like(p));
        }

        network.save(file);
        using PstModel again = PstModel.Convert(other, null, new PstOptions { WeightRank = 2, ScoreRank = 2, Seed = 7 });
        other.load(file);
        model.SetSparsity(0.6);
        again.SetSparsity(0.6);
        for (int i = 0; i < 2; i++) Assert.True(model.Layers[i].Layer.Export().equal(again.Layers[i].Layer.Export()).all().item<bool>());
        Tensor x = randn(2, 6);
        Assert.True(network.call(x).equal(other.call(x)).all().item<bool>());
    }

    [Fact]
    public void A_shared_bias_survives_the_merge_of_one_owner()
    {
        Linear a = nn.Linear(6, 6), b = nn.Linear(6, 6);
        b.bias = a.bias;
        using Sequential network = nn.Sequential(("a", a), ("b", b));
        Tensor x = randn(2, 6), before = network.call(x).detach();
        PstModel model = PstModel.Convert(network, name => name == "a", new PstOptions { WeightRank = 2, ScoreRank = 2 });
        model.Merge();
        model.Dispose();
        Assert.True((network.call(x) - before).abs().max().item<float>() < 1e-5);
    }

    [Fact]
    public void One_module_at_two_places_is_refused_or_right()
    {
        Linear a = nn.Linear(6, 6);
        using Sequential network = nn.Sequential(("a", a), ("b", a));
        Tensor x = randn(2, 6), before = network.call(x).detach();
        Exception? error = Record.Exception(() =>
        {
            using PstModel model = PstModel.Convert(network, null, new PstOptions { WeightRank = 2, ScoreRank = 2 });
            Assert.True((network.call(x) - before).abs().max().item<float>() < 1e-5);
            model.Merge();
        });
        if (error is not null) Assert.IsAssignableFrom<ArgumentException>(error);
        Assert.True((network.call(x) - before).abs().max().item<float>() < 1e-5);
    }

    [Fact]
    public void A_bias_of_a_converted_layer_cannot_be_trained_and_is_refused()
    {
        using Sequential network = Two();
        var error = Assert.Throws<ArgumentException>(() => PstModel.Convert(network, null, new PstOptions { WeightRank = 2, ScoreRank = 2 }, name => name == "a.bias"));
        Assert.Contains("a.bias", error.Message, StringComparison.Ordinal);
        Assert.All(LinearSlots.Of(network), slot => Assert.IsType<Linear>(slot.Module));
    }

    [Fact]
    public void An_importance_that_is_not_finite_is_refused_by_name_and_the_dense_network_comes_back()
    {
        using Sequential network = Two();
        Tensor x = randn(2, 6), before = network.call(x).detach();
        using (PstModel model = PstModel.Convert(network, null, new PstOptions { WeightRank = 2, ScoreRank = 2 }))
        {
            using (no_grad()) ((PstLinear)model.Layers[1].Layer).R!.fill_(double.NaN);
            Assert.Contains("b", Assert.Throws<ArgumentException>(() => network.call(x)).Message, StringComparison.Ordinal);
            Assert.Throws<ArgumentException>(() => model.Merge());
        }

        Assert.True(network.call(x).equal(before).all().item<bool>());
    }

    [Theory]
    [InlineData(1e200)]
    [InlineData(1e-200)]
    [InlineData(1e20)]
    [InlineData(1)]
    public void Analyses_of_scores_do_not_depend_on_their_scale(double scale)
    {
        using var generator = new Generator(3);
        Tensor plain = randn([7, 5], dtype: ScalarType.Float64, generator: generator);
        plain.select(1, 2).zero_();
        RowColumnProfile a = ScoreAnalysis.RowColumnProfile(plain), b = ScoreAnalysis.RowColumnProfile(plain * scale);
        Assert.Equal(a.RowVariation, b.RowVariation, 1e-9);
        Assert.Equal(a.ColumnVariation, b.ColumnVariation, 1e-9);
        for (int i = 0; i < 7; i++) Assert.Equal(a.RowNorms[i], b.RowNorms[i] / scale, 1e-9);
        for (int rank = 1; rank <= 5; rank++) Assert.Equal(ScoreAnalysis.TopShare(plain, rank), ScoreAnalysis.TopShare(plain * scale, rank), 1e-9);
        Assert.Equal(1, ScoreAnalysis.TopShare(plain * scale, 5), 1e-12);
    }

    // ---- pruning of folders

    private string Source(string name = "source", LlamaConfig? config = null)
    {
        string source = Path.Combine(_root, name);
        using var model = new TinyLM(config ?? new LlamaConfig { Vocabulary = 50, Width = 16, Layers = 3, Heads = 4, KeyValueHeads = 2, MlpWidth = 24, Context = 12 }, 3);
        LanguageModelFolder.SaveModel(source, model);
        return source;
    }

    private static Tensor Ids(long rows, long tokens, ulong seed) => randint(0, 50, [rows, tokens], dtype: ScalarType.Int64, generator: new Generator(seed));

    private static FolderPruningOptions Options(ILayerPruner method, Tensor? calibration, Tensor? evaluation) => new()
    {
        Method = method, Pattern = PruningPattern.NofM(2, 4), Calibration = calibration, Evaluation = evaluation, Blockwise = new() { Batch = 4 },
    };

    private sealed class Immediate(Action<ProgressReport> report) : IProgress<ProgressReport>
    {
        public void Report(ProgressReport value) => report(value);
    }

    [Fact]
    public void A_block_may_stay_dense()
    {
        string source = Source(), target = Path.Combine(_root, "dense-block");
        var said = new List<ProgressReport>();
        FolderPruningOptions options = Options(new WandaPruner(), Ids(6, 10, 1), Ids(4, 9, 2)) with { Blockwise = new() { Batch = 4, Skip = name => name.Contains("layers.1.", StringComparison.Ordinal) } };
        FolderPruningResult result = FolderPruning.Run(source, target, options, new Immediate(said.Add));
        Assert.Equal(3, said.Count);
        Assert.Equal(14, result.Layers.Count);
        using LanguageModel read = LanguageModelFolder.LoadModel(target), dense = LanguageModelFolder.LoadModel(source);
        using MaskSet masks = MaskSet.LoadFolder(target, read);
        Assert.Equal(14, masks.Names.Count);
        foreach ((string name, Parameter parameter) in read.named_parameters())
        {
            if (name.Contains("layers.1.", StringComparison.Ordinal)) Assert.True(parameter.equal(dense.get_parameter(name)!).all().item<bool>(), name);
        }
    }

    [Fact]
    public void To_leave_everything_dense_is_refused_before_work()
    {
        string source = Source(), target = Path.Combine(_root, "all-dense");
        Assert.Throws<ArgumentException>(() => FolderPruning.Run(source, target, Options(new MagnitudePruner(), null, null) with { Blockwise = new() { Skip = _ => true } }));
        Assert.False(Directory.Exists(target));
        using LanguageModel model = LanguageModelFolder.LoadModel(source);
        Assert.Throws<ArgumentException>(() => BlockwisePruning.Run(model, null, new MagnitudePruner(), PruningPattern.PerRow(0.5), new() { Skip = _ => true }));
    }

    [Theory]
    [InlineData("seed")]
    [InlineData("damping")]
    [InlineData("cycles")]
    public void A_state_of_another_method_is_not_taken_up(string what)
    {
        ILayerPruner one = what switch { "seed" => new RandomPruner(1), "damping" => new SparseGptPruner(new() { Damping = 0.01 }), _ => new DSnoTPruner(null, new() { MaxCycles = 5 }) };
        ILayerPruner two = what switch { "seed" => new RandomPruner(2), "damping" => new SparseGptPruner(new() { Damping = 0.5 }), _ => new DSnoTPruner(null, new() { MaxCycles = 50 }) };
        string source = Source(), target = Path.Combine(_root, "parts");
        using var cancel = new CancellationTokenSource();
        Assert.Throws<OperationCanceledException>(() => FolderPruning.Run(source, target, Options(one, Ids(6, 10, 1), Ids(4, 9, 2)), new Immediate(_ => cancel.Cancel()), cancel.Token));
        Assert.Throws<InvalidDataException>(() => FolderPruning.Run(source, target, Options(two, Ids(6, 10, 1), Ids(4, 9, 2)) with { Resume = true }));
        FolderPruning.Run(source, target, Options(one, Ids(6, 10, 1), Ids(4, 9, 2)) with { Resume = true });
    }

    [Fact]
    public void What_would_load_another_model_is_not_copied()
    {
        string source = Source(), target = Path.Combine(_root, "adapter");
        File.WriteAllText(Path.Combine(source, "adapter_config.json"), "{\"base_model_name_or_path\":\"dense/model\"}");
        FolderPruningResult result = FolderPruning.Run(source, target, Options(new MagnitudePruner(), null, null));
        Assert.Contains(result.Remarks, r => r.Contains("adapter_config.json", StringComparison.Ordinal));
        Assert.False(File.Exists(Path.Combine(target, "adapter_config.json")));
    }

    [Theory]
    [InlineData(1e30f)]
    [InlineData(float.NaN)]
    public void A_model_whose_loss_is_not_finite_is_finished_or_refused_in_words(float factor)
    {
        string source = Source(), target = Path.Combine(_root, "overflow"), weights = Path.Combine(source, "model.safetensors");
        SafeTensors.Save(weights, SafeTensors.Load(weights).ToDictionary(t => t.Key, t => t.Key.Contains("embed", StringComparison.Ordinal) || t.Key.Contains("head", StringComparison.Ordinal) ? t.Value * factor : t.Value));
        Exception? error = Record.Exception(() => FolderPruning.Run(source, target, Options(new MagnitudePruner(), null, Ids(4, 9, 2))));
        if (error is not null)
        {
            Assert.DoesNotContain("JSON", error.Message, StringComparison.Ordinal);
            Assert.True(error is ArgumentException or InvalidDataException, error.ToString());
            return;
        }

        JsonNode report = JsonNode.Parse(File.ReadAllText(Path.Combine(target, FolderPruning.ReportName)))!;
        Assert.Equal(0.5, (double)report["sparsity"]!, 1e-9);
    }

    [Fact]
    public void A_folder_as_people_have_it_is_pruned_like_the_clean_one()
    {
        string source = Source(), clean = Path.Combine(_root, "clean"), odd = Path.Combine(_root, "odd"), target = Path.Combine(odd, "pruned here");
        FolderPruningOptions options = Options(new SparseGptPruner(), Ids(6, 10, 1), Ids(4, 9, 2));
        FolderPruningResult expected = FolderPruning.Run(source, clean, options);
        Directory.CreateDirectory(odd);
        byte[] config = File.ReadAllBytes(Path.Combine(source, "config.json"));
        File.WriteAllBytes(Path.Combine(odd, "config.json"), [0xEF, 0xBB, 0xBF, .. config]);
        Dictionary<string, Tensor> all = SafeTensors.Load(Path.Combine(source, "model.safetensors")).ToDictionary(t => t.Key, t => t.Value);
        string[] names = [.. all.Keys.Order(StringComparer.Ordinal)];
        var map = new JsonObject();
        for (int part = 0; part < 2; part++)
        {
            string file = $"part-{part}.safetensors";
            Dictionary<string, Tensor> some = names.Where((_, i) => i % 2 == part).ToDictionary(n => n, n => all[n]);
            if (part == 1) some["model.layers.0.self_attn.rotary_emb.inv_freq"] = rand(3);
            SafeTensors.Save(Path.Combine(odd, file), some);
            foreach (string name in some.Keys) map[name] = file;
        }

        string index = new JsonObject { ["weight_map"] = map, ["other"] = 1 }.ToJsonString(new() { WriteIndented = true }).Replace("\n", "\r\n", StringComparison.Ordinal);
        File.WriteAllText(Path.Combine(odd, "model.safetensors.index.json"), index);
        File.WriteAllText(Path.Combine(odd, "README.md"), "mine");
        FolderPruningResult result = FolderPruning.Run(odd + Path.DirectorySeparatorChar, target, options);
        Assert.Equal(expected.After!.Losses, result.After!.Losses);
        Assert.Equal(expected.Layers.Select(l => l.Kept), result.Layers.Select(l => l.Kept));
        using LanguageModel a = LanguageModelFolder.LoadModel(clean), b = LanguageModelFolder.LoadModel(target);
        foreach ((string name, Parameter parameter) in a.named_parameters()) Assert.True(parameter.equal(b.get_parameter(name)!).all().item<bool>(), name);
    }

    [Fact]
    public void Two_runs_write_the_same_bytes_and_a_flipped_byte_of_the_state_is_seen()
    {
        string source = Source(), one = Path.Combine(_root, "one"), two = Path.Combine(_root, "two");
        FolderPruningOptions options = Options(new DSnoTPruner(), Ids(6, 10, 1), Ids(4, 9, 2));
        FolderPruning.Run(source, one, options);
        using var cancel = new CancellationTokenSource();
        Assert.Throws<OperationCanceledException>(() => FolderPruning.Run(source, two, options, new Immediate(_ => cancel.Cancel()), cancel.Token));
        string state = Directory.EnumerateFiles(two, "pruning-state*").Single();
        byte[] good = File.ReadAllBytes(state);
        foreach (int place in new[] { 5, 200, good.Length / 2, good.Length - 3 })
        {
            byte[] bad = [.. good];
            bad[place] ^= 8;
            File.WriteAllBytes(state, bad);
            Assert.Throws<InvalidDataException>(() => FolderPruning.Run(source, two, options with { Resume = true }));
        }

        File.WriteAllBytes(state, good);
        string shard = Path.Combine(two, "model-00001-of-00004.safetensors"), aside = Path.Combine(_root, "aside");
        File.Move(shard, aside);
        int blocks = 0;
        Exception error = Assert.ThrowsAny<Exception>(() => FolderPruning.Run(source, two, options with { Resume = true }, new Immediate(_ => blocks++)));
        Assert.True(error is InvalidDataException or IOException, error.ToString());
        Assert.Equal(0, blocks);
        File.Move(aside, shard);
        FolderPruning.Run(source, two, options with { Resume = true });
        foreach (string file in Directory.EnumerateFiles(one, "*.safetensors", SearchOption.AllDirectories))
            Assert.Equal(File.ReadAllBytes(file), File.ReadAllBytes(Path.Combine(two, Path.GetRelativePath(one, file))));
    }

    [Theory]
    [InlineData(0)]
    [InlineData(0.97)]
    public void Sparsities_at_the_ends_are_what_they_say(double sparsity)
    {
        string source = Source(), target = Path.Combine(_root, "ends");
        foreach (PruningPattern pattern in new[] { PruningPattern.PerRow(sparsity), PruningPattern.PerLayer(sparsity), PruningPattern.Groups(8, sparsity > 0 ? 0.5 : 0, true), PruningPattern.Rows(sparsity > 0 ? 0.5 : 0) })
        {
            if (Directory.Exists(target)) Directory.Delete(target, true);
            FolderPruningResult result = FolderPruning.Run(source, target, Options(new WandaPruner(), Ids(6, 10, 1), Ids(4, 9, 2)) with { Pattern = pattern });
            foreach (PrunedLayer layer in result.Layers)
            {
                if (sparsity == 0) Assert.Equal(layer.Size, layer.Kept);
            }

            if (sparsity == 0) Assert.Equal(result.Before!.Losses, result.After!.Losses);
        }
    }

    [Theory]
    [InlineData(1e20, 1e19)]
    [InlineData(1e-30, 1e-15)]
    [InlineData(1e20, 1e17)]
    [InlineData(1e-20, 1e-20)]
    [InlineData(1, 1)]
    public void Wanda_ranks_alike_at_every_scale(double weight, double input)
    {
        var random = new Random(4);
        for (int draw = 0; draw < 60; draw++)
        {
            using DisposeScope scope = NewDisposeScope();
            int n = random.Next(1, 8), k = random.Next(2, 12);
            Tensor W = (randn(n, k) * weight).to(draw % 3 == 0 && weight == 1 ? ScalarType.Float16 : ScalarType.Float32), x = randn(5, k) * input;
            using var seen = new ActivationStatistics(k, gram: false);
            seen.Add(x.unsqueeze(0));
            double[] s = (W.to(ScalarType.Float64).abs() * x.to(ScalarType.Float64).square().sum([0L]).sqrt()).flatten().data<double>().ToArray();
            bool[] mask = new WandaPruner().Prune(new("layer", W, seen), PruningPattern.PerRow(0.5)).Mask.flatten().data<bool>().ToArray();
            for (int row = 0; row < n; row++) Assert.Equal(ByHand(s[(row * k)..((row + 1) * k)], 0.5), mask[(row * k)..((row + 1) * k)]);
        }
    }

    [Fact]
    public void A_random_mask_depends_on_seed_and_name_alone()
    {
        Tensor weight = randn(9, 7), turned = randn(7, 9).t();
        var pruner = new RandomPruner(5);
        Tensor one = pruner.Prune(new("a", weight, null), PruningPattern.PerLayer(0.4)).Mask;
        pruner.Prune(new("b", weight, null), PruningPattern.PerLayer(0.4));
        Assert.True(one.equal(pruner.Prune(new("a", turned, null), PruningPattern.PerLayer(0.4)).Mask).all().item<bool>());
        Assert.False(one.equal(pruner.Prune(new("b", weight, null), PruningPattern.PerLayer(0.4)).Mask).all().item<bool>());
        Assert.False(one.equal(new RandomPruner(6).Prune(new("a", weight, null), PruningPattern.PerLayer(0.4)).Mask).all().item<bool>());
        Assert.Equal(63 - 25, one.sum().item<long>());
    }

    [Fact]
    public void Allocations_hold_the_total_on_drawn_networks()
    {
        var random = new Random(8);
        for (int draw = 0; draw < 100; draw++)
        {
            LayerShape[] layers = [.. Enumerable.Range(0, random.Next(1, 7)).Select(i => new LayerShape($"l{i}", random.Next(2) == 0
                ? [random.Next(1, 300), random.Next(1, 300)] : [random.Next(1, 60), random.Next(1, 60), random.Next(1, 6), random.Next(1, 6)]))];
            double density = draw % 10 == 0 ? 1 : Math.Pow(10, -2 * random.NextDouble()), size = layers.Sum(l => l.Size);
            foreach (LayerAllocation rule in LayerAllocation.All)
            {
                LayerDensities d;
                try
                {
                    d = rule.Solve(layers, density);
                }
                catch (ArgumentException)
                {
                    continue;
                }

                double total = layers.Select((l, i) => d[l.Name] * l.Size).Sum();
                Assert.True(Math.Abs(total - (density * size)) <= 1e-6 * size, $"{rule} {draw}: {total} of {density * size}");
                Assert.All(d.Values, x => Assert.InRange(x, 0, 1));
            }
        }
    }

    // ---- sparse finetuning

    [Theory]
    [InlineData(ScalarType.Float16, 300)]
    [InlineData(ScalarType.BFloat16, 300)]
    [InlineData(ScalarType.Float32, 1e20)]
    [InlineData(ScalarType.Float32, 1)]
    [InlineData(ScalarType.Float64, 1e20)]
    public void SquareHead_is_its_formula_in_every_type(ScalarType type, double scale)
    {
        var random = new Random(2);
        for (int draw = 0; draw < 50; draw++)
        {
            using DisposeScope scope = NewDisposeScope();
            int layers = random.Next(1, 4), batch = random.Next(1, 4), tokens = random.Next(1, 6), width = random.Next(1, 9);
            Tensor[] t = [.. Enumerable.Range(0, layers).Select(_ => (randn(batch, tokens, width) * scale).to(type))];
            Tensor[] s = [.. t.Select(x => (x.to(ScalarType.Float32) + (randn(x.shape) * scale * 0.3)).to(type).requires_grad_())];
            Tensor? mask = draw % 2 == 0 ? null : rand(batch, tokens) > 0.4;
            if (mask is not null) mask[0, 0] = true;
            double expected = 0;
            for (int l = 0; l < layers; l++)
            {
                Tensor a = s[l].detach().to(ScalarType.Float64), b = t[l].to(ScalarType.Float64), kept = (mask ?? ones(batch, tokens, dtype: ScalarType.Bool)).unsqueeze(2).expand(batch, tokens, width);
                expected += ((a - b).square().masked_select(kept).mean() / (b.square().masked_select(kept).mean() + (1.0 / 128))).item<double>();
            }

            Tensor loss = SquareHead.Loss(s, t, mask);
            Assert.Equal(expected, loss.to(ScalarType.Float64).item<double>(), expected * (type is ScalarType.Float32 or ScalarType.Float64 ? 1e-5 : 4e-3));
            loss.backward();
            Assert.All(s, x => Assert.True(x.grad!.isfinite().all().item<bool>()));
        }
    }

    [Theory]
    [InlineData(1e-30)]
    [InlineData(1e25)]
    public void Relative_errors_of_states_do_not_depend_on_their_scale(double scale)
    {
        Tensor t = randn(2, 3, 4), s = t + (randn(2, 3, 4) * 0.2);
        Assert.Equal(StateError.Relative([s], [t])[0], StateError.Relative([s * scale], [t * scale])[0], 1e-5);
    }

    // ---- soups

    [Fact]
    public void Shares_out_of_their_range_are_refused()
    {
        foreach (double share in new[] { double.NaN, -0.1, 1.5 })
        {
            Assert.ThrowsAny<ArgumentException>(() => PruningPattern.Kept(10, share));
            using SparseSnapshot a = SmallShapes.Dense(), b = SmallShapes.Dense();
            using Sequential workbench = SmallShapes.Network();
            using LabelledImages images = SmallShapes.Images(20);
            using MaskSet masks = GlobalMagnitude.DenseMasks(workbench);
            using SparseSnapshot x = SparseSnapshot.Of(workbench, masks), y = SparseSnapshot.Of(workbench, masks);
            Assert.ThrowsAny<ArgumentException>(() => SparseModelSoups.RePrune([x, y], workbench, images, share));
        }
    }

    [Fact]
    public void Averages_are_those_by_hand_and_keep_the_zeros()
    {
        var random = new Random(3);
        for (int draw = 0; draw < 50; draw++)
        {
            using DisposeScope scope = NewDisposeScope();
            int m = random.Next(2, 5);
            double scale = (draw % 3) switch { 0 => 1e20, 1 => 1e-30, _ => 1 };
            using Sequential network = Two(draw + 1);
            using MaskSet masks = MaskSet.Random(network, 0.4, draw);
            SparseSnapshot[] all = [.. Enumerable.Range(0, m).Select(_ =>
            {
                using (no_grad()) foreach (Parameter p in network.parameters()) p.copy_(randn_like(p) * scale);
                masks.Apply();
                return SparseSnapshot.Of(network, masks);
            })];
            double[] lambda = [.. Enumerable.Range(0, m).Select(_ => random.NextDouble())];
            lambda = [.. lambda.Select(l => l / lambda.Sum())];
            using SparseSnapshot soup = SparseSoup.Average(all, lambda);
            foreach ((string name, Tensor value) in soup.State)
            {
                Tensor sum = all.Select((s, i) => s.State[name].to(ScalarType.Float64) * lambda[i]).Aggregate((a, b) => a + b).to(ScalarType.Float32);
                Assert.True(value.equal(sum).all().item<bool>());
                if (soup.Masks.TryGetValue(name, out Tensor? mask)) Assert.Equal(0, value.masked_select(mask.logical_not()).count_nonzero().item<long>());
            }

            foreach (SparseSnapshot s in all) s.Dispose();
        }
    }

    [Fact]
    public void A_loss_beyond_what_float32_probabilities_hold_is_said()
    {
        using Sequential network = nn.Sequential(("flat", nn.Flatten()), ("head", nn.Linear(16, 2)));
        using (no_grad())
        {
            network.get_parameter("head.weight")!.zero_();
            network.get_parameter("head.bias")!.copy_(tensor(new float[] { 500, 0 }));
        }

        using SparseSnapshot snapshot = SparseSnapshot.Of(network);
        using var set = new LabelledImages(zeros(3, 4, 4), ones([3L], dtype: ScalarType.Int64), ["a", "b"]);
        Assert.Equal(500, snapshot.Loss(network, set), 1e-3);
    }

    // ---- unlearning

    [Fact]
    public void The_exact_inverse_is_that_of_the_dense_matrix()
    {
        var random = new Random(5);
        for (int draw = 0; draw < 60; draw++)
        {
            using DisposeScope scope = NewDisposeScope();
            int p = random.Next(1, 12), n = random.Next(1, 15);
            double scale = (draw % 4) switch { 0 => 1e20, 1 => 1e-20, _ => 1 }, damping = 0.1 * scale * scale;
            Tensor g = randn(n, p, dtype: ScalarType.Float64) * scale, v = randn(p, dtype: ScalarType.Float64);
            if (draw % 5 == 0) g[^1] = g[0];
            if (draw % 7 == 0) g.zero_();
            Tensor dense = (eye(p, dtype: ScalarType.Float64) * damping) + (g.t().mm(g) / n), expected = linalg.solve(dense, v.unsqueeze(1)).squeeze(1);
            Tensor found = WoodFisher.Solve(v, g, damping);
            Assert.True((found - expected).norm().item<double>() <= 1e-9 * expected.norm().item<double>(), $"{draw}");

            // The published recursion, number by number.
            bool near = false;
            Tensor o = g[0].clone(), k = v.clone();
            for (int i = 1; i < n; i++)
            {
                double t = o.dot(g[i]).item<double>();
                near |= Math.Abs(n + t) < 0.02 * n;
                k = k - (o * (k.dot(g[i]).item<double>() / (n + t)));
                o = o * (n / (n + t));
            }

            Tensor published = WoodFisher.AsPublished(v, Enumerable.Range(0, n).Select(i => g[i].clone()), n);

            // Where n + t is nearly zero, the recursion has no stable answer.
            Assert.True(near || (published - k).norm().item<double>() <= 1e-6 * (k.norm() + v.norm()).item<double>(), $"published {draw}");
        }
    }

    [Fact]
    public void A_damping_that_float64_does_not_see_is_refused_and_a_small_one_is_solved()
    {
        const double damping = 1e-9;
        Tensor g = ones(4, 3, dtype: ScalarType.Float64), v = tensor(new double[] { 1, -1, 0 });
        foreach (double tiny in new[] { 1e-18, 1e-40 }) Assert.Throws<ArgumentOutOfRangeException>(() => WoodFisher.Solve(v, g, tiny));

        // v is at a right angle to all gradients, so that F v = 0 and the answer is v / lambda.
        Tensor found = WoodFisher.Solve(v, g, damping);
        Assert.True(((found * damping) - v).norm().item<double>() < 1e-9);
    }

    [Fact]
    public void A_classifier_that_says_converged_is_optimal()
    {
        var random = new Random(6);
        for (int draw = 0; draw < 80; draw++)
        {
            int n = random.Next(2, 60);
            double scale = (draw % 5) switch { 0 => 1e20, 1 => 1e-30, 2 => 0, _ => 1 };
            double[] x = [.. Enumerable.Range(0, n).Select(_ => Math.Round(random.NextDouble(), draw % 3 == 0 ? 1 : 6) * scale)];
            bool[] y = [.. Enumerable.Range(0, n).Select(i => i == 0 || (i > 1 && random.Next(2) == 0))];
            RbfSvc svc = RbfSvc.Fit(x, y);
            Assert.True(svc.Converged, $"{draw}");
            Assert.True(double.IsFinite(svc.Offset), $"{draw}");

            // Not more errors than a constant answer makes, but for a tie.
            int errors = Enumerable.Range(0, n).Count(i => svc.Predict(x[i]) != y[i]), constant = Math.Min(y.Count(p => p), y.Count(p => !p));
            Assert.True(errors <= constant + 1, $"{draw}: {errors} errors, {constant} by a constant");
        }
    }

    private static UnlearnData Data(LabelledImages train, LabelledImages test) => UnlearnData.Of(train, ForgetSplit.ByClass(train.Labels, 2), test);

    [Fact]
    public void Every_unlearner_leaves_the_zeros_and_the_same_seed_gives_the_same()
    {
        using LabelledImages train = SmallShapes.Images(60), test = SmallShapes.Images(60, 2);
        using UnlearnData data = Data(train, test);
        using Sequential network = SmallShapes.Network();
        using MaskSet masks = GlobalMagnitude.DenseMasks(network);
        GlobalMagnitude.Prune(network, masks, 300);
        using SparseSnapshot original = SparseSnapshot.Of(network, masks);
        foreach (IUnlearner method in new IUnlearner[]
        {
            new FineTune { Epochs = 1, BatchSize = 20 }, new GradientAscent { Epochs = 1, BatchSize = 4 }, new L1Sparse { Epochs = 1, BatchSize = 20 }, new FisherForgetting { Samples = 4 },
            new InfluenceUnlearning { Samples = 5 }, new InfluenceUnlearning { Samples = 5, Damping = 1e-3 }, new Retrain { Training = SmallShapes.TwoEpochs with { Epochs = 1 } },
        })
        {
            using Unlearned one = method.Run(SmallShapes.Network, original, data), two = method.Run(SmallShapes.Network, original, data);
            foreach ((string name, Tensor mask) in original.Masks)
            {
                Assert.Equal(0, one.Network.State[name].masked_select(mask.logical_not()).count_nonzero().item<long>());
                Assert.True(one.Network.Masks[name].equal(mask).all().item<bool>());
            }

            if (method is not Retrain) Assert.True(SmallShapes.Same(one.Network, two.Network), method.Name);
            if (method is Retrain or FineTune or L1Sparse) Assert.Empty(one.Seen.Intersect(data.Split.Forget));
        }
    }

    [Fact]
    public void Unlearning_with_no_strength_changes_nothing()
    {
        using LabelledImages train = SmallShapes.Images(60), test = SmallShapes.Images(60, 2);
        using UnlearnData data = Data(train, test);
        using SparseSnapshot original = SmallShapes.Dense();
        using Unlearned a = new FisherForgetting { Alpha = 0, Samples = 2 }.Run(SmallShapes.Network, original, data), b = new InfluenceUnlearning { Alpha = 0, Samples = 2 }.Run(SmallShapes.Network, original, data);
        Assert.True(SmallShapes.Same(original, a.Network));
        Assert.True(SmallShapes.Same(original, b.Network));
    }

    [Fact]
    public void A_network_without_a_linear_head_is_unlearned_too()
    {
        using LabelledImages train = SmallShapes.Images(60), test = SmallShapes.Images(60, 2);
        using UnlearnData data = Data(train, test);
        using LabelledImages one = UnlearnData.Subset(train, [0]);
        using Tensor planes = one.Planes();
        long channels = planes.shape[1];
        nn.Module<Tensor, Tensor> Create() => nn.Sequential(("c", nn.Conv2d(channels, 10, 1)), ("p", nn.AdaptiveAvgPool2d(1)), ("f", nn.Flatten()));
        using nn.Module<Tensor, Tensor> network = Create();
        using SparseSnapshot original = SparseSnapshot.Of(network);
        Exception? error = Record.Exception(() => new FisherForgetting { Samples = 2 }.Run(Create, original, data).Dispose());
        Assert.True(error is null or ArgumentException, error?.ToString());
    }

    [Fact]
    public void Noise_of_the_head_goes_to_the_head_where_another_layer_has_equal_numbers()
    {
        // Two biases of ten zeros, equal number by number: the first belongs to no head.
        using LabelledImages train = SmallShapes.Images(60), test = SmallShapes.Images(60, 2);
        using UnlearnData data = Data(train, test);
        long inputs;
        using (LabelledImages first = UnlearnData.Subset(train, [0]))
        using (Tensor planes = first.Planes()) inputs = planes[0].numel();
        nn.Module<Tensor, Tensor> Create() => nn.Sequential(("f", nn.Flatten()), ("a", nn.Linear(inputs, 10)), ("r", nn.ReLU()), ("b", nn.Linear(10, 10)));
        using nn.Module<Tensor, Tensor> network = Create();
        using (no_grad())
        {
            network.get_parameter("a.bias")!.zero_();
            network.get_parameter("b.bias")!.zero_();
        }

        using SparseSnapshot original = SparseSnapshot.Of(network);
        double[] head = new double[40];
        for (int seed = 0; seed < head.Length; seed++)
        {
            using Unlearned noisy = new FisherForgetting { Alpha = 1e-12, Samples = 2 }.Run(Create, original, data, seed);
            head[seed] = noisy.Network.State["b.bias"][2].item<float>();
        }

        // Variance 1e-3 of the forgotten class in the head, and 1e-8 at most elsewhere.
        Assert.InRange(head.Average(x => x * x), 3e-4, 3e-3);
    }

    [Fact]
    public void An_undefined_schedule_is_refused()
    {
        using LabelledImages train = SmallShapes.Images(60), test = SmallShapes.Images(60, 2);
        using UnlearnData data = Data(train, test);
        using SparseSnapshot original = SmallShapes.Dense();
        Assert.ThrowsAny<ArgumentException>(() => new L1Sparse { Schedule = (PenaltySchedule)7, Epochs = 1 }.Run(SmallShapes.Network, original, data));
    }

    // ---- GQSA

    [Fact]
    public void Saliency_is_that_of_the_dense_inverse()
    {
        var random = new Random(9);
        for (int draw = 0; draw < 50; draw++)
        {
            using DisposeScope scope = NewDisposeScope();
            int n = random.Next(1, 6), groups = random.Next(1, 4), size = random.Next(1, 5), k = groups * size;
            double scale = (draw % 3) switch { 0 => 1e15, 1 => 1e-15, _ => 1 };
            Tensor W = randn(n, k), x = randn(1, 2 * k + 3, k) * scale;
            if (draw % 4 == 0 && k > 1) x.select(2, 1).copy_(x.select(2, 0));
            using var seen = new ActivationStatistics(k, gram: true);
            seen.Add(x);
            ObsFactor factor = seen.Factor(0.01);
            Tensor wide = x[0].to(ScalarType.Float64), H = wide.t().mm(wide) * (2.0 / wide.shape[0]);
            H = H + (eye(k, dtype: ScalarType.Float64) * (0.01 * H.diagonal().mean()));
            Tensor expected = (W.to(ScalarType.Float64).square() / linalg.inv(H).diagonal()).view(n, groups, size).mean([2L]);
            Tensor found = Gqsa.Saliency(W, factor, size), ratio = found / expected;

            // Up to one factor for the layer, which changes no choice.
            Assert.True((ratio.max() / ratio.min()).item<double>() < 1 + 1e-3, $"{draw}");
        }
    }

    [Theory]
    [InlineData(ScalarType.Float64)]
    [InlineData(ScalarType.BFloat16)]
    public void A_model_of_another_type_is_refused_or_quantised(ScalarType type)
    {
        using TinyLM model = SmallDecoder.New();
        model.to(type);
        Tensor ids = SmallDecoder.Ids();
        Tensor before = model.Logits(ids).detach();
        Exception? error = Record.Exception(() =>
        {
            using GqsaModel quantized = Gqsa.Bqpo(model, ids, new() { Quantizer = new(4, 16), BlockSteps = 2, EndToEndSteps = 2 });
            Gqsa.E2eOqp(quantized, ids);
        });
        Assert.True(error is null or ArgumentException, error?.ToString());
        Assert.True(model.Logits(ids).equal(before).all().item<bool>());
    }

    [Fact]
    public void Layers_of_zeros_dead_inputs_and_wide_ranges()
    {
        using TinyLM model = SmallDecoder.New();
        Linear layer = (Linear)LinearSlots.Of(model)[3].Module;
        using (no_grad())
        {
            layer.weight!.zero_();
            ((Linear)LinearSlots.Of(model)[4].Module).weight!.select(1, 0).zero_();
        }

        Tensor ids = SmallDecoder.Ids();
        using (GqsaModel quantized = Gqsa.Bqpo(model, ids, new() { BlockSteps = 2, EndToEndSteps = 2 }))
        {
            Gqsa.E2eOqp(quantized, ids);
            Assert.True(double.IsFinite(quantized.ErrorAfter));
            Assert.All(quantized.Layers, l => Assert.True(l.Layer.Quantized().isfinite().all().item<bool>()));
        }

        using (no_grad()) ((Linear)LinearSlots.Of(model)[5].Module).weight!.mul_(1e20);
        string name = LinearSlots.Of(model)[5].Name;
        var error = Assert.ThrowsAny<ArgumentException>(() => Gqsa.Bqpo(model, ids, new() { BlockSteps = 2 }));
        Assert.Contains(name, error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Shares_of_a_schedule_are_whole_steps()
    {
        SparsitySchedule schedule = new PstTrainingOptions { InitialShare = 0.29, FinalShare = 0.57, Training = new() { Steps = 100 } }.Schedule();
        Assert.Equal((29, 43), (schedule.Begin, schedule.End));
    }

    [Fact]
    public void Ids_that_the_model_does_not_have_are_refused_before_anything_is_written()
    {
        string source = Source(), target = Path.Combine(_root, "ids");
        using LanguageModel model = LanguageModelFolder.LoadModel(source);
        foreach (long strange in new[] { -1, 50 })
        {
            Tensor ids = Ids(6, 10, 1), eval = Ids(4, 9, 2);
            ids[2, 3] = strange;
            eval[1, 8] = strange;
            Assert.ThrowsAny<ArgumentException>(() => FolderPruning.Run(source, target, Options(new WandaPruner(), ids, null)));
            Assert.ThrowsAny<ArgumentException>(() => FolderPruning.Run(source, target, Options(new MagnitudePruner(), null, eval)));
            Assert.ThrowsAny<ArgumentException>(() => BlockwisePruning.Run(model, ids, new WandaPruner(), PruningPattern.PerRow(0.5)));
            Assert.ThrowsAny<ArgumentException>(() => Gqsa.Bqpo(model, ids, new() { Quantizer = new(4, 8), Pattern = PruningPattern.Groups(8, 0.5), BlockSteps = 1 }));
        }

        Assert.ThrowsAny<ArgumentException>(() => FolderPruning.Run(source, target, Options(new MagnitudePruner(), null, null) with { Blockwise = null! }));
        Assert.False(Directory.Exists(target));
    }

    [Fact]
    public void Texts_may_be_transposed_views()
    {
        string source = Source(), one = Path.Combine(_root, "plain"), two = Path.Combine(_root, "turned");
        Tensor ids = Ids(6, 10, 1), eval = Ids(4, 9, 2);
        FolderPruningResult a = FolderPruning.Run(source, one, Options(new SparseGptPruner(), ids, eval)), b = FolderPruning.Run(source, two, Options(new SparseGptPruner(), ids.t().contiguous().t(), eval.t().contiguous().t()));
        Assert.Equal(a.After!.Losses, b.After!.Losses);
        foreach (string file in Directory.EnumerateFiles(one, "*.safetensors", SearchOption.AllDirectories))
            Assert.Equal(File.ReadAllBytes(file), File.ReadAllBytes(Path.Combine(two, Path.GetRelativePath(one, file))));
    }

    [Fact]
    public void A_loss_without_curvature_has_the_eigenvalue_zero()
    {
        nn.Module<Tensor, Tensor> Create() => nn.Sequential(("flat", nn.Flatten()), ("head", nn.Linear(16, 2, hasBias: false)));
        using nn.Module<Tensor, Tensor> network = Create();
        using SparseSnapshot snapshot = SparseSnapshot.Of(network);
        using var set = new LabelledImages(zeros(3, 4, 4), ones([3L], dtype: ScalarType.Int64), ["a", "b"]);
        Assert.Equal(0, LossCurvature.LargestEigenvalue(snapshot, Create, set));
    }

    [Theory]
    [InlineData(ScalarType.BFloat16)]
    [InlineData(ScalarType.Float64)]
    public void A_student_of_another_type_is_finetuned_or_refused(ScalarType type)
    {
        (TinyLM student, MaskSet masks) = SmallDecoder.Pruned();
        using TinyLM teacher = SmallDecoder.New();
        using (student)
        using (masks)
        {
            student.to(type);
            teacher.to(type);

            // A network that changes its type has new parameters, and the masks are those of the old ones.
            Assert.Contains("For", Assert.Throws<InvalidOperationException>(masks.Apply).Message, StringComparison.Ordinal);
            Assert.Throws<InvalidOperationException>(() => SparseFinetuning.Run(student, teacher, masks, SmallDecoder.Batches()));
            using MaskSet again = masks.For(student);
            Exception? error = Record.Exception(() =>
            {
                SparseFinetuningResult result = SparseFinetuning.Run(student, teacher, again, SmallDecoder.Batches(), new() { KullbackLeibler = 1, StateError = 1 }, SparseFinetuningOptions.Recipe(3));
                Assert.All(result.Steps, step => Assert.True(double.IsFinite(step.Loss)));
            });
            Assert.True(error is null or ArgumentException or NotSupportedException, error?.ToString());
        }
    }

    [Fact]
    public void A_batch_of_padding_alone_is_refused_in_words()
    {
        (TinyLM student, MaskSet masks) = SmallDecoder.Pruned();
        using TinyLM teacher = SmallDecoder.New();
        using (student)
        using (masks)
        {
            Tensor ids = zeros([2, 5], dtype: ScalarType.Int64), next = ids + 1;
            Assert.ThrowsAny<ArgumentException>(() => SparseFinetuning.Loss(student, teacher, new Batch(ids, next), new() { Padding = 0 }));
            ids[0, 2] = 3;
            Assert.True(double.IsFinite(SparseFinetuning.Loss(student, teacher, new Batch(ids, next), new() { Padding = 0 }).item<float>()));
        }
    }

    [Fact]
    public void A_quantised_layer_with_anothers_state_is_not_packed()
    {
        using TinyLM one = SmallDecoder.New(), two = SmallDecoder.New(4);
        Tensor ids = SmallDecoder.Ids();
        GqsaOptions options = new() { BlockSteps = 1 };
        using GqsaModel a = Gqsa.Bqpo(one, ids, options), b = Gqsa.Bqpo(two, ids, options);
        GroupScaleLinear from = a.Layers[0].Layer, to = b.Layers[0].Layer;
        Tensor x = randn(2, to.Groups.Columns);
        to.load_state_dict(to.state_dict());
        Assert.True((to.call(x) - to.Pack().call(x)).abs().max().item<float>() < 1e-3);

        // It would compute with the integers of one and be packed with those of the other.
        to.load_state_dict(from.state_dict());
        Assert.Throws<InvalidOperationException>(() => to.Pack());
        Assert.Throws<InvalidOperationException>(() => b.FixedHash());
    }
}
