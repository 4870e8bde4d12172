using TorchSharp;
using TorchSharp.Modules;
using TorchSharp.Utils;
using static TorchSharp.torch;
using static TorchSharp.torch.nn;

namespace Sparseland.Models.Vision;

/// <summary>Sizes of a <see cref="VisionTransformer"/>. The defaults have 0.46 M parameters.</summary>
public sealed record VisionTransformerOptions
{
    /// <summary>For images of digits, one channel of 28 x 28: patches of 7 x 7, 16 tokens, 0.45 M parameters.</summary>
    public static VisionTransformerOptions Digits { get; } = new() { Channels = 1, Side = 28, Patch = 7 };

    /// <summary>Channels of the images. Default 3.</summary>
    public int Channels { get; init; } = 3;

    /// <summary>Rows and columns of the images. Default 32.</summary>
    public int Side { get; init; } = 32;

    /// <summary>Rows and columns of a patch, a divisor of <see cref="Side"/>. Default 4.</summary>
    public int Patch { get; init; } = 4;

    /// <summary>Length of a token's vector, a multiple of <see cref="Heads"/>. Default 96.</summary>
    public int Width { get; init; } = 96;

    /// <summary>Blocks. Default 4.</summary>
    public int Layers { get; init; } = 4;

    /// <summary>Heads of attention. Default 4.</summary>
    public int Heads { get; init; } = 4;

    /// <summary>Width of the hidden layer of each MLP. Default 384.</summary>
    public int MlpWidth { get; init; } = 384;

    /// <summary>Classes. Default 10.</summary>
    public int Classes { get; init; } = 10;

    /// <summary>Number of patches.</summary>
    public int Tokens => Side / Patch * (Side / Patch);

    /// <summary>Refuses what has no meaning.</summary>
    /// <exception cref="ArgumentOutOfRangeException">A number is not positive, or the sizes do not divide one another.</exception>
    public void Validate()
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(Channels);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(Side);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(Patch);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(Width);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(Layers);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(Heads);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(MlpWidth);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(Classes);
        if (Side % Patch != 0) throw new ArgumentOutOfRangeException(nameof(Patch), Patch, $"{nameof(Patch)} must divide {nameof(Side)} = {Side}.");
        if (Width % Heads != 0) throw new ArgumentOutOfRangeException(nameof(Heads), Heads, $"{nameof(Heads)} must divide {nameof(Width)} = {Width}.");
    }
}

/// <summary>
/// Vision transformer (Dosovitskiy et al., "An image is worth 16 x 16 words", ICLR 2021) with norms before attention and MLP: patches to
/// tokens, learned positions, blocks x += Attention(norm(x)), x += MLP(norm(x)), the mean over the tokens, a linear head.
/// </summary>
/// <remarks>
/// Names: embed, positions, block1.norm1, qkv, out, norm2, up, down, ..., norm, head. The mean over the tokens stands for the paper's
/// class token: simpler, and no worse at this size (Beyer, Zhai and Kolesnikov 2022). Matrices start normal with variance 1 / inputs,
/// those that add to the residual stream divided by sqrt(2 layers), positions as sines and cosines of row and column; the weights depend
/// on the seed alone.
/// </remarks>
public sealed class VisionTransformer : Module<Tensor, Tensor>
{
    private readonly Linear _embed;
    [ComponentName(Name = "positions")]
    private readonly Parameter _positions;
    private readonly VisionBlock[] _blocks;
    private readonly LayerNorm _norm;
    private readonly Linear _head;

    /// <summary>A network with random weights.</summary>
    /// <param name="options">Sizes; null for the defaults.</param>
    /// <param name="seed">Seed of the weights. Default 1.</param>
    /// <exception cref="ArgumentOutOfRangeException">A size is out of its range.</exception>
    public VisionTransformer(VisionTransformerOptions? options = null, long seed = 1)
        : base(nameof(VisionTransformer))
    {
        options ??= new();
        options.Validate();
        Options = options;
        _embed = Linear(options.Channels * options.Patch * options.Patch, options.Width);
        _positions = new Parameter(zeros(options.Tokens, options.Width));
        _blocks = [.. Enumerable.Range(0, options.Layers).Select(_ => new VisionBlock(options))];
        _norm = LayerNorm(options.Width);
        _head = Linear(options.Width, options.Classes);

        register_module("embed", _embed);
        register_parameter("positions", _positions);
        for (int layer = 0; layer < _blocks.Length; layer++) register_module($"block{layer + 1}", _blocks[layer]);
        register_module("norm", _norm);
        register_module("head", _head);
        Start(seed);
    }

