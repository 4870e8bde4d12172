using System.Text.Json.Nodes;
using Sparseland.IO;
using Sparseland.Models.Language;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Autoencoders;

/// <summary>
/// Folders of SAELens: cfg.json and sae_weights.safetensors, with W_enc [d, M], W_dec [M, d], b_enc [M], b_dec [d], and threshold, b_gate, r_mag and b_mag [M]
/// where the architecture has them. Version 6 and the flat configs before it are read; version 6 is written.
/// </summary>
public static class SaeLensFolder
{
    internal const string Weights = "sae_weights.safetensors";

    // The first folders of version 6 have the metadata under another name.
    private const string Scaler = "activation_scaler.json", FiguresKey = "sparseland", EarlyMetadata = "meta", Known = "standard, topk, jumprelu and gated";

    // Keys of a training or of the kit's own bookkeeping that change nothing of the function: read by nobody and kept.
    private static readonly string[] s_harmless =
    [
        "dtype", "device", "metadata", "sae_lens_training_version", "sae_lens_version", "model_name", "hook_name", "hook_point", "hook_layer", "hook_point_layer", "context_size", "prepend_bos",
        "dataset_path", "dataset_trust_remote_code", "activation_fn_kwargs", "model_from_pretrained_kwargs", "hook_head_index", "hook_point_head_index", "seqpos_slice", "neuronpedia_id", "l1_coefficient", "lp_norm", "lr", "seed", "training_tokens",
    ];

    private static readonly (string Name, TokenScaling Scaling)[] s_tokenScalings = [("none", TokenScaling.None), ("constant_norm_rescale", TokenScaling.ConstantNorm), ("layer_norm", TokenScaling.LayerNorm)];

    /// <summary>Reads a folder.</summary>
    /// <param name="folder">The folder.</param>
    /// <param name="activationScale">
    /// s, what activations are multiplied with first, where the config says "expected_average_only_in"; folded into the weights. Null, the default, for
    /// the scaling_factor of an activation_scaler.json in the folder, which checkpoints of a training have.
    /// </param>
    /// <returns>A new autoencoder. A learned threshold becomes a <see cref="ThresholdRule"/>, which keeps its numbers as they are.</returns>
    /// <exception cref="FileNotFoundException">There is no cfg.json or no weights; the message lists folders below that have a config.</exception>
    /// <exception cref="InvalidDataException">A key has a value that is not known, or a tensor is missing, of another shape, or not finite; the message names it.</exception>
    public static SavedAutoencoder Read(string folder, double? activationScale = null)
    {
        FolderConfig config = FolderConfig.Read(folder);
        int width = config.Size("d_in"), latents = config.Size("d_sae");
        string architecture = Architecture(config);
        int k = architecture == "topk" ? TopK(config, latents) : 0;
        bool centred = config.Flag("apply_b_dec_to_input", absent: true), rescaled = config.Flag("rescale_acts_by_decoder_norm", absent: false);
        Refuse(config, "reshape_activations", "none", "hook_z");
        var remarks = new List<string>();
        (double scale, TokenScaling tokens) = Scale(config, folder, activationScale, remarks);
        string path = Path.Combine(folder, Weights);
        if (!File.Exists(path)) throw new FileNotFoundException($"'{folder}' has a cfg.json, but no {Weights}.", path);
        using SafeTensorsFile file = SafeTensors.Open(path);
        using DisposeScope scope = NewDisposeScope();
        using IDisposable off = no_grad();
        var used = new HashSet<string>(StringComparer.Ordinal);
        Tensor Take(string name, params long[] shape)
        {
            used.Add(name);
            return FolderConfig.Weight(file, name, shape, remarks);
        }

        Tensor encoder = Take("W_enc", width, latents).t().contiguous(), decoder = Take("W_dec", latents, width), bias = Take("b_dec", width);
        Tensor encoderBias = Take(architecture == "gated" ? "b_gate" : "b_enc", latents);
        CodeRule rule = architecture switch
        {
            "standard" => new ReluRule(),
            "topk" => new TopKRule(k),
            "jumprelu" => new ThresholdRule([.. NotNegative(Take("threshold", latents), remarks).to(ScalarType.Float64).data<double>()]),
            _ => Gated(Take("r_mag", latents), Take("b_mag", latents)),
        };
        FineTuned(config, file, used, latents);
        foreach (string other in file.Names.Where(name => !used.Contains(name))) remarks.Add($"the tensor '{other}' is not known and was not used");
        if (rescaled && architecture == "topk")
        {
            // Chosen by z ||W_d||, decoded by z: with the norms in the encoder both are one.
            Tensor norms = SparseAutoencoder.RowNorms(decoder).clamp_min(1e-30).to(decoder.dtype);
            (encoder, encoderBias, decoder) = (encoder * norms.unsqueeze(1), encoderBias * norms, decoder / norms.unsqueeze(1));
            remarks.Add("norms of the decoder were folded into the encoder, by which latents are chosen; codes are multiplied with them");
        }

        var autoencoder = new SparseAutoencoder(decoder.DetachFromDisposeScope(), encoder.DetachFromDisposeScope(), encoderBias.DetachFromDisposeScope(), bias.DetachFromDisposeScope(), rule, centred, scale) { TokenScaling = tokens };
        autoencoder.FoldScaling();
        return new(autoencoder, Origin(config, remarks), remarks);
    }

