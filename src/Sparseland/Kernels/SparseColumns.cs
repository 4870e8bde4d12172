using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;
using Sparseland.Selection;
using Sparseland.Tensors;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Kernels;

/// <summary>
/// y = W x for one token of whose inputs few are kept: only the columns of W that meet a kept input are read. W is stored transposed, Wt [in, out], so that a
/// column lies in one piece: y is the sum of x_k times row k of Wt over the kept k.
/// </summary>
/// <remarks>
/// Each output is summed over the kept inputs in ascending order, one fused multiplication and addition after the other, on every path and for any number of threads:
/// the bits of a result depend on the numbers alone. Inputs that are not kept are not multiplied, be they infinite. Four rows of Wt are added in one pass over a piece of y
/// that fits the first cache. Threads, as many as libtorch has here, take different outputs.
/// </remarks>
public static unsafe class SparseColumns
{
    // So many multiplications are worth handing to another thread.
    private const long OneThread = 1 << 18;
    private const int Block = 1024;
    private const int Lanes = 16;

    /// <summary>y += sum over kept k of x_k Wt[k].</summary>
    /// <param name="Wt">Row-major [in, out].</param>
    /// <param name="x">[in].</param>
    /// <param name="kept">Places in x, strictly ascending.</param>
    /// <param name="y">[out], added to; apart from the others.</param>
    /// <exception cref="ArgumentException">A length does not fit, a place is out of range or order, or y shares memory with an input.</exception>
    public static void AddTo(ReadOnlySpan<float> Wt, ReadOnlySpan<float> x, ReadOnlySpan<int> kept, Span<float> y)
    {
        if (Wt.Length != (long)x.Length * y.Length) throw new ArgumentException($"Wt must have {x.Length} x {y.Length} numbers, but has {Wt.Length}.", nameof(Wt));
        if (y.Overlaps(Wt) || y.Overlaps(x)) throw new ArgumentException("y shares memory with an input, which would change while it is read.", nameof(y));
        CheckPlaces(kept, x.Length);
        fixed (float* w = Wt, px = x, py = y)
        fixed (int* places = kept) Run(w, px, places, kept.Length, py, y.Length, KernelPaths.Widest);
    }

    /// <summary>y = W x over the kept inputs of one token, or of each of some tokens by itself. No gradient is recorded.</summary>
    /// <param name="Wt">[in, out], Float32, on the CPU; one that is not contiguous is copied.</param>
    /// <param name="x">[in] or [tokens, in], Float32, on the CPU.</param>
    /// <param name="kept">A row of places for each token: of <c>Select.TopK(scores, Budget.PerRow(k))</c>.</param>
    /// <returns>[out] or [tokens, out]; zero where nothing is kept.</returns>
    /// <exception cref="ArgumentException">A shape, type or device does not fit.</exception>
    public static Tensor Multiply(Tensor Wt, Tensor x, Support kept) => Multiply(Wt, x, kept, KernelPaths.Widest);

    internal static Tensor Multiply(Tensor Wt, Tensor x, Support kept, KernelPath path)
    {
        ArgumentNullException.ThrowIfNull(Wt);
        ArgumentNullException.ThrowIfNull(x);
        ArgumentNullException.ThrowIfNull(kept);
        Check(Wt, nameof(Wt));
        Check(x, nameof(x));
        if (Wt.dim() != 2) throw new ArgumentException($"Wt must be [in, out], but is [{string.Join(", ", Wt.shape)}].", nameof(Wt));
        if (x.dim() is not (1 or 2) || x.shape[^1] != Wt.shape[0]) throw new ArgumentException($"x must be [{Wt.shape[0]}] or [tokens, {Wt.shape[0]}], but is [{string.Join(", ", x.shape)}].", nameof(x));
        long tokens = x.dim() == 1 ? 1 : x.shape[0], outputs = Wt.shape[1];
        if (kept.Rows != tokens || kept.Columns != Wt.shape[0])
            throw new ArgumentException($"kept must be [{tokens}, {Wt.shape[0]}], a row for each token, but is [{kept.Rows}, {kept.Columns}].", nameof(kept));
        using DisposeScope scope = NewDisposeScope();
        using IDisposable off = no_grad();
        Tensor weight = Wt.detach().contiguous(), input = x.detach().contiguous(), result = zeros([tokens, outputs], dtype: ScalarType.Float32);
        float* w = (float*)TensorMemory.Address(weight), px = (float*)TensorMemory.Address(input), y = (float*)TensorMemory.Address(result);
        for (int token = 0; token < tokens; token++)
        {
            ReadOnlySpan<int> row = kept.Row(token);
            fixed (int* places = row) Run(w, px + (token * Wt.shape[0]), places, row.Length, y + (token * outputs), (int)outputs, path);
        }

        return (x.dim() == 1 ? result[0] : result).MoveToOuterDisposeScope();
    }

    /// <summary>One token without checks; y is added to.</summary>
    internal static void Run(float* weight, float* x, int* kept, int count, float* y, int outputs, KernelPath path)
    {
        if (count == 0 || outputs == 0) return;
        int threads = (int)Math.Min(get_num_threads(), Math.Min((long)count * outputs / OneThread, outputs / Lanes));
        if (threads < 2)
        {
            Part(weight, x, kept, count, y, outputs, 0, outputs, path);
            return;
        }

        // Some more pieces than threads, so that one that is held up does not hold up all.
        int pieces = Math.Min(outputs / Lanes, threads == 2 ? 4 : 2 * threads);
        (nint w, nint a, nint k, nint b) = ((nint)weight, (nint)x, (nint)kept, (nint)y);
        int At(int piece) => piece == pieces ? outputs : (int)((long)outputs / Lanes * piece / pieces) * Lanes;
        Parallel.For(0, pieces, new ParallelOptions { MaxDegreeOfParallelism = threads }, piece => Part((float*)w, (float*)a, (int*)k, count, (float*)b, outputs, At(piece), At(piece + 1), path));
    }

