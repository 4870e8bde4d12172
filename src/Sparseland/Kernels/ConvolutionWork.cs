namespace Sparseland.Kernels;

/// <summary>Shares the work of a convolution among threads: by strips of positions, and where there are few of those by outputs too. Sums are never parted.</summary>
internal static class ConvolutionWork
{
    /// <summary>Does work(strip, part) for all strips and parts, on one thread where there is little to do.</summary>
    /// <param name="strips">Strips.</param>
    /// <param name="parts">Most parts of the outputs.</param>
    /// <param name="multiplications">Of the whole.</param>
    /// <param name="threads">Threads.</param>
    /// <param name="work">Given a strip, the part and the number of parts.</param>
    public static void Run(int strips, int parts, long multiplications, int threads, Action<int, int, int> work)
    {
        if (strips == 0) return;
        if (threads == 1 || multiplications < WeightStream.OneThread)
        {
            for (int strip = 0; strip < strips; strip++) work(strip, 0, 1);
            return;
        }

        int cut = strips >= 2 * threads ? 1 : Math.Clamp(2 * threads / strips, 1, Math.Max(1, parts)), items = strips * cut, chunks = Math.Min(items, 4 * threads);
        Parallel.For(0, chunks, new ParallelOptions { MaxDegreeOfParallelism = threads }, chunk =>
        {
            for (int item = (int)((long)items * chunk / chunks), to = (int)((long)items * (chunk + 1) / chunks); item < to; item++) work(item / cut, item % cut, cut);
        });
    }
}
