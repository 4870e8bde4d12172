using Sparseland.Selection;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Attention;

/// <summary>
/// Which keys each query of each head may see: one <see cref="Support"/> a head, rows are queries, columns are keys. What is selected is said here; what a kernel
/// touches beyond it is a matter of <see cref="BlockSupport"/>. Immutable.
/// </summary>
public sealed class AttentionSupport
{
    private readonly Support[] _heads;

    /// <summary>Puts heads together.</summary>
    /// <param name="heads">One support a head, or one for each head of each sequence, sequence after sequence; all of one shape. One alone serves all heads.</param>
    /// <param name="causal">Whether a query sees itself and what stands before it alone. Default true.</param>
    /// <param name="offset">Tokens that stand before the first query, in a cache. Default 0.</param>
    /// <exception cref="ArgumentException">No head, shapes that differ, or, in the causal case, a key after its query; the message names head, row and column.</exception>
    public AttentionSupport(IReadOnlyList<Support> heads, bool causal = true, int offset = 0)
    {
        ArgumentNullException.ThrowIfNull(heads);
        ArgumentOutOfRangeException.ThrowIfNegative(offset);
        if (heads.Count == 0) throw new ArgumentException("There is no head.", nameof(heads));
        foreach (Support head in heads) ArgumentNullException.ThrowIfNull(head, nameof(heads));
        (_heads, Causal, Offset) = ([.. heads], causal, offset);
        (Tokens, Keys) = (_heads[0].Rows, _heads[0].Columns);
        if (causal && Keys > Tokens + offset) throw new ArgumentException($"{Tokens} queries behind {offset} tokens have {Keys} keys; the last one would come after the last query.", nameof(heads));
        for (int h = 0; h < _heads.Length; h++)
        {
            if (_heads[h].Rows != Tokens || _heads[h].Columns != Keys)
                throw new ArgumentException($"Head {h} has [{_heads[h].Rows}, {_heads[h].Columns}] cells, head 0 [{Tokens}, {Keys}].", nameof(heads));
            for (int row = 0; causal && row < Tokens; row++)
            {
                ReadOnlySpan<int> kept = _heads[h].Row(row);
                if (!kept.IsEmpty && kept[^1] > row + offset)
                    throw new ArgumentException($"In head {h} the query of row {row}, at place {row + offset}, sees the key at {kept[^1]}, which comes later.", nameof(heads));
            }
        }
    }

    /// <summary>One support for each head.</summary>
    public IReadOnlyList<Support> Heads => _heads;

    /// <summary>Queries.</summary>
    public int Tokens { get; }

    /// <summary>Keys.</summary>
    public int Keys { get; }

    /// <summary>Whether later keys are forbidden.</summary>
    public bool Causal { get; }

    /// <summary>Tokens before the first query.</summary>
    public int Offset { get; }

    /// <summary>Cells that are kept in all heads together.</summary>
    public long Selected => _heads.Sum(h => (long)h.Count);

    /// <summary>Cells that there are: of a causal attention those of the triangle, of another all.</summary>
    public long Allowed => _heads.Length * AllowedOf(Tokens, Keys, Causal, Offset);

    /// <summary>Kept cells over allowed ones: never over tokens x keys, of which half is forbidden anyway.</summary>
    public double Density => (double)Selected / Allowed;

    /// <summary>Every allowed cell of some heads.</summary>
    /// <param name="heads">How many heads.</param>
    /// <param name="tokens">Queries.</param>
    /// <param name="offset">Tokens before the first query. Default 0.</param>
    public static AttentionSupport Full(int heads, int tokens, int offset = 0) =>
        Shared(AttentionPatterns.Full(tokens, offset), heads, causal: true, offset);

