namespace Sparseland.Attention.Vision;

/// <summary>
/// Which places of a map share a position in their window (Qin et al., "Factorization vision transformer", 2023, section on cross-window fusion): the map is cut into windows of w x w
/// places, `dilation` apart, and key (a, b) is made of place (a, b) of every window, a regular comb over the whole map.
/// </summary>
/// <remarks>
/// A window with dilation D has the side s = (w - 1) D + 1 and the next one begins s further on. The map is padded below and to the right to a multiple of s by reflection (row H + i is row
/// H - 2 - i), so the padding must be shorter than the map. With D above 1 the windows skip the places between: a comb need not read the whole map, see <see cref="Coverage"/>.
/// </remarks>
public static class WindowComb
{
    /// <summary>Places along one axis: [position in the window][window], from 0.</summary>
    /// <param name="length">Rows or columns of the map.</param>
    /// <param name="window">Positions of a window along the axis, odd and at least 3. Default 7.</param>
    /// <param name="dilation">Distance of neighbouring positions, at least 1. Default 1.</param>
    /// <exception cref="ArgumentException">A number is out of its range, or the padding is not shorter than the map.</exception>
    public static int[][] Axis(int length, int window = 7, int dilation = 1)
    {
        int windows = Windows(length, window, dilation), side = (int)Side(window, dilation);
        int Place(int a, int u)
        {
            int place = (side * u) + (dilation * a);
            return place < length ? place : (2 * (length - 1)) - place;
        }

        return [.. Enumerable.Range(0, window).Select(a => Enumerable.Range(0, windows).Select(u => Place(a, u)).ToArray())];
    }

    /// <summary>Windows along one axis, the padding counted in.</summary>
    /// <param name="length">Rows or columns of the map.</param>
    /// <param name="window">Positions of a window along the axis, odd and at least 3. Default 7.</param>
    /// <param name="dilation">Distance of neighbouring positions, at least 1. Default 1.</param>
    /// <exception cref="ArgumentException">As for <see cref="Axis"/>.</exception>
    public static int Windows(int length, int window = 7, int dilation = 1)
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(length);
        long side = Side(window, dilation), padding = Padding(length, window, dilation);
        if (padding >= length)
            throw new ArgumentException($"Windows of {window} with dilation {dilation} are {side} wide, so a map of length {length} needs a padding of {padding}; reflection gives less than the length.", nameof(length));
        return (int)((length + padding) / side);
    }

    /// <summary>Places of each key, as row * width + column: [key a * w + b][windows].</summary>
    /// <param name="height">Rows of the map.</param>
    /// <param name="width">Columns of the map.</param>
    /// <param name="window">Positions of a window along each axis, odd and at least 3. Default 7.</param>
    /// <param name="dilation">Distance of neighbouring positions, at least 1. Default 1.</param>
    /// <exception cref="ArgumentException">As for <see cref="Axis"/>.</exception>
    public static int[][] Positions(int height, int width, int window = 7, int dilation = 1)
    {
        int[][] rows = Axis(height, window, dilation), columns = Axis(width, window, dilation);
        return [.. rows.SelectMany(r => columns.Select(c => r.SelectMany(y => c.Select(x => (y * width) + x)).ToArray()))];
    }

    /// <summary>How often each place of the map is read by all keys together [height, width].</summary>
    /// <param name="height">Rows of the map.</param>
    /// <param name="width">Columns of the map.</param>
    /// <param name="window">Positions of a window along each axis, odd and at least 3. Default 7.</param>
    /// <param name="dilation">Distance of neighbouring positions, at least 1. Default 1.</param>
    /// <exception cref="ArgumentException">As for <see cref="Axis"/>.</exception>
    public static int[,] Reads(int height, int width, int window = 7, int dilation = 1)
    {
        var reads = new int[height, width];
        foreach (int place in Positions(height, width, window, dilation).SelectMany(key => key)) reads[place / width, place % width]++;
        return reads;
    }

    /// <summary>Share of the places of the map that some key reads, from 0 to 1.</summary>
    /// <param name="height">Rows of the map.</param>
    /// <param name="width">Columns of the map.</param>
    /// <param name="window">Positions of a window along each axis, odd and at least 3. Default 7.</param>
    /// <param name="dilation">Distance of neighbouring positions, at least 1. Default 1.</param>
    /// <exception cref="ArgumentException">As for <see cref="Axis"/>.</exception>
    public static double Coverage(int height, int width, int window = 7, int dilation = 1)
    {
        double Along(int length) => (double)Axis(length, window, dilation).SelectMany(places => places).Distinct().Count() / length;
        return Along(height) * Along(width);
    }

    /// <summary>What must be added to a length so that windows tile it.</summary>
    internal static long Padding(int length, int window, int dilation)
    {
        long side = Side(window, dilation);
        return (side - (length % side)) % side;
    }

    /// <summary>Side of a window with its gaps.</summary>
    internal static long Side(int window, int dilation)
    {
        CheckWindow(window);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(dilation);
        return ((window - 1L) * dilation) + 1;
    }

    internal static void CheckWindow(int window)
    {
        if (window < 3 || window % 2 == 0) throw new ArgumentOutOfRangeException(nameof(window), window, "A window must be odd and at least 3.");
    }
}
