using System.Text.Json.Nodes;
using Sparseland.Autoencoders;
using Sparseland.Autoencoders.Metrics;
using Sparseland.Models.Language;

namespace Sparseland.Kernel.Autoencoders;

/// <summary>A figure of an autoencoder.</summary>
/// <param name="Key">Its name in a file.</param>
/// <param name="Name">Its name for readers.</param>
/// <param name="Value">The figure.</param>
/// <param name="Spread">Standard error, or where the figure is a mean over latents their deviation; NaN for none.</param>
/// <param name="On">On how much it was measured.</param>
internal sealed record Measure(string Key, string Name, double Value, double Spread, string On)
{
    /// <summary>Value and spread.</summary>
    public string Text => double.IsNaN(Spread) ? FormattableString.Invariant($"{Value:G4}") : FormattableString.Invariant($"{Value:G4} +- {Spread:G2}");
}

/// <summary>All figures of an autoencoder on a text.</summary>
/// <param name="Reconstruction">How well it rebuilds.</param>
/// <param name="Density">How often its latents are active.</param>
/// <param name="Similarity">How alike its directions are.</param>
/// <param name="Faithfulness">What the model loses by it; null for encoders.</param>
internal sealed record Measures(ReconstructionReport Reconstruction, LatentDensity Density, DecoderSimilarity Similarity, DownstreamFaithfulness? Faithfulness)
{
    /// <summary>Measures an autoencoder in inference form.</summary>
    /// <param name="autoencoder">The autoencoder.</param>
    /// <param name="model">Its model.</param>
    /// <param name="reading">How activations are read.</param>
    /// <param name="source">The activations.</param>
    /// <param name="text">The text of a decoder; null for encoders.</param>
    /// <param name="say">Writes progress.</param>
    /// <param name="cancel">Stops the call.</param>
    public static Measures Of(SparseAutoencoder autoencoder, HostModel model, Reading reading, IActivationSource source, TokenText? text, Action<string> say, CancellationToken cancel)
    {
        var lines = new Commands.ProgressLines("window", say);
        var reconstruction = ReconstructionReport.Of(autoencoder, source, lines, cancel);
        var density = LatentDensity.Of(autoencoder, source, lines, cancel);
        var similarity = DecoderSimilarity.Of(autoencoder, density, cancel: cancel);
        DownstreamFaithfulness? faithfulness = text is null
            ? null : DownstreamFaithfulness.Of(model.Decoder!, reading.Site, autoencoder, text, new() { Length = reading.Length(model), SkipFirst = reading.SkipFirst }, lines, cancel);
        return new(reconstruction, density, similarity, faithfulness);
    }

    /// <summary>The figures one by one.</summary>
    public IEnumerable<Measure> Each()
    {
        ReconstructionReport r = Reconstruction;
        string tokens = FormattableString.Invariant($"{r.Tokens:N0} tokens in {r.Windows:N0} windows"), latents = FormattableString.Invariant($"{Density.Active.Length:N0} latents on {Density.Tokens:N0} tokens");
        yield return new("fvu", "FVU", r.Fvu, r.FvuError, tokens);
        yield return new("l0", "L0", r.L0, r.L0Error, tokens);
        if (Faithfulness is { } f)
        {
            string counted = FormattableString.Invariant($"{f.Tokens:N0} tokens in {f.Windows:N0} windows");
            foreach ((string key, string name, WindowEstimate value) in new[]
            {
                ("cross_entropy_increase", "cross-entropy lost", f.CrossEntropyIncrease), ("kl", "KL(clean || spliced)", f.KullbackLeibler), ("recovered_zero", "loss recovered of zeros", f.RecoveredOfZeros),
                ("recovered_mean", "loss recovered of mean", f.RecoveredOfMean), ("cross_entropy", "cross-entropy of the model", f.CleanCrossEntropy), ("cross_entropy_spliced", "... spliced", f.SplicedCrossEntropy),
                ("cross_entropy_zero", "... with zeros", f.ZeroCrossEntropy), ("cross_entropy_mean", "... with the mean", f.MeanCrossEntropy),
            })
                yield return new(key, name, value.Value, value.StandardError, counted);
        }

        yield return new("dead_share", "dead latents (never active)", Density.DeadShare, double.NaN, latents);
        yield return new("dense_share", "dense latents (above 10 %)", Density.DenseShare, double.NaN, latents);
        yield return new("rare_share", "rare latents (below 1e-4)", Density.RareShare, double.NaN, latents);
        yield return new("decoder_similarity", "cosine to the nearest decoder row, by firing", Similarity.FiringWeighted, Similarity.FiringWeightedDeviation, FormattableString.Invariant($"{Similarity.Alive:N0} latents alive"));
        double mean = Similarity.EncoderDecoder.Average();
        double deviation = Math.Sqrt(Similarity.EncoderDecoder.Average(c => (c - mean) * (c - mean)));
        yield return new("encoder_decoder", "cosine of encoder and decoder row", mean, deviation, FormattableString.Invariant($"{Similarity.EncoderDecoder.Length:N0} latents"));
    }

    /// <summary>The figures as lines of a table for a console.</summary>
    public IEnumerable<string> Lines()
    {
        Measure[] all = [.. Each()];
        int name = all.Max(m => m.Name.Length), value = all.Max(m => m.Text.Length);
        return all.Select(m => $"{m.Name.PadRight(name)}  {m.Text.PadRight(value)}  {m.On}");
    }

    /// <summary>The figures as JSON; what is not finite is null.</summary>
    public JsonObject ToJson()
    {
        static JsonNode? Finite(double value) => double.IsFinite(value) ? value : null;
        var json = new JsonObject();
        foreach (Measure m in Each()) json[m.Key] = new JsonObject { ["value"] = Finite(m.Value), ["spread"] = Finite(m.Spread), ["on"] = m.On };
        return json;
    }

    /// <summary>What a folder keeps of them.</summary>
    public AutoencoderFigures Figures() => new()
    {
        HeldOutTokens = Reconstruction.Tokens, L0 = Reconstruction.L0, Fvu = Reconstruction.Fvu, DeadShare = Density.DeadShare,
        CrossEntropyIncrease = Faithfulness?.CrossEntropyIncrease.Value, KullbackLeibler = Faithfulness?.KullbackLeibler.Value,
    };
}
