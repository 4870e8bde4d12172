namespace Sparseland.Training;

/// <summary>Which part of the gradient G with respect to the effective weight reaches a weight that is pruned at present; a kept weight always gets G.</summary>
public enum GradientFlow
{
    /// <summary>All of it, as if nothing were pruned: the weight may come back.</summary>
    StraightThrough,

    /// <summary>As much as the weight itself counts in the forward pass: G times the factor of pruned weights. It is the true gradient with the mask held fixed.</summary>
    Restricted,

    /// <summary>Nothing.</summary>
    Masked,
}
