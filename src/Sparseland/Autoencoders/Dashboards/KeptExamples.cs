using Sparseland.Tensors;

namespace Sparseland.Autoencoders.Dashboards;

/// <summary>Values of one latent in one window.</summary>
/// <param name="Window">Number of the window.</param>
/// <param name="Places">Places of the active tokens in their window, ascending.</param>
/// <param name="Values">The values there.</param>
internal readonly ref struct WindowRunOfLatent(int Window, ReadOnlySpan<int> Places, ReadOnlySpan<float> Values)
{
    public int Window { get; } = Window;

    public ReadOnlySpan<int> Places { get; } = Places;

    public ReadOnlySpan<float> Values { get; } = Values;
}

/// <summary>
/// The examples of each latent while the tokens go by: the largest values, and a uniform sample. The sample is that of the smallest of random
/// priorities that seed, latent and token alone decide, so it depends on no order and no batch.
/// </summary>
internal sealed class KeptExamples(int latents, int[] text, int length, LatentDashboardOptions options)
{
    private readonly Shelf?[] _top = new Shelf[latents], _sample = new Shelf[latents];
    private readonly int _leastBefore = Math.Min(options.LeastBefore, length / 2);

    /// <summary>Takes in a latent's values in a window; windows come in their order.</summary>
    public void Add(int latent, WindowRunOfLatent run)
    {
        int best = 0;
        for (int i = 1; i < run.Values.Length; i++)
        {
            if (Rank(run.Places[i], run.Values[i]).CompareTo(Rank(run.Places[best], run.Values[best])) > 0) best = i;
        }

        AddTop(_top[latent] ??= new(options.Top), run, best);
        if (options.PerDecile == 0) return;
        Shelf sample = _sample[latent] ??= new(options.Sample);
        ulong mixed = SeededRandom.Mix((ulong)options.Seed ^ SeededRandom.Mix((ulong)latent + 1));
        for (int i = 0; i < run.Values.Length; i++)
        {
            ulong priority = SeededRandom.Mix(mixed ^ SeededRandom.Mix((ulong)((long)run.Window * length) + (ulong)run.Places[i])) >> 1;
            if (run.Places[i] < _leastBefore) priority |= 1UL << 63;
            int place = sample.PlaceByPriority(priority);
            if (place >= 0) sample.Put(place, Take(run, i, priority));
        }
    }

    /// <summary>The largest values, largest first.</summary>
    public LatentExample[] Top(int latent) =>
        _top[latent] is { } shelf ? [.. shelf.Items.OrderByDescending(item => item.Value).ThenBy(item => item.Window).Select(item => Show(item, 0))] : [];

    /// <summary>Examples of each tenth of the sample, strongest first.</summary>
    public LatentExample[] Sampled(int latent)
    {
        if (_sample[latent] is not { } shelf) return [];
        Item[] sorted = [.. shelf.Items.OrderByDescending(item => item.Value).ThenBy(item => item.Window).ThenBy(item => item.Place)];
        return
        [
            .. sorted.Select((item, rank) => (Item: item, Decile: 10 - (int)((long)rank * 10 / sorted.Length)))
                .GroupBy(pair => pair.Decile)
                .SelectMany(tenth => tenth.OrderBy(pair => pair.Item.Priority).Take(options.PerDecile).OrderByDescending(pair => pair.Item.Value).ThenBy(pair => pair.Item.Priority))
                .Select(pair => Show(pair.Item, pair.Decile)),
        ];
    }

    // What has been read with enough before it comes first, then the larger value.
    private (bool Read, float Value) Rank(int place, float value) => (place >= _leastBefore, value);

    private (bool Read, float Value) Rank(Item item) => Rank(item.Place, item.Value);

    private (int First, int Count) Around(int place)
    {
        int first = Math.Max(0, place - options.Before);
        return (first, (int)Math.Min(length - 1, (long)place + options.After) - first + 1);
    }

    private ReadOnlySpan<int> Tokens(int window, int place)
    {
        (int first, int count) = Around(place);
        return text.AsSpan((window * length) + first, count);
    }

    // Distinct surroundings: the best of each is kept, and what was pushed out cannot return with a value that it had before.
    private void AddTop(Shelf shelf, WindowRunOfLatent run, int best)
    {
        int place = run.Places[best];
        (bool, float) rank = Rank(place, run.Values[best]);
        int last = shelf.IsFull ? shelf.Last(Rank) : -1;
        if (last >= 0 && rank.CompareTo(Rank(shelf.Items[last])) <= 0) return;
        int focus = place - Around(place).First;
        ReadOnlySpan<int> tokens = Tokens(run.Window, place);
        for (int i = 0; i < shelf.Items.Count; i++)
        {
            Item other = shelf.Items[i];
            if (other.Place - Around(other.Place).First != focus || !tokens.SequenceEqual(Tokens(other.Window, other.Place))) continue;
            if (rank.CompareTo(Rank(other)) > 0) shelf.Put(i, Take(run, best, 0));
            return;
        }

        shelf.Put(last >= 0 ? last : shelf.Items.Count, Take(run, best, 0));
    }

    private Item Take(WindowRunOfLatent run, int i, ulong priority)
    {
        int place = run.Places[i];
        (int first, int count) = Around(place);
        float[] around = new float[count];
        for (int p = first; p < Math.Min(options.SkipFirst, first + count); p++) around[p - first] = float.NaN;
        for (int j = i; j >= 0 && run.Places[j] >= first; j--) around[run.Places[j] - first] = run.Values[j];
        for (int j = i + 1; j < run.Places.Length && run.Places[j] < first + count; j++) around[run.Places[j] - first] = run.Values[j];
        return new(run.Window, place, run.Values[i], priority, around);
    }

    private LatentExample Show(Item item, int decile) =>
        new(item.Window, item.Place, item.Value, decile, Tokens(item.Window, item.Place).ToArray(), item.Around, item.Place - Around(item.Place).First);

    private sealed record Item(int Window, int Place, float Value, ulong Priority, float[] Around);

    /// <summary>A few items.</summary>
    private sealed class Shelf(int most)
    {
        private int _largestPriority = -1;

        public List<Item> Items { get; } = [];

        public bool IsFull => Items.Count == most;

        /// <summary>Which item ranks last; of equal ones the latest.</summary>
        public int Last(Func<Item, (bool, float)> rank)
        {
            int last = 0;
            for (int i = 1; i < Items.Count; i++)
            {
                int order = rank(Items[i]).CompareTo(rank(Items[last]));
                if (order < 0 || (order == 0 && Items[i].Window > Items[last].Window)) last = i;
            }

            return last;
        }

        /// <summary>Where an item of such a priority goes; -1 where it is not among the smallest.</summary>
        public int PlaceByPriority(ulong priority) =>
            !IsFull ? Items.Count : priority < Items[_largestPriority].Priority ? _largestPriority : -1;

        public void Put(int place, Item item)
        {
            if (place == Items.Count) Items.Add(item);
            else Items[place] = item;
            _largestPriority = 0;
            for (int i = 1; i < Items.Count; i++)
            {
                if (Items[i].Priority > Items[_largestPriority].Priority) _largestPriority = i;
            }
        }
    }
}
