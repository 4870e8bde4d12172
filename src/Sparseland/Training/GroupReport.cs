using Sparseland.Tensors;

namespace Sparseland.Training;

/// <summary>The state of some groups.</summary>
/// <param name="Name">Name of the spec.</param>
/// <param name="Groups">Number of groups.</param>
/// <param name="Surviving">Those that are not zero.</param>
/// <param name="Norms">||s_j|| of each.</param>
/// <param name="SurvivingParameters">Numbers in the groups that are not zero.</param>
public sealed record GroupReport(string Name, int Groups, int Surviving, IReadOnlyList<double> Norms, long SurvivingParameters)
{
    /// <summary>Share of the groups that are not zero.</summary>
    public double Density => (double)Surviving / Groups;

    /// <summary>Mean norm of the groups that are not zero; NaN where there is none.</summary>
    public double MeanNorm => Surviving == 0 ? double.NaN : Norms.Sum() / Surviving;

    /// <summary>Looks at the groups as they are now.</summary>
    /// <param name="groups">The groups.</param>
    public static GroupReport Of(GroupSpec groups)
    {
        ArgumentNullException.ThrowIfNull(groups);
        double[] norms = groups.Norms();
        long numbers = norms.Zip(groups.Sizes, (norm, size) => norm == 0 ? 0L : size).Sum();
        return new GroupReport(groups.Name, groups.Count, norms.Count(norm => norm != 0), norms, numbers);
    }

    /// <inheritdoc/>
    public override string ToString() => Readable.Of(this);
}
