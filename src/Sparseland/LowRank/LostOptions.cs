namespace Sparseland.LowRank;

/// <summary>What stands between the two factors of a LOST layer.</summary>
public enum InnerActivation
{
    /// <summary>x sigmoid(x): the layer is no linear map and cannot be merged.</summary>
    Silu,

    /// <summary>Nothing: the layer is a linear map of rank r + n at most.</summary>
    None,
}

/// <summary>Which singular values make the residual that channels are scored by, where not all of the rest do.</summary>
public enum ResidualTail
{
    /// <summary>The largest after the first r.</summary>
    Leading,

    /// <summary>The smallest of all.</summary>
    Last,
}

/// <summary>How the channels of a LOST layer are chosen.</summary>
public enum ChannelChoice
{
    /// <summary>The columns of largest norm in the residual.</summary>
    Residual,

    /// <summary>At random: the control.</summary>
    Random,

    /// <summary>By the caller.</summary>
    Given,

    /// <summary>None at all: low rank alone, with gamma before it.</summary>
    None,
}

/// <summary>Options of a <see cref="LowRankChannelLinear"/>.</summary>
public sealed record LostOptions
{
    /// <summary>r of the factors, from 1 to min(out, in); below it where channels are chosen by the residual. Default 8.</summary>
    public int Rank { get; init; } = 8;

    /// <summary>Share of the input channels that are kept densely, above 0 and at most 1; at least one channel is. Default 0.05.</summary>
    public double KeptShare { get; init; } = 0.05;

    /// <summary>How many singular values after the first r make the residual, at least 1; all of the rest where there are fewer. Default 256.</summary>
    public int ResidualComponents { get; init; } = 256;

    /// <summary>Which ones. Default <see cref="ResidualTail.Leading"/>.</summary>
    public ResidualTail Tail { get; init; }

    /// <summary>Weight of the low-rank part, from 0 to 1; the channels have the rest. Default 0.7.</summary>
    public double Gamma { get; init; } = 0.7;

    /// <summary>What stands between the factors. Default <see cref="InnerActivation.Silu"/>.</summary>
    public InnerActivation Activation { get; init; }

    /// <summary>How channels are chosen. Default <see cref="ChannelChoice.Residual"/>.</summary>
    public ChannelChoice Channels { get; init; }

    /// <summary>The channels for <see cref="ChannelChoice.Given"/>, each once, in any order; KeptShare then plays no part. Default none.</summary>
    public IReadOnlyList<int> Given { get; init; } = [];

    /// <summary>Seed of channels chosen at random. Default 1.</summary>
    public long Seed { get; init; } = 1;

    /// <summary>Checks the options for a layer.</summary>
    /// <param name="inputs">in.</param>
    /// <param name="outputs">out.</param>
    /// <exception cref="ArgumentException">A value is out of its range; the message has its name, value and rule.</exception>
    public void Validate(long inputs, long outputs)
    {
        long most = Math.Min(inputs, outputs);
        if (Rank < 1 || Rank > most) throw new ArgumentOutOfRangeException(nameof(Rank), Rank, $"Rank must be from 1 to {most} for a weight [{outputs}, {inputs}].");
        if (Channels == ChannelChoice.Residual && Rank == most)
            throw new ArgumentOutOfRangeException(nameof(Rank), Rank, $"Rank must be below {most} for a weight [{outputs}, {inputs}]: at {most} there is no residual to score channels by.");
        if (!(KeptShare > 0 && KeptShare <= 1)) throw new ArgumentOutOfRangeException(nameof(KeptShare), KeptShare, "KeptShare must be above 0 and at most 1.");
        if (ResidualComponents < 1) throw new ArgumentOutOfRangeException(nameof(ResidualComponents), ResidualComponents, "ResidualComponents must be at least 1.");
        if (!(Gamma >= 0 && Gamma <= 1)) throw new ArgumentOutOfRangeException(nameof(Gamma), Gamma, "Gamma must be from 0 to 1.");
        if (!Enum.IsDefined(Activation)) throw new ArgumentOutOfRangeException(nameof(Activation), Activation, "There is no such activation.");
        if (!Enum.IsDefined(Channels)) throw new ArgumentOutOfRangeException(nameof(Channels), Channels, "There is no such choice.");
        if (!Enum.IsDefined(Tail)) throw new ArgumentOutOfRangeException(nameof(Tail), Tail, "There is no such tail.");
        if (Channels != ChannelChoice.Given) return;
        if (Given is null || Given.Count == 0) throw new ArgumentException("Given must name at least one channel where Channels is Given.", nameof(Given));
        var seen = new HashSet<int>();
        foreach (int channel in Given)
        {
            if (channel < 0 || channel >= inputs) throw new ArgumentException($"Given has the channel {channel}; there are {inputs}, from 0.", nameof(Given));
            if (!seen.Add(channel)) throw new ArgumentException($"Given has the channel {channel} twice.", nameof(Given));
        }
    }
}
