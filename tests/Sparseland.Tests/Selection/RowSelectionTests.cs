using System.Numerics;
using FsCheck;
using FsCheck.Fluent;
using Sparseland.Selection;

namespace Sparseland.Tests.Selection;

/// <summary>The row kernel at every vector width against plain sorting, on inputs arranged against it.</summary>
public class RowSelectionTests
{
    public static TheoryData<int> Widths => [.. Enum.GetValues<SimdWidth>().Where(w => w <= RowKernel<float>.Widest).Select(w => (int)w)];

    /// <summary>Rows that defeat bounds, buffers and pivots.</summary>
    private static IEnumerable<(string Name, double[] Row)> Rows(int n)
    {
        var random = new Random(n);
        double[] Make(Func<int, double> f) => [.. Enumerable.Range(0, n).Select(f)];
        yield return ("random", Make(_ => (float)random.NextDouble() - 0.5));
        yield return ("ascending", Make(i => i));
        yield return ("descending", Make(i => -i));
        yield return ("all equal", Make(_ => 3.5));
        yield return ("all zero of both signs", Make(i => i % 3 == 0 ? -0.0 : 0.0));
        yield return ("all -Inf", Make(_ => double.NegativeInfinity));
        yield return ("all +Inf", Make(_ => double.PositiveInfinity));
        yield return ("four values", Make(_ => random.Next(4)));
        yield return ("mostly zero", Make(i => i % 97 == 5 ? random.Next(1, 5) : 0.0));
        yield return ("ties at the end", Make(i => i < n / 2 ? -1 : 2));
        yield return ("one group high and ascending", Make(i => i % 128 == 7 ? i : -1.0 / (i + 1)));
        yield return ("saw tooth", Make(i => i % 64));
        yield return ("denormals", Make(_ => float.Epsilon * random.Next(-3, 4)));
        yield return ("extremes", Make(_ => random.Next(6) switch
        {
            0 => double.PositiveInfinity,
            1 => double.NegativeInfinity,
            2 => float.MaxValue,
            3 => -float.MaxValue,
            4 => -0.0,
            _ => 0.0,
        }));
    }

    private static int[] Expected(double[] row, int k) =>
        [.. Enumerable.Range(0, row.Length).OrderByDescending(i => row[i] + 0.0).Take(k).Order()];

    private static int[] Run<T>(SimdWidth width, double[] row, int k)
        where T : unmanaged, IBinaryFloatingPointIeee754<T>
    {
        RowKernel<T> kernel = RowKernel<T>.For(width);
        using RowKernel<T>.IScratch scratch = kernel.Rent(row.Length, k);
        int[] selected = new int[k];
        Assert.Equal(RowKernel<T>.NoNaN, kernel.Select(row.Select(T.CreateTruncating).ToArray(), k, selected, scratch));
        return selected;
    }

    [Theory]
    [MemberData(nameof(Widths))]
    public void Every_path_selects_what_sorting_selects(int width)
    {
        foreach (int n in new[] { 1, 2, 15, 16, 17, 33, 100, 511, 512, 513, 1031, 3072, 5000 })
        {
            foreach ((string name, double[] row) in Rows(n))
            {
                foreach (int k in new[] { 0, 1, 2, 31, 32, 33, 64, 200, n / 8, n / 8 + 1, n / 2, n - 1, n }.Where(k => k >= 0 && k <= n).Distinct())
                {
                    int[] expected = Expected(row, k);
                    Assert.True(expected.AsSpan().SequenceEqual(Run<float>((SimdWidth)width, row, k)), $"float, {name}, n = {n}, k = {k}");
                    Assert.True(expected.AsSpan().SequenceEqual(Run<double>((SimdWidth)width, row, k)), $"double, {name}, n = {n}, k = {k}");
                }
            }
        }
    }

