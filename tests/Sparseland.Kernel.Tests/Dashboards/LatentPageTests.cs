using System.IO.Compression;
using System.Security.Cryptography;
using System.Text;
using System.Text.Json;
using System.Text.RegularExpressions;
using Sparseland.Autoencoders.Dashboards;
using Sparseland.Kernel.Tests.Running;
using Sparseland.Notebooks.Dashboards;

namespace Sparseland.Kernel.Tests.Dashboards;

public class LatentPageTests
{
    private static readonly Lazy<LatentDashboard> s_dashboard = new(() => LatentBed.Dashboard());

    [Fact]
    public void The_data_in_the_page_are_those_of_the_dashboard()
    {
        LatentDashboard dashboard = s_dashboard.Value;
        JsonElement data = Data(LatentPage.Render(dashboard)), latents = data.GetProperty("latents"), vocabulary = data.GetProperty("vocabulary");
        int[] text = Ints(data.GetProperty("text"));
        Assert.Equal(dashboard.Latents, latents.GetArrayLength());
        Assert.Equal(dashboard.Density.Tokens, data.GetProperty("about").GetProperty("tokens").GetInt64());
        Assert.Equal(dashboard.Density.Histogram().Latents, Ints(data.GetProperty("density").GetProperty("counts")));
        int examples = 0, unmeasured = 0;
        for (int i = 0; i < dashboard.Latents; i++)
        {
            (LatentSummary latent, JsonElement json) = (dashboard[i], latents[i]);
            Assert.Equal((latent.Active, latent.DensityRank), (json.GetProperty("n").GetInt64(), json.GetProperty("rank").GetInt32()));
            Near(latent.Max, json.GetProperty("max").GetDouble());
            Near(latent.Mean, json.GetProperty("mean").GetDouble());
            Near(latent.EncoderDecoder, json.GetProperty("own").GetDouble());
            Assert.Equal(latent.Values.BinWidth, json.GetProperty("bin").GetDouble());
            Assert.Equal(latent.Values.Counts, Ints(json.GetProperty("hist")));
            Same(latent.Top, json.GetProperty("top"));
            Same(latent.Sampled, json.GetProperty("some"));
            Weights(latent.Promoted, json.GetProperty("up"));
            Weights(latent.Suppressed, json.GetProperty("down"));
            JsonElement near = json.GetProperty("near"), with = json.GetProperty("with");
            Assert.Equal(latent.Nearest.Select(n => n.Latent), Enumerable.Range(0, near.GetArrayLength() / 2).Select(p => near[2 * p].GetInt32()));
            Assert.Equal(latent.Together.Select(c => (c.Latent, c.Tokens)), Enumerable.Range(0, with.GetArrayLength() / 4).Select(p => (with[4 * p].GetInt32(), with[(4 * p) + 1].GetInt32())));
            for (int p = 0; p < latent.Together.Count; p++) Near(latent.Together[p].Jaccard, with[(4 * p) + 2].GetDouble());
        }

        Assert.True(examples > 500, $"{examples} examples");
        Assert.True(unmeasured > 0);
        Assert.True(text.Length <= 24 * 16, "a token of the text stands once");

        void Same(IReadOnlyList<LatentExample> wanted, JsonElement found)
        {
            Assert.Equal(wanted.Count, found.GetArrayLength());
            for (int e = 0; e < wanted.Count; e++)
            {
                (LatentExample example, JsonElement json) = (wanted[e], found[e]);
                int start = json[0].GetInt32(), length = json[1].GetInt32();
                Assert.Equal(example.Tokens.Select(t => Words(dashboard.Spell(t))), text[start..(start + length)].Select(t => Words(vocabulary[t])));
                Assert.Equal((example.Focus, example.Decile, example.Window, example.Place), (json[2].GetInt32(), json[3].GetInt32(), json[4].GetInt32(), json[5].GetInt32()));
                float[] values = new float[length];
                Array.Fill(values, float.NaN, 0, json[6].GetInt32());
                for (int k = 7; k < json.GetArrayLength(); k += 2) values[json[k].GetInt32()] = json[k + 1].GetSingle();
                foreach ((float a, float b) in example.Values.Zip(values)) Near(a, b);
                examples++;
                unmeasured += json[6].GetInt32();
            }
        }

        void Weights(IReadOnlyList<TokenWeight> wanted, JsonElement found)
        {
            Assert.Equal(2 * wanted.Count, found.GetArrayLength());
            for (int w = 0; w < wanted.Count; w++)
            {
                Assert.Equal(Words(dashboard.Spell(wanted[w].Token)), Words(vocabulary[found[2 * w].GetInt32()]));
                Near(wanted[w].Weight, found[(2 * w) + 1].GetDouble());
            }
        }
    }

