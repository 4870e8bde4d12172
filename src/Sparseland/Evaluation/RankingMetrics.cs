namespace Sparseland.Evaluation;

/// <summary>What a grade is worth in discounted gain.</summary>
public enum RankingGain
{
    /// <summary>The grade itself: trec_eval's, and BEIR's. The default everywhere.</summary>
    Linear,

    /// <summary>2^grade - 1, as learning to rank often has it.</summary>
    Exponential,
}

/// <summary>
/// Measures of one ranked list by the grades of what stands in it, as trec_eval computes them. Retrieval and recommendation share them. A
/// grade below 1 is not relevant, and a negative one counts as 0.
/// </summary>
public static class RankingMetrics
{
    /// <summary>Discounted cumulative gain: sum of gain / log2(rank + 1).</summary>
    /// <param name="grades">Grade of the document at each rank.</param>
    /// <param name="k">Ranks that count, at least 1.</param>
    /// <param name="gain">What a grade is worth. Default linear.</param>
    /// <exception cref="ArgumentOutOfRangeException">k below 1.</exception>
    public static double Dcg(ReadOnlySpan<int> grades, int k, RankingGain gain = RankingGain.Linear)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(k, 1);
        double sum = 0;
        for (int rank = 0; rank < Math.Min(k, grades.Length); rank++)
        {
            if (grades[rank] > 0) sum += Worth(grades[rank], gain) / Math.Log2(rank + 2);
        }

        return sum;
    }

    /// <summary>Gain of the list over the gain of the best list there could be; 0 where nothing is relevant.</summary>
    /// <param name="grades">Grade of the document at each rank.</param>
    /// <param name="judged">Grades of all judged documents, in any order, found or not: they make the ideal.</param>
    /// <param name="k">Ranks that count, at least 1.</param>
    /// <param name="gain">What a grade is worth. Default linear.</param>
    /// <exception cref="ArgumentOutOfRangeException">k below 1.</exception>
    public static double Ndcg(ReadOnlySpan<int> grades, ReadOnlySpan<int> judged, int k, RankingGain gain = RankingGain.Linear)
    {
        int[] ideal = judged.ToArray();
        Array.Sort(ideal, (a, b) => b.CompareTo(a));
        double best = Dcg(ideal, k, gain);
        return best > 0 ? Dcg(grades, k, gain) / best : 0;
    }

    /// <summary>Sum of the precisions at the ranks of relevant documents over the number of relevant ones; 0 where nothing is relevant.</summary>
    /// <param name="grades">Grade of the document at each rank.</param>
    /// <param name="relevant">Number of relevant documents, found or not.</param>
    /// <param name="threshold">Least grade that is relevant. Default 1.</param>
    /// <exception cref="ArgumentOutOfRangeException">A negative number, or a threshold below 1.</exception>
    public static double AveragePrecision(ReadOnlySpan<int> grades, int relevant, int threshold = 1)
    {
        Check(relevant, threshold);
        double sum = 0;
        int found = 0;
        for (int rank = 0; rank < grades.Length; rank++)
        {
            if (grades[rank] >= threshold) sum += ++found / (rank + 1.0);
        }

        return relevant > 0 ? sum / relevant : 0;
    }

    /// <summary>1 / rank of the first relevant document; 0 where none stands in the list.</summary>
    /// <param name="grades">Grade of the document at each rank.</param>
    /// <param name="k">Ranks that count, at least 1. Default all.</param>
    /// <param name="threshold">Least grade that is relevant. Default 1.</param>
    /// <exception cref="ArgumentOutOfRangeException">k or the threshold below 1.</exception>
    public static double ReciprocalRank(ReadOnlySpan<int> grades, int k = int.MaxValue, int threshold = 1)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(k, 1);
        Check(0, threshold);
        for (int rank = 0; rank < Math.Min(k, grades.Length); rank++)
        {
            if (grades[rank] >= threshold) return 1.0 / (rank + 1);
        }

        return 0;
    }

    /// <summary>Share of the relevant documents that stand within the first k; 0 where nothing is relevant.</summary>
    /// <param name="grades">Grade of the document at each rank.</param>
    /// <param name="relevant">Number of relevant documents, found or not.</param>
    /// <param name="k">Ranks that count, at least 1.</param>
    /// <param name="threshold">Least grade that is relevant. Default 1.</param>
    /// <exception cref="ArgumentOutOfRangeException">A negative number, or k or the threshold below 1.</exception>
    public static double Recall(ReadOnlySpan<int> grades, int relevant, int k, int threshold = 1)
    {
        Check(relevant, threshold);
        return relevant > 0 ? (double)Found(grades, k, threshold) / relevant : 0;
    }

    /// <summary>Share of the first k ranks that are relevant; a list that is shorter is divided by k all the same.</summary>
    /// <param name="grades">Grade of the document at each rank.</param>
    /// <param name="k">Ranks that count, at least 1.</param>
    /// <param name="threshold">Least grade that is relevant. Default 1.</param>
    /// <exception cref="ArgumentOutOfRangeException">k or the threshold below 1.</exception>
    public static double Precision(ReadOnlySpan<int> grades, int k, int threshold = 1) => (double)Found(grades, k, threshold) / k;

    /// <summary>1 where a relevant document stands within the first k, else 0.</summary>
    /// <param name="grades">Grade of the document at each rank.</param>
    /// <param name="k">Ranks that count, at least 1.</param>
    /// <param name="threshold">Least grade that is relevant. Default 1.</param>
    /// <exception cref="ArgumentOutOfRangeException">k or the threshold below 1.</exception>
    public static double Success(ReadOnlySpan<int> grades, int k, int threshold = 1) => Found(grades, k, threshold) > 0 ? 1 : 0;

    private static int Found(ReadOnlySpan<int> grades, int k, int threshold)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(k, 1);
        Check(0, threshold);
        int found = 0;
        foreach (int grade in grades[..Math.Min(k, grades.Length)])
        {
            if (grade >= threshold) found++;
        }

        return found;
    }

    private static double Worth(int grade, RankingGain gain) => gain switch
    {
        RankingGain.Linear => grade,
        RankingGain.Exponential => Math.ScaleB(1, grade) - 1,
        _ => throw new ArgumentOutOfRangeException(nameof(gain), gain, "A gain is linear or exponential."),
    };

    private static void Check(int relevant, int threshold)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(relevant);
        ArgumentOutOfRangeException.ThrowIfLessThan(threshold, 1);
    }
}
