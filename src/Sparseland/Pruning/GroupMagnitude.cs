using Sparseland.Selection;
using Sparseland.Training;

namespace Sparseland.Pruning;

/// <summary>One-shot magnitude pruning of groups: the k groups of largest norm stay, the others become zero.</summary>
public static class GroupMagnitude
{
    /// <summary>Prunes in place. Equal norms: the lower index stays.</summary>
    /// <param name="groups">The groups.</param>
    /// <param name="keep">k, as a number or a share.</param>
    /// <returns>Whether each group stayed.</returns>
    /// <exception cref="ArgumentException">k does not fit the groups, or a parameter is not finite.</exception>
    public static bool[] Prune(GroupSpec groups, KeepGroups keep)
    {
        ArgumentNullException.ThrowIfNull(groups);
        int k = keep.Of(groups.Count);
        double[] norms = groups.Norms();
        int broken = Array.FindIndex(norms, norm => !double.IsFinite(norm));
        if (broken >= 0) throw new ArgumentException($"Group {broken} of {groups.Name} is not finite.", nameof(groups));
        Support support = Select.TopK(norms, Budget.Global(k));
        bool[] stays = new bool[groups.Count];
        foreach (int index in support.ColumnIndices) stays[index] = true;
        groups.Scale([.. stays.Select(stay => stay ? 1.0 : 0.0)]);
        return stays;
    }
}
