using Sparseland.Models.Language;
using Sparseland.Tensors;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Autoencoders;

/// <summary>
/// Gradients of a language model's loss at one of its places: of the SUM of the cross-entropies of a window, for the loss at later tokens depends on an
/// activation too, through the attention, and a mean would divide by the window's length. One pass forward and one back down to the place; the
/// parameters get no gradients.
/// </summary>
public static class ActivationGradients
{
    /// <summary>Gradients for the text's own next tokens. A model that knows its text by heart has small and untypical ones.</summary>
    /// <param name="model">The model; it stays as it is.</param>
    /// <param name="ids">Token ids [batch, tokens], int64.</param>
    /// <param name="site">The place.</param>
    /// <param name="next">The token after each [batch, tokens]; null to take them from the ids, and then the last token of a window has no loss of its own and, in the residual stream, a gradient of zero.</param>
    /// <returns>Of the shape of the values at the place, such as [batch, tokens, d].</returns>
    /// <exception cref="ArgumentException">Wrong shape or type, a label outside the vocabulary, one token alone without a next one, or the model has no such place.</exception>
    public static Tensor OfLabels(LanguageModel model, Tensor ids, ActivationSite site, Tensor? next = null)
    {
        ArgumentNullException.ThrowIfNull(model);
        ArgumentNullException.ThrowIfNull(ids);
        using DisposeScope scope = NewDisposeScope();
        return Labelled(model, ids, next, site).Gradient.MoveToOuterDisposeScope();
    }

    /// <summary>Gradients for next tokens that are drawn from what the model itself says: they know nothing of the text's own.</summary>
    /// <param name="model">The model; it stays as it is.</param>
    /// <param name="ids">Token ids [batch, tokens], int64.</param>
    /// <param name="site">The place.</param>
    /// <param name="seed">Seed of the draws.</param>
    /// <param name="count">How many draws, each with a pass back of its own. Default 1.</param>
    /// <returns>[count, ...], for each draw of the shape of the values at the place. Their mean goes to zero; their squares along a direction go to its Fisher information.</returns>
    /// <exception cref="ArgumentException">Wrong shape or type, or the model has no such place.</exception>
    public static Tensor OfSamples(LanguageModel model, Tensor ids, ActivationSite site, long seed, int count = 1)
    {
        ArgumentNullException.ThrowIfNull(model);
        ArgumentNullException.ThrowIfNull(ids);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(count);
        using DisposeScope scope = NewDisposeScope();
        using IDisposable off = no_grad();
        (Tensor leaf, Tensor logits) = Forward(model, ids, site, scope);
        using Generator generator = new((ulong)seed);
        Tensor probabilities = logits.detach().softmax(-1).view(-1, logits.shape[^1]);
        Tensor all = empty([count, .. leaf.shape], dtype: leaf.dtype);
        for (int i = 0; i < count; i++)
        {
            using DisposeScope inner = NewDisposeScope();
            Tensor drawn = probabilities.multinomial(1, replacement: true, generator).view(-1);
            all.select(0, i).copy_(Back(leaf, logits, drawn, keep: i + 1 < count));
        }

        return all.MoveToOuterDisposeScope();
    }

    /// <summary>Values and gradients at a place. The graph is gone when it returns.</summary>
    internal static (Tensor Value, Tensor Gradient) Labelled(LanguageModel model, Tensor ids, Tensor? next, ActivationSite site)
    {
        using DisposeScope scope = NewDisposeScope();
        using IDisposable off = no_grad();
        Tensor labels = Labels(ids, next, model.Vocabulary);
        (Tensor leaf, Tensor logits) = Forward(model, ids, site, scope);
        Tensor gradient = Back(leaf, logits, labels, keep: false);
        return (leaf.detach().MoveToOuterDisposeScope(), gradient.MoveToOuterDisposeScope());
    }

    /// <summary>Labels [batch * tokens]; -100, which the loss leaves out, where there is none.</summary>
    private static Tensor Labels(Tensor ids, Tensor? next, int vocabulary)
    {
        if (ids.dim() != 2) throw new ArgumentException($"ids must be [batch, tokens], but are [{string.Join(", ", ids.shape)}].", nameof(ids));
        if (next is null)
        {
            if (ids.shape[1] < 2) throw new ArgumentException("A window of one token has no next token inside; give the next tokens.", nameof(ids));
            return cat([ids.narrow(1, 1, ids.shape[1] - 1), full([ids.shape[0], 1], -100L, dtype: ScalarType.Int64)], 1).view(-1);
        }

        if (!next.shape.SequenceEqual(ids.shape) || next.dtype != ScalarType.Int64)
            throw new ArgumentException($"next must be Int64 [{string.Join(", ", ids.shape)}] as the ids are, but is {next.dtype} [{string.Join(", ", next.shape)}].", nameof(next));
        if (next.lt(0).any().item<bool>() || next.ge(vocabulary).any().item<bool>()) throw new ArgumentException($"A next token lies outside 0 to {vocabulary - 1}.", nameof(next));
        return next.reshape(-1);
    }

    /// <summary>The value at the place as a leaf, and the logits that depend on it. What lies below the place leaves no graph.</summary>
    private static (Tensor Leaf, Tensor Logits) Forward(LanguageModel model, Tensor ids, ActivationSite site, DisposeScope scope)
    {
        Tensor? leaf = null;
        IDisposable? on = null;
        try
        {
            Tensor logits = model.Logits(ids, ActivationHook.Replace(site, value =>
            {
                // Only from here on is there a graph.
                leaf = value.detach().clone().requires_grad_().DetachFromDisposeScope();
                on = enable_grad();
                return leaf;
            }));
            scope.Attach(leaf!);
            return (leaf!, logits);
        }
        catch
        {
            leaf?.Dispose();
            throw;
        }
        finally
        {
            on?.Dispose();
        }
    }

    private static Tensor Back(Tensor leaf, Tensor logits, Tensor labels, bool keep)
    {
        using IDisposable on = enable_grad();
        Tensor loss = nn.functional.cross_entropy(logits.view(-1, logits.shape[^1]), labels, reduction: nn.Reduction.Sum);
        return autograd.grad([loss], [leaf], retain_graph: keep)[0];
    }
}
