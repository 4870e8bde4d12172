namespace Sparseland.Tensors;

/// <summary>Long runs of numbers shared out over threads in pieces of one length, which do not depend on how many threads there are.</summary>
internal static class Pieces
{
    /// <summary>Calls the work for each piece; a single one runs on the caller's thread.</summary>
    /// <param name="length">Numbers in all.</param>
    /// <param name="piece">Numbers of a piece: as many as are worth handing to another thread.</param>
    /// <param name="work">Takes the first place and the number of places of a piece.</param>
    public static void For(long length, int piece, Action<long, int> work)
    {
        long count = (length + piece - 1) / piece;
        void Part(long p) => work(p * piece, (int)Math.Min(piece, length - (p * piece)));
        if (count == 1) Part(0);
        else Parallel.For(0, count, Part);
    }
}
