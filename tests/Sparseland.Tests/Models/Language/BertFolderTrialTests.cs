using System.Text.Json.Nodes;
using Sparseland.IO;
using Sparseland.Models;
using Sparseland.Models.Language;
using Sparseland.Pruning;
using Sparseland.Tests.IO;
using Sparseland.Training;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Tests.Models.Language;

/// <summary>Folders of sentence-transformers as others made them, and encoders that were pruned, written and read again.</summary>
public sealed class BertFolderTrialTests : IDisposable
{
    private const string Modules = "modules.json", Prompts = "config_sentence_transformers.json";
    private readonly TemporaryFolder _folder = new();
    private readonly DisposeScope _scope = NewDisposeScope();
    private readonly BertEncoder _model = TinyBert.Enlarged(new BertEncoder(TinyBert.Config, TinyBert.Vocabulary) { Pooling = Pooling.Mean, QueryPrefix = "the ", MostTokens = 8 });

    public BertFolderTrialTests() => _model.Save(_folder.Path);

    public void Dispose()
    {
        _model.Dispose();
        _scope.Dispose();
        _folder.Dispose();
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void A_pruned_encoder_comes_back_with_its_zeros(bool half)
    {
        using IDisposable off = no_grad();
        using var masks = MaskSet.FromScores(_model, PrunableWeights.Of(_model).ToDictionary(p => p.Key, p => p.Value.abs()), PruningPattern.NofM(2, 4));
        Assert.Equal(LinearSlots.Of(_model).Count, masks.Names.Count);
        masks.Apply();
        _model.Save(_folder.Path);
        if (half)
        {
            Dictionary<string, Tensor> stored = SafeTensors.Load(_folder.File("model.safetensors"));
            SafeTensors.Save(_folder.File("model.safetensors"), stored.ToDictionary(t => t.Key, t => t.Value.to(ScalarType.Float16)));
        }

        using BertEncoder back = BertEncoder.Load(_folder.Path);
        using var found = MaskSet.FromNonZeros(back, 0.1);
        Assert.Equal(masks.Names.Order(StringComparer.Ordinal), found.Names.Order(StringComparer.Ordinal));
        foreach (string name in masks.Names) Assert.True(masks[name].equal(found[name]).all().item<bool>(), name);
        Assert.Equal(0.5, found.Density, 1e-12);
        string[] texts = ["the dog runs", "", "a big cat . a small dog ."];
        double[] was = TinyModels.Numbers(_model.Encode(texts)), now = TinyModels.Numbers(back.Encode(texts));
        for (int i = 0; i < was.Length; i++) Assert.Equal(was[i], now[i], half ? 2e-2 : 0);

        // Written again it is the same files.
        back.Save(_folder.File("again"));
        using BertEncoder third = BertEncoder.Load(_folder.File("again"));
        third.Save(_folder.File("third"));
        foreach (string file in Directory.EnumerateFiles(_folder.File("again"), "*", SearchOption.AllDirectories))
            Assert.Equal(File.ReadAllBytes(file), File.ReadAllBytes(file.Replace("again", "third", StringComparison.Ordinal)));
    }

    [Fact]
    public void The_pooling_is_read_where_modules_json_says_that_it_is()
    {
        Directory.Move(_folder.File("1_Pooling"), _folder.File("2_Pool"));
        File.WriteAllText(_folder.File(Modules), File.ReadAllText(_folder.File(Modules)).Replace("1_Pooling", "2_Pool", StringComparison.Ordinal));
        using (BertEncoder back = BertEncoder.Load(_folder.Path)) Assert.Equal(Pooling.Mean, back.Pooling);

        // Named and not there: which pooling it is nobody knows.
        Directory.Delete(_folder.File("2_Pool"), true);
        IOException error = Assert.ThrowsAny<IOException>(() => BertEncoder.Load(_folder.Path));
        Assert.Contains("2_Pool", error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Prompts_and_settings_of_sentence_transformers_come_back()
    {
        File.WriteAllText(_folder.File(Prompts), """{ "__version__": { "pytorch": "2.1" }, "prompts": { "query": "the ", "document": "a " }, "default_prompt_name": null, "similarity_fn_name": "dot" }""");
        File.WriteAllText(_folder.File(Modules), """
            [ { "idx": 0, "name": "0", "path": "", "type": "sentence_transformers.models.Transformer" },
              { "idx": 1, "name": "1", "path": "1_Pooling", "type": "sentence_transformers.models.Pooling" } ]
            """);
        using BertEncoder back = BertEncoder.Load(_folder.Path);
        back.Save(_folder.File("other"));
        JsonNode prompts = Json("other/" + Prompts);
        Assert.Equal(("the ", "a ", "dot"), ((string)prompts["prompts"]!["query"]!, (string)prompts["prompts"]!["document"]!, (string)prompts["similarity_fn_name"]!));

        // A model whose vectors are not normalised there is not made one whose vectors are.
        Assert.Equal(["Transformer", "Pooling"], Json("other/" + Modules).AsArray().Select(m => ((string)m!["type"]!).Split('.')[^1]));
    }

    [Theory]
    [InlineData("""{ "prompts": { "query": 3 } }""")]
    [InlineData("""{ "prompts": { "query": "a" }, "default_prompt_name": "query" }""")]
    [InlineData("[")]
    public void Prompts_that_cannot_be_followed_are_refused_by_name(string json)
    {
        File.WriteAllText(_folder.File(Prompts), json);
        Assert.Contains(Prompts, Assert.Throws<InvalidDataException>(() => BertEncoder.Load(_folder.Path)).Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("{}")]
    [InlineData("3")]
    [InlineData("[ 3 ]")]
    [InlineData("[ { \"type\": 3 } ]")]
    [InlineData("[ { } ]")]
    [InlineData("")]
    public void Modules_that_are_none_are_refused_by_name(string json)
    {
        File.WriteAllText(_folder.File(Modules), json);
        Assert.Contains(Modules, Assert.Throws<InvalidDataException>(() => BertEncoder.Load(_folder.Path)).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_write_that_fails_leaves_the_older_encoder()
    {
        byte[] weights = File.ReadAllBytes(_folder.File("model.safetensors"));

        // A lone surrogate is no text: the header cannot be written, as on a full disk.
        Assert.ThrowsAny<Exception>(() => _model.Save(_folder.Path, new Dictionary<string, string> { ["a\ud800"] = "b" }));
        Assert.Equal(weights, File.ReadAllBytes(_folder.File("model.safetensors")));
        using BertEncoder back = BertEncoder.Load(_folder.Path);
        Assert.Equal(Pooling.Mean, back.Pooling);
    }

    [Fact]
    public void Marks_and_line_ends_of_other_systems_are_read()
    {
        foreach (string file in Directory.EnumerateFiles(_folder.Path, "*.json", SearchOption.AllDirectories))
            File.WriteAllText(file, File.ReadAllText(file).ReplaceLineEndings("\r\n"), new System.Text.UTF8Encoding(encoderShouldEmitUTF8Identifier: true));
        using BertEncoder back = BertEncoder.Load(_folder.Path);
        Assert.Equal((Pooling.Mean, "the ", 8), (back.Pooling, back.QueryPrefix, back.MostTokens));
        back.Save(_folder.File("other"));
        using BertEncoder again = BertEncoder.Load(_folder.File("other"));
        Assert.Equal(TinyModels.Numbers(back.Encode(["the dog"])), TinyModels.Numbers(again.Encode(["the dog"])));
    }

    [Fact]
    public void A_key_that_stands_twice_is_refused_with_the_files_name()
    {
        File.WriteAllText(_folder.File("config.json"), File.ReadAllText(_folder.File("config.json")).Replace("{\n", "{\n  \"strange\": 1, \"strange\": 2,\n", StringComparison.Ordinal));
        Assert.Contains("config.json", Assert.Throws<InvalidDataException>(() => BertEncoder.Load(_folder.Path)).Message, StringComparison.Ordinal);
    }

    private JsonNode Json(string name) => JsonNode.Parse(File.ReadAllText(_folder.File(name)))!;
}
