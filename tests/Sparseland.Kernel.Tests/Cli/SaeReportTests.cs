using System.Text.Json.Nodes;
using Sparseland.Autoencoders;
using Sparseland.Kernel.Tests.Running;
using Sparseland.Models.Language;
using Sparseland.Models.Tokenizers;

namespace Sparseland.Kernel.Tests.Cli;

public sealed class SaeReportTests : IDisposable
{
    private readonly string _folder = Notes.Folder();

    public SaeReportTests()
    {
        string[] texts = [.. Enumerable.Range(0, 400).Select(i => $"Kind {i % 13} gets the {(i % 3 == 0 ? "stream" : "buffer")} number {i}.")];
        File.WriteAllLines(At("text.jsonl"), texts.Select(text => new JsonObject { ["text"] = text }.ToJsonString()));
        using var model = new TinyLM(new LlamaConfig { Vocabulary = 300, Width = 16, Layers = 2, Heads = 2, KeyValueHeads = 1, MlpWidth = 24, Context = 16 });
        LanguageModelFolder.Save(At("model"), model, new TextTokenizer(BpeTrainer.Train(texts, new() { Vocabulary = 300 })));
        using var autoencoder = new SparseAutoencoder(16, 32, new TopKRule(3));
        SaeLensFolder.Write(At("sae"), autoencoder, new() { Model = "model", Hook = "blocks.1.hook_resid_post", Site = new(1, Activation.ResidualAfter) });
        SparsifyFolder.Write(At("layers.0"), autoencoder, new() { Model = "model", Hook = "layers.0", Site = new(0, Activation.ResidualAfter) });
    }

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Theory]
    [InlineData("sae", "resid_post.1", "block 1")]
    [InlineData("layers.0", "resid_post.0", "block 0")]
    public async Task A_page_is_written_for_folders_of_both_kits(string sae, string place, string block)
    {
        var (code, text, error) = await Command.RunAsync(_folder, "sae", "report", sae, "--model", "model", "--text", "text.jsonl", "--tokens", "160", "--out", "pages/latents.html", "--threads", "1");
        Assert.True(code == 0, error);
        Assert.Contains($"topk, k = 3, 32 latents at {place} of model", text, StringComparison.Ordinal);
        Assert.Contains("160 tokens: FVU ", text, StringComparison.Ordinal);
        string page = File.ReadAllText(At("pages/latents.html"));
        Assert.StartsWith("<!DOCTYPE html>", page, StringComparison.Ordinal);
        Assert.EndsWith("</html>\n", page, StringComparison.Ordinal);
        Assert.Contains($"residual stream after {block}", page, StringComparison.Ordinal);
        Assert.Equal(["latents.html"], Directory.GetFiles(At("pages")).Select(Path.GetFileName));
    }

    [Fact]
    public async Task What_cannot_be_shown_is_refused_before_any_work_and_leaves_no_file()
    {
        File.WriteAllText(At("old.html"), "old");
        foreach (var (arguments, said) in new (string[], string)[]
        {
            (["sae", "--model", "model", "--text", "text.jsonl", "--out", "sae"], "'sae', which is a folder"),
            (["sae", "--model", "model", "--text", "text.jsonl", "--out", "text.jsonl/page.html"], "cannot be written"),
            (["sae", "--model", "model", "--text", "text.jsonl", "--out", "old.html", "--site", "resid_post.7"], "blocks 0 to 1"),
            (["sae", "--model", "model", "--text", "text.jsonl", "--out", "old.html", "--site", "mlp_post.1"], "has 24"),
            (["model", "--model", "model", "--text", "text.jsonl", "--out", "old.html"], "model"),
            (["sae", "--model", "model", "--text", "text.jsonl", "--out", "old.html", "--top", "0"], "Top is 0"),
        })
        {
            var (code, _, error) = await Command.RunAsync(_folder, ["sae", "report", .. arguments]);
            Assert.True(code == 2, error);
            Assert.Contains(said, error, StringComparison.Ordinal);
            Assert.DoesNotContain("   at ", error, StringComparison.Ordinal);
        }

        Assert.Equal("old", File.ReadAllText(At("old.html")));
    }

    [Fact]
    public async Task The_page_reads_as_the_training_did_and_says_where_the_folder_belongs()
    {
        using var autoencoder = new SparseAutoencoder(16, 32, new TopKRule(3));
        SaeLensFolder.Write(At("made"), autoencoder, new() { Model = "other", Site = new(1, Activation.ResidualAfter), Figures = new() { Context = 8, SkipFirst = 3, MaxNormRatio = 10 } });
        var (code, text, error) = await Command.RunAsync(_folder, "sae", "report", "made", "--model", "model", "--site", "resid_post.0", "--text", "text.jsonl", "--tokens", "100", "--out", "made.html", "--threads", "1");
        Assert.True(code == 0, error);
        Assert.Contains("100 tokens: FVU", text, StringComparison.Ordinal);
        Assert.Contains("the folder names the model 'other'", text, StringComparison.Ordinal);
        Assert.Contains("the folder names the place resid_post.1", text, StringComparison.Ordinal);
        Assert.Contains("norm above 10 medians", text, StringComparison.Ordinal);
    }

    private string At(string name) => Path.Combine(_folder, name);
}
