using Sparseland.Tensors;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Autoencoders.Dashboards;

/// <summary>
/// Which latents are active on the same tokens, counted from supports alone. The supports of all tokens are kept while they fit; then those of a random
/// half, and so on, so that memory and work stay bounded. Seed and token decide which.
/// </summary>
internal sealed class CoActivation(int latents, long seed, long mostEntries = 1L << 23, long mostPairs = 1L << 32)
{
    private readonly List<int> _active = [], _ends = [];
    private readonly List<ulong> _priorities = [];
    private ulong _below = ulong.MaxValue;
    private long _pairs;

    /// <summary>Tokens whose supports are kept.</summary>
    public int Tokens => _ends.Count;

    /// <summary>Takes in some tokens, as <see cref="Metrics.CodeStream.Visitor"/> brings them.</summary>
    public void Add(Tensor x, SparseCode code, long first)
    {
        for (int row = 0; row < code.Tokens; row++)
        {
            ulong priority = SeededRandom.Mix((ulong)seed ^ SeededRandom.Mix((ulong)(first + row) + 0x9E3779B97F4A7C15));
            if (priority > _below) continue;
            ReadOnlySpan<int> active = code.Support.Row(row);
            _active.AddRange(active);
            _ends.Add(_active.Count);
            _priorities.Add(priority);
            _pairs += (long)active.Length * active.Length;
            while (Tokens > 1 && (_active.Count > mostEntries || _pairs > mostPairs)) Halve();
        }
    }

    /// <summary>The companions of every latent: those active together with it more often than by chance and on enough tokens, largest Jaccard index first.</summary>
    public LatentCompanion[][] Companions(int most, int minTogether, IProgress<ProgressReport>? progress, CancellationToken cancel)
    {
        (int[] offsets, int[] tokens) = TokensOfLatents();
        int[] together = new int[latents], touched = new int[latents];
        var found = new LatentCompanion[latents][];
        for (int i = 0; i < latents; i++)
        {
            int count = 0;
            for (int t = offsets[i]; t < offsets[i + 1]; t++)
            {
                if ((t & 255) == 0) cancel.ThrowIfCancellationRequested();
                foreach (int j in Row(tokens[t]))
                {
                    if (together[j]++ == 0) touched[count++] = j;
                }
            }

            var companions = new List<LatentCompanion>();
            long own = offsets[i + 1] - offsets[i];
            foreach (int j in touched.AsSpan(0, count))
            {
                (long both, long other) = (together[j], offsets[j + 1] - offsets[j]);
                together[j] = 0;
                double lift = (double)both * Tokens / ((double)own * other);
                if (j != i && both >= minTogether && lift > 1) companions.Add(new(j, (int)both, (double)both / (own + other - both), lift));
            }

            found[i] = [.. companions.OrderByDescending(c => c.Jaccard).ThenBy(c => c.Latent).Take(most)];
            if ((i & 255) == 0 || i == latents - 1) progress?.Report(new(i + 1, latents, "comparing supports"));
        }

        return found;
    }

    private ReadOnlySpan<int> Row(int token)
    {
        int first = token == 0 ? 0 : _ends[token - 1];
        return System.Runtime.InteropServices.CollectionsMarshal.AsSpan(_active)[first.._ends[token]];
    }

    private (int[] Offsets, int[] Tokens) TokensOfLatents()
    {
        int[] offsets = new int[latents + 1], tokens = new int[_active.Count];
        foreach (int i in _active) offsets[i + 1]++;
        for (int i = 0; i < latents; i++) offsets[i + 1] += offsets[i];
        int[] next = offsets[..latents];
        for (int t = 0; t < Tokens; t++)
        {
            foreach (int i in Row(t)) tokens[next[i]++] = t;
        }

        return (offsets, tokens);
    }

    // The half with the smaller priorities stays; one token always does.
    private void Halve()
    {
        ulong smallest = _priorities.Min();
        _below = Math.Max(smallest, _below / 2);
        (int tokens, int entries) = (0, 0);
        _pairs = 0;
        for (int t = 0, first = 0; t < Tokens; t++)
        {
            int end = _ends[t], count = end - first;
            if (_priorities[t] <= _below)
            {
                for (int i = 0; i < count; i++) _active[entries + i] = _active[first + i];
                entries += count;
                (_ends[tokens], _priorities[tokens]) = (entries, _priorities[t]);
                tokens++;
                _pairs += (long)count * count;
            }

            first = end;
        }

        _active.RemoveRange(entries, _active.Count - entries);
        _ends.RemoveRange(tokens, _ends.Count - tokens);
        _priorities.RemoveRange(tokens, _priorities.Count - tokens);
    }
}
