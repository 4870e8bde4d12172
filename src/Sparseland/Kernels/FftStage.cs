namespace Sparseland.Kernels;

/// <summary>A DFT matrix exp(-2 pi i j k / n) [n, n] in two arrays, or some of its columns.</summary>
/// <param name="Re">Real part.</param>
/// <param name="Im">Imaginary part.</param>
internal sealed record FftMatrix(float[] Re, float[] Im)
{
    public static FftMatrix Of(int n) => Of(n, [.. Enumerable.Range(0, n)]);

    /// <summary>[n, columns].</summary>
    public static FftMatrix Of(int n, int[] columns)
    {
        (float[] re, float[] im) = (new float[n * columns.Length], new float[n * columns.Length]);
        for (int j = 0; j < n; j++)
        {
            for (int k = 0; k < columns.Length; k++)
                (re[(j * columns.Length) + k], im[(j * columns.Length) + k]) = Root((long)j * columns[k], n);
        }

        return new(re, im);
    }

    /// <summary>[columns, n].</summary>
    public static FftMatrix Transposed(int n, int[] columns)
    {
        FftMatrix turned = Of(n, columns);
        (float[] re, float[] im) = (new float[turned.Re.Length], new float[turned.Im.Length]);
        for (int j = 0; j < n; j++)
        {
            for (int k = 0; k < columns.Length; k++) (re[(k * n) + j], im[(k * n) + j]) = (turned.Re[(j * columns.Length) + k], turned.Im[(j * columns.Length) + k]);
        }

        return new(re, im);
    }

    /// <summary>exp(-2 pi i turn / n), rounded once.</summary>
    public static (float Re, float Im) Root(long turn, long n)
    {
        (double sin, double cos) = Math.SinCos(-2 * Math.PI * (turn % n) / n);
        return ((float)cos, (float)sin);
    }
}

/// <summary>One stage before the last: a transform of n points over the rows of [n, columns], then twiddle factors exp(-2 pi i k b / (n columns)) [n, columns].</summary>
internal sealed record FftStage(int Factor, int Columns, FftMatrix Matrix, float[] TwiddleRe, float[] TwiddleIm)
{
    public static FftStage Of(int factor, int columns)
    {
        (float[] re, float[] im) = (GC.AllocateUninitializedArray<float>(factor * columns, pinned: true), GC.AllocateUninitializedArray<float>(factor * columns, pinned: true));
        long length = (long)factor * columns;
        for (int k = 0; k < factor; k++)
        {
            for (int b = 0; b < columns; b++) (re[(k * columns) + b], im[(k * columns) + b]) = FftMatrix.Root((long)k * b, length);
        }

        return new(factor, columns, FftMatrix.Of(factor), re, im);
    }
}
