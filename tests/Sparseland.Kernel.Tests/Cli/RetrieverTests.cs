using System.Text;
using Sparseland.Kernel.Tests.Running;

namespace Sparseland.Kernel.Tests.Cli;

public class RetrieverTests
{
    private static readonly string[] Tiny =
    [
        "train", "retrievers", "--docs", "docs", "--vocabulary", "300", "--layers", "1", "--width", "16", "--heads", "2", "--batch", "4", "--threads", "1",
    ];

    [Fact]
    public async Task A_training_that_is_stopped_goes_on_to_the_same_retrievers()
    {
        if (OperatingSystem.IsWindows()) return;
        string folder = Documentation();
        string[] call = [.. Tiny, "--steps", "3", "--masked-steps", "3"];
        var (code, text, error) = await Command.RunAsync(folder, [.. call, "--out", "whole"]);
        Assert.True(code == 0, error);
        string[] made = [.. Directory.GetDirectories(Path.Combine(folder, "whole")).Select(d => Path.GetFileName(d)!).Order(StringComparer.Ordinal)];
        Assert.Equal(6, made.Length);
        Assert.True(File.Exists(Path.Combine(folder, "whole", "README.md")));

        // Stopped when the first one is done.
        (code, error) = await Command.InterruptAsync(folder, Path.Combine("part", "masked", "config.json"), [.. call, "--out", "part"]);
        (code, text, error) = await Command.RunAsync(folder, [.. call, "--out", "part", "--resume"]);
        Assert.True(code == 0, error);
        foreach (string name in made)
            Assert.Equal(File.ReadAllBytes(Path.Combine(folder, "whole", name, "model.safetensors")), File.ReadAllBytes(Path.Combine(folder, "part", name, "model.safetensors")));
        Directory.Delete(folder, recursive: true);
    }

    /// <summary>Documentation of enough types for the splits.</summary>
    private static string Documentation()
    {
        string folder = Notes.Folder();
        string[] verbs = ["Gets", "Sets", "Reads", "Writes", "Opens", "Closes"], nouns = ["stream", "buffer", "value", "culture", "socket", "matrix", "channel"];
        var xml = new StringBuilder("<doc><members>");
        for (int t = 0; t < 700; t++)
        {
            xml.Append($"<member name=\"T:Test.N{t % 9}.{nouns[t % 7]}Kind{t}\"><summary>A {nouns[t % 7]} of kind {t} that holds others of {nouns[(t / 7) % 7]}s.</summary></member>");
            xml.Append($"<member name=\"M:Test.N{t % 9}.{nouns[t % 7]}Kind{t}.{verbs[t % 6]}All\"><summary>{verbs[t % 6]} every {nouns[(t / 7) % 7]} that number {t} holds at the time.</summary><returns>The {nouns[t % 7]} of the {nouns[(t / 3) % 7]}, or null where none was found yet.</returns></member>");
        }

        Directory.CreateDirectory(Path.Combine(folder, "docs"));
        File.WriteAllText(Path.Combine(folder, "docs", "Test.xml"), xml.Append("</members></doc>").ToString());
        return folder;
    }
}
