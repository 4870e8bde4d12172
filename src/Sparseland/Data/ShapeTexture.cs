using Sparseland.Tensors;

namespace Sparseland.Data;

/// <summary>
/// A surface: a colour that one of five patterns makes lighter or darker: a shade from side to side, stripes, checks, dots, or
/// clouds. The pattern is in shades only in part: it also turns the colour a little, as real materials do.
/// </summary>
internal sealed class ShapeTexture(int size)
{
    private const int CloudCell = 5;

    private readonly float[] _pattern = new float[size * size];
    private readonly float[] _grid = new float[((size / CloudCell) + 2) * ((size / CloudCell) + 2)];
    private readonly float[] _swing = new float[3];

    /// <summary>Mean colour, RGB.</summary>
    internal float[] Colour { get; } = new float[3];

    /// <summary>Draws colour and pattern.</summary>
    /// <param name="random">The image's random numbers.</param>
    /// <param name="strength">Largest change of a colour either way.</param>
    /// <param name="other">Mean colour to keep away from, or null.</param>
    /// <param name="contrast">Distance to keep.</param>
    internal void Draw(ref SeededRandom random, double strength, ReadOnlySpan<float> other, double contrast)
    {
        // Between 0.1 and 0.9 no colour has less than 0.69 of room somewhere; the bound on tries only guards against contrasts beyond that.
        for (int attempt = 0; attempt < 64; attempt++)
        {
            for (int channel = 0; channel < 3; channel++) Colour[channel] = (float)random.NextDouble(0.1, 0.9);
            if (other.IsEmpty || Distance(Colour, other) >= contrast) break;
        }
        double amount = strength * random.NextDouble(0.3, 1);
        for (int channel = 0; channel < 3; channel++) _swing[channel] = (float)(amount * random.NextDouble(0.6, 1));
        DrawPattern(ref random);
    }

    /// <summary>Value of a channel at a pixel; may lie a little outside 0 .. 1.</summary>
    internal float At(int pixel, int channel) => Colour[channel] + (_swing[channel] * _pattern[pixel]);

    private void DrawPattern(ref SeededRandom random)
    {
        int kind = random.NextInt(5);
        (double sin, double cos) = Math.SinCos(random.NextDouble(0, Math.PI));
        double period = random.NextDouble(3.5, 9), phaseX = random.NextDouble(), phaseY = random.NextDouble();
        double radius = random.NextDouble(0.25, 0.38);
        if (kind == 4) DrawGrid(ref random);
        for (int row = 0, pixel = 0; row < size; row++)
        {
            for (int column = 0; column < size; column++, pixel++)
            {
                double across = ((cos * column) + (sin * row)) / period, along = ((cos * row) - (sin * column)) / period;
                _pattern[pixel] = (float)(kind switch
                {
                    0 => Math.Clamp(((cos * (column - (size / 2))) + (sin * (row - (size / 2)))) * 2 / size, -1, 1),
                    1 => Soft(Triangle(across + phaseX) * period / 2),
                    2 => Soft(Triangle(across + phaseX) * Triangle(along + phaseY) * period / 2),
                    3 => Soft((radius - Math.Sqrt(Square(Centred(across + phaseX)) + Square(Centred(along + phaseY)))) * period),
                    _ => Cloud(row, column),
                });
            }
        }
    }

    /// <summary>Clouds: values at the corners of 5 x 5 pixels, blended between them.</summary>
    private void DrawGrid(ref SeededRandom random)
    {
        foreach (ref float corner in _grid.AsSpan()) corner = (float)random.NextDouble(-1, 1);
    }

    private double Cloud(int row, int column)
    {
        int width = (size / CloudCell) + 2, top = row / CloudCell, left = column / CloudCell;
        double down = Smooth((double)(row % CloudCell) / CloudCell), right = Smooth((double)(column % CloudCell) / CloudCell);
        ReadOnlySpan<float> upper = _grid.AsSpan((top * width) + left, 2), lower = _grid.AsSpan(((top + 1) * width) + left, 2);
        double above = upper[0] + (right * (upper[1] - upper[0])), below = lower[0] + (right * (lower[1] - lower[0]));
        return above + (down * (below - above));
    }

    private static double Smooth(double t) => t * t * (3 - (2 * t));

    private static double Square(double x) => x * x;

    private static double Soft(double x) => Math.Clamp(x, -1, 1);

    /// <summary>From the middle of the cell: -0.5 to 0.5.</summary>
    private static double Centred(double x) => x - Math.Floor(x) - 0.5;

    /// <summary>Up from -1 to 1 and down again with period 1.</summary>
    private static double Triangle(double x) => (4 * Math.Abs(Centred(x))) - 1;

    private static double Distance(ReadOnlySpan<float> a, ReadOnlySpan<float> b) =>
        Math.Sqrt(Square(a[0] - b[0]) + Square(a[1] - b[1]) + Square(a[2] - b[2]));
}
