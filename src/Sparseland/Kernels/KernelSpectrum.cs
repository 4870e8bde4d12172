using Sparseland.Tensors;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Kernels;

/// <summary>
/// Spectra of real kernels, one a channel, in the order of a plan and with 1/N in them: computed once, in float64, and used for every signal. With few frequencies kept, plans of products store and
/// multiply only the columns of the last stage that hold some (frequency-sparse convolution, Fu et al. 2024).
/// </summary>
public sealed class KernelSpectrum
{
    private KernelSpectrum(FftPlan plan, int channels, int length, int kept, int[] columns)
    {
        (Plan, Channels, Length, Kept, Columns) = (plan, channels, length, kept, columns);
        Stored = plan.Length / plan.LastFactor * columns.Length;
        (RePart, ImPart) = (GC.AllocateUninitializedArray<float>(checked(channels * Stored)), GC.AllocateUninitializedArray<float>(checked(channels * Stored)));
        bool all = columns.Length == plan.LastFactor;
        Into = all ? plan.Last : FftMatrix.Of(plan.LastFactor, columns);
        OutOf = all ? plan.Last : FftMatrix.Transposed(plan.LastFactor, columns);
    }

    /// <summary>The plan.</summary>
    public FftPlan Plan { get; }

    /// <summary>H.</summary>
    public int Channels { get; }

    /// <summary>Lk, numbers of a kernel.</summary>
    public int Length { get; }

    /// <summary>Frequencies of the half spectrum 0 to N/2 that are kept: those below this number.</summary>
    public int Kept { get; }

    /// <summary>Kept share of the half spectrum.</summary>
    public double Share => (double)Kept / ((Plan.Length / 2) + 1);

    /// <summary>Indices of the last stage that are computed; fewer than all for plans of products alone.</summary>
    public IReadOnlyList<int> Columns { get; }

    /// <summary>Bytes.</summary>
    public long Bytes => 2L * sizeof(float) * RePart.Length;

    internal int Stored { get; }

    internal float[] RePart { get; }

    internal float[] ImPart { get; }

    internal FftMatrix Into { get; }

    internal FftMatrix OutOf { get; }

    /// <summary>Transforms kernels.</summary>
    /// <param name="kernel">k [H, Lk], Float32 or Float64, on the CPU; Lk at most N.</param>
    /// <param name="plan">The plan.</param>
    /// <param name="keep">Keep the frequencies of the half spectrum 0 to N/2 below this, from 1 to N/2 + 1; f and N - f stay or go together, so that results are real. Default: all.</param>
    /// <exception cref="ArgumentException">Another shape, type or device, or a number out of its range.</exception>
    public static KernelSpectrum From(Tensor kernel, FftPlan plan, int? keep = null)
    {
        ArgumentNullException.ThrowIfNull(kernel);
        ArgumentNullException.ThrowIfNull(plan);
        if (kernel.dim() != 2 || kernel.numel() == 0) throw new ArgumentException($"kernel must be [channels, length] and not empty, but is [{string.Join(", ", kernel.shape)}].", nameof(kernel));
        if (kernel.dtype is not (ScalarType.Float32 or ScalarType.Float64)) throw new ArgumentException($"kernel is {kernel.dtype}; it must be Float32 or Float64.", nameof(kernel));
        if (kernel.device_type != DeviceType.CPU) throw new ArgumentException($"kernel is on {kernel.device_type}; move it to the CPU first.", nameof(kernel));
        int N = plan.Length, half = (N / 2) + 1, kept = keep ?? half;
        if (kernel.shape[1] > N) throw new ArgumentException($"A kernel of {kernel.shape[1]} numbers does not fit a plan of length {N}.", nameof(kernel));
        if (kept < 1 || kept > half) throw new ArgumentOutOfRangeException(nameof(keep), keep, $"keep is from 1 to {half}, the frequencies 0 to {N / 2}.");
        int n = plan.LastFactor, each = N / n;
        int[] columns = plan.Kernel == FftKernel.Butterflies ? [.. Enumerable.Range(0, n)] : [.. Enumerable.Range(0, n).Where(k => Math.Min((long)k * each, N - (((long)k + 1) * each) + 1) < kept)];
        var spectrum = new KernelSpectrum(plan, (int)kernel.shape[0], (int)kernel.shape[1], kept, columns);
        int[] order = [.. plan.Frequencies], places = Places(order, columns, n);
        for (int h = 0; h < spectrum.Channels; h++)
        {
            using DisposeScope scope = NewDisposeScope();
            using IDisposable off = no_grad();
            Tensor wide = zeros(N, dtype: ScalarType.Float64);
            wide.narrow(0, 0, kernel.shape[1]).copy_(kernel[h]);
            Tensor line = torch.fft.fft_(wide) / N, re = line.real.contiguous(), im = line.imag.contiguous();
            ReadOnlySpan<double> r = TensorMemory.Read<double>(re), i = TensorMemory.Read<double>(im);
            Span<float> toRe = spectrum.RePart.AsSpan(h * spectrum.Stored, spectrum.Stored), toIm = spectrum.ImPart.AsSpan(h * spectrum.Stored, spectrum.Stored);
            for (int at = 0; at < places.Length; at++)
            {
                int f = order[places[at]];
                (toRe[at], toIm[at]) = Math.Min(f, N - f) < kept ? ((float)r[f], (float)i[f]) : (0, 0);
            }
        }

        return spectrum;
    }

    /// <summary>Refuses spectra that leave frequencies out, of which nothing but the product with a signal is known.</summary>
    /// <param name="why">What needs all of them.</param>
    internal void RequireAll(string why)
    {
        int half = (Plan.Length / 2) + 1;
        if (Kept < half) throw new ArgumentException($"The spectra keep {Kept} of {half} frequencies; {why}.", "kernel");
    }

    /// <inheritdoc/>
    public override string ToString() => FormattableString.Invariant($"KernelSpectrum of {Channels} kernels of {Length}, {Kept} frequencies of {(Plan.Length / 2) + 1}, plan {Plan}");

    private static int[] Places(int[] order, int[] columns, int n)
    {
        if (columns.Length == n) return [.. Enumerable.Range(0, order.Length)];
        int[] places = new int[order.Length / n * columns.Length];
        for (int row = 0, at = 0; row < order.Length / n; row++)
        {
            foreach (int column in columns) places[at++] = (row * n) + column;
        }

        return places;
    }
}