    [Fact]
    public void Tokens_and_names_never_become_part_of_the_page()
    {
        var options = new LatentPageOptions { Model = "</title><script>evil()</script>", Autoencoder = "a\"><b>", Text = "</script>{{style}}" };
        string page = LatentPage.Render(s_dashboard.Value, options);
        Assert.Equal((2, 2, 1), (Count(page, "<script"), Count(page, "</script"), Count(page, "</title>")));
        Assert.DoesNotContain("evil()<", page, StringComparison.Ordinal);
        Assert.DoesNotContain("<b>", page, StringComparison.Ordinal);
        Assert.DoesNotContain("{{", page, StringComparison.Ordinal);
        Assert.DoesNotContain("onerror", page, StringComparison.Ordinal);

        // Nothing is fetched, and no script runs but the page's own.
        Assert.DoesNotContain(Regex.Matches(page, @"//[\w.]+\.\w+").Select(m => m.Value), address => address != "//www.w3.org");
        string script = Regex.Match(page, "<script>(.*?)</script>", RegexOptions.Singleline).Groups[1].Value;
        Assert.Contains($"script-src 'sha256-{Convert.ToBase64String(SHA256.HashData(Encoding.UTF8.GetBytes(script)))}'", page, StringComparison.Ordinal);
        Assert.DoesNotContain("innerHTML", script, StringComparison.Ordinal);
        Assert.Contains("</script>{{style}}", Data(page).GetProperty("about").GetProperty("foot").GetString(), StringComparison.Ordinal);
    }

    [Fact]
    public void A_page_of_2048_latents_is_below_five_megabytes()
    {
        LatentDashboard dashboard = LatentBed.Dashboard(2048, 16, windows: 400, context: 64, options: new());
        Assert.True(Enumerable.Range(0, 2048).Average(i => dashboard[i].Top.Count + dashboard[i].Sampled.Count) > 25);
        Assert.InRange(Encoding.UTF8.GetByteCount(LatentPage.Render(dashboard)), 500_000, 5_000_000);
    }

    [Fact]
    public void A_page_that_cannot_be_written_leaves_what_was_there()
    {
        string folder = Notes.Folder(), old = Path.Combine(folder, "page.html");
        File.WriteAllText(old, "old");
        Assert.Contains("page.html' cannot be written", Assert.Throws<IOException>(() => LatentPage.Write(Path.Combine(old, "page.html"), s_dashboard.Value)).Message, StringComparison.Ordinal);
        Directory.CreateDirectory(Path.Combine(folder, "taken"));
        Assert.Contains("taken' cannot be written", Assert.Throws<IOException>(() => LatentPage.Write(Path.Combine(folder, "taken"), s_dashboard.Value)).Message, StringComparison.Ordinal);
        using var stop = new CancellationTokenSource();
        Assert.Throws<OperationCanceledException>(() => LatentPage.Write(old, s_dashboard.Value, progress: new Stop(stop), cancel: stop.Token));
        Assert.Equal("old", File.ReadAllText(old));
        Assert.Equal(["page.html", "taken"], Directory.GetFileSystemEntries(folder).Select(Path.GetFileName).Order());

        string below = Path.Combine(folder, "new", "page.html");
        long bytes = LatentPage.Write(below, s_dashboard.Value);
        Assert.Equal((bytes, LatentPage.Render(s_dashboard.Value)), (new FileInfo(below).Length, File.ReadAllText(below)));
        Directory.Delete(folder, recursive: true);
    }

    [Fact]
    public void Page_and_card_know_the_same_unseen_characters()
    {
        string script = Regex.Match(LatentPage.Render(s_dashboard.Value), @"HIDDEN = /(.*?)/g;").Groups[1].Value;
        Assert.Equal(VisibleText.HiddenPattern, script);
    }

    private static JsonElement Data(string page)
    {
        byte[] packed = Convert.FromBase64String(Regex.Match(page, "id=\"data\">([^<]*)</script>").Groups[1].Value);
        using var gzip = new GZipStream(new MemoryStream(packed), CompressionMode.Decompress);
        return JsonDocument.Parse(gzip).RootElement;
    }

    private static string Words(IReadOnlyList<TokenPart> parts) => string.Join('|', parts.Select(p => $"{(int)p.Kind}{p.Text}"));

    private static string Words(JsonElement parts) => string.Join('|', parts.EnumerateArray().Select(p => $"{p[0].GetInt32()}{p[1].GetString()}"));

    private static int[] Ints(JsonElement array) => [.. array.EnumerateArray().Select(n => n.GetInt32())];

    private static int Count(string text, string part) => text.Split(part).Length - 1;

    private static void Near(double wanted, double found) => Assert.True(wanted.Equals(found) || Math.Abs(wanted - found) <= 6e-4 * Math.Abs(wanted), $"{found} for {wanted}");

    private sealed class Stop(CancellationTokenSource source) : IProgress<ProgressReport>
    {
        public void Report(ProgressReport value) => source.Cancel();
    }
}
