using Sparseland.Tensors;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Attention.Mixture;

/// <summary>Token ids of one modality.</summary>
/// <param name="First">Lowest id, at least 0.</param>
/// <param name="Last">Highest id, included, not below <paramref name="First"/>.</param>
/// <param name="Modality">Their modality, from 0.</param>
public readonly record struct TokenRange(int First, int Last, int Modality);

/// <summary>
/// Which token of a batch is of which modality, as the index lists that a mixture of transformers works with (Liang et al. 2025): tokens of the whole batch are gathered modality after modality, each weight
/// computes on its own part, and the results are scattered back. Made once per batch and used in every layer. An empty modality is allowed.
/// </summary>
/// <remarks>It owns its index tensors; dispose it. A graph that was computed with it lives on.</remarks>
public sealed class ModalityMap : IDisposable
{
    private readonly Tensor _order, _inverse;
    private readonly NativeSize _size;

    /// <summary>A map of given labels.</summary>
    /// <param name="labels">Modality of each token [batch, tokens], Int64; not kept.</param>
    /// <param name="modalities">Modalities M, at least 1.</param>
    /// <exception cref="ArgumentException">Another shape or type, M below 1, or a label that is not from 0 to M - 1; the message names its place.</exception>
    public ModalityMap(Tensor labels, int modalities)
    {
        ArgumentNullException.ThrowIfNull(labels);
        ArgumentOutOfRangeException.ThrowIfLessThan(modalities, 1);
        if (labels.dim() != 2 || labels.numel() == 0 || labels.dtype != ScalarType.Int64)
            throw new ArgumentException($"labels must be Int64 [batch, tokens] and not empty, but are {labels.dtype} [{string.Join(", ", labels.shape)}].", nameof(labels));
        (Batch, Tokens, Modalities) = ((int)labels.shape[0], (int)labels.shape[1], modalities);
        using DisposeScope scope = NewDisposeScope();
        long[] values = TensorMemory.Read<long>(labels.detach().cpu().contiguous()).ToArray(), order = new long[values.Length], inverse = new long[values.Length];
        var counts = new int[modalities];
        for (int i = 0; i < values.Length; i++)
        {
            if (values[i] < 0 || values[i] >= modalities)
                throw new ArgumentException($"The token at sequence {i / Tokens}, position {i % Tokens} has the modality {values[i]}; there are 0 to {modalities - 1}.", nameof(labels));
            counts[values[i]]++;
        }

        // A counting sort: within a modality tokens keep their order.
        var next = new int[modalities];
        for (int m = 1; m < modalities; m++) next[m] = next[m - 1] + counts[m - 1];
        for (int i = 0; i < values.Length; i++)
        {
            int place = next[values[i]]++;
            (order[place], inverse[i]) = (i, place);
        }

        Counts = counts;
        (_order, _inverse) = (tensor(order, device: labels.device).DetachFromDisposeScope(), tensor(inverse, device: labels.device).DetachFromDisposeScope());
        _size = NativeSize.Of(_order, _inverse);
    }

    /// <summary>Sequences.</summary>
    public int Batch { get; }

    /// <summary>Tokens of a sequence.</summary>
    public int Tokens { get; }

    /// <summary>Modalities M.</summary>
    public int Modalities { get; }

    /// <summary>Tokens of each modality in the whole batch.</summary>
    public IReadOnlyList<int> Counts { get; }

