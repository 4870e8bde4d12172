using Sparseland.IO;
using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Sparseland.Models.Language;

/// <summary>A decoder that predicts the next token: what Llama and its relatives, GPT-2 and GPT-NeoX share.</summary>
public abstract class LanguageModel : nn.Module<Tensor, Tensor>
{
    /// <summary>Names the module.</summary>
    /// <param name="name">Name.</param>
    protected LanguageModel(string name)
        : base(name)
    {
    }

    /// <summary>Tokens of the vocabulary.</summary>
    public abstract int Vocabulary { get; }

    /// <summary>Longest sequence in tokens.</summary>
    public abstract int Context { get; }

    /// <summary>Blocks.</summary>
    public abstract int Layers { get; }

    /// <summary>Width of the residual stream.</summary>
    public abstract int Width { get; }

    /// <summary>Embeddings of the tokens [vocabulary, dModel]; where embeddings are tied, also the unembedding.</summary>
    public abstract Parameter Embeddings { get; }

    /// <summary>Names of tensors as files of Hugging Face have them.</summary>
    internal abstract WeightLayout Layout { get; }

    /// <summary>The config as a config.json of Hugging Face.</summary>
    internal abstract string ConfigJson { get; }

    /// <summary>The config.json that was read; null for a model that was made.</summary>
    internal string? ReadConfig { get; set; }

    /// <summary>What else was read of the model.</summary>
    internal KeptFiles Companions { get; set; } = KeptFiles.None;

    /// <summary>Raised before each call, with the position of its first token: for layers that count positions.</summary>
    internal event Action<int>? Begins;

    /// <summary>Key and value heads of a block, and how wide each is: what a cache must hold.</summary>
    internal (int Heads, int HeadDim) CacheShape => KeyValueShape;

    /// <summary>Key and value heads of a block, and how wide each is.</summary>
    private protected abstract (int Heads, int HeadDim) KeyValueShape { get; }

    /// <summary>Logits of the next token at every place.</summary>
    /// <param name="input">Token ids [batch, tokens], int64.</param>
    /// <returns>[batch, tokens, vocabulary].</returns>
    /// <exception cref="ArgumentException">Wrong shape or type, an id outside the vocabulary, or more tokens than the context.</exception>
    public override Tensor forward(Tensor input) => Logits(input);

    /// <summary>Logits of the next token at every place.</summary>
    /// <param name="ids">Token ids [batch, tokens], int64.</param>
    /// <param name="hook">Reads and replaces activations; null for none.</param>
    /// <param name="cache">Holds the tokens before these and takes these in; null for none.</param>
    /// <param name="lastOnly">Logits of the last place alone, [batch, 1, vocabulary]: what generation needs. Default false.</param>
    /// <param name="attention">Takes the place of the attention in every block; null, the default, for the model's own.</param>
    /// <returns>[batch, tokens, vocabulary].</returns>
    /// <exception cref="ArgumentException">Wrong shape or type, an id outside the vocabulary, more tokens than the context, a cache of other sizes, a hook for a place that the model has not, a hook's shape, or a method for a model whose attention has windows or caps.</exception>
    public Tensor Logits(Tensor ids, IActivationHook? hook = null, KeyValueCache? cache = null, bool lastOnly = false, IAttentionMethod? attention = null)
    {
        using var scope = NewDisposeScope();
        Tensor x = Run(ids, new(hook, cache, attention), Layers);
        cache?.Advance((int)ids.shape[1]);
        if (lastOnly) x = x.narrow(1, x.shape[1] - 1, 1);
        return scope.MoveToOuter(Scores(LastNorm(x)));
    }

