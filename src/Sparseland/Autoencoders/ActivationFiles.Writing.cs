using Sparseland.IO;
using Sparseland.Tensors;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Autoencoders;

/// <summary>How <see cref="ActivationFiles.Write"/> writes.</summary>
public sealed record ActivationWritingOptions
{
    /// <summary>Rows of a file, rounded down to whole windows; one window at least. Default 65,536.</summary>
    public int TokensPerFile { get; init; } = 1 << 16;

    /// <summary>Float32, or Float16 or BFloat16 at half the size. Default Float32.</summary>
    public ScalarType Type { get; init; } = ScalarType.Float32;
}

/// <summary>Keeping activations for many trainings.</summary>
public sealed partial class ActivationFiles
{
    private const int TokensAtOnce = 4096;

    /// <summary>
    /// Writes all activations of a source, with gradients where it has them, to a folder: activations-00001.safetensors and so on, and at the end activations.json, which
    /// says what they are. Until then it says that the set is not whole, and <see cref="Open"/> refuses it; files of an older set are removed first.
    /// </summary>
    /// <param name="source">Where activations come from.</param>
    /// <param name="folder">The folder; made where it is missing.</param>
    /// <param name="options">Settings; null, the default, for their defaults.</param>
    /// <param name="progress">Windows written; null, the default, for none.</param>
    /// <param name="cancel">Stops the call. Never by default.</param>
    /// <exception cref="ArgumentException">A setting is out of its range, the source is empty, or files of the folder are being read, by this source or another.</exception>
    /// <exception cref="InvalidDataException">A value is not finite, or too large or small for the type; the message names window and token. Or the source gives other rows than it says.</exception>
    /// <exception cref="IOException">The files cannot be written.</exception>
    public static void Write(IActivationSource source, string folder, ActivationWritingOptions? options = null, IProgress<ProgressReport>? progress = null, CancellationToken cancel = default)
    {
        ArgumentNullException.ThrowIfNull(source);
        ArgumentException.ThrowIfNullOrWhiteSpace(folder);
        options ??= new();
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(options.TokensPerFile, nameof(options));
        if (options.Type is not (ScalarType.Float32 or ScalarType.Float16 or ScalarType.BFloat16)) throw new ArgumentException($"The type is {options.Type}; it must be Float32, Float16 or BFloat16.", nameof(options));
        if (source.Windows < 1 || source.TokensPerWindow < 1) throw new ArgumentException($"The source is empty ({source.Description}).", nameof(source));
        Directory.CreateDirectory(folder);
        string[] before = Directory.GetFiles(folder, $"{DefaultTensor}-*.safetensors");
        if (Array.Find(before, IsRead) is { } read)
            throw new ArgumentException($"'{read}' is being read: a call that is stopped would leave neither set. Write to another folder.", nameof(folder));

        // A set without files is one that is being written.
        new Manifest(source.Description, source.Width, source.TokensPerWindow, source.HasGradients, [], []).Write(folder);
        foreach (string old in before) File.Delete(old);
        int perFile = Math.Max(1, options.TokensPerFile / source.TokensPerWindow);
        var files = new List<string>();
        var tokens = new List<long>();
        for (int from = 0; from < source.Windows; from += perFile)
        {
            using DisposeScope scope = NewDisposeScope();
            using IDisposable off = no_grad();
            int count = Math.Min(perFile, source.Windows - from);
            Dictionary<string, Tensor> tensors = Collect(source, from, count, options.Type, progress, cancel);
            files.Add(Path.Combine(folder, FormattableString.Invariant($"{DefaultTensor}-{files.Count + 1:D5}.safetensors")));
            tokens.Add((long)count * source.TokensPerWindow);
            SafeTensors.Save(files[^1], tensors, cancellationToken: cancel);
        }

        new Manifest(source.Description, source.Width, source.TokensPerWindow, source.HasGradients, [.. files], [.. tokens]).Write(folder);
    }

    /// <summary>Whether somebody has a file open, however it was named: readers hold a shared lock.</summary>
    private static bool IsRead(string file)
    {
        try
        {
            using var alone = new FileStream(file, FileMode.Open, FileAccess.Read, FileShare.None);
            return false;
        }
        catch (IOException)
        {
            return true;
        }
    }

    private static Dictionary<string, Tensor> Collect(IActivationSource source, int first, int windows, ScalarType type, IProgress<ProgressReport>? progress, CancellationToken cancel)
    {
        int length = source.TokensPerWindow, some = Math.Max(1, TokensAtOnce / length);
        var tensors = new Dictionary<string, Tensor> { [DefaultTensor] = empty([(long)windows * length, source.Width], dtype: type) };
        if (source.HasGradients) tensors[DefaultGradients] = empty_like(tensors[DefaultTensor]);
        for (int from = 0; from < windows; from += some)
        {
            cancel.ThrowIfCancellationRequested();
            using DisposeScope scope = NewDisposeScope();
            int count = Math.Min(some, windows - from);
            ActivationRows rows = CheckedRows.Of(source, [.. Enumerable.Range(first + from, count)], cancel);
            Put(DefaultTensor, rows.Activations);
            if (rows.Gradients is not null) Put(DefaultGradients, rows.Gradients);
            progress?.Report(new(first + from + count, source.Windows, "writing activations"));

            void Put(string name, Tensor values)
            {
                Tensor target = tensors[name].narrow(0, (long)from * length, values.shape[0]);
                target.copy_(values);
                if (type == ScalarType.Float16 && TensorInput.LargestMagnitude(values) is var largest && HalfRange.Vanishes(largest))
                    throw new InvalidDataException(FormattableString.Invariant($"The {name} are {largest:G3} at most in windows {first + from} to {first + from + count - 1}, too small for float16 ({source.Description}). Write them as Float32 or BFloat16."));
                if (FiniteRows.FirstBad(target.to(ScalarType.Float32)) is { } bad)
                    throw new InvalidDataException($"A value of the {name} is not finite{(type == ScalarType.Float16 ? " or above 65504, the largest of Float16" : "")}: token {bad % length} of window {first + from + (bad / length)} ({source.Description}).");
            }
        }

        return tensors;
    }
}
