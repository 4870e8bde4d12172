using TorchSharp.Modules;
using static TorchSharp.torch.nn;

namespace Sparseland.Models;

/// <summary>
/// A convolutional network whose size is one number, for studies over width: 3 x 3 convolutions of w, w, 2w and 2w filters without bias, each with batch norm
/// and ReLU, 2 x 2 max-pooling after the second and the fourth, then the mean over what is left of the image and a linear head.
/// </summary>
/// <remarks>With three channels, ten classes and w = 4, 8, 16, 32 there are 1,196, 4,408, 16,880 and 66,016 weights in convolutions and head.</remarks>
public static class WideCnn
{
    /// <summary>Layers conv1, bn1, relu1, conv2, bn2, relu2, pool1, conv3, ..., pool2, mean, flatten, head, with the first weights of <see cref="SmallClassifiers"/>.</summary>
    /// <param name="side">Rows and columns of an image, a multiple of 4.</param>
    /// <param name="width">w.</param>
    /// <param name="classes">Classes.</param>
    /// <param name="seed">Seed of the weights.</param>
    /// <param name="channels">Channels of an image. Default 3.</param>
    /// <exception cref="ArgumentOutOfRangeException">A number is not positive, or the side no multiple of 4.</exception>
    public static Sequential Of(int side, int width, int classes, long seed, int channels = 3)
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(width);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(classes);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(channels);
        if (side < 4 || side % 4 != 0) throw new ArgumentOutOfRangeException(nameof(side), side, "side must be a multiple of 4, for two poolings.");
        int[] filters = [channels, width, width, 2 * width, 2 * width];
        var layers = new List<(string, Module<TorchSharp.torch.Tensor, TorchSharp.torch.Tensor>)>();
        for (int i = 1; i < filters.Length; i++)
        {
            layers.Add(($"conv{i}", Conv2d(filters[i - 1], filters[i], 3, padding: 1, bias: false)));
            layers.Add(($"bn{i}", BatchNorm2d(filters[i])));
            layers.Add(($"relu{i}", ReLU()));
            if (i % 2 == 0) layers.Add(($"pool{i / 2}", MaxPool2d(2)));
        }

        layers.Add(("mean", AvgPool2d(side / 4)));
        layers.Add(("flatten", Flatten()));
        layers.Add(("head", Linear(2 * width, classes)));
        return SmallClassifiers.Start(new ImageSequential([.. layers]), seed);
    }
}
