using System.CommandLine;
using System.Text.Json.Nodes;
using Sparseland.Autoencoders;
using Sparseland.Kernel.Autoencoders;
using Sparseland.Kernel.Notebooks;
using Sparseland.Kernel.Texts;
using Sparseland.Models.Language;

namespace Sparseland.Kernel.Commands;

/// <summary>The command <c>sparseland sae eval</c>.</summary>
internal static class SaeEvalCommand
{
    private const long UsualTokens = 40_960;

    /// <summary>Makes the command.</summary>
    public static Command Create()
    {
        Argument<string> folder = SaeOptions.Folder();
        Option<string> model = SaeOptions.Model();
        Option<string?> site = SaeOptions.Site();
        Option<double?> scale = SaeOptions.ActivationScale();
        Option<DecoderNorms> norms = SaeOptions.Norms();
        var tokens = SaeOptions.Tokens("--tokens", "Held-out tokens to measure on. [default: 40960]");
        var json = new Option<string?>("--json") { Description = "File for the figures as JSON." };
        Option<string?> text = SaeOptions.Text(), docs = Shared.Docs();
        Option<int?> skip = SaeOptions.SkipFirstAsTrained();
        Option<double?> ratio = SaeOptions.MaxNormRatio();
        Option<bool> pooled = SaeOptions.Pooled();
        Option<int?> context = SaeOptions.Context(), threads = Shared.Threads();
        var command = new Command("eval", "Measure a sparse autoencoder on held-out text.") { folder, model, site, text, docs, tokens, scale, norms, skip, ratio, pooled, context, json, threads };
        command.SetAction((parsed, cancel) => Guard.RunAsync("sae eval", () =>
        {
            Shared.UseThreads(parsed.GetValue(threads));
            if (parsed.GetValue(json) is { } file) AtomicFile.CheckFile(file, "--json");
            using SavedAutoencoder saved = AutoencoderFolder.Read(parsed.GetValue(folder)!, new() { ActivationScale = parsed.GetValue(scale), Norms = parsed.GetValue(norms) });
            using HostModel host = HostModel.Load(parsed.GetValue(model)!, cancel);
            ActivationSite place = host.SiteOf(saved, parsed.GetValue(site) is { } named ? host.Site(named) : null);

            // What the training did is done again unless something else is asked for: figures are comparable on the same windows only.
            AutoencoderFigures made = saved.Origin.Figures ?? new();
            var reading = new Reading(
                place, parsed.GetValue(context) ?? made.Context, parsed.GetValue(skip) ?? made.SkipFirst ?? 0, parsed.GetValue(ratio) ?? made.MaxNormRatio, parsed.GetValue(pooled) || made.Pooled == true);
            reading.Check(host, gradients: false);
            return Task.FromResult(Evaluate(saved, host, reading, HostText.Load(parsed.GetValue(text), parsed.GetValue(docs), cancel), parsed.GetValue(tokens) ?? UsualTokens, parsed.GetValue(json), cancel));
        }));
        return command;
    }

    private static int Evaluate(SavedAutoencoder saved, HostModel model, Reading reading, HostText text, long tokens, string? json, CancellationToken cancel)
    {
        Console.WriteLine(SaeOptions.What(saved, reading, model));
        foreach (string remark in SaeOptions.Differences(saved, reading, model).Concat(saved.Remarks)) Console.WriteLine($"  {remark}");
        TokenText? heldOut = model.Decoder is null ? null : reading.Text(model, text, text.HeldOut, tokens, cancel);
        IActivationSource source = heldOut is null ? reading.Source(model, text.HeldOut, tokens, Console.WriteLine, cancel) : reading.Source(model, heldOut, gradients: false, Console.WriteLine, cancel);
        Console.WriteLine($"  {text.Description}: {source.Description}");
        Measures measures = Measures.Of(saved.Autoencoder, model, reading, source, heldOut, Console.WriteLine, cancel);
        Console.WriteLine();
        foreach (string line in measures.Lines()) Console.WriteLine(line);
        IReadOnlyList<string> hints = MismatchHints.Of(saved.Autoencoder, model, reading, heldOut, measures.Reconstruction.Fvu, cancel);
        if (hints.Count > 0) Console.WriteLine();
        foreach (string hint in hints) Console.WriteLine($"hint: {hint}");
        if (json is not null)
        {
            AtomicFile.Write(json, new JsonObject
            {
                ["model"] = model.Name, ["site"] = HookNames.Short(reading.Site), ["text"] = text.Description, ["source"] = source.Description, ["latents"] = saved.Autoencoder.Latents,
                ["rule"] = saved.Autoencoder.Rule.Description, ["figures"] = measures.ToJson(), ["remarks"] = new JsonArray([.. saved.Remarks.Select(r => (JsonNode)r)]),
                ["hints"] = new JsonArray([.. hints.Select(h => (JsonNode)h)]),
            }.ToJsonString(new() { WriteIndented = true }) + "\n");
        }

        return Guard.Good;
    }
}
