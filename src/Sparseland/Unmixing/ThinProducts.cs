using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace Sparseland.Unmixing;

/// <summary>
/// Products of a block [rows, 128 pixels] with a few columns, the sums of several outputs in registers at once: a loop that writes its sums
/// back for each row waits for its own stores.
/// </summary>
internal static unsafe class ThinProducts
{
    /// <summary>Pixels of a block.</summary>
    public const int Pixels = 128;

    private const int Step = 8;

    /// <summary>result[k, p] = sum_l weights[l, k] data[l, p].</summary>
    /// <param name="data">[rows, 128].</param>
    /// <param name="weights">[rows, columns].</param>
    /// <param name="result">[columns, 128].</param>
    /// <param name="rows">l.</param>
    /// <param name="columns">k.</param>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Across(double* data, double* weights, double* result, int rows, int columns)
    {
        for (int p = 0; p < Pixels; p += 4 * Step)
        {
            int k = 0;
            for (; k + 5 <= columns && columns - k != 6; k += 5) Five(data + p, weights + k, result + (k * Pixels) + p, rows, columns);
            for (; k + 3 <= columns; k += 3) Three(data + p, weights + k, result + (k * Pixels) + p, rows, columns);
            for (; k < columns; k++) One(data + p, weights + k, result + (k * Pixels) + p, rows, columns);
        }
    }

    /// <summary>result[l, k] += sum_p data[l, p] others[k, p].</summary>
    /// <param name="data">[rows, 128].</param>
    /// <param name="others">[columns, 128].</param>
    /// <param name="result">[rows, columns].</param>
    /// <param name="rows">l.</param>
    /// <param name="columns">k.</param>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static void Along(double* data, double* others, double* result, int rows, int columns)
    {
        int l = 0;
        for (; l + 4 <= rows; l += 4)
        {
            int k = 0;
            for (; k + 5 <= columns; k += 5) FourByFive(data + (l * Pixels), others + (k * Pixels), result + ((long)l * columns) + k, columns);
            for (; k < columns; k++)
            {
                for (int i = 0; i < 4; i++) result[((long)(l + i) * columns) + k] += Dot(data + ((l + i) * Pixels), others + (k * Pixels));
            }
        }

        for (; l < rows; l++)
        {
            for (int k = 0; k < columns; k++) result[((long)l * columns) + k] += Dot(data + (l * Pixels), others + (k * Pixels));
        }
    }

    // Five columns of 32 pixels: 20 sums.
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Five(double* data, double* weights, double* result, int rows, int columns)
    {
        Vector512<double> s00 = default, s01 = default, s02 = default, s03 = default, s10 = default, s11 = default, s12 = default, s13 = default, s20 = default, s21 = default, s22 = default, s23 = default, s30 = default, s31 = default, s32 = default, s33 = default, s40 = default, s41 = default, s42 = default, s43 = default;
        for (int l = 0; l < rows; l++, data += Pixels, weights += columns)
        {
            Vector512<double> y0 = Vector512.Load(data), y1 = Vector512.Load(data + Step), y2 = Vector512.Load(data + (2 * Step)), y3 = Vector512.Load(data + (3 * Step));
            Vector512<double> w = Vector512.Create(weights[0]);
            s00 = Vector512.FusedMultiplyAdd(w, y0, s00);
            s01 = Vector512.FusedMultiplyAdd(w, y1, s01);
            s02 = Vector512.FusedMultiplyAdd(w, y2, s02);
            s03 = Vector512.FusedMultiplyAdd(w, y3, s03);
            w = Vector512.Create(weights[1]);
            s10 = Vector512.FusedMultiplyAdd(w, y0, s10);
            s11 = Vector512.FusedMultiplyAdd(w, y1, s11);
            s12 = Vector512.FusedMultiplyAdd(w, y2, s12);
            s13 = Vector512.FusedMultiplyAdd(w, y3, s13);
            w = Vector512.Create(weights[2]);
            s20 = Vector512.FusedMultiplyAdd(w, y0, s20);
            s21 = Vector512.FusedMultiplyAdd(w, y1, s21);
            s22 = Vector512.FusedMultiplyAdd(w, y2, s22);
            s23 = Vector512.FusedMultiplyAdd(w, y3, s23);
            w = Vector512.Create(weights[3]);
            s30 = Vector512.FusedMultiplyAdd(w, y0, s30);
            s31 = Vector512.FusedMultiplyAdd(w, y1, s31);
            s32 = Vector512.FusedMultiplyAdd(w, y2, s32);
            s33 = Vector512.FusedMultiplyAdd(w, y3, s33);
            w = Vector512.Create(weights[4]);
            s40 = Vector512.FusedMultiplyAdd(w, y0, s40);
            s41 = Vector512.FusedMultiplyAdd(w, y1, s41);
            s42 = Vector512.FusedMultiplyAdd(w, y2, s42);
            s43 = Vector512.FusedMultiplyAdd(w, y3, s43);
        }

        Store(result, s00, s01, s02, s03);
        Store(result + Pixels, s10, s11, s12, s13);
        Store(result + (2 * Pixels), s20, s21, s22, s23);
        Store(result + (3 * Pixels), s30, s31, s32, s33);
        Store(result + (4 * Pixels), s40, s41, s42, s43);
    }

