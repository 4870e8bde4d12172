using System.Buffers;
using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using Sparseland.Kernels;
using Sparseland.Tensors;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Attention;

/// <summary>
/// softmax(Q K^T) V over the keys of a <see cref="BlockSupport"/>, block of queries by block of queries, keys in tiles with a running maximum and sum (online softmax), so
/// that scores of a tile are all that is ever in memory. Scores stand transposed, keys by queries: keys are then read where they lie, in ranges or one by one, and
/// maxima and sums run over vectors of queries.
/// </summary>
internal static unsafe class BlockKernel
{
    /// <summary>Keys of a tile: scores, keys and values of one fit the fast memory of a core.</summary>
    private const int TileKeys = 48;

    /// <summary>A log-sum-exp above this, rounded to float32, gives weights that are off by more than 1e-5.</summary>
    private const float Coarse = 64;
    private const double Log2E = 1.4426950408889634, Ln2 = 0.6931471805599453;

    /// <summary>Output [batch, heads, tokens, valueDim] and log-sum-exp [batch, heads, tokens] of float32 tensors on the CPU. Blocks: one for all heads, one a head, or one for each head of each sequence.</summary>
    public static (Tensor Output, Tensor LogSumExp) Forward(Tensor q, Tensor k, Tensor v, AttentionShape shape, IReadOnlyList<BlockSupport> blocks, double scale, bool causal, KernelPath? path = null) =>
        (path ?? KernelPaths.Widest) switch
        {
            KernelPath.Vector512 => Work<Vector512<float>, Lanes16>.Forward(q, k, v, shape, blocks, scale, causal),
            KernelPath.Vector256 => Work<Vector256<float>, Lanes8>.Forward(q, k, v, shape, blocks, scale, causal),
            _ => Work<float, Lanes1>.Forward(q, k, v, shape, blocks, scale, causal),
        };

    /// <summary>Gradients of queries, keys and values.</summary>
    public static (Tensor Queries, Tensor Keys, Tensor Values) Backward(
        Tensor q, Tensor k, Tensor v, Tensor output, Tensor logSumExp, Tensor gradient, AttentionShape shape, IReadOnlyList<BlockSupport> blocks, double scale, bool causal, KernelPath? path = null) =>
        (path ?? KernelPaths.Widest) switch
        {
            KernelPath.Vector512 => Work<Vector512<float>, Lanes16>.Backward(q, k, v, output, logSumExp, gradient, shape, blocks, scale, causal),
            KernelPath.Vector256 => Work<Vector256<float>, Lanes8>.Backward(q, k, v, output, logSumExp, gradient, shape, blocks, scale, causal),
            _ => Work<float, Lanes1>.Backward(q, k, v, output, logSumExp, gradient, shape, blocks, scale, causal),
        };

    /// <summary>The blocks of one head of one sequence.</summary>
    private static BlockSupport At(IReadOnlyList<BlockSupport> blocks, int batch, int head, int heads) =>
        blocks[blocks.Count == 1 ? 0 : blocks.Count == heads ? head : (batch * heads) + head];

