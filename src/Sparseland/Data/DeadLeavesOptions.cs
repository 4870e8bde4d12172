namespace Sparseland.Data;

/// <summary>What a dead-leaves image is made of. Lengths are in pixels of the image.</summary>
public sealed record DeadLeavesOptions
{
    /// <summary>Rows of the image, at least 1. Default 256.</summary>
    public int Height { get; init; } = 256;

    /// <summary>Columns of the image, at least 1. Default 256.</summary>
    public int Width { get; init; } = 256;

    /// <summary>Smallest radius, at least 0.5. Default 3.</summary>
    public double MinRadius { get; init; } = 3;

    /// <summary>Largest radius, not below <see cref="MinRadius"/>. Default 80.</summary>
    public double MaxRadius { get; init; } = 80;

    /// <summary>
    /// Exponent of the radius density, p(r) ~ r^-Alpha between the cut-offs; from 0 to 10. Default 3, for which the image
    /// looks the same at every scale between them.
    /// </summary>
    public double Alpha { get; init; } = 3;

    /// <summary>
    /// Contrast of each disk's own texture (a shading across it and grain drawn out along its own direction) as a share of
    /// the grey range, from 0 to 1. Default 0: disks of constant intensity.
    /// </summary>
    public double TextureContrast { get; init; }

    /// <summary>
    /// The image is drawn this many times finer in both directions and averaged down, which smooths the edges of the disks.
    /// From 1 (default: every pixel shows the one disk over its centre) to 16.
    /// </summary>
    public int Supersampling { get; init; } = 1;

    /// <summary>Refuses what has no meaning.</summary>
    /// <exception cref="ArgumentOutOfRangeException">A value is out of its range; the message says which and why.</exception>
    public void Validate()
    {
        Require(Height >= 1, nameof(Height), Height, "at least 1");
        Require(Width >= 1, nameof(Width), Width, "at least 1");
        Require(double.IsFinite(MinRadius) && MinRadius >= 0.5, nameof(MinRadius), MinRadius, "finite and at least 0.5 pixel");
        Require(double.IsFinite(MaxRadius) && MaxRadius >= MinRadius, nameof(MaxRadius), MaxRadius, $"finite and not below {nameof(MinRadius)} = {MinRadius}");
        Require(Alpha is >= 0 and <= 10, nameof(Alpha), Alpha, "from 0 to 10");
        Require(TextureContrast is >= 0 and <= 1, nameof(TextureContrast), TextureContrast, "from 0 to 1");
        Require(Supersampling is >= 1 and <= 16, nameof(Supersampling), Supersampling, "from 1 to 16");
        long fine = (long)Height * Supersampling * ((long)Width * Supersampling);
        Require(fine <= Array.MaxLength / 2, nameof(Height), Height, $"such that Height x Width x Supersampling^2 is at most {Array.MaxLength / 2}, not {fine}");
        Require(ExpectedDisks <= 1e9, nameof(MaxRadius), MaxRadius, $"nearer to the size of the image and to {nameof(MinRadius)}: it would take about {ExpectedDisks:G2} disks, more than 1e9, to cover the image");
    }

    /// <summary>
    /// About how many disks are drawn until the image is covered: a pixel stays bare through one disk with probability
    /// 1 - E[pi r^2] / (area where centres fall), and the last of independent pixels needs ln(pixels) times as long.
    /// </summary>
    public double ExpectedDisks
    {
        get
        {
            double area = (Height + (2 * MaxRadius)) * (Width + (2 * MaxRadius));
            double meanSquare = MinRadius * MinRadius * Moment(3 - Alpha) / Moment(1 - Alpha);
            return area / (Math.PI * meanSquare) * (1 + Math.Log((double)Height * Width));
        }
    }

    /// <summary>Integral of t^(power - 1) over t from 1 to MaxRadius / MinRadius.</summary>
    private double Moment(double power)
    {
        double log = Math.Log(MaxRadius / MinRadius);
        if (log == 0)
            return 1;
        return Math.Abs(power * log) < 1e-9 ? log : (Math.Exp(power * log) - 1) / power;
    }

    private static void Require(bool holds, string name, object value, string rule)
    {
        if (!holds)
            throw new ArgumentOutOfRangeException(name, value, $"{name} must be {rule}.");
    }
}
