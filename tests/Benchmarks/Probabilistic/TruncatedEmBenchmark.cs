using Sparseland.Probabilistic;
using TorchSharp;
using static TorchSharp.torch;

namespace Benchmarks.Probabilistic;

/// <summary>
/// One EM step of binary sparse coding at T = 1 with D = H = 100, H' = 8, gamma = 4, against NumPy written the way libraries for these models
/// do it: a loop over points, whose states are one matrix product. The new dictionaries are compared. Then what the other models cost.
/// </summary>
public class TruncatedEmBenchmark : IQuickBenchmark
{
    private const int Components = 100;
    private static readonly Truncation s_truncation = new(8, 4);

    private const string Peer = """
        from itertools import combinations
        H, Hp, gamma = W.shape[0], 8, 4
        sets = [c for k in range(2, gamma + 1) for c in combinations(range(Hp), k)]
        S = np.zeros((len(sets), Hp))
        for i, c in enumerate(sets): S[i, list(c)] = 1
        counts = S.sum(1)
        def step(Y, W, pi, sigma):
            N, D = Y.shape
            norm = np.sqrt((W * W).sum(1))
            zero, odds, half = H * np.log(1 - pi), np.log(pi / (1 - pi)), 1 / (2 * sigma ** 2)
            prior = np.concatenate([[zero], np.full(H, zero + odds), zero + odds * counts])
            sy, ss, active = np.zeros((H, D)), np.zeros((H, H)), 0.0
            for y in Y:
                chosen = np.argsort(W @ y / norm)[-Hp:]
                means = S @ W[chosen]
                log = np.concatenate([[-half * y @ y], -half * ((y - W) ** 2).sum(1), -half * ((y - means) ** 2).sum(1)]) + prior
                q = np.exp(log - log.max()); q /= q.sum()
                m = q[1:H + 1].copy(); ss[np.arange(H), np.arange(H)] += m
                many = q[H + 1:]
                m[chosen] += many @ S
                ss[np.ix_(chosen, chosen)] += S.T @ (many[:, None] * S)
                sy += m[:, None] * y
                active += m.sum()
            new = np.linalg.solve(ss, sy)
            rest = (Y * Y).sum() - 2 * (new * sy).sum() + (ss * (new @ new.T)).sum()
            return new, np.sqrt(rest / (N * D)), active / (N * H)
        """;

    /// <inheritdoc/>
    public IEnumerable<Comparison> Comparisons()
    {
        using PythonPeer? peer = PythonPeer.Start("import numpy as np");
        using var generator = new Generator(1);
        Tensor w = randn([Components, 100], dtype: ScalarType.Float64, generator: generator);
        var truth = new BinarySparseCoding(w, 0.02, 0.5);
        var model = new BinarySparseCoding(w + (0.3 * randn([Components, 100], dtype: ScalarType.Float64, generator: generator)), 0.02, 1);
        foreach (int points in new[] { 1_000, 10_000 })
        {
            Tensor data = truth.Sample(points, 1).Data;
            TruncatedSparseCoder Step() => model.Maximise(model.Expect(data, s_truncation), s_truncation);
            peer?.Put("Y", data);
            peer?.Put("W", model.Dictionary());
            peer?.Run(Peer);
            TruncatedSparseCoder next = model;
            yield return new Comparison(
                $"EM step of BSC, {points:N0} points, 1 + 100 + 154 states", () => next = Step(), "NumPy, a loop over points",
                peer is null ? null : () => peer.Run("new, s, p = step(Y, W, 0.02, 1.0)"),
                Note: () => peer is null ? "" : $"largest difference of the new dictionaries {next.Dictionary().data<double>().ToArray().Zip(peer.Get("new.ravel()"), (a, b) => Math.Abs(a - b)).Max():0.0E0}");
        }

        foreach ((string name, TruncatedSparseCoder other) in new (string, TruncatedSparseCoder)[]
        {
            ("TSC", new TernarySparseCoding(w, 0.02, 1)), ("MCA", new MaximalCauses(w.abs() + 0.1, 0.02, 1)),
            ("GSC", new SpikeSlabSparseCoding(w, [.. Enumerable.Repeat(0.02, Components)], new double[Components], [.. Enumerable.Repeat(1.0, Components)], [1])),
        })
        {
            Tensor data = other.Sample(1_000, 1).Data;
            yield return new Comparison(
                $"cost: EM step of {name}, 1,000 points", () => other.Maximise(other.Expect(data, s_truncation), s_truncation),
                "BSC on the same points", () => model.Maximise(model.Expect(data, s_truncation), s_truncation));
        }
    }
}
