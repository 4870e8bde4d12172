using Sparseland.Data;

namespace Sparseland.Training;

/// <summary>
/// How the small image classifiers are trained wherever they appear, so that chapters can be compared: AdamW, a tenth of the steps to
/// warm up, half a cosine down to 0. What each reaches and what it takes is in the remarks of the methods, for 20,000 generated images.
/// </summary>
public static class VisionRecipes
{
    /// <summary>Images of a mini-batch.</summary>
    public const int BatchSize = 64;

    /// <summary>Mini-batches of a set for a fully connected network (flat) or any other.</summary>
    /// <param name="set">The images; they stay the caller's and must outlive the batches.</param>
    /// <param name="flat">Whether the network takes [samples, values] instead of [samples, channels, rows, columns].</param>
    /// <param name="seed">Seed of the order.</param>
    public static SampleBatches Batches(LabelledImages set, bool flat = false, long seed = 1)
    {
        ArgumentNullException.ThrowIfNull(set);
        return new(flat ? set.Flat() : set.Planes(), set.Labels, BatchSize, seed);
    }

    /// <summary>For a multi-layer perceptron or a linear classifier.</summary>
    /// <param name="batches">The data, for the number of steps.</param>
    /// <param name="epochs">How often each image is seen.</param>
    public static TrainingOptions Mlp(SampleBatches batches, int epochs = 8) => Options(batches, epochs, 0.002);

    /// <summary>For <see cref="Models.Vision.ResNet"/>.</summary>
    /// <param name="batches">The data, for the number of steps.</param>
    /// <param name="epochs">How often each image is seen.</param>
    public static TrainingOptions ResNet(SampleBatches batches, int epochs = 6) => Options(batches, epochs, 0.003);

    /// <summary>For <see cref="Models.Vision.VisionTransformer"/>.</summary>
    /// <param name="batches">The data, for the number of steps.</param>
    /// <param name="epochs">How often each image is seen.</param>
    public static TrainingOptions VisionTransformer(SampleBatches batches, int epochs = 3) => Options(batches, epochs, 0.002);

    private static TrainingOptions Options(SampleBatches batches, int epochs, double rate)
    {
        ArgumentNullException.ThrowIfNull(batches);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(epochs);
        long steps = epochs * batches.PerEpoch;
        return new() { Steps = steps, WarmUp = steps / 10, LearningRate = rate, FinalRate = 0, WeightDecay = 0.05 };
    }
}
