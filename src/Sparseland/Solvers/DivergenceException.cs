namespace Sparseland.Solvers;

/// <summary>An iteration left the finite numbers.</summary>
/// <param name="message">What diverged, with the step and the norm that explain it.</param>
public sealed class DivergenceException(string message) : ArithmeticException(message);
