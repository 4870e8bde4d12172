namespace Sparseland.Autoencoders;

/// <summary>How many tokens of a batch each latent takes under feature choice (Ayonrinde 2024).</summary>
public static class FeatureCounts
{
    /// <summary>The same for each latent, what is left over to those of lower index: the ablation of feature choice.</summary>
    /// <param name="latents">M.</param>
    /// <param name="total">K, the sum of the counts: k B.</param>
    /// <param name="batch">B, tokens of the batch.</param>
    /// <returns>[latents].</returns>
    /// <exception cref="ArgumentException">A number is not positive, or the total is above B M.</exception>
    public static int[] Uniform(int latents, int total, int batch)
    {
        Check(latents, total, batch);
        (int each, int rest) = Math.DivRem(total, latents);
        return [.. Enumerable.Range(0, latents).Select(i => each + (i < rest ? 1 : 0))];
    }

    /// <summary>
    /// By a law of frequencies: m_i = clip(c (rank_i + b)^(-a), floor, B), rank 1 for the highest density (ties to the lower index), c such that the sum
    /// is K; integer parts first, the rest to the largest fractions (ties to the lower index).
    /// </summary>
    /// <param name="density">Share of tokens on which each latent fires [latents]; only their order counts.</param>
    /// <param name="total">K, the sum of the counts: k B.</param>
    /// <param name="batch">B, tokens of the batch.</param>
    /// <param name="exponent">a, positive. Default 1.</param>
    /// <param name="offset">b, above -1. Default 5.</param>
    /// <param name="floor">Tokens that each latent takes at least; with 1 no latent can die, at the cost of M floor / K of all entries. Default 1.</param>
    /// <returns>[latents].</returns>
    /// <exception cref="ArgumentException">A number is out of its range, the total is above B M, or M floor is above the total; the message says which batch would do.</exception>
    public static int[] Zipf(IReadOnlyList<double> density, int total, int batch, double exponent = 1, double offset = 5, int floor = 1)
    {
        ZipfLaw.CheckDensity(density);
        var law = new ZipfLaw(exponent, offset);
        Check(density.Count, total, batch);
        CheckFloor(density.Count, total, batch, floor);
        int[] order = ZipfLaw.Order(density);
        double[] byRank = Clipped(law.LogWeights(density.Count), total, batch, floor);
        double[] wanted = new double[order.Length];
        for (int r = 0; r < order.Length; r++) wanted[order[r]] = byRank[r];
        return Whole(wanted, total, batch);
    }

    /// <summary>Refuses counts that no batch of this size can have.</summary>
    internal static void CheckFloor(int latents, int total, int batch, int floor)
    {
        if (floor < 0 || floor > batch) throw new ArgumentOutOfRangeException(nameof(floor), floor, $"floor must lie from 0 to the batch of {batch}.");
        long least = (long)latents * floor;
        if (least <= total) return;
        throw new ArgumentException(
            $"{latents} latents with at least {floor} tokens each take {least} entries, but a batch of {batch} has {total}. A batch of {((least * batch) + total - 1) / total} tokens would do, or a lower floor.", nameof(batch));
    }

    private static void Check(int latents, int total, int batch)
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(latents);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(batch);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(total);
        if (total > (long)latents * batch) throw new ArgumentException($"total is {total}, but {batch} tokens and {latents} latents have {(long)latents * batch} entries.", nameof(total));
    }

    /// <summary>clip(c w_r, floor, batch) with the largest c whose sum is at most the total, from log w_r, which fall.</summary>
    private static double[] Clipped(double[] logWeights, int total, int batch, int floor)
    {
        // With c = K/M no entry is above K/M, so the sum is at most K; at the other end all entries are B.
        double low = Math.Log((double)total / logWeights.Length), high = Math.Log(batch) - logWeights[^1];
        if (At(high).Sum() <= total) return At(high);
        for (double middle = (low + high) / 2; middle > low && middle < high; middle = (low + high) / 2)
        {
            if (At(middle).Sum() <= total) low = middle;
            else high = middle;
        }

        return At(low);

        double[] At(double logScale) => Array.ConvertAll(logWeights, w => Math.Clamp(Math.Exp(logScale + w), floor, batch));
    }

    private static int[] Whole(double[] wanted, int total, int batch)
    {
        int[] counts = Array.ConvertAll(wanted, v => (int)v), order = [.. Enumerable.Range(0, counts.Length)];
        double[] fractions = [.. wanted.Select((v, i) => counts[i] - v)];
        Array.Sort(order, (a, b) => fractions[a].CompareTo(fractions[b]) is var by && by != 0 ? by : a.CompareTo(b));
        for (int rest = total - counts.Sum(); rest > 0;)
        {
            foreach (int i in order)
            {
                if (rest == 0) break;
                if (counts[i] == batch) continue;
                counts[i]++;
                rest--;
            }
        }

        return counts;
    }
}
