using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Sparseland.Attention.Vision;

/// <summary>
/// Factorization self-attention, FaSA (Qin, Zhou, Xu, Bian, Li, "Factorization vision transformer: modeling long range dependency with local window cost", 2023): every query has the price of a
/// 7 x 7 window, 49 keys, but the 49 keys are means over combs through the whole map. Groups of channels differ in the dilation of the comb; one small group attends over a strided convolution.
/// </summary>
/// <remarks>
/// Groups of channels: [global C/8, local 7C/16 with dilation 1, local 7C/16 with dilation r], or for r = 1 [global C/8, local 7C/8]. Queries come from all channels, W_q x, and are split along
/// channels. The global group has one head, the local ones `heads` each. Positions enter only by convolutions: v + depthwise 3 x 3 (v) on each group's small map.
/// Names: q, reduce, reduce_norm, global_kv, global_position, depthwise, pointwise, local1 (fuse, kv, position), local2, out.
/// </remarks>
public sealed class FactorizedAttention : MapAttention
{
    private readonly Linear _query, _globalKeyValue, _output;
    private readonly Conv2d _reduce, _globalPosition, _depthwise, _pointwise;
    private readonly LayerNorm _reduceNorm;
    private readonly LocalGroup[] _locals;

    /// <summary>A layer with random weights.</summary>
    /// <param name="dim">Channels C, a multiple of 16, or of 8 where the reduction is 1; each local group a multiple of the heads.</param>
    /// <param name="heads">Heads of each local group.</param>
    /// <param name="reduction">r: stride of the global group's convolution and the second dilation, at least 1.</param>
    /// <param name="window">Side of the fused map, odd and at least 3. Default 7.</param>
    /// <param name="asPublished">Whether windows are fused as the authors' code does (<see cref="WindowFusion.AsPublished"/>). Default false: the mean, as the paper says.</param>
    /// <param name="bias">Whether queries, keys and values have biases. Default true.</param>
    /// <param name="seed">Seed of the weights. Default 1.</param>
    /// <exception cref="ArgumentException">Sizes are out of their range or do not divide one another.</exception>
    public FactorizedAttention(int dim, int heads, int reduction, int window = 7, bool asPublished = false, bool bias = true, long seed = 1)
        : base(nameof(FactorizedAttention), dim, heads)
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(reduction);
        WindowComb.CheckWindow(window);
        int unit = reduction == 1 ? 8 : 16;
        if (dim % unit != 0) throw new ArgumentException($"dim is {dim}; with reduction {reduction} it must be a multiple of {unit}.", nameof(dim));
        (Reduction, Window, FusedAsPublished, GlobalWidth) = (reduction, window, asPublished, dim / 8);
        int[] dilations = reduction == 1 ? [1] : [1, reduction];
        LocalWidth = (dim - GlobalWidth) / dilations.Length;
        if (LocalWidth % heads != 0) throw new ArgumentException($"{heads} heads cannot share the {LocalWidth} channels of a local group of {dim} channels.", nameof(heads));

        (_query, _output) = (nn.Linear(dim, dim, hasBias: bias), nn.Linear(dim, dim));
        _reduce = nn.Conv2d(GlobalWidth, GlobalWidth, reduction, stride: reduction);
        _reduceNorm = nn.LayerNorm(GlobalWidth);
        _globalKeyValue = nn.Linear(GlobalWidth, 2 * GlobalWidth, hasBias: bias);
        _globalPosition = Depthwise(GlobalWidth);
        (_depthwise, _pointwise) = (Depthwise(dim - GlobalWidth), nn.Conv2d(dim - GlobalWidth, dim - GlobalWidth, 1));
        _locals = [.. dilations.Select(d => new LocalGroup(LocalWidth, heads, window, d, asPublished, bias))];

