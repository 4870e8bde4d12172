using System.Text.Json.Nodes;
using Sparseland.IO;
using Sparseland.Kernels;
using Sparseland.Models;
using Sparseland.Models.Language;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Tests.Models.Language;

/// <summary>Folders with compressed layers that were damaged, changed by others, or written over each other.</summary>
public sealed class SparseFolderTrialTests : IDisposable
{
    private const string Plain = "model.layers.0.mlp.down_proj", Biased = "model.layers.0.self_attn.q_proj";
    private readonly string _folder = Directory.CreateTempSubdirectory("sparse-trial").FullName;
    private readonly DisposeScope _scope = NewDisposeScope();
    private readonly IDisposable _off = no_grad();

    private string Weights => Path.Combine(_folder, "model.safetensors");

    private string Config => Path.Combine(_folder, "config.json");

    public void Dispose()
    {
        _off.Dispose();
        _scope.Dispose();
        Directory.Delete(_folder, true);
    }

    [Fact]
    public void A_bias_of_a_layer_that_has_none_is_refused()
    {
        Save(_ => true);
        Broken(t => t[$"{Plain}.bias"] = ones(16), $"{Plain}.bias");
    }

    [Fact]
    public void A_bias_that_does_not_fit_is_named_with_its_file()
    {
        Save(_ => true);
        Broken(t => t[$"{Biased}.bias"] = ones(15), "model.safetensors", $"{Biased}.bias");
        Broken(t => t[$"{Biased}.bias"] = ones(16, 1), "model.safetensors", $"{Biased}.bias");
        Broken(t => t[$"{Biased}.bias"] = ones(16, dtype: ScalarType.Int64), "model.safetensors", $"{Biased}.bias");
        Broken(t => t[$"{Biased}.bias"] = ones(16, dtype: ScalarType.Bool), "model.safetensors", $"{Biased}.bias");
        Broken(t => t.Remove($"{Biased}.bias"), Path.GetFileName(_folder), $"{Biased}.bias");
    }

    [Fact]
    public void A_bias_in_half_precision_is_read()
    {
        Save(_ => true);
        Dictionary<string, Tensor> tensors = SafeTensors.Load(Weights);
        tensors[$"{Biased}.bias"] = tensors[$"{Biased}.bias"].to(ScalarType.BFloat16);
        SafeTensors.Save(Weights, tensors);
        using LanguageModel back = LanguageModelFolder.LoadModel(_folder);
        Assert.Equal(ScalarType.Float32, ((SparseLinear)LinearSlots.Find(back, Biased).Module).Bias!.dtype);
    }

    [Fact]
    public void Indices_that_cannot_be_are_refused()
    {
        Save(_ => true);
        string columns = $"{Plain}.column_indices", offsets = $"{Plain}.row_offsets";
        Broken(t => t[columns][0] = (short)24, "model.safetensors", Plain);
        Broken(t => t[columns][0] = (short)-1, "model.safetensors", Plain);
        Broken(t => t[columns][1] = t[columns][0].clone(), "model.safetensors", Plain);
        Broken(t => t[offsets][1] = -1, "model.safetensors", Plain);
        Broken(t => t[offsets][0] = 1, "model.safetensors", Plain);
        Broken(t => t[offsets] = t[offsets].to(ScalarType.Int64), "model.safetensors", offsets);
        Broken(t => t[columns] = t[columns].to(ScalarType.Int32), "model.safetensors", columns);
        Broken(t => t[$"{Plain}.values"] = t[$"{Plain}.values"].to(ScalarType.Float16), "model.safetensors", $"{Plain}.values");
        Broken(t => t[$"{Plain}.values"] = t[$"{Plain}.values"].unsqueeze(0), "model.safetensors", $"{Plain}.values");
        Broken(t => t[offsets] = t[offsets].narrow(0, 0, 5), "model.safetensors", offsets);
        Broken(t => t.Remove(columns), "model.safetensors", columns);
        Broken(t => t[$"{Plain}.weight"] = ones(16, 24), $"{Plain}.weight");
    }

