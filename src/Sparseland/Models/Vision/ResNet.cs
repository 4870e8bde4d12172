using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;
using static TorchSharp.torch.nn;

namespace Sparseland.Models.Vision;

/// <summary>Sizes of a <see cref="ResNet"/>. The defaults are ResNet-20 of He et al. (2016), section 4.2, at half its resolution: 0.27 M parameters.</summary>
public sealed record ResNetOptions
{
    /// <summary>Channels of the images. Default 3.</summary>
    public int Channels { get; init; } = 3;

    /// <summary>Classes. Default 10.</summary>
    public int Classes { get; init; } = 10;

    /// <summary>Filters of each stage; each stage after the first halves the image. Default 16, 32, 64.</summary>
    public IReadOnlyList<int> Widths { get; init; } = [16, 32, 64];

    /// <summary>Blocks of two convolutions per stage. Default 3.</summary>
    public int Blocks { get; init; } = 3;

    /// <summary>
    /// Step of the first convolution. Default 2: a quarter of the work of the paper's 1, which is what lets the network be trained in a
    /// minute or two on two cores.
    /// </summary>
    public int Stride { get; init; } = 2;

    /// <summary>Refuses what has no meaning.</summary>
    /// <exception cref="ArgumentException">A number is not positive or there is no stage.</exception>
    public void Validate()
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(Channels);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(Classes);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(Blocks);
        if (Stride is not (1 or 2)) throw new ArgumentOutOfRangeException(nameof(Stride), Stride, $"{nameof(Stride)} must be 1 or 2.");
        if (Widths is null || Widths.Count == 0 || Widths.Any(w => w < 1))
            throw new ArgumentException($"{nameof(Widths)} are [{string.Join(", ", Widths ?? [])}]; they must be one or more positive numbers.", nameof(Widths));
    }
}

/// <summary>
/// Residual network for small images (He, Zhang, Ren and Sun, "Deep residual learning for image recognition", CVPR 2016, section 4.2):
/// a 3 x 3 convolution, stages of blocks relu(x + bn(conv(relu(bn(conv(x)))))), the mean over the places, a linear head.
/// </summary>
/// <remarks>
/// Names: conv, bn, stage1.block1.conv1, bn1, conv2, bn2 (and shortcut, shortcut_bn where the shape changes), ..., head. Weights are
/// normal with variance 2 / inputs (He et al. 2015) and depend on the seed alone. All scales start at one: starting the last of each block
/// at zero (Goyal et al. 2017) costs a network that is trained for a minute a third of it. The channels of a pixel lie next to one another
/// in memory, which is how libtorch's convolutions on a CPU work without copies.
/// </remarks>
public sealed class ResNet : Module<Tensor, Tensor>
{
    private readonly Conv2d _conv;
    private readonly BatchNorm2d _norm;
    private readonly ResNetBlock[] _blocks;
    private readonly Linear _head;

    /// <summary>A network with random weights.</summary>
    /// <param name="options">Sizes; null for the defaults.</param>
    /// <param name="seed">Seed of the weights. Default 1.</param>
    /// <exception cref="ArgumentException">A size is out of its range.</exception>
    public ResNet(ResNetOptions? options = null, long seed = 1)
        : base(nameof(ResNet))
    {
        options ??= new();
        options.Validate();
        Options = options;
        _conv = Conv2d(options.Channels, options.Widths[0], 3, stride: options.Stride, padding: 1, bias: false);
        _norm = BatchNorm2d(options.Widths[0]);
        _blocks = [.. options.Widths.SelectMany((width, stage) => Enumerable.Range(0, options.Blocks).Select(block => block > 0 || stage == 0
            ? new ResNetBlock(width, width, 1)
            : new ResNetBlock(options.Widths[stage - 1], width, 2)))];
        _head = Linear(options.Widths[^1], options.Classes);

        register_module("conv", _conv);
        register_module("bn", _norm);
        for (int stage = 0; stage < options.Widths.Count; stage++)
        {
            var modules = _blocks[(stage * options.Blocks)..((stage + 1) * options.Blocks)].Select((b, i) => ($"block{i + 1}", (Module<Tensor, Tensor>)b));
            register_module($"stage{stage + 1}", Sequential([.. modules]));
        }
        register_module("head", _head);

        SmallClassifiers.Start(this, seed);
    }

