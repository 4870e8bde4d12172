using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Coding;

/// <summary>
/// Method of optimal directions (Engan, Aase and Husoy 1999): the dictionary that fits given codes best, D = (A^T A)^+ A^T X, atoms then
/// scaled to unit norm. Atoms without a user stay as they are.
/// </summary>
public static class Mod
{
    /// <summary>The new dictionary [atoms, features], a new tensor.</summary>
    /// <param name="X">[samples, features].</param>
    /// <param name="codes">A [samples, atoms].</param>
    /// <param name="dictionary">The old one [atoms, features].</param>
    /// <exception cref="ArgumentException">Shapes do not fit.</exception>
    public static Tensor Update(Tensor X, Tensor codes, Tensor dictionary)
    {
        CodingInput.CheckFactors(X, codes, dictionary);
        using var scope = NewDisposeScope();
        Tensor gram = codes.t().mm(codes), products = codes.t().mm(X);
        Tensor fitted = linalg.pinv(gram, hermitian: true).mm(products), norms = fitted.norm(1, keepdim: true);
        Tensor used = codes.ne(0).any(0).logical_and(norms.view(-1).gt(1e-12)).unsqueeze(1);
        return where(used, fitted.div(norms.clamp(1e-300)), dictionary).MoveToOuterDisposeScope();
    }
}
