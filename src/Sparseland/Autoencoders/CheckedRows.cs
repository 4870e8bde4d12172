using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Autoencoders;

/// <summary>Reads a source and looks whether it gives what it says. Others write sources too: a row too few would be whatever stood in memory, one too many belong to another token.</summary>
internal static class CheckedRows
{
    /// <summary>Activations of some windows.</summary>
    /// <exception cref="InvalidDataException">There are others than were asked for; the message names the source.</exception>
    public static ActivationRows Of(IActivationSource source, ReadOnlySpan<int> windows, CancellationToken cancel)
    {
        ActivationRows rows = source.Read(windows, cancel);
        long[] wanted = [(long)windows.Length * source.TokensPerWindow, source.Width];
        Check(rows.Activations, "activations", wanted, source);
        if ((rows.Gradients is not null) != source.HasGradients)
            throw new InvalidDataException($"The source says that it has {(source.HasGradients ? "" : "no ")}gradients, but gave {(rows.Gradients is null ? "none" : "some")} ({source.Description}).");
        if (rows.Gradients is not null) Check(rows.Gradients, "gradients", wanted, source);
        return rows;
    }

    private static void Check(Tensor rows, string what, long[] wanted, IActivationSource source)
    {
        if (rows is null || !rows.shape.SequenceEqual(wanted) || rows.dtype is not (ScalarType.Float32 or ScalarType.Float64) || rows.device_type != DeviceType.CPU)
            throw new InvalidDataException($"The source gave {what} {(rows is null ? "null" : $"{rows.dtype} [{string.Join(", ", rows.shape)}] on {rows.device_type}")} where Float32 or Float64 [{string.Join(", ", wanted)}] on the CPU were asked for ({source.Description}).");
    }
}
