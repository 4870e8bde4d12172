using System.Text.Json.Nodes;
using Sparseland.IO;
using Sparseland.Models.Language;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Autoencoders;

/// <summary>
/// Folders of sparsify: one per place ("layers.3", "layers.3.mlp"), with cfg.json and sae.safetensors: encoder.weight [M, d], encoder.bias [M], W_dec [M, d], b_dec [d]. Codes are
/// the k largest of the positive pre-activations, or ("groupmax") the largest of each of k groups. "layers.N" is the output of block N.
/// </summary>
public static class SparsifyFolder
{
    internal const string Weights = "sae.safetensors";
    private const string FiguresKey = "sparseland";

    /// <summary>Reads a folder.</summary>
    /// <param name="folder">The folder of one place.</param>
    /// <exception cref="FileNotFoundException">There is no cfg.json or no weights; the message lists folders below that have a config.</exception>
    /// <exception cref="InvalidDataException">A key has a value that is not known, or a tensor is missing, of another shape, or not finite; the message names it.</exception>
    public static SavedAutoencoder Read(string folder)
    {
        FolderConfig config = FolderConfig.Read(folder);
        int width = config.Size("d_in"), k = config.Size("k");
        int latents = config.Integer("num_latents") switch
        {
            null or 0 => Expanded(config, width),
            < 0 and var stated => throw config.Refused("num_latents", stated, "a positive number, or 0 for the width times expansion_factor"),
            { } stated => stated,
        };
        _ = config.Integer("expansion_factor");
        string activation = config.Text("activation") ?? "topk";
        if (activation is not ("topk" or "groupmax")) throw config.Refused("activation", activation, "topk and groupmax");
        foreach (string other in (string[])["transcode", "skip_connection"])
        {
            if (config.Flag(other, absent: false)) throw config.Refused(other, "true", "false: an autoencoder of one place, which rebuilds its own input");
        }

        if (k > latents) throw config.Refused("k", k, $"1 to the {latents} latents");
        if (activation == "groupmax" && latents % k != 0) throw config.Refused("k", k, $"a number that divides the {latents} latents, for groups of one size");
        _ = (config.Flag("normalize_decoder", absent: true), config.Flag("multi_topk", absent: false), config.Flag("signed", absent: false) ? throw config.Refused("signed", "true", "false") : false);
        string path = Path.Combine(folder, Weights);
        if (!File.Exists(path)) throw new FileNotFoundException($"'{folder}' has a cfg.json, but no {Weights}.", path);
        using SafeTensorsFile file = SafeTensors.Open(path);
        using DisposeScope scope = NewDisposeScope();
        var remarks = new List<string>();
        string[] names = ["encoder.weight", "encoder.bias", "W_dec", "b_dec"];
        Tensor Take(string name, params long[] shape) => FolderConfig.Weight(file, name, shape, remarks).DetachFromDisposeScope();
        foreach (string other in file.Names.Where(name => !names.Contains(name))) remarks.Add($"the tensor '{other}' is not known and was not used");
        var autoencoder = new SparseAutoencoder(
            Take("W_dec", latents, width), Take("encoder.weight", latents, width), Take("encoder.bias", latents), Take("b_dec", width), activation == "groupmax" ? new GroupMaxRule(k) : new TopKRule(k), centreInput: true, scale: 1);
        string place = Path.GetFileName(Path.TrimEndingDirectorySeparator(Path.GetFullPath(folder)));
        ActivationSite? site = HookNames.Parse(place);
        if (site is null) remarks.Add($"the folder's name '{place}' is no place of ours");
        AutoencoderFigures? figures = AutoencoderFigures.Read(config, FiguresKey);
        JsonObject unused = config.Unused();
        if (unused.Count > 0) remarks.Add($"keys of the config that are not known were kept and not used: {string.Join(", ", unused.Select(pair => pair.Key))}");
        return new(autoencoder, new() { Hook = place, Site = site, Figures = figures, Unused = unused.Count > 0 ? unused : null }, remarks);
    }

    /// <summary>Writes a folder that sparsify reads; the scaling is folded into the weights.</summary>
    /// <param name="folder">The folder of the place; made where it is missing.</param>
    /// <param name="autoencoder">A TopK or group max autoencoder of Float32 that subtracts b_d from its input.</param>
    /// <param name="origin">Figures and keys to keep; null, the default, for none.</param>
    /// <exception cref="ArgumentException">The autoencoder is of another kind, which has no form there.</exception>
    public static void Write(string folder, SparseAutoencoder autoencoder, AutoencoderOrigin? origin = null)
    {
        ArgumentException.ThrowIfNullOrWhiteSpace(folder);
        ArgumentNullException.ThrowIfNull(autoencoder);
        if (autoencoder.Rule is not (TopKRule or GroupMaxRule) || !autoencoder.CentreInput || autoencoder.Encoder.dtype != ScalarType.Float32)
            throw new ArgumentException($"sparsify has TopK and group max autoencoders of Float32 that subtract b_d from their input; this one is {autoencoder.Rule.Architecture}, {autoencoder.Encoder.dtype}{(autoencoder.CentreInput ? "" : ", input as it is")}.", nameof(autoencoder));
        if (autoencoder.TokenScaling != TokenScaling.None) throw new ArgumentException($"sparsify scales no activations, but this autoencoder each token by itself ({autoencoder.TokenScaling}).", nameof(autoencoder));
        using DisposeScope scope = NewDisposeScope();
        using IDisposable off = no_grad();
        double s = autoencoder.Scaling.Factor;
        var config = new JsonObject();
        foreach ((string key, JsonNode? value) in origin?.Unused ?? []) config[key] = value?.DeepClone();
        (config["activation"], config["k"]) = autoencoder.Rule is GroupMaxRule groups ? ("groupmax", groups.K) : ("topk", ((TopKRule)autoencoder.Rule).K);
        (config["expansion_factor"], config["num_latents"], config["d_in"]) = (0, autoencoder.Latents, autoencoder.Width);
        (config["normalize_decoder"], config["multi_topk"], config["skip_connection"], config["transcode"]) = (UnitRows(autoencoder.Decoder / s), false, false, false);
        if (origin?.Figures is { } figures) config[FiguresKey] = figures.ToJson();
        Directory.CreateDirectory(folder);
        using ReplacedFile weights = SafeTensors.Begin(Path.Combine(folder, Weights), new Dictionary<string, Tensor>
        {
            ["encoder.weight"] = autoencoder.Encoder * s, ["encoder.bias"] = autoencoder.EncoderBias, ["W_dec"] = autoencoder.Decoder / s, ["b_dec"] = autoencoder.DecoderBias / s,
        }), settings = FolderConfig.Begin(folder, FolderConfig.FileName, config);
        weights.Commit();
        settings.Commit();
    }

    private static bool UnitRows(Tensor decoder) => (SparseAutoencoder.RowNorms(decoder) - 1).abs().max().item<double>() <= 1e-3;

    private static int Expanded(FolderConfig config, int width)
    {
        int factor = config.Size("expansion_factor");
        return (long)width * factor is <= int.MaxValue and var latents ? (int)latents : throw config.Refused("expansion_factor", factor, $"a number that makes at most {int.MaxValue} latents of the width {width}");
    }
}
