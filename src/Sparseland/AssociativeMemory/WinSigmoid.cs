using System.Numerics.Tensors;
using System.Text.Json.Serialization;

namespace Sparseland.AssociativeMemory;

/// <summary>
/// How a cell's evidence V becomes its relative win weight mu, from 1 at no evidence towards the expansivity eta (Rinkus 2014, the
/// V-to-mu map). With eta = 1 every cell has weight 1 and the choice is uniform.
/// </summary>
[JsonDerivedType(typeof(LogisticSigmoid), "logistic")]
[JsonDerivedType(typeof(GeneralizedSigmoid), "generalized")]
public abstract record WinSigmoid
{
    private protected WinSigmoid()
    {
    }

    /// <summary>mu of one cell.</summary>
    /// <param name="v">Evidence, 0 to 1.</param>
    /// <param name="eta">Expansivity, at least 1.</param>
    public abstract double Weight(double v, double eta);

    /// <summary>mu of many cells.</summary>
    /// <param name="v">Evidence, [cells].</param>
    /// <param name="eta">Expansivity, at least 1.</param>
    /// <param name="mu">[cells], overwritten.</param>
    public virtual void Weights(ReadOnlySpan<double> v, double eta, Span<double> mu)
    {
        for (int i = 0; i < v.Length; i++) mu[i] = Weight(v[i], eta);
    }

    /// <summary>Throws when a value has no meaning.</summary>
    /// <exception cref="ArgumentOutOfRangeException">A value is out of its range.</exception>
    public abstract void Validate();

    private protected static void Require(bool holds, string name, double value, string rule)
    {
        if (!holds || !double.IsFinite(value)) throw new ArgumentOutOfRangeException(name, value, $"{name} must be {rule}.");
    }
}

/// <summary>mu = 1 + (eta - 1) / (1 + exp(-(slope V - shift))).</summary>
/// <param name="Slope">lambda, positive. Default 14.</param>
/// <param name="Shift">phi; half the height is reached at V = shift / slope. Default 6.</param>
public sealed record LogisticSigmoid(double Slope = 14, double Shift = 6) : WinSigmoid
{
    /// <inheritdoc/>
    public override double Weight(double v, double eta) => 1 + ((eta - 1) / (1 + Math.Exp(Shift - (Slope * v))));

    /// <inheritdoc/>
    public override void Weights(ReadOnlySpan<double> v, double eta, Span<double> mu)
    {
        TensorPrimitives.Multiply(v, Slope, mu);
        TensorPrimitives.Subtract(mu, Shift, mu);
        TensorPrimitives.Sigmoid(mu, mu);
        TensorPrimitives.Multiply(mu, eta - 1, mu);
        TensorPrimitives.Add(mu, 1, mu);
    }

    /// <inheritdoc/>
    public override void Validate()
    {
        Require(Slope > 0, nameof(Slope), Slope, "positive and finite");
        Require(true, nameof(Shift), Shift, "finite");
    }
}

/// <summary>mu = 1 + (eta - 1) / (1 + s1 exp(-s2 (V - s3)))^s4: the generalised logistic of the 2014 and 2017 papers.</summary>
/// <param name="S1">Weight of the exponential, positive; 1 for the logistic. Default 1.</param>
/// <param name="S2">Steepness, positive. Default 14.</param>
/// <param name="S3">Place on the axis of V. Default 6.0 / 14.</param>
/// <param name="S4">Asymmetry, positive; 1 for the logistic. Default 1.</param>
public sealed record GeneralizedSigmoid(double S1 = 1, double S2 = 14, double S3 = 6.0 / 14, double S4 = 1) : WinSigmoid
{
    /// <inheritdoc/>
    public override double Weight(double v, double eta) => 1 + ((eta - 1) / Math.Pow(1 + (S1 * Math.Exp(-S2 * (v - S3))), S4));

    /// <inheritdoc/>
    public override void Validate()
    {
        Require(S1 > 0, nameof(S1), S1, "positive and finite");
        Require(S2 > 0, nameof(S2), S2, "positive and finite");
        Require(true, nameof(S3), S3, "finite");
        Require(S4 > 0, nameof(S4), S4, "positive and finite");
    }
}
