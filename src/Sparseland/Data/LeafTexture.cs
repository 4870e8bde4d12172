using Sparseland.Tensors;

namespace Sparseland.Data;

/// <summary>
/// The texture of one disk: a linear shading across it plus smooth value noise (random numbers on a grid, interpolated)
/// four times longer along the disk's direction than across it. All of it follows from the disk's texture number.
/// </summary>
internal readonly struct LeafTexture
{
    private const double Elongation = 4;

    private readonly Disk disk;
    private readonly double contrast;
    private readonly double shadeX, shadeY;
    private readonly double alongX, alongY, grain;

    internal LeafTexture(Disk disk, double contrast)
    {
        this.disk = disk;
        this.contrast = contrast;
        var random = new SeededRandom((long)disk.Texture);
        (shadeY, shadeX) = Math.SinCos(random.NextDouble(0, 2 * Math.PI));
        (alongY, alongX) = Math.SinCos(random.NextDouble(0, Math.PI));
        // Grain between 2 pixels, which a pixel grid still shows, and half the disk, beyond which it is shading.
        grain = 2 * Math.Pow(Math.Max(disk.Radius / 4, 1), random.NextDouble());
    }

    /// <summary>Intensity at a point of the disk, within [0, 1].</summary>
    internal double At(double x, double y)
    {
        double dx = x - disk.X, dy = y - disk.Y;
        double shade = ((dx * shadeX) + (dy * shadeY)) / (2 * disk.Radius);
        double along = ((dx * alongX) + (dy * alongY)) / (grain * Elongation);
        double across = ((dy * alongX) - (dx * alongY)) / grain;
        return Math.Clamp(disk.Grey + (contrast * 0.5 * (shade + Noise(along, across))), 0, 1);
    }

    /// <summary>Value noise in [-0.5, 0.5).</summary>
    private double Noise(double u, double v)
    {
        double u0 = Math.Floor(u), v0 = Math.Floor(v);
        double s = Smooth(u - u0), t = Smooth(v - v0);
        double near = Lattice(u0, v0) + (s * (Lattice(u0 + 1, v0) - Lattice(u0, v0)));
        double far = Lattice(u0, v0 + 1) + (s * (Lattice(u0 + 1, v0 + 1) - Lattice(u0, v0 + 1)));
        return near + (t * (far - near));

        static double Smooth(double x) => x * x * (3 - (2 * x));
    }

    private double Lattice(double u, double v)
    {
        ulong cell = ((ulong)(uint)(int)u << 32) | (uint)(int)v;
        return SeededRandom.ToUnit(SeededRandom.Mix(SeededRandom.Mix(cell + disk.Texture) ^ disk.Texture)) - 0.5;
    }
}
