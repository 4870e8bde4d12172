using System.Numerics;
using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using Sparseland.Selection;
using Sparseland.Tensors;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Kernels;

/// <summary>
/// The two products that a sparse code needs, forwards and backwards, without ever making it dense: a sparse matrix times a dense one, and
/// the entries of a dense product at the places of a sparse matrix. With n entries and width d both take 2 n d operations.
/// </summary>
/// <remarks>
/// For xhat = F W_d with the code F on a <see cref="Support"/>: decoding is <see cref="Multiply"/>(F, W_d); the gradient of F is
/// <see cref="Sampled"/>(support, G, W_d); that of W_d is <see cref="Multiply"/>(F^T, G) with <see cref="Support.Transpose"/>. A row of a
/// result is summed whole by one thread, in the order of the entries: results do not depend on the number of threads. Places that are
/// not stored are not multiplied, whatever they would meet.
/// </remarks>
public static unsafe class SparseProduct
{
    // So many multiplications are worth handing to another thread.
    private const long OneThread = 1 << 17;
    private const int MostChunks = 256;

    // Rows of whole cache lines up to this size are written past the cache into matrices from that size on.
    private const int StreamedStep = 64, StreamedRow = 1 << 15;
    private const long StreamedMatrix = 1 << 23;

    // Full products run at several times the rate of sparse ones.
    private const double DenseShare = 0.15;

    /// <summary>A sparse matrix times a dense one.</summary>
    /// <param name="support">Places of the sparse matrix [rows, columns].</param>
    /// <param name="values">[Count] in the order of <see cref="Support.ColumnIndices"/>; Float32 or Float64, on the CPU.</param>
    /// <param name="dense">[columns, width] of the same type.</param>
    /// <param name="bias">[width], added to each row; null for none.</param>
    /// <returns>[rows, width]; a row without entries is the bias, or zero.</returns>
    /// <exception cref="ArgumentException">A shape, type or device does not fit.</exception>
    public static Tensor Multiply(Support support, Tensor values, Tensor dense, Tensor? bias = null)
    {
        ArgumentNullException.ThrowIfNull(support);
        CheckValues(support, values);
        CheckMatrix(dense, support.Columns, nameof(dense), values.dtype);
        if (bias is not null && (bias.dim() != 1 || bias.shape[0] != dense.shape[1] || bias.dtype != values.dtype || bias.device_type != DeviceType.CPU))
            throw new ArgumentException($"bias must be [{dense.shape[1]}] of {values.dtype} on the CPU, but is [{string.Join(", ", bias.shape)}] of {bias.dtype}.", nameof(bias));
        using DisposeScope scope = NewDisposeScope();
        using IDisposable off = no_grad();
        if (IsDense(support, dense))
        {
            Tensor whole = ToDense(support, values);
            return (bias is null ? whole.mm(dense) : addmm(bias, whole, dense, 1, 1)).MoveToOuterDisposeScope();
        }

        Tensor result = empty([support.Rows, dense.shape[1]], dtype: values.dtype);
        Tensor start = (bias ?? zeros(dense.shape[1], dtype: values.dtype)).contiguous();
        if (values.dtype == ScalarType.Float64) Multiply<double>(support, values.contiguous(), dense.contiguous(), start, result);
        else Multiply<float>(support, values.contiguous(), dense.contiguous(), start, result);
        return result.MoveToOuterDisposeScope();
    }

    /// <summary>Adds a sparse matrix times a dense one to a matrix: target += S dense.</summary>
    /// <param name="support">Places of S [rows, columns].</param>
    /// <param name="values">[Count]; Float32 or Float64, on the CPU.</param>
    /// <param name="dense">[columns, width] of the same type.</param>
    /// <param name="target">[rows, width], contiguous; changed in place.</param>
    /// <exception cref="ArgumentException">A shape, type, device or layout does not fit.</exception>
    public static void AddTo(Support support, Tensor values, Tensor dense, Tensor target)
    {
        ArgumentNullException.ThrowIfNull(support);
        CheckValues(support, values);
        CheckMatrix(dense, support.Columns, nameof(dense), values.dtype);
        CheckMatrix(target, support.Rows, nameof(target), values.dtype);
        if (target.shape[1] != dense.shape[1] || !target.is_contiguous())
            throw new ArgumentException($"target must be [{support.Rows}, {dense.shape[1]}] and contiguous, but is [{string.Join(", ", target.shape)}]{(target.is_contiguous() ? "" : " with other strides")}.", nameof(target));
        using DisposeScope scope = NewDisposeScope();
        using IDisposable off = no_grad();
        if (IsDense(support, dense)) target.addmm_(ToDense(support, values), dense);
        else if (values.dtype == ScalarType.Float64) Multiply<double>(support, values.contiguous(), dense.contiguous(), null, target);
        else Multiply<float>(support, values.contiguous(), dense.contiguous(), null, target);
    }

