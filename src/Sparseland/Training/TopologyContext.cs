using Sparseland.Tensors;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Training;

/// <summary>What the rules of a topology update see of one layer. The tensors are those of the training: read them, change nothing.</summary>
public sealed record TopologyContext
{
    /// <summary>Name of the parameter.</summary>
    public required string Layer { get; init; }

    /// <summary>The weights, zero where the mask is false.</summary>
    public required Tensor Weight { get; init; }

    /// <summary>True where a weight is active; of the weights' shape.</summary>
    public required Tensor Mask { get; init; }

    /// <summary>
    /// Gradient of this mini-batch with respect to the masked weights, at all places, before anything masked or clipped it; null where no rule
    /// asks for it.
    /// </summary>
    public Tensor? Gradient { get; init; }

    /// <summary>
    /// Running average of the raw gradients at all places (<see cref="TopologyOptions.AverageDecay"/>); null where no rule asks for it.
    /// </summary>
    public Tensor? Average { get; init; }

    /// <summary>Values of further parameters that share the mask, by name; null where there are none.</summary>
    public IReadOnlyDictionary<string, Tensor>? Companions { get; init; }

    /// <summary>True where a weight has ever been active; null for the mask.</summary>
    public Tensor? Fired { get; init; }

    /// <summary>True where a weight may grow; null for everywhere.</summary>
    public Tensor? Allowed { get; init; }

    /// <summary>The step, counted from 1.</summary>
    public long Step { get; init; } = 1;

    /// <summary>The planned share of active weights to drop.</summary>
    public double Fraction { get; init; }

    /// <summary>Seed of what is drawn.</summary>
    public long Seed { get; init; } = 1;

    /// <summary>The gradient, or a refusal that names who wants it.</summary>
    /// <param name="rule">Name of the rule.</param>
    /// <exception cref="InvalidOperationException">There is none.</exception>
    public Tensor GradientFor(string rule) =>
        Gradient ?? throw new InvalidOperationException($"The rule {rule} needs the gradient of {Layer} in this step, and there is none: compute it before the update.");

    /// <summary>The average, or a refusal that names who wants it.</summary>
    /// <param name="rule">Name of the rule.</param>
    /// <exception cref="InvalidOperationException">There is none.</exception>
    public Tensor AverageFor(string rule) =>
        Average ?? throw new InvalidOperationException($"The rule {rule} needs the running average of the raw gradients of {Layer}, and there is none: keep one over all places from the first step on.");

    /// <summary>Standard normal numbers of the weights' shape: the same for the same seed, step and layer, and others than <see cref="RandomScores()"/> draws.</summary>
    /// <returns>Float64; the caller disposes it.</returns>
    public Tensor NormalValues()
    {
        var random = new SeededRandom(Seed, (long)SeededRandom.Mix(~NameHash(Layer) ^ SeededRandom.Mix((ulong)Step)));
        double[] values = new double[Weight.numel()];
        for (int i = 0; i < values.Length; i++) values[i] = random.NextGaussian();
        return tensor(values, Weight.shape);
    }

    /// <summary>Uniform numbers from 0 to below 1, of the weights' shape: the same for the same seed, step and layer.</summary>
    /// <returns>Float64; the caller disposes it.</returns>
    public Tensor RandomScores() => RandomScores(Weight.shape, Seed, (long)SeededRandom.Mix(NameHash(Layer) ^ SeededRandom.Mix((ulong)Step)));

    /// <inheritdoc/>
    public override string ToString() => Readable.Of(this);

    /// <summary>FNV-1a of a layer's name: the same on every run, unlike string.GetHashCode.</summary>
    internal static ulong NameHash(string layer)
    {
        ulong hash = 14695981039346656037;
        foreach (char letter in layer) hash = (hash ^ letter) * 1099511628211;
        return hash;
    }

    /// <summary>Uniform numbers from 0 to below 1 of a shape.</summary>
    internal static Tensor RandomScores(long[] shape, long seed, long stream)
    {
        // Each piece has a sequence of its own, so that threads share a large layer and its scores do not depend on them.
        const int Piece = 1 << 20;
        Tensor scores = torch.empty(shape, dtype: torch.ScalarType.Float64);
        (nint start, long length) = (TensorMemory.StartOf(scores), scores.numel());
        Pieces.For(length, Piece, (from, count) =>
        {
            var random = new SeededRandom(seed, from == 0 ? stream : stream ^ (long)SeededRandom.Mix((ulong)from));
            random.Fill(TensorMemory.Part<double>(start, from, count));
        });
        return scores;
    }
}
