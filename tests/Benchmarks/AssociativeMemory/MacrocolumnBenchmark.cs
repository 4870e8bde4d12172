using System.Globalization;
using Sparseland.AssociativeMemory;
using TorchSharp;
using static TorchSharp.torch;

namespace Benchmarks.AssociativeMemory;

/// <summary>
/// A macrocolumn of 784 inputs and 64 modules of 32 cells: storing and recalling against the same steps in NumPy, item by item and, at
/// recall, all cues in one matrix product (NumPy's with the BLAS it was built on, and libtorch's); and recall against a search for the
/// nearest of a growing number of items.
/// </summary>
public class MacrocolumnBenchmark : IQuickBenchmark
{
    private const int Inputs = 784, Active = 100, Items = 200;

    // An eighth of the inputs is active, so that unrelated items overlap: noise must end late and choices be sharp.
    private static readonly MacOptions s_options = new()
    {
        Inputs = Inputs, Q = 64, K = 32, G0 = 0.7, Gamma = 4, Chi = 10, Sigmoid = new LogisticSigmoid(40, 34), FreezeFraction = 0.45,
    };

    /// <inheritdoc/>
    public IEnumerable<Comparison> Comparisons()
    {
        int[][] items = BinaryPatterns.Random(Inputs, Active, Items, 1);
        using PythonPeer? peer = PythonPeer.Start("import numpy as np");
        peer?.Run("""
            N, Q, K = 784, 64, 32
            rng = np.random.default_rng(1)
            module = np.arange(Q) * K
            def support(W, active):
                return W[active].sum(0, dtype=np.int32) / len(active)
            def support_product(W, active):
                x = np.zeros(N, np.float32)
                x[active] = 1
                return (x @ W) / len(active)
            def store(W, D, active, of):
                v = of(W, active).reshape(Q, K)
                g = v.max(1).mean()
                eta = 1 + max(0, (g - 0.7) / 0.3) ** 4 * 10 * K
                mu = 1 + (eta - 1) / (1 + np.exp(34 - 40 * v))
                up = np.cumsum(mu, 1)
                win = module + np.minimum((rng.random((Q, 1)) * up[:, -1:] >= up).sum(1), K - 1)
                free = win[W.sum(0, dtype=np.int64)[win] <= 0.45 * N]
                W[np.ix_(active, free)] = 1
                D[np.ix_(win, active)] = 1
                return win
            def store_all(items, dtype, of):
                W, D = np.zeros((N, Q * K), dtype), np.zeros((Q * K, N), dtype)
                for active in items: store(W, D, active, of)
                return W
            def choose(v):
                return (v + 1e-9 * rng.random(v.shape)).argmax(-1)
            def recall_all(W, items, of):
                return np.array([module + choose(of(W, active).reshape(Q, K)) for active in items])
            def recall_batch(W, items):
                x = np.zeros((len(items), N), np.float32)
                np.put_along_axis(x, items, 1, 1)
                return module + choose((x @ W).reshape(len(items), Q, K))
            """);
        if (peer is not null)
        {
            using Tensor all = tensor(items.SelectMany(i => i).Select(i => (double)i).ToArray()).reshape(Items, Active);
            peer.Put("items", all);
            peer.Run("items = items.astype(np.int64)");
        }

        double density = 0;
        foreach ((string name, string call) in new[] { ("NumPy, gathered rows", "np.uint8, support"), ("NumPy, matrix-vector product", "np.float32, support_product") })
        {
            yield return new Comparison(
                $"store {Items} items in an empty memory",
                () =>
                {
                    var mac = new Macrocolumn(s_options);
                    mac.StoreAll(items);
                    density = mac.WeightDensity;
                },
                name, peer is null ? null : () => peer.Run($"W = store_all(items, {call})"),
                Note: () => peer is null ? $"weight density {Percent(density)}" : $"weight density {Percent(density)} and {Percent(peer.Get("W.mean()")[0])}");
        }

        foreach (Comparison comparison in Recalls(peer, items)) yield return comparison;
        foreach (Comparison comparison in AgainstSearch()) yield return comparison;
    }

