using System.IO.Compression;
using System.Text.Json;
using Sparseland.Autoencoders.Dashboards;
using Sparseland.Autoencoders.Metrics;

namespace Sparseland.Notebooks.Dashboards;

/// <summary>
/// The data of a page: gzip of JSON. Tokens are numbers in a vocabulary of those that occur, and examples are places in a text that holds each token once
/// that some example shows, so that an example costs a few bytes.
/// </summary>
internal static class LatentPageData
{
    /// <summary>The data of a page.</summary>
    /// <param name="dashboard">What was measured.</param>
    /// <param name="title">Title of the page.</param>
    /// <param name="foot">What stands below each card.</param>
    /// <param name="progress">Latents done.</param>
    /// <param name="cancel">Looked at between latents.</param>
    public static byte[] Pack(LatentDashboard dashboard, string title, string foot, IProgress<ProgressReport>? progress, CancellationToken cancel)
    {
        Text text = Text.Of(dashboard, cancel);
        var vocabulary = new Vocabulary();
        int[] places = [.. text.Tokens.Select(vocabulary.Of)];
        using var packed = new MemoryStream();
        using (var gzip = new GZipStream(packed, CompressionLevel.SmallestSize, leaveOpen: true))
        using (var json = new Utf8JsonWriter(gzip))
        {
            json.WriteStartObject();
            About(json, dashboard, title, foot);
            Densities(json, dashboard.Density);
            Numbers(json, "text", places);
            json.WriteStartArray("latents");
            for (int i = 0; i < dashboard.Latents; i++)
            {
                cancel.ThrowIfCancellationRequested();
                Latent(json, dashboard[i], text, vocabulary);
                if ((i & 127) == 127) json.Flush();
                progress?.Report(new(i + 1, dashboard.Latents, "packing the page"));
            }

            json.WriteEndArray();
            json.WriteStartArray("vocabulary");
            foreach (int token in vocabulary.Tokens) Spelled(json, dashboard.Spell(token));
            json.WriteEndArray();
            json.WriteEndObject();
        }

        return packed.ToArray();
    }

    private static void About(Utf8JsonWriter json, LatentDashboard dashboard, string title, string foot)
    {
        json.WriteStartObject("about");
        json.WriteString("title", title);
        json.WriteString("foot", foot);
        json.WriteNumber("tokens", dashboard.Density.Tokens);
        json.WriteNumber("latents", dashboard.Latents);
        json.WriteNumber("dead", dashboard.Density.Dead);
        json.WriteNumber("denseAbove", LatentDensity.DenseAbove);
        json.WriteNumber("rareBelow", LatentDensity.RareBelow);
        json.WriteBoolean("logits", dashboard.HasLogitWeights);
        json.WriteNumber("together", dashboard.Options.MinTogether);
        json.WriteBoolean("removal", dashboard.Options.RemovalExamples > 0);
        json.WriteStartObject("kinds");
        json.WriteString("all", "all latents");
        json.WriteString("alive", "active on some token");
        json.WriteString("dense", $"active on more than {LatentNames.Percent(LatentDensity.DenseAbove)} of the tokens");
        json.WriteString("rare", $"active, but on less than {LatentNames.Percent(LatentDensity.RareBelow)} of the tokens");
        json.WriteString("dead", "active on no token measured");
        json.WriteEndObject();
        json.WriteEndObject();
    }

    private static void Densities(Utf8JsonWriter json, LatentDensity density)
    {
        (double[] edges, int[] counts) = density.Histogram();
        json.WriteStartObject("density");
        json.WriteNumber("from", edges.Length == 0 ? 0 : edges[0]);
        json.WriteNumber("step", edges.Length < 2 ? 0.25 : edges[1] - edges[0]);
        Numbers(json, "counts", counts);
        json.WriteEndObject();
    }

    private static void Latent(Utf8JsonWriter json, LatentSummary latent, Text text, Vocabulary vocabulary)
    {
        json.WriteStartObject();
        json.WriteNumber("n", latent.Active);
        json.WriteNumber("rank", latent.DensityRank);
        Rounded(json, "max", latent.Max);
        Rounded(json, "mean", latent.Mean);
        Rounded(json, "own", latent.EncoderDecoder);
        json.WriteNumber("bin", latent.Values.BinWidth);
        Numbers(json, "hist", latent.Values.Counts);
        Examples(json, "top", latent.Top, text);
        Examples(json, "some", latent.Sampled, text);
        Pairs(json, "up", latent.Promoted.Select(w => (vocabulary.Of(w.Token), w.Weight)));
        Pairs(json, "down", latent.Suppressed.Select(w => (vocabulary.Of(w.Token), w.Weight)));
        Pairs(json, "near", latent.Nearest.Select(n => (n.Latent, n.Cosine)));
        if (latent.Removal is { } off)
        {
            // Examples, divergence, rise of the loss; then the token that falls most and the one that rises most, with the change of each.
            json.WriteStartArray("off");
            json.WriteNumberValue(off.Examples);
            json.WriteRawValue(LatentNames.Digits(off.Divergence));
            json.WriteRawValue(LatentNames.Digits(off.LossIncrease));
            foreach (TokenChange token in (TokenChange[])[off.Lowered, off.Raised])
            {
                json.WriteNumberValue(vocabulary.Of(token.Token));
                json.WriteRawValue(LatentNames.Digits(token.Change));
            }

            json.WriteEndArray();
        }

        json.WriteStartArray("with");
        foreach (LatentCompanion companion in latent.Together)
        {
            json.WriteNumberValue(companion.Latent);
            json.WriteNumberValue(companion.Tokens);
            json.WriteRawValue(LatentNames.Digits(companion.Jaccard));
            json.WriteRawValue(LatentNames.Digits(companion.Lift));
        }

        json.WriteEndArray();
        json.WriteEndObject();
    }

