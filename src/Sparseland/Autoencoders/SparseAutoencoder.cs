using Sparseland.Kernels;
using Sparseland.Tensors;
using TorchSharp;
using TorchSharp.Modules;
using TorchSharp.Utils;
using static TorchSharp.torch;

namespace Sparseland.Autoencoders;

/// <summary>
/// A sparse autoencoder of activations x [tokens, d]: z = W_e (x - b_d) + b_e, a code f from z by a <see cref="CodeRule"/>, xhat = W_d^T f + b_d.
/// Both matrices have one latent per row.
/// </summary>
/// <remarks>
/// The architectures (ReLU with l1, TopK, BatchTopK, JumpReLU, ...) differ in their rule alone. Where <see cref="Scaling"/> has a factor s other than one, x
/// in these equations is s times the activation, and what is decoded is divided by s.
/// </remarks>
public sealed partial class SparseAutoencoder : nn.Module
{
    // Entries of pre-activations that are held at once where tokens are coded by themselves: a gigabyte of Float32.
    private const long MostEntries = 1L << 28;

    private readonly NativeSize _size;

    /// <summary>An autoencoder with random directions: rows of the decoder are Gaussian and of norm one, the encoder is a copy of it, biases are zero.</summary>
    /// <param name="width">d, the width of the activations.</param>
    /// <param name="latents">M.</param>
    /// <param name="rule">How codes are chosen; taken over.</param>
    /// <param name="seed">Seed of the directions. Default 1.</param>
    /// <param name="centreInput">Whether b_d is subtracted from the input. Default true.</param>
    /// <param name="type">Float32 (the default) or Float64.</param>
    /// <param name="decoderNorm">Norm of the rows of decoder and encoder, positive; recipes with a free decoder begin with 0.1. Default 1.</param>
    /// <exception cref="ArgumentException">A size is not positive, or the rule does not fit the number of latents.</exception>
    public SparseAutoencoder(
        int width, int latents, CodeRule rule, long seed = 1, bool centreInput = true, ScalarType type = ScalarType.Float32, double decoderNorm = 1)
        : this(Directions(width, latents, rule, seed, type, decoderNorm), null, null, null, rule, centreInput, 1)
    {
    }

    /// <summary>From given matrices, which are taken over; without encoder, a copy of the decoder, and without biases, zeros.</summary>
    internal SparseAutoencoder(Tensor decoder, Tensor? encoder, Tensor? encoderBias, Tensor? decoderBias, CodeRule rule, bool centreInput, double scale)
        : base(nameof(SparseAutoencoder))
    {
        (Latents, Width, Rule, CentreInput, Scaling) = ((int)decoder.shape[0], (int)decoder.shape[1], rule, centreInput, new(scale));
        rule.Check(Latents);
        using IDisposable off = no_grad();
        Decoder = new Parameter(decoder);
        Encoder = new Parameter(encoder ?? Decoder.detach().clone());
        EncoderBias = new Parameter(encoderBias ?? zeros(Latents, dtype: Decoder.dtype));
        DecoderBias = new Parameter(decoderBias ?? zeros(Width, dtype: Decoder.dtype));
        foreach (Parameter parameter in (Parameter[])[Decoder, Encoder, EncoderBias, DecoderBias]) parameter.DetachFromDisposeScope();
        register_parameter("encoder", Encoder);
        register_parameter("encoder_bias", EncoderBias);
        register_parameter("decoder", Decoder);
        register_parameter("decoder_bias", DecoderBias);
        register_module("rule", rule);
        register_module("scaling", Scaling);
        _size = NativeSize.Of(Decoder, Encoder, EncoderBias, DecoderBias);
    }

    private static Tensor Directions(int width, int latents, CodeRule rule, long seed, ScalarType type, double decoderNorm)
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(width);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(latents);
        ArgumentNullException.ThrowIfNull(rule);
        if (type is not (ScalarType.Float32 or ScalarType.Float64)) throw new ArgumentException($"The type is {type}; it must be Float32 or Float64.", nameof(type));
        Finite.Positive(decoderNorm);
        rule.Check(latents);
        using IDisposable off = no_grad();
        var random = new SeededRandom(seed, 600);
        Tensor rows = empty([latents, width], dtype: type);

        // Some rows at a time: a matrix of float64 beside it would be the largest thing of a training.
        int some = Math.Clamp((1 << 18) / width, 1, latents);
        double[] numbers = new double[some * width];
        for (int from = 0; from < latents; from += some)
        {
            using DisposeScope scope = NewDisposeScope();
            int count = Math.Min(some, latents - from);
            for (int i = 0; i < count * width; i++) numbers[i] = random.NextGaussian();
            Tensor part = tensor(numbers.AsSpan(0, count * width).ToArray(), [count, width]);
            rows.narrow(0, from, count).copy_(part.div_(part.norm(1, keepdim: true)).mul_(decoderNorm));
        }

