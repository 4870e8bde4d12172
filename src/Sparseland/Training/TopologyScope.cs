using Sparseland.Tensors;
using static TorchSharp.torch;

namespace Sparseland.Training;

/// <summary>What a companion of a weight begins with where the weight grows.</summary>
public enum CompanionStart
{
    /// <summary>0.</summary>
    Zero,

    /// <summary>The mean over the layer's active places before the update.</summary>
    MeanOfActive,
}

/// <summary>A further parameter that shares a weight's mask and moves with it, such as the spread of a weight that is a distribution.</summary>
/// <param name="Parameter">Its name among what the inner optimizer steps; of the weight's shape.</param>
/// <param name="Start">What it begins with at a new place.</param>
public sealed record Companion(string Parameter, CompanionStart Start);

/// <summary>Where a sparse training may move and step: everywhere, unless this says otherwise.</summary>
public sealed record TopologyScope
{
    /// <summary>From the name of a weight to where it may grow (Bool, of its shape; the caller's); null for everywhere. Asked at each update. Default null.</summary>
    public Func<string, Tensor?>? Allowed { get; init; }

    /// <summary>From the name of a weight to what is never stepped though active: weights that belong to somebody else (Bool; the caller's). Asked at each step. Default null, for none.</summary>
    public Func<string, Tensor?>? Frozen { get; init; }

    /// <summary>Further parameters by the name of the weight whose mask they share. Default none.</summary>
    public IReadOnlyDictionary<string, IReadOnlyList<Companion>> Companions { get; init; } = new Dictionary<string, IReadOnlyList<Companion>>();

    /// <inheritdoc/>
    public override string ToString() => Readable.Of(this);
}