    /// <summary>Shows a hook the places that it wants, and computes nothing above the last of them: no later block and no logits.</summary>
    /// <param name="ids">Token ids [batch, tokens], int64.</param>
    /// <param name="hook">Reads activations.</param>
    /// <exception cref="ArgumentException">As for <see cref="Logits"/>.</exception>
    public void Visit(Tensor ids, IActivationHook hook)
    {
        ArgumentNullException.ThrowIfNull(hook);
        using var scope = NewDisposeScope();
        hook.Check(Layers, Serves);
        int last = Enumerable.Range(0, Layers).Last(layer => Enum.GetValues<Activation>().Any(a => Serves(a) && hook.Wants(new(layer, a))));
        Run(ids, new(hook), last + 1);
    }

    /// <summary>The residual stream before the first block: embeddings, with positions where the model adds them here.</summary>
    /// <param name="ids">Token ids [batch, tokens], int64.</param>
    /// <returns>[batch, tokens, dModel].</returns>
    /// <exception cref="ArgumentException">As for <see cref="Logits"/>.</exception>
    public Tensor EmbedTokens(Tensor ids)
    {
        CheckIds(ids, 0);
        using var scope = NewDisposeScope();
        return scope.MoveToOuter(Embed(ids.to(Embeddings.device), 0));
    }

    /// <summary>One block alone: from the residual stream before it to the one after it, for methods that work through a model block by block.</summary>
    /// <param name="layer">Block, from 0.</param>
    /// <param name="residual">Residual stream of whole sequences [batch, tokens, dModel].</param>
    /// <param name="hook">Reads and replaces activations of this block; null for none.</param>
    /// <returns>[batch, tokens, dModel].</returns>
    /// <exception cref="ArgumentException">No such block, another width, or more tokens than the context.</exception>
    public Tensor RunBlock(int layer, Tensor residual, IActivationHook? hook = null)
    {
        ArgumentNullException.ThrowIfNull(residual);
        if (layer < 0 || layer >= Layers) throw new ArgumentOutOfRangeException(nameof(layer), layer, $"The model has blocks 0 to {Layers - 1}.");
        if (residual.dim() != 3 || residual.shape[2] != Width || residual.numel() == 0)
            throw new ArgumentException($"residual must be [batch, tokens, {Width}] and not empty, but is [{string.Join(", ", residual.shape)}].", nameof(residual));
        if (residual.shape[1] > Context) throw new ArgumentException($"{residual.shape[1]} tokens are more than the context of {Context}.", nameof(residual));
        using var scope = NewDisposeScope();
        hook?.Begin(0);
        Begins?.Invoke(0);
        Tensor before = hook.At(layer, Activation.ResidualBefore, residual);
        Tensor after = hook.At(layer, Activation.ResidualAfter, Block(layer, before, Rotate(0, residual), new(hook)));
        return ReferenceEquals(after, residual) ? after : scope.MoveToOuter(after);
    }

    /// <summary>The module of a block, which holds its parameters.</summary>
    /// <param name="layer">Block, from 0.</param>
    /// <exception cref="ArgumentOutOfRangeException">There is no such block.</exception>
    public nn.Module BlockModule(int layer) =>
        layer >= 0 && layer < Layers ? Modules[layer] : throw new ArgumentOutOfRangeException(nameof(layer), layer, $"The model has blocks 0 to {Layers - 1}.");

    /// <summary>An empty cache for this model.</summary>
    /// <param name="batch">Sequences. Default 1.</param>
    public KeyValueCache NewCache(long batch = 1) =>
        new(Layers, batch, KeyValueShape.Heads, Context, KeyValueShape.HeadDim, Embeddings.dtype, Embeddings.device);

    /// <summary>Last norm and logits of a residual stream: what the model would say if it ended there.</summary>
    /// <param name="residual">Residual stream after a block [batch, tokens, dModel].</param>
    /// <returns>[batch, tokens, vocabulary].</returns>
    /// <exception cref="ArgumentException">Another width.</exception>
    public Tensor Unembed(Tensor residual)
    {
        CheckWidth(residual);
        using var scope = NewDisposeScope();
        return scope.MoveToOuter(Scores(LastNorm(residual)));
    }

