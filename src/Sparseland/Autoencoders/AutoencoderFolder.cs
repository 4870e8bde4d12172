using System.Text.Json.Nodes;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Autoencoders;

/// <summary>What is done with rows of a decoder whose norms are not one.</summary>
public enum DecoderNorms
{
    /// <summary>They get norm one, and codes are multiplied with the norms: values of different latents mean the same. Where latents compare with one another (TopK) and their norms differ they stay.</summary>
    Fold,

    /// <summary>They stay as they are in the file.</summary>
    Keep,
}

/// <summary>Settings of <see cref="AutoencoderFolder"/>.</summary>
public sealed record AutoencoderFolderOptions
{
    /// <summary>
    /// s, what activations are multiplied with first, where a folder of SAELens says that there is one and has no activation_scaler.json beside it. Default null,
    /// for what the folder itself says.
    /// </summary>
    public double? ActivationScale { get; init; }

    /// <summary>What is done with rows of the decoder whose norms are not one; reconstructions stay either way. Default <see cref="DecoderNorms.Fold"/>.</summary>
    public DecoderNorms Norms { get; init; } = DecoderNorms.Fold;
}

/// <summary>Reads an autoencoder that somebody trained, whichever kit wrote its folder: SAELens (sae_weights.safetensors) or sparsify (sae.safetensors).</summary>
public static class AutoencoderFolder
{
    private const int MostListed = 20;

    // Beyond this share of one a norm is no rounding.
    private const double NormTolerance = 1e-3;

    /// <summary>Reads a folder.</summary>
    /// <param name="path">The folder, or the weights in it.</param>
    /// <param name="options">Settings; null, the default, for their defaults.</param>
    /// <returns>A new autoencoder; its remarks say what was found and changed.</returns>
    /// <exception cref="DirectoryNotFoundException">There is no such folder.</exception>
    /// <exception cref="FileNotFoundException">The folder holds no autoencoder; where folders below do, the message lists their places.</exception>
    /// <exception cref="InvalidDataException">A key has a value that is not known, or a tensor is missing, of another shape, or not finite; the message names it.</exception>
    /// <exception cref="ArgumentException">A factor is missing or not wanted, or a setting is out of its range.</exception>
    public static SavedAutoencoder Read(string path, AutoencoderFolderOptions? options = null)
    {
        ArgumentException.ThrowIfNullOrWhiteSpace(path);
        options ??= new();
        if (!Enum.IsDefined(options.Norms)) throw new ArgumentOutOfRangeException(nameof(options), options.Norms, $"{nameof(options.Norms)} is Fold or Keep.");
        string folder = File.Exists(path) && IsWeights(path) ? Path.GetDirectoryName(Path.GetFullPath(path))! : path;
        SavedAutoencoder saved = ReadAny(folder, options.ActivationScale);
        try
        {
            var remarks = new List<string>(saved.Remarks);
            Norms(saved.Autoencoder, options.Norms, remarks);
            return saved with { Remarks = remarks };
        }
        catch
        {
            saved.Dispose();
            throw;
        }
    }

    private static SavedAutoencoder ReadAny(string folder, double? scale)
    {
        if (!Directory.Exists(folder)) throw new DirectoryNotFoundException($"There is no folder '{folder}'.");
        bool lens = File.Exists(Path.Combine(folder, SaeLensFolder.Weights)), sparsify = File.Exists(Path.Combine(folder, SparsifyFolder.Weights));
        if (lens && sparsify) throw new InvalidDataException($"'{folder}' holds {SaeLensFolder.Weights} and {SparsifyFolder.Weights}; remove one of them, or read it with {nameof(SaeLensFolder)} or {nameof(SparsifyFolder)}.");
        if (lens) return SaeLensFolder.Read(folder, scale);
        if (!sparsify) throw NothingHere(folder);
        if (scale is not null) throw new ArgumentException($"'{folder}' is a folder of sparsify, which scales no activations, so there is no factor to give.", "options");
        return SparsifyFolder.Read(folder);
    }

