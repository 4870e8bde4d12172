using System.Text.Json;
using System.Text.Json.Nodes;
using Sparseland.Data.Documentation;
using Sparseland.Models.Language;
using Sparseland.Models.Tokenizers;

namespace Sparseland.Kernel.Texts;

/// <summary>Text that activations are computed on, with a part that is held out.</summary>
/// <param name="Description">What it is.</param>
/// <param name="Training">Texts to train on.</param>
/// <param name="HeldOut">Others.</param>
/// <param name="Running">Whether the texts are parts of one running text, so that nothing ends between them.</param>
internal sealed record HostText(string Description, IReadOnlyList<string> Training, IReadOnlyList<string> HeldOut, bool Running)
{
    private const double HeldOutShare = 0.05;
    private const int LeastParts = 20, AtOnce = 1024;

    // Without it a key that stands twice would be an error that names neither file nor line.
    private static readonly JsonDocumentOptions s_reading = new() { AllowDuplicateProperties = false };

    /// <summary>The reference documentation of .NET, or a file: .jsonl with a field "text" in each line, or any other as plain text.</summary>
    /// <param name="file">The file; null for the documentation.</param>
    /// <param name="docs">Where the documentation is; null to search.</param>
    /// <param name="cancel">Stops the reading.</param>
    /// <exception cref="InvalidDataException">The file is not what its name says, or too short to hold some of it out.</exception>
    public static HostText Load(string? file, string? docs, CancellationToken cancel)
    {
        if (file is null)
        {
            DocCorpus corpus = DocCorpus.Split(DotNetDocs.Load(DotNetDocs.FindFiles(docs), cancel: cancel));
            return new("the reference documentation of .NET", [.. DocCorpus.Articles(corpus.Training)], [.. DocCorpus.Articles(corpus.HeldOut)], Running: false);
        }

        if (!File.Exists(file)) throw new FileNotFoundException($"--text is '{file}', which is no file.", file);
        bool lines = Path.GetExtension(file) is ".jsonl" or ".ndjson";
        string[] parts = lines ? Lines(file, cancel) : Paragraphs(File.ReadAllText(file));
        int held = Math.Max(1, (int)Math.Round(parts.Length * HeldOutShare));
        if (parts.Length < 2) throw new InvalidDataException($"'{file}' has {parts.Length} {(lines ? "texts" : "paragraphs")}; there must be at least two, one to train on and one to hold out.");
        return new($"{Path.GetFileName(file)}, its last {held} of {parts.Length} {(lines ? "texts" : "paragraphs")} held out", parts[..^held], parts[^held..], Running: !lines);
    }

    /// <summary>Tokens of the first texts of some, until there are enough.</summary>
    public TokenText Tokens(IReadOnlyList<string> texts, TextTokenizer tokenizer, long most, CancellationToken cancel)
    {
        var ids = new List<int>();
        foreach (string text in texts)
        {
            cancel.ThrowIfCancellationRequested();
            ids.AddRange(tokenizer.Encode(text, cancel: cancel));
            if (!Running && tokenizer.EndOfText is { } end) ids.Add(end);
            if (ids.Count >= most) break;
        }

        return new(ids.Count > most ? ids[..(int)most] : ids);
    }

    /// <summary>The first texts of some, until they have enough tokens of an encoder.</summary>
    public static IReadOnlyList<string> Enough(IReadOnlyList<string> texts, BertEncoder encoder, long most, CancellationToken cancel)
    {
        long count = 0;
        for (int from = 0; from < texts.Count; from += AtOnce)
        {
            string[] some = [.. texts.Skip(from).Take(AtOnce)];
            int[][] ids = encoder.Split(some, "", cancel);
            for (int i = 0; i < ids.Length; i++)
            {
                count += ids[i].Length;
                if (count >= most) return [.. texts.Take(from + i + 1)];
            }
        }

        return texts;
    }

    private static string[] Lines(string file, CancellationToken cancel)
    {
        var texts = new List<string>();
        int number = 0;
        foreach (string line in File.ReadLines(file))
        {
            cancel.ThrowIfCancellationRequested();
            number++;
            if (string.IsNullOrWhiteSpace(line)) continue;
            try
            {
                texts.Add((JsonNode.Parse(line, documentOptions: s_reading) as JsonObject)?["text"] is JsonValue value && value.TryGetValue(out string? text)
                    ? text : throw new InvalidDataException($"'{file}', line {number}: there is no text under \"text\"."));
            }
            catch (JsonException e)
            {
                throw new InvalidDataException($"'{file}', line {number}: it is no JSON: {e.Message}", e);
            }
        }

        return [.. texts];
    }

    /// <summary>Paragraphs with the empty line behind them, or lines where there are few.</summary>
    private static string[] Paragraphs(string text)
    {
        text = text.ReplaceLineEndings("\n");
        string[] parts = Split("\n\n");
        return parts.Length >= LeastParts ? parts : Split("\n");
        string[] Split(string mark) => [.. text.Split(mark, StringSplitOptions.RemoveEmptyEntries).Where(part => !string.IsNullOrWhiteSpace(part)).Select(part => part + mark)];
    }
}