    /// <summary>The sparse matrix as a dense one.</summary>
    /// <param name="support">Places [rows, columns].</param>
    /// <param name="values">[Count]; Float32 or Float64, on the CPU.</param>
    /// <returns>[rows, columns], zero elsewhere.</returns>
    /// <exception cref="ArgumentException">A shape, type or device does not fit.</exception>
    public static Tensor ToDense(Support support, Tensor values)
    {
        ArgumentNullException.ThrowIfNull(support);
        CheckValues(support, values);
        using DisposeScope scope = NewDisposeScope();
        using IDisposable off = no_grad();
        Tensor result = empty([support.Rows, support.Columns], dtype: values.dtype);
        if (values.dtype == ScalarType.Float64) Scatter<double>(support, values.contiguous(), result);
        else Scatter<float>(support, values.contiguous(), result);
        return result.MoveToOuterDisposeScope();
    }

    /// <summary>The entries of left right^T at the places of a support.</summary>
    /// <param name="support">Places [rows, columns].</param>
    /// <param name="left">[rows, width]; Float32 or Float64, on the CPU.</param>
    /// <param name="right">[columns, width] of the same type.</param>
    /// <returns>[Count]: of each entry (r, c) the inner product of left[r] and right[c], in the order of <see cref="Support.ColumnIndices"/>.</returns>
    /// <exception cref="ArgumentException">A shape, type or device does not fit.</exception>
    public static Tensor Sampled(Support support, Tensor left, Tensor right)
    {
        ArgumentNullException.ThrowIfNull(support);
        ArgumentNullException.ThrowIfNull(left);
        CheckMatrix(left, support.Rows, nameof(left), left.dtype);
        CheckMatrix(right, support.Columns, nameof(right), left.dtype);
        if (left.shape[1] != right.shape[1])
            throw new ArgumentException($"left is [{string.Join(", ", left.shape)}] and right [{string.Join(", ", right.shape)}]; their widths must agree.", nameof(right));
        using DisposeScope scope = NewDisposeScope();
        using IDisposable off = no_grad();
        if (IsDense(support))
        {
            return support.Gather(left.mm(right.t())).MoveToOuterDisposeScope();
        }

        Tensor result = empty(support.Count, dtype: left.dtype);
        if (left.dtype == ScalarType.Float64) Sampled<double>(support, left.contiguous(), right.contiguous(), result);
        else Sampled<float>(support, left.contiguous(), right.contiguous(), result);
        return result.MoveToOuterDisposeScope();
    }

    /// <summary>So full that the dense product, which skips nothing, is done sooner.</summary>
    private static bool IsDense(Support support) => support.Count > DenseShare * support.Rows * support.Columns && (long)support.Rows * support.Columns >= 1 << 12;

    // A row is cleared and filled while it is in the cache. A matrix that no cache holds gets its rows past it, from a line of the thread's: what is written is not read first.
    private static void Scatter<T>(Support support, Tensor values, Tensor matrix)
        where T : unmanaged
    {
        (nint source, nint target) = (TensorMemory.StartOf(values), TensorMemory.StartOf(matrix));
        int columns = support.Columns, bytes = columns * sizeof(T);
        if (target % StreamedStep == 0 && bytes % StreamedStep == 0 && bytes <= StreamedRow && (long)support.Rows * bytes >= StreamedMatrix)
        {
            EachRow(support, (long)support.Rows * columns, (row, places, from) => Stream(places, (T*)source + from, (T*)target + ((long)row * columns), columns));
            return;
        }

        EachRow(support, (long)support.Rows * columns, (row, places, from) => Fill(places, (T*)source + from, new((T*)target + ((long)row * columns), columns)));
    }

    private static void Fill<T>(ReadOnlySpan<int> places, T* values, Span<T> line)
        where T : unmanaged
    {
        line.Clear();
        for (int k = 0; k < places.Length; k++) line[places[k]] = values[k];
    }

    // Without the zeros that the runtime would put into the line first: it is cleared to its length.
    [SkipLocalsInit]
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Stream<T>(ReadOnlySpan<int> places, T* values, T* target, int columns)
        where T : unmanaged
    {
        byte* held = stackalloc byte[StreamedRow + StreamedStep];
        byte* line = (byte*)(((nint)held + StreamedStep - 1) / StreamedStep * StreamedStep);
        Fill(places, values, new((T*)line, columns));
        for (int i = 0; i < columns * sizeof(T); i += StreamedStep) Vector512.StoreAlignedNonTemporal(Vector512.LoadAligned(line + i), (byte*)target + i);

        // Such stores are not in order with others.
        Thread.MemoryBarrier();
    }

    // Without a start the sums begin with what the result holds.
    private static void Multiply<T>(Support support, Tensor values, Tensor dense, Tensor? start, Tensor result)
        where T : unmanaged, IFloatingPointIeee754<T>
    {
        int width = (int)dense.shape[1];
        (nint v, nint m, nint s, nint t) = (TensorMemory.StartOf(values), TensorMemory.StartOf(dense), start is null ? 0 : TensorMemory.StartOf(start), TensorMemory.StartOf(result));
        EachRow(support, (long)support.Count * width, (row, places, from) =>
        {
            T* target = (T*)t + ((long)row * width);
            if (s == 0 && places.IsEmpty) return;
            fixed (int* place = places) SparseStrips.Row(place, (T*)v + from, places.Length, s == 0 ? target : (T*)s, (T*)m, target, width);
        });
    }

