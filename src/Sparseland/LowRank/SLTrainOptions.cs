namespace Sparseland.LowRank;

/// <summary>How <see cref="LowRankSparseLinear"/> computes its products.</summary>
public enum ForwardMode
{
    /// <summary>Whichever takes less by count, with a sparse multiply-add taken for <see cref="LowRankSparseLinear.SparseCost"/> dense ones.</summary>
    Auto,

    /// <summary>As published: W is formed in each pass and given up after it; the backward pass forms it again.</summary>
    FormWeight,

    /// <summary>W is never formed: two thin products and a sparse one.</summary>
    Factored,
}

/// <summary>Settings of <see cref="LowRankSparseLinear"/> (SLTrain, Han et al. 2024).</summary>
public sealed record SLTrainOptions
{
    /// <summary>r; 0 for a sparse layer alone. Default 128.</summary>
    public int Rank { get; init; } = 128;

    /// <summary>delta: share of the entries that have a value, above 0 and below 1; floor(delta out in) must be at least 1. Default 0.03.</summary>
    public double Density { get; init; } = 0.03;

    /// <summary>The product is multiplied by Alpha / Rank; null, the default, for 1.</summary>
    public double? Alpha { get; init; }

    /// <summary>How products are computed. Default <see cref="ForwardMode.Auto"/>.</summary>
    public ForwardMode Mode { get; init; }

    /// <summary>Seed of the support and of the start: a part of the model. Default 0.</summary>
    public long Seed { get; init; }

    /// <summary>Constant before the product.</summary>
    public double Scale => Rank == 0 || Alpha is null ? 1 : Alpha.Value / Rank;

    /// <summary>Throws when a value is outside its range.</summary>
    /// <param name="outputs">out.</param>
    /// <param name="inputs">in.</param>
    /// <exception cref="ArgumentException">A value is outside its range.</exception>
    public void Validate(long outputs, long inputs)
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(outputs);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(inputs);
        if (Rank != 0) Decomposition.CheckRank(Rank, outputs, inputs, nameof(Rank));
        if (!(Density is > 0 and < 1)) throw new ArgumentOutOfRangeException(nameof(Density), Density, "Density must lie between 0 and 1.");
        if ((long)(Density * outputs * inputs) < 1) throw new ArgumentOutOfRangeException(nameof(Density), Density, $"Density leaves no entry of [{outputs}, {inputs}].");
        if (!Enum.IsDefined(Mode)) throw new ArgumentOutOfRangeException(nameof(Mode), Mode, "No such mode.");
        Factors.CheckScale(Scale);
    }
}
