using System.Text.Json;

namespace Notebooks.Tests;

/// <summary>The deliberate faults of tests/Mutations still fit the sources they break.</summary>
public class FaultFilesTests
{
    public static TheoryData<string> Files() => [.. Directory.EnumerateFiles(Folder, "*.json").Select(f => Path.GetFileName(f)!).Order(StringComparer.Ordinal)];

    private static string Folder => Path.Combine(Series.Root, "tests", "Mutations", "faults");

    [Theory, MemberData(nameof(Files))]
    public void Each_text_to_replace_stands_once(string file)
    {
        using var json = JsonDocument.Parse(File.ReadAllText(Path.Combine(Folder, file)));
        foreach (JsonElement fault in json.RootElement.EnumerateArray())
        {
            string name = fault.GetProperty("fault").GetString()!, find = fault.GetProperty("find").GetString()!;
            Assert.True(File.Exists(Path.Combine(Series.Root, fault.GetProperty("notebook").GetString()!)), name);
            string source = File.ReadAllText(Path.Combine(Series.Root, fault.GetProperty("file").GetString()!));
            Assert.True(source.Split(find).Length == 2, $"{name}: the text stands {source.Split(find).Length - 1} times");
            Assert.NotEqual(find, fault.GetProperty("replace").GetString());
        }
    }
}
