namespace Sparseland.Data;

/// <summary>
/// The image while it is drawn front to back. Each row links every covered pixel towards the next bare one, so that a
/// disk behind a covered stretch costs a jump: the whole drawing is linear in pixels plus rows of disks.
/// </summary>
internal sealed class LeafCanvas
{
    private readonly DeadLeavesOptions options;
    private readonly int fine, height, width;
    private readonly double[] values;
    private readonly int[] nextBare;

    internal LeafCanvas(DeadLeavesOptions options)
    {
        this.options = options;
        fine = options.Supersampling;
        height = options.Height * fine;
        width = options.Width * fine;
        values = new double[height * width];
        nextBare = new int[height * (width + 1)];
        for (int y = 0; y < height; y++)
        {
            for (int x = 0; x <= width; x++)
                nextBare[(y * (width + 1)) + x] = x;
        }
        Bare = values.Length;
    }

    /// <summary>Pixels of the fine grid that no disk covers yet.</summary>
    internal int Bare { get; private set; }

    /// <summary>Paints the pixels whose centre lies in the disk and that are still bare.</summary>
    internal void PutBehind(in Disk disk)
    {
        double centreX = (disk.X * fine) - 0.5, centreY = (disk.Y * fine) - 0.5, radius = disk.Radius * fine;
        int top = (int)Math.Ceiling(Math.Max(centreY - radius, 0));
        int bottom = (int)Math.Floor(Math.Min(centreY + radius, height - 1));
        bool textured = options.TextureContrast > 0;
        LeafTexture texture = textured ? new LeafTexture(disk, options.TextureContrast) : default;

        for (int y = top; y <= bottom; y++)
        {
            double half = Math.Sqrt(Math.Max((radius * radius) - ((y - centreY) * (y - centreY)), 0));
            int last = (int)Math.Floor(Math.Min(centreX + half, width - 1));
            int first = (int)Math.Ceiling(Math.Max(centreX - half, 0));
            if (first > last)
                continue;
            Span<int> row = nextBare.AsSpan(y * (width + 1), width + 1);
            for (int x = Find(row, first); x <= last; x = Find(row, x))
            {
                values[(y * width) + x] = textured ? texture.At((x + 0.5) / fine, (y + 0.5) / fine) : disk.Grey;
                row[x] = x + 1;
                Bare--;
            }
        }
    }

    /// <summary>Averages the fine grid down to the image.</summary>
    internal void AverageInto(Span<double> image)
    {
        if (fine == 1)
        {
            values.CopyTo(image);
            return;
        }
        for (int y = 0; y < options.Height; y++)
        {
            for (int x = 0; x < options.Width; x++)
            {
                double sum = 0;
                for (int inner = 0; inner < fine; inner++)
                {
                    foreach (double value in values.AsSpan((((y * fine) + inner) * width) + (x * fine), fine))
                        sum += value;
                }
                image[(y * options.Width) + x] = sum / (fine * fine);
            }
        }
    }

    /// <summary>The first bare pixel at or after x (width: none), halving the path on the way.</summary>
    private static int Find(Span<int> row, int x)
    {
        while (row[x] != x)
        {
            row[x] = row[row[x]];
            x = row[x];
        }
        return x;
    }
}
