using System.Text.Json.Nodes;
using Sparseland.Kernel.Tests.Running;
using Sparseland.Models.Language;
using Sparseland.Models.Tokenizers;
using Sparseland.Training;

namespace Sparseland.Kernel.Tests.Cli;

public sealed class PruneTests : IDisposable
{
    private readonly string _folder = Notes.Folder();

    public PruneTests()
    {
        string[] texts = [.. Enumerable.Range(0, 400).Select(i => $"Kind {i % 13} gets the {(i % 3 == 0 ? "stream" : "buffer")} number {i}.")];
        File.WriteAllLines(At("text.jsonl"), texts.Select(text => new JsonObject { ["text"] = text }.ToJsonString()));
        using var model = new TinyLM(new LlamaConfig { Vocabulary = 300, Width = 16, Layers = 2, Heads = 2, KeyValueHeads = 1, MlpWidth = 24, Context = 16 });
        LanguageModelFolder.Save(At("model"), model, new TextTokenizer(BpeTrainer.Train(texts, new() { Vocabulary = 300 })));
    }

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Theory]
    [InlineData("wanda", "0.5", "50 % per row", 0.5)]
    [InlineData("sparsegpt", "2:4", "2:4", 0.5)]
    [InlineData("magnitude", "0.25", "25 % per layer", 0.25)]
    [InlineData("dsnot", "0.5", "50 % per row", 0.5)]
    public async Task A_folder_is_pruned_and_its_perplexity_is_said(string method, string sparsity, string pattern, double removed)
    {
        var (code, text, error) = await Command.RunAsync(
            _folder, "prune", "model", "--out", "pruned", "--method", method, "--sparsity", sparsity, "--text", "text.jsonl", "--sequences", "8", "--windows", "4", "--threads", "1");
        Assert.True(code == 0, error);
        Assert.Contains($", {pattern}", text, StringComparison.Ordinal);
        if (method == "magnitude") Assert.DoesNotContain("calibration", text, StringComparison.Ordinal);
        else Assert.Contains("calibration: 8 sequences of 16 tokens, seed 0", text, StringComparison.Ordinal);
        Assert.Contains("stride 16", text, StringComparison.Ordinal);
        Assert.Contains(" before, ", text, StringComparison.Ordinal);
        Assert.Contains("Merging an adapter", text, StringComparison.Ordinal);
        using LoadedLanguageModelOwner pruned = new(LanguageModelFolder.Load(At("pruned")));
        using MaskSet masks = MaskSet.LoadFolder(At("pruned"), pruned.Model);
        Assert.Equal(1 - removed, masks.Density, 0.01);
    }

    [Fact]
    public async Task A_short_text_is_enough_for_a_method_that_needs_no_calibration_and_a_block_may_stay_dense()
    {
        var (code, text, error) = await Command.RunAsync(
            _folder, "prune", "model", "--out", "pruned", "--method", "magnitude", "--sequences", "100000", "--windows", "4", "--skip", "layers.0.", "--text", "text.jsonl", "--threads", "1");
        Assert.True(code == 0, error);
        Assert.DoesNotContain("calibration", text, StringComparison.Ordinal);
        using (LoadedLanguageModelOwner pruned = new(LanguageModelFolder.Load(At("pruned"))))
        using (MaskSet masks = MaskSet.LoadFolder(At("pruned"), pruned.Model))
            Assert.All(masks.Names, name => Assert.Contains("layers.1.", name, StringComparison.Ordinal));
        (code, _, error) = await Command.RunAsync(_folder, "prune", "model", "--out", "nothing", "--method", "magnitude", "--windows", "0", "--skip", "layers.", "--threads", "1");
        Assert.True(code is 1 or 2, error);
        Assert.Contains("nothing would be pruned", error, StringComparison.Ordinal);
    }

    [Fact]
    public async Task What_cannot_be_pruned_is_refused_before_anything_is_written()
    {
        foreach (var (arguments, said) in new (string[], string)[]
        {
            (["model", "--out", "p", "--sparsity", "1"], "--sparsity is '1'"),
            (["model", "--out", "p", "--sparsity", "half"], "\"half\" is no pattern"),
            (["model", "--out", "p", "--sparsity", "5:4"], "--sparsity is '5:4'"),
            (["model", "--out", "p", "--sparsity", "2:4", "--compare", "row"], "--compare row has no meaning"),
            (["model", "--out", "p", "--sparsity", "2:7"], "multiple of 7"),
            (["model", "--out", "p", "--method", "best"], "best"),
            (["model", "--out", "p", "--context", "17"], "context of 16"),
            (["model", "--out", "p", "--sequences", "100000"], "100000 are asked for"),
            (["model", "--out", "p", "--sparsity", ""], "--sparsity is ''"),
            (["nowhere", "--out", "p"], "There is no folder 'nowhere'"),
        })
        {
            var (code, _, error) = await Command.RunAsync(_folder, ["prune", .. arguments, "--text", "text.jsonl"]);
            Assert.True(code is 1 or 2, error);
            Assert.Contains(said, error, StringComparison.Ordinal);
            Assert.DoesNotContain("   at ", error, StringComparison.Ordinal);
            Assert.False(File.Exists(At("p/config.json")));
        }
    }

    private string At(string name) => Path.Combine(_folder, name);

    private sealed record LoadedLanguageModelOwner(LoadedLanguageModel Loaded) : IDisposable
    {
        public LanguageModel Model => Loaded.Model;

        public void Dispose() => Loaded.Model.Dispose();
    }
}
