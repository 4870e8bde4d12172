using System.Numerics;

namespace Sparseland.Training.NofM;

/// <summary>Over which patterns a training tightens to its last one.</summary>
public abstract record StructurePath
{
    private protected StructurePath()
    {
    }

    /// <summary>M-1:M, M/2:M, M/4:M, ..., N:M: the density falls. M/N must be a power of two.</summary>
    public static StructurePath Stepwise { get; } = new SteppedPath();

    /// <summary>8N:8M, 4N:4M, 2N:2M, N:M: the density is the last one from the start, and the freedom to place it shrinks.</summary>
    public static StructurePath Geometric { get; } = new WideningPath("Geometric", true);

    /// <summary>N:8M, N:4M, N:2M, N:M: the density rises.</summary>
    public static StructurePath Densify { get; } = new WideningPath("Densify", false);

    /// <summary>Stages of one's own; the last one should be the final pattern.</summary>
    /// <param name="stages">N and M of each.</param>
    /// <exception cref="ArgumentException">There is no stage, or one has N below 1 or above M.</exception>
    public static StructurePath Of(params IReadOnlyList<(int N, int M)> stages)
    {
        ArgumentNullException.ThrowIfNull(stages);
        if (stages.Count == 0) throw new ArgumentException("There are no stages; at least one is needed.", nameof(stages));
        foreach ((int n, int m) in stages) _ = PruningPattern.NofM(n, m);
        return new ListedPath([.. stages]);
    }

    /// <summary>The patterns on the way to N:M, which is the last.</summary>
    /// <param name="n">N.</param>
    /// <param name="m">M.</param>
    /// <exception cref="ArgumentException">The path has no way to this pattern.</exception>
    public abstract IReadOnlyList<(int N, int M)> To(int n, int m);

    private sealed record SteppedPath : StructurePath
    {
        public override IReadOnlyList<(int N, int M)> To(int n, int m)
        {
            _ = PruningPattern.NofM(n, m);
            if (m % n != 0 || !BitOperations.IsPow2(m / n)) throw new ArgumentException($"The stepwise path halves the density; {n}:{m} cannot be reached so, for {m}/{n} is no power of two.", nameof(m));
            var stages = new List<(int, int)>();
            if (m > n) stages.Add((m - 1, m));
            for (int kept = m / 2; kept > n; kept /= 2) stages.Add((kept, m));
            return [.. stages, (n, m)];
        }

        public override string ToString() => "Stepwise";
    }

    private sealed record WideningPath(string Name, bool KeepsDensity) : StructurePath
    {
        public override IReadOnlyList<(int N, int M)> To(int n, int m)
        {
            _ = PruningPattern.NofM(n, m);
            return [.. new[] { 8, 4, 2, 1 }.Select(times => (KeepsDensity ? times * n : n, checked(times * m)))];
        }

        public override string ToString() => Name;
    }

    private sealed record ListedPath(IReadOnlyList<(int N, int M)> Stages) : StructurePath
    {
        public override IReadOnlyList<(int N, int M)> To(int n, int m) => Stages[^1] == (n, m)
            ? Stages
            : throw new ArgumentException($"The path ends at {Stages[^1].N}:{Stages[^1].M}, not at {n}:{m}.", nameof(n));

        public bool Equals(ListedPath? other) => other is not null && Stages.SequenceEqual(other.Stages);

        public override int GetHashCode() => Stages.Aggregate(17, HashCode.Combine);

        public override string ToString() => string.Join(" ", Stages.Select(s => $"{s.N}:{s.M}"));
    }
}
