using Sparseland.Kernels;
using Sparseland.Tensors;
using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Sparseland.Autoencoders;

/// <summary>
/// A sparse autoencoder of activations x [tokens, d]: z = W_e (x - b_d) + b_e, a code f from z by a <see cref="CodeRule"/>, xhat = W_d^T f + b_d.
/// Both matrices have one latent per row.
/// </summary>
/// <remarks>The architectures (ReLU with l1, TopK, BatchTopK, JumpReLU, ...) differ in their rule alone.</remarks>
public sealed class SparseAutoencoder : nn.Module
{
    /// <summary>An autoencoder with random directions: rows of the decoder are Gaussian and of norm one, the encoder is a copy of it, biases are zero.</summary>
    /// <param name="width">d, the width of the activations.</param>
    /// <param name="latents">M.</param>
    /// <param name="rule">How codes are chosen; taken over.</param>
    /// <param name="seed">Seed of the directions. Default 1.</param>
    /// <param name="centreInput">Whether b_d is subtracted from the input. Default true.</param>
    /// <param name="type">Float32 (the default) or Float64.</param>
    /// <exception cref="ArgumentException">A size is not positive, or the rule does not fit the number of latents.</exception>
    public SparseAutoencoder(int width, int latents, CodeRule rule, long seed = 1, bool centreInput = true, ScalarType type = ScalarType.Float32)
        : base(nameof(SparseAutoencoder))
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(width);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(latents);
        ArgumentNullException.ThrowIfNull(rule);
        if (type is not (ScalarType.Float32 or ScalarType.Float64)) throw new ArgumentException($"The type is {type}; it must be Float32 or Float64.", nameof(type));
        rule.Check(latents);
        (Width, Latents, Rule, CentreInput) = (width, latents, rule, centreInput);
        using IDisposable off = no_grad();
        using DisposeScope scope = NewDisposeScope();
        var random = new SeededRandom(seed, 600);
        double[] numbers = new double[(long)latents * width];
        for (int i = 0; i < numbers.Length; i++) numbers[i] = random.NextGaussian();
        Tensor rows = tensor(numbers, [latents, width]);
        rows = rows.div_(rows.norm(1, keepdim: true)).to(type);
        Decoder = new Parameter(rows.clone());
        Encoder = new Parameter(rows.clone());
        EncoderBias = new Parameter(zeros(latents, dtype: type));
        DecoderBias = new Parameter(zeros(width, dtype: type));
        foreach (Parameter parameter in (Parameter[])[Decoder, Encoder, EncoderBias, DecoderBias]) parameter.DetachFromDisposeScope();
        register_parameter("encoder", Encoder);
        register_parameter("encoder_bias", EncoderBias);
        register_parameter("decoder", Decoder);
        register_parameter("decoder_bias", DecoderBias);
        register_module("rule", rule);
    }

    /// <summary>d, the width of the activations.</summary>
    public int Width { get; }

    /// <summary>M, the number of latents.</summary>
    public int Latents { get; }

    /// <summary>How codes are chosen.</summary>
    public CodeRule Rule { get; }

    /// <summary>Whether b_d is subtracted from the input.</summary>
    public bool CentreInput { get; }

    /// <summary>W_e [latents, d].</summary>
    public Parameter Encoder { get; }

    /// <summary>b_e [latents].</summary>
    public Parameter EncoderBias { get; }

    /// <summary>W_d [latents, d].</summary>
    public Parameter Decoder { get; }

    /// <summary>b_d [d].</summary>
    public Parameter DecoderBias { get; }

    /// <summary>z = W_e (x - b_d) + b_e.</summary>
    /// <param name="x">Activations [tokens, d].</param>
    /// <returns>[tokens, latents].</returns>
    /// <exception cref="ArgumentException">Another width or type, or a value that is not finite; the message names the token.</exception>
    public Tensor PreActivations(Tensor x)
    {
        CheckActivations(x);
        using DisposeScope scope = NewDisposeScope();
        using IDisposable off = no_grad();
        return Pre(Centred(x)).MoveToOuterDisposeScope();
    }

    /// <summary>Codes at inference: each token's depends on it alone.</summary>
    /// <param name="x">Activations [tokens, d].</param>
    /// <param name="gradients">Gradients of the model's loss at the tokens [tokens, d], for rules that weigh by them; null for none.</param>
    /// <exception cref="ArgumentException">Another width or type, or a value that is not finite; the message names the token.</exception>
    /// <exception cref="InvalidOperationException">The rule needs what has not been learned yet, such as a threshold.</exception>
    public SparseCode Encode(Tensor x, Tensor? gradients = null)
    {
        using Tensor pre = PreActivations(x);
        return Rule.Select(pre, new(Training: false, gradients, Decoder));
    }

    /// <summary>xhat = W_d^T f + b_d.</summary>
    /// <param name="code">Codes.</param>
    /// <returns>[tokens, d].</returns>
    /// <exception cref="ArgumentException">A code of another number of latents.</exception>
    public Tensor Decode(SparseCode code)
    {
        ArgumentNullException.ThrowIfNull(code);
        if (code.Latents != Latents) throw new ArgumentException($"The code has {code.Latents} latents, the autoencoder {Latents}.", nameof(code));
        return SparseProduct.Multiply(code.Support, code.Values, Decoder, DecoderBias);
    }

    /// <summary>Decodes the codes of some tokens.</summary>
    /// <param name="x">Activations [tokens, d].</param>
    /// <returns>[tokens, d].</returns>
    public Tensor Reconstruct(Tensor x)
    {
        using SparseCode code = Encode(x);
        return Decode(code);
    }

    internal Tensor Centred(Tensor x) => CentreInput ? x - DecoderBias : x;

    internal Tensor Pre(Tensor centred) => addmm(EncoderBias, centred, Encoder.t(), 1, 1);

    internal void CheckActivations(Tensor x)
    {
        ArgumentNullException.ThrowIfNull(x);
        if (x.dim() != 2 || x.shape[1] != Width)
            throw new ArgumentException($"x must be [tokens, {Width}], the autoencoder's width, but is [{string.Join(", ", x.shape)}].", nameof(x));
        if (x.dtype != Encoder.dtype) throw new ArgumentException($"x is {x.dtype}, the autoencoder {Encoder.dtype}; they must agree.", nameof(x));
        if (x.device_type != DeviceType.CPU) throw new ArgumentException($"x is on {x.device_type}; move it to the CPU first.", nameof(x));
        if (x.numel() == 0 || double.IsFinite(TensorInput.LargestMagnitude(x))) return;
        using DisposeScope scope = NewDisposeScope();
        throw new ArgumentException($"x holds a value that is not finite, first in token {x.isfinite().all(1).logical_not().nonzero()[0, 0].item<long>()}.", nameof(x));
    }
}
