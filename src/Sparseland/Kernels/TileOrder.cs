namespace Sparseland.Kernels;

/// <summary>
/// The order of the entries of a Tiled-CSL tile. Lanes store 32 entries at once; two on one memory bank wait for each other. The order is free, so entries are dealt from 32 bins, one for each bank,
/// always from the fullest (Xia et al. 2023, arXiv 2309.10285, ahead-of-time reordering).
/// </summary>
internal static class TileOrder
{
    public const int Lanes = 32;

    /// <summary>Bank of an entry: positions are of 2 bytes, banks of 4.</summary>
    public static int Bank(uint entry) => (int)(entry >> 16) / 2 % Lanes;

    /// <summary>The entries of a tile, filled up to vectors of four, in the order to be stored in.</summary>
    /// <param name="entries">In row order.</param>
    /// <param name="size">Positions of a tile.</param>
    /// <param name="reorder">Whether to deal them; else they stay in row order.</param>
    public static uint[] Arrange(List<uint> entries, int size, bool reorder)
    {
        int vectors = (entries.Count + TiledCslMatrix.Vector - 1) / TiledCslMatrix.Vector;
        var bins = new Queue<uint>[Lanes];
        for (int bank = 0; bank < Lanes; bank++) bins[bank] = new();
        bool[] taken = new bool[size];
        foreach (uint entry in entries)
        {
            bins[Bank(entry)].Enqueue(entry);
            taken[entry >> 16] = true;
        }

        var padding = new List<uint>();
        while (entries.Count + padding.Count < vectors * TiledCslMatrix.Vector)
        {
            // A place of the emptiest bank that is zero anyway: any other would overwrite a value.
            int place = bins.Index().OrderBy(bin => bin.Item.Count).Select(bin => Free(taken, bin.Index)).First(free => free >= 0);
            uint zero = (uint)place << 16;
            taken[place] = true;
            bins[Bank(zero)].Enqueue(zero);
            padding.Add(zero);
        }

        return reorder ? Deal(bins, vectors) : [.. entries, .. padding];
    }

    private static uint[] Deal(Queue<uint>[] bins, int vectors)
    {
        uint[] result = new uint[vectors * TiledCslMatrix.Vector];
        int whole = vectors / Lanes * Lanes;

        // The vectors that are too few for all lanes are stored last and filled first, while the bins are most unequal.
        if (whole < vectors) Group(whole, vectors - whole);
        for (int first = 0; first < whole; first += Lanes) Group(first, Lanes);
        return result;

        void Group(int first, int lanes)
        {
            for (int item = 0; item < TiledCslMatrix.Vector; item++)
            {
                for (int lane = 0; lane < lanes; lane++) result[((first + lane) * TiledCslMatrix.Vector) + item] = Fullest().Dequeue();
            }
        }

        Queue<uint> Fullest()
        {
            Queue<uint> best = bins[0];
            foreach (Queue<uint> bin in bins)
            {
                if (bin.Count > best.Count) best = bin;
            }

            return best;
        }
    }

    private static int Free(bool[] taken, int bank)
    {
        for (int position = 2 * bank; position < taken.Length; position += 2 * Lanes)
        {
            if (!taken[position]) return position;
            if (!taken[position + 1]) return position + 1;
        }

        return -1;
    }
}
