using Sparseland.Tensors;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Attention.Vision;

/// <summary>Which inputs an output depends on, read from gradients: the receptive field of a layer or a network, not of its drawing.</summary>
public static class GradientReach
{
    /// <summary>How strongly each input token moves one output token: the norm of the gradient of a random combination of that token's channels.</summary>
    /// <param name="layer">From tokens [1, tokens, channels] to tokens [1, tokens', channels'], differentiable.</param>
    /// <param name="x">Input [1, tokens, channels], Float32 or Float64; unchanged.</param>
    /// <param name="token">The output token, from 0.</param>
    /// <param name="seed">Of the random combination. Default 1.</param>
    /// <returns>A number of 0 or more for each input token; 0 exactly where nothing depends on it.</returns>
    /// <exception cref="ArgumentException">Another shape or type, a value that is not finite, or no such token.</exception>
    public static double[] Of(Func<Tensor, Tensor> layer, Tensor x, int token, long seed = 1)
    {
        ArgumentNullException.ThrowIfNull(layer);
        ArgumentNullException.ThrowIfNull(x);
        if (x.dim() != 3 || x.shape[0] != 1 || x.numel() == 0 || x.dtype is not (ScalarType.Float32 or ScalarType.Float64))
            throw new ArgumentException($"x must be Float32 or Float64 [1, tokens, channels], but is {x.dtype} [{string.Join(", ", x.shape)}].", nameof(x));
        if (!double.IsFinite(TensorInput.LargestMagnitude(x))) throw new ArgumentException("x holds a value that is not finite.", nameof(x));
        using DisposeScope scope = NewDisposeScope();
        using IDisposable on = enable_grad();
        using Generator generator = new(SeededRandom.Mix(unchecked((ulong)seed) ^ 0x7e6a));
        Tensor leaf = x.detach().clone().requires_grad_(), output = layer(leaf);
        if (output.dim() != 3 || output.shape[0] != 1) throw new ArgumentException($"The layer gave [{string.Join(", ", output.shape)}]; it must give [1, tokens, channels].", nameof(layer));
        if (token < 0 || token >= output.shape[1]) throw new ArgumentOutOfRangeException(nameof(token), token, $"The output has tokens 0 to {output.shape[1] - 1}.");
        if (!output.requires_grad) return new double[leaf.shape[1]];
        Tensor mix = randn(new long[] { output.shape[2] }, generator: generator).to(output.dtype).to(output.device);

        // Gradients of the leaf alone: a network's own parameters keep what they hold.
        if (autograd.grad([output[0][token].dot(mix)], [leaf], allow_unused: true)[0] is not { IsInvalid: false } gradient) return new double[leaf.shape[1]];
        // In double precision: squares of 1e-25 vanish in single precision, and what is reached would count as not.
        return gradient[0].to(ScalarType.Float64).square().sum(1L).sqrt().cpu().data<double>().ToArray();
    }

    /// <summary>Share of the input tokens that the output token depends on, from 0 to 1.</summary>
    /// <param name="layer">From tokens [1, tokens, channels] to tokens [1, tokens', channels'], differentiable.</param>
    /// <param name="x">Input [1, tokens, channels], Float32 or Float64; unchanged.</param>
    /// <param name="token">The output token, from 0.</param>
    /// <param name="seed">Of the random combination. Default 1.</param>
    /// <exception cref="ArgumentException">As for <see cref="Of"/>.</exception>
    public static double Share(Func<Tensor, Tensor> layer, Tensor x, int token, long seed = 1)
    {
        double[] reach = Of(layer, x, token, seed);
        return (double)reach.Count(r => r > 0) / reach.Length;
    }
}