    /// <summary>
    /// Writes a folder that SAELens reads. The scaling is folded into the weights. Rules that choose across a batch are written as their thresholds
    /// (architecture "jumprelu"); the autoencoder itself stays as it is.
    /// </summary>
    /// <param name="folder">The folder; made where it is missing.</param>
    /// <param name="autoencoder">The autoencoder, of Float32.</param>
    /// <param name="origin">Where it belongs; null, the default, for nothing said.</param>
    /// <exception cref="ArgumentException">The autoencoder is not of Float32, or its rule has no form there.</exception>
    /// <exception cref="InvalidOperationException">A rule that chooses across a batch has no threshold yet.</exception>
    public static void Write(string folder, SparseAutoencoder autoencoder, AutoencoderOrigin? origin = null)
    {
        ArgumentException.ThrowIfNullOrWhiteSpace(folder);
        ArgumentNullException.ThrowIfNull(autoencoder);
        if (autoencoder.Encoder.dtype != ScalarType.Float32) throw new ArgumentException($"The autoencoder is {autoencoder.Encoder.dtype}; folders hold Float32.", nameof(autoencoder));
        using DisposeScope scope = NewDisposeScope();
        using IDisposable off = no_grad();
        SparseAutoencoder frozen = autoencoder.Freeze();
        try
        {
            double s = autoencoder.Scaling.Factor;
            var tensors = new Dictionary<string, Tensor>
            {
                ["W_enc"] = (frozen.Encoder * s).t().contiguous(), ["W_dec"] = frozen.Decoder / s, ["b_dec"] = frozen.DecoderBias / s, [frozen.Rule is GatedRule ? "b_gate" : "b_enc"] = frozen.EncoderBias,
            };
            var config = new JsonObject();
            foreach ((string key, JsonNode? value) in origin?.Unused ?? []) config[key] = value?.DeepClone();
            config["architecture"] = Architecture(frozen.Rule, tensors, config);
            (config["d_in"], config["d_sae"], config["dtype"], config["device"]) = (autoencoder.Width, autoencoder.Latents, "float32", "cpu");
            (config["apply_b_dec_to_input"], config["normalize_activations"], config["reshape_activations"]) = (autoencoder.CentreInput, s_tokenScalings.First(pair => pair.Scaling == autoencoder.TokenScaling).Name, Reshaping(origin));
            JsonObject metadata = config["metadata"] as JsonObject ?? [];
            config["metadata"] = metadata;
            if (origin?.Model is { } model) metadata["model_name"] = model;
            if ((origin?.Hook ?? (origin?.Site is { } site ? HookNames.Of(site) : null)) is { } hook) metadata["hook_name"] = hook;
            AutoencoderFigures figures = origin?.Figures ?? new();
            metadata[FiguresKey] = (figures with { Rule = figures.Rule ?? autoencoder.Rule.Description, FoldedScaling = (figures.FoldedScaling ?? 1) * s, Site = figures.Site ?? origin?.Site }).ToJson();
            Directory.CreateDirectory(folder);
            using ReplacedFile weights = SafeTensors.Begin(Path.Combine(folder, Weights), tensors), settings = FolderConfig.Begin(folder, FolderConfig.FileName, config);
            weights.Commit();
            settings.Commit();
        }
        finally
        {
            if (!ReferenceEquals(frozen, autoencoder)) frozen.Dispose();
        }
    }

