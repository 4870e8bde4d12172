using Sparseland.Tensors;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Kernels;

/// <summary>Gradients of a gated convolution.</summary>
/// <param name="Signal">dL/du [B, H, L].</param>
/// <param name="Kernel">dL/dk [H, Lk].</param>
/// <param name="Before">dL/dv [B, H, L], or null without that gate.</param>
/// <param name="After">dL/dw [B, H, L], or null without that gate.</param>
public sealed record FftGradients(Tensor Signal, Tensor Kernel, Tensor? Before, Tensor? After) : IDisposable
{
    private readonly NativeSize _size = NativeSize.Of(Signal, Kernel, Before, After);

    /// <summary>Frees the tensors.</summary>
    public void Dispose()
    {
        Signal.Dispose();
        Kernel.Dispose();
        Before?.Dispose();
        After?.Dispose();
        _size.Dispose();
    }

    /// <inheritdoc/>
    public override string ToString() => Readable.Of(this);
}

/// <summary>
/// Long convolutions of many channels, y[b, h, t] = sum over s of k[h, s] u[b, h, t - s], by way of the spectrum (FlashFFTConv, Fu et al. 2024): gates and padding are part of the one pass in which a sequence
/// stays in fast memory, and the spectrum's order is never undone. Two signals of a channel are the real and imaginary part of one complex sequence, since kernels are real.
/// </summary>
/// <remarks>Float32. A NaN spreads over the whole row, as it does in every transform. Results do not depend on the number of threads, which is libtorch's.</remarks>
public static unsafe class FftConvolution
{
    /// <summary>y = w o ((v o u) * k).</summary>
    /// <param name="signal">u [B, H, L], Float32, on the CPU.</param>
    /// <param name="kernel">Spectra of H kernels.</param>
    /// <param name="before">v [B, H, L], multiplied on the way in. Default: none.</param>
    /// <param name="after">w [B, H, L], multiplied on the way out. Default: none; one gate without the other is fine.</param>
    /// <param name="circular">Period N instead of causal: what runs over the end comes in at the beginning. Default false.</param>
    /// <param name="cancel">Checked before each pair of rows.</param>
    /// <returns>[B, H, L]; the caller disposes it. No gradient is recorded.</returns>
    /// <exception cref="ArgumentException">A shape, type or device does not fit, or the plan is too short for a causal convolution.</exception>
    /// <exception cref="OperationCanceledException">Cancelled.</exception>
    public static Tensor Forward(Tensor signal, KernelSpectrum kernel, Tensor? before = null, Tensor? after = null, bool circular = false, CancellationToken cancel = default)
    {
        Check(signal, kernel, before, after, circular);
        using DisposeScope scope = NewDisposeScope();
        using IDisposable off = no_grad();
        return scope.MoveToOuter(Convolve(Plain(signal), kernel, before is null ? null : Plain(before), after is null ? null : Plain(after), conjugate: false, cancel));
    }

    /// <summary>Gradients for dL/dy; transforms of u are computed again, not kept.</summary>
    /// <param name="gradient">dL/dy [B, H, L].</param>
    /// <param name="signal">u.</param>
    /// <param name="kernel">Spectra of the kernels.</param>
    /// <param name="before">v, if there was one. Default: none.</param>
    /// <param name="after">w, if there was one. Default: none.</param>
    /// <param name="circular">As in <see cref="Forward"/>. Default false.</param>
    /// <param name="cancel">Checked before each pair of rows.</param>
    /// <returns>The caller disposes it.</returns>
    /// <exception cref="ArgumentException">A shape, type or device does not fit, or the spectra leave frequencies out.</exception>
    /// <exception cref="OperationCanceledException">Cancelled.</exception>
    public static FftGradients Backward(
        Tensor gradient, Tensor signal, KernelSpectrum kernel, Tensor? before = null, Tensor? after = null, bool circular = false, CancellationToken cancel = default)
    {
        Check(signal, kernel, before, after, circular);
        Same(gradient, signal, nameof(gradient));
        kernel.RequireAll("gradients need all");
        using DisposeScope scope = NewDisposeScope();
        using IDisposable off = no_grad();
        Tensor g = Plain(gradient), u = Plain(signal), gated = after is null ? g : (g * Plain(after)).contiguous();
        Tensor into = before is null ? u : (u * Plain(before)).contiguous();
        Tensor back = Convolve(gated, kernel, null, null, conjugate: true, cancel), kernels = KernelGradient(gated, into, kernel, cancel);
        Tensor? dv = before is null ? null : back * u, dw = after is null ? null : g * Convolve(into, kernel, null, null, conjugate: false, cancel);
        Tensor du = before is null ? back : back * Plain(before);
        return new(scope.MoveToOuter(du), scope.MoveToOuter(kernels), dv is null ? null : scope.MoveToOuter(dv), dw is null ? null : scope.MoveToOuter(dw));
    }

