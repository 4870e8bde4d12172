using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Sparseland.Attention.Vision;

/// <summary>
/// Factorization vision transformer (Qin, Zhou, Xu, Bian, Li 2023): stages that halve the map, each an overlapping convolution and a norm, then blocks x += attention(norm(x)),
/// x += MLP(norm(x)) whose MLP has a depthwise 3 x 3 convolution (PVT v2, Wang et al. 2022), a norm; the mean over the last map, a linear head. The attention may be replaced by those it is compared with.
/// </summary>
/// <remarks>
/// Names: stage1.embed, embed_norm, block1 (norm1, attention, norm2, up, depthwise, down), ..., norm, ..., head. Linear weights start normal with variance 1 / inputs, those that add to the
/// residual stream divided by sqrt(2 blocks); convolutions normal with variance 2 / (kernel * outputs of a group), as published; biases 0. They depend on the seed and the sizes alone.
/// </remarks>
public sealed class FaViT : nn.Module<Tensor, Tensor>
{
    private readonly Stage[] _stages;
    private readonly Linear _head;

    /// <summary>A network with random weights.</summary>
    /// <param name="options">Sizes; null for <see cref="FaViTOptions.B0"/>.</param>
    /// <param name="seed">Seed of the weights. Default 1.</param>
    /// <exception cref="ArgumentException">Sizes are out of their range or do not divide one another.</exception>
    public FaViT(FaViTOptions? options = null, long seed = 1)
        : base(nameof(FaViT))
    {
        options ??= new();
        options.Validate();
        Options = options;
        _stages = [.. options.Widths.Select((_, i) => new Stage(options, i))];
        _head = nn.Linear(options.Widths[^1], options.Classes);
        for (int i = 0; i < _stages.Length; i++) register_module($"stage{i + 1}", _stages[i]);
        register_module("head", _head);
        MapAttention.Start(this, seed, 1 / Math.Sqrt(2 * options.Depths.Sum()));
    }

    /// <summary>Sizes.</summary>
    public FaViTOptions Options { get; }

    /// <summary>Numbers that are trained.</summary>
    public long ParameterCount => parameters().Sum(p => p.numel());

    /// <summary>The attention of every block, stage after stage; empty without attention.</summary>
    public IReadOnlyList<MapAttention> Attentions => [.. _stages.SelectMany(s => s.Blocks).Select(b => b.Attention).OfType<MapAttention>()];

    /// <summary>Refuses images of which some stage's map does not fit its attention.</summary>
    /// <param name="height">Rows of an image.</param>
    /// <param name="width">Columns of an image.</param>
    /// <exception cref="ArgumentException">A map does not fit; the message names the stage.</exception>
    public void CheckImage(int height, int width)
    {
        IReadOnlyList<(int Height, int Width)> maps = Options.Maps(height, width);
        for (int i = 0; i < maps.Count; i++)
        {
            foreach (FaViTBlock block in _stages[i].Blocks)
            {
                try
                {
                    block.Attention?.CheckMap(maps[i].Height, maps[i].Width);
                }
                catch (ArgumentException e)
                {
                    throw new ArgumentException($"Images of {height} x {width} give stage {i + 1} a map of {maps[i].Height} x {maps[i].Width}: {e.Message}", nameof(height), e);
                }
            }
        }
    }

    /// <summary>Multiply-adds of all attention products for one image.</summary>
    /// <param name="height">Rows of an image.</param>
    /// <param name="width">Columns of an image.</param>
    /// <exception cref="ArgumentException">A map does not fit.</exception>
    public long AttentionMacs(int height, int width)
    {
        CheckImage(height, width);
        return Options.Maps(height, width).Zip(_stages, (map, stage) => stage.Blocks.Sum(b => b.Attention?.AttentionMacs(map.Height, map.Width) ?? 0)).Sum();
    }

    /// <summary>The logits.</summary>
    /// <param name="images">[samples, channels, rows, columns], 0 to 1.</param>
    /// <returns>[samples, classes].</returns>
    /// <exception cref="ArgumentException">The images are not of this shape or of the network's type, or do not fit a stage; the message names it.</exception>
    public override Tensor forward(Tensor images)
    {
        ArgumentNullException.ThrowIfNull(images);
        if (images.dim() != 4 || images.shape[1] != Options.Channels || images.numel() == 0)
            throw new ArgumentException($"images are [{string.Join(", ", images.shape)}]; they must be [samples, {Options.Channels}, rows, columns] and not empty.", nameof(images));
        if (images.dtype != _head.weight.dtype) throw new ArgumentException($"images are {images.dtype}, the network {_head.weight.dtype}.", nameof(images));
        CheckImage((int)images.shape[2], (int)images.shape[3]);
        using DisposeScope scope = NewDisposeScope();
        Tensor map = images.mul(2).sub(1);
        foreach (Stage stage in _stages) map = stage.call(map);
        return scope.MoveToOuter(_head.call(map.mean([2L, 3L])));
    }

