using System.Security.Cryptography;
using Sparseland.Kernels;
using Sparseland.Models;
using Sparseland.Models.Language;
using Sparseland.Tensors;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Pruning;

/// <summary>A layer of quantised groups in a model.</summary>
/// <param name="Name">Path in the network.</param>
/// <param name="Layer">The layer.</param>
public sealed record GqsaLayer(string Name, GroupScaleLinear Layer)
{
    /// <inheritdoc/>
    public override string ToString() => Readable.Of(this);
}

/// <summary>A decoder whose layers are quantised groups with fixed integers, in place, and the dense layers that stood there before.</summary>
public sealed class GqsaModel : IDisposable
{
    private readonly IReadOnlyList<ReplacedLayer> _replaced;
    private bool _restored;

    internal GqsaModel(LanguageModel model, IReadOnlyList<ReplacedLayer> replaced, IReadOnlyList<ReconstructedBlock> blocks, GqsaOptions options)
    {
        (Model, _replaced, Blocks, Options) = (model, replaced, blocks, options);
        Layers = [.. replaced.Select(r => new GqsaLayer(r.Slot.Name, (GroupScaleLinear)r.After))];
    }

    /// <summary>The model; it is the caller's.</summary>
    public LanguageModel Model { get; }

    /// <summary>The settings.</summary>
    public GqsaOptions Options { get; }

    /// <summary>What became of each block in stage 1.</summary>
    public IReadOnlyList<ReconstructedBlock> Blocks { get; }

    /// <summary>The layers, in the order of the network.</summary>
    public IReadOnlyList<GqsaLayer> Layers { get; }

    /// <summary>Relative errors of all blocks before training, added up.</summary>
    public double ErrorBefore => Blocks.Sum(b => b.Before);

    /// <summary>Relative errors of all blocks after training, added up.</summary>
    public double ErrorAfter => Blocks.Sum(b => b.After);

    /// <summary>Bytes of the layers by the format's formula.</summary>
    public long Bytes => Layers.Sum(l => GroupSparseQuantMatrix.BytesOf(l.Layer.Groups.Rows, l.Layer.Groups.Scales.Length, Options.Quantizer));

    /// <summary>Weights of the layers' dense shapes.</summary>
    public long Weights => Layers.Sum(l => (long)l.Layer.Groups.Rows * l.Layer.Groups.Columns);

    /// <summary>SHA-256 of everything that is fixed after stage 1: which groups are kept, integers and zero points. Scales are not in it.</summary>
    public string FixedHash()
    {
        using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        foreach (GqsaLayer layer in Layers)
        {
            QuantizedGroups groups = layer.Layer.Groups;
            hash.AppendData(System.Runtime.InteropServices.MemoryMarshal.AsBytes(groups.Groups.RowOffsets));
            hash.AppendData(System.Runtime.InteropServices.MemoryMarshal.AsBytes(groups.Groups.ColumnIndices));
            hash.AppendData(groups.Integers);
            hash.AppendData(groups.Zeros);
        }

        return Convert.ToHexString(hash.GetHashAndReset());
    }

    /// <summary>Puts packed layers, which compute from 4-bit groups, in place of those that train; LanguageModelFolder then saves them as they are.</summary>
    /// <returns>What was replaced, for <see cref="LinearSlots.Restore"/>.</returns>
    public IReadOnlyList<ReplacedLayer> Pack()
    {
        var packed = new List<ReplacedLayer>();
        foreach (GqsaLayer layer in Layers)
        {
            LinearSlot slot = LinearSlots.Find(Model, layer.Name);
            SparseLinear after = layer.Layer.Pack();
            packed.Add(new(slot, slot.Module, after));
            slot.Put(after);
        }

        return packed;
    }

    /// <summary>Puts the dense layers back into the model, and frees the quantised ones.</summary>
    public void Dispose()
    {
        if (_restored) return;
        _restored = true;
        LinearSlots.Restore(_replaced);
        foreach (GqsaLayer layer in Layers) layer.Layer.Dispose();
    }

    /// <inheritdoc/>
    public override string ToString() => FormattableString.Invariant($"GqsaModel of {Layers.Count} layers, {Options.Quantizer.Bits} bits in groups of {Options.Quantizer.GroupSize}, {Options.Pattern}: {8.0 * Bytes / Weights:F2} bits a weight");
}
