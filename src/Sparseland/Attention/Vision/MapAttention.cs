using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Attention.Vision;

/// <summary>An attention among the places of a map, which knows what it costs: called as call(x, height, width) with x [batch, height * width, dim], row by row.</summary>
public abstract class MapAttention : nn.Module<Tensor, int, int, Tensor>
{
    /// <summary>Names the layer and keeps its sizes.</summary>
    /// <param name="name">Name.</param>
    /// <param name="dim">Channels.</param>
    /// <param name="heads">Heads.</param>
    /// <exception cref="ArgumentOutOfRangeException">A number is not positive.</exception>
    protected MapAttention(string name, int dim, int heads)
        : base(name)
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(dim);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(heads);
        (Dim, Heads) = (dim, heads);
    }

    /// <summary>Channels.</summary>
    public int Dim { get; }

    /// <summary>Heads.</summary>
    public int Heads { get; }

    /// <summary>Refuses maps that the layer cannot attend over.</summary>
    /// <param name="height">Rows.</param>
    /// <param name="width">Columns.</param>
    /// <exception cref="ArgumentException">The sizes do not fit the layer.</exception>
    public abstract void CheckMap(int height, int width);

    /// <summary>Multiply-adds of the two products with the keys and the values, for one map.</summary>
    /// <param name="height">Rows.</param>
    /// <param name="width">Columns.</param>
    /// <exception cref="ArgumentException">The sizes do not fit the layer.</exception>
    public abstract long AttentionMacs(int height, int width);

    /// <summary>
    /// First weights of the layers of this room: linear ones normal with variance 1 / inputs, those whose output is added to a stream times a factor; convolutions normal with variance
    /// 2 / (kernel * outputs of a group); biases 0. The weights depend on the seed and the sizes alone.
    /// </summary>
    internal static void Start(nn.Module network, long seed, double added)
    {
        using var generator = new Generator(unchecked((ulong)seed));
        using IDisposable off = no_grad();
        using DisposeScope scope = NewDisposeScope();
        foreach ((string name, TorchSharp.Modules.Parameter parameter) in network.named_parameters().OrderBy(p => p.name, StringComparer.Ordinal))
        {
            long[] shape = parameter.shape;
            bool adds = name.EndsWith("out.weight", StringComparison.Ordinal) || name.EndsWith("down.weight", StringComparison.Ordinal);
            bool alone = name.Contains("depthwise", StringComparison.Ordinal) || name.Contains("position", StringComparison.Ordinal);
            if (shape.Length == 2) parameter.copy_(randn(shape, generator: generator).mul_((adds ? added : 1) / Math.Sqrt(shape[1])));
            else if (shape.Length == 4) parameter.copy_(randn(shape, generator: generator).mul_(Math.Sqrt(2.0 / (shape[2] * shape[3] * (alone ? 1 : shape[0])))));
            else if (name.EndsWith("bias", StringComparison.Ordinal)) parameter.zero_();
        }
    }

    /// <summary>Refuses tokens of another shape.</summary>
    private protected void Check(Tensor x, int height, int width)
    {
        ArgumentNullException.ThrowIfNull(x);
        CheckMap(height, width);
        if (x.dim() != 3 || x.shape[2] != Dim || x.shape[1] != (long)height * width || x.shape[0] == 0)
            throw new ArgumentException($"x must be [batch, {height} * {width} = {(long)height * width}, {Dim}], but is [{string.Join(", ", x.shape)}].", nameof(x));
    }

    /// <summary>Tokens as a map: a view [batch, channels, height, width] with the channels of a place next to one another in memory, as convolutions like it.</summary>
    internal static Tensor Map(Tensor x, int height, int width) => x.reshape(x.shape[0], height, width, x.shape[2]).permute(0, 3, 1, 2);

    /// <summary>A map as tokens [batch, height * width, channels].</summary>
    internal static Tensor Tokens(Tensor map) => map.flatten(2).transpose(1, 2);

    /// <summary>[batch, tokens, channels] to [batch, heads, tokens, channels / heads].</summary>
    private protected static Tensor Split(Tensor x, int heads) => x.reshape(x.shape[0], x.shape[1], heads, x.shape[2] / heads).transpose(1, 2);

    /// <summary>[batch, heads, tokens, width] to [batch, tokens, heads * width].</summary>
    private protected static Tensor Join(Tensor x) => x.transpose(1, 2).flatten(2);

    /// <summary>A 3 x 3 convolution of each channel by itself.</summary>
    internal static TorchSharp.Modules.Conv2d Depthwise(long channels) => nn.Conv2d(channels, channels, 3, padding: 1, groups: channels);
}