    // Three columns of 32 pixels: 12 sums.
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Three(double* data, double* weights, double* result, int rows, int columns)
    {
        Vector512<double> s00 = default, s01 = default, s02 = default, s03 = default, s10 = default, s11 = default, s12 = default, s13 = default, s20 = default, s21 = default, s22 = default, s23 = default;
        for (int l = 0; l < rows; l++, data += Pixels, weights += columns)
        {
            Vector512<double> y0 = Vector512.Load(data), y1 = Vector512.Load(data + Step), y2 = Vector512.Load(data + (2 * Step)), y3 = Vector512.Load(data + (3 * Step));
            Vector512<double> w = Vector512.Create(weights[0]);
            s00 = Vector512.FusedMultiplyAdd(w, y0, s00);
            s01 = Vector512.FusedMultiplyAdd(w, y1, s01);
            s02 = Vector512.FusedMultiplyAdd(w, y2, s02);
            s03 = Vector512.FusedMultiplyAdd(w, y3, s03);
            w = Vector512.Create(weights[1]);
            s10 = Vector512.FusedMultiplyAdd(w, y0, s10);
            s11 = Vector512.FusedMultiplyAdd(w, y1, s11);
            s12 = Vector512.FusedMultiplyAdd(w, y2, s12);
            s13 = Vector512.FusedMultiplyAdd(w, y3, s13);
            w = Vector512.Create(weights[2]);
            s20 = Vector512.FusedMultiplyAdd(w, y0, s20);
            s21 = Vector512.FusedMultiplyAdd(w, y1, s21);
            s22 = Vector512.FusedMultiplyAdd(w, y2, s22);
            s23 = Vector512.FusedMultiplyAdd(w, y3, s23);
        }

        Store(result, s00, s01, s02, s03);
        Store(result + Pixels, s10, s11, s12, s13);
        Store(result + (2 * Pixels), s20, s21, s22, s23);
    }

