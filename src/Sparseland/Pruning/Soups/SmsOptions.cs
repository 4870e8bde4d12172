using System.Globalization;
using Sparseland.Tensors;

namespace Sparseland.Pruning.Soups;

/// <summary>What differs between the children of one parent.</summary>
public enum SoupVariation
{
    /// <summary>The order of the images.</summary>
    Seed,

    /// <summary>The weight decay, each child's times its factor; all see the images in the same order.</summary>
    WeightDecay,

    /// <summary>The learning rate, each child's times its factor; all see the images in the same order.</summary>
    LearningRate,

    /// <summary>The number of epochs, each child's times its factor and rounded, at least one; all see the images in the same order.</summary>
    Length,
}

/// <summary>How the children of a phase become the parent of the next.</summary>
public enum SoupAveraging
{
    /// <summary>The mean of all.</summary>
    Uniform,

    /// <summary>The greedy soup by accuracy on the validation images.</summary>
    Greedy,
}

/// <summary>Settings of <see cref="SparseModelSoups"/>.</summary>
public sealed record SmsOptions
{
    /// <summary>Pruning and retraining of each phase; its rounds are the phases K. Default sparsity 0.9, three phases of 6 epochs.</summary>
    public ImpOptions Pruning { get; init; } = new();

    /// <summary>m, children of a phase, at least 2. Default 3.</summary>
    public int Children { get; init; } = 3;

    /// <summary>What differs between children. Default the order of the images.</summary>
    public SoupVariation Vary { get; init; } = SoupVariation.Seed;

    /// <summary>Factor of each child where something else than the order varies, positive; null for m factors spread evenly from 0.5 to 1.5. Default null.</summary>
    public IReadOnlyList<double>? Factors { get; init; }

    /// <summary>How children are averaged. Default the mean of all.</summary>
    public SoupAveraging Averaging { get; init; } = SoupAveraging.Uniform;

    /// <summary>Factor of a child.</summary>
    /// <param name="child">From 0 to below <see cref="Children"/>.</param>
    public double FactorOf(int child) => Factors?[child] ?? 0.5 + ((double)child / (Children - 1));

    /// <summary>Throws when a value is outside its range.</summary>
    /// <exception cref="ArgumentException">A value is outside its range.</exception>
    public void Validate()
    {
        ArgumentNullException.ThrowIfNull(Pruning);
        Pruning.Validate();
        if (Pruning.Rewind == Rewind.Weights) throw new ArgumentException("Children whose weights are rewound have no use for the average they came from; choose another rewinding.", nameof(Pruning));
        ArgumentOutOfRangeException.ThrowIfLessThan(Children, 2);
        if (!Enum.IsDefined(Vary)) throw new ArgumentOutOfRangeException(nameof(Vary), Vary, "Vary must be one of the named forms.");
        if (!Enum.IsDefined(Averaging)) throw new ArgumentOutOfRangeException(nameof(Averaging), Averaging, "Averaging must be one of the named forms.");
        if (Factors is null) return;
        if (Factors.Count != Children) throw new ArgumentException($"There are {Factors.Count} factors for {Children} children.", nameof(Factors));
        for (int i = 0; i < Factors.Count; i++)
        {
            if (!(Factors[i] > 0 && double.IsFinite(Factors[i])))
                throw new ArgumentException(string.Create(CultureInfo.InvariantCulture, $"Factor {i} is {Factors[i]}; factors are positive and finite."), nameof(Factors));
        }
    }

    /// <inheritdoc/>
    public override string ToString() => Readable.Of(this);
}