    /// <summary>The same support for several heads.</summary>
    /// <param name="head">The support.</param>
    /// <param name="heads">How many heads.</param>
    /// <param name="causal">As in the constructor. Default true.</param>
    /// <param name="offset">As in the constructor. Default 0.</param>
    public static AttentionSupport Shared(Support head, int heads, bool causal = true, int offset = 0)
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(heads);
        return new(Enumerable.Repeat(head, heads).ToArray(), causal, offset);
    }

    /// <summary>Cells in at least one of both, head by head.</summary>
    /// <param name="other">Of as many heads and the same shape.</param>
    /// <exception cref="ArgumentException">Another number of heads or another shape.</exception>
    public AttentionSupport Union(AttentionSupport other) => With(other, (a, b) => a.Union(b));

    /// <summary>Cells in both, head by head.</summary>
    /// <param name="other">Of as many heads and the same shape.</param>
    /// <exception cref="ArgumentException">Another number of heads or another shape.</exception>
    public AttentionSupport Intersect(AttentionSupport other) => With(other, (a, b) => a.Intersect(b));

    /// <summary>True where a cell is kept.</summary>
    /// <returns>[heads, tokens, keys], Bool.</returns>
    public Tensor Mask()
    {
        using DisposeScope scope = NewDisposeScope();
        return scope.MoveToOuter(stack([.. _heads.Select(h => h.ToMask())]));
    }

    /// <summary>How much attention each query spends on what is kept: sum over kept j of P_ij. Dense; of long texts see <see cref="AttentionError.Of(Tensor, Tensor, Tensor, AttentionSupport, double?, int?)"/>.</summary>
    /// <param name="pattern">P, rows of sum one [batch, heads, tokens, keys].</param>
    /// <returns>[batch, heads, tokens].</returns>
    /// <exception cref="ArgumentException">Another shape.</exception>
    public Tensor Recall(Tensor pattern)
    {
        ArgumentNullException.ThrowIfNull(pattern);
        if (pattern.dim() != 4 || pattern.shape[2] != Tokens || pattern.shape[3] != Keys || (_heads.Length != 1 && _heads.Length != pattern.shape[1] && _heads.Length != pattern.shape[0] * pattern.shape[1]))
            throw new ArgumentException($"pattern must be [batch, heads, {Tokens}, {Keys}] for {_heads.Length} heads, but is [{string.Join(", ", pattern.shape)}].", nameof(pattern));
        using DisposeScope scope = NewDisposeScope();
        return scope.MoveToOuter(pattern.masked_fill(MaskOver((int)pattern.shape[0], (int)pattern.shape[1]).logical_not(), 0).sum(-1));
    }

    /// <summary><see cref="Mask"/> in a form that fits [batch, heads, tokens, keys]; in the current scope.</summary>
    internal Tensor MaskOver(int batch, int heads)
    {
        Tensor mask = Mask();
        return _heads.Length == batch * heads ? mask.view(batch, heads, Tokens, Keys) : mask.unsqueeze(0);
    }

    /// <summary>The support of one head of one sequence.</summary>
    internal Support At(int sequence, int head, int heads) => _heads[_heads.Length == 1 ? 0 : _heads.Length == heads ? head : (sequence * heads) + head];

    /// <summary>Refuses another number of heads, queries or keys.</summary>
    internal void CheckFits(AttentionShape shape, bool emptyRows)
    {
        if (Tokens != shape.Tokens || Keys != shape.Keys) throw new ArgumentException($"The support is of {Tokens} queries and {Keys} keys; there are {shape.Tokens} and {shape.Keys}.", "support");
        if (_heads.Length != 1 && _heads.Length != shape.Heads && _heads.Length != shape.Batch * shape.Heads)
            throw new ArgumentException($"The support has {_heads.Length} heads; 1, {shape.Heads} or {shape.Batch} x {shape.Heads} fit.", "support");
        if (Causal && Offset != shape.Offset) throw new ArgumentException($"The support has {Offset} tokens before the first query; {shape.Keys} keys of {shape.Tokens} queries make {shape.Offset}.", "support");
        for (int h = 0; h < _heads.Length && !emptyRows; h++)
        {
            ReadOnlySpan<int> offsets = _heads[h].RowOffsets;
            for (int row = 0; row < Tokens; row++)
            {
                if (offsets[row] == offsets[row + 1])
                    throw new ArgumentException($"In head {h} the query of row {row} sees no key. Its output is 0 where emptyRows is set.", "support");
            }
        }
    }

    /// <summary>Allowed cells of one head.</summary>
    internal static long AllowedOf(int tokens, int keys, bool causal, int offset) =>
        causal ? ((long)tokens * (tokens + 1) / 2) + ((long)tokens * offset) : (long)tokens * keys;

    /// <summary>Heads, shape and density in one line.</summary>
    public override string ToString() => FormattableString.Invariant($"AttentionSupport of {_heads.Length} heads [{Tokens}, {Keys}], {Selected} cells ({Density:0.##%} of the {(Causal ? "causal ones" : "matrix")})");

    private AttentionSupport With(AttentionSupport other, Func<Support, Support, Support> together)
    {
        ArgumentNullException.ThrowIfNull(other);
        if (other._heads.Length != _heads.Length || other.Causal != Causal || other.Offset != Offset)
            throw new ArgumentException($"{other} does not fit {this}.", nameof(other));
        return new([.. _heads.Zip(other._heads, together)], Causal, Offset);
    }
}
