using System.Text;
using Sparseland.Kernel.Tests.Running;

namespace Sparseland.Kernel.Tests.Cli;

public class TrainTests
{
    private static readonly string[] Tiny =
    [
        "train", "tinylm", "--docs", "docs", "--vocabulary", "300", "--layers", "1", "--width", "16", "--mlp", "32", "--heads", "2", "--key-heads", "1", "--context", "16",
        "--batch", "2", "--warm-up", "2", "--plateau", "1", "--evaluate-every", "3", "--checkpoint-every", "2", "--threads", "1",
    ];

    [Fact]
    public async Task A_model_is_made_and_a_training_taken_up_again_makes_the_same_one()
    {
        var folder = Documentation();
        var (code, text, error) = await Command.RunAsync(folder, [.. Tiny, "--out", "whole", "--steps", "9"]);
        Assert.True(code == 0, error);
        Assert.Contains("held-out perplexity", text, StringComparison.Ordinal);
        Assert.Contains("step 9 of 9: loss ", text, StringComparison.Ordinal);
        Assert.Equal(["README.md", "config.json", "curve.csv", "model.safetensors", "tokenizer.json"], Directory.GetFiles(Path.Combine(folder, "whole")).Select(Path.GetFileName).Order(StringComparer.Ordinal));
        Assert.Contains("--steps 9", File.ReadAllText(Path.Combine(folder, "whole", "README.md")), StringComparison.Ordinal);

        (code, _, error) = await Command.RunAsync(folder, [.. Tiny, "--out", "part", "--steps", "5", "--keep"]);
        Assert.True(code == 0, error);
        (code, _, error) = await Command.RunAsync(folder, [.. Tiny, "--out", "part", "--steps", "9"]);
        Assert.Equal(2, code);
        Assert.Contains("--resume", error, StringComparison.Ordinal);
        (code, text, error) = await Command.RunAsync(folder, [.. Tiny, "--out", "part", "--steps", "9", "--resume"]);
        Assert.True(code == 0, error);
        Assert.Contains("goes on after step 5", text, StringComparison.Ordinal);
        Assert.Equal(File.ReadAllBytes(Path.Combine(folder, "whole", "model.safetensors")), File.ReadAllBytes(Path.Combine(folder, "part", "model.safetensors")));
        Directory.Delete(folder, recursive: true);
    }

    [Fact]
    public async Task A_training_that_is_stopped_says_so_and_can_be_taken_up()
    {
        // A signal is sent by kill, which Windows has not.
        if (OperatingSystem.IsWindows()) return;
        var folder = Documentation();
        var (code, error) = await Command.InterruptAsync(folder, Path.Combine("m", "training.safetensors"), [.. Tiny, "--out", "m", "--steps", "3000"]);
        Assert.True(code == 130, error);
        Assert.Contains("go on with --resume", error, StringComparison.Ordinal);
        Assert.True(File.Exists(Path.Combine(folder, "m", "training.safetensors")));
        Directory.Delete(folder, recursive: true);
    }

    [Fact]
    public async Task What_cannot_be_trained_is_refused_in_one_line()
    {
        var folder = Documentation();
        Directory.CreateDirectory(Path.Combine(folder, "empty"));
        foreach (var (arguments, said) in new (string[], string)[]
        {
            (["train", "tinylm", "--out", "m", "--docs", "empty", "--steps", "3", "--warm-up", "1"], "No reference documentation"),
            ([.. Tiny.Select(a => a == "300" ? "100" : a), "--out", "m", "--steps", "9"], "Vocabulary"),
            ([.. Tiny, "--out", "m", "--steps", "2"], "WarmUp"),
            ([.. Tiny, "--out", "m", "--steps", "9", "--minutes", "3"], "exclude each other"),
            ([.. Tiny, "--out", "m", "--steps", "many"], "many"),
            (["sae", "train", "model", "--site", "resid_post.0", "--out", "m", "--tokens", "many"], "'many' is no number of tokens"),
            (["sae", "train", "model", "--site", "resid_post.0", "--out", "m", "--tokens", "2M", "--steps", "9"], "--tokens and --steps exclude each other"),
            (["sae", "train", "model", "--site", "resid_post.0", "--out", "m", "--steps", "9223372036854775807"], "--steps of 1,024 tokens each must not be more than 1,000,000,000,000,000 tokens"),
            (["sae", "train", "model", "--site", "resid_post.0", "--out", "m", "--layers", "9"], "there is no option '--layers'"),
        })
        {
            var (code, _, error) = await Command.RunAsync(folder, arguments);
            Assert.NotEqual(0, code);
            Assert.Contains(said, error, StringComparison.Ordinal);
            Assert.DoesNotContain("   at ", error, StringComparison.Ordinal);
        }

        Assert.False(File.Exists(Path.Combine(folder, "m", "model.safetensors")));
        Directory.Delete(folder, recursive: true);
    }

    private static string Documentation()
    {
        var folder = Notes.Folder();
        string[] verbs = ["Gets", "Sets", "Reads", "Writes", "Opens", "Closes"], nouns = ["stream", "buffer", "value", "culture", "socket"];
        var xml = new StringBuilder("<doc><members>");
        for (int t = 0; t < 80; t++)
        {
            xml.Append($"<member name=\"T:Test.Kind{t}\"><summary>A {nouns[t % 5]} of kind {t}.</summary></member>");
            for (int m = 0; m < 3; m++)
                xml.Append($"<member name=\"M:Test.Kind{t}.Do{m}\"><summary>{verbs[(t + m) % 6]} the {nouns[(t * m) % 5]} number {t}.</summary></member>");
        }

        Directory.CreateDirectory(Path.Combine(folder, "docs"));
        File.WriteAllText(Path.Combine(folder, "docs", "Test.xml"), xml.Append("</members></doc>").ToString());
        return folder;
    }
}