    /// <summary>Sizes.</summary>
    public VisionTransformerOptions Options { get; }

    /// <summary>The blocks.</summary>
    public IReadOnlyList<VisionBlock> Blocks => _blocks;

    /// <summary>The logits.</summary>
    /// <param name="images">[samples, channels, side, side], 0 to 1.</param>
    /// <returns>[samples, classes].</returns>
    /// <exception cref="ArgumentException">The images are not of this shape.</exception>
    public override Tensor forward(Tensor images)
    {
        using var scope = NewDisposeScope();
        Tensor x = Embed(images);
        foreach (VisionBlock block in _blocks) x = block.call(x);
        return _head.call(_norm.call(x).mean([1])).MoveToOuterDisposeScope();
    }

    /// <summary>The patches as vectors with their positions: what the first block sees.</summary>
    /// <param name="images">[samples, channels, side, side], 0 to 1.</param>
    /// <returns>[samples, tokens, width].</returns>
    /// <exception cref="ArgumentException">The images are not of this shape.</exception>
    public Tensor Embed(Tensor images)
    {
        using var scope = NewDisposeScope();
        return _embed.call(Patches(images)).add(_positions).MoveToOuterDisposeScope();
    }

    /// <summary>The values of each patch, from -1 to 1, patches row by row.</summary>
    /// <param name="images">[samples, channels, side, side], 0 to 1.</param>
    /// <returns>[samples, tokens, channels * patch * patch].</returns>
    /// <exception cref="ArgumentException">The images are not of this shape.</exception>
    public Tensor Patches(Tensor images)
    {
        ArgumentNullException.ThrowIfNull(images);
        if (images.dim() != 4 || images.shape[1] != Options.Channels || images.shape[2] != Options.Side || images.shape[3] != Options.Side)
            throw new ArgumentException($"images are [{string.Join(", ", images.shape)}]; they must be [samples, {Options.Channels}, {Options.Side}, {Options.Side}].", nameof(images));
        using var scope = NewDisposeScope();
        long n = images.shape[0], c = Options.Channels, p = Options.Patch, side = Options.Side / p;
        Tensor patches = images.reshape(n, c, side, p, side, p).permute(0, 2, 4, 1, 3, 5).reshape(n, side * side, c * p * p);
        return patches.mul(2).sub(1).MoveToOuterDisposeScope();
    }

    /// <summary>Sines and cosines of the row and of the column, waves of 4 to 40 patches: what is near is alike from the start.</summary>
    private float[] Waves()
    {
        int width = Options.Width, side = Options.Side / Options.Patch;
        var waves = new float[Options.Tokens * width];
        for (int i = 0; i < waves.Length; i++)
        {
            (int token, int feature) = Math.DivRem(i, width);
            int place = feature % 4 < 2 ? token / side : token % side;
            double frequency = Math.PI / 2 * Math.Pow(10, -(feature / 4) / (width / 4.0));
            waves[i] = (float)(0.5 * Math.Sin((place * frequency) + (feature % 2 * Math.PI / 2)));
        }
        return waves;
    }

    private void Start(long seed)
    {
        using var generator = new Generator(unchecked((ulong)seed));
        using IDisposable off = no_grad();
        using var scope = NewDisposeScope();
        double residual = 1 / Math.Sqrt(2 * Options.Layers);
        foreach ((string name, Parameter parameter) in named_parameters())
        {
            if (name == "positions") parameter.copy_(tensor(Waves(), parameter.shape));
            else if (parameter.dim() > 1)
            {
                bool adds = name.EndsWith("out.weight", StringComparison.Ordinal) || name.EndsWith("down.weight", StringComparison.Ordinal);
                parameter.copy_(randn(parameter.shape, generator: generator).mul_((adds ? residual : 1) / Math.Sqrt(parameter.shape[1])));
            }
            else if (name.EndsWith("bias", StringComparison.Ordinal)) parameter.zero_();
        }
    }
}

