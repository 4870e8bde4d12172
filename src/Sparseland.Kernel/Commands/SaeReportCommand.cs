using System.CommandLine;
using System.Globalization;
using Sparseland.Autoencoders;
using Sparseland.Autoencoders.Dashboards;
using Sparseland.Kernel.Autoencoders;
using Sparseland.Kernel.Notebooks;
using Sparseland.Kernel.Texts;
using Sparseland.Models.Language;
using Sparseland.Notebooks.Dashboards;

namespace Sparseland.Kernel.Commands;

/// <summary>The command <c>sparseland sae report</c>.</summary>
internal static class SaeReportCommand
{
    private const long UsualTokens = 100_000, UsualBytes = 5_000_000;

    // Each costs a run of the model, so that of many the page would wait longest for them.
    private const int MostRemovals = 4096;

    /// <summary>Makes the command.</summary>
    public static Command Create()
    {
        Argument<string> folder = SaeOptions.Folder();
        Option<string> model = SaeOptions.Model();
        Option<string?> site = SaeOptions.Site();
        Option<double?> scale = SaeOptions.ActivationScale();
        Option<DecoderNorms> norms = SaeOptions.Norms();
        LatentDashboardOptions plain = new();
        var output = new Option<string>("--out") { Description = "File for the page.", DefaultValueFactory = _ => "latents.html" };
        Option<long?> tokens = SaeOptions.Tokens("--tokens", "Held-out tokens to read, such as 400k. [default: 100k]");
        var top = new Option<int>("--top") { Description = "Strongest examples of each latent.", DefaultValueFactory = _ => plain.Top };
        var tenths = new Option<int>("--per-decile") { Description = "Sampled examples of each tenth of a latent's values.", DefaultValueFactory = _ => plain.PerDecile };
        var removals = new Option<int?>("--removals") { Description = "Strongest examples of each latent on which it is taken out of the model, a run of the model each; 0 for none. Decoders only. [default: 1 up to 4,096 latents, else 0]" };
        var seed = new Option<long>("--seed") { Description = "Seed of the samples.", DefaultValueFactory = _ => plain.Seed };
        Option<string?> text = SaeOptions.Text(), docs = Shared.Docs();
        Option<int?> skip = SaeOptions.SkipFirstAsTrained();
        Option<int?> context = SaeOptions.Context(), threads = Shared.Threads();
        var command = new Command("report", "Write a page on which one reads what each latent of a sparse autoencoder means: one HTML file that needs no network.")
        {
            folder, model, output, site, text, docs, tokens, top, tenths, removals, skip, context, seed, scale, norms, threads,
        };
        command.SetAction((parsed, cancel) => Guard.RunAsync("sae report", () =>
        {
            Shared.UseThreads(parsed.GetValue(threads));
            string path = parsed.GetValue(output)!;
            AtomicFile.CheckFile(path, "--out");
            using SavedAutoencoder saved = AutoencoderFolder.Read(parsed.GetValue(folder)!, new() { ActivationScale = parsed.GetValue(scale), Norms = parsed.GetValue(norms) });
            using HostModel host = HostModel.Load(parsed.GetValue(model)!, cancel);
            ActivationSite place = host.SiteOf(saved, parsed.GetValue(site) is { } named ? host.Site(named) : null);

            // As in the training unless something else is asked for: the page then says the same as sae eval.
            AutoencoderFigures made = saved.Origin.Figures ?? new();
            var reading = new Reading(place, parsed.GetValue(context) ?? made.Context, parsed.GetValue(skip) ?? made.SkipFirst ?? 0, null, false);
            reading.Check(host, gradients: false);
            HostText held = HostText.Load(parsed.GetValue(text), parsed.GetValue(docs), cancel);
            var options = new LatentDashboardOptions { Top = parsed.GetValue(top), PerDecile = parsed.GetValue(tenths), RemovalExamples = parsed.GetValue(removals) ?? (host.Decoder is null || saved.Autoencoder.Latents > MostRemovals ? 0 : 1), Seed = parsed.GetValue(seed) };
            string name = Path.GetFileName(Path.TrimEndingDirectorySeparator(Path.GetFullPath(parsed.GetValue(folder)!)));
            return Task.FromResult(Report(saved, name, host, reading, held, parsed.GetValue(tokens) ?? UsualTokens, options, path, cancel));
        }));
        return command;
    }

    private static int Report(SavedAutoencoder saved, string name, HostModel host, Reading reading, HostText text, long tokens, LatentDashboardOptions options, string path, CancellationToken cancel)
    {
        Console.WriteLine(SaeOptions.What(saved, reading, host));
        foreach (string remark in SaeOptions.Differences(saved, reading, host).Concat(saved.Remarks)) Console.WriteLine($"  {remark}");
        if (saved.Origin.Figures is { Pooled: true }) Console.WriteLine("  it was trained on the means of texts; the page shows it on single tokens, which it has not seen");
        if (saved.Origin.Figures is { MaxNormRatio: { } ratio })
            Console.WriteLine(string.Create(CultureInfo.InvariantCulture, $"  its training left out tokens of norm above {ratio:G4} medians; the page has all, so FVU and L0 are not those of sae eval"));
        using SparseAutoencoder? frozen = saved.Autoencoder.Rule.ChoosesAcrossBatch ? saved.Autoencoder.Freeze() : null;
        LatentDashboard dashboard = Measure(frozen ?? saved.Autoencoder, host, reading, text, tokens, options, new ProgressLines("part", Console.WriteLine), cancel);
        long bytes = LatentPage.Write(path, dashboard, new() { Model = host.Name, Autoencoder = name, Text = text.Description }, cancel: cancel);
        Console.WriteLine(string.Create(
            CultureInfo.InvariantCulture,
            $"{dashboard.Density.Tokens:N0} tokens: FVU {dashboard.Reconstruction.Fvu:F4}, L0 {dashboard.Reconstruction.L0:F2}, {dashboard.Density.Dead} of {dashboard.Latents} latents dead; {path} has {bytes / 1e6:F1} MB"));
        if (bytes > UsualBytes) Console.WriteLine("  fewer examples make a smaller page: --top, --per-decile");
        return Guard.Good;
    }

    private static LatentDashboard Measure(
        SparseAutoencoder autoencoder, HostModel host, Reading reading, HostText text, long tokens, LatentDashboardOptions options, IProgress<ProgressReport> progress, CancellationToken cancel)
    {
        if (host.Decoder is { } decoder)
        {
            TokenText heldOut = reading.Text(host, text, text.HeldOut, tokens, cancel);
            return LatentDashboard.Of(decoder, host.Tokenizer!, autoencoder, reading.Site, heldOut, options with { Length = reading.Length(host), SkipFirst = reading.SkipFirst }, progress, cancel);
        }

        IReadOnlyList<string> texts = HostText.Enough(text.HeldOut, host.Encoder!, tokens, cancel);
        var states = new EncoderActivations(host.Encoder!, reading.Site, texts, new() { TokensPerWindow = reading.Length(host) }, cancel);
        return LatentDashboard.Of(host.Encoder!.Tokenizer, autoencoder, states, options, progress, cancel);
    }
}
