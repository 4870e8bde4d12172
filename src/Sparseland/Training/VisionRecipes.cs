using Sparseland.Data;

namespace Sparseland.Training;

/// <summary>
/// How the small image classifiers are trained wherever they appear, so that chapters can be compared: AdamW, a tenth of the steps to
/// warm up, half a cosine down to 0.
/// </summary>
/// <remarks>
/// Measured on 2,000 to 4,000 unseen images after 20,000, in processor time of an AMD EPYC core (two cores take a little more than half).
/// <see cref="GlyphDigitsOptions.Hurried"/> digits: linear 79 to 81 % and the perceptron with 128 and 64 hidden units 97.4 to 98.1 %, a few
/// seconds each; the transformer of <see cref="Models.Vision.VisionTransformerOptions.Digits"/> 98.7 % in 47 s. Textured shapes: the ResNet
/// 87 to 91 % in 100 s; the transformer of 4 x 4 patches only 51 % in 190 s, because three epochs are far too few for a network that must
/// learn there what a neighbour is; a linear classifier stays near chance (11 to 13 %).
/// </remarks>
public static class VisionRecipes
{
    /// <summary>Images of a mini-batch.</summary>
    public const int BatchSize = 64;

    /// <summary>Mini-batches of a set for a fully connected network (flat) or any other.</summary>
    /// <param name="set">The images; they stay the caller's and must outlive the batches.</param>
    /// <param name="flat">Whether the network takes [samples, values] instead of [samples, channels, rows, columns]. Default false.</param>
    /// <param name="seed">Seed of the order. Default 1.</param>
    public static SampleBatches Batches(LabelledImages set, bool flat = false, long seed = 1)
    {
        ArgumentNullException.ThrowIfNull(set);
        return new(flat ? set.Flat() : set.Planes(), set.Labels, BatchSize, seed);
    }

    /// <summary>For a multi-layer perceptron or a linear classifier.</summary>
    /// <param name="batches">The data, for the number of steps.</param>
    /// <param name="epochs">How often each image is seen. Default 8.</param>
    public static TrainingOptions Mlp(SampleBatches batches, int epochs = 8) => Options(batches, epochs, 0.002);

    /// <summary>For <see cref="Models.Vision.ResNet"/>.</summary>
    /// <param name="batches">The data, for the number of steps.</param>
    /// <param name="epochs">How often each image is seen. Default 6.</param>
    public static TrainingOptions ResNet(SampleBatches batches, int epochs = 6) => Options(batches, epochs, 0.003);

    /// <summary>For <see cref="Models.Vision.VisionTransformer"/>.</summary>
    /// <param name="batches">The data, for the number of steps.</param>
    /// <param name="epochs">How often each image is seen. Default 3.</param>
    public static TrainingOptions VisionTransformer(SampleBatches batches, int epochs = 3) => Options(batches, epochs, 0.002);

    private static TrainingOptions Options(SampleBatches batches, int epochs, double rate)
    {
        ArgumentNullException.ThrowIfNull(batches);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(epochs);
        long steps = epochs * batches.PerEpoch;
        return new() { Steps = steps, WarmUp = steps / 10, LearningRate = rate, FinalRate = 0, WeightDecay = 0.05 };
    }
}