    private static class Work<V, L>
        where V : unmanaged
        where L : struct, ILanes<V>
    {
        private static int Wide => ScoreTiles<V, L>.Columns;

        private static int Up(int count, int multiple) => (count + multiple - 1) / multiple * multiple;

        public static (Tensor Output, Tensor LogSumExp) Forward(Tensor q, Tensor k, Tensor v, AttentionShape shape, IReadOnlyList<BlockSupport> blocks, double scale, bool causal)
        {
            using DisposeScope scope = NewDisposeScope();
            HeadMemory queries = HeadMemory.Of(q, 1, out Tensor qHeld), keys = HeadMemory.Of(k, 1, out Tensor kHeld), values = HeadMemory.Of(v, Wide, out Tensor vHeld);
            Tensor output = empty([shape.Batch, shape.Heads, shape.Tokens, shape.ValueDim]), logSumExp = empty([shape.Batch, shape.Heads, shape.Tokens]);
            float* to = (float*)TensorMemory.Address(output), sums = (float*)TensorMemory.Address(logSumExp);

            // Pieces: a block of queries of one head, heads one after another, so that threads share the keys of a head.
            int[] first = new int[(shape.Batch * shape.Heads) + 1];
            for (int h = 0; h < first.Length - 1; h++) first[h + 1] = checked(first[h] + At(blocks, h / shape.Heads, h % shape.Heads, shape.Heads).BlockRows);
            IndependentWork.For(first[^1], piece =>
            {
                int at = Array.BinarySearch(first, piece);
                at = at >= 0 ? at : ~at - 1;
                int batch = at / shape.Heads, head = at % shape.Heads, shared = head / shape.Group, row = piece - first[at];
                BlockSupport support = At(blocks, batch, head, shape.Heads);
                int from = row * support.Block;
                BlockOfQueries(
                    shape, support, row, (float)(scale * Log2E), causal, queries.Head(batch, head) + (from * queries.Row), queries.Row, keys.Head(batch, shared), keys.Row,
                    values.Head(batch, shared), values.Row, to + ((((long)at * shape.Tokens) + from) * shape.ValueDim), sums + ((long)at * shape.Tokens) + from);
            }, CancellationToken.None);
            GC.KeepAlive(qHeld);
            GC.KeepAlive(kHeld);
            GC.KeepAlive(vHeld);
            return (scope.MoveToOuter(output), scope.MoveToOuter(logSumExp));
        }

        [MethodImpl(MethodImplOptions.AggressiveOptimization)]
        private static void BlockOfQueries(
            AttentionShape shape, BlockSupport support, int row, float scale, bool causal, float* q, long qRow, float* k, long kRow, float* v, long vRow, float* output, float* logSumExp)
        {
            int rows = support.RowsOf(row), lanes = Up(rows, Wide), width = Up(shape.ValueDim, Wide), apart = lanes + (2 * L.Count), tall = Up(rows, ScoreTiles<V, L>.Rows);
            int size = (lanes * shape.HeadDim) + (TileKeys * apart) + (tall * width) + (3 * lanes);
            float[] rented = ArrayPool<float>.Shared.Rent(size + 16);
            fixed (float* start = rented)
            {
                float* panels = Aligned(start), scores = panels + (lanes * shape.HeadDim), sums = scores + (TileKeys * apart), most = sums + (tall * width), total = most + lanes, factor = total + lanes;
                Pack(q, qRow, rows, shape.HeadDim, scale, panels, lanes);
                new Span<float>(sums, tall * width).Clear();
                new Span<float>(most, lanes).Fill(float.NegativeInfinity);
                new Span<float>(total, lanes).Clear();
                int* indices = stackalloc int[TileKeys];
                float** kAt = stackalloc float*[TileKeys], vAt = stackalloc float*[TileKeys];
                var tiles = new Tiles(support, row);
                int firstKey = (row * support.Block) + support.Offset;
                for (int n; (n = tiles.Next(indices)) > 0;)
                {
                    Point(indices, n, k, kRow, kAt);
                    Point(indices, n, v, vRow, vAt);
                    Products(kAt, n, shape.HeadDim, panels, lanes, scores, apart);
                    if (causal) Hide(indices, n, firstKey, lanes, scores, apart);
                    Weigh(scores, apart, n, lanes, most, total, factor);
                    Rescale(sums, rows, width, factor);
                    for (int r = 0; r < tall; r += ScoreTiles<V, L>.Rows)
                    {
                        for (int c = 0; c < width; c += Wide) ScoreTiles<V, L>.ByColumns(scores + r, apart, n, vAt, c, sums + (r * width) + c, width);
                    }
                }

                Finish(sums, rows, width, shape.ValueDim, most, total, output, logSumExp);
            }

            ArrayPool<float>.Shared.Return(rented);
        }

        public static (Tensor Queries, Tensor Keys, Tensor Values) Backward(
            Tensor q, Tensor k, Tensor v, Tensor output, Tensor logSumExp, Tensor gradient, AttentionShape shape, IReadOnlyList<BlockSupport> blocks, double scale, bool causal)
        {
            using DisposeScope scope = NewDisposeScope();
            // Widths are filled up, so that whole vectors can be read and added.
            HeadMemory queries = HeadMemory.Of(q, Wide, out Tensor qHeld), keys = HeadMemory.Of(k, Wide, out Tensor kHeld), values = HeadMemory.Of(v, Wide, out Tensor vHeld);
            HeadMemory outputs = HeadMemory.Of(output, 1, out Tensor oHeld), gradients = HeadMemory.Of(gradient, Wide, out Tensor gHeld);
            int wide = Up(shape.HeadDim, Wide), valueWide = Up(shape.ValueDim, Wide);
            Tensor dq = zeros([shape.Batch, shape.Heads, shape.Tokens, wide]), dk = zeros([shape.Batch, shape.KeyValueHeads, shape.Keys, wide]), dv = zeros([shape.Batch, shape.KeyValueHeads, shape.Keys, valueWide]);
            float* toQ = (float*)TensorMemory.Address(dq), toK = (float*)TensorMemory.Address(dk), toV = (float*)TensorMemory.Address(dv);
            Tensor dense = logSumExp.contiguous();
            float* sums = (float*)TensorMemory.Address(dense);

            // Heads that share keys add to the same gradients, so they are one piece.
            IndependentWork.For(shape.Batch * shape.KeyValueHeads, piece =>
            {
                int batch = piece / shape.KeyValueHeads, shared = piece % shape.KeyValueHeads;
                for (int g = 0; g < shape.Group; g++)
                {
                    int head = (shared * shape.Group) + g, at = (batch * shape.Heads) + head;
                    BlockSupport support = At(blocks, batch, head, shape.Heads);
                    for (int row = 0; row < support.BlockRows; row++)
                    {
                        int from = row * support.Block;
                        var place = new GradientPlace(
                            queries.Head(batch, head) + (from * queries.Row), queries.Row, keys.Head(batch, shared), keys.Row, values.Head(batch, shared), values.Row,
                            outputs.Head(batch, head) + (from * outputs.Row), outputs.Row, gradients.Head(batch, head) + (from * gradients.Row), gradients.Row,
                            sums + ((long)at * shape.Tokens) + from, toQ + ((((long)at * shape.Tokens) + from) * wide), toK + ((long)piece * shape.Keys * wide), toV + ((long)piece * shape.Keys * valueWide));
                        GradientsOfBlock(shape, support, row, (float)scale, causal, place);
                    }
                }
            }, CancellationToken.None);
            foreach (Tensor held in new[] { qHeld, kHeld, vHeld, oHeld, gHeld, dense }) GC.KeepAlive(held);
            Tensor Cut(Tensor x, int width) => scope.MoveToOuter(x.shape[3] == width ? x : x.narrow(3, 0, width).contiguous());
            return (Cut(dq, shape.HeadDim), Cut(dk, shape.HeadDim), Cut(dv, shape.ValueDim));
        }

        [MethodImpl(MethodImplOptions.AggressiveOptimization)]
        private static void GradientsOfBlock(AttentionShape shape, BlockSupport support, int row, float scale, bool causal, GradientPlace place)
        {
            int rows = support.RowsOf(row), lanes = Up(rows, Wide), wide = Up(shape.HeadDim, Wide), valueWide = Up(shape.ValueDim, Wide), widest = Math.Max(wide, valueWide);
            int apart = lanes + (2 * L.Count), tall = Up(rows, ScoreTiles<V, L>.Rows);
            int size = (lanes * (shape.HeadDim + shape.ValueDim)) + (2 * TileKeys * apart) + (tall * wide) + (TileKeys * widest) + (4 * lanes);
            float[] rented = ArrayPool<float>.Shared.Rent(size + 16);
            fixed (float* start = rented)
            {
                float* panels = Aligned(start), gradients = panels + (lanes * shape.HeadDim), scores = gradients + (lanes * shape.ValueDim), changes = scores + (TileKeys * apart);
                float* dq = changes + (TileKeys * apart), tile = dq + (tall * wide), level = tile + (TileKeys * widest), mean = level + lanes, share = mean + lanes, factor = share + lanes;
                Pack(place.Q, place.QRow, rows, shape.HeadDim, scale * (float)Log2E, panels, lanes);
                Pack(place.G, place.GRow, rows, shape.ValueDim, 1, gradients, lanes);
                new Span<float>(dq, tall * wide).Clear();
                bool coarse = false;
                for (int i = 0; i < lanes; i++)
                {
                    coarse |= i < rows && float.IsFinite(place.LogSumExp[i]) && MathF.Abs(place.LogSumExp[i]) > Coarse;
                    share[i] = 1;

                    // A query without keys has weights of 2^-infinity.
                    level[i] = i < rows && !float.IsNegativeInfinity(place.LogSumExp[i]) ? (float)(place.LogSumExp[i] * Log2E) : float.PositiveInfinity;
                    mean[i] = 0;
                    for (int c = 0; c < shape.ValueDim && i < rows; c++) mean[i] += place.O[(i * place.ORow) + c] * place.G[(i * place.GRow) + c];
                }

                int* indices = stackalloc int[TileKeys];
                float** kAt = stackalloc float*[TileKeys], vAt = stackalloc float*[TileKeys], pAt = stackalloc float*[TileKeys], sAt = stackalloc float*[TileKeys];
                for (int j = 0; j < TileKeys; j++)
                {
                    pAt[j] = scores + (j * apart);
                    sAt[j] = changes + (j * apart);
                }

                var tiles = new Tiles(support, row);
                int firstKey = (row * support.Block) + support.Offset;
                if (coarse)
                {
                    // Once through the keys as forward, for the maximum and the sum themselves.
                    new Span<float>(level, lanes).Fill(float.NegativeInfinity);
                    new Span<float>(share, lanes).Clear();
                    var before = new Tiles(support, row);
                    for (int n; (n = before.Next(indices)) > 0;)
                    {
                        Point(indices, n, place.K, place.KRow, kAt);
                        Products(kAt, n, shape.HeadDim, panels, lanes, scores, apart);
                        if (causal) Hide(indices, n, firstKey, lanes, scores, apart);
                        Weigh(scores, apart, n, lanes, level, share, factor);
                    }

                    for (int i = 0; i < lanes; i++) (level[i], share[i]) = i < rows && share[i] > 0 ? (level[i], 1 / share[i]) : (float.PositiveInfinity, 0);
                }

                for (int n; (n = tiles.Next(indices)) > 0;)
                {
                    Point(indices, n, place.K, place.KRow, kAt);
                    Point(indices, n, place.V, place.VRow, vAt);
                    Products(kAt, n, shape.HeadDim, panels, lanes, scores, apart);
                    if (causal) Hide(indices, n, firstKey, lanes, scores, apart);
                    Products(vAt, n, shape.ValueDim, gradients, lanes, changes, apart);
                    Changes(scores, changes, apart, n, lanes, level, share, mean);
                    AddRows(pAt, n, rows, place.G, place.GRow, valueWide, tile, indices, place.DV, 1);
                    AddRows(sAt, n, rows, place.Q, place.QRow, wide, tile, indices, place.DK, scale);
                    for (int r = 0; r < tall; r += ScoreTiles<V, L>.Rows)
                    {
                        for (int c = 0; c < wide; c += Wide) ScoreTiles<V, L>.ByColumns(changes + r, apart, n, kAt, c, dq + (r * wide) + c, wide);
                    }
                }

                for (int i = 0; i < rows * wide; i++) place.DQ[i] = scale * dq[i];
            }

            ArrayPool<float>.Shared.Return(rented);
        }

        /// <summary>target[index of j] += factor * (weights of key j) times the rows of b, for all keys of a tile.</summary>
        private static void AddRows(float** weights, int n, int rows, float* b, long stride, int width, float* tile, int* indices, float* target, float factor)
        {
            float** six = stackalloc float*[ScoreTiles<V, L>.Rows];
            V by = L.Broadcast(factor);
            for (int j = 0; j < n; j += ScoreTiles<V, L>.Rows)
            {
                for (int r = 0; r < ScoreTiles<V, L>.Rows; r++) six[r] = weights[Math.Min(j + r, n - 1)];
                for (int c = 0; c < width; c += Wide) ScoreTiles<V, L>.ByRows(six, rows, b + c, stride, tile + (j * width) + c, width);
            }

            for (int j = 0; j < n; j++)
            {
                float* to = target + ((long)indices[j] * width), from = tile + (j * width);
                for (int c = 0; c < width; c += L.Count) L.Store(to + c, L.MultiplyAdd(by, L.Load(from + c), L.Load(to + c)));
            }
        }

        /// <summary>Queries times a factor, [lanes / columns][headDim][columns], zeros behind the last.</summary>
        private static void Pack(float* q, long qRow, int rows, int headDim, float scale, float* panels, int lanes)
        {
            for (int lane = 0; lane < lanes; lane++)
            {
                float* to = panels + ((long)(lane / Wide) * headDim * Wide) + (lane % Wide);
                for (int c = 0; c < headDim; c++) to[(long)c * Wide] = lane < rows ? q[(lane * qRow) + c] * scale : 0;
            }
        }

        /// <summary>scores[key][query] of a tile.</summary>
        [MethodImpl(MethodImplOptions.AggressiveOptimization)]
        private static void Products(float** rows, int n, int depth, float* panels, int lanes, float* scores, int apart)
        {
            float** six = stackalloc float*[ScoreTiles<V, L>.Rows];
            for (int j = 0; j < n; j += ScoreTiles<V, L>.Rows)
            {
                // Behind the last key its products are written again, in rows that nobody reads.
                for (int r = 0; r < ScoreTiles<V, L>.Rows; r++) six[r] = rows[Math.Min(j + r, n - 1)];
                for (int p = 0; p < lanes; p += Wide) ScoreTiles<V, L>.ByRows(six, depth, panels + ((long)p * depth), Wide, scores + (j * apart) + p, apart);
            }
        }

        /// <summary>Later keys get a score of -infinity.</summary>
        private static void Hide(int* indices, int n, int firstKey, int lanes, float* scores, int apart)
        {
            V never = L.Broadcast(float.NegativeInfinity);
            for (int j = 0; j < n; j++)
            {
                int hidden = indices[j] - firstKey;
                for (int x = 0; x < lanes && x < hidden; x += L.Count)
                {
                    float* at = scores + (j * apart) + x;
                    L.Store(at, hidden - x >= L.Count ? never : L.Select(L.Mask(hidden - x), never, L.Load(at)));
                }
            }
        }

        /// <summary>Scores become weights 2^(score - maximum); maximum and sum go on, and what was summed before shrinks by the factor.</summary>
        [MethodImpl(MethodImplOptions.AggressiveOptimization)]
        private static void Weigh(float* scores, int apart, int n, int lanes, float* most, float* total, float* factor)
        {
            V lowest = L.Broadcast(float.MinValue);
            for (int x = 0; x < lanes; x += L.Count)
            {
                V before = L.Load(most + x), max = before;
                float* at = scores + x;
                for (int j = 0; j < n; j++, at += apart) max = L.Max(max, L.Load(at));

                // Where no key has been seen the maximum is -infinity, and infinity less infinity is no number.
                V finite = L.Max(max, lowest), shrink = L.PowerOfTwo(L.Subtract(before, finite)), sum = L.Multiply(L.Load(total + x), shrink);
                at = scores + x;
                for (int j = 0; j < n; j++, at += apart)
                {
                    V weight = L.PowerOfTwo(L.Subtract(L.Load(at), finite));
                    L.Store(at, weight);
                    sum = L.Add(sum, weight);
                }

                L.Store(most + x, max);
                L.Store(total + x, sum);
                L.Store(factor + x, shrink);
            }
        }

        /// <summary>Weights P = share 2^(score - level), and what the scores' gradients are: P (dP - mean).</summary>
        [MethodImpl(MethodImplOptions.AggressiveOptimization)]
        private static void Changes(float* scores, float* changes, int apart, int n, int lanes, float* level, float* share, float* mean)
        {
            V zero = L.Broadcast(0);
            for (int x = 0; x < lanes; x += L.Count)
            {
                V at = L.Load(level + x), part = L.Load(share + x), centre = L.Load(mean + x);
                for (int j = 0; j < n; j++)
                {
                    float* score = scores + (j * apart) + x, change = changes + (j * apart) + x;

                    // Rounding may bring a score a hair above its level.
                    V weight = L.Multiply(part, L.PowerOfTwo(L.Clamp(L.Subtract(L.Load(score), at), L.Broadcast(float.NegativeInfinity), zero)));
                    L.Store(score, weight);
                    L.Store(change, L.Multiply(weight, L.Subtract(L.Load(change), centre)));
                }
            }
        }

        private static void Rescale(float* sums, int rows, int width, float* factor)
        {
            for (int r = 0; r < rows; r++)
            {
                if (factor[r] == 1) continue;
                V by = L.Broadcast(factor[r]);
                float* row = sums + (r * width);
                for (int c = 0; c < width; c += L.Count) L.Store(row + c, L.Multiply(L.Load(row + c), by));
            }
        }

        private static void Finish(float* sums, int rows, int width, int valueDim, float* most, float* total, float* output, float* logSumExp)
        {
            for (int r = 0; r < rows; r++)
            {
                float by = total[r] == 0 ? 0 : 1 / total[r];
                for (int c = 0; c < valueDim; c++) output[((long)r * valueDim) + c] = sums[(r * width) + c] * by;
                logSumExp[r] = total[r] == 0 ? float.NegativeInfinity : (float)((most[r] + Math.Log2(total[r])) * Ln2);
            }
        }

        /// <summary>Where the rows of a tile's keys begin.</summary>
        private static void Point(int* indices, int n, float* start, long row, float** at)
        {
            for (int j = 0; j < n; j++) at[j] = start + (indices[j] * row);
        }

        private static float* Aligned(float* start) => (float*)(((nint)start + 63) & ~(nint)63);
    }

