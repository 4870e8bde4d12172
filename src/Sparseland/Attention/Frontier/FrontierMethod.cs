namespace Sparseland.Attention.Frontier;

/// <summary>When attention is sparse.</summary>
public enum FrontierPhase
{
    /// <summary>While the prompt is read: every query.</summary>
    Prefill,

    /// <summary>While tokens are written behind a prompt that was read exactly.</summary>
    Decode,
}

/// <summary>What is compared: the six contenders of Nawrot et al. (2025) and what they must be measured against.</summary>
public enum FrontierMethod
{
    /// <summary>Prefill: first keys and the nearest ones; nothing is looked for.</summary>
    SinksAndWindow,

    /// <summary>Prefill: columns and slashes from the last queries (MInference).</summary>
    VerticalSlash,

    /// <summary>Prefill: of each block of queries the blocks of keys that are alike in the mean.</summary>
    BlockSparse,

    /// <summary>Prefill: columns and slashes, as many in each head as hold a share of its mass (FlexPrefill).</summary>
    FlexPrefill,

    /// <summary>Decode: the newest tokens.</summary>
    Window,

    /// <summary>Decode: for each query head the keys with the highest scores, which nobody knows before computing all.</summary>
    Oracle,

    /// <summary>Decode: the pages whose keys may have the highest scores; nothing is forgotten (Quest).</summary>
    Quest,

    /// <summary>Decode: the tokens that the questions look at; the others are forgotten (SnapKV after the question).</summary>
    SnapKv,

    /// <summary>Decode: the tokens that the last tokens of the text look at, before any question is known (SnapKV before the question).</summary>
    SnapKvBefore,

    /// <summary>Decode: as <see cref="SnapKv"/>, with a budget that the heads of a layer share.</summary>
    AdaSnapKv,
}

/// <summary>What belongs to which phase.</summary>
public static class FrontierMethods
{
    /// <summary>When a method is sparse.</summary>
    /// <param name="method">The method.</param>
    /// <exception cref="ArgumentOutOfRangeException">It is none that is known.</exception>
    public static FrontierPhase PhaseOf(FrontierMethod method) => method switch
    {
        FrontierMethod.SinksAndWindow or FrontierMethod.VerticalSlash or FrontierMethod.BlockSparse or FrontierMethod.FlexPrefill => FrontierPhase.Prefill,
        FrontierMethod.Window or FrontierMethod.Oracle or FrontierMethod.Quest or FrontierMethod.SnapKv or FrontierMethod.SnapKvBefore or FrontierMethod.AdaSnapKv => FrontierPhase.Decode,
        _ => throw new ArgumentOutOfRangeException(nameof(method), method, "method is none that is known."),
    };

    /// <summary>What a method of either phase is made of, checked.</summary>
    /// <param name="method">The method.</param>
    /// <param name="phase">The phase that it must be of.</param>
    /// <param name="sparsity">From 0 to below 1.</param>
    /// <param name="tokens">A number of tokens, positive.</param>
    /// <param name="name">What the caller calls that number.</param>
    /// <param name="options">Null for the defaults.</param>
    internal static FrontierOptions Checked(FrontierMethod method, FrontierPhase phase, double sparsity, int tokens, string name, FrontierOptions? options)
    {
        if (PhaseOf(method) != phase) throw new ArgumentException($"{method} is not sparse while {(phase == FrontierPhase.Prefill ? "a prompt is read" : "tokens are written")}.", nameof(method));
        AttentionBudget.CheckSparsity(sparsity);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(tokens, name);
        options ??= new();
        options.Validate();
        return options;
    }
}
