using Sparseland.Tensors;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Autoencoders;

/// <summary>What gradients say that a small change of activations does to the model's loss (attribution patching; Nanda 2023).</summary>
/// <remarks>The error of an autoencoder is not small: terms of second order can outweigh this one, and even turn its sign.</remarks>
public static class FirstOrderEffect
{
    /// <summary>&lt;g_t, e_t&gt; of each token: with g of a summed loss, their sum is the predicted change of that sum.</summary>
    /// <param name="gradients">g [tokens, d].</param>
    /// <param name="error">e = xhat - x [tokens, d], of the same type.</param>
    /// <returns>[tokens], float64.</returns>
    /// <exception cref="ArgumentException">Shapes differ, or a value is not finite.</exception>
    public static Tensor Predict(Tensor gradients, Tensor error)
    {
        TensorInput.CheckMatrix(gradients, nameof(gradients), "[tokens, d]");
        TensorInput.CheckMatrix(error, nameof(error), "[tokens, d]");
        if (!gradients.shape.SequenceEqual(error.shape))
            throw new ArgumentException($"gradients are [{string.Join(", ", gradients.shape)}], the error [{string.Join(", ", error.shape)}]; they must agree.", nameof(error));
        using DisposeScope scope = NewDisposeScope();
        using IDisposable off = no_grad();
        return (gradients.to(ScalarType.Float64) * error.to(ScalarType.Float64)).sum([1L]).MoveToOuterDisposeScope();
    }
}
