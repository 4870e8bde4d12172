namespace Sparseland.AssociativeMemory;

/// <summary>Checks of the arguments that the whole room shares.</summary>
internal static class MacGuard
{
    internal static void Check(MacInput input, MacOptions options)
    {
        ArgumentNullException.ThrowIfNull(input);
        if (input.Signals == MacSignals.None) throw new ArgumentException("The input has no signal; give active inputs, a previous code or a higher code.", nameof(input));
        if (input.Active is { } active) CheckActive(active, options.Inputs, nameof(input.Active), "input");
        if (input.Previous is { } previous) CheckActive(previous, options.Cells, nameof(input.Previous), "cell");
        if (input.TopDown is { } higher)
        {
            if (options.TopDownCells == 0)
                throw new ArgumentException($"There is a top-down signal, but {nameof(options.TopDownCells)} is 0.", nameof(input.TopDown));
            CheckActive(higher, options.TopDownCells, nameof(input.TopDown), "cell");
        }

        if (!(input.PreviousBoost >= 0) || !double.IsFinite(input.PreviousBoost))
            throw new ArgumentOutOfRangeException(nameof(input.PreviousBoost), input.PreviousBoost, "PreviousBoost must be finite and not negative.");
    }

    /// <summary>Not empty, inside the field, each once.</summary>
    internal static void CheckActive(int[] active, int field, string name, string what)
    {
        ArgumentNullException.ThrowIfNull(active, name);
        if (active.Length == 0) throw new ArgumentException($"{name} is empty; at least one {what} must be active.", name);
        const int onStack = 4096;
        int length = (field + 63) / 64;
        Span<ulong> seen = length <= onStack ? stackalloc ulong[length] : new ulong[length];
        foreach (int i in active)
        {
            if ((uint)i >= (uint)field) throw new ArgumentOutOfRangeException(name, i, $"{what} {i} of {name} is outside 0 .. {field - 1}.");
            ref ulong word = ref seen[i / 64];
            ulong bit = 1UL << (i % 64);
            if ((word & bit) != 0) throw new ArgumentException($"{what} {i} stands twice in {name}; it would count twice.", name);
            word |= bit;
        }
    }

    /// <summary>One winner of each module, in the order of the modules.</summary>
    internal static void CheckCode(int[] winners, MacOptions options, string name)
    {
        ArgumentNullException.ThrowIfNull(winners, name);
        if (winners.Length != options.Q) throw new ArgumentException($"{name} has {winners.Length} winners; there are {options.Q} modules.", name);
        for (int q = 0; q < winners.Length; q++)
        {
            if (winners[q] < q * options.K || winners[q] >= (q + 1) * options.K)
                throw new ArgumentException($"{name}[{q}] is {winners[q]}; cells of module {q} are {q * options.K} .. {((q + 1) * options.K) - 1}.", name);
        }
    }
}
