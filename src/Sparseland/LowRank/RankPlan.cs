using Sparseland.Tensors;

namespace Sparseland.LowRank;

/// <summary>Which rank each matrix of a model keeps.</summary>
/// <param name="Method">Name of the rule.</param>
/// <param name="Threshold">What the rule compares with: a normalised singular value, a share of energy or a singular value; NaN where it has none.</param>
/// <param name="Matrices">The matrices, in the order that they were given.</param>
public sealed record RankPlan(string Method, double Threshold, IReadOnlyList<RankPlan.Matrix> Matrices)
{
    /// <summary>A matrix of a plan.</summary>
    /// <param name="Name">Its name.</param>
    /// <param name="Rows">out.</param>
    /// <param name="Columns">in.</param>
    /// <param name="Kept">k, from 1 to min(out, in).</param>
    public sealed record Matrix(string Name, int Rows, int Columns, int Kept)
    {
        /// <summary>min(out, in).</summary>
        public int Full => Math.Min(Rows, Columns);

        /// <summary>d / m, the share of the rank that is given up.</summary>
        public double Reduction => 1 - ((double)Kept / Full);

        /// <summary>Numbers of the two factors, k (out + in).</summary>
        public long Factored => (long)Kept * (Rows + Columns);

        /// <summary>Numbers of the smaller of both forms.</summary>
        public long Stored => Math.Min((long)Rows * Columns, Factored);
    }

    /// <summary>sum d / sum m over all matrices: what papers call the effective rank reduction.</summary>
    public double Reduction => 1 - ((double)Matrices.Sum(m => (long)m.Kept) / Matrices.Sum(m => (long)m.Full));

    /// <summary>Numbers that stay, each matrix in the smaller of its two forms, over those of the dense matrices. It is not 1 minus the reduction: of a square matrix a rank above half saves nothing.</summary>
    public double ParameterShare => (double)Matrices.Sum(m => m.Stored) / Matrices.Sum(m => (long)m.Rows * m.Columns);

    /// <summary>k of a matrix.</summary>
    /// <param name="name">Its name.</param>
    /// <exception cref="ArgumentException">There is none of this name.</exception>
    public int this[string name] => (Matrices.FirstOrDefault(m => m.Name == name) ?? throw new ArgumentException($"The plan has no matrix \"{name}\"; it has {string.Join(", ", Matrices.Select(m => m.Name))}.", nameof(name))).Kept;

    /// <summary>The same share of the rank everywhere: d = floor(reduction m).</summary>
    /// <param name="spectra">The matrices.</param>
    /// <param name="reduction">From 0 to below 1.</param>
    /// <exception cref="ArgumentException">No matrix, a name twice, or a reduction out of its range.</exception>
    public static RankPlan Uniform(IReadOnlyList<SpectrumReport> spectra, double reduction)
    {
        Check(spectra, reduction);
        return Of("uniform", double.NaN, spectra, s => s.Full - (int)((reduction * s.Full) + 1e-9));
    }

    /// <summary>
    /// WeLore's rule (Jaiswal et al. 2024): singular values normalised by (s - s_min) / (s_max - s_min), and ONE threshold for all matrices, the least with which the wanted share of all ranks falls below it.
    /// </summary>
    /// <param name="spectra">The matrices.</param>
    /// <param name="reduction">From 0 to below 1.</param>
    /// <param name="keepConstant">What becomes of a matrix whose singular values are all equal, for which the rule says nothing: it keeps its full rank where true, and is refused by name where false, the default.</param>
    /// <exception cref="ArgumentException">No matrix, a name twice, a constant spectrum, or a reduction out of its range.</exception>
    public static RankPlan GlobalThreshold(IReadOnlyList<SpectrumReport> spectra, double reduction, bool keepConstant = false)
    {
        Check(spectra, reduction);
        double[][] normalised = [.. spectra.Select(s =>
        {
            double top = s.SingularValues[0], least = s.SingularValues[^1];
            if (top > least) return s.SingularValues.Select(v => (v - least) / (top - least)).ToArray();
            return keepConstant ? [] : throw new ArgumentException($"All singular values of {s.Name} are {top}: their normalisation is undefined.", nameof(spectra));
        })];
        double threshold = Least(normalised, reduction, spectra.Sum(s => s.Full));
        int at = 0;
        return Of("threshold", threshold, spectra, s => normalised[at++] is { Length: > 0 } z ? z.Count(v => v >= threshold) : s.Full);
    }

