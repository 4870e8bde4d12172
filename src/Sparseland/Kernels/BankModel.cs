namespace Sparseland.Kernels;

/// <summary>How often lanes meet on a memory bank.</summary>
/// <param name="Mean">Lanes on the fullest bank, a mean over all steps: 1 where no two lanes ever meet.</param>
/// <param name="Worst">The most lanes on one bank.</param>
/// <param name="Steps">Steps counted; in each up to 32 lanes store one entry.</param>
public sealed record BankConflicts(double Mean, int Worst, long Steps);

/// <summary>The memory banks of a graphics processor, counted: 32 lanes store one entry each, and those on one of the 32 banks wait for each other.</summary>
public static class BankModel
{
    /// <summary>Conflicts of unpacking a matrix. Lane l of a step loads vector l of four entries and stores them one after the other.</summary>
    /// <param name="matrix">The matrix.</param>
    public static BankConflicts Conflicts(TiledCslMatrix matrix)
    {
        ArgumentNullException.ThrowIfNull(matrix);
        long sum = 0, steps = 0;
        int worst = 0;
        for (int tile = 0; tile < matrix.TileCount; tile++)
        {
            foreach (int met in Steps(matrix.Tile(tile)))
            {
                sum += met;
                steps++;
                worst = Math.Max(worst, met);
            }
        }

        return new(steps == 0 ? 0 : (double)sum / steps, worst, steps);
    }

    /// <summary>Of one tile's entries, lanes on the fullest bank at each step.</summary>
    /// <param name="entries">A multiple of four, as <see cref="TiledCslMatrix.Tile"/> gives them.</param>
    public static int[] Steps(ReadOnlySpan<uint> entries)
    {
        var steps = new List<int>();
        Span<int> banks = stackalloc int[TileOrder.Lanes];
        int vectors = entries.Length / TiledCslMatrix.Vector;
        for (int first = 0; first < vectors; first += TileOrder.Lanes)
        {
            for (int item = 0; item < TiledCslMatrix.Vector; item++)
            {
                banks.Clear();
                int most = 0;
                for (int vector = first; vector < Math.Min(vectors, first + TileOrder.Lanes); vector++)
                    most = Math.Max(most, ++banks[TileOrder.Bank(entries[(vector * TiledCslMatrix.Vector) + item])]);
                steps.Add(most);
            }
        }

        return [.. steps];
    }
}
