namespace Sparseland.Retrieval.Indexing;

/// <summary>
/// f / (f + norm) worked out once for small counts and each norm that occurs. Lengths repeat, so the table is small and a division becomes a
/// look-up; its numbers are those of the division, to the last bit.
/// </summary>
internal sealed class PartTable
{
    /// <summary>Counts 1 to this many stand in the table: one cache line for a norm.</summary>
    internal const int Counts = 8;

    private PartTable(ushort[] classes, double[] parts) => (Classes, Parts, Rounded) = (classes, parts, Array.ConvertAll(parts, p => (float)p));

    /// <summary>Number of each document's norm among those that occur.</summary>
    internal ushort[] Classes { get; }

    /// <summary>The part for count f and norm number c, at 8 c + f - 1.</summary>
    internal double[] Parts { get; }

    /// <summary>The parts in float32, for bounds.</summary>
    internal float[] Rounded { get; }

    /// <summary>The table, or null where too many norms occur.</summary>
    internal static PartTable? Of(double[] norms)
    {
        var numbers = new Dictionary<double, int>();
        var classes = new ushort[norms.Length];
        for (int i = 0; i < norms.Length; i++)
        {
            if (!numbers.TryGetValue(norms[i], out int number))
            {
                if (numbers.Count == ushort.MaxValue) return null;
                numbers.Add(norms[i], number = numbers.Count);
            }

            classes[i] = (ushort)number;
        }

        var parts = new double[Counts * numbers.Count];
        foreach ((double norm, int number) in numbers)
        {
            for (int f = 1; f <= Counts; f++) parts[(Counts * number) + f - 1] = f / (f + norm);
        }

        return new(classes, parts);
    }
}