    private static IEnumerable<Comparison> Recalls(PythonPeer? peer, int[][] items)
    {
        var mac = new Macrocolumn(s_options);
        mac.StoreAll(items);
        var weights = new float[Inputs * s_options.Cells];
        for (int i = 0; i < weights.Length; i++) weights[i] = mac.BottomUp[i / s_options.Cells, i % s_options.Cells] ? 1 : 0;
        using Tensor matrix = tensor(weights).reshape(Inputs, s_options.Cells);
        peer?.Put("W", matrix);
        peer?.Run("bytes, floats = W.astype(np.uint8), W.astype(np.float32)");

        var codes = new int[Items][];
        void OneByOne()
        {
            for (int i = 0; i < Items; i++) codes[i] = mac.Recall(items[i], tie: i).Winners;
        }

        string AgreementWith(double[] other) => $"the same winner in {Percent(Same(mac, items, codes, other))} of the modules without a tie";
        string Agreement() => peer is null ? "" : AgreementWith(peer.Get("win"));
        yield return new Comparison($"recall {Items} cues", OneByOne, "NumPy, gathered rows", peer is null ? null : () => peer.Run("win = recall_all(bytes, items, support)"), Note: Agreement);
        yield return new Comparison(
            $"recall {Items} cues", OneByOne, "NumPy, matrix-vector product", peer is null ? null : () => peer.Run("win = recall_all(floats, items, support_product)"), Note: Agreement);
        yield return new Comparison(
            $"recall {Items} cues, all at once", () => codes = [.. mac.RecallAll(items).Select(c => c.Winners)],
            "NumPy, one matrix product", peer is null ? null : () => peer.Run("win = recall_batch(floats, items)"), Note: Agreement);

        double[] winners = [];
        using Tensor active = tensor(items.SelectMany(i => i).Select(i => (long)i).ToArray()).reshape(Items, Active);
        using Tensor modules = arange(s_options.Q).mul(s_options.K);
        yield return new Comparison(
            $"recall {Items} cues, all at once", () => codes = [.. mac.RecallAll(items).Select(c => c.Winners)],
            "libtorch, one matrix product",
            () =>
            {
                // Counts are whole numbers, so noise below one breaks ties and changes no order.
                using var scope = NewDisposeScope();
                Tensor counts = zeros([Items, Inputs]).scatter_(1, active, ones([Items, Active])).mm(matrix).reshape(Items, s_options.Q, s_options.K);
                winners = [.. counts.add(rand_like(counts), 0.5f).argmax(2).add(modules).data<long>().Select(w => (double)w)];
            },
            Note: () => AgreementWith(winners));
    }

    /// <summary>Time must not depend on what is stored, and quality does: the note says what each of the two still finds.</summary>
    private static IEnumerable<Comparison> AgainstSearch()
    {
        const int cues = 100;
        var few = new Macrocolumn(s_options);
        few.StoreAll(BinaryPatterns.Random(Inputs, Active, cues, 2));
        foreach (int count in new[] { 100, 1000, 2000, 10_000, 50_000 })
        {
            int[][] stored = BinaryPatterns.Random(Inputs, Active, count, 2);
            var mac = new Macrocolumn(s_options);
            int[][] codes = [.. mac.StoreAll(stored).Select(c => c.Winners)];
            var search = new NearestItem(Inputs);
            foreach (int[] item in stored) search.Store(item);

            // Old items and new ones: cells that froze early keep the oldest well.
            int[] asked = [.. Enumerable.Range(0, cues).Select(i => i * (count / cues))];
            int[][] noisy = [.. asked.Select(i => BinaryPatterns.WithOverlap(stored[i], Inputs, 90, i))];
            double recalled = 0;
            int found = 0;
            yield return new Comparison(
                $"recall {cues} noisy cues, {count} items stored",
                () => recalled = noisy.Select((cue, i) => CodeMetrics.Overlap(mac.Recall(cue, tie: i).Winners, codes[asked[i]])).Average(),
                "nearest item by Hamming distance", () => found = noisy.Where((cue, i) => search.Nearest(cue).Item == asked[i]).Count(),
                Note: () => $"right: {Percent(recalled)} of the winners, {Percent((double)found / cues)} of the nearest items; weight density {Percent(mac.WeightDensity)}");
            if (count == 2000)
            {
                yield return new Comparison(
                    $"recall {cues} noisy cues, {count} items stored", () => Recall(mac, noisy),
                    $"the same with {cues} stored", () => Recall(few, noisy));
            }
        }
    }

    private static void Recall(Macrocolumn mac, int[][] cues)
    {
        foreach (int[] cue in cues) mac.Recall(cue);
    }

    private static double Same(Macrocolumn mac, int[][] items, int[][] codes, double[] other)
    {
        (int same, int clear) = (0, 0);
        for (int i = 0; i < items.Length; i++)
        {
            double[] v = mac.Evidence(items[i]);
            for (int q = 0; q < s_options.Q; q++)
            {
                ReadOnlySpan<double> module = v.AsSpan(q * s_options.K, s_options.K);
                if (module.Count(System.Numerics.Tensors.TensorPrimitives.Max(module)) > 1) continue;
                clear++;
                if ((int)other[(i * s_options.Q) + q] == codes[i][q]) same++;
            }
        }

        return (double)same / clear;
    }

    private static string Percent(double share) => share.ToString("0.0 %", CultureInfo.InvariantCulture);
}
