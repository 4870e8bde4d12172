using Sparseland.Selection;
using Sparseland.Tensors;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Models.Language;

/// <summary>How the next token is chosen.</summary>
public sealed record GenerationOptions
{
    /// <summary>Most new tokens. Default 100.</summary>
    public int NewTokens { get; init; } = 100;

    /// <summary>Logits are divided by this; 0 always takes the most probable token. Default 0.8.</summary>
    public double Temperature { get; init; } = 0.8;

    /// <summary>Only the k most probable tokens; null for all. Default null.</summary>
    public int? TopK { get; init; }

    /// <summary>Only the most probable tokens that together have this probability (Holtzman et al. 2020); 1 for all. Default 1.</summary>
    public double TopP { get; init; } = 1;

    /// <summary>Stops after this token; null goes on to the end. Default null.</summary>
    public int? StopAt { get; init; }

    /// <summary>Seed of the choice. Default 1.</summary>
    public long Seed { get; init; } = 1;

    internal void Validate()
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(NewTokens);
        Finite.NotNegative(Temperature);
        if (TopK is < 1) throw new ArgumentOutOfRangeException(nameof(TopK), TopK, "TopK must be at least 1.");
        if (!(TopP > 0 && TopP <= 1)) throw new ArgumentOutOfRangeException(nameof(TopP), TopP, "TopP must lie above 0 and not above 1.");
    }
}

/// <summary>Goes on with a text, token by token. When the context is full its older half is dropped and the rest is read anew.</summary>
public static class TextGenerator
{
    /// <summary>New tokens after some others.</summary>
    /// <param name="model">The model; used in the mode that it is in.</param>
    /// <param name="prompt">Tokens to go on from, at least one; of a longer one than the context only the last count.</param>
    /// <param name="options">How tokens are chosen, and how many; null for their defaults.</param>
    /// <param name="hook">Replaces activations on the way: steering. Null, the default, for none.</param>
    /// <param name="progress">Tokens made.</param>
    /// <param name="cancel">Checked before each token.</param>
    /// <param name="attention">Takes the place of the model's attention, for the prompt and for each token behind it; null, the default, for its own.</param>
    /// <exception cref="ArgumentException">An empty prompt, or an option out of its range.</exception>
    public static IReadOnlyList<int> Generate(
        LanguageModel model, IReadOnlyList<int> prompt, GenerationOptions? options = null, IActivationHook? hook = null,
        IProgress<ProgressReport>? progress = null, CancellationToken cancel = default, IAttentionMethod? attention = null)
    {
        ArgumentNullException.ThrowIfNull(model);
        ArgumentNullException.ThrowIfNull(prompt);
        if (prompt.Count == 0) throw new ArgumentException("The prompt is empty; start with the token that ends a text.", nameof(prompt));
        options ??= new();
        options.Validate();
        using IDisposable off = no_grad();
        using KeyValueCache cache = model.NewCache();
        var random = new SeededRandom(options.Seed, 500);
        List<int> seen = [.. prompt.Skip(Math.Max(0, prompt.Count - model.Context))], made = [];
        var next = new List<int>(seen);
        while (made.Count < options.NewTokens)
        {
            cancel.ThrowIfCancellationRequested();
            if (cache.Count + next.Count > model.Context)
            {
                cache.Truncate(0);
                next = seen[^Math.Max(1, model.Context / 2)..];
                seen = [.. next];
            }

            float[] logits = Logits(model, next, new(hook, cache, attention));
            int token = Choose(logits, options, ref random);
            made.Add(token);
            if (token == options.StopAt) break;
            seen.Add(token);
            next = [token];
            progress?.Report(new(made.Count, options.NewTokens));
        }

        return made;
    }

    /// <summary>Chooses a token from logits.</summary>
    /// <param name="logits">Logits [vocabulary]; minus infinity forbids a token.</param>
    /// <param name="options">Temperature, top-k, top-p.</param>
    /// <param name="random">Moves on by one draw; unused at temperature 0.</param>
    /// <exception cref="ArgumentException">A logit is NaN or plus infinity, or all are minus infinity.</exception>
    internal static int Choose(ReadOnlySpan<float> logits, GenerationOptions options, ref SeededRandom random)
    {
        if (options.Temperature == 0) return (int)Select.TopK(logits, Budget.Global(1)).ColumnIndices[0];
        (int[] ids, float top) = Candidates(logits, options);
        double[] weight = new double[ids.Length];
        double sum = 0;
        for (int r = 0; r < ids.Length; r++) sum += weight[r] = Math.Exp((logits[ids[r]] - top) / options.Temperature);
        double kept = sum;
        int count = ids.Length;
        if (options.TopP < 1)
        {
            (kept, count) = (0, 0);
            while (count < ids.Length && (count == 0 || kept < options.TopP * sum)) kept += weight[count++];
        }

        double draw = random.NextDouble() * kept;
        for (int r = 0; r < count - 1; r++)
        {
            draw -= weight[r];
            if (draw < 0) return ids[r];
        }

        return ids[count - 1];
    }

    /// <summary>Tokens to choose from and the highest logit: the most probable first where top-k or top-p asks, the lower id first among equals.</summary>
    private static (int[] Ids, float Top) Candidates(ReadOnlySpan<float> logits, GenerationOptions options)
    {
        float top = float.NegativeInfinity;
        for (int i = 0; i < logits.Length; i++)
        {
            if (float.IsNaN(logits[i]) || float.IsPositiveInfinity(logits[i])) throw new ArgumentException($"The logit of token {i} is {logits[i]}.", nameof(logits));
            top = Math.Max(top, logits[i]);
        }

        if (float.IsNegativeInfinity(top)) throw new ArgumentException("Every logit is minus infinity: no token is possible.", nameof(logits));
        int k = Math.Min(options.TopK ?? logits.Length, logits.Length);
        int[] ids = k < logits.Length ? Select.TopK(logits, Budget.Global(k)).ColumnIndices.ToArray() : [.. Enumerable.Range(0, logits.Length)];
        if (options.TopP == 1) return (ids, top);
        var keys = new (float Key, int Id)[ids.Length];
        for (int r = 0; r < ids.Length; r++) keys[r] = (-logits[ids[r]], ids[r]);
        Array.Sort(keys);
        return (Array.ConvertAll(keys, p => p.Id), top);
    }

    private static float[] Logits(LanguageModel model, List<int> tokens, ModelCall call)
    {
        using var scope = NewDisposeScope();
        Tensor ids = tensor(tokens.Select(t => (long)t).ToArray(), [1, tokens.Count]);
        return model.Logits(ids, call.Hook, call.Cache, lastOnly: true, call.Attention).flatten().to(ScalarType.Float32).contiguous().data<float>().ToArray();
    }
}