    /// <summary>The norm behind the last block, of a residual stream: what the unembedding is given.</summary>
    /// <param name="residual">Residual stream after a block [batch, tokens, dModel].</param>
    /// <returns>[batch, tokens, dModel].</returns>
    /// <exception cref="ArgumentException">Another width.</exception>
    public Tensor FinalNorm(Tensor residual)
    {
        CheckWidth(residual);
        using var scope = NewDisposeScope();
        return scope.MoveToOuter(LastNorm(residual));
    }

    /// <summary>
    /// What directions of the residual stream add to the logits on the direct path: through the linear part of the last norm (its gain; a layer norm takes the
    /// mean off first) and the unembedding. Later blocks are ignored, and so are what is the same for all tokens' order: the norm's division, which is
    /// positive, its bias, and a cap of the logits.
    /// </summary>
    /// <param name="directions">[n, dModel], of the type of the model.</param>
    /// <returns>[n, vocabulary].</returns>
    /// <exception cref="ArgumentException">Another shape or type.</exception>
    public Tensor DirectLogits(Tensor directions)
    {
        ArgumentNullException.ThrowIfNull(directions);
        if (directions.dim() != 2 || directions.shape[1] != Width)
            throw new ArgumentException($"directions must be [n, {Width}], the width of the residual stream, but are [{string.Join(", ", directions.shape)}].", nameof(directions));
        if (directions.dtype != Embeddings.dtype) throw new ArgumentException($"directions are {directions.dtype}, the model {Embeddings.dtype}; they must agree.", nameof(directions));
        using var scope = NewDisposeScope();
        (Tensor gain, bool centred, Tensor unembedding) = Direct;
        return scope.MoveToOuter(nn.functional.linear((centred ? directions - directions.mean([-1L], keepdim: true) : directions) * gain, unembedding));
    }

    /// <summary>The residual stream after some blocks.</summary>
    private Tensor Run(Tensor ids, ModelCall call, int layers, TokenTree? tree = null)
    {
        (IActivationHook? hook, KeyValueCache? cache, IAttentionMethod? attention, _) = call;
        CheckIds(ids, cache?.Count ?? 0);
        hook.Check(Layers, Serves);
        bool own = cache is { AttendsItself: true };
        if (attention is not null || own) CheckPlainAttention((cache?.Count ?? 0) + ids.shape[1]);
        if (own && (attention is not null || tree is not null)) throw new ArgumentException($"A {cache!.GetType().Name} computes the attention by itself; it takes no other method and no tree.", nameof(cache));
        if (own && hook is not null && Enumerable.Range(0, Layers).Any(l => hook.Wants(new(l, Activation.AttentionPattern)))) throw new ArgumentException($"A hook wants the pattern of an attention, which a {cache!.GetType().Name} computes without one.", nameof(hook));
        cache?.CheckFits(Layers, ids.shape[0], KeyValueShape.Heads, KeyValueShape.HeadDim);
        if (Embeddings.device_type != ids.device_type) ids = ids.to(Embeddings.device);
        call = call with { State = Prepare(ids) };
        using IDisposable? state = call.State as IDisposable;
        Tensor x = Embed(ids, cache?.Count ?? 0);
        Rotation? rotation = tree is null ? Rotate(cache?.Count ?? 0, x) : Rotate(tree, x);
        hook?.Begin(cache?.Count ?? 0);
        Begins?.Invoke(cache?.Count ?? 0);
        for (int layer = 0; layer < layers; layer++)
        {
            using var inner = NewDisposeScope();
            Tensor before = hook.At(layer, Activation.ResidualBefore, x);
            Tensor after = hook.At(layer, Activation.ResidualAfter, Block(layer, before, rotation, call));

            // A gradient needs the values of a block again; its graph keeps them, whatever is disposed here.
            x = inner.MoveToOuter(after);
        }

        return x;
    }

