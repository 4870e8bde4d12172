using Sparseland.Kernels;
using Sparseland.Tensors;
using Sparseland.Training;

namespace Sparseland.Pruning;

/// <summary>Settings of <see cref="Gqsa"/>. The rates are for models of a few million weights; the paper's, for seven billion, are 1e-5 to 2e-5 and 1e-4.</summary>
public sealed record GqsaOptions
{
    /// <summary>Bits and size of the groups. Default 4 bits, 16 weights.</summary>
    public GroupQuantizer Quantizer { get; init; } = new();

    /// <summary>
    /// What goes: <see cref="PruningPattern.Groups"/> of the quantiser's size is GQSA, whose saliency is ranked over a layer or within rows. Another pattern (2:4, or groups
    /// of share 0 for quantisation alone) is trained the same way, for comparison. Default half of the groups of 16 of each layer.
    /// </summary>
    public PruningPattern Pattern { get; init; } = PruningPattern.Groups(16, 0.5);

    /// <summary>Share of the mean diagonal of H that is added to it for the saliency. Default 0.01.</summary>
    public double Damping { get; init; } = 0.01;

    /// <summary>Steps of stage 1 for each block; 0 leaves it at one shot. Default 150.</summary>
    public int BlockSteps { get; init; } = 150;

    /// <summary>Rate of stage 1 for weights. Default 5e-4.</summary>
    public double WeightRate { get; init; } = 5e-4;

    /// <summary>Rate of stage 1 for scales and zero points. Default 1e-3.</summary>
    public double ParameterRate { get; init; } = 1e-3;

    /// <summary>Steps of stage 2. Default 120.</summary>
    public int EndToEndSteps { get; init; } = 120;

    /// <summary>Rate of stage 2, for scales. Default 2e-4.</summary>
    public double EndToEndRate { get; init; } = 2e-4;

    /// <summary>Sequences of a step. Default 8.</summary>
    public int Batch { get; init; } = 8;

    /// <summary>Seed of the order of the sequences. Default 1.</summary>
    public long Seed { get; init; } = 1;

    /// <summary>Throws when a value is outside its range.</summary>
    /// <exception cref="ArgumentException">A value is outside its range, or groups of the pattern are not those of the quantiser.</exception>
    public void Validate()
    {
        ArgumentNullException.ThrowIfNull(Quantizer);
        ArgumentNullException.ThrowIfNull(Pattern);
        Quantizer.Validate();
        if (Pattern is GlobalPattern) throw new ArgumentException("Layers that are pruned one after another cannot compete with each other; take a pattern within layers.", nameof(Pattern));
        if (Pattern is BlocksPattern blocks && (blocks.BlockRows != 1 || blocks.BlockColumns != Quantizer.GroupSize))
            throw new ArgumentException($"The pattern's blocks are {blocks.BlockRows} x {blocks.BlockColumns}, the quantiser's groups 1 x {Quantizer.GroupSize}; what goes together must be quantised together.", nameof(Pattern));
        Finite.NotNegative(Damping);
        ArgumentOutOfRangeException.ThrowIfNegative(BlockSteps);
        ArgumentOutOfRangeException.ThrowIfNegative(EndToEndSteps);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(Batch);
        foreach ((double rate, string name) in new[] { (WeightRate, nameof(WeightRate)), (ParameterRate, nameof(ParameterRate)), (EndToEndRate, nameof(EndToEndRate)) })
        {
            Finite.NotNegative(rate, name);
        }
    }
}
