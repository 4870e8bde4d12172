using Sparseland.Models.Language;
using Sparseland.Tensors;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Attention.Mixture;

/// <summary>Loss by the modality of the target.</summary>
/// <param name="Text">Mean loss of text tokens predicted at text positions, in nats.</param>
/// <param name="Image">Mean loss of image codes predicted at image positions, in nats.</param>
public sealed record TwoModesLoss(double Text, double Image);

/// <summary>
/// A stream of two modalities, small enough to train on in seconds and made so that a gain of separate weights and reading across modalities can both be seen: a caption of 24 text tokens, then an image of
/// 6 x 6 codes. The caption's first word says the class; the rest is a chain in which the next token is, three times in four, a fixed permutation of the present one. The class alone decides how the image's
/// stripes run, so the image has to look at the caption.
/// </summary>
public static class TwoModes
{
    /// <summary>Token ids: 0 to 31 text, 32 to 47 image.</summary>
    public const int Vocabulary = 48;

    /// <summary>Text tokens of a sample.</summary>
    public const int TextLength = 24;

    /// <summary>Rows and columns of an image.</summary>
    public const int Side = 6;

    /// <summary>Tokens of a sample.</summary>
    public const int Length = TextLength + (Side * Side);

    /// <summary>Classes; the word of class c is token c.</summary>
    public const int Classes = 8;

    private const int FirstChain = Classes, Chain = 24, FirstCode = 32, Codes = 16;
    private static readonly int[] s_next = Permutation();

    /// <summary>Text is modality 0, image modality 1.</summary>
    public static IReadOnlyList<TokenRange> Ranges { get; } = [new(0, FirstCode - 1, 0), new(FirstCode, Vocabulary - 1, 1)];

    /// <summary>Draws samples. Sample i depends on the seed and on i alone.</summary>
    /// <param name="samples">How many, at least 1.</param>
    /// <param name="seed">Same seed, same samples.</param>
    /// <param name="imageFirst">Whether the image stands before the text. Default false.</param>
    /// <returns>Token ids [samples, 60], Int64.</returns>
    /// <exception cref="ArgumentOutOfRangeException"><paramref name="samples"/> is below 1.</exception>
    public static Tensor Generate(int samples, long seed, bool imageFirst = false)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(samples, 1);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(samples, Array.MaxLength / Length);
        var ids = new long[samples * Length];
        for (int i = 0; i < samples; i++) Draw(ids.AsSpan(i * Length, Length), new SeededRandom(seed, i), imageFirst);
        return tensor(ids, [samples, Length]);
    }

    /// <summary>Loss of a model by the modality of the target. The first token of the second part is in neither: the other modality's weights predict it.</summary>
    /// <param name="model">The model; its gradients stay as they are.</param>
    /// <param name="ids">Samples with the text first [samples, 60].</param>
    /// <param name="batch">Samples of one call. Default 256.</param>
    /// <exception cref="ArgumentException">Another shape.</exception>
    public static TwoModesLoss Loss(LanguageModel model, Tensor ids, int batch = 256)
    {
        ArgumentNullException.ThrowIfNull(model);
        ArgumentNullException.ThrowIfNull(ids);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(batch);
        if (ids.dim() != 2 || ids.shape[1] != Length || ids.numel() == 0) throw new ArgumentException($"ids must be [samples, {Length}], but are [{string.Join(", ", ids.shape)}].", nameof(ids));
        using IDisposable off = no_grad();
        double text = 0, image = 0;
        for (long from = 0; from < ids.shape[0]; from += batch)
        {
            using DisposeScope scope = NewDisposeScope();
            Tensor part = ids.narrow(0, from, Math.Min(batch, ids.shape[0] - from)), logits = model.Logits(part.narrow(1, 0, Length - 1));
            Tensor losses = nn.functional.cross_entropy(logits.reshape(-1, model.Vocabulary), part.narrow(1, 1, Length - 1).reshape(-1), reduction: nn.Reduction.None).view(-1, Length - 1);
            text += losses.narrow(1, 0, TextLength - 1).mean([1L]).sum().to(ScalarType.Float64).item<double>();
            image += losses.narrow(1, TextLength, (Side * Side) - 1).mean([1L]).sum().to(ScalarType.Float64).item<double>();
        }

        return new(text / ids.shape[0], image / ids.shape[0]);
    }

    private static void Draw(Span<long> ids, SeededRandom random, bool imageFirst)
    {
        Span<long> text = imageFirst ? ids[(Side * Side)..] : ids[..TextLength], image = imageFirst ? ids[..(Side * Side)] : ids[TextLength..];
        int c = random.NextInt(Classes), token = random.NextInt(Chain), phase = random.NextInt(4);
        text[0] = c;
        for (int i = 1; i < TextLength; i++)
        {
            text[i] = FirstChain + token;
            token = random.NextDouble() < 0.75 ? s_next[token] : random.NextInt(Chain);
        }

        for (int y = 0; y < Side; y++)
        {
            for (int x = 0; x < Side; x++)
            {
                int stripe = ((y * ((c % 4) + 1)) + (x * ((2 * (c / 4)) + 1)) + phase) % 4, noise = random.NextInt(4);
                image[(y * Side) + x] = FirstCode + (random.NextDouble() < 0.1 ? random.NextInt(Codes) : (4 * stripe) + noise);
            }
        }
    }

    private static int[] Permutation()
    {
        var random = new SeededRandom(20_25, 7);
        int[] next = random.Permutation<int>(Chain);
        return next;
    }
}
