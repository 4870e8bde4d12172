namespace Sparseland.Kernels;

/// <summary>The interval to which a convolution cuts its outputs before it writes them. NaN stays NaN.</summary>
/// <param name="Min">Lower end.</param>
/// <param name="Max">Upper end, not below <paramref name="Min"/>.</param>
public readonly record struct ConvolutionClamp(float Min, float Max)
{
    /// <summary>Outputs stay as they are.</summary>
    public static ConvolutionClamp None { get; } = new(float.NegativeInfinity, float.PositiveInfinity);

    /// <summary>max(0, x).</summary>
    public static ConvolutionClamp Relu { get; } = new(0, float.PositiveInfinity);

    /// <summary>min(6, max(0, x)), the activation of MobileNets.</summary>
    public static ConvolutionClamp Relu6 { get; } = new(0, 6);

    internal void Validate(string name)
    {
        if (!(Min <= Max)) throw new ArgumentOutOfRangeException(name, this, "The clamp's Min must not be above its Max, and neither may be NaN.");
    }
}
