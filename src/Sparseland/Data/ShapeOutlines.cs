namespace Sparseland.Data;

/// <summary>
/// The outlines of the classes: loops of points x, y, x, y, ... around (0, 0), y downwards, radius about 1. What an even number
/// of loops surrounds is outside. All are scaled to the same root-mean-square radius of their points' hull, so that size says little.
/// </summary>
internal static class ShapeOutlines
{
    internal static IReadOnlyList<string> Names { get; } =
        ["disk", "ring", "triangle", "square", "star", "cross", "heart", "crescent", "arrow", "hourglass"];

    internal static double[][] Of(int shape) => Outlines[shape];

    private static readonly double[][][] Outlines =
    [
        [Arc(0, 0, 0.95, 0, 360)],
        [Arc(0, 0, 1, 0, 360), Arc(0, 0, 0.52, 0, 360)],
        [[0, -1.05, 1.02, 0.78, -1.02, 0.78]],
        [[-0.84, -0.84, 0.84, -0.84, 0.84, 0.84, -0.84, 0.84]],
        [Star(5, 1.12, 0.46)],
        [[-0.34, -1, 0.34, -1, 0.34, -0.34, 1, -0.34, 1, 0.34, 0.34, 0.34, 0.34, 1, -0.34, 1, -0.34, 0.34, -1, 0.34, -1, -0.34, -0.34, -0.34]],
        [Heart()],
        [[.. Arc(0, 0, 1.05, 60, 300), .. Arc(0.48, 0, 0.91, 276, 84)]],
        [[-1.08, -0.28, 0.05, -0.28, 0.05, -0.85, 1.1, 0, 0.05, 0.85, 0.05, 0.28, -1.08, 0.28]],
        [[-0.85, -1, 0.85, -1, 0.14, 0, 0.85, 1, -0.85, 1, -0.14, 0]],
    ];

    /// <summary>Points on a circle, angles in degrees, from the first to the second whichever way.</summary>
    private static double[] Arc(double x, double y, double radius, double from, double to)
    {
        int points = Math.Max(8, (int)(Math.Abs(to - from) / 12));
        var loop = new double[2 * points];
        for (int i = 0; i < points; i++)
        {
            // A whole circle does not repeat its first point; a repeated one would do no harm.
            double angle = from + ((to - from) * i / (Math.Abs(to - from) >= 360 ? points : points - 1));
            (double sin, double cos) = Math.SinCos(angle * Math.PI / 180);
            (loop[2 * i], loop[(2 * i) + 1]) = (x + (radius * cos), y + (radius * sin));
        }
        return loop;
    }

    private static double[] Star(int rays, double outer, double inner)
    {
        var loop = new double[4 * rays];
        for (int i = 0; i < 2 * rays; i++)
        {
            double radius = i % 2 == 0 ? outer : inner;
            (double sin, double cos) = Math.SinCos(Math.PI * i / rays);
            (loop[2 * i], loop[(2 * i) + 1]) = (radius * sin, -radius * cos);
        }
        return loop;
    }

    /// <summary>x = 16 sin^3 t, y = 13 cos t - 5 cos 2t - 2 cos 3t - cos 4t, brought to size.</summary>
    private static double[] Heart()
    {
        const int points = 28;
        var loop = new double[2 * points];
        for (int i = 0; i < points; i++)
        {
            double t = 2 * Math.PI * i / points;
            loop[2 * i] = Math.Pow(Math.Sin(t), 3) * 1.05;
            loop[(2 * i) + 1] = (-((13 * Math.Cos(t)) - (5 * Math.Cos(2 * t)) - (2 * Math.Cos(3 * t)) - Math.Cos(4 * t)) / 15.5) - 0.1;
        }
        return loop;
    }
}