    private static string Architecture(FolderConfig config)
    {
        string architecture = config.Text("architecture") ?? "standard";
        string? function = config.Text("activation_fn") ?? config.Text("activation_fn_str");
        if (function == "topk") return "topk";
        if (function is not (null or "relu")) throw config.Refused("activation_fn", function, "relu and topk");
        return architecture is "standard" or "topk" or "jumprelu" or "gated" ? architecture : throw config.Refused("architecture", architecture, Known);
    }

    // Outputs of heads stand apart there, and the kit puts them side by side only where it is told to.
    private static string Reshaping(AutoencoderOrigin? origin) =>
        (origin?.Site ?? (origin?.Hook is { } hook ? HookNames.Parse(hook) : null))?.Activation == Activation.HeadOutputs ? "hook_z" : "none";

    private static string Architecture(CodeRule rule, Dictionary<string, Tensor> tensors, JsonObject config)
    {
        switch (rule)
        {
            case ReluRule:
                return "standard";
            case TopKRule topK:
                (config["k"], config["rescale_acts_by_decoder_norm"]) = (topK.K, false);
                return "topk";
            case ThresholdRule or JumpReluRule:
                tensors["threshold"] = rule.AtInference()!.to(ScalarType.Float32);
                return "jumprelu";
            case GatedRule gated:
                (tensors["r_mag"], tensors["b_mag"]) = (gated.LogScale, gated.MagnitudeBias);
                return "gated";
            default:
                throw new ArgumentException($"The rule {rule.Architecture} has no form in SAELens, which knows {Known}.", nameof(rule));
        }
    }

    // Values there are relu(z) where z is above the threshold, so that one below zero does what zero does.
    private static Tensor NotNegative(Tensor thresholds, List<string> remarks)
    {
        long below = thresholds.lt(0).sum().item<long>();
        if (below > 0) remarks.Add($"{below} thresholds are below zero; they were read as zero, which gives the same codes");
        return thresholds.clamp_min(0);
    }

    private static int TopK(FolderConfig config, int latents)
    {
        int k = config.Integer("k") ?? config.Within("activation_fn_kwargs").Integer("k") ?? throw config.Refused("k", "missing", "a number of latents for the architecture topk");
        return k >= 1 && k <= latents ? k : throw config.Refused("k", k, $"1 to the {latents} latents");
    }

    private static (double Constant, TokenScaling Tokens) Scale(FolderConfig config, string folder, double? given, List<string> remarks)
    {
        string normalisation = config.TextOrFlag("normalize_activations") ?? "none";
        switch (normalisation)
        {
            case "none" or "false" or "constant_norm_rescale" or "layer_norm":
                if (given is not null) throw new ArgumentException($"The config says normalize_activations '{normalisation}', so there is no factor to give.", "activationScale");
                TokenScaling tokens = s_tokenScalings.FirstOrDefault(pair => pair.Name == normalisation).Scaling;
                if (tokens != TokenScaling.None) remarks.Add($"each token is scaled by itself before it is coded ({normalisation}), and its reconstruction put back");
                return (1, tokens);
            case "expected_average_only_in" or "true":
                if (given is { } stated && !(stated > 0 && double.IsFinite(stated))) throw new ArgumentOutOfRangeException("activationScale", given, "activationScale must be positive and finite.");
                double scale = given ?? ScaleBeside(folder)
                    ?? throw new ArgumentException($"The config says normalize_activations 'expected_average_only_in', whose factor sqrt(d)/mean norm is not in the folder: give activationScale (scaling_factor of a checkpoint's {Scaler}, or ActivationScaling.FactorOf some activations).", "activationScale");
                remarks.Add(FormattableString.Invariant($"activations are multiplied with {scale:G6} ({(given is null ? $"scaling_factor of {Scaler}" : "as given")}); it was folded into the weights"));
                return (scale, TokenScaling.None);
            default:
                throw config.Refused("normalize_activations", normalisation, "none, expected_average_only_in, constant_norm_rescale and layer_norm");
        }
    }

