using System.Text.Json.Serialization;

namespace Benchmarks;

/// <summary>What quick mode measured.</summary>
/// <param name="Name">What is done.</param>
/// <param name="Ours">Median of the library, in milliseconds.</param>
/// <param name="PeerName">Who the other is.</param>
/// <param name="Peer">Median of the other, in milliseconds; NaN where it is not installed.</param>
/// <param name="Target">How many times faster ours should be; 0 for none.</param>
/// <param name="Note">What the two results were, or which share of the machine's limit it is; empty for nothing.</param>
/// <param name="Point">Where it stands on a curve of cost; null for none.</param>
internal sealed record Measured(string Name, double Ours, string PeerName, double Peer, double Target, string Note, CurvePoint? Point = null)
{
    /// <summary>How many times faster ours is; NaN without a peer.</summary>
    [JsonIgnore]
    public double Ratio => Peer / Ours;

    /// <summary>Whether there is a target, and it is not reached.</summary>
    [JsonIgnore]
    public bool IsMissed => Target > 0 && Ratio < Target;

    /// <inheritdoc/>
    public override string ToString() => double.IsNaN(Peer)
        ? $"{Name}: ours {Quick.Format(Ours)} ms, {PeerName} is not installed: no ratio"
        : $"{Name}: ours {Quick.Format(Ours)} ms, {PeerName} {Quick.Format(Peer)} ms, ratio {Quick.Format(Ratio)}x{(Target > 0 ? $", target {Quick.Format(Target)}x{(IsMissed ? " MISSED" : "")}" : "")}";
}