        register_module("q", _query);
        register_module("reduce", _reduce);
        register_module("reduce_norm", _reduceNorm);
        register_module("global_kv", _globalKeyValue);
        register_module("global_position", _globalPosition);
        register_module("depthwise", _depthwise);
        register_module("pointwise", _pointwise);
        for (int i = 0; i < _locals.Length; i++) register_module($"local{i + 1}", _locals[i]);
        register_module("out", _output);
        Start(this, seed, 1);
    }

    /// <summary>Stride of the global group and second dilation.</summary>
    public int Reduction { get; }

    /// <summary>Side of the fused map.</summary>
    public int Window { get; }

    /// <summary>Whether windows are fused as the authors' code does.</summary>
    public bool FusedAsPublished { get; }

    /// <summary>Channels of the global group, the first ones.</summary>
    public int GlobalWidth { get; }

    /// <summary>Channels of each local group.</summary>
    public int LocalWidth { get; }

    /// <summary>Dilation of each local group.</summary>
    public IReadOnlyList<int> Dilations => [.. _locals.Select(l => l.Dilation)];

    /// <summary>Keys per query of each group: the global one first.</summary>
    /// <param name="height">Rows.</param>
    /// <param name="width">Columns.</param>
    /// <exception cref="ArgumentException">The sizes do not fit the layer.</exception>
    public IReadOnlyList<int> KeysPerQuery(int height, int width)
    {
        CheckMap(height, width);
        return [height / Reduction * (width / Reduction), .. _locals.Select(_ => Window * Window)];
    }

    /// <inheritdoc/>
    public override void CheckMap(int height, int width)
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(height);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(width);
        if (height % Reduction != 0 || width % Reduction != 0)
            throw new ArgumentException($"A map of {height} x {width} is no multiple of the reduction {Reduction}; the strided convolution would drop places silently.", nameof(height));
        foreach (LocalGroup local in _locals) (_, _) = (WindowComb.Windows(height, Window, local.Dilation), WindowComb.Windows(width, Window, local.Dilation));
    }

    /// <inheritdoc/>
    public override long AttentionMacs(int height, int width) =>
        KeysPerQuery(height, width).Select((keys, group) => 2L * height * width * keys * (group == 0 ? GlobalWidth : LocalWidth)).Sum();

    /// <summary>Queries, keys and values of each group, the global one first: [batch, heads, tokens or keys, width of a head].</summary>
    /// <param name="x">[batch, height * width, dim].</param>
    /// <param name="height">Rows.</param>
    /// <param name="width">Columns.</param>
    /// <exception cref="ArgumentException">Another shape.</exception>
    public (Tensor Queries, Tensor Keys, Tensor Values)[] Groups(Tensor x, int height, int width)
    {
        Check(x, height, width);
        using DisposeScope scope = NewDisposeScope();
        Tensor q = _query.call(x), coarse = _reduce.call(Map(x.narrow(2, 0, GlobalWidth), height, width));
        Tensor[] keyValue = _globalKeyValue.call(_reduceNorm.call(Tokens(coarse))).chunk(2, 2);
        Tensor placed = keyValue[1] + Tokens(_globalPosition.call(Map(keyValue[1], height / Reduction, width / Reduction)));
        List<(Tensor, Tensor, Tensor)> groups = [(q.narrow(2, 0, GlobalWidth).unsqueeze(1), keyValue[0].unsqueeze(1), placed.unsqueeze(1))];
        Tensor local = LocalMap(x, height, width);
        for (int i = 0; i < _locals.Length; i++)
        {
            long first = (long)i * LocalWidth;
            (Tensor keys, Tensor values) = _locals[i].KeysAndValues(local.narrow(1, first, LocalWidth));
            groups.Add((Split(q.narrow(2, GlobalWidth + first, LocalWidth), Heads), keys, values));
        }

        return [.. groups.Select(g => (scope.MoveToOuter(g.Item1), scope.MoveToOuter(g.Item2), scope.MoveToOuter(g.Item3)))];
    }

    /// <summary>What the local groups cut into windows: their channels through a depthwise 3 x 3 and a 1 x 1 convolution.</summary>
    /// <param name="x">[batch, height * width, dim].</param>
    /// <param name="height">Rows.</param>
    /// <param name="width">Columns.</param>
    /// <returns>[batch, 7/8 dim, height, width].</returns>
    /// <exception cref="ArgumentException">Another shape.</exception>
    public Tensor LocalMap(Tensor x, int height, int width)
    {
        Check(x, height, width);
        using DisposeScope scope = NewDisposeScope();
        return scope.MoveToOuter(_pointwise.call(_depthwise.call(Map(x.narrow(2, GlobalWidth, Dim - GlobalWidth), height, width))));
    }

    /// <summary>softmax(q k^T / sqrt(width of a head)) v of every group and head, side by side, before the output map.</summary>
    /// <param name="x">[batch, height * width, dim].</param>
    /// <param name="height">Rows.</param>
    /// <param name="width">Columns.</param>
    /// <returns>[batch, height * width, dim].</returns>
    /// <exception cref="ArgumentException">Another shape.</exception>
    public Tensor Attend(Tensor x, int height, int width)
    {
        using DisposeScope scope = NewDisposeScope();
        return scope.MoveToOuter(cat([.. Groups(x, height, width).Select(g => Join(nn.functional.scaled_dot_product_attention(g.Queries, g.Keys, g.Values)))], 2));
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

    /// <summary>Keys and values of one local group: fused tokens, two linear maps shared by the heads, positions on the values.</summary>
    private sealed class LocalGroup : nn.Module
    {
        private readonly Linear _fuse, _keyValue;
        private readonly Conv2d _position;
        private readonly int _heads, _window;
        private readonly bool _asPublished;

        public LocalGroup(int width, int heads, int window, int dilation, bool asPublished, bool bias)
            : base(nameof(LocalGroup))
        {
            int each = width / heads;
            (_heads, _window, Dilation, _asPublished) = (heads, window, dilation, asPublished);
            (_fuse, _keyValue, _position) = (nn.Linear(each, each, hasBias: bias), nn.Linear(each, 2 * each, hasBias: bias), Depthwise(width));
            register_module("fuse", _fuse);
            register_module("kv", _keyValue);
            register_module("position", _position);
        }

        public int Dilation { get; }

        public (Tensor Keys, Tensor Values) KeysAndValues(Tensor map)
        {
            Tensor fused = _asPublished ? WindowFusion.AsPublished(map, _heads, _window, Dilation) : WindowFusion.Mean(map, _window, Dilation);
            Tensor[] keyValue = _keyValue.call(_fuse.call(Split(fused, _heads))).chunk(2, 3);
            Tensor values = Join(keyValue[1]);
            return (keyValue[0], Split(values + Tokens(_position.call(Map(values, _window, _window))), _heads));
        }
    }
}
