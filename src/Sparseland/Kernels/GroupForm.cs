namespace Sparseland.Kernels;

/// <summary>What lies in a vector of a <see cref="GroupSparseConvolution"/>; both forms give the same bits.</summary>
public enum GroupForm
{
    /// <summary>Neighbouring positions: an activation vector is read once and multiplied by the N weights of a group one after the other. Wastes lanes where rows are short.</summary>
    Positions,

    /// <summary>The N outputs of a group: their weights are read once and multiplied by one activation after the other. For small images.</summary>
    Channels,
}
