using System.Text;

namespace Sparseland.Notebooks.Charts.Drawing;

/// <summary>Path data in relative steps of a tenth of a unit: about half the size of absolute coordinates.</summary>
internal sealed class PathData
{
    private readonly StringBuilder data = new();
    private long x;
    private long y;

    public PathData Move(double toX, double toY)
    {
        (x, y) = (Tenths(toX), Tenths(toY));
        data.Append($"M{Canvas.N(x / 10.0)} {Canvas.N(y / 10.0)}");
        return this;
    }

    public PathData To(double toX, double toY)
    {
        long newX = Tenths(toX), newY = Tenths(toY);
        if (newX == x && newY == y)
            return this;
        // The step is taken from the rounded place, so rounding errors do not add up along the path.
        data.Append($"l{Canvas.N((newX - x) / 10.0)} {Canvas.N((newY - y) / 10.0)}");
        (x, y) = (newX, newY);
        return this;
    }

    public PathData Close()
    {
        data.Append('z');
        return this;
    }

    public override string ToString() => data.ToString();

    // Far outside the picture the exact place does not matter, but a huge number would.
    private static long Tenths(double value) => (long)Math.Round(Math.Clamp(value, -1e5, 1e5) * 10);
}