        return rows;
    }

    /// <summary>d, the width of the activations.</summary>
    public int Width { get; }

    /// <summary>M, the number of latents.</summary>
    public int Latents { get; }

    /// <summary>How codes are chosen.</summary>
    public CodeRule Rule { get; }

    /// <summary>Whether b_d is subtracted from the input.</summary>
    public bool CentreInput { get; }

    /// <summary>The constant that activations are multiplied with first; 1 before training.</summary>
    public ActivationScaling Scaling { get; }

    /// <summary>What is done to each token by itself first; other than none in autoencoders that were read, and then codes carry what puts a reconstruction back.</summary>
    public TokenScaling TokenScaling { get; internal init; }

    /// <summary>W_e [latents, d].</summary>
    [field: ComponentName(Name = "encoder")]
    public Parameter Encoder { get; }

    /// <summary>b_e [latents].</summary>
    [field: ComponentName(Name = "encoder_bias")]
    public Parameter EncoderBias { get; }

    /// <summary>W_d [latents, d].</summary>
    [field: ComponentName(Name = "decoder")]
    public Parameter Decoder { get; }

    /// <summary>b_d [d].</summary>
    [field: ComponentName(Name = "decoder_bias")]
    public Parameter DecoderBias { get; }

    /// <summary>z = W_e (s x - b_d) + b_e.</summary>
    /// <param name="x">Activations [tokens, d].</param>
    /// <returns>[tokens, latents].</returns>
    /// <exception cref="ArgumentException">Another width or type, or a value that is not finite; the message names the token.</exception>
    public Tensor PreActivations(Tensor x)
    {
        CheckActivations(x);
        using DisposeScope scope = NewDisposeScope();
        using IDisposable off = no_grad();
        return PreOf(TokenFrame.Apply(TokenScaling, x).X).MoveToOuterDisposeScope();
    }

    /// <summary>Codes at inference: each token's depends on it alone.</summary>
    /// <param name="x">Activations [tokens, d].</param>
    /// <param name="gradients">Gradients of the model's loss at the tokens [tokens, d], for rules that weigh by them; null for none.</param>
    /// <exception cref="ArgumentException">Another width or type, or a value that is not finite; the message names the token.</exception>
    /// <exception cref="InvalidOperationException">The rule needs what has not been learned yet, such as a threshold.</exception>
    public SparseCode Encode(Tensor x, Tensor? gradients = null) => Code(x, gradients, training: false);

    /// <summary>Codes of a batch as in training: a rule that chooses across a batch chooses among these tokens, so each code depends on all of them.</summary>
    /// <param name="x">Activations [tokens, d].</param>
    /// <param name="gradients">Gradients of the model's loss at the tokens [tokens, d], for rules that weigh by them; null for none.</param>
    /// <exception cref="ArgumentException">Another width or type, a value that is not finite, or a batch that the rule cannot serve.</exception>
    public SparseCode EncodeBatch(Tensor x, Tensor? gradients = null) => Code(x, gradients, training: true);

    /// <summary>xhat = W_d^T f + b_d, on the scale of the activations as they came.</summary>
    /// <param name="code">Codes.</param>
    /// <returns>[tokens, d].</returns>
    /// <exception cref="ArgumentException">A code of another number of latents, or, where tokens are scaled by themselves, one that <see cref="Encode"/> has not made.</exception>
    public Tensor Decode(SparseCode code)
    {
        ArgumentNullException.ThrowIfNull(code);
        if (code.Latents != Latents) throw new ArgumentException($"The code has {code.Latents} latents, the autoencoder {Latents}.", nameof(code));
        if (code.Values.dtype != Decoder.dtype) throw new ArgumentException($"The code's values are {code.Values.dtype}, the autoencoder {Decoder.dtype}; they must agree.", nameof(code));
        if (TokenScaling != TokenScaling.None && code.Frame is null)
            throw new ArgumentException($"Tokens are scaled by themselves ({TokenScaling}), and the code has no scales to put them back with: take one that {nameof(Encode)} made.", nameof(code));
        using DisposeScope scope = NewDisposeScope();
        using IDisposable off = no_grad();
        Tensor rebuilt = Scaling.Undo(Rebuild(code));
        return (code.Frame?.Undo(rebuilt) ?? rebuilt).MoveToOuterDisposeScope();
    }

    /// <summary>Decodes the codes of some tokens.</summary>
    /// <param name="x">Activations [tokens, d].</param>
    /// <returns>[tokens, d].</returns>
    public Tensor Reconstruct(Tensor x)
    {
        using SparseCode code = Encode(x);
        return Decode(code);
    }

    private SparseCode Code(Tensor x, Tensor? gradients, bool training)
    {
        CheckActivations(x);
        using DisposeScope scope = NewDisposeScope();
        using IDisposable off = no_grad();
        (Tensor scaled, TokenFrame? frame) = TokenFrame.Apply(TokenScaling, x);
        Tensor? downstream = gradients is null ? null : Scaling.Undo(frame is null ? gradients : gradients * frame.Factor);
        SparseCode code = !training && downstream is null ? OfTiles(Centred(Scaling.Apply(scaled)), MostEntries) : Rule.Select(PreOf(scaled), new(training, downstream, Decoder, EncoderBias));
        code.Values.MoveToOuterDisposeScope();
        code.Frame = frame?.Keep();
        return code;
    }

    /// <summary>Codes of tokens that do not look at each other, some at a time, so that pre-activations of many tokens need not be held together.</summary>
    /// <param name="centred">x - b_d [tokens, d], on the scale of the autoencoder.</param>
    /// <param name="mostEntries">Pre-activations that are held at a time; those of one token at the least.</param>
    internal SparseCode OfTiles(Tensor centred, long mostEntries)
    {
        long tokens = centred.shape[0], some = Math.Max(1, mostEntries / Latents);
        if (tokens <= some) return Rule.Select(Pre(centred), new(false, null, Decoder, EncoderBias));
        int[] offsets = new int[tokens + 1];
        var columns = new List<int>();
        var values = new List<Tensor>();
        for (long from = 0; from < tokens; from += some)
        {
            using DisposeScope scope = NewDisposeScope();
            SparseCode part;
            try
            {
                part = Rule.Select(Pre(centred.narrow(0, from, Math.Min(some, tokens - from))), new(false, null, Decoder, EncoderBias));
            }
            catch (ArgumentException e)
            {
                throw new ArgumentException($"Among the tokens from {from} on, counted from there: {e.Message}", "x", e);
            }

            using (part)
            {
                for (int row = 0; row < part.Tokens; row++) offsets[from + row + 1] = columns.Count + part.Support.RowOffsets[row + 1];
                columns.AddRange(part.Support.ColumnIndices);
                values.Add(part.Values.clone().MoveToOuterDisposeScope());
            }
        }

        return new(new((int)tokens, Latents, offsets, System.Runtime.InteropServices.CollectionsMarshal.AsSpan(columns)), cat(values));
    }

    /// <summary>W_d^T f + b_d, on the scale of the autoencoder.</summary>
    internal Tensor Rebuild(SparseCode code) => SparseProduct.Multiply(code.Support, code.Values, Decoder, DecoderBias);

    /// <summary>z of tokens that were scaled by themselves where they are to be.</summary>
    private Tensor PreOf(Tensor x) => Pre(Centred(Scaling.Apply(x)));

    internal Tensor Centred(Tensor x) => CentreInput ? x - DecoderBias : x;

    internal Tensor Pre(Tensor centred) => addmm(EncoderBias, centred, Encoder.t(), 1, 1);

    /// <summary>z of some latents [tokens, latents].</summary>
    internal Tensor Pre(Tensor centred, Tensor latents) => addmm(EncoderBias.index_select(0, latents), centred, Encoder.index_select(0, latents).t(), 1, 1);

    /// <summary>Bytes that the collector is told of.</summary>
    internal long NativeBytes => _size.Bytes;

    /// <inheritdoc/>
    public override string ToString() => $"SparseAutoencoder of width {Width}, {Latents} latents: {Rule.Description}";

    /// <inheritdoc/>
    protected override void Dispose(bool disposing)
    {
        base.Dispose(disposing);
        if (disposing) _size.Dispose();
    }

    internal void CheckActivations(Tensor x)
    {
        ArgumentNullException.ThrowIfNull(x);
        if (x.dim() != 2 || x.shape[1] != Width)
            throw new ArgumentException($"x must be [tokens, {Width}], the autoencoder's width, but is [{string.Join(", ", x.shape)}].", nameof(x));
        if (Encoder.dtype is not (ScalarType.Float32 or ScalarType.Float64)) throw new ArgumentException($"The autoencoder is {Encoder.dtype}; it computes in Float32 or Float64, so move it to one of them.", nameof(x));
        if (x.dtype != Encoder.dtype) throw new ArgumentException($"x is {x.dtype}, the autoencoder {Encoder.dtype}; they must agree.", nameof(x));
        if (x.device_type != DeviceType.CPU) throw new ArgumentException($"x is on {x.device_type}; move it to the CPU first.", nameof(x));
        if (FiniteRows.FirstBad(x) is { } token) throw new ArgumentException($"x holds a value that is not finite, first in token {token}.", nameof(x));
    }
}