    /// <summary>The modules of the blocks.</summary>
    private protected abstract IReadOnlyList<nn.Module> Modules { get; }

    /// <summary>Embeds tokens that begin at a position.</summary>
    private protected abstract Tensor Embed(Tensor ids, int position);

    /// <summary>What the blocks of a call need to know of its tokens; disposed after the last block. Nothing by default.</summary>
    private protected virtual object? Prepare(Tensor ids) => null;

    /// <summary>One block, from the residual stream before it to the one after it.</summary>
    private protected abstract Tensor Block(int layer, Tensor x, Rotation? rotation, ModelCall call);

    /// <summary>Refuses another attention where the model's own is more than a softmax over all earlier keys.</summary>
    private protected virtual void CheckPlainAttention(long keys)
    {
    }

    /// <summary>How queries and keys are turned at the positions of a residual stream [batch, tokens, dModel]; null where positions are learned.</summary>
    private protected virtual Rotation? Rotate(int from, Tensor x) => null;

    /// <summary>The same for the last nodes of a tree, with what they do not see.</summary>
    private protected virtual Rotation? Rotate(TokenTree tree, Tensor x) => throw new NotSupportedException($"{GetName()} reads no trees.");

    /// <summary>Logits of the nodes of a tree that are not in the cache yet.</summary>
    private protected Tensor LogitsOf(TokenTree tree, IActivationHook? hook, KeyValueCache cache)
    {
        using var scope = NewDisposeScope();
        int first = cache.Count - tree.Start;
        Tensor ids = tensor(tree.Ids.Skip(first).Select(t => (long)t).ToArray(), [1, tree.Count - first]);
        Tensor x = Run(ids, new(hook, cache), Layers, tree);
        cache.Advance(tree.Count - first);
        return scope.MoveToOuter(Scores(LastNorm(x)));
    }

    /// <summary>Whether the blocks have a place; a gate only where the MLP is gated.</summary>
    private protected virtual bool Serves(Activation activation) => activation != Activation.MlpGate && Enum.IsDefined(activation);

    /// <summary>The norm behind the last block.</summary>
    private protected abstract Tensor LastNorm(Tensor x);

    /// <summary>Logits of what the last norm gives.</summary>
    private protected abstract Tensor Scores(Tensor normed);

    /// <summary>The linear part of the last norm [dModel], whether the norm takes the mean off, and the unembedding [vocabulary, dModel].</summary>
    private protected abstract (Tensor Gain, bool Centred, Tensor Unembedding) Direct { get; }

    private void CheckWidth(Tensor residual)
    {
        ArgumentNullException.ThrowIfNull(residual);
        if (residual.dim() != 3 || residual.shape[2] != Width)
            throw new ArgumentException($"residual must be [batch, tokens, {Width}], but is [{string.Join(", ", residual.shape)}].", nameof(residual));
    }

    private void CheckIds(Tensor ids, int before)
    {
        ArgumentNullException.ThrowIfNull(ids);
        if (ids.dim() != 2 || ids.numel() == 0) throw new ArgumentException($"ids must be [batch, tokens] and not empty, but are [{string.Join(", ", ids.shape)}].", nameof(ids));
        if (ids.dtype != ScalarType.Int64) throw new ArgumentException($"ids are {ids.dtype}; token ids are Int64.", nameof(ids));
        if (before + ids.shape[1] > Context)
            throw new ArgumentException($"{before + ids.shape[1]} tokens are more than the context of {Context}; cut the sequence into windows.", nameof(ids));
        using var scope = NewDisposeScope();
        long low = ids.min().item<long>(), high = ids.max().item<long>();
        if (low < 0 || high >= Vocabulary) throw new ArgumentException($"Token ids run from 0 to {Vocabulary - 1}, but there is {(low < 0 ? low : high)}.", nameof(ids));
    }
}
