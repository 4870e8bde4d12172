using Sparseland.Models.Language;
using Sparseland.Native;
using Sparseland.Tensors;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Pruning;

/// <summary>The hidden states of some sequences on their way through a decoder, one batch after another.</summary>
internal sealed class BlockStates : IDisposable
{
    private readonly Tensor[] _batches;
    private readonly NativeSize _size;

    private BlockStates(Tensor[] batches)
    {
        _batches = batches;
        _size = NativeSize.Of(batches);
        Tokens = batches.Sum(b => b.shape[0] * b.shape[1]);
    }

    public long Tokens { get; }

    /// <summary>[batch, tokens, dModel] each; they belong to this object.</summary>
    public IReadOnlyList<Tensor> Batches => _batches;

    /// <summary>The states before the first block.</summary>
    public static BlockStates Of(LanguageModel model, Tensor sequences, int batch, CancellationToken cancel)
    {
        var batches = new List<Tensor>();
        using IDisposable off = no_grad();
        for (long from = 0; from < sequences.shape[0]; from += batch)
        {
            cancel.ThrowIfCancellationRequested();
            using Tensor part = sequences.narrow(0, from, Math.Min(batch, sequences.shape[0] - from));
            batches.Add(model.EmbedTokens(part).DetachFromDisposeScope());
        }

        return new([.. batches]);
    }

    /// <summary>States that were written down.</summary>
    public static BlockStates Of(IEnumerable<Tensor> batches) => new([.. batches.Select(b => b.DetachFromDisposeScope())]);

    /// <summary>The same states, to go another way from here.</summary>
    public BlockStates Copy() => new([.. _batches.Select(b => b.clone().DetachFromDisposeScope())]);

    /// <summary>Runs a block on all batches.</summary>
    /// <param name="model">The model.</param>
    /// <param name="block">Block, from 0.</param>
    /// <param name="keep">Whether what comes out takes the place of what went in.</param>
    /// <param name="collector">Told of the end of each batch.</param>
    /// <param name="cancel">Checked between batches.</param>
    public void Visit(LanguageModel model, int block, bool keep, StatisticsCollector? collector, CancellationToken cancel)
    {
        for (int i = 0; i < _batches.Length; i++)
        {
            cancel.ThrowIfCancellationRequested();
            using (DisposeScope scope = NewDisposeScope())
            {
                Tensor after = model.RunBlock(block, _batches[i]);
                collector?.EndBatch();
                if (keep) _batches[i].copy_(after);
            }

            FreedMemory.GiveBackAfter(_batches[i].numel() * sizeof(float));
        }
    }

    public void Dispose()
    {
        foreach (Tensor batch in _batches) batch.Dispose();
        _size.Dispose();
    }
}
