using Sparseland.Data;
using Sparseland.Models;
using Sparseland.Tensors;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Training.Continual;

/// <summary>Tasks that differ by an exact symmetry: the ten drawn digits under one of the eight rotations and reflections of a square.</summary>
public static class DigitTasks
{
    /// <summary>Rows and columns of an image.</summary>
    public const int Size = 14;

    // 0 to 3 rotate by quarters, 4 to 7 the same and mirror; like ones are kept apart.
    private static readonly int[] s_order = [0, 5, 2, 7, 1, 4, 3, 6];

    /// <summary>The first tasks of an order that keeps like symmetries apart; every task has images of its own.</summary>
    /// <param name="tasks">From 1 to 8. Default 6.</param>
    /// <param name="training">Training images of each task. Default 1200.</param>
    /// <param name="test">Test images of each. Default 800.</param>
    /// <param name="seed">Seed of the images. Default 1.</param>
    /// <param name="cancel">Checked between images.</param>
    /// <returns>Images [samples, 1, 14, 14]; dispose each.</returns>
    /// <exception cref="ArgumentOutOfRangeException">A number out of its range.</exception>
    public static IReadOnlyList<ContinualTask> Dihedral(int tasks = 6, int training = 1200, int test = 800, long seed = 1, CancellationToken cancel = default)
    {
        if (tasks is < 1 or > 8) throw new ArgumentOutOfRangeException(nameof(tasks), tasks, "tasks must be from 1 to 8: a square has eight symmetries.");
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(training);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(test);
        var made = new List<ContinualTask>();
        for (int t = 0; t < tasks; t++)
        {
            (Tensor X, Tensor labels) = Images(training, (seed * 1000) + (2 * t), s_order[t], cancel);
            (Tensor testX, Tensor testLabels) = Images(test, (seed * 1000) + (2 * t) + 1, s_order[t], cancel);
            made.Add(new($"{(s_order[t] % 4) * 90} degrees{(s_order[t] < 4 ? "" : ", mirrored")}", X, labels, testX, testLabels));
        }

        return made;
    }

    /// <summary>An image under one of the symmetries.</summary>
    /// <param name="images">[..., rows, columns], square.</param>
    /// <param name="symmetry">0 to 3: that many quarter turns; 4 to 7: the same, then mirrored left to right.</param>
    /// <exception cref="ArgumentException">Images that are not square, or another symmetry.</exception>
    public static Tensor Turn(Tensor images, int symmetry)
    {
        ArgumentNullException.ThrowIfNull(images);
        if (symmetry is < 0 or > 7) throw new ArgumentOutOfRangeException(nameof(symmetry), symmetry, "symmetry must be from 0 to 7.");
        if (images.dim() < 2 || images.shape[^1] != images.shape[^2]) throw new ArgumentException($"images must be [..., n, n], but are [{string.Join(", ", images.shape)}].", nameof(images));
        using DisposeScope scope = NewDisposeScope();
        Tensor turned = images.rot90(symmetry % 4, (-2, -1));
        return (symmetry < 4 ? turned : turned.flip(-1)).clone().MoveToOuterDisposeScope();
    }

    /// <summary>
    /// The network: 3 x 3 convolutions of 16, 32 and 64 channels, the first two followed by pooling, and a linear layer of 64; norms of its own for each task behind every
    /// one, and a head of 10 classes for each task. No biases before the norms; weights are He-normal.
    /// </summary>
    /// <param name="seed">Seed of the weights. Default 1.</param>
    /// <param name="sharedNorms">One set of norms for all tasks in place of one for each: the trap. Default false.</param>
    public static nn.Module<Tensor, Tensor> Network(long seed = 1, bool sharedNorms = false)
    {
        nn.Module<Tensor, Tensor> Norm2(int channels) => sharedNorms ? nn.BatchNorm2d(channels) : new PerTask<TorchSharp.Modules.BatchNorm2d>(_ => nn.BatchNorm2d(channels));
        nn.Module<Tensor, Tensor> Norm1(int units) => sharedNorms ? nn.BatchNorm1d(units) : new PerTask<TorchSharp.Modules.BatchNorm1d>(_ => nn.BatchNorm1d(units));
        TorchSharp.Modules.Linear Head(int task)
        {
            TorchSharp.Modules.Linear head = nn.Linear(64, 10);
            using DisposeScope scope = NewDisposeScope();
            using IDisposable off = no_grad();
            head.weight!.copy_(Normal(head.weight.shape, Math.Sqrt(1.0 / 64), seed, 100 + task));
            head.bias!.zero_();
            return head;
        }

        var network = new ImageSequential(
            ("conv1", nn.Conv2d(1, 16, 3, padding: 1, bias: false)), ("norm1", Norm2(16)), ("relu1", nn.ReLU()), ("pool1", nn.MaxPool2d(2)),
            ("conv2", nn.Conv2d(16, 32, 3, padding: 1, bias: false)), ("norm2", Norm2(32)), ("relu2", nn.ReLU()), ("pool2", nn.MaxPool2d(2)),
            ("conv3", nn.Conv2d(32, 64, 3, padding: 1, bias: false)), ("norm3", Norm2(64)), ("relu3", nn.ReLU()), ("flat", nn.Flatten()),
            ("fc", nn.Linear(576, 64, hasBias: false)), ("norm4", Norm1(64)), ("relu4", nn.ReLU()), ("head", new PerTask<TorchSharp.Modules.Linear>(Head)));
        using IDisposable none = no_grad();
        int stream = 0;
        foreach ((string name, TorchSharp.Modules.Parameter weight) in network.named_parameters().Where(p => p.parameter.dim() > 1 && !p.name.StartsWith("head", StringComparison.Ordinal)))
        {
            using DisposeScope scope = NewDisposeScope();
            weight.copy_(Normal(weight.shape, Math.Sqrt(2.0 / (weight.numel() / weight.shape[0])), seed, stream++));
        }

        return network;
    }

    private static Tensor Normal(long[] shape, double deviation, long seed, int stream)
    {
        var random = new SeededRandom(seed, 45_000 + stream);
        float[] values = new float[shape.Aggregate(1L, (a, b) => a * b)];
        for (int i = 0; i < values.Length; i++) values[i] = (float)(deviation * random.NextGaussian());
        return tensor(values, shape);
    }

    private static (Tensor X, Tensor Labels) Images(int count, long seed, int symmetry, CancellationToken cancel)
    {
        using GlyphDigitSet digits = GlyphDigits.Generate(count, seed, GlyphDigitsOptions.Hurried, cancel);
        using DisposeScope scope = NewDisposeScope();
        Tensor small = nn.functional.avg_pool2d(digits.Images.unsqueeze(1), 2);
        return (Turn(small, symmetry).DetachFromDisposeScope(), digits.Labels.clone().DetachFromDisposeScope());
    }
}
