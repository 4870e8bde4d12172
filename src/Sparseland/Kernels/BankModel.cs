namespace Sparseland.Kernels;

/// <summary>How often lanes meet on a memory bank.</summary>
/// <param name="Mean">Lanes on the fullest bank, a mean over the steps in which all 32 lanes store an entry: 1 where no two lanes ever meet. 0 without such steps.</param>
/// <param name="RestMean">The same over the last steps of each tile, in which vectors are left for some lanes only.</param>
/// <param name="Worst">The most lanes on one bank in a step of all lanes.</param>
/// <param name="Steps">Steps of all 32 lanes.</param>
public sealed record BankConflicts(double Mean, double RestMean, int Worst, long Steps);

/// <summary>The memory banks of a graphics processor, counted: 32 lanes store one entry each, and those on one of the 32 banks wait for each other.</summary>
public static class BankModel
{
    /// <summary>Conflicts of unpacking a matrix. Lane l of a step loads vector l of four entries and stores them one after the other.</summary>
    /// <param name="matrix">The matrix.</param>
    public static BankConflicts Conflicts(TiledCslMatrix matrix)
    {
        ArgumentNullException.ThrowIfNull(matrix);
        long sum = 0, steps = 0, restSum = 0, restSteps = 0;
        int worst = 0;
        for (int tile = 0; tile < matrix.TileCount; tile++)
        {
            ReadOnlySpan<uint> entries = matrix.Tile(tile);
            int[] met = Steps(entries);
            int whole = entries.Length / TiledCslMatrix.Vector / TileOrder.Lanes * TiledCslMatrix.Vector;
            for (int step = 0; step < met.Length; step++)
            {
                if (step < whole) (sum, steps, worst) = (sum + met[step], steps + 1, Math.Max(worst, met[step]));
                else (restSum, restSteps) = (restSum + met[step], restSteps + 1);
            }
        }

        return new(steps == 0 ? 0 : (double)sum / steps, restSteps == 0 ? 0 : (double)restSum / restSteps, worst, steps);
    }

    /// <summary>Of one tile's entries, lanes on the fullest bank at each step; the steps of fewer than 32 lanes come last.</summary>
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
