using System.Runtime.CompilerServices;

namespace Sparseland.Kernels;

/// <summary>
/// Activations with a border of zeros, laid out so that the taps of a k x k kernel with any stride read neighbouring numbers: each padded row is parted into its columns 0, s, 2s, ...,
/// then 1, s + 1, ..., so that outputs x, x + 1, ... read x, x + 1, ... of one part.
/// </summary>
internal readonly unsafe record struct PaddedPlanes
{
    public PaddedPlanes(int images, int height, int width, int kernelHeight, int kernelWidth, int stride, int padding)
    {
        (Images, Height, Width, Step, Padding) = (images, height, width, stride, padding);
        (OutputHeight, OutputWidth) = (Outputs(height, kernelHeight, stride, padding), Outputs(width, kernelWidth, stride, padding));
        PartWidth = (width + (2 * padding) + stride - 1) / stride;
        RowLength = PartWidth * stride;
        Rows = height + (2 * padding);
        Plane = checked(Rows * RowLength);
        Channel = Planes.StrideFor(checked(Plane * images));
    }

    public int Images { get; }

    public int Height { get; }

    public int Width { get; }

    public int Step { get; }

    public int Padding { get; }

    public int OutputHeight { get; }

    public int OutputWidth { get; }

    public int PartWidth { get; }

    public int RowLength { get; }

    public int Rows { get; }

    /// <summary>Numbers of an image in a channel.</summary>
    public int Plane { get; }

    /// <summary>Numbers from a channel to the next.</summary>
    public long Channel { get; }

    /// <summary>Rows or columns that a convolution gives; not positive where the kernel does not fit.</summary>
    public static int Outputs(int size, int kernel, int stride, int padding) => size + (2 * padding) < kernel ? 0 : ((size + (2 * padding) - kernel) / stride) + 1;

    /// <summary>Where a tap reads for output (0, 0) of an image, from the beginning of the channel's image.</summary>
    public int Tap(int row, int column) => (row * RowLength) + (column % Step * PartWidth) + (column / Step);

    /// <summary>From there to output (y, 0).</summary>
    public int OutputRow(int y) => y * Step * RowLength;

    /// <summary>Lays one image of a channel out; every number of the plane is written.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public void Fill(float* image, float* plane)
    {
        new Span<float>(plane, Plane).Clear();
        for (int row = 0; row < Height; row++)
        {
            float* to = plane + ((row + Padding) * RowLength), from = image + ((long)row * Width);
            if (Step == 1)
            {
                new ReadOnlySpan<float>(from, Width).CopyTo(new Span<float>(to + Padding, Width));
                continue;
            }

            for (int first = 0; first < Step; first++)
            {
                float* part = to + ((first + Padding) % Step * PartWidth) + ((first + Padding) / Step);
                for (int column = first; column < Width; column += Step) *part++ = from[column];
            }
        }
    }
}
