using Sparseland.Evaluation;
using static TorchSharp.torch;

namespace Sparseland.Unmixing;

/// <summary>
/// The guidance map h: how pure each pixel looks. Pixel n is then penalised with the power p_n = 1 - h_n, so that pixels which look pure are
/// pushed to be so and mixed ones are left alone. It is a feedback loop; hence the cap below 1 and the late start.
/// </summary>
public static class GuidanceMap
{
    /// <summary>h_n = clip(measure(a_n), 0, cap) for every column a_n of A.</summary>
    /// <param name="A">[endmembers, pixels], at least two endmembers, not negative, no column of zeros.</param>
    /// <param name="measure">How purity is measured. Default Gini.</param>
    /// <param name="cap">Largest h, in [0, 1). Default 0.9.</param>
    /// <returns>h [pixels].</returns>
    /// <exception cref="ArgumentException">A does not fit, a column is zero, or the cap is out of its range.</exception>
    public static double[] Learn(Tensor A, PurityMeasure measure = PurityMeasure.Gini, double cap = 0.9)
    {
        UnmixingInput.CheckMatrix(A, nameof(A), "[endmembers, pixels]");
        if (A.shape[0] < 2) throw new ArgumentException("A has one endmember; purity needs at least two.", nameof(A));
        if (!Enum.IsDefined(measure)) throw new ArgumentOutOfRangeException(nameof(measure), measure, "measure must be Gini or Hoyer.");
        UnmixingInput.CheckCap(cap, nameof(cap));
        return Of(A, measure, cap);
    }

    /// <summary>The mean of h over 3 x 3 pixels, fewer at the border.</summary>
    /// <param name="guidance">h [height * width], row after row.</param>
    /// <param name="height">Rows of the image.</param>
    /// <param name="width">Columns of the image.</param>
    /// <exception cref="ArgumentException">The sizes do not fit.</exception>
    public static double[] Smooth(IReadOnlyList<double> guidance, int height, int width)
    {
        ArgumentNullException.ThrowIfNull(guidance);
        if (height < 1 || width < 1 || (long)height * width != guidance.Count)
            throw new ArgumentException($"A guidance map of {guidance.Count} pixels cannot be {height} x {width}.", nameof(guidance));
        double[] result = new double[guidance.Count];
        for (int row = 0; row < height; row++)
        {
            for (int column = 0; column < width; column++)
            {
                double sum = 0;
                int count = 0;
                for (int i = Math.Max(0, row - 1); i <= Math.Min(height - 1, row + 1); i++)
                {
                    for (int j = Math.Max(0, column - 1); j <= Math.Min(width - 1, column + 1); j++, count++) sum += guidance[(i * width) + j];
                }

                result[(row * width) + column] = sum / count;
            }
        }

        return result;
    }

    internal static double[] Of(Tensor A, PurityMeasure measure, double cap)
    {
        int endmembers = (int)A.shape[0], pixels = (int)A.shape[1];
        double[] values = UnmixingInput.Doubles(A), column = new double[endmembers], guidance = new double[pixels];
        for (int n = 0; n < pixels; n++)
        {
            for (int k = 0; k < endmembers; k++) column[k] = values[(k * pixels) + n];
            double purity = measure == PurityMeasure.Gini ? SparsityMeasures.RescaledGini(column) : SparsityMeasures.Hoyer(column);
            guidance[n] = Math.Clamp(purity, 0, cap);
        }

        return guidance;
    }
}