    private static Tensor Convolve(Tensor u, KernelSpectrum kernel, Tensor? v, Tensor? w, bool conjugate, CancellationToken cancel)
    {
        (int B, int H, int L) = ((int)u.shape[0], (int)u.shape[1], (int)u.shape[2]);
        Tensor y = empty([B, H, L], dtype: ScalarType.Float32);
        (nint pu, nint py, nint pv, nint pw) = (TensorMemory.StartOf(u), TensorMemory.StartOf(y), v is null ? 0 : TensorMemory.StartOf(v), w is null ? 0 : TensorMemory.StartOf(w));
        int rows = kernel.Plan.Rows(L), pairs = (B + 1) / 2;
        Each(kernel.Plan, H * pairs, (work, i) =>
        {
            (int h, int b) = (i / pairs, 2 * (i % pairs));
            long first = (((long)b * H) + h) * L, second = first + ((long)H * L);
            bool both = b + 1 < B;
            Load(work, kernel.Plan, rows, L, (float*)pu, (float*)pv, first, both ? second : -1);
            work.Convolve(rows, rows, kernel, h, conjugate);
            Store(work.Re, (float*)py + first, pw == 0 ? null : (float*)pw + first, L);
            if (both) Store(work.Im, (float*)py + second, pw == 0 ? null : (float*)pw + second, L);
        }, cancel);
        return y;
    }

    /// <summary>dL/dk: the sum over the batch of correlations, in the spectrum and in the order of the batch, so that one transform goes back for each channel.</summary>
    private static Tensor KernelGradient(Tensor g, Tensor u, KernelSpectrum kernel, CancellationToken cancel)
    {
        (int B, int H, int L) = ((int)u.shape[0], (int)u.shape[1], (int)u.shape[2]);
        FftPlan plan = kernel.Plan;
        int rows = plan.Rows(L), N = plan.Length;
        Tensor result = empty([H, kernel.Length], dtype: ScalarType.Float32);
        (nint pg, nint pu, nint to) = (TensorMemory.StartOf(g), TensorMemory.StartOf(u), TensorMemory.StartOf(result));
        Each(plan, H, (work, h) =>
        {
            float[] sumRe = new float[N], sumIm = new float[N], oneRe = new float[N], oneIm = new float[N];
            for (int b = 0; b < B; b += 2)
            {
                long first = (((long)b * H) + h) * L, second = b + 1 < B ? first + ((long)H * L) : -1;
                Load(work, plan, rows, L, (float*)pg, null, first, second);
                work.ToSpectrum(rows);
                new ReadOnlySpan<float>(work.Re, N).CopyTo(oneRe);
                new ReadOnlySpan<float>(work.Im, N).CopyTo(oneIm);
                Load(work, plan, rows, L, (float*)pu, null, first, second);
                work.ToSpectrum(rows);
                for (int f = 0; f < N; f++)
                {
                    sumRe[f] += (oneRe[f] * work.Re[f]) + (oneIm[f] * work.Im[f]);
                    sumIm[f] += (oneIm[f] * work.Re[f]) - (oneRe[f] * work.Im[f]);
                }
            }

            sumRe.CopyTo(new Span<float>(work.Re, N));
            sumIm.CopyTo(new Span<float>(work.Im, N));
            work.FromSpectrum();
            Span<float> line = new((float*)to + ((long)h * kernel.Length), kernel.Length);
            for (int s = 0; s < line.Length; s++) line[s] = work.Re[s] / N;
        }, cancel);
        return result;
    }

