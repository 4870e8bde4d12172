using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Models.Language;

/// <summary>Places in a decoder whose values can be read and replaced.</summary>
public enum Activation
{
    /// <summary>Residual stream before a block [batch, tokens, dModel].</summary>
    ResidualBefore,

    /// <summary>Input of the attention, after its norm [batch, tokens, dModel].</summary>
    AttentionInput,

    /// <summary>Queries, positions applied [batch, heads, tokens, headDim].</summary>
    Queries,

    /// <summary>Keys, positions applied [batch, key-value heads, tokens, headDim].</summary>
    Keys,

    /// <summary>Values [batch, key-value heads, tokens, headDim].</summary>
    Values,

    /// <summary>Weights of the attention, rows of sum one [batch, heads, tokens, keys]. Computed only when a hook wants them.</summary>
    AttentionPattern,

    /// <summary>Output of each head, before the heads are mixed [batch, heads, tokens, headDim].</summary>
    HeadOutputs,

    /// <summary>What the attention adds to the residual stream [batch, tokens, dModel].</summary>
    AttentionOutput,

    /// <summary>Input of the MLP, after its norm [batch, tokens, dModel].</summary>
    MlpInput,

    /// <summary>Gate of the MLP before its non-linearity [batch, tokens, mlpWidth]; gated MLPs only.</summary>
    MlpGate,

    /// <summary>The other factor of a gated MLP, or the hidden layer before its non-linearity of a plain one [batch, tokens, mlpWidth].</summary>
    MlpUp,

    /// <summary>Hidden layer of the MLP, input of its last matrix [batch, tokens, mlpWidth].</summary>
    MlpHidden,

    /// <summary>What the MLP adds to the residual stream [batch, tokens, dModel].</summary>
    MlpOutput,

    /// <summary>Residual stream after a block [batch, tokens, dModel].</summary>
    ResidualAfter,
}

/// <summary>One place in one block.</summary>
/// <param name="Layer">Block, from 0.</param>
/// <param name="Activation">Place in it.</param>
public readonly record struct ActivationSite(int Layer, Activation Activation);

/// <summary>Reads and replaces activations while a model computes. Nothing that no hook wants is kept or computed.</summary>
public interface IActivationHook
{
    /// <summary>Whether this hook wants to see a place.</summary>
    /// <param name="site">The place.</param>
    bool Wants(ActivationSite site);

    /// <summary>
    /// The places that this hook names, so that a model can refuse those it has not before it computes; null where
    /// <see cref="Wants"/> decides by itself, and then the model must have at least one that it wants.
    /// </summary>
    IReadOnlyCollection<ActivationSite>? Named => null;

    /// <summary>Called before each call of a model. Default: nothing is done.</summary>
    /// <param name="position">Position of the call's first token: as many tokens stand in the cache, 0 where there is none. A cache that was cut back says so here.</param>
    void Begin(int position)
    {
    }

    /// <summary>Called with the value at a wanted place.</summary>
    /// <param name="site">The place.</param>
    /// <param name="value">Its value; it and all tensors made here live until the call of the model ends; keep clone().DetachFromDisposeScope(), or use an <see cref="ActivationRecorder"/>.</param>
    /// <returns>What takes its place, of the same shape; null or the value itself leaves it.</returns>
    Tensor? Visit(ActivationSite site, Tensor value);
}

/// <summary>Hooks made from functions.</summary>
public static class ActivationHook
{
    /// <summary>Replaces the value at one place.</summary>
    /// <param name="site">The place.</param>
    /// <param name="replace">From the value to its replacement.</param>
    public static IActivationHook Replace(ActivationSite site, Func<Tensor, Tensor> replace)
    {
        ArgumentNullException.ThrowIfNull(replace);
        return new Function(other => other == site, (_, value) => replace(value)) { Named = [site] };
    }

