using Sparseland.Kernels;
using TorchSharp;
using static TorchSharp.torch;

namespace Benchmarks.Kernels;

/// <summary>
/// Sparse times sparse, A A, on skewed (R-MAT) and uniform matrices, against scipy (one thread, its sort of the columns included, as ours are sorted) and SuiteSparse:GraphBLAS (as many threads
/// as here, waited for). Structure and values are compared before the clock runs.
/// </summary>
public class SpGemmBenchmark : IQuickBenchmark
{
    private const string GraphBlas = """
        from suitesparse_graphblas import lib, ffi
        gb.initialize(blocking=False)
        def put(p, i, v, n):
            p, i, v = p.astype(np.uint64), i.astype(np.uint64), v.astype(np.float32)
            A = ffi.new("GrB_Matrix*")
            assert lib.GrB_Matrix_import_FP32(A, lib.GrB_FP32, n, n, ffi.cast("GrB_Index*", ffi.from_buffer(p)), ffi.cast("GrB_Index*", ffi.from_buffer(i)), ffi.cast("float*", ffi.from_buffer(v)), len(p), len(i), len(v), lib.GrB_CSR_FORMAT) == 0
            return A
        def product(A, n):
            C = ffi.new("GrB_Matrix*")
            lib.GrB_Matrix_new(C, lib.GrB_FP32, n, n)
            assert lib.GrB_mxm(C[0], ffi.NULL, ffi.NULL, lib.GrB_PLUS_TIMES_SEMIRING_FP32, A[0], A[0], ffi.NULL) == 0
            lib.GrB_Matrix_wait(C[0], lib.GrB_MATERIALIZE)
            count = ffi.new("GrB_Index*")
            lib.GrB_Matrix_nvals(count, C[0])
            lib.GrB_Matrix_free(C)
            return int(count[0])
        """;

    /// <inheritdoc/>
    public IEnumerable<Comparison> Comparisons()
    {
        (string Name, CsrMatrix Matrix)[] matrices =
        [
            ("R-MAT 2^14, 160 k", SparseMatrices.RMat(14, 160_000)), ("R-MAT 2^15, 400 k", SparseMatrices.RMat(15, 400_000)), ("R-MAT 2^16, 640 k", SparseMatrices.RMat(16, 640_000)),
            ("uniform 2^14, 160 k", SparseMatrices.Uniform(1 << 14, 1 << 14, 160_000)), ("uniform 2^16, 640 k", SparseMatrices.Uniform(1 << 16, 1 << 16, 640_000)),
        ];
        foreach ((string name, CsrMatrix a) in matrices)
        {
            using PythonPeer? scipy = PythonPeer.Start("import numpy as np, scipy.sparse as sp");
            using PythonPeer? graph = PythonPeer.Start("import numpy as np, suitesparse_graphblas as gb");
            foreach (PythonPeer peer in new[] { scipy, graph }.OfType<PythonPeer>())
            {
                using Tensor offsets = tensor(a.RowOffsets.ToArray()), columns = tensor(a.ToSupport().ColumnIndices.ToArray()), values = tensor(a.Values.ToArray());
                peer.Put("p", offsets);
                peer.Put("i", columns);
                peer.Put("v", values);
                peer.Run("p, i, v = p.astype(np.int32), i.astype(np.int32), v.astype(np.float32)");
            }

            CsrMatrix c = SpGemm.Multiply(a, a);
            graph?.Run(GraphBlas);
            graph?.Run($"lib.GxB_Global_Option_set_INT32(lib.GxB_GLOBAL_NTHREADS, {get_num_threads()}) if hasattr(lib, 'GxB_Global_Option_set_INT32') else None\nA = put(p, i, v, {a.Rows})\nassert product(A, {a.Rows}) == {c.Count}");
            scipy?.Run($"A = sp.csr_matrix((v, i, p), shape=({a.Rows}, {a.Columns}))\ndef product():\n    C = A @ A\n    C.sort_indices()\n    return C");
            if (scipy is not null) Same(scipy, c);
            string products = $"{SpGemm.Work(a, a)[^1] / 1e6:0.0} M products";
            yield return new($"A A, {name}, {products}, all threads", () => SpGemm.Multiply(a, a), "scipy, sorted", scipy is null ? null : () => scipy.Run("C = product()"), 2);
            yield return new($"A A, {name}, {products}, one thread", () => SpGemm.Multiply(a, a, new() { Threads = 1 }), "scipy, sorted", scipy is null ? null : () => scipy.Run("C = product()"));
            yield return new($"A A, {name}, {products}, all threads", () => SpGemm.Multiply(a, a), "GraphBLAS, as many threads", graph is null ? null : () => graph.Run($"product(A, {a.Rows})"), 1);
            foreach (Accumulator kind in new[] { Accumulator.Dense, Accumulator.Hash, Accumulator.Merge })
                yield return new($"A A, {name}, accumulator {kind}", () => SpGemm.Multiply(a, a, new() { Accumulator = kind }), "Auto here", () => SpGemm.Multiply(a, a));
        }
    }

    private static void Same(PythonPeer scipy, CsrMatrix c)
    {
        using Tensor offsets = tensor(c.RowOffsets.ToArray()), columns = tensor(c.ToSupport().ColumnIndices.ToArray()), values = tensor(c.Values.ToArray());
        scipy.Put("cp", offsets);
        scipy.Put("ci", columns);
        scipy.Put("cv", values);
        scipy.Run("C = product()\nassert (C.indptr == cp).all() and (C.indices == ci).all() and np.allclose(C.data, cv, rtol=1e-3, atol=1e-4)");
    }
}
