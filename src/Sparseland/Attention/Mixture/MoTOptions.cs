using Sparseland.Tensors;

namespace Sparseland.Attention.Mixture;

/// <summary>Parts of a decoder of which each modality has its own copy.</summary>
[Flags]
public enum UntiedParts
{
    /// <summary>Nothing: the dense decoder.</summary>
    None = 0,

    /// <summary>Matrices of queries, keys, values and outputs, and the gains of query and key norms.</summary>
    Attention = 1,

    /// <summary>The feed-forward layers.</summary>
    FeedForward = 2,

    /// <summary>All norms of the residual stream, the last one too.</summary>
    Norms = 4,

    /// <summary>Everything but embeddings and head: the paper's mixture of transformers.</summary>
    All = Attention | FeedForward | Norms,
}

/// <summary>Where a block has its norms.</summary>
public enum NormPlacement
{
    /// <summary>On the output of each branch, x + norm(branch(x)): the reference.</summary>
    BranchOutput,

    /// <summary>On the input of each branch, x + branch(norm(x)), as <see cref="Models.Language.TinyLM"/> has them.</summary>
    Input,
}

/// <summary>Sizes of a <see cref="MoTModel"/>. The defaults are those of the two-modality stream <see cref="TwoModes"/>.</summary>
public sealed record MoTOptions
{
    /// <summary>Modalities M; 1 is the dense decoder. Default 2.</summary>
    public int Modalities { get; init; } = 2;

    /// <summary>Which token ids are of which modality; for M = 1 not needed. Default the text and image codes of <see cref="TwoModes"/>.</summary>
    public IReadOnlyList<TokenRange> Ranges { get; init; } = TwoModes.Ranges;

    /// <summary>What each modality has for itself. Default <see cref="UntiedParts.All"/>.</summary>
    public UntiedParts Untie { get; init; } = UntiedParts.All;

    /// <summary>Where the norms stand. Default <see cref="NormPlacement.BranchOutput"/>.</summary>
    public NormPlacement Norms { get; init; } = NormPlacement.BranchOutput;

    /// <summary>Whether queries and keys of each head are normed, with a gain of the modality. Default false.</summary>
    public bool QueryKeyNorm { get; init; }

    /// <summary>Whether positions are learned vectors that are added to the embeddings, in place of rotary ones. Default false.</summary>
    public bool LearnedPositions { get; init; }

    /// <summary>Experts of an <see cref="ExpertChoice"/> in place of every feed-forward layer; 0 for none. A baseline, not causal. Default 0.</summary>
    public int Experts { get; init; }

    /// <summary>Tokens of the vocabulary. Default 48.</summary>
    public int Vocabulary { get; init; } = TwoModes.Vocabulary;

    /// <summary>Longest sequence. Default 60.</summary>
    public int Context { get; init; } = TwoModes.Length;

    /// <summary>Width of the residual stream. Default 48.</summary>
    public int Width { get; init; } = 48;

    /// <summary>Blocks. Default 2.</summary>
    public int Layers { get; init; } = 2;

    /// <summary>Heads, a divisor of the width; with rotary positions each has an even width. Default 3.</summary>
    public int Heads { get; init; } = 3;

    /// <summary>Hidden units of a feed-forward layer. Default 96.</summary>
    public int MlpWidth { get; init; } = 96;

    /// <summary>eps of the norms. Default 1e-5.</summary>
    public double NormEpsilon { get; init; } = 1e-5;

    /// <summary>Base of the rotary frequencies. Default 10,000.</summary>
    public double RopeTheta { get; init; } = 10_000;

    /// <summary>Refuses what has no meaning.</summary>
    /// <exception cref="ArgumentException">A number is out of its range, or sizes do not fit one another.</exception>
    public void Validate()
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(Modalities, 1);
        ArgumentOutOfRangeException.ThrowIfLessThan(Vocabulary, 2);
        ArgumentOutOfRangeException.ThrowIfLessThan(Context, 1);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(Width);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(Layers);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(Heads);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(MlpWidth);
        ArgumentOutOfRangeException.ThrowIfNegative(Experts);
        Finite.Positive(NormEpsilon);
        Finite.Positive(RopeTheta);
        if (Width % Heads != 0 || (!LearnedPositions && Width / Heads % 2 != 0))
            throw new ArgumentException($"{nameof(Heads)} = {Heads} must divide {nameof(Width)} = {Width}{(LearnedPositions ? "" : " into heads of even width")}.", nameof(Heads));
        if (Modalities > 1 && Untie == UntiedParts.None) throw new ArgumentException($"{nameof(Untie)} = None is the dense decoder: set {nameof(Modalities)} = 1.", nameof(Untie));
        if ((Untie & ~UntiedParts.All) != 0) throw new ArgumentOutOfRangeException(nameof(Untie), Untie, "There are no such parts.");
        if (!Enum.IsDefined(Norms)) throw new ArgumentOutOfRangeException(nameof(Norms), Norms, "There is no such placement.");
        if (Experts > 0 && Modalities > 1 && Untie.HasFlag(UntiedParts.FeedForward)) throw new ArgumentException($"{nameof(Experts)} stand in place of the feed-forward layers, which cannot be untied then.", nameof(Experts));
        if (Modalities > 1) ModalityMap.CheckRanges(Ranges, Modalities);
    }

    /// <summary>Copies of a part.</summary>
    internal int Towers(UntiedParts part) => Untie.HasFlag(part) ? Modalities : 1;

    /// <inheritdoc/>
    public override string ToString() => Readable.Of(this);
}