    /// <summary>The map of tokens whose ids say their modality.</summary>
    /// <param name="ids">Token ids [batch, tokens], Int64.</param>
    /// <param name="ranges">Ids of each modality; they must not overlap.</param>
    /// <param name="modalities">Modalities M, at least 1.</param>
    /// <exception cref="ArgumentException">Ranges that are empty, overlap or name a modality that there is not, or a token in no range; the message names its place.</exception>
    public static ModalityMap FromTokens(Tensor ids, IReadOnlyList<TokenRange> ranges, int modalities)
    {
        ArgumentNullException.ThrowIfNull(ids);
        CheckRanges(ranges, modalities);
        if (ids.dim() != 2 || ids.numel() == 0 || ids.dtype != ScalarType.Int64)
            throw new ArgumentException($"ids must be Int64 [batch, tokens] and not empty, but are {ids.dtype} [{string.Join(", ", ids.shape)}].", nameof(ids));
        TokenRange[] sorted = [.. ranges.OrderBy(r => r.First)];
        using DisposeScope scope = NewDisposeScope();
        long[] values = TensorMemory.Read<long>(ids.detach().cpu().contiguous()).ToArray();
        for (int i = 0; i < values.Length; i++)
        {
            int at = Array.FindIndex(sorted, r => values[i] >= r.First && values[i] <= r.Last);
            if (at < 0) throw new ArgumentException($"Token {values[i]} at sequence {i / ids.shape[1]}, position {i % ids.shape[1]} has no modality.", nameof(ids));
            values[i] = sorted[at].Modality;
        }

        return new(tensor(values, ids.shape, device: ids.device), modalities);
    }

    /// <summary>Rows of all tokens of the batch, modality after modality.</summary>
    /// <param name="x">[batch * tokens, ...].</param>
    /// <returns>[batch * tokens, ...]; x itself where there is one modality.</returns>
    /// <exception cref="ArgumentException">Another number of tokens.</exception>
    public Tensor Gather(Tensor x)
    {
        Check(x);
        return Modalities == 1 ? x : x.index_select(0, _order);
    }

    /// <summary>Rows back in the order of the batch: the inverse of <see cref="Gather"/>.</summary>
    /// <param name="sorted">[batch * tokens, ...], modality after modality.</param>
    /// <returns>[batch * tokens, ...]; the argument itself where there is one modality.</returns>
    /// <exception cref="ArgumentException">Another number of tokens.</exception>
    public Tensor Scatter(Tensor sorted)
    {
        Check(sorted);
        return Modalities == 1 ? sorted : sorted.index_select(0, _inverse);
    }

    /// <summary>Frees the index tensors.</summary>
    public void Dispose()
    {
        _order.Dispose();
        _inverse.Dispose();
        _size.Dispose();
    }

    internal static void CheckRanges(IReadOnlyList<TokenRange> ranges, int modalities)
    {
        ArgumentNullException.ThrowIfNull(ranges);
        ArgumentOutOfRangeException.ThrowIfLessThan(modalities, 1);
        foreach (TokenRange r in ranges)
        {
            if (r.First < 0 || r.Last < r.First) throw new ArgumentException($"The range from {r.First} to {r.Last} holds no token ids.", nameof(ranges));
            if (r.Modality < 0 || r.Modality >= modalities) throw new ArgumentException($"The range from {r.First} to {r.Last} has the modality {r.Modality}; there are 0 to {modalities - 1}.", nameof(ranges));
        }

        TokenRange[] sorted = [.. ranges.OrderBy(r => r.First)];
        for (int i = 1; i < sorted.Length; i++)
        {
            if (sorted[i].First <= sorted[i - 1].Last) throw new ArgumentException($"Token {sorted[i].First} stands in two ranges.", nameof(ranges));
        }
    }

    /// <summary>One module of each modality on its own part; one module alone on everything.</summary>
    internal Tensor Each<TModule>(IReadOnlyList<TModule> towers, Tensor sorted)
        where TModule : nn.Module<Tensor, Tensor>
    {
        if (towers.Count == 1) return towers[0].call(sorted);
        if (towers.Count != Modalities) throw new ArgumentException($"The map has {Modalities} modalities, the layer {towers.Count}.", nameof(towers));
        Check(sorted);
        var parts = new Tensor[Modalities];
        long from = 0;
        for (int m = 0; m < Modalities; m++)
        {
            // Of an empty part too: its weights then have gradients of 0 and not none.
            parts[m] = towers[m].call(sorted.narrow(0, from, Counts[m]));
            from += Counts[m];
        }

        return cat(parts, 0);
    }

    private void Check(Tensor x)
    {
        ArgumentNullException.ThrowIfNull(x);
        if (x.dim() < 2 || x.shape[0] != (long)Batch * Tokens)
            throw new ArgumentException($"x must be [{Batch} * {Tokens}, ...], one row per token of the map, but is [{string.Join(", ", x.shape)}].", nameof(x));
    }
}