    [Theory]
    [InlineData("[]")]
    [InlineData("3")]
    [InlineData("\"csr\"")]
    [InlineData("{\"model.layers.0.mlp.down_proj\": 3}")]
    [InlineData("{\"model.layers.0.mlp.down_proj\": {}}")]
    [InlineData("{\"model.layers.0.mlp.down_proj\": {\"format\": 1}}")]
    [InlineData("{\"model.layers.0.mlp.down_proj\": {\"format\": \"csr\", \"rows\": \"16\", \"columns\": 24}}")]
    [InlineData("{\"model.layers.0.mlp.down_proj\": {\"format\": \"csr\", \"rows\": 16.5, \"columns\": 24}}")]
    [InlineData("{\"model.layers.0.mlp.down_proj\": {\"format\": \"csr\", \"rows\": -16, \"columns\": 24}}")]
    [InlineData("{\"model.layers.0.mlp.down_proj\": {\"format\": \"csr\", \"rows\": 1e99, \"columns\": 24}}")]
    [InlineData("{\"model.layers.0.mlp.down_proj\": {\"format\": \"csr\", \"rows\": 24, \"columns\": 16}}")]
    [InlineData("{\"model.layers.0.mlp.down_proj\": {\"format\": \"zip\", \"rows\": 16, \"columns\": 24}}")]
    [InlineData("{\"model.layers.0.mlp.z_proj\": {\"format\": \"csr\", \"rows\": 16, \"columns\": 24}}")]
    [InlineData("{\"lm_head\": {\"format\": \"csr\", \"rows\": 30, \"columns\": 16}}")]
    [InlineData("{\"a\": 1, \"a\": 2}")]
    public void A_description_that_is_none_is_refused_with_the_folders_name(string field)
    {
        Save(_ => true);
        JsonObject config = JsonNode.Parse(File.ReadAllText(Config))!.AsObject();
        config["sparse_layers"] = "HERE";
        File.WriteAllText(Config, config.ToJsonString().Replace("\"HERE\"", field, StringComparison.Ordinal));
        InvalidDataException error = Assert.Throws<InvalidDataException>(() => LanguageModelFolder.LoadModel(_folder));
        Assert.Contains(_folder, error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Arrays_without_their_description_are_refused()
    {
        Save(_ => true);
        JsonObject config = JsonNode.Parse(File.ReadAllText(Config))!.AsObject();
        config.Remove("sparse_layers");
        File.WriteAllText(Config, config.ToJsonString());
        Assert.Contains("_proj", Assert.Throws<InvalidDataException>(() => LanguageModelFolder.LoadModel(_folder)).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_file_that_was_cut_or_changed_is_refused_by_name()
    {
        Save(_ => true);
        byte[] whole = File.ReadAllBytes(Weights);
        foreach (byte[] bad in new[] { whole[..^1], whole[..100], whole[..7], [], [.. whole, 1], [.. whole[..^9], (byte)(whole[^9] ^ 16), .. whole[^8..]] })
        {
            File.WriteAllBytes(Weights, bad);
            Assert.Contains("model.safetensors", Assert.Throws<InvalidDataException>(() => LanguageModelFolder.LoadModel(_folder)).Message, StringComparison.Ordinal);
        }
    }

    [Fact]
    public void One_over_another_leaves_nothing_of_the_other()
    {
        Save(_ => true);
        using LanguageModel first = LanguageModelFolder.LoadModel(_folder);
        Save(name => name.Contains("mlp", StringComparison.Ordinal));
        string[] files = [.. Directory.EnumerateFileSystemEntries(_folder).Select(f => Path.GetFileName(f)!).Order(StringComparer.Ordinal)];
        Assert.Equal(["config.json", "model.safetensors"], files);
        byte[] config = File.ReadAllBytes(Config), weights = File.ReadAllBytes(Weights);
        using (LanguageModel second = LanguageModelFolder.LoadModel(_folder))
        {
            Assert.Equal(3, LinearSlots.Of(second).Count(s => s.Module is SparseLinear));
            LanguageModelFolder.SaveModel(_folder, second);
        }

        Assert.Equal(config, File.ReadAllBytes(Config));
        Assert.Equal(weights, File.ReadAllBytes(Weights));
        LanguageModelFolder.SaveModel(_folder, first);
        using LanguageModel again = LanguageModelFolder.LoadModel(_folder);
        Tensor ids = arange(0, 10, dtype: ScalarType.Int64).unsqueeze(0);
        Assert.True(first.Logits(ids).eq(again.Logits(ids)).all().item<bool>());
    }

    private void Broken(Action<Dictionary<string, Tensor>> change, params string[] says)
    {
        Dictionary<string, Tensor> whole = SafeTensors.Load(Weights), changed = whole.ToDictionary(t => t.Key, t => t.Value.clone());
        change(changed);
        SafeTensors.Save(Weights, changed);
        InvalidDataException error = Assert.Throws<InvalidDataException>(() => LanguageModelFolder.LoadModel(_folder));
        Assert.All(says, word => Assert.Contains(word, error.Message, StringComparison.Ordinal));
        SafeTensors.Save(Weights, whole);
    }

    private void Save(Func<string, bool> which)
    {
        using var model = new TinyLM(new LlamaConfig { Vocabulary = 30, Width = 16, Layers = 1, Heads = 2, KeyValueHeads = 1, MlpWidth = 24, Context = 12, Family = LlamaFamily.Qwen2, QueryKeyValueBias = true }, seed: 2);
        LinearSlots.Replace(model, (name, linear) => which(name) ? SparseLinear.Of(linear, W => CsrMatrix.FromDense(W * W.lt(0.01))) : null);
        LanguageModelFolder.SaveModel(_folder, model);
    }
}
