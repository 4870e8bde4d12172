using System.Runtime.CompilerServices;

namespace Sparseland.Tensors;

/// <summary>Checks of single settings: NaN and infinity are neither.</summary>
internal static class Finite
{
    /// <summary>Throws unless a value is finite and not negative.</summary>
    public static double NotNegative(double value, [CallerArgumentExpression(nameof(value))] string name = "") =>
        value >= 0 && double.IsFinite(value) ? value : throw new ArgumentOutOfRangeException(name, value, $"{name} must be finite and not negative.");

    /// <summary>Throws unless a value is finite and positive.</summary>
    public static double Positive(double value, [CallerArgumentExpression(nameof(value))] string name = "") =>
        value > 0 && double.IsFinite(value) ? value : throw new ArgumentOutOfRangeException(name, value, $"{name} must be positive and finite.");

    /// <summary>Throws unless a value is null, which stands for a rule, or finite and positive.</summary>
    public static double? Positive(double? value, [CallerArgumentExpression(nameof(value))] string name = "") => value is { } number ? Positive(number, name) : null;
}