    /// <summary>Reads the values at some places. Tensors made in the function live until the call of the model ends; to keep values use an <see cref="ActivationRecorder"/>.</summary>
    /// <param name="wants">Which places.</param>
    /// <param name="read">Is given place and value.</param>
    public static IActivationHook Read(Func<ActivationSite, bool> wants, Action<ActivationSite, Tensor> read)
    {
        ArgumentNullException.ThrowIfNull(wants);
        ArgumentNullException.ThrowIfNull(read);
        return new Function(wants, (site, value) =>
        {
            read(site, value);
            return null;
        });
    }

    /// <summary>Several hooks, each seeing what those before it left.</summary>
    /// <param name="hooks">The hooks in their order.</param>
    public static IActivationHook All(params IActivationHook[] hooks)
    {
        ArgumentNullException.ThrowIfNull(hooks);
        foreach (IActivationHook hook in hooks) ArgumentNullException.ThrowIfNull(hook, nameof(hooks));
        return new Several(hooks);
    }

    /// <summary>Refuses a hook for places that a model has not: such a hook would be ignored without a word.</summary>
    /// <param name="hook">The hook, or null.</param>
    /// <param name="layers">Blocks of the model.</param>
    /// <param name="serves">Whether the model's blocks have a place.</param>
    internal static void Check(this IActivationHook? hook, int layers, Func<Activation, bool> serves)
    {
        if (hook is Several several)
        {
            foreach (IActivationHook part in several.Hooks) part.Check(layers, serves);
            return;
        }

        foreach (ActivationSite site in hook?.Named ?? [])
        {
            if (site.Layer < 0 || site.Layer >= layers)
                throw new ArgumentException($"A hook names block {site.Layer}, but the model has blocks 0 to {layers - 1}.", nameof(hook));
            if (!serves(site.Activation))
                throw new ArgumentException($"A hook names {site.Activation}, which the blocks of this model do not have.", nameof(hook));
        }

        if (hook is null || hook.Named is not null) return;
        bool any = Enumerable.Range(0, layers).Any(layer => Enum.GetValues<Activation>().Any(a => serves(a) && hook.Wants(new(layer, a))));
        if (!any) throw new ArgumentException($"A hook wants no place of this model, which has blocks 0 to {layers - 1}.", nameof(hook));
    }

    /// <summary>The value at a place after a hook has seen it.</summary>
    internal static Tensor At(this IActivationHook? hook, int layer, Activation activation, Tensor value)
    {
        var site = new ActivationSite(layer, activation);
        if (hook is null || !hook.Wants(site)) return value;
        Tensor replaced = hook.Visit(site, value) ?? value;
        if (replaced.IsInvalid) throw new ArgumentException($"A hook put a disposed tensor at {activation} of block {layer}.", nameof(hook));
        if (!replaced.shape.SequenceEqual(value.shape))
            throw new ArgumentException($"A hook put [{string.Join(", ", replaced.shape)}] at {activation} of block {layer}, where [{string.Join(", ", value.shape)}] was.", nameof(hook));
        if (replaced.dtype != value.dtype)
            throw new ArgumentException($"A hook put {replaced.dtype} at {activation} of block {layer}, where {value.dtype} was.", nameof(hook));
        return replaced;
    }

    private sealed class Several(IActivationHook[] hooks) : IActivationHook
    {
        public IActivationHook[] Hooks { get; } = hooks;

        public bool Wants(ActivationSite site) => Array.Exists(Hooks, h => h.Wants(site));

        public void Begin(int position) => Array.ForEach(Hooks, h => h.Begin(position));

        public Tensor? Visit(ActivationSite site, Tensor value)
        {
            Tensor current = value;
            foreach (IActivationHook hook in Hooks.Where(h => h.Wants(site))) current = hook.Visit(site, current) ?? current;
            return current;
        }
    }

    private sealed class Function(Func<ActivationSite, bool> wants, Func<ActivationSite, Tensor, Tensor?> visit) : IActivationHook
    {
        public IReadOnlyCollection<ActivationSite>? Named { get; init; }

        public bool Wants(ActivationSite site) => wants(site);

        public Tensor? Visit(ActivationSite site, Tensor value) => visit(site, value);
    }
}