    /// <summary>One resolution: from a map to the next smaller one.</summary>
    private sealed class Stage : nn.Module<Tensor, Tensor>
    {
        private readonly Conv2d _embed;
        private readonly LayerNorm _embedNorm, _norm;

        public Stage(FaViTOptions options, int stage)
            : base(nameof(Stage))
        {
            (int kernel, int stride) = stage == 0 ? (options.StemKernel, options.StemStride) : (3, 2);
            int width = options.Widths[stage];
            _embed = nn.Conv2d(stage == 0 ? options.Channels : options.Widths[stage - 1], width, kernel, stride: stride, padding: kernel / 2);
            (_embedNorm, _norm) = (nn.LayerNorm(width, FaViTBlock.Epsilon), nn.LayerNorm(width, FaViTBlock.Epsilon));
            Blocks = [.. Enumerable.Range(0, options.Depths[stage]).Select(b => new FaViTBlock(options, stage, b))];
            register_module("embed", _embed);
            register_module("embed_norm", _embedNorm);
            for (int b = 0; b < Blocks.Count; b++) register_module($"block{b + 1}", Blocks[b]);
            register_module("norm", _norm);
        }

        public IReadOnlyList<FaViTBlock> Blocks { get; }

        public override Tensor forward(Tensor map)
        {
            using DisposeScope scope = NewDisposeScope();
            Tensor embedded = _embed.call(map);
            (int height, int width) = ((int)embedded.shape[2], (int)embedded.shape[3]);
            Tensor x = _embedNorm.call(MapAttention.Tokens(embedded));
            foreach (FaViTBlock block in Blocks) x = block.call(x, height, width);
            return scope.MoveToOuter(MapAttention.Map(_norm.call(x), height, width));
        }
    }

    /// <summary>x += attention(norm(x)); x += MLP(norm(x)).</summary>
    private sealed class FaViTBlock : nn.Module<Tensor, int, int, Tensor>
    {
        internal const double Epsilon = 1e-6;
        private readonly LayerNorm? _norm1;
        private readonly LayerNorm _norm2;
        private readonly Linear _up, _down;
        private readonly Conv2d _depthwise;

        public FaViTBlock(FaViTOptions options, int stage, int block)
            : base(nameof(FaViTBlock))
        {
            (int dim, int heads, int hidden) = (options.Widths[stage], options.Heads[stage], options.Widths[stage] * options.MlpRatios[stage]);
            Attention = options.Mixing switch
            {
                MapMixing.Factorized => new FactorizedAttention(dim, heads, options.Reductions[stage], options.Window, options.FusedAsPublished),
                MapMixing.Windows => new WindowAttention(dim, heads, options.Window),
                MapMixing.ShiftedWindows => new WindowAttention(dim, heads, options.Window, block % 2 == 1 ? options.Window / 2 : 0),
                MapMixing.Dense => new WindowAttention(dim, heads, null),
                _ => null,
            };
            if (Attention is not null)
            {
                _norm1 = nn.LayerNorm(dim, Epsilon);
                register_module("norm1", _norm1);
                register_module("attention", Attention);
            }

            (_norm2, _up, _depthwise, _down) = (nn.LayerNorm(dim, Epsilon), nn.Linear(dim, hidden), MapAttention.Depthwise(hidden), nn.Linear(hidden, dim));
            register_module("norm2", _norm2);
            register_module("up", _up);
            register_module("depthwise", _depthwise);
            register_module("down", _down);
        }

        public MapAttention? Attention { get; }

        public override Tensor forward(Tensor x, int height, int width)
        {
            using DisposeScope scope = NewDisposeScope();
            if (Attention is not null) x = x + Attention.call(_norm1!.call(x), height, width);
            Tensor hidden = MapAttention.Tokens(_depthwise.call(MapAttention.Map(_up.call(_norm2.call(x)), height, width)));
            return scope.MoveToOuter(x + _down.call(nn.functional.gelu(hidden)));
        }
    }
}
