namespace Sparseland.Kernels;

/// <summary>Channel-major activations [channels, images, height, width]: a channel's numbers lie together, and channels are <c>Stride</c> numbers apart.</summary>
/// <param name="Address">First number.</param>
/// <param name="Channels">Channels.</param>
/// <param name="Images">Images side by side inside each channel.</param>
/// <param name="Height">Rows.</param>
/// <param name="Width">Columns.</param>
/// <param name="Stride">From a channel to the next, at least images height width.</param>
internal readonly unsafe record struct Planes(nint Address, int Channels, int Images, int Height, int Width, long Stride)
{
    private const int Way = 1024;
    private const int Line = 16;

    /// <summary>Positions of a channel.</summary>
    public int Positions => checked(Images * Height * Width);

    public float* Of(int channel) => (float*)Address + (channel * Stride);

    /// <summary>
    /// Distance of channels where one may choose it: whole cache lines, and no multiple of 4 KB, at which all channels would fall into the same few places of a cache.
    /// </summary>
    public static long StrideFor(int positions)
    {
        long stride = ((long)positions + Line - 1) / Line * Line;
        return stride % Way == 0 ? stride + Line : stride;
    }
}