    /// <summary>Sizes.</summary>
    public ResNetOptions Options { get; }

    /// <summary>The blocks of all stages.</summary>
    public IReadOnlyList<ResNetBlock> Blocks => _blocks;

    /// <summary>The logits.</summary>
    /// <param name="images">[samples, channels, rows, columns], 0 to 1.</param>
    /// <returns>[samples, classes].</returns>
    /// <exception cref="ArgumentException">The images are not of this shape.</exception>
    public override Tensor forward(Tensor images) => _head.call(Features(images));

    /// <summary>What the head sees.</summary>
    /// <param name="images">[samples, channels, rows, columns], 0 to 1.</param>
    /// <returns>[samples, last width].</returns>
    /// <exception cref="ArgumentException">The images are not of this shape.</exception>
    public Tensor Features(Tensor images)
    {
        ArgumentNullException.ThrowIfNull(images);
        if (images.dim() != 4 || images.shape[1] != Options.Channels)
            throw new ArgumentException($"images are [{string.Join(", ", images.shape)}]; they must be [samples, {Options.Channels}, rows, columns].", nameof(images));
        using var scope = NewDisposeScope();
        Tensor x = images.permute(0, 2, 3, 1).contiguous().permute(0, 3, 1, 2);
        x = functional.relu(_norm.call(_conv.call(x)), inplace: true);
        foreach (ResNetBlock block in _blocks) x = block.call(x);
        return x.mean([2, 3]).MoveToOuterDisposeScope();
    }
}

/// <summary>One block of a <see cref="ResNet"/>.</summary>
public sealed class ResNetBlock : Module<Tensor, Tensor>
{
    internal ResNetBlock(int inputs, int outputs, int stride)
        : base(nameof(ResNetBlock))
    {
        (Conv1, Conv2) = (Conv2d(inputs, outputs, 3, stride: stride, padding: 1, bias: false), Conv2d(outputs, outputs, 3, padding: 1, bias: false));
        (Norm1, Norm2) = (BatchNorm2d(outputs), BatchNorm2d(outputs));
        register_module("conv1", Conv1);
        register_module("bn1", Norm1);
        register_module("conv2", Conv2);
        register_module("bn2", Norm2);
        if (inputs == outputs && stride == 1) return;
        (Shortcut, ShortcutNorm) = (Conv2d(inputs, outputs, 1, stride: stride, bias: false), BatchNorm2d(outputs));
        register_module("shortcut", Shortcut);
        register_module("shortcut_bn", ShortcutNorm);
    }

    /// <summary>First 3 x 3 convolution.</summary>
    public Conv2d Conv1 { get; }

    /// <summary>Norm after <see cref="Conv1"/>.</summary>
    public BatchNorm2d Norm1 { get; }

    /// <summary>Second 3 x 3 convolution.</summary>
    public Conv2d Conv2 { get; }

    /// <summary>Norm after <see cref="Conv2"/>.</summary>
    public BatchNorm2d Norm2 { get; }

    /// <summary>1 x 1 convolution of what is added, where the shape changes.</summary>
    public Conv2d? Shortcut { get; }

    /// <summary>Norm after <see cref="Shortcut"/>.</summary>
    public BatchNorm2d? ShortcutNorm { get; }

    /// <inheritdoc/>
    public override Tensor forward(Tensor x)
    {
        using var scope = NewDisposeScope();
        Tensor inner = functional.relu(Norm1.call(Conv1.call(x)), inplace: true);
        inner = Norm2.call(Conv2.call(inner));
        Tensor around = Shortcut is null ? x : ShortcutNorm!.call(Shortcut.call(x));
        return functional.relu(inner.add(around), inplace: true).MoveToOuterDisposeScope();
    }
}
