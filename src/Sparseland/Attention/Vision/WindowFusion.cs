using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Attention.Vision;

/// <summary>Cross-window fusion (Qin et al. 2023): from a map of any size to the w x w tokens that become keys and values.</summary>
public static class WindowFusion
{
    /// <summary>The paper's statement: token (a, b) is the mean over all windows of their place (a, b), channel by channel (<see cref="WindowComb"/>).</summary>
    /// <remarks>The mean over a comb is a mean over rows and one over columns: two small products, and for dilation 1 without padding a view and a mean. No window is copied.</remarks>
    /// <param name="map">[batch, channels, height, width], Float32 or Float64.</param>
    /// <param name="window">Side of the fused map, odd and at least 3. Default 7.</param>
    /// <param name="dilation">Distance of neighbouring positions of a window, at least 1. Default 1.</param>
    /// <returns>[batch, window * window, channels].</returns>
    /// <exception cref="ArgumentException">Another shape or type, or the map is too small for the padding.</exception>
    public static Tensor Mean(Tensor map, int window = 7, int dilation = 1)
    {
        (long batch, long channels, int height, int width) = Check(map);
        (int down, int across) = (WindowComb.Windows(height, window, dilation), WindowComb.Windows(width, window, dilation));
        using DisposeScope scope = NewDisposeScope();
        Tensor fused = dilation == 1 && down * window == height && across * window == width
            ? map.reshape(batch, channels, down, window, across, window).mean([2L, 4L])
            : Averages(height, window, dilation, map).MatMul(map.MatMul(Averages(width, window, dilation, map).t()));
        return scope.MoveToOuter(fused.flatten(2).transpose(1, 2));
    }

    /// <summary>
    /// What the authors' code does: the numbers of position (a, b) of all n windows and c channels of a head stand in one row, window by window, and each n neighbours of it become one output.
    /// That mixes channels of a few windows; only of a single window it is the mean.
    /// </summary>
    /// <param name="map">[batch, channels, height, width], Float32 or Float64; the channels of a head next to one another.</param>
    /// <param name="heads">Heads, a divisor of the channels.</param>
    /// <param name="window">Side of the fused map, odd and at least 3. Default 7.</param>
    /// <param name="dilation">Distance of neighbouring positions of a window, at least 1. Default 1.</param>
    /// <returns>[batch, window * window, channels].</returns>
    /// <exception cref="ArgumentException">Another shape or type, heads that do not divide the channels, or the map is too small for the padding.</exception>
    public static Tensor AsPublished(Tensor map, int heads, int window = 7, int dilation = 1)
    {
        (long batch, long channels, int height, int width) = Check(map);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(heads);
        if (channels % heads != 0) throw new ArgumentException($"{channels} channels cannot be shared by {heads} heads.", nameof(heads));
        int[][] positions = WindowComb.Positions(height, width, window, dilation);
        using DisposeScope scope = NewDisposeScope();
        long keys = positions.Length, windows = positions[0].Length, each = channels / heads;
        Tensor places = tensor(positions.SelectMany(p => p).Select(p => (long)p).ToArray(), device: map.device);
        Tensor read = map.flatten(2).index_select(2, places).view(batch, heads, each, keys, windows);

        // [batch, head, key, window, channel]: flattened with the channel fastest, then cut into runs of as many numbers as there are windows.
        Tensor rows = read.permute(0, 1, 3, 4, 2).reshape(batch, heads, keys, each, windows).mean([-1L]);
        return scope.MoveToOuter(rows.permute(0, 2, 1, 3).reshape(batch, keys, channels));
    }

    /// <summary>[window, length]: row a averages the places of position a.</summary>
    private static Tensor Averages(int length, int window, int dilation, Tensor like)
    {
        int[][] axis = WindowComb.Axis(length, window, dilation);
        var weights = new double[window * length];
        for (int a = 0; a < window; a++)
        {
            foreach (int place in axis[a]) weights[(a * length) + place] += 1.0 / axis[a].Length;
        }

        return tensor(weights, [window, length], dtype: like.dtype, device: like.device);
    }

    private static (long Batch, long Channels, int Height, int Width) Check(Tensor map)
    {
        ArgumentNullException.ThrowIfNull(map);
        if (map.dim() != 4 || map.numel() == 0 || map.dtype is not (ScalarType.Float32 or ScalarType.Float64))
            throw new ArgumentException($"map must be Float32 or Float64 [batch, channels, height, width] and not empty, but is {map.dtype} [{string.Join(", ", map.shape)}].", nameof(map));
        return (map.shape[0], map.shape[1], (int)map.shape[2], (int)map.shape[3]);
    }
}
