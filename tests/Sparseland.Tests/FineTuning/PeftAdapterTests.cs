using Sparseland.FineTuning;
using Sparseland.IO;
using Sparseland.LowRank;
using Sparseland.Models;
using Sparseland.Models.Language;
using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Sparseland.Tests.FineTuning;

/// <summary>Adapters in PEFT's folder layout, from fixtures that are written here by hand.</summary>
public sealed class PeftAdapterTests : IDisposable
{
    private const string Query0 = "model.layers.0.self_attn.q_proj", Query1 = "model.layers.1.self_attn.q_proj", Down1 = "model.layers.1.mlp.down_proj";

    private readonly string _folder = Directory.CreateTempSubdirectory("peft-").FullName;

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Theory]
    [InlineData("\"use_rslora\": false", 16.0 / 4)]
    [InlineData("\"use_rslora\": true", 16.0 / 2)]
    [InlineData("\"alpha_pattern\": { \"q_proj\": 8 }", 8.0 / 4)]
    [InlineData("\"alpha_pattern\": { \"layers.0.*q_proj\": 2 }", 2.0 / 4)]
    [InlineData("\"fan_in_fan_out\": true", 16.0 / 4)]
    public void A_merge_adds_scale_B_A(string field, double scale)
    {
        using var scope = NewDisposeScope();
        Tensor A = randn(4, 96), B = randn(96, 4);
        Write($$"""{ "peft_type": "LORA", "r": 4, "lora_alpha": 16, "target_modules": ["{{Query0}}"], "bias": "none", {{field}} }""", (Query0, A, B));
        using TinyLM model = PretrainingTrial.Start(1), before = PretrainingTrial.Start(1);
        using PeftAdapter adapter = PeftAdapter.Load(_folder);
        Tensor expected = before.Blocks[0].Query.weight! + (B.mm(A) * scale);
        adapter.MergeInto(model);
        Assert.True((model.Blocks[0].Query.weight! - expected).abs().max().item<float>() < 1e-4);
        Assert.True(model.Blocks[1].Query.weight!.equal(before.Blocks[1].Query.weight!).all().item<bool>());
        Assert.Contains("before", Assert.Throws<InvalidOperationException>(() => adapter.MergeInto(model)).Message, StringComparison.Ordinal);

        // Attached it computes the same, and goes on from there.
        adapter.Attach(before);
        Tensor ids = tensor(new long[] { 4, 8, 15, 16 }).view(1, 4);
        Assert.True((before.Logits(ids) - model.Logits(ids)).abs().max().item<float>() < 1e-3);
        Assert.Equal(2, before.parameters().Count(p => p.requires_grad));
    }

    [Fact]
    public void Ranks_by_module_expressions_and_modules_saved_whole()
    {
        using var scope = NewDisposeScope();
        Write(
            """{ "peft_type": "LORA", "r": 4, "lora_alpha": 4, "target_modules": ".*layers\\.1\\.(self_attn\\.q|mlp\\.down)_proj", "rank_pattern": { "down_proj": 2 }, "modules_to_save": ["norm"] }""",
            (Query1, randn(4, 96), randn(96, 4)), (Down1, randn(2, 256), randn(96, 2)));
        Extra("base_model.model.model.norm.weight", full(96, 3.0f));
        using PeftAdapter adapter = PeftAdapter.Load(_folder);
        Assert.Equal(2, adapter.Config.RankOf(Down1));
        Assert.Equal(2.0, adapter.Config.ScaleOf(Down1));
        Assert.Equal(1.0, adapter.Config.ScaleOf(Query1));
        using TinyLM model = PretrainingTrial.Start(1);
        adapter.MergeInto(model);
        Assert.Equal(3, model.named_parameters().First(p => p.name == "model.norm.weight").parameter.mean().item<float>());
    }

    [Fact]
    public void What_is_written_is_read_back_with_its_ranks_and_scales()
    {
        using var scope = NewDisposeScope();
        using TinyLM model = PretrainingTrial.Start(1), other = PretrainingTrial.Start(1);
        LoraLinear.Attach(model, 4, 1, 2, name => name.EndsWith("q_proj", StringComparison.Ordinal));
        LinearSlots.Replace(model, (name, l) => name == Down1 ? new LoraLinear(l, 3, 9, 0.5) : null);
        foreach (LinearSlot slot in LinearSlots.Of(model).Where(s => s.Module is LoraLinear))
        {
            using IDisposable off = no_grad();
            ((LoraLinear)slot.Module).B.normal_(0, 0.1);
        }

        PeftAdapter.Save(_folder, model, "trial", ["model.norm"]);
        using PeftAdapter adapter = PeftAdapter.Load(_folder);
        Assert.Equal(3, adapter.Factors.Count);
        Assert.Equal(3, adapter.Config.RankOf(Down1));
        Assert.Equal(0.5, adapter.Config.ScaleOf(Down1), 1e-12);
        Assert.Equal(2, adapter.Config.ScaleOf(Query0), 1e-12);
        adapter.Attach(other);
        Tensor ids = tensor(new long[] { 4, 8, 15, 16 }).view(1, 4);
        Assert.True(other.Logits(ids).equal(model.Logits(ids)).all().item<bool>());
        Assert.Throws<ArgumentException>(() => PeftAdapter.Save(_folder, PretrainingTrial.Start(1)));
        Assert.Throws<ArgumentException>(() => PeftAdapter.Save(_folder, model, "", ["nothing"]));
    }

    [Fact]
    public void The_layers_of_GPT_2_take_factors_as_they_are()
    {
        using var scope = NewDisposeScope();
        using var model = new Gpt2(new() { Vocabulary = 50, Width = 16, Layers = 1, Heads = 2, Context = 8 });
        Tensor A = randn(2, 16), B = randn(48, 2), before = model.Blocks[0].QueryKeyValue.weight!.detach().clone();
        Write("""{ "peft_type": "LORA", "r": 2, "lora_alpha": 2, "target_modules": ["c_attn"], "fan_in_fan_out": true }""", ("transformer.h.0.attn.c_attn", A, B));
        using PeftAdapter adapter = PeftAdapter.Load(_folder);
        adapter.MergeInto(model);
        Assert.True((model.Blocks[0].QueryKeyValue.weight! - before - B.mm(A)).abs().max().item<float>() < 1e-5);
    }

    [Fact]
    public void An_adapter_of_another_model_is_refused_with_what_does_not_fit_and_nothing_changes()
    {
        using var scope = NewDisposeScope();
        using TinyLM model = PretrainingTrial.Start(1), before = PretrainingTrial.Start(1);
        Write(
            $$"""{ "peft_type": "LORA", "r": 4, "lora_alpha": 4, "target_modules": ["q_proj", "up_proj"] }""",
            (Query0, randn(4, 96), randn(96, 4)), (Query1, randn(4, 64), randn(96, 4)), ("model.layers.7.self_attn.q_proj", randn(4, 96), randn(96, 4)));
        using (PeftAdapter adapter = PeftAdapter.Load(_folder))
        {
            string message = Assert.Throws<ArgumentException>(() => adapter.MergeInto(model)).Message;
            Assert.Contains("layers.7.self_attn.q_proj (no such layer)", message, StringComparison.Ordinal);
            Assert.Contains("[96, 64]", message, StringComparison.Ordinal);
            Assert.Throws<ArgumentException>(() => adapter.Attach(model));
        }

        // The config targets more layers than there are factors of.
        Write($$"""{ "peft_type": "LORA", "r": 4, "lora_alpha": 4, "target_modules": ["q_proj", "up_proj"] }""", (Query0, randn(4, 96), randn(96, 4)), (Query1, randn(4, 96), randn(96, 4)));
        using (PeftAdapter adapter = PeftAdapter.Load(_folder))
            Assert.Contains("layers.0.mlp.up_proj", Assert.Throws<ArgumentException>(() => adapter.MergeInto(model)).Message, StringComparison.Ordinal);

        // Untrained: B is 0.
        Write($$"""{ "peft_type": "LORA", "r": 4, "lora_alpha": 4, "target_modules": ["{{Query0}}"] }""", (Query0, randn(4, 96), zeros(96, 4)));
        using (PeftAdapter adapter = PeftAdapter.Load(_folder))
            Assert.Contains("change nothing", Assert.Throws<InvalidOperationException>(() => adapter.MergeInto(model)).Message, StringComparison.Ordinal);
        foreach ((Parameter a, Parameter b) in model.parameters().Zip(before.parameters())) Assert.True(a.equal(b).all().item<bool>());
    }

    [Theory]
    [InlineData("""{ "peft_type": "IA3" }""", "IA3")]
    [InlineData("""{ "peft_type": "LORA", "use_dora": true }""", "use_dora")]
    [InlineData("""{ "peft_type": "LORA", "bias": "all" }""", "bias")]
    [InlineData("""{ "peft_type": "LORA", "r": 0 }""", "r is 0")]
    [InlineData("""{ "peft_type": "LORA", "r": 2.5 }""", "r is 2.5")]
    [InlineData("""{ "peft_type": "LORA", "lora_alpha": "x" }""", "lora_alpha")]
    [InlineData("""{ "peft_type": "LORA", "target_modules": [1] }""", "target_modules")]
    [InlineData("""{ "peft_type": "LORA", "target_modules": "(" }""", "expression '('")]
    [InlineData("""{ "peft_type": "LORA", "rank_pattern": { "a": "b" } }""", "rank_pattern[a]")]
    [InlineData("""{ "peft_type": "LORA", "r": 5, "lora_alpha": 4 }""", "rank 5")]
    [InlineData("[1]", "no object")]
    [InlineData("{", "no JSON")]
    public void A_config_that_is_not_understood_is_refused_by_its_field(string config, string says)
    {
        using var scope = NewDisposeScope();
        Write(config, (Query0, randn(4, 96), randn(96, 4)));
        Assert.Contains(says, Assert.Throws<InvalidDataException>(() => PeftAdapter.Load(_folder)).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Files_that_are_missing_strange_or_cut_are_refused()
    {
        using var scope = NewDisposeScope();
        const string Config = """{ "peft_type": "LORA", "r": 4, "lora_alpha": 4 }""";
        Assert.Throws<FileNotFoundException>(() => PeftAdapter.Load(_folder));
        Write(Config, (Query0, randn(4, 96), randn(96, 4)));
        Extra("base_model.model.lm_head.weight", zeros(2));
        Assert.Contains("lm_head.weight", Assert.Throws<InvalidDataException>(() => PeftAdapter.Load(_folder)).Message, StringComparison.Ordinal);
        SafeTensors.Save(Path.Combine(_folder, PeftAdapter.TensorFile), new Dictionary<string, Tensor> { [$"base_model.model.{Query0}.lora_A.weight"] = zeros(4, 96) });
        Assert.Contains("lora_B", Assert.Throws<InvalidDataException>(() => PeftAdapter.Load(_folder)).Message, StringComparison.Ordinal);
        Write(Config, (Query0, full([4, 96], float.NaN), randn(96, 4)));
        Assert.Contains("NaN", Assert.Throws<InvalidDataException>(() => PeftAdapter.Load(_folder)).Message, StringComparison.Ordinal);
        string path = Path.Combine(_folder, PeftAdapter.TensorFile);
        File.WriteAllBytes(path, File.ReadAllBytes(path)[..^9]);
        Assert.Throws<InvalidDataException>(() => PeftAdapter.Load(_folder));
    }

    [Theory]
    [InlineData("\"pissa\"")]
    [InlineData("\"pissa_niter_16\"")]
    [InlineData("\"olora\"")]
    [InlineData("\"loftq\"")]
    [InlineData("\"corda\"")]
    [InlineData("3")]
    public void An_adapter_that_began_by_changing_its_base_is_refused(string how)
    {
        InvalidDataException error = Assert.Throws<InvalidDataException>(() => PeftConfig.Parse($$"""{ "peft_type": "LORA", "r": 4, "lora_alpha": 4, "init_lora_weights": {{how}} }"""));
        Assert.Contains("init_lora_weights", error.Message, StringComparison.Ordinal);
        Assert.Contains(how.Trim('"'), error.Message, StringComparison.Ordinal);
        foreach (string plain in new[] { "true", "false", "null", "\"gaussian\"", "\"orthogonal\"", "\"eva\"" })
            Assert.Equal(4, PeftConfig.Parse($$"""{ "peft_type": "LORA", "r": 4, "lora_alpha": 4, "init_lora_weights": {{plain}} }""").Rank);
    }

    [Fact]
    public void Targets_are_ends_of_names_whole_expressions_or_all()
    {
        Assert.True(new PeftConfig { TargetModules = ["q_proj"] }.Targets(Query0));
        Assert.False(new PeftConfig { TargetModules = ["_proj"] }.Targets(Query0));
        Assert.True(new PeftConfig { TargetExpression = ".*q_proj" }.Targets(Query0));
        Assert.False(new PeftConfig { TargetExpression = "q_proj" }.Targets(Query0));
        Assert.True(new PeftConfig { TargetExpression = "all-linear" }.Targets(Query0));
        PeftConfig config = new() { Rank = 3, Alpha = 6, RankPattern = new Dictionary<string, int> { ["q_proj"] = 2 }, TargetModules = ["q_proj"], BaseModel = "b", ModulesToSave = ["norm"], RankStabilized = true };
        PeftConfig again = PeftConfig.Parse(config.ToJson());
        Assert.Equal((3, 6.0, true, 2, "b"), (again.Rank, again.Alpha, again.RankStabilized, again.RankOf(Query0), again.BaseModel));
        Assert.Equal(config.TargetModules, again.TargetModules);
        Assert.Equal(config.ModulesToSave, again.ModulesToSave);
    }

    private void Write(string config, params (string Name, Tensor A, Tensor B)[] factors)
    {
        File.WriteAllText(Path.Combine(_folder, PeftAdapter.ConfigFile), config);
        var tensors = new Dictionary<string, Tensor>();
        foreach ((string name, Tensor a, Tensor b) in factors) (tensors[$"base_model.model.{name}.lora_A.weight"], tensors[$"base_model.model.{name}.lora_B.weight"]) = (a, b);
        SafeTensors.Save(Path.Combine(_folder, PeftAdapter.TensorFile), tensors);
    }

    private void Extra(string name, Tensor value)
    {
        string path = Path.Combine(_folder, PeftAdapter.TensorFile);
        Dictionary<string, Tensor> all = SafeTensors.Load(path);
        all[name] = value;
        SafeTensors.Save(path, all);
    }
}
