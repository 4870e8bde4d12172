namespace Sparseland.Training.NofM;

/// <summary>Which of the three products of a layer in a training step are N:M along their reduction: forward (FF), input gradient (BP), weight gradient (WU); the last one never is.</summary>
public enum PrunedProducts
{
    /// <summary>None: dense training.</summary>
    None,

    /// <summary>FF: the masked weight forward and backward, as in SR-STE. Its input gradient has zeros too, but not N of M along the outputs.</summary>
    Forward,

    /// <summary>BP by a weight that is N:M along the outputs, forward dense: SDWP.</summary>
    BackwardWeights,

    /// <summary>BP by an output gradient that is N:M along the outputs, for each sample: SDGP (McDanel et al. 2022).</summary>
    BackwardGradient,

    /// <summary>FF and BP, each with a mask of its own: BDWP (Fang et al. 2024).</summary>
    Both,
}

/// <summary>From which weight the mask along the outputs is chosen.</summary>
public enum BackwardMask
{
    /// <summary>The dense one, as the paper does.</summary>
    OfDense,

    /// <summary>The one that the forward pass uses: fewer than N stay where it has fewer. A control.</summary>
    OfForward,

    /// <summary>At random, once for each layer. A control.</summary>
    Random,
}