    /// <summary>Two rows into the real and the imaginary part, gated, with zeros up to the end of the last row of the first stage that is read.</summary>
    private static void Load(FftWork work, FftPlan plan, int rows, int L, float* u, float* v, long first, long second)
    {
        int filled = rows * (plan.Length / plan.Factors[0]);
        One(work.Re, first);
        if (second >= 0) One(work.Im, second);
        else new Span<float>(work.Im, filled).Clear();

        void One(float* to, long at)
        {
            Span<float> line = new(to, L);
            if (v == null) new ReadOnlySpan<float>(u + at, L).CopyTo(line);
            else System.Numerics.Tensors.TensorPrimitives.Multiply(new ReadOnlySpan<float>(u + at, L), new ReadOnlySpan<float>(v + at, L), line);
            new Span<float>(to + L, filled - L).Clear();
        }
    }

    private static void Store(float* from, float* to, float* gate, int L)
    {
        if (gate == null) new ReadOnlySpan<float>(from, L).CopyTo(new(to, L));
        else System.Numerics.Tensors.TensorPrimitives.Multiply(new ReadOnlySpan<float>(from, L), new ReadOnlySpan<float>(gate, L), new Span<float>(to, L));
    }

    private static void Each(FftPlan plan, int count, Action<FftWork, int> body, CancellationToken cancel)
    {
        int threads = Math.Min(count, get_num_threads());
        if (threads <= 1)
        {
            var work = new FftWork(plan);
            for (int i = 0; i < count; i++)
            {
                cancel.ThrowIfCancellationRequested();
                body(work, i);
            }

            return;
        }

        FirstFailure.Of(() => Parallel.For(0, count, new ParallelOptions { MaxDegreeOfParallelism = threads, CancellationToken = cancel }, () => new FftWork(plan), (i, _, work) =>
        {
            body(work, i);
            return work;
        }, _ => { }));
    }

    private static Tensor Plain(Tensor x) => x.detach().contiguous();

    private static void Check(Tensor signal, KernelSpectrum kernel, Tensor? before, Tensor? after, bool circular)
    {
        ArgumentNullException.ThrowIfNull(signal);
        ArgumentNullException.ThrowIfNull(kernel);
        if (signal.dim() != 3 || signal.numel() == 0) throw new ArgumentException($"signal must be [batch, channels, length] and not empty, but is [{string.Join(", ", signal.shape)}].", nameof(signal));
        if (signal.dtype != ScalarType.Float32) throw new ArgumentException($"signal is {signal.dtype}; it must be Float32.", nameof(signal));
        if (signal.device_type != DeviceType.CPU) throw new ArgumentException($"signal is on {signal.device_type}; move it to the CPU first.", nameof(signal));
        if (signal.shape[1] != kernel.Channels) throw new ArgumentException($"signal has {signal.shape[1]} channels, and there are {kernel.Channels} kernels.", nameof(signal));
        long L = signal.shape[2], least = circular ? L : L + kernel.Length - 1;
        if (kernel.Plan.Length < least)
        {
            throw new ArgumentException(
                circular ? $"A signal of {L} does not fit a period of {kernel.Plan.Length}." : $"A causal convolution of {L} with a kernel of {kernel.Length} needs a plan of at least {least}; this one has {kernel.Plan.Length}.",
                nameof(kernel));
        }

        if (before is not null) Same(before, signal, nameof(before));
        if (after is not null) Same(after, signal, nameof(after));
    }

    private static void Same(Tensor other, Tensor signal, string name)
    {
        ArgumentNullException.ThrowIfNull(other, name);
        if (!other.shape.SequenceEqual(signal.shape) || other.dtype != signal.dtype || other.device_type != signal.device_type)
            throw new ArgumentException($"{name} is {other.dtype} [{string.Join(", ", other.shape)}] on {other.device_type}; it must be as the signal, {signal.dtype} [{string.Join(", ", signal.shape)}] on {signal.device_type}.", name);
    }
}
