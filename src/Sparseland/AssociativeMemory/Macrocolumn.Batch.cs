namespace Sparseland.AssociativeMemory;

public sealed partial class Macrocolumn
{
    /// <summary>Stores items one after another.</summary>
    /// <param name="items">Active inputs of each.</param>
    /// <param name="progress">Reported after each item.</param>
    /// <param name="cancel">Checked before each item; what was stored stays.</param>
    /// <returns>The codes, in the order of the items.</returns>
    /// <exception cref="ArgumentException">An item is malformed; nothing was stored.</exception>
    /// <exception cref="OperationCanceledException">Cancelled.</exception>
    public CodeResult[] StoreAll(IReadOnlyList<int[]> items, IProgress<ProgressReport>? progress = null, CancellationToken cancel = default)
    {
        CheckAll(items);
        var codes = new CodeResult[items.Count];
        for (int i = 0; i < codes.Length; i++)
        {
            cancel.ThrowIfCancellationRequested();
            codes[i] = Store(items[i]);
            progress?.Report(new(i + 1, codes.Length, $"familiarity {codes[i].Familiarity:0.00}"));
        }

        return codes;
    }

    /// <summary>Recalls items, on all cores; item i breaks its ties with number i, so the number of threads does not matter.</summary>
    /// <param name="items">Active inputs of each.</param>
    /// <param name="progress">Reported after each item, from any thread.</param>
    /// <param name="cancel">Checked before each item.</param>
    /// <param name="threads">Most threads; -1 for one per core. Default -1.</param>
    /// <returns>The codes, in the order of the items.</returns>
    /// <exception cref="ArgumentException">An item is malformed.</exception>
    /// <exception cref="OperationCanceledException">Cancelled.</exception>
    public CodeResult[] RecallAll(
        IReadOnlyList<int[]> items, IProgress<ProgressReport>? progress = null, CancellationToken cancel = default, int threads = -1)
    {
        CheckAll(items);
        var codes = new CodeResult[items.Count];
        int done = 0;
        Parallel.For(0, codes.Length, new ParallelOptions { CancellationToken = cancel, MaxDegreeOfParallelism = threads }, i =>
        {
            codes[i] = Recall(items[i], tie: i);
            progress?.Report(new(Interlocked.Increment(ref done), codes.Length));
        });
        return codes;
    }

    internal IEnumerable<(string Name, Projection? Projection)> Projections() =>
        [("u", BottomUp), ("h", horizontal), ("d", TopDown), ("generative", Generative)];

    internal void Restore(int steps, bool withHorizontal)
    {
        Steps = steps;
        if (withHorizontal) horizontal = NewHorizontal();
    }

    private void CheckAll(IReadOnlyList<int[]> items)
    {
        ArgumentNullException.ThrowIfNull(items);
        for (int i = 0; i < items.Count; i++) MacGuard.CheckActive(items[i], Options.Inputs, $"{nameof(items)}[{i}]", "input");
    }
}
