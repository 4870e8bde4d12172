using Sparseland.Tensors;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Coding;

/// <summary>Checks of the arguments that all coders share.</summary>
internal static class CodingInput
{
    /// <summary>Samples and a dictionary that fit each other; gives the largest magnitude of the samples.</summary>
    public static double Check(Tensor X, Tensor dictionary)
    {
        double largest = TensorInput.CheckMatrix(X, nameof(X), "[samples, features]");
        CheckDictionary(dictionary);
        if (X.shape[1] != dictionary.shape[1])
        {
            throw new ArgumentException(
                $"X is [{X.shape[0]}, {X.shape[1]}] (samples, features) and the dictionary [{dictionary.shape[0]}, {dictionary.shape[1]}] " +
                "(atoms, features); the numbers of features must agree.", nameof(dictionary));
        }

        if (X.dtype != dictionary.dtype)
            throw new ArgumentException($"X is {X.dtype} and the dictionary {dictionary.dtype}; they must have one type.", nameof(dictionary));
        return largest;
    }

    /// <summary>Refuses samples whose squares, summed over the batch, leave their type: an iteration would call that a divergence.</summary>
    public static void CheckSquares(Tensor X, double largest)
    {
        double most = X.dtype == ScalarType.Float64 ? 1e140 : 1e14;
        if (largest > most)
        {
            throw new ArgumentException(
                $"X holds values up to {largest:G3}, whose squares leave the range of {X.dtype}; scale X, and the penalty with it{(X.dtype == ScalarType.Float64 ? "" : ", or use Float64")}.", nameof(X));
        }
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
        (double smallest, double longest) = (norms.min().to(ScalarType.Float64).item<double>(), norms.max().to(ScalarType.Float64).item<double>());
        double top = smallest > 0 ? 1 : dictionary.select(0, least.item<long>()).abs().max().to(ScalarType.Float64).item<double>();
        if (top == 0) throw new ArgumentException($"Atom {least.item<long>()} is zero; every atom needs a direction.", nameof(dictionary));

        // Beyond these norms the squares, and with them the norms, have lost digits or will do so in products.
        double limit = dictionary.dtype == ScalarType.Float64 ? PowerOfTwoScale.LargestSafe : 1e15;
        if (smallest < 1 / limit || !(longest <= limit))
        {
            throw new ArgumentException(
                $"The norms of the atoms, from {smallest:G3} to {longest:G3}, leave the range of {dictionary.dtype}; scale the dictionary, atom by atom.", nameof(dictionary));
        }
    }

    /// <summary>The rows with unit Euclidean norm, as a new tensor.</summary>
    public static Tensor UnitRows(Tensor dictionary)
    {
        using var scope = NewDisposeScope();
        return dictionary.div(dictionary.norm(1, keepdim: true)).MoveToOuterDisposeScope();
    }
}
