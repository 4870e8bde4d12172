using Sparseland.Tensors;

namespace Sparseland.Autoencoders.Metrics;

/// <summary>Whether tokens that have more to say get more active latents, and what that does to their errors. Tokens stand in groups of equal size, easiest first.</summary>
/// <param name="Correlation">Pearson's correlation of active latents and true features over tokens; 0 where one of them is the same for all tokens.</param>
/// <param name="Features">Mean number of true features of each group's tokens [groups].</param>
/// <param name="ActiveLatents">Mean number of active latents of each group's tokens [groups].</param>
/// <param name="SquaredErrors">Mean squared error of each group's tokens [groups].</param>
public sealed record DifficultyReport(double Correlation, double[] Features, double[] ActiveLatents, double[] SquaredErrors)
{
    /// <summary>Groups tokens by their number of true features; ties go to the lower index.</summary>
    /// <param name="report">Errors and active latents of tokens.</param>
    /// <param name="features">Number of true features of the same tokens, such as <see cref="PlantedTokens.FeaturesPerToken"/>.</param>
    /// <param name="groups">Number of groups, at most that of the tokens; where they do not divide the tokens, the last ones are one token larger. Default 4.</param>
    /// <exception cref="ArgumentException">Another number of tokens, a negative number of features, or groups that would be empty.</exception>
    public static DifficultyReport Of(ChoiceReport report, IReadOnlyList<int> features, int groups = 4)
    {
        ArgumentNullException.ThrowIfNull(report);
        ArgumentNullException.ThrowIfNull(features);
        if (features.Count != report.Tokens) throw new ArgumentException($"There are {features.Count} numbers of features for {report.Tokens} tokens.", nameof(features));
        if (features.Any(n => n < 0)) throw new ArgumentOutOfRangeException(nameof(features), features.Min(), "A number of features cannot be negative.");
        if (groups < 1 || groups > report.Tokens) throw new ArgumentOutOfRangeException(nameof(groups), groups, $"groups must be from 1 to the {report.Tokens} tokens.");
        int[] order = [.. Enumerable.Range(0, features.Count).OrderBy(t => features[t])];
        double[] Means(Func<int, double> of) => [.. Enumerable.Range(0, groups)
            .Select(g => order[(int)((long)g * order.Length / groups)..(int)((long)(g + 1) * order.Length / groups)].Average(of))];
        return new(
            Pearson([.. features.Select(n => (double)n)], [.. report.ActiveLatents.Select(n => (double)n)]),
            Means(t => features[t]), Means(t => report.ActiveLatents[t]), Means(t => report.SquaredErrors[t]));
    }

    private static double Pearson(double[] x, double[] y)
    {
        double meanX = x.Average(), meanY = y.Average(), xy = 0, xx = 0, yy = 0;
        for (int i = 0; i < x.Length; i++)
        {
            xy += (x[i] - meanX) * (y[i] - meanY);
            xx += (x[i] - meanX) * (x[i] - meanX);
            yy += (y[i] - meanY) * (y[i] - meanY);
        }

        return xx == 0 || yy == 0 ? 0 : xy / Math.Sqrt(xx * yy);
    }

    /// <inheritdoc/>
    public override string ToString() => Readable.Of(this);
}
