using Sparseland.Tensors;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Models.Language;

/// <summary>Goes on with a text whose beginning a cache holds already, whatever the cache does with it: pruned ones, ones from which tokens have been evicted.</summary>
public static class CachedGeneration
{
    /// <summary>New tokens behind those of a cache.</summary>
    /// <param name="model">The model; used in the mode that it is in.</param>
    /// <param name="cache">Holds what has been read, of one sequence; grows by <paramref name="next"/> and by all new tokens but the last.</param>
    /// <param name="next">Tokens that the cache does not hold yet, at least one: of a prompt that was read whole, the first new token.</param>
    /// <param name="options">How tokens are chosen, and how many; null for their defaults.</param>
    /// <param name="hook">Replaces activations on the way. Null, the default, for none.</param>
    /// <param name="progress">Tokens made.</param>
    /// <param name="cancel">Checked before each token.</param>
    /// <returns>The new tokens, without <paramref name="next"/>.</returns>
    /// <exception cref="ArgumentException">No tokens, an option out of its range, a cache of other sizes or of several sequences, or more tokens than the context has room for.</exception>
    public static IReadOnlyList<int> Continue(
        LanguageModel model, KeyValueCache cache, IReadOnlyList<int> next, GenerationOptions? options = null, IActivationHook? hook = null, IProgress<ProgressReport>? progress = null, CancellationToken cancel = default)
    {
        ArgumentNullException.ThrowIfNull(model);
        ArgumentNullException.ThrowIfNull(cache);
        ArgumentNullException.ThrowIfNull(next);
        options ??= new();
        options.Validate();
        if (next.Count == 0) throw new ArgumentException("next is empty: the logits of the last token are needed, so give it.", nameof(next));
        if (cache.Batch != 1) throw new ArgumentException($"The cache holds {cache.Batch} sequences; this is for one.", nameof(cache));
        if (cache.Count + next.Count + options.NewTokens - 1 > Math.Min(model.Context, cache.Context))
            throw new ArgumentException($"{cache.Count} tokens of the cache, {next.Count} next and {options.NewTokens} new ones are more than the context of {Math.Min(model.Context, cache.Context)}.", nameof(options));
        using IDisposable off = no_grad();
        var random = new SeededRandom(options.Seed, 500);
        List<int> made = [];
        while (made.Count < options.NewTokens)
        {
            cancel.ThrowIfCancellationRequested();
            using DisposeScope scope = NewDisposeScope();
            Tensor ids = tensor((made.Count == 0 ? next : [made[^1]]).Select(t => (long)t).ToArray(), [1, made.Count == 0 ? next.Count : 1]);
            float[] logits = model.Logits(ids, hook, cache, lastOnly: true).flatten().to(ScalarType.Float32).contiguous().data<float>().ToArray();
            made.Add(TextGenerator.Choose(logits, options, ref random));
            if (made[^1] == options.StopAt) break;
            progress?.Report(new(made.Count, options.NewTokens));
        }

        return made;
    }
}
