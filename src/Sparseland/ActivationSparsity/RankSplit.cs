namespace Sparseland.ActivationSparsity;

/// <summary>How a layer's budget of reads is split between input channels and rank (Zhang et al. 2025, arXiv 2504.19449).</summary>
/// <param name="Channels">Inputs that a token keeps: each costs a column of W.</param>
/// <param name="Rank">Rank of the copy of W through which the dropped inputs go: each costs a row and a column of factors.</param>
public sealed record RankSplit(int Channels, int Rank)
{
    /// <summary>The split of a budget of (1 - s) in out weights: a share alpha of the channels that the budget could buy, and as much rank as the rest buys.</summary>
    /// <param name="inputs">Inputs of the layer.</param>
    /// <param name="outputs">Outputs of the layer.</param>
    /// <param name="sparsity">s in [0, 1): share of the weights that is not read.</param>
    /// <param name="alpha">Share for channels: 1 is input sparsity alone, 0 low rank alone.</param>
    /// <exception cref="ArgumentException">A number is out of its range, or the budget buys neither a channel nor a rank.</exception>
    public static RankSplit Budget(int inputs, int outputs, double sparsity, double alpha)
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(inputs);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(outputs);
        ActivationBudget.Checked(sparsity);
        if (!(alpha is >= 0 and <= 1)) throw new ArgumentOutOfRangeException(nameof(alpha), alpha, "alpha must lie in [0, 1].");
        int channels = (int)Math.Floor((inputs * (1 - sparsity) * alpha) + 1e-6);
        double left = ((double)inputs * outputs * (1 - sparsity)) - ((double)channels * outputs);
        int rank = Math.Clamp((int)Math.Floor((left / (inputs + (double)outputs)) + 1e-6), 0, Math.Min(inputs, outputs));
        return channels > 0 || rank > 0 ? new(channels, rank)
            : throw new ArgumentException(FormattableString.Invariant($"A budget of {(1 - sparsity) * inputs * outputs:0} of {(long)inputs * outputs} weights buys neither a channel nor a rank at alpha = {alpha}."), nameof(sparsity));
    }

    /// <summary>Weights that a token reads: channels x out + rank (in + out).</summary>
    /// <param name="inputs">Inputs of the layer.</param>
    /// <param name="outputs">Outputs of the layer.</param>
    public long Reads(int inputs, int outputs) => ((long)Channels * outputs) + ((long)Rank * (inputs + outputs));
}
