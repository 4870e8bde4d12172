using Sparseland.Solvers;
using TorchSharp;

namespace Sparseland.Sketching;

/// <summary>
/// A random matrix S [m, n] that stands for n rows by m: fixed by its seed, drawn without looking at the data. As a linear map it has n
/// inputs and m outputs, and every sketch is scaled so that ||S x||^2 is ||x||^2 in expectation.
/// </summary>
public interface ISketch : ILinearMap
{
    /// <summary>What it is called in a chart.</summary>
    string Name { get; }

    /// <summary>S X, faster than the product with the matrix where the sketch has a structure. Sketch A and b with the same S.</summary>
    /// <param name="X">[n, columns] or [n], float64 on the CPU.</param>
    /// <returns>[m, columns] or [m]; the caller disposes it.</returns>
    /// <exception cref="ArgumentException">Shape, type or values do not fit.</exception>
    torch.Tensor Apply(torch.Tensor X);

    /// <summary>Some columns of S: all that matters where X is zero in every other row.</summary>
    /// <param name="coordinates">Which, from 0 to n - 1.</param>
    /// <returns>[m, coordinates]; the caller disposes it.</returns>
    /// <exception cref="ArgumentException">None, or one outside.</exception>
    torch.Tensor Columns(IReadOnlyList<int> coordinates);
}
