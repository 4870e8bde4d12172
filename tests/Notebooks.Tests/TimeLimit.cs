using System.Diagnostics;

namespace Notebooks.Tests;

/// <summary>Time limits that grow with the machine's slowness, measured once: a fixed limit fails a notebook for a slow machine's sake.</summary>
internal static class TimeLimit
{
    // What the computation below takes on all threads of a two-core machine of 2023.
    private const double ReferenceSeconds = 0.15;

    // A busy machine may become busier after the measurement; a fast one is not held to less.
    private const double Most = 10;

    private static readonly Lazy<double> Slowness = new(() => Math.Clamp(Enumerable.Range(0, 3).Min(_ => Seconds()) / ReferenceSeconds, 1, Most));

    /// <summary>The limit for this machine.</summary>
    /// <param name="onReference">The limit for the reference machine.</param>
    public static TimeSpan Of(TimeSpan onReference) => onReference * Slowness.Value;

    /// <summary>Seconds of a fixed product of matrices, split over the machine's threads.</summary>
    private static double Seconds()
    {
        const int size = 384;
        var a = new double[size * size];
        Array.Fill(a, 0.5);
        var product = new double[size * size];
        var watch = Stopwatch.StartNew();
        Parallel.For(0, size, row =>
        {
            for (var k = 0; k < size; k++)
            {
                for (var column = 0; column < size; column++)
                    product[(row * size) + column] += a[(row * size) + k] * a[(k * size) + column];
            }
        });
        return product[0] > 0 ? watch.Elapsed.TotalSeconds : throw new InvalidOperationException("the product is empty");
    }
}
