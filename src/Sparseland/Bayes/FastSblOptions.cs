namespace Sparseland.Bayes;

/// <summary>Settings of <see cref="FastSbl"/>.</summary>
public sealed record FastSblOptions
{
    /// <summary>Noise variance, known or, by default, learned. A learned one is updated after every <see cref="NoiseEvery"/> actions.</summary>
    public NoiseModel Noise { get; init; } = NoiseModel.Learn();

    /// <summary>Stop when no action lowers the cost (minus twice the log evidence) by more than this, 1e-9 by default.</summary>
    public double Tolerance { get; init; } = 1e-9;

    /// <summary>Most steps: actions, and updates of the noise variance when no action is left; 20,000 by default.</summary>
    public int MaxIterations { get; init; } = 20_000;

    /// <summary>Actions between two computations from scratch, which bound the rounding of the rank-one updates; 50 by default.</summary>
    public int RefreshEvery { get; init; } = 50;

    /// <summary>Actions between two updates of a learned noise variance; 10 by default.</summary>
    public int NoiseEvery { get; init; } = 10;

    /// <summary>Whether the result holds the covariance of the active coefficients; true by default.</summary>
    public bool Covariance { get; init; } = true;

    /// <summary>Throws when a value is outside its range.</summary>
    /// <exception cref="ArgumentException">A value is outside its range.</exception>
    public void Validate()
    {
        ArgumentNullException.ThrowIfNull(Noise);
        BayesInput.CheckLoop(Tolerance, MaxIterations);
        if (RefreshEvery < 1) throw new ArgumentOutOfRangeException(nameof(RefreshEvery), RefreshEvery, "RefreshEvery must be at least 1.");
        if (NoiseEvery < 1) throw new ArgumentOutOfRangeException(nameof(NoiseEvery), NoiseEvery, "NoiseEvery must be at least 1.");
    }
}

/// <summary>What the fast algorithm did to one coefficient.</summary>
public enum FastSblMove
{
    /// <summary>It entered the model.</summary>
    Add,

    /// <summary>Its prior variance was estimated anew.</summary>
    Reestimate,

    /// <summary>It left the model.</summary>
    Delete,
}

/// <summary>One action of the fast algorithm.</summary>
/// <param name="Move">What was done.</param>
/// <param name="Index">Column of Phi.</param>
/// <param name="Gamma">Its prior variance after the action.</param>
/// <param name="Gain">By how much the cost fell.</param>
public sealed record FastSblAction(FastSblMove Move, int Index, double Gamma, double Gain);
