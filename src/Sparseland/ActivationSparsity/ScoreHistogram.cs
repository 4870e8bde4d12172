using Sparseland.Tensors;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.ActivationSparsity;

/// <summary>
/// The distribution of scores, gathered as they come: a histogram whose bins are the leading bits of float32 numbers, so that a bin is at most 1/128 of its own value wide
/// whatever the scale. Its inverse is linear within a bin. No shape of the distribution is assumed.
/// </summary>
public sealed class ScoreHistogram
{
    // The sign, which is always plus, is left out: 8 bits of exponent and 7 of the fraction.
    private const int Shift = 16;
    private readonly long[] _counts = new long[1 << 15];

    /// <summary>Scores seen.</summary>
    public long Count { get; private set; }

    /// <summary>Sees scores.</summary>
    /// <param name="scores">Any shape, finite and not negative.</param>
    /// <exception cref="ArgumentException">A score is negative, infinite or NaN; nothing has been added.</exception>
    public void Add(Tensor scores)
    {
        ArgumentNullException.ThrowIfNull(scores);
        using DisposeScope scope = NewDisposeScope();
        using IDisposable off = no_grad();
        ReadOnlySpan<float> values = TensorMemory.Read<float>(scores.detach().cpu().to(ScalarType.Float32).contiguous());
        for (int i = 0; i < values.Length; i++)
        {
            if (!(values[i] >= 0) || float.IsInfinity(values[i])) throw new ArgumentException($"Score {i} is {values[i]}; scores are finite and not negative.", nameof(scores));
        }

        // The absolute value makes -0 zero.
        foreach (float value in values) _counts[BitConverter.SingleToInt32Bits(Math.Abs(value)) >> Shift]++;
        Count += values.Length;
    }

    /// <summary>The score below which a share of the scores lies.</summary>
    /// <param name="share">In [0, 1].</param>
    /// <returns>0 for the share 0: everything is at least that.</returns>
    /// <exception cref="ArgumentOutOfRangeException">The share is outside.</exception>
    /// <exception cref="InvalidOperationException">Nothing was seen.</exception>
    public double Quantile(double share)
    {
        if (!(share is >= 0 and <= 1)) throw new ArgumentOutOfRangeException(nameof(share), share, "share must lie in [0, 1].");
        if (Count == 0) throw new InvalidOperationException("No score was seen, so there is no threshold: calibrate first.");
        double wanted = share * Count, below = 0;
        if (wanted == 0) return 0;
        for (int bin = 0; bin < _counts.Length; bin++)
        {
            if (_counts[bin] == 0) continue;
            if (below + _counts[bin] >= wanted)
            {
                double low = BitConverter.Int32BitsToSingle(bin << Shift), high = BitConverter.Int32BitsToSingle((bin + 1) << Shift);
                return double.IsFinite(high) ? low + ((high - low) * (wanted - below) / _counts[bin]) : low;
            }

            below += _counts[bin];
        }

        throw new InvalidOperationException("The counts do not add up to the number of scores.");
    }

    /// <inheritdoc/>
    public override string ToString() => Count == 0 ? "ScoreHistogram of nothing" : FormattableString.Invariant($"ScoreHistogram of {Count} scores, median {Quantile(0.5):G4}");
}