    /// <summary>The factor that a checkpoint of a training keeps beside its config; null where there is none.</summary>
    private static double? ScaleBeside(string folder)
    {
        if (!File.Exists(Path.Combine(folder, Scaler))) return null;
        double? factor = FolderConfig.Read(folder, Scaler).Number("scaling_factor");
        return factor is null or > 0 ? factor : throw new InvalidDataException(FormattableString.Invariant($"{Path.Combine(folder, Scaler)}: scaling_factor is {factor}; it must be positive."));
    }

    private static void Refuse(FolderConfig config, string name, params string[] known)
    {
        if (config.Text(name) is { } value && !known.Contains(value)) throw config.Refused(name, value, string.Join(" and ", known));
    }

    private static GatedRule Gated(Tensor logScale, Tensor bias)
    {
        var rule = new GatedRule((int)logScale.shape[0]);
        rule.LogScale.copy_(logScale);
        rule.MagnitudeBias.copy_(bias);
        return rule;
    }

    // Values are multiplied with it after the code where a config says so; ones change nothing.
    private static void FineTuned(FolderConfig config, SafeTensorsFile file, HashSet<string> used, int latents)
    {
        bool asked = config.Flag("finetuning_scaling_factor", absent: false);
        if (!file.Names.Contains("scaling_factor")) return;
        used.Add("scaling_factor");
        using Tensor factor = FolderConfig.Weight(file, "scaling_factor", [latents], []);
        if (!((factor - 1).abs().max().item<float>() <= 1e-5f))
            throw new InvalidDataException($"{file.Path}: 'scaling_factor' is not all ones{(asked ? " and used (finetuning_scaling_factor)" : "")}; folders with such factors are not read.");
    }

    private static bool Centred(FolderConfig config) => config.Within("model_from_pretrained_kwargs").Flag("center_writing_weights", absent: false);

    private static AutoencoderOrigin Origin(FolderConfig config, List<string> remarks)
    {
        FolderConfig metadata = config.Within(config.Has("metadata") ? "metadata" : EarlyMetadata);
        string? hook = metadata.Text("hook_name") ?? config.Text("hook_name") ?? config.Text("hook_point");
        if ((metadata.Peek(c => c.Integer("hook_head_index")) ?? config.Peek(c => c.Integer("hook_head_index") ?? c.Integer("hook_point_head_index"))) is { } head) remarks.Add($"it was trained on head {head} alone");
        if (hook is not null && HookNames.Parse(hook) is null) remarks.Add($"the place '{hook}' is none of ours");
        if (metadata.Peek(Centred) || config.Peek(Centred))
            remarks.Add("it was trained on a model whose writing weights were centred: subtract the mean over d from the residual stream first");
        JsonObject unused = config.Unused();
        string[] unknown = [.. unused.Select(pair => pair.Key).Where(key => !s_harmless.Contains(key))];
        if (unknown.Length > 0) remarks.Add($"keys of the config that are not known were kept and not used: {string.Join(", ", unknown)}");
        AutoencoderFigures? figures = AutoencoderFigures.Read(metadata, FiguresKey);
        JsonObject rest = metadata.Unused();
        if (rest.Count > 0) unused["metadata"] = rest;
        return new() { Model = metadata.Text("model_name") ?? config.Text("model_name"), Hook = hook, Site = hook is null ? figures?.Site : HookNames.Parse(hook), Figures = figures, Unused = unused.Count > 0 ? unused : null };
    }
}
