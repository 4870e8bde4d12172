using Sparseland.Tensors;
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
/// in memory, which is how libtorch's convolutions on a CPU work without copies. Convolutions and head may be replaced (<see cref="LinearSlots"/>).
/// </remarks>
public sealed class ResNet : Module<Tensor, Tensor>, ILinearPlaces, IConvolutionPlaces
{
    private readonly LayerPlace _conv;
    private readonly BatchNorm2d _norm;
    private readonly ResNetBlock[] _blocks;
    private readonly LinearPlace _head;

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
        _conv = new(Conv2d(options.Channels, options.Widths[0], 3, stride: options.Stride, padding: 1, bias: false));
        _norm = BatchNorm2d(options.Widths[0]);
        _blocks = [.. options.Widths.SelectMany((width, stage) => Enumerable.Range(0, options.Blocks).Select(block => block > 0 || stage == 0
            ? new ResNetBlock(width, width, 1)
            : new ResNetBlock(options.Widths[stage - 1], width, 2)))];
        _head = new(Linear(options.Widths[^1], options.Classes));

        register_module("conv", _conv.Current);
        register_module("bn", _norm);
        for (int stage = 0; stage < options.Widths.Count; stage++)
        {
            var modules = _blocks[(stage * options.Blocks)..((stage + 1) * options.Blocks)].Select((b, i) => ($"block{i + 1}", (Module<Tensor, Tensor>)b));
            register_module($"stage{stage + 1}", Sequential([.. modules]));
        }
        register_module("head", _head.Current);
        LayerPlace.Bind(this, ("conv", _conv), ("head", _head));

        SmallClassifiers.Start(this, seed);
    }

    /// <summary>Sizes.</summary>
    public ResNetOptions Options { get; }

    /// <summary>The blocks of all stages.</summary>
    public IReadOnlyList<ResNetBlock> Blocks => _blocks;

    IEnumerable<(string Path, LinearPlace Place)> ILinearPlaces.Places => [("head", _head)];

    IEnumerable<(string Path, LayerPlace Place)> IConvolutionPlaces.Places => [("conv", _conv)];

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
        Tensor x = ChannelsLast.Of(images);
        x = functional.relu(_norm.call(_conv.call(x)), inplace: true);
        foreach (ResNetBlock block in _blocks) x = block.call(x);
        return x.mean([2, 3]).MoveToOuterDisposeScope();
    }
}

/// <summary>One block of a <see cref="ResNet"/>. Its layers may be replaced; the properties throw then, and <see cref="LinearSlots.ConvolutionsOf"/> says what stands there.</summary>
public sealed class ResNetBlock : Module<Tensor, Tensor>, IConvolutionPlaces
{
    private readonly LayerPlace _conv1, _norm1, _conv2, _norm2;
    private readonly LayerPlace? _shortcut, _shortcutNorm;

    internal ResNetBlock(int inputs, int outputs, int stride)
        : base(nameof(ResNetBlock))
    {
        (_conv1, _conv2) = (new(Conv2d(inputs, outputs, 3, stride: stride, padding: 1, bias: false)), new(Conv2d(outputs, outputs, 3, padding: 1, bias: false)));
        (_norm1, _norm2) = (new(BatchNorm2d(outputs)), new(BatchNorm2d(outputs)));
        if (inputs != outputs || stride != 1) (_shortcut, _shortcutNorm) = (new(Conv2d(inputs, outputs, 1, stride: stride, bias: false)), new(BatchNorm2d(outputs)));
        (string Name, LayerPlace? Place)[] all = [("conv1", _conv1), ("bn1", _norm1), ("conv2", _conv2), ("bn2", _norm2), ("shortcut", _shortcut), ("shortcut_bn", _shortcutNorm)];
        foreach ((string name, LayerPlace? place) in all)
        {
            if (place is null) continue;
            register_module(name, place.Current);
            LayerPlace.Bind(this, (name, place));
        }
    }

    /// <summary>First 3 x 3 convolution.</summary>
    /// <exception cref="InvalidOperationException">Another layer stands in its place.</exception>
    public Conv2d Conv1 => _conv1.As<Conv2d>();

    /// <summary>Norm after <see cref="Conv1"/>.</summary>
    /// <exception cref="InvalidOperationException">Another layer stands in its place.</exception>
    public BatchNorm2d Norm1 => _norm1.As<BatchNorm2d>();

    /// <summary>Second 3 x 3 convolution.</summary>
    /// <exception cref="InvalidOperationException">Another layer stands in its place.</exception>
    public Conv2d Conv2 => _conv2.As<Conv2d>();

    /// <summary>Norm after <see cref="Conv2"/>.</summary>
    /// <exception cref="InvalidOperationException">Another layer stands in its place.</exception>
    public BatchNorm2d Norm2 => _norm2.As<BatchNorm2d>();

    /// <summary>1 x 1 convolution of what is added, where the shape changes.</summary>
    /// <exception cref="InvalidOperationException">Another layer stands in its place.</exception>
    public Conv2d? Shortcut => _shortcut?.As<Conv2d>();

    /// <summary>Norm after <see cref="Shortcut"/>.</summary>
    public BatchNorm2d? ShortcutNorm => _shortcutNorm?.As<BatchNorm2d>();

    /// <summary>The two 3 x 3 convolutions, each with the norm behind it.</summary>
    internal IReadOnlyList<(LayerPlace Convolution, LayerPlace Norm)> Pairs => [(_conv1, _norm1), (_conv2, _norm2)];

    /// <summary>What is added, with its norm; null where it is the input itself.</summary>
    internal (LayerPlace Convolution, LayerPlace Norm)? Around => _shortcut is null ? null : (_shortcut, _shortcutNorm!);

    IEnumerable<(string Path, LayerPlace Place)> IConvolutionPlaces.Places
    {
        get
        {
            yield return ("conv1", _conv1);
            yield return ("conv2", _conv2);
            if (_shortcut is not null) yield return ("shortcut", _shortcut);
        }
    }

    /// <inheritdoc/>
    public override Tensor forward(Tensor x)
    {
        using var scope = NewDisposeScope();
        Tensor inner = functional.relu(_norm1.call(_conv1.call(x)), inplace: _norm1.Current is BatchNorm2d);
        inner = _norm2.call(_conv2.call(inner));
        Tensor around = _shortcut is null ? x : _shortcutNorm!.call(_shortcut.call(x));
        return functional.relu(inner.add(around), inplace: true).MoveToOuterDisposeScope();
    }
}
