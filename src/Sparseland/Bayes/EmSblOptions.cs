namespace Sparseland.Bayes;

/// <summary>How the prior variances are updated.</summary>
public enum SblUpdate
{
    /// <summary>Expectation maximisation, gamma_i = |mu_i|^2 + Sigma_ii (Tipping 2001, eq. 17). The cost never rises.</summary>
    Em,

    /// <summary>
    /// MacKay's fixed point, gamma_i = |mu_i|^2 / (1 - Sigma_ii / gamma_i) (Tipping 2001, eq. 16). Usually many times fewer iterations;
    /// no guarantee on the cost.
    /// </summary>
    MacKay,
}

/// <summary>Settings of <see cref="EmSbl"/>.</summary>
public sealed record EmSblOptions
{
    /// <summary>Noise variance, known or, by default, learned.</summary>
    public NoiseModel Noise { get; init; } = NoiseModel.Learn();

    /// <summary>The update; EM by default.</summary>
    public SblUpdate Update { get; init; } = SblUpdate.Em;

    /// <summary>
    /// At the start of an iteration all gamma_i below this share of the largest are set to 0 and their columns dropped; they never come
    /// back. 1e-3 by default. 0 keeps all, which a monotone cost needs: dropping a coefficient changes the cost a little.
    /// </summary>
    public double PruneRatio { get; init; } = 1e-3;

    /// <summary>
    /// Stop when ||gamma_new - gamma|| is at most this share of ||gamma||, 1e-4 by default. The result has converged where every single gamma_i
    /// that was not pruned, and a learned noise variance, changed by no more than this share of itself, which is the stationarity of the evidence; where
    /// only the whole gamma and the noise are at rest it says that it stopped by relative change.
    /// </summary>
    public double Tolerance { get; init; } = 1e-4;

    /// <summary>Most iterations, 500 by default.</summary>
    public int MaxIterations { get; init; } = 500;

    /// <summary>
    /// All gamma_i start here, squared units of x; null, the default, for the square of the largest coefficient that one column alone would
    /// have, max |phi_i^H y|^2/||phi_i||^4, so that a change of units changes nothing but units.
    /// </summary>
    public double? InitialGamma { get; init; }

    /// <summary>Start of each gamma_i instead, [coefficients]; 0 leaves a coefficient out. With it a stopped run can go on. Default null.</summary>
    public IReadOnlyList<double>? StartGamma { get; init; }

    /// <summary>Whether the result holds the covariance of the active coefficients, [active, active]; true by default.</summary>
    public bool Covariance { get; init; } = true;

    /// <summary>Called after every iteration with a copy of the state: for pictures, and to keep the last state when a run is cancelled. Default null.</summary>
    public Action<SblIteration>? OnIteration { get; init; }

    /// <summary>Throws when a value is outside its range.</summary>
    /// <exception cref="ArgumentException">A value is outside its range.</exception>
    public void Validate()
    {
        ArgumentNullException.ThrowIfNull(Noise);
        if (!Enum.IsDefined(Update)) throw new ArgumentOutOfRangeException(nameof(Update), Update, "Update must be Em or MacKay.");
        BayesInput.CheckRatio(PruneRatio, nameof(PruneRatio));
        BayesInput.CheckLoop(Tolerance, MaxIterations);
        if (InitialGamma is { } initial && (!(initial > 0) || !double.IsFinite(initial)))
            throw new ArgumentOutOfRangeException(nameof(InitialGamma), initial, "InitialGamma must be positive and finite.");
    }
}
