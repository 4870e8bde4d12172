using TorchSharp;

namespace Sparseland.Tensors;

/// <summary>Work shared out over threads in pieces that do not depend on how many threads there are.</summary>
/// <remarks>
/// As many threads as libtorch has here: where each of several trainings has one thread (<see cref="IndependentWork"/>), none of them wakes others for work of
/// microseconds.
/// </remarks>
internal static class Pieces
{
    /// <summary>Calls the work for each piece of a long run of numbers; a single one runs on the caller's thread.</summary>
    /// <param name="length">Numbers in all.</param>
    /// <param name="piece">Numbers of a piece: as many as are worth handing to another thread.</param>
    /// <param name="work">Takes the first place and the number of places of a piece.</param>
    /// <param name="cancel">Checked before each piece. Never by default.</param>
    public static void For(long length, int piece, Action<long, int> work, CancellationToken cancel = default) =>
        Each((length + piece - 1) / piece, p => work(p * piece, (int)Math.Min(piece, length - (p * piece))), cancel);

    /// <summary>Calls the work with each number from 0.</summary>
    /// <param name="count">How many.</param>
    /// <param name="work">Takes a number.</param>
    /// <param name="cancel">Checked before each. Never by default.</param>
    public static void Each(long count, Action<long> work, CancellationToken cancel = default)
    {
        int threads = count > 1 ? torch.get_num_threads() : 1;
        if (threads > 1) Parallel.For(0, count, new ParallelOptions { MaxDegreeOfParallelism = threads, CancellationToken = cancel }, work);
        else
        {
            for (long i = 0; i < count; i++)
            {
                cancel.ThrowIfCancellationRequested();
                work(i);
            }
        }
    }
}