    /// <summary>The same share of the energy everywhere: each matrix keeps the smallest rank with a common share of its sum of s^2.</summary>
    /// <param name="spectra">The matrices.</param>
    /// <param name="reduction">From 0 to below 1; met to within the ranks that change with the last bit of the share.</param>
    /// <exception cref="ArgumentException">No matrix, a name twice, or a reduction out of its range.</exception>
    public static RankPlan EqualEnergy(IReadOnlyList<SpectrumReport> spectra, double reduction)
    {
        Check(spectra, reduction);
        long most = spectra.Sum(s => (long)s.Full), wanted = most - (long)Math.Ceiling((reduction * most) - 1e-9);
        RankPlan At(double share) => Of("energy", share, spectra, s => Math.Max(1, s.EnergyRank(share)));
        (double low, double high) = (0, 1);
        if (At(1).Matrices.Sum(m => (long)m.Kept) <= wanted) return At(1);
        while (high - low > 1e-15 && (low + high) / 2 is var middle && middle > low && middle < high)
        {
            if (At(middle).Matrices.Sum(m => (long)m.Kept) <= wanted) low = middle;
            else high = middle;
        }

        return At(low);
    }

    /// <summary>The globally smallest singular values go, as they are; the largest of each matrix stays.</summary>
    /// <param name="spectra">The matrices.</param>
    /// <param name="reduction">From 0 to below 1.</param>
    /// <exception cref="ArgumentException">No matrix, a name twice, or a reduction out of its range.</exception>
    public static RankPlan Pooled(IReadOnlyList<SpectrumReport> spectra, double reduction)
    {
        Check(spectra, reduction);

        // The largest value of each matrix stays, so that no matrix vanishes.
        double threshold = Least([.. spectra.Select(s => s.SingularValues.Skip(1).ToArray())], reduction, spectra.Sum(s => s.Full));
        return Of("pooled", threshold, spectra, s => 1 + s.SingularValues.Skip(1).Count(v => v >= threshold));
    }

    /// <inheritdoc/>
    public override string ToString() => FormattableString.Invariant($"{Method}: rank reduced by {Reduction:P1}, {ParameterShare:P1} of the numbers stay");

    /// <summary>The least threshold below which at least the wanted share of all values lies.</summary>
    private static double Least(double[][] values, double reduction, int total)
    {
        double[] all = [.. values.SelectMany(v => v).Order()];
        int fall = Math.Min(all.Length, (int)Math.Ceiling((reduction * total) - 1e-9));
        return fall == 0 ? 0 : Math.BitIncrement(all[fall - 1]);
    }

    private static RankPlan Of(string method, double threshold, IReadOnlyList<SpectrumReport> spectra, Func<SpectrumReport, int> kept) =>
        new(method, threshold, [.. spectra.Select(s => new Matrix(s.Name, s.Rows, s.Columns, Math.Max(1, kept(s))))]);

    private static void Check(IReadOnlyList<SpectrumReport> spectra, double reduction)
    {
        ArgumentNullException.ThrowIfNull(spectra);
        if (spectra.Count == 0) throw new ArgumentException("There is no matrix to plan for.", nameof(spectra));
        if (spectra.GroupBy(s => s.Name, StringComparer.Ordinal).FirstOrDefault(g => g.Count() > 1) is { } twice) throw new ArgumentException($"{twice.Key} stands there twice.", nameof(spectra));
        if (!(reduction is >= 0 and < 1)) throw new ArgumentOutOfRangeException(nameof(reduction), reduction, "reduction must be from 0 to below 1.");
    }
}