    private static void Norms(SparseAutoencoder autoencoder, DecoderNorms choice, List<string> remarks)
    {
        double least, most;
        using (DisposeScope scope = NewDisposeScope())
        {
            using IDisposable off = no_grad();
            Tensor norms = SparseAutoencoder.RowNorms(autoencoder.Decoder);
            (least, most) = (norms.min().item<double>(), norms.max().item<double>());
        }

        if (least > 1 - NormTolerance && most < 1 + NormTolerance) return;
        string range = FormattableString.Invariant($"rows of the decoder have norms from {least:G3} to {most:G3}");
        bool alike = least > 0 && most - least <= NormTolerance * most;
        if (choice == DecoderNorms.Keep) remarks.Add($"{range} and stay as they are: values of {(alike ? "codes are in units of them" : "different latents are on different scales")}");
        else if (autoencoder.Rule.ComparesLatents && !alike) remarks.Add($"{range} and stay as they are: {autoencoder.Rule.Architecture} compares latents with one another, and other scales would choose others");
        else
        {
            if (autoencoder.Rule.ComparesLatents) autoencoder.FoldOneNorm((least + most) / 2);
            else autoencoder.FoldDecoderNorms();
            remarks.Add($"{range}; they were folded into the encoder, so rows have norm one and codes are multiplied with the norms ({nameof(DecoderNorms)}.{nameof(DecoderNorms.Keep)} leaves them)");
        }
    }

    private static bool IsWeights(string path) => Path.GetFileName(path) is SaeLensFolder.Weights or SparsifyFolder.Weights;

    /// <summary>What a folder has that is no autoencoder: others below it, files of other formats, or nothing.</summary>
    private static FileNotFoundException NothingHere(string folder)
    {
        const string wanted = $"{SaeLensFolder.Weights} (SAELens) or {SparsifyFolder.Weights} (sparsify)";
        (string Place, string Folder)[] below =
        [
            .. Directory.EnumerateFiles(folder, FolderConfig.FileName, new EnumerationOptions { RecurseSubdirectories = true, MaxRecursionDepth = 8, IgnoreInaccessible = true })
                .Select(file => Path.GetDirectoryName(file)!).Where(at => Directory.EnumerateFiles(at).Any(IsWeights))
                .Select(at => (PlaceOf(at), Path.GetRelativePath(folder, at))).OrderBy(found => HookNames.Parse(found.Item1)?.Layer ?? int.MaxValue).ThenBy(found => found.Item2, StringComparer.Ordinal),
        ];
        if (below.Length > 0)
        {
            string more = below.Length > MostListed ? $", and {below.Length - MostListed} more" : "";
            return new($"'{folder}' holds no autoencoder itself, but {below.Length} below it; name one: {string.Join(", ", below.Take(MostListed).Select(found => found.Place == found.Folder ? found.Place : $"{found.Place} in {found.Folder}"))}{more}.", folder);
        }

        string[] others = [.. Directory.EnumerateFiles(folder).Select(file => Path.GetFileName(file)).Order(StringComparer.Ordinal).Take(MostListed)];
        return new($"'{folder}' holds no autoencoder: there is no {wanted}{(others.Length == 0 ? " and no other file" : $", only {string.Join(", ", others)}")}.", folder);
    }

    /// <summary>The place that a config names, or the folder's name.</summary>
    private static string PlaceOf(string folder)
    {
        string name = Path.GetFileName(folder);
        try
        {
            JsonObject config = FolderConfig.Parse(Path.Combine(folder, FolderConfig.FileName));
            JsonNode? hook = ((config["metadata"] ?? config["meta"]) as JsonObject)?["hook_name"] ?? config["hook_name"] ?? config["hook_point"];
            return hook is JsonValue value && value.TryGetValue(out string? text) ? text : name;
        }
        catch (InvalidDataException)
        {
            // It is only listed; reading it says what is wrong.
            return name;
        }
    }
}
