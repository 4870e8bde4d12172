using Sparseland.Tensors;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Coding;

/// <summary>Checks of the arguments that all coders share.</summary>
internal static class CodingInput
{
    public static void Check(Tensor X, Tensor dictionary)
    {
        TensorInput.CheckMatrix(X, nameof(X), "[samples, features]");
        CheckDictionary(dictionary);
        if (X.shape[1] != dictionary.shape[1])
        {
            throw new ArgumentException(
                $"X is [{X.shape[0]}, {X.shape[1]}] (samples, features) and the dictionary [{dictionary.shape[0]}, {dictionary.shape[1]}] " +
                "(atoms, features); the numbers of features must agree.", nameof(dictionary));
        }

        if (X.dtype != dictionary.dtype)
            throw new ArgumentException($"X is {X.dtype} and the dictionary {dictionary.dtype}; they must have one type.", nameof(dictionary));
    }

    /// <summary>X ~ A D: three matrices of one type that fit each other.</summary>
    public static void CheckFactors(Tensor X, Tensor codes, Tensor dictionary)
    {
        TensorInput.CheckMatrix(X, nameof(X), "[samples, features]");
        TensorInput.CheckMatrix(codes, nameof(codes), "[samples, atoms]");
        TensorInput.CheckMatrix(dictionary, nameof(dictionary), "[atoms, features]");
        if (codes.shape[0] != X.shape[0] || codes.shape[1] != dictionary.shape[0] || X.shape[1] != dictionary.shape[1])
        {
            throw new ArgumentException(
                $"X [{X.shape[0]}, {X.shape[1]}] (samples, features), codes [{codes.shape[0]}, {codes.shape[1]}] (samples, atoms) and dictionary " +
                $"[{dictionary.shape[0]}, {dictionary.shape[1]}] (atoms, features) do not fit each other.", nameof(codes));
        }

        if (codes.dtype != X.dtype || dictionary.dtype != X.dtype)
            throw new ArgumentException($"X is {X.dtype}, codes {codes.dtype}, dictionary {dictionary.dtype}; they must have one type.", nameof(codes));
    }

    public static void CheckDictionary(Tensor dictionary)
    {
        TensorInput.CheckMatrix(dictionary, nameof(dictionary), "[atoms, features]");
        using var scope = NewDisposeScope();
        Tensor norms = dictionary.norm(1);
        Tensor least = norms.argmin();
        if (norms.min().to(ScalarType.Float64).item<double>() == 0)
            throw new ArgumentException($"Atom {least.item<long>()} is zero; every atom needs a direction.", nameof(dictionary));
    }

    /// <summary>The rows with unit Euclidean norm, as a new tensor.</summary>
    public static Tensor UnitRows(Tensor dictionary)
    {
        using var scope = NewDisposeScope();
        return dictionary.div(dictionary.norm(1, keepdim: true)).MoveToOuterDisposeScope();
    }
}