    private static void Part(float* weight, float* x, int* kept, int count, float* y, int stride, int from, int to, KernelPath path)
    {
        for (int start = from; start < to; start += Block)
        {
            int width = Math.Min(Block, to - start), k = 0;
            for (; k + 4 <= count; k += 4)
            {
                // The rows that come next are asked for while these are added: they lie anywhere, and no hardware guesses where.
                int* next = k + 8 <= count ? kept + k + 4 : kept + k;
                Add4(weight + start, x, kept + k, next, y + start, stride, width, path);
            }

            for (; k < count; k++) Add1(weight + start + ((long)kept[k] * stride), x[kept[k]], y + start, width, path);
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Add4(float* weight, float* x, int* kept, int* next, float* y, long stride, int width, KernelPath path)
    {
        float* a = weight + (kept[0] * stride), b = weight + (kept[1] * stride), c = weight + (kept[2] * stride), d = weight + (kept[3] * stride);
        float xa = x[kept[0]], xb = x[kept[1]], xc = x[kept[2]], xd = x[kept[3]];
        int i = 0;
        if (path == KernelPath.Vector512)
        {
            float* e = weight + (next[0] * stride), f = weight + (next[1] * stride), g = weight + (next[2] * stride), h = weight + (next[3] * stride);
            Vector512<float> va = Vector512.Create(xa), vb = Vector512.Create(xb), vc = Vector512.Create(xc), vd = Vector512.Create(xd);
            for (; i + 16 <= width; i += 16)
            {
                Sse.Prefetch0(e + i);
                Sse.Prefetch0(f + i);
                Sse.Prefetch0(g + i);
                Sse.Prefetch0(h + i);
                Vector512<float> sum = Vector512.FusedMultiplyAdd(va, Vector512.Load(a + i), Vector512.Load(y + i));
                sum = Vector512.FusedMultiplyAdd(vb, Vector512.Load(b + i), sum);
                sum = Vector512.FusedMultiplyAdd(vc, Vector512.Load(c + i), sum);
                Vector512.FusedMultiplyAdd(vd, Vector512.Load(d + i), sum).Store(y + i);
            }
        }
        else if (path == KernelPath.Vector256)
        {
            Vector256<float> va = Vector256.Create(xa), vb = Vector256.Create(xb), vc = Vector256.Create(xc), vd = Vector256.Create(xd);
            for (; i + 8 <= width; i += 8)
            {
                Vector256<float> sum = Vector256.FusedMultiplyAdd(va, Vector256.Load(a + i), Vector256.Load(y + i));
                sum = Vector256.FusedMultiplyAdd(vb, Vector256.Load(b + i), sum);
                sum = Vector256.FusedMultiplyAdd(vc, Vector256.Load(c + i), sum);
                Vector256.FusedMultiplyAdd(vd, Vector256.Load(d + i), sum).Store(y + i);
            }
        }

        for (; i < width; i++)
        {
            float sum = MathF.FusedMultiplyAdd(xa, a[i], y[i]);
            sum = MathF.FusedMultiplyAdd(xb, b[i], sum);
            sum = MathF.FusedMultiplyAdd(xc, c[i], sum);
            y[i] = MathF.FusedMultiplyAdd(xd, d[i], sum);
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Add1(float* row, float factor, float* y, int width, KernelPath path)
    {
        int i = 0;
        if (path == KernelPath.Vector512)
        {
            Vector512<float> wide = Vector512.Create(factor);
            for (; i + 16 <= width; i += 16) Vector512.FusedMultiplyAdd(wide, Vector512.Load(row + i), Vector512.Load(y + i)).Store(y + i);
        }
        else if (path == KernelPath.Vector256)
        {
            Vector256<float> wide = Vector256.Create(factor);
            for (; i + 8 <= width; i += 8) Vector256.FusedMultiplyAdd(wide, Vector256.Load(row + i), Vector256.Load(y + i)).Store(y + i);
        }

        for (; i < width; i++) y[i] = MathF.FusedMultiplyAdd(factor, row[i], y[i]);
    }

    private static void CheckPlaces(ReadOnlySpan<int> kept, int inputs)
    {
        int before = -1;
        for (int i = 0; i < kept.Length; i++)
        {
            if (kept[i] <= before || kept[i] >= inputs)
                throw new ArgumentException($"kept has {kept[i]} after {before} at {i}: places ascend strictly within 0 to {inputs - 1}.", nameof(kept));
            before = kept[i];
        }
    }

    private static void Check(Tensor tensor, string name)
    {
        if (tensor.dtype != ScalarType.Float32) throw new ArgumentException($"{name} is {tensor.dtype}; it must be Float32.", name);
        if (tensor.device_type != DeviceType.CPU) throw new ArgumentException($"{name} is on {tensor.device_type}; move it to the CPU first.", name);
        if (tensor.shape.Any(length => length > int.MaxValue)) throw new ArgumentException($"{name} is [{string.Join(", ", tensor.shape)}]; a dimension is more than {int.MaxValue}.", name);
    }
}
