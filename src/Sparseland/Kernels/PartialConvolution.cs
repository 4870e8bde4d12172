using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Kernels;

/// <summary>
/// A convolution with kernels that are shorter than the sequence, in windows that overlap by the kernel's length (overlap-save): sequences of any length, each window with a short plan (partial convolution,
/// Fu et al. 2024). Equal to the whole convolution with the same kernels.
/// </summary>
public static class PartialConvolution
{
    /// <summary>y[b, h, t] = sum over s below Lk of k[h, s] u[b, h, t - s].</summary>
    /// <param name="signal">u [B, H, L], Float32, on the CPU.</param>
    /// <param name="kernel">Spectra of kernels of Lk; the plan's length N is at least Lk, best 2 to 8 times that: each window gives N - Lk + 1 numbers.</param>
    /// <param name="cancel">Checked before each pair of rows.</param>
    /// <returns>[B, H, L]; the caller disposes it.</returns>
    /// <exception cref="ArgumentException">A shape, type or device does not fit, or the spectra leave frequencies out.</exception>
    /// <exception cref="OperationCanceledException">Cancelled.</exception>
    public static Tensor Forward(Tensor signal, KernelSpectrum kernel, CancellationToken cancel = default)
    {
        ArgumentNullException.ThrowIfNull(signal);
        ArgumentNullException.ThrowIfNull(kernel);
        if (signal.dim() != 3 || signal.numel() == 0) throw new ArgumentException($"signal must be [batch, channels, length] and not empty, but is [{string.Join(", ", signal.shape)}].", nameof(signal));

        // Without some frequencies a kernel reaches as far as the period, over the edges of every window.
        kernel.RequireAll("windows need all");
        using DisposeScope scope = NewDisposeScope();
        using IDisposable off = no_grad();
        long L = signal.shape[2], N = kernel.Plan.Length, reach = kernel.Length - 1, step = N - reach;
        Tensor padded = nn.functional.pad(signal.detach(), [reach, 0]);
        var parts = new List<Tensor>();
        for (long from = 0; from < L; from += step)
        {
            long length = Math.Min(N, L + reach - from);
            using DisposeScope one = NewDisposeScope();
            Tensor window = padded.narrow(2, from, length);

            // The first Lk - 1 numbers have been reached by what came over the end of the period; the others are right.
            parts.Add(one.MoveToOuter(FftConvolution.Forward(window, kernel, circular: true, cancel: cancel).narrow(2, reach, length - reach).contiguous()));
        }

        return scope.MoveToOuter(cat(parts, 2));
    }
}