    /// <summary>Where a block of queries and its gradients lie.</summary>
    private readonly struct GradientPlace(
        float* q, long qRow, float* k, long kRow, float* v, long vRow, float* o, long oRow, float* g, long gRow, float* logSumExp, float* dq, float* dk, float* dv)
    {
        public readonly float* Q = q, K = k, V = v, O = o, G = g, LogSumExp = logSumExp, DQ = dq, DK = dk, DV = dv;

        public readonly long QRow = qRow, KRow = kRow, VRow = vRow, ORow = oRow, GRow = gRow;
    }

    /// <summary>The keys of a block of queries, some at a time.</summary>
    private ref struct Tiles(BlockSupport support, int row)
    {
        private readonly ReadOnlySpan<KeyRange> _ranges = support.Ranges(row);
        private readonly ReadOnlySpan<int> _columns = support.Columns(row);
        private int _range, _inside, _column;

        /// <summary>Writes the next keys and says how many; 0 at the end.</summary>
        public int Next(int* indices)
        {
            int n = 0;
            while (n < TileKeys && _range < _ranges.Length)
            {
                KeyRange range = _ranges[_range];
                int count = Math.Min(TileKeys - n, range.Length - _inside);
                for (int i = 0; i < count; i++) indices[n + i] = range.From + _inside + i;
                (n, _inside) = (n + count, _inside + count);
                if (_inside == range.Length) (_range, _inside) = (_range + 1, 0);
            }

            while (n < TileKeys && _column < _columns.Length) indices[n++] = _columns[_column++];
            return n;
        }
    }
}
