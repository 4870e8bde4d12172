using System.Text.Json;

namespace Mutations;

/// <summary>What became of one fault.</summary>
/// <param name="Key">Hash of the fault, so that an edited one is tried again.</param>
/// <param name="Scale">The scale at which it was seen, or at which nothing broke.</param>
/// <param name="Outcome">"2 broke", "stopped: ..." or <see cref="Survived"/>.</param>
/// <param name="Broken">The claims that broke.</param>
internal sealed record Verdict(string Notebook, string Fault, string Key, string Scale, string Outcome, string[] Broken)
{
    public const string Survived = "SURVIVED", NotCompiled = "does not compile";

    /// <summary>True where no claim noticed the fault, or it was none.</summary>
    public bool IsSurvivor => Outcome == Survived || Outcome.StartsWith(NotCompiled, StringComparison.Ordinal);

    public string Row() => $"| {Path.GetFileNameWithoutExtension(Notebook)} | {Fault} | {Scale} | {Outcome} | {string.Join("; ", Broken.Take(3))} |";

    /// <summary>The verdicts that a file holds, the last of each fault; none where there is no file.</summary>
    public static Dictionary<string, Verdict> Read(string? file) => file is null || !File.Exists(file) ? []
        : File.ReadLines(file).Select(line => JsonSerializer.Deserialize<Verdict>(line)!).GroupBy(verdict => verdict.Key).ToDictionary(group => group.Key, group => group.Last());

    public void AppendTo(string? file)
    {
        if (file is not null) File.AppendAllText(file, JsonSerializer.Serialize(this) + "\n");
    }
}