    private static void Sampled<T>(Support support, Tensor left, Tensor right, Tensor result)
        where T : unmanaged, IFloatingPointIeee754<T>
    {
        int width = (int)left.shape[1];
        (nint a, nint b, nint t) = (TensorMemory.StartOf(left), TensorMemory.StartOf(right), TensorMemory.StartOf(result));
        EachRow(support, (long)support.Count * width, (row, places, from) =>
        {
            fixed (int* place = places) SampleRow((T*)a + ((long)row * width), (T*)b, place, places.Length, (T*)t + from, width);
        });
    }

    // Four inner products at a time: they share the loads of the left row and do not wait for each other.
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void SampleRow<T>(T* left, T* right, int* places, int n, T* result, int width)
        where T : unmanaged, IFloatingPointIeee754<T>
    {
        int step = Vector512<T>.Count, whole = width / step * step, k = 0;
        for (; k + 4 <= n; k += 4)
        {
            T* r0 = right + ((long)places[k] * width), r1 = right + ((long)places[k + 1] * width);
            T* r2 = right + ((long)places[k + 2] * width), r3 = right + ((long)places[k + 3] * width);
            Vector512<T> s0 = default, s1 = default, s2 = default, s3 = default;
            for (int i = 0; i < whole; i += step)
            {
                Vector512<T> x = Vector512.Load(left + i);
                s0 = SparseStrips.MultiplyAdd(x, Vector512.Load(r0 + i), s0);
                s1 = SparseStrips.MultiplyAdd(x, Vector512.Load(r1 + i), s1);
                s2 = SparseStrips.MultiplyAdd(x, Vector512.Load(r2 + i), s2);
                s3 = SparseStrips.MultiplyAdd(x, Vector512.Load(r3 + i), s3);
            }

            result[k] = Rest(left, r0, Vector512.Sum(s0), whole, width);
            result[k + 1] = Rest(left, r1, Vector512.Sum(s1), whole, width);
            result[k + 2] = Rest(left, r2, Vector512.Sum(s2), whole, width);
            result[k + 3] = Rest(left, r3, Vector512.Sum(s3), whole, width);
        }

        for (; k < n; k++)
        {
            T* r = right + ((long)places[k] * width);
            Vector512<T> s = default;
            for (int i = 0; i < whole; i += step) s = SparseStrips.MultiplyAdd(Vector512.Load(left + i), Vector512.Load(r + i), s);
            result[k] = Rest(left, r, Vector512.Sum(s), whole, width);
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static T Rest<T>(T* left, T* right, T sum, int from, int width)
        where T : unmanaged, IFloatingPointIeee754<T>
    {
        for (int i = from; i < width; i++) sum = T.FusedMultiplyAdd(left[i], right[i], sum);
        return sum;
    }

    private delegate void RowWork(int row, ReadOnlySpan<int> places, int from);

    private static void EachRow(Support support, long steps, RowWork work)
    {
        int rows = support.Rows, chunks = (int)Math.Clamp(steps / OneThread, 1, Math.Min(MostChunks, Math.Max(1, rows)));
        _ = support.ColumnIndices;
        void Chunk(long c)
        {
            ReadOnlySpan<int> offsets = support.RowOffsets, places = support.ColumnIndices;
            for (int row = (int)(rows * c / chunks), to = (int)(rows * (c + 1) / chunks); row < to; row++)
                work(row, places[offsets[row]..offsets[row + 1]], offsets[row]);
        }

        Pieces.Each(chunks, Chunk);
    }

    /// <summary>So full, and all numbers that zeros would meet are finite: what is not stored is not multiplied.</summary>
    private static bool IsDense(Support support, Tensor dense) => IsDense(support) && TensorInput.IsFinite(dense);

    private static void CheckValues(Support support, Tensor values)
    {
        ArgumentNullException.ThrowIfNull(values);
        CheckKind(values, nameof(values));
        if (values.dim() != 1 || values.shape[0] != support.Count)
            throw new ArgumentException($"values must be [{support.Count}], one per entry of the support, but are [{string.Join(", ", values.shape)}].", nameof(values));
    }

    private static void CheckMatrix(Tensor matrix, int rows, string name, ScalarType type)
    {
        ArgumentNullException.ThrowIfNull(matrix, name);
        CheckKind(matrix, name);
        if (matrix.dim() != 2 || matrix.shape[0] != rows)
            throw new ArgumentException($"{name} must be [{rows}, width] for this support, but is [{string.Join(", ", matrix.shape)}].", name);
        if (matrix.dtype != type)
            throw new ArgumentException($"{name} is {matrix.dtype}, the others are {type}; they must agree.", name);
    }

    private static void CheckKind(Tensor tensor, string name)
    {
        if (tensor.dtype is not (ScalarType.Float32 or ScalarType.Float64))
            throw new ArgumentException($"{name} is {tensor.dtype}; it must be Float32 or Float64.", name);
        if (tensor.device_type != DeviceType.CPU)
            throw new ArgumentException($"{name} is on {tensor.device_type}; move it to the CPU first.", name);
    }
}
