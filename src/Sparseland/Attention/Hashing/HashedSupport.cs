using Sparseland.Selection;
using Sparseland.Tensors;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Attention.Hashing;

/// <summary>
/// Which keys a query meets when both are hashed: supports that need no scores. Several rounds are united, so that a pair found twice counts once. Round 0 draws with the seed, later ones with seeds far from it (<see cref="RoundSeed"/>), so that neighbouring seeds share no round.
/// </summary>
public static class HashedSupport
{
    /// <summary>
    /// SMYRF's rounds (Daras et al. 2020): norms are completed, queries and keys are sorted by one random projection each, both orders are cut into chunks, and chunk c of the queries meets
    /// chunk c of the keys.
    /// </summary>
    /// <param name="q">Queries [batch, heads, tokens, headDim].</param>
    /// <param name="k">Keys [batch, keyValueHeads, keys, headDim].</param>
    /// <param name="chunk">Keys of a chunk; the last one may be shorter.</param>
    /// <param name="rounds">Rounds. Default 2.</param>
    /// <param name="seed">Seed of the first round. Default 1.</param>
    /// <param name="causal">Whether later keys are left out. Default true.</param>
    /// <param name="cancel">Checked between heads. Never by default.</param>
    /// <returns>One support for each of batch * heads.</returns>
    /// <exception cref="ArgumentException">Shapes do not fit, a value is not finite, chunk is above the number of tokens, or queries and keys do not make the same number of chunks.</exception>
    public static AttentionSupport NormCompletedSort(Tensor q, Tensor k, int chunk, int rounds = 2, long seed = 1, bool causal = true, CancellationToken cancel = default)
    {
        Check(q, k, rounds, causal);
        CheckChunk(chunk, (int)q.shape[2], (int)k.shape[2]);
        return Rounds(q, k, rounds, causal, cancel, (queries, keys, round) =>
        {
            (Tensor completedQ, Tensor completedK) = NormCompletion.Complete(queries, keys);
            double[] direction = HashDirections.Draw((int)completedQ.shape[^1], 1, RoundSeed(seed, round));
            return Chunks(Places(completedQ), Places(completedK), chunk);

            Tensor Places(Tensor x) => HashDirections.Project(x, direction, direction.Length, 1).squeeze(-1);
        });
    }

    /// <summary>Pairs that share a bucket of a <see cref="CrossPolytopeHash"/> in at least one round: buckets as large as they come, none cut.</summary>
    /// <remarks>Reformer sorts by bucket and cuts the order into chunks, which suits its hardware; with separate queries and keys the two orders drift apart. Whole buckets cannot.</remarks>
    /// <param name="q">Queries [batch, heads, tokens, headDim].</param>
    /// <param name="k">Keys [batch, keyValueHeads, keys, headDim].</param>
    /// <param name="buckets">Buckets of a round, even.</param>
    /// <param name="rounds">Rounds. Default 2.</param>
    /// <param name="seed">Seed of the first round. Default 1.</param>
    /// <param name="causal">Whether later keys are left out. Default true.</param>
    /// <param name="cancel">Checked between heads. Never by default.</param>
    /// <returns>One support for each of batch * heads.</returns>
    /// <exception cref="ArgumentException">Shapes do not fit, a value is not finite, or buckets is odd or not positive.</exception>
    public static AttentionSupport CrossPolytope(Tensor q, Tensor k, int buckets, int rounds = 2, long seed = 1, bool causal = true, CancellationToken cancel = default)
    {
        Check(q, k, rounds, causal);
        _ = new CrossPolytopeHash((int)q.shape[3], buckets, seed);
        return Rounds(q, k, rounds, causal, cancel, (queries, keys, round) =>
        {
            CrossPolytopeHash hash = new((int)queries.shape[^1], buckets, RoundSeed(seed, round));
            return Same(hash.Buckets(queries), hash.Buckets(keys));
        });
    }

    /// <summary>Pairs whose codes of an <see cref="AngularHash"/> agree in at least one round: buckets as large as they come, none cut.</summary>
    /// <param name="q">Queries [batch, heads, tokens, headDim].</param>
    /// <param name="k">Keys [batch, keyValueHeads, keys, headDim].</param>
    /// <param name="bits">Bits of a code, 1 to 62.</param>
    /// <param name="rounds">Rounds. Default 2.</param>
    /// <param name="seed">Seed of the first round. Default 1.</param>
    /// <param name="causal">Whether later keys are left out. Default true.</param>
    /// <param name="cancel">Checked between heads. Never by default.</param>
    /// <returns>One support for each of batch * heads.</returns>
    /// <exception cref="ArgumentException">Shapes do not fit, a value is not finite, or a number is out of its range.</exception>
    public static AttentionSupport Angular(Tensor q, Tensor k, int bits, int rounds = 2, long seed = 1, bool causal = true, CancellationToken cancel = default)
    {
        Check(q, k, rounds, causal);
        _ = new AngularHash((int)q.shape[3], bits, seed);
        return Rounds(q, k, rounds, causal, cancel, (queries, keys, round) =>
        {
            AngularHash hash = new((int)queries.shape[^1], bits, RoundSeed(seed, round));
            return Same(hash.Codes(queries), hash.Codes(keys));
        });
    }

