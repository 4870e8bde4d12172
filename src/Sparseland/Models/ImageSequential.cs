using Sparseland.Tensors;
using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Sparseland.Models;

/// <summary>
/// Layers in a row that begin with a convolution: images go in with their channels last in memory, in which form our small networks train
/// about a third faster; not those of fewer than eight channels, which fill no vector. A <see cref="Sequential"/> in all else; results differ in
/// their last digits.
/// </summary>
internal sealed class ImageSequential(params (string, nn.Module<Tensor, Tensor>)[] layers) : Sequential(layers)
{
    private const long FewestChannels = 8;

    private readonly bool _wide = layers.SelectMany(layer => layer.Item2.modules().Prepend(layer.Item2)).OfType<Conv2d>().All(convolution => convolution.out_channels >= FewestChannels);

    public override Tensor forward(Tensor input)
    {
        // What is no batch of images goes on as it is: the first layer says what it wants.
        if (!_wide || input.dim() != 4 || input.numel() == 0) return base.forward(input);
        using DisposeScope scope = NewDisposeScope();
        return base.forward(ChannelsLast.Of(input)).MoveToOuterDisposeScope();
    }
}