    [Theory]
    [MemberData(nameof(Widths))]
    public void Long_rows_select_what_sorting_selects(int width)
    {
        foreach ((string name, double[] row) in Rows(70_001).Where(r => r.Name is "random" or "four values" or "ascending" or "one group high and ascending"))
        {
            foreach (int k in new[] { 1, 1000, 35_000, 70_000 })
            {
                int[] expected = Expected(row, k);
                Assert.True(expected.AsSpan().SequenceEqual(Run<float>((SimdWidth)width, row, k)), $"float, {name}, k = {k}");
                Assert.True(expected.AsSpan().SequenceEqual(Run<double>((SimdWidth)width, row, k)), $"double, {name}, k = {k}");
            }
        }
    }

    [Theory]
    [MemberData(nameof(Widths))]
    public void The_first_NaN_is_found_wherever_it_stands(int width)
    {
        foreach (int n in new[] { 1, 7, 40, 1000, 4099 })
        {
            foreach (int k in new[] { 0, 1, Math.Min(n, 32), n })
            {
                foreach (int at in new[] { 0, n / 3, n - 1 }.Distinct())
                {
                    float[] row = [.. Enumerable.Range(0, n).Select(i => (float)Math.Sin(i))];
                    row[at] = float.NaN;
                    row[n - 1] = float.NaN;
                    RowKernel<float> kernel = RowKernel<float>.For((SimdWidth)width);
                    using RowKernel<float>.IScratch scratch = kernel.Rent(n, k);
                    Assert.Equal(at, kernel.Select(row, k, new int[k], scratch));
                    row[at] = -float.NaN;
                    Assert.Equal(at, kernel.Select(row, k, new int[k], scratch));
                }
            }
        }
    }

    [Theory]
    [MemberData(nameof(Widths))]
    public void A_row_of_nothing_but_NaN_is_refused_at_its_first(int width)
    {
        float[] row = new float[5000];
        row.AsSpan().Fill(float.NaN);
        RowKernel<float> kernel = RowKernel<float>.For((SimdWidth)width);
        using RowKernel<float>.IScratch scratch = kernel.Rent(row.Length, 32);
        Assert.Equal(0, kernel.Select(row, 32, new int[32], scratch));
    }

    [Theory]
    [MemberData(nameof(Widths))]
    public void Random_rows_with_ties_select_what_sorting_selects(int width)
    {
        Gen<double> entry = Gen.Frequency(
            (6, Gen.Choose(-4, 4).Select(i => i * 0.5)),
            (2, Gen.Choose(-1_000_000, 1_000_000).Select(i => (double)(i * 1e-3f))),
            (1, Gen.Elements(double.PositiveInfinity, double.NegativeInfinity, -0.0, float.Epsilon, -float.Epsilon, float.MaxValue)));
        Gen<(double[], int)> input =
            from n in Gen.Choose(1, 2500)
            from row in Gen.ArrayOf(entry, n)
            from k in Gen.Frequency((3, Gen.Choose(0, Math.Min(n, 40))), (1, Gen.Choose(0, n)))
            select (row, k);
        Prop.ForAll(input.ToArbitrary(), x => Expected(x.Item1, x.Item2).AsSpan().SequenceEqual(Run<float>((SimdWidth)width, x.Item1, x.Item2))
            && Expected(x.Item1, x.Item2).AsSpan().SequenceEqual(Run<double>((SimdWidth)width, x.Item1, x.Item2)))
            .Check(Config.QuickThrowOnFailure.WithMaxTest(60));
    }

    [Fact]
    public void Keys_order_as_the_numbers_do()
    {
        double[] ascending = [double.NegativeInfinity, -double.MaxValue, -1, -double.Epsilon, 0, double.Epsilon, 1e-300, 1, double.MaxValue, double.PositiveInfinity];
        long[] keys = [.. ascending.Select(OrderedKey.Of<double, long>)];
        Assert.Equal(keys.Order(), keys);
        Assert.Equal(keys.Length, keys.Distinct().Count());
        Assert.Equal(ascending, keys.Select(OrderedKey.Value<double, long>));
        Assert.Equal(OrderedKey.Of<double, long>(0.0), OrderedKey.Of<double, long>(-0.0));
    }
}