    /// <summary>The seed that a round draws with: seed + round times an odd number of 64 bits, wrapping around.</summary>
    /// <param name="seed">Seed of the first round.</param>
    /// <param name="round">Round, from 0.</param>
    public static long RoundSeed(long seed, int round) => unchecked(seed + (round * (long)0x9E3779B97F4A7C15UL));

    /// <summary>The keys that each query meets in a round, chunk by chunk of the two orders; queries of a chunk share one list.</summary>
    private static int[][] Chunks(Tensor placesQ, Tensor placesK, int chunk)
    {
        int[] orderQ = Order(placesQ), orderK = Order(placesK);
        int chunks = Count(orderK.Length, chunk);
        int[][] met = new int[orderQ.Length][];
        for (int c = 0; c < chunks; c++)
        {
            int[] keys = orderK[(c * chunk)..Math.Min(orderK.Length, (c + 1) * chunk)];
            Array.Sort(keys);
            for (int i = c * chunk; i < Math.Min(orderQ.Length, (c + 1) * chunk); i++) met[orderQ[i]] = keys;
        }

        return met;
    }

    /// <summary>For each query the keys of the same code; queries of a code share one list.</summary>
    private static int[][] Same(Tensor codesQ, Tensor codesK)
    {
        long[] keys = Numbers<long>(codesK);
        Dictionary<long, int[]> buckets = Enumerable.Range(0, keys.Length).GroupBy(j => keys[j]).ToDictionary(bucket => bucket.Key, bucket => bucket.ToArray());
        return [.. Numbers<long>(codesQ).Select(code => buckets.GetValueOrDefault(code, []))];
    }

    /// <summary>Positions by place, equal places by position.</summary>
    private static int[] Order(Tensor places)
    {
        double[] values = Numbers<double>(places.to(ScalarType.Float64));
        int[] order = [.. Enumerable.Range(0, values.Length)];
        Array.Sort(order, (a, b) => values[a].CompareTo(values[b]) is var compared && compared != 0 ? compared : a.CompareTo(b));
        return order;
    }

    private static T[] Numbers<T>(Tensor x)
        where T : unmanaged => x.cpu().contiguous().data<T>().ToArray();

    private static AttentionSupport Rounds(Tensor q, Tensor k, int rounds, bool causal, CancellationToken cancel, Func<Tensor, Tensor, int, int[][]> round)
    {
        using IDisposable off = no_grad();
        using var scope = NewDisposeScope();
        (int heads, int group, int keys) = ((int)q.shape[1], (int)(q.shape[1] / k.shape[1]), (int)k.shape[2]);
        var supports = new Support[q.shape[0] * heads];
        for (int at = 0; at < supports.Length; at++)
        {
            cancel.ThrowIfCancellationRequested();
            using var inner = NewDisposeScope();
            Tensor queries = q[at / heads][at % heads], own = k[at / heads][at % heads / group];
            int[][][] met = [.. Enumerable.Range(0, rounds).Select(r => round(queries, own, r))];
            supports[at] = United(met, keys, causal);
        }

        return new(supports, causal);
    }

    /// <summary>What each query meets in any round.</summary>
    private static Support United(int[][][] met, int keys, bool causal)
    {
        int rows = met[0].Length;
        int[] offsets = new int[rows + 1];
        var indices = new List<int>();
        ulong[] marks = new ulong[(keys + 63) / 64];
        for (int row = 0; row < rows; row++)
        {
            Array.Clear(marks);
            foreach (int[][] one in met)
            {
                foreach (int key in one[row])
                {
                    if (!causal || key <= row) marks[key >> 6] |= 1UL << (key & 63);
                }
            }

            for (int word = 0; word < marks.Length; word++)
            {
                for (ulong bits = marks[word]; bits != 0; bits &= bits - 1) indices.Add((word << 6) + System.Numerics.BitOperations.TrailingZeroCount(bits));
            }

            offsets[row + 1] = indices.Count;
        }

        return Support.Trusted(rows, keys, offsets, [.. indices]);
    }

    private static int Count(int tokens, int chunk) => (tokens + chunk - 1) / chunk;

    private static void Check(Tensor q, Tensor k, int rounds, bool causal)
    {
        HeadInput.Check(q, k, causal);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(rounds);
    }

    private static void CheckChunk(int chunk, int queries, int keys)
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(chunk);
        if (chunk > Math.Min(queries, keys)) throw new ArgumentOutOfRangeException(nameof(chunk), chunk, $"chunk must not be above the {Math.Min(queries, keys)} tokens.");
        if (Count(queries, chunk) != Count(keys, chunk))
            throw new ArgumentException($"{queries} queries make {Count(queries, chunk)} chunks of {chunk}, {keys} keys make {Count(keys, chunk)}; they must be as many, since chunks meet one to one.", "k");
    }
}
