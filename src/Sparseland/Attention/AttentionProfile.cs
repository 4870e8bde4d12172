using System.Numerics;
using System.Numerics.Tensors;
using Sparseland.Tensors;
using TorchSharp;
using static TorchSharp.torch;
using Tensor = TorchSharp.torch.Tensor;

namespace Sparseland.Attention;

/// <summary>Where one head looks, averaged over queries that have many keys.</summary>
/// <param name="Entropy">Mean entropy of a row, in nats.</param>
/// <param name="First">Mass on the first keys of the text.</param>
/// <param name="Recent">Mass on the last keys before the query, itself included, without those that count as first.</param>
/// <param name="Curve">Mass of the n heaviest keys of a row, at n = 1, 2, 4, 8, ...</param>
/// <param name="KeysForMost">Mean number of keys that hold 95 % of a row.</param>
public sealed record HeadProfile(double Entropy, double First, double Recent, IReadOnlyList<double> Curve, double KeysForMost)
{
    /// <inheritdoc/>
    public override string ToString() => Readable.Of(this);
}

/// <summary>What attention looks at: local heads, sinks, broad and narrow heads, in numbers.</summary>
public static class AttentionProfile
{
    /// <summary>Profiles of the heads of a pattern.</summary>
    /// <param name="pattern">Weights, rows of sum one [batch, heads, tokens, keys]; means go over sequences too.</param>
    /// <param name="first">Keys that count as first. Default 4.</param>
    /// <param name="recent">Keys that count as recent. Default 64.</param>
    /// <param name="skip">Queries left out, which have few keys; null, the default, for half of them.</param>
    /// <param name="share">Mass that <see cref="HeadProfile.KeysForMost"/> asks for. Default 0.95.</param>
    /// <exception cref="ArgumentException">No pattern of four dimensions, more queries than keys, or a number out of range.</exception>
    public static IReadOnlyList<HeadProfile> Of(Tensor pattern, int first = 4, int recent = 64, int? skip = null, double share = 0.95)
    {
        ArgumentNullException.ThrowIfNull(pattern);
        if (pattern.dim() != 4 || pattern.shape[3] < pattern.shape[2]) throw new ArgumentException($"pattern must be [batch, heads, tokens, keys] with at least as many keys as tokens, but is [{string.Join(", ", pattern.shape)}].", nameof(pattern));
        ArgumentOutOfRangeException.ThrowIfNegative(first);
        ArgumentOutOfRangeException.ThrowIfNegative(recent);
        if (!(share > 0 && share < 1)) throw new ArgumentOutOfRangeException(nameof(share), share, "share must lie between 0 and 1.");
        (int batch, int heads, int tokens, int keys) = ((int)pattern.shape[0], (int)pattern.shape[1], (int)pattern.shape[2], (int)pattern.shape[3]);
        int from = skip ?? tokens / 2, offset = keys - tokens;
        if (from < 0 || from >= tokens) throw new ArgumentOutOfRangeException(nameof(skip), skip, $"skip must leave some of the {tokens} queries.");
        using DisposeScope scope = NewDisposeScope();
        Tensor dense = pattern.detach().to(ScalarType.Float32).cpu().contiguous();
        nint start = TensorMemory.StartOf(dense);
        HeadProfile[] profiles = new HeadProfile[heads];
        IndependentWork.For(heads, head =>
        {
            double[] curve = new double[BitOperations.Log2((uint)keys) + 1];
            double entropy = 0, early = 0, late = 0, most = 0;
            float[] row = new float[keys];
            for (int b = 0; b < batch; b++)
            {
                for (int i = from; i < tokens; i++)
                {
                    int seen = i + offset + 1, sinks = Math.Min(first, seen), window = Math.Max(sinks, seen - recent);
                    TensorMemory.Part<float>(start, ((((long)b * heads) + head) * tokens + i) * keys, keys).CopyTo(row);
                    foreach (float p in row.AsSpan()) entropy -= p > 0 ? p * Math.Log(p) : 0;
                    early += TensorPrimitives.Sum<float>(row.AsSpan(0, sinks));
                    late += TensorPrimitives.Sum<float>(row.AsSpan(window, seen - window));
                    row.AsSpan().Sort();
                    double mass = 0;
                    int needed = 0;
                    for (int n = 1, step = 0; n <= keys; n++)
                    {
                        mass += row[keys - n];
                        if (needed == 0 && mass >= share) needed = n;
                        if (n == 1 << step) curve[step++] += mass;
                    }

                    most += needed == 0 ? keys : needed;
                }
            }

            double rows = (double)batch * (tokens - from);
            profiles[head] = new(entropy / rows, early / rows, late / rows, [.. curve.Select(c => c / rows)], most / rows);
        }, CancellationToken.None);
        GC.KeepAlive(dense);
        return profiles;
    }
}
