using System.Runtime.CompilerServices;

namespace Sparseland.Tests.Rooms;

/// <summary>The public surface stands in one file: who changes it sees it, and says so by writing the file anew.</summary>
public class PublicSurfaceTests
{
    private const string Write = "SPARSELAND_WRITE_SURFACE";

    [Fact]
    public void The_public_surface_is_that_of_the_file()
    {
        IReadOnlyList<string> now = PublicSurface.Of(typeof(ProgressReport).Assembly);
        string path = Path.Combine(Path.GetDirectoryName(Here())!, "PublicSurface.txt");
        if (Environment.GetEnvironmentVariable(Write) == "1") File.WriteAllText(path, string.Join('\n', now) + "\n");
        string[] known = File.Exists(path) ? File.ReadAllText(path).ReplaceLineEndings("\n").TrimEnd('\n').Split('\n') : [];
        string[] gone = [.. Qualified(known).Except(Qualified(now))], added = [.. Qualified(now).Except(Qualified(known))];
        Assert.True(
            gone.Length == 0 && added.Length == 0,
            $"The public surface has changed. If that is meant: {Write}=1 dotnet test tests/Sparseland.Tests --filter PublicSurface.\nGone:\n{string.Join('\n', gone.Take(20))}\nNew:\n{string.Join('\n', added.Take(20))}");
    }

    [Fact]
    public void It_knows_types_members_and_defaults()
    {
        IReadOnlyList<string> all = PublicSurface.Of(typeof(ProgressReport).Assembly);
        Assert.Contains(all, l => l.StartsWith("Sparseland.Selection.Select (static class)", StringComparison.Ordinal));
        Assert.Contains(all, l => l.Contains(" TopK(", StringComparison.Ordinal));
        Assert.Contains(all, l => l.Contains(" = ", StringComparison.Ordinal) && l.Contains("CancellationToken cancel = default", StringComparison.Ordinal));
        Assert.DoesNotContain(all, l => l.Contains("<Clone>", StringComparison.Ordinal));
    }

    /// <summary>Members with the type that they belong to.</summary>
    private static IEnumerable<string> Qualified(IEnumerable<string> lines)
    {
        string type = "";
        foreach (string line in lines)
        {
            if (line.StartsWith(' ')) yield return $"{type} |{line}";
            else yield return type = line;
        }
    }

    private static string Here([CallerFilePath] string path = "") => path;
}
