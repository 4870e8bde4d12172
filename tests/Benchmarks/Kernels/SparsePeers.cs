using System.Diagnostics;
using Sparseland.Kernels;
using TorchSharp;
using static TorchSharp.torch;

namespace Benchmarks.Kernels;

/// <summary>
/// One sparse matrix in scipy and in SuiteSparse:GraphBLAS, with 32-bit columns in the first and 64-bit ones in the second (before its version 10), in as many copies as are wanted: cold means that all
/// copies together, walked over in turn, do not fit the caches. A call is <see cref="Products"/> products, so that handing it over does not count.
/// </summary>
internal sealed class SparsePeers : IDisposable
{
    /// <summary>Products of one call.</summary>
    public const int Products = 12;

    private const double ColdBytes = 256e6;
    private const string GraphBlas = """
        from suitesparse_graphblas import lib, ffi
        gb.initialize(blocking=False)
        def put(p, i, v, n, m):
            p, i, v = p.astype(np.uint64), i.astype(np.uint64), v.astype(np.float32)
            A = ffi.new("GrB_Matrix*")
            assert lib.GrB_Matrix_import_FP32(A, lib.GrB_FP32, n, m, ffi.cast("GrB_Index*", ffi.from_buffer(p)), ffi.cast("GrB_Index*", ffi.from_buffer(i)), ffi.cast("float*", ffi.from_buffer(v)), len(p), len(i), len(v), lib.GrB_CSR_FORMAT) == 0
            lib.GrB_Matrix_wait(A[0], lib.GrB_MATERIALIZE)
            return A
        def full(X):
            n, m = X.shape
            A = put(np.arange(n + 1) * m, np.tile(np.arange(m), n), X.ravel(), n, m)
            lib.GxB_Matrix_Option_set_INT32(A[0], lib.GxB_SPARSITY_CONTROL, lib.GxB_FULL)
            lib.GrB_Matrix_wait(A[0], lib.GrB_MATERIALIZE)
            return A
        def product(A, B, n, m):
            C = ffi.new("GrB_Matrix*")
            lib.GrB_Matrix_new(C, lib.GrB_FP32, n, m)
            assert lib.GrB_mxm(C[0], ffi.NULL, ffi.NULL, lib.GrB_PLUS_TIMES_SEMIRING_FP32, A[0], B[0], ffi.NULL) == 0
            lib.GrB_Matrix_wait(C[0], lib.GrB_MATERIALIZE)
            return C
        def sums(C):
            out = ffi.new("float*")
            lib.GrB_Matrix_reduce_FP32(out, ffi.NULL, lib.GrB_PLUS_MONOID_FP32, C[0], ffi.NULL)
            return float(out[0])
        """;

    private readonly PythonPeer? _scipy = PythonPeer.Start("import numpy as np, scipy.sparse as sp");
    private readonly PythonPeer? _graph = PythonPeer.Start("import numpy as np, suitesparse_graphblas as gb");

    /// <summary>Hands a matrix and the vectors [columns, n] over; the products are compared with libtorch's.</summary>
    public SparsePeers(CsrMatrix a, Tensor X, bool cold)
    {
        int n = (int)X.shape[1];
        using Tensor offsets = tensor(a.RowOffsets.ToArray()), columns = tensor(a.ToSupport().ColumnIndices.ToArray()), values = tensor(a.Values.ToArray()), dense = a.ToDense(), expected = dense.mm(X);
        foreach (PythonPeer peer in new[] { _scipy, _graph }.OfType<PythonPeer>())
        {
            peer.Put("p", offsets);
            peer.Put("i", columns);
            peer.Put("v", values);
            peer.Put("X", X);
            peer.Put("Y", expected);
            peer.Run("p, i, v, X, Y = p.astype(np.int32), i.astype(np.int32), v.astype(np.float32), X.astype(np.float32), Y.astype(np.float32)");
        }

        string vectors = n == 1 ? "x = np.ascontiguousarray(X[:, 0]); Y = Y[:, 0]" : "x = np.ascontiguousarray(X)";
        _scipy?.Run($"A = [sp.csr_matrix((v.copy(), i.copy(), p.copy()), shape=({a.Rows}, {a.Columns})) for _ in range({(cold ? Copies(8.0 * a.Count) : 1)})]\n{vectors}\nassert A[0].indices.dtype == np.int32 and A[0].dtype == np.float32\nassert np.allclose(A[0] @ x, Y, atol=1e-2)\nk = 0");
        _graph?.Run(GraphBlas);
        _graph?.Run($"lib.GxB_Global_Option_set_INT32(lib.GxB_GLOBAL_NTHREADS, {get_num_threads()}) if hasattr(lib, 'GxB_Global_Option_set_INT32') else None\nA = [put(p, i, v, {a.Rows}, {a.Columns}) for _ in range({(cold ? Copies(12.0 * a.Count) : 1)})]\nB = full(X)\nC = product(A[0], B, {a.Rows}, {n})\nassert abs(sums(C) - Y.sum()) < 1e-3 * np.abs(Y).sum()\nlib.GrB_Matrix_free(C)\nk = 0");
        if (_scipy is not null) Scipy = () => _scipy.Run($"for _ in range({Products}):\n    k += 1\n    y = A[k % len(A)] @ x");
        if (_graph is not null) Graph = () => _graph.Run($"for _ in range({Products}):\n    k += 1\n    C = product(A[k % len(A)], B, {a.Rows}, {n})\n    lib.GrB_Matrix_free(C)");
    }

    public Action? Scipy { get; }

    public Action? Graph { get; }

    /// <summary>Copies that the caches do not hold together.</summary>
    public static int Copies(double bytes) => (int)Math.Clamp(Math.Ceiling(ColdBytes / bytes), 1, 64);

    /// <summary>So many products, the copies in turn.</summary>
    public static Action Walk<T>(T[] copies, Action<T> product)
    {
        int k = 0;
        return () =>
        {
            for (int i = 0; i < Products; i++) product(copies[k++ % copies.Length]);
        };
    }

    /// <summary>Share of the machine's bandwidth, and the load that it was measured under.</summary>
    public static string Share(Action walk, double bytes, bool cold)
    {
        double best = double.PositiveInfinity;
        for (int i = 0; i < 7; i++)
        {
            long start = Stopwatch.GetTimestamp();
            walk();
            best = Math.Min(best, Stopwatch.GetElapsedTime(start).TotalSeconds / Products);
        }

        MachineLimits limits = MachineLimits.Measure();
        string load = File.Exists("/proc/loadavg") ? File.ReadAllText("/proc/loadavg").Split(' ')[0] : "?";
        return FormattableString.Invariant($"best {best * 1e3:0.000} ms a product, {bytes / 1e6:0.0} MB at {bytes / best / 1e9:0.0} GB/s, {bytes / best / limits.MemoryBandwidth:0%} of what memory gives{(cold ? "" : " (caches hold it)")}, load {load}");
    }

    public void Dispose()
    {
        _scipy?.Dispose();
        _graph?.Dispose();
    }
}
