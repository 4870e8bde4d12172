using System.Security.Cryptography;
using System.Text;
using System.Text.Json;
using System.Text.Json.Serialization;

namespace Mutations;

/// <summary>One deliberate fault in a method.</summary>
/// <param name="Name">What is broken, in a few words.</param>
/// <param name="Notebook">The notebook that teaches the method, from the root.</param>
/// <param name="File">The source file, from the root.</param>
/// <param name="Find">Text that stands once in it.</param>
/// <param name="Replace">What takes its place.</param>
internal sealed record Fault([property: JsonPropertyName("fault")] string Name, string Notebook, string File, string Find, string Replace)
{
    public static readonly JsonSerializerOptions Json = new(JsonSerializerDefaults.Web);

    /// <summary>A hash of the fault: of two with the same one the outcome is the same.</summary>
    [JsonIgnore]
    public string Key => Convert.ToHexString(SHA256.HashData(Encoding.UTF8.GetBytes(string.Join('\0', Notebook, File, Find, Replace))))[..16];

    /// <exception cref="InvalidDataException">A file is missing, or the text does not stand in it once.</exception>
    public void Check(string root)
    {
        if (!System.IO.File.Exists(Path.Combine(root, Notebook))) throw new InvalidDataException($"'{Name}': there is no {Notebook}.");
        string path = Path.Combine(root, File);
        if (!System.IO.File.Exists(path)) throw new InvalidDataException($"'{Name}': there is no {File}.");
        int times = System.IO.File.ReadAllText(path).Split(Find).Length - 1;
        if (times != 1) throw new InvalidDataException($"'{Name}': the text to replace stands {times} times in {File}.");
    }

    public string Apply(string text) => text.Replace(Find, Replace, StringComparison.Ordinal);
}