    // One column of 32 pixels: 4 sums.
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void One(double* data, double* weights, double* result, int rows, int columns)
    {
        Vector512<double> s00 = default, s01 = default, s02 = default, s03 = default;
        for (int l = 0; l < rows; l++, data += Pixels, weights += columns)
        {
            Vector512<double> y0 = Vector512.Load(data), y1 = Vector512.Load(data + Step), y2 = Vector512.Load(data + (2 * Step)), y3 = Vector512.Load(data + (3 * Step));
            Vector512<double> w = Vector512.Create(weights[0]);
            s00 = Vector512.FusedMultiplyAdd(w, y0, s00);
            s01 = Vector512.FusedMultiplyAdd(w, y1, s01);
            s02 = Vector512.FusedMultiplyAdd(w, y2, s02);
            s03 = Vector512.FusedMultiplyAdd(w, y3, s03);
        }

        Store(result, s00, s01, s02, s03);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Store(double* result, Vector512<double> a, Vector512<double> b, Vector512<double> c, Vector512<double> d)
    {
        a.Store(result);
        b.Store(result + Step);
        c.Store(result + (2 * Step));
        d.Store(result + (3 * Step));
    }

    // Four rows and five columns: twenty sums.
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void FourByFive(double* data, double* others, double* result, int columns)
    {
        Vector512<double> s00 = default, s01 = default, s02 = default, s03 = default, s04 = default, s10 = default, s11 = default, s12 = default, s13 = default, s14 = default, s20 = default, s21 = default, s22 = default, s23 = default, s24 = default, s30 = default, s31 = default, s32 = default, s33 = default, s34 = default;
        for (int p = 0; p < Pixels; p += Step)
        {
            double* row = data + p, column = others + p;
            Vector512<double> y0 = Vector512.Load(row), y1 = Vector512.Load(row + Pixels), y2 = Vector512.Load(row + (2 * Pixels)), y3 = Vector512.Load(row + (3 * Pixels));
            Vector512<double> a = Vector512.Load(column);
            s00 = Vector512.FusedMultiplyAdd(y0, a, s00);
            s10 = Vector512.FusedMultiplyAdd(y1, a, s10);
            s20 = Vector512.FusedMultiplyAdd(y2, a, s20);
            s30 = Vector512.FusedMultiplyAdd(y3, a, s30);
            a = Vector512.Load(column + Pixels);
            s01 = Vector512.FusedMultiplyAdd(y0, a, s01);
            s11 = Vector512.FusedMultiplyAdd(y1, a, s11);
            s21 = Vector512.FusedMultiplyAdd(y2, a, s21);
            s31 = Vector512.FusedMultiplyAdd(y3, a, s31);
            a = Vector512.Load(column + (2 * Pixels));
            s02 = Vector512.FusedMultiplyAdd(y0, a, s02);
            s12 = Vector512.FusedMultiplyAdd(y1, a, s12);
            s22 = Vector512.FusedMultiplyAdd(y2, a, s22);
            s32 = Vector512.FusedMultiplyAdd(y3, a, s32);
            a = Vector512.Load(column + (3 * Pixels));
            s03 = Vector512.FusedMultiplyAdd(y0, a, s03);
            s13 = Vector512.FusedMultiplyAdd(y1, a, s13);
            s23 = Vector512.FusedMultiplyAdd(y2, a, s23);
            s33 = Vector512.FusedMultiplyAdd(y3, a, s33);
            a = Vector512.Load(column + (4 * Pixels));
            s04 = Vector512.FusedMultiplyAdd(y0, a, s04);
            s14 = Vector512.FusedMultiplyAdd(y1, a, s14);
            s24 = Vector512.FusedMultiplyAdd(y2, a, s24);
            s34 = Vector512.FusedMultiplyAdd(y3, a, s34);
        }

        Add(result, s00, s01, s02, s03, s04);
        Add(result + columns, s10, s11, s12, s13, s14);
        Add(result + (2 * columns), s20, s21, s22, s23, s24);
        Add(result + (3 * columns), s30, s31, s32, s33, s34);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Add(double* result, Vector512<double> a, Vector512<double> b, Vector512<double> c, Vector512<double> d, Vector512<double> e)
    {
        result[0] += Vector512.Sum(a);
        result[1] += Vector512.Sum(b);
        result[2] += Vector512.Sum(c);
        result[3] += Vector512.Sum(d);
        result[4] += Vector512.Sum(e);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static double Dot(double* x, double* y)
    {
        Vector512<double> s0 = default, s1 = default;
        for (int p = 0; p < Pixels; p += 2 * Step)
        {
            s0 = Vector512.FusedMultiplyAdd(Vector512.Load(x + p), Vector512.Load(y + p), s0);
            s1 = Vector512.FusedMultiplyAdd(Vector512.Load(x + p + Step), Vector512.Load(y + p + Step), s1);
        }

        return Vector512.Sum(s0 + s1);
    }
}