    // Start in the text, tokens, which is the example's own, tenth, window, place, tokens not measured at its beginning; then place and value of each that is active.
    private static void Examples(Utf8JsonWriter json, string name, IReadOnlyList<LatentExample> examples, Text text)
    {
        json.WriteStartArray(name);
        foreach (LatentExample example in examples)
        {
            json.WriteStartArray();
            int unmeasured = example.Values.TakeWhile(float.IsNaN).Count();
            foreach (int number in (int[])[text.PlaceOf(example), example.Tokens.Count, example.Focus, example.Decile, example.Window, example.Place, unmeasured]) json.WriteNumberValue(number);
            for (int i = 0; i < example.Values.Count; i++)
            {
                if (!(example.Values[i] > 0)) continue;
                json.WriteNumberValue(i);
                json.WriteRawValue(LatentNames.Digits(example.Values[i]));
            }

            json.WriteEndArray();
        }

        json.WriteEndArray();
    }

    // Kind (0 text, 1 byte, 2 special) and text of each piece.
    private static void Spelled(Utf8JsonWriter json, IReadOnlyList<TokenPart> parts)
    {
        json.WriteStartArray();
        foreach (TokenPart part in parts)
        {
            json.WriteStartArray();
            json.WriteNumberValue((int)part.Kind);
            json.WriteStringValue(part.Text);
            json.WriteEndArray();
        }

        json.WriteEndArray();
    }

    private static void Pairs(Utf8JsonWriter json, string name, IEnumerable<(int Number, double Value)> pairs)
    {
        json.WriteStartArray(name);
        foreach ((int number, double value) in pairs)
        {
            json.WriteNumberValue(number);
            json.WriteRawValue(LatentNames.Digits(value));
        }

        json.WriteEndArray();
    }

    private static void Numbers(Utf8JsonWriter json, string name, IReadOnlyList<int> numbers)
    {
        json.WriteStartArray(name);
        foreach (int number in numbers) json.WriteNumberValue(number);
        json.WriteEndArray();
    }

    private static void Rounded(Utf8JsonWriter json, string name, double value)
    {
        json.WritePropertyName(name);
        json.WriteRawValue(LatentNames.Digits(value));
    }

    /// <summary>Numbers of the tokens that occur, in the order of their first occurrence.</summary>
    private sealed class Vocabulary
    {
        private readonly Dictionary<int, int> _numbers = [];

        public List<int> Tokens { get; } = [];

        public int Of(int token)
        {
            if (_numbers.TryGetValue(token, out int number)) return number;
            Tokens.Add(token);
            return _numbers[token] = Tokens.Count - 1;
        }
    }

    /// <summary>The tokens that examples show, each once, windows in their order.</summary>
    private sealed class Text
    {
        private readonly Dictionary<long, int> _places = [];

        public List<int> Tokens { get; } = [];

        /// <summary>Where an example begins; the tokens after it follow, since an example has no gaps.</summary>
        public int PlaceOf(LatentExample example) => _places[Key(example, 0)];

        public static Text Of(LatentDashboard dashboard, CancellationToken cancel)
        {
            var tokens = new Dictionary<long, int>();
            for (int i = 0; i < dashboard.Latents; i++)
            {
                cancel.ThrowIfCancellationRequested();
                LatentSummary latent = dashboard[i];
                foreach (LatentExample example in latent.Top.Concat(latent.Sampled))
                {
                    for (int k = 0; k < example.Tokens.Count; k++) tokens[Key(example, k)] = example.Tokens[k];
                }
            }

            var text = new Text();
            foreach ((long key, int token) in tokens.OrderBy(pair => pair.Key))
            {
                text._places[key] = text.Tokens.Count;
                text.Tokens.Add(token);
            }

            return text;
        }

        private static long Key(LatentExample example, int k) => ((long)example.Window << 32) | (uint)(example.Place - example.Focus + k);
    }
}