/// <summary>One block of a <see cref="VisionTransformer"/>.</summary>
public sealed class VisionBlock : Module<Tensor, Tensor>, ILinearPlaces
{
    private readonly LinearPlace _queryKeyValue, _output, _up, _down;
    private readonly int _heads;

    internal VisionBlock(VisionTransformerOptions options)
        : base(nameof(VisionBlock))
    {
        _heads = options.Heads;
        (Norm1, Norm2) = (LayerNorm(options.Width), LayerNorm(options.Width));
        (_queryKeyValue, _output) = (new(Linear(options.Width, 3 * options.Width)), new(Linear(options.Width, options.Width)));
        (_up, _down) = (new(Linear(options.Width, options.MlpWidth)), new(Linear(options.MlpWidth, options.Width)));
        register_module("norm1", Norm1);
        register_module("qkv", _queryKeyValue.Current);
        register_module("out", _output.Current);
        register_module("norm2", Norm2);
        register_module("up", _up.Current);
        register_module("down", _down.Current);
        LayerPlace.Bind(this, ("qkv", _queryKeyValue), ("out", _output), ("up", _up), ("down", _down));
    }

    /// <summary>Norm before the attention.</summary>
    public LayerNorm Norm1 { get; }

    /// <summary>Queries, keys and values in one matrix [3 * width, width].</summary>
    public Linear QueryKeyValue => _queryKeyValue.Linear;

    /// <summary>Mixes the heads [width, width].</summary>
    public Linear Output => _output.Linear;

    /// <summary>Norm before the MLP.</summary>
    public LayerNorm Norm2 { get; }

    /// <summary>First matrix of the MLP [mlpWidth, width].</summary>
    public Linear Up => _up.Linear;

    /// <summary>Last matrix of the MLP [width, mlpWidth].</summary>
    public Linear Down => _down.Linear;

    IEnumerable<(string Path, LinearPlace Place)> ILinearPlaces.Places => [("qkv", _queryKeyValue), ("out", _output), ("up", _up), ("down", _down)];

    /// <inheritdoc/>
    public override Tensor forward(Tensor x)
    {
        using var scope = NewDisposeScope();
        x = x.add(_output.call(Attend(Norm1.call(x))));
        return x.add(_down.call(functional.gelu(_up.call(Norm2.call(x))))).MoveToOuterDisposeScope();
    }

    /// <summary>The weights of the attention, which the forward pass itself never writes out.</summary>
    /// <param name="x">What comes into the block [samples, tokens, width].</param>
    /// <returns>[samples, heads, tokens, tokens]; each row sums to 1.</returns>
    public Tensor Pattern(Tensor x)
    {
        ArgumentNullException.ThrowIfNull(x);
        using var scope = NewDisposeScope();
        (Tensor q, Tensor k, _) = Split(Norm1.call(x));
        Tensor scores = q.flatten(0, 1).bmm(k.flatten(0, 1).transpose(1, 2)).div(Math.Sqrt(q.shape[3]));
        return scores.softmax(-1).view(q.shape[0], q.shape[1], q.shape[2], q.shape[2]).MoveToOuterDisposeScope();
    }

    private Tensor Attend(Tensor x)
    {
        (Tensor q, Tensor k, Tensor v) = Split(x);
        return functional.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2);
    }

    private (Tensor Q, Tensor K, Tensor V) Split(Tensor x)
    {
        // unbind, not three selections: its gradient is one copy, theirs would be three additions to zeros.
        Tensor[] parts = _queryKeyValue.call(x).view(x.shape[0], x.shape[1], 3, _heads, -1).unbind(2);
        return (parts[0].transpose(1, 2), parts[1].transpose(1, 2), parts[2].transpose(1, 2));
    }
}
