namespace Sparseland.Penalties;

/// <summary>Which coefficients belong together: every index from 0 to <see cref="Length"/> - 1 stands in exactly one group.</summary>
public sealed class GroupPartition
{
    private readonly int[] _members;
    private readonly int[] _starts;

    private GroupPartition(int[] members, int[] starts) => (_members, _starts) = (members, starts);

    /// <summary>Number of coefficients.</summary>
    public int Length => _members.Length;

    /// <summary>Number of groups.</summary>
    public int Count => _starts.Length - 1;

    /// <summary>Indices of one group, ascending.</summary>
    /// <param name="group">From 0 to <see cref="Count"/> - 1.</param>
    public ReadOnlySpan<int> Members(int group) => _members.AsSpan(_starts[group].._starts[group + 1]);

    /// <summary>Runs of <paramref name="size"/> neighbours; the last group may be shorter.</summary>
    /// <param name="length">Number of coefficients, positive.</param>
    /// <param name="size">Coefficients per group, positive.</param>
    /// <exception cref="ArgumentOutOfRangeException">A number is not positive.</exception>
    public static GroupPartition Consecutive(int length, int size)
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(length);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(size);
        int count = (length + size - 1) / size;
        return new GroupPartition(
            [.. Enumerable.Range(0, length)], [.. Enumerable.Range(0, count + 1).Select(g => Math.Min((int)Math.Min((long)g * size, length), length))]);
    }

    /// <summary>Groups from a label per coefficient. Labels 0 to G - 1 must all occur.</summary>
    /// <param name="labels">Group of each coefficient.</param>
    /// <exception cref="ArgumentException">No labels, a negative label, or a label that is skipped.</exception>
    public static GroupPartition FromLabels(ReadOnlySpan<int> labels)
    {
        if (labels.IsEmpty) throw new ArgumentException("A partition needs at least one coefficient.", nameof(labels));
        int groups = 0;
        for (int i = 0; i < labels.Length; i++)
        {
            if (labels[i] < 0 || labels[i] >= labels.Length)
            {
                throw new ArgumentException(
                    $"labels[{i}] is {labels[i]}; labels run from 0 to the number of groups - 1, and no group is empty.", nameof(labels));
            }

            groups = Math.Max(groups, labels[i] + 1);
        }

        int[] starts = new int[groups + 1];
        foreach (int label in labels) starts[label + 1]++;
        for (int g = 0; g < groups; g++)
        {
            if (starts[g + 1] == 0) throw new ArgumentException($"No coefficient has label {g}; groups must not be empty.", nameof(labels));
            starts[g + 1] += starts[g];
        }

        int[] members = new int[labels.Length], next = [.. starts];
        for (int i = 0; i < labels.Length; i++) members[next[labels[i]]++] = i;
        return new GroupPartition(members, starts);
    }
}
