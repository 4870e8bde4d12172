namespace Sparseland.AssociativeMemory;

/// <summary>
/// Which weights will be forgotten and when (Rinkus 2014, permanence). All weights of one level last equally long, so each level is a
/// queue in the order of time and forgetting costs only what is forgotten; an entry that no longer says the truth is skipped.
/// </summary>
internal sealed class Permanence
{
    private readonly PermanenceOptions options;
    private readonly BitMatrix weights;
    private readonly int[] seen;
    private readonly byte[] level;
    private readonly Queue<(int Row, int Cell, int Seen)>[] queues;

    internal Permanence(PermanenceOptions options, BitMatrix weights)
    {
        this.options = options;
        this.weights = weights;
        seen = new int[(long)weights.Rows * weights.Columns];
        level = new byte[seen.Length];
        queues = [.. Enumerable.Range(0, options.Levels).Select(_ => new Queue<(int, int, int)>())];
    }

    /// <summary>Step of the last coincidence, row-major; and the level of each weight. What a saved memory must hold.</summary>
    internal (int[] Seen, byte[] Level) State => (seen, level);

    /// <summary>A coincidence: a new weight starts at level 0, one that is there rises.</summary>
    internal void Touch(int row, int cell, bool isNew, int now)
    {
        long at = ((long)row * weights.Columns) + cell;
        level[at] = isNew ? (byte)0 : (byte)Math.Min(level[at] + 1, options.Levels);
        seen[at] = now;
        if (level[at] < options.Levels) queues[level[at]].Enqueue((row, cell, now));
    }

    /// <summary>Clears what has lasted too long; frozen cells forget nothing.</summary>
    internal void Forget(int now, Projection owner)
    {
        long window = options.Window;
        for (int l = 0; l < queues.Length; l++, window *= options.Growth)
        {
            while (queues[l].TryPeek(out (int Row, int Cell, int Seen) first) && now - first.Seen > window)
            {
                queues[l].Dequeue();
                long at = ((long)first.Row * weights.Columns) + first.Cell;
                if (level[at] == l && seen[at] == first.Seen && weights[first.Row, first.Cell]) owner.Clear(first.Row, first.Cell);
            }
        }
    }

    /// <summary>Takes a saved state over.</summary>
    internal void Restore(ReadOnlySpan<int> savedSeen, ReadOnlySpan<byte> savedLevel)
    {
        savedSeen.CopyTo(seen);
        savedLevel.CopyTo(level);
        var waiting = new List<(int Row, int Cell, int Seen, int Level)>();
        for (int row = 0; row < weights.Rows; row++)
        {
            for (int cell = 0; cell < weights.Columns; cell++)
            {
                long at = ((long)row * weights.Columns) + cell;
                if (weights[row, cell] && level[at] < options.Levels) waiting.Add((row, cell, seen[at], level[at]));
            }
        }

        foreach ((int row, int cell, int time, int l) in waiting.OrderBy(w => w.Seen)) queues[l].Enqueue((row, cell, time));
    }
}
