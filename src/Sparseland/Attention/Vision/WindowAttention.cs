using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Sparseland.Attention.Vision;

/// <summary>
/// Attention inside windows of w x w places (Liu et al., "Swin transformer", 2021), or over the whole map: what factorized attention is compared with. A shift moves the windows, so that
/// neighbours of one block's border meet in the next.
/// </summary>
/// <remarks>
/// Swin's shift is cyclic: what wraps around to the other side of the map is masked. As in <see cref="FactorizedAttention"/> positions enter by v + depthwise 3 x 3 (v), here on the whole map, and
/// not by Swin's table of relative positions, so that arms of a comparison differ in their keys alone. Names: qkv, position, out.
/// </remarks>
public sealed class WindowAttention : MapAttention
{
    private readonly Linear _queryKeyValue, _output;
    private readonly Conv2d _position;

    /// <summary>A layer with random weights.</summary>
    /// <param name="dim">Channels, a multiple of the heads.</param>
    /// <param name="heads">Heads.</param>
    /// <param name="window">Side of a window, odd and at least 3; null for one window as large as the map: dense attention. Default 7.</param>
    /// <param name="shift">Places by which the windows are moved down and to the right, from 0 to below the window; without effect along an axis of one window. Default 0.</param>
    /// <param name="bias">Whether queries, keys and values have biases. Default true.</param>
    /// <param name="seed">Seed of the weights. Default 1.</param>
    /// <exception cref="ArgumentException">Sizes are out of their range or do not divide one another.</exception>
    public WindowAttention(int dim, int heads, int? window = 7, int shift = 0, bool bias = true, long seed = 1)
        : base(nameof(WindowAttention), dim, heads)
    {
        if (dim % heads != 0) throw new ArgumentException($"{heads} heads cannot share {dim} channels.", nameof(heads));
        if (window is { } w) WindowComb.CheckWindow(w);
        if (shift < 0 || shift >= (window ?? 1)) throw new ArgumentOutOfRangeException(nameof(shift), shift, $"The shift must be from 0 to below the window{(window is null ? ", and 0 without windows" : $" of {window}")}.");
        (Window, Shift) = (window, shift);
        (_queryKeyValue, _output, _position) = (nn.Linear(dim, 3 * dim, hasBias: bias), nn.Linear(dim, dim), Depthwise(dim));
        register_module("qkv", _queryKeyValue);
        register_module("position", _position);
        register_module("out", _output);
        Start(this, seed, 1);
    }

    /// <summary>Side of a window; null for the whole map.</summary>
    public int? Window { get; }

    /// <summary>Places by which the windows are moved.</summary>
    public int Shift { get; }

    /// <inheritdoc/>
    public override void CheckMap(int height, int width)
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(height);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(width);
        if (Window is { } w && (height % w != 0 || width % w != 0)) throw new ArgumentException($"A map of {height} x {width} cannot be cut into windows of {w} x {w}.", nameof(height));
    }

    /// <inheritdoc/>
    public override long AttentionMacs(int height, int width)
    {
        CheckMap(height, width);
        return 2L * height * width * (Window * Window ?? (long)height * width) * Dim;
    }

    /// <summary>softmax(q k^T / sqrt(width of a head)) v inside each window, before the output map.</summary>
    /// <param name="x">[batch, height * width, dim].</param>
    /// <param name="height">Rows.</param>
    /// <param name="width">Columns.</param>
    /// <returns>[batch, height * width, dim].</returns>
    /// <exception cref="ArgumentException">Another shape.</exception>
    public Tensor Attend(Tensor x, int height, int width)
    {
        Check(x, height, width);
        using DisposeScope scope = NewDisposeScope();
        Tensor[] parts = _queryKeyValue.call(x).chunk(3, 2);
        parts[2] = parts[2] + Tokens(_position.call(Map(parts[2], height, width)));
        if (Window is not { } w || (w == height && w == width))
        {
            Tensor[] whole = [.. parts.Select(p => Split(p, Heads))];
            return scope.MoveToOuter(Join(nn.functional.scaled_dot_product_attention(whole[0], whole[1], whole[2])));
        }

        int down = height / w, across = width / w, rows = down > 1 ? Shift : 0, columns = across > 1 ? Shift : 0;
        Tensor Cut(Tensor p)
        {
            Tensor map = p.reshape(p.shape[0], height, width, Dim);
            if (Shift > 0) map = map.roll([-rows, -columns], [1, 2]);
            return map.reshape(-1, down, w, across, w, Heads, Dim / Heads).permute(0, 1, 3, 5, 2, 4, 6).reshape(-1, (long)down * across * Heads, w * w, Dim / Heads);
        }

        Tensor? seen = Shift > 0 ? Seen(height, width, w, rows, columns, x.device) : null;
        Tensor heads = nn.functional.scaled_dot_product_attention(Cut(parts[0]), Cut(parts[1]), Cut(parts[2]), seen);
        Tensor joined = heads.reshape(-1, down, across, Heads, w, w, Dim / Heads).permute(0, 1, 4, 2, 5, 3, 6).reshape(-1, height, width, Dim);
        if (Shift > 0) joined = joined.roll([rows, columns], [1, 2]);
        return scope.MoveToOuter(joined.reshape(x.shape));
    }

    /// <summary>The whole layer: <see cref="Attend"/>, then the output map.</summary>
    /// <param name="x">[batch, height * width, dim].</param>
    /// <param name="height">Rows.</param>
    /// <param name="width">Columns.</param>
    /// <returns>[batch, height * width, dim].</returns>
    /// <exception cref="ArgumentException">Another shape.</exception>
    public override Tensor forward(Tensor x, int height, int width)
    {
        using DisposeScope scope = NewDisposeScope();
        return scope.MoveToOuter(_output.call(Attend(x, height, width)));
    }

    /// <summary>[windows * heads, w * w, w * w]: pairs of places that were neighbours before the map was rolled.</summary>
    private Tensor Seen(int height, int width, int w, int down, int across, Device device)
    {
        // Three bands along each axis: whole windows, the part of the last one that was there, and what wrapped around.
        static int Band(int place, int length, int w, int shift) => place < length - w ? 0 : place < length - shift ? 1 : 2;
        var regions = new long[height * width];
        for (int i = 0; i < regions.Length; i++) regions[i] = (3 * Band(i / width, height, w, down)) + Band(i % width, width, w, across);
        Tensor ids = tensor(regions, [height / w, w, width / w, w], device: device).permute(0, 2, 1, 3).reshape(-1, w * w);
        return ids.unsqueeze(1).eq(ids.unsqueeze(2)).repeat_interleave(Heads, 0);
    }
}
