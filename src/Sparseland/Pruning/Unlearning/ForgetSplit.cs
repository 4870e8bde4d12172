using System.Globalization;
using Sparseland.Tensors;
using static TorchSharp.torch;

namespace Sparseland.Pruning.Unlearning;

/// <summary>Which training samples are to be forgotten and which stay: a partition of 0 to size - 1.</summary>
public sealed record ForgetSplit
{
    private ForgetSplit(int size, int[] forget, int? forgottenClass)
    {
        if (forget.Length == 0) throw new ArgumentException("There is nothing to forget.", nameof(forget));
        if (forget.Length == size) throw new ArgumentException($"All {size} samples are to be forgotten; something must stay.", nameof(forget));
        (Size, Forget, Class) = (size, forget, forgottenClass);
        bool[] gone = new bool[size];
        foreach (int i in forget) gone[i] = true;
        Retain = [.. Enumerable.Range(0, size).Where(i => !gone[i])];
    }

    /// <summary>Training samples in all.</summary>
    public int Size { get; }

    /// <summary>Numbers of the samples of D_f, ascending.</summary>
    public IReadOnlyList<int> Forget { get; }

    /// <summary>Numbers of the samples of D_r, ascending: all others.</summary>
    public IReadOnlyList<int> Retain { get; }

    /// <summary>The class that is forgotten; null where samples of all classes are.</summary>
    public int? Class { get; }

    /// <summary>A short name of the partition: reports of different splits are not compared.</summary>
    public string Key
    {
        get
        {
            ulong hash = SeededRandom.Mix((ulong)Size);
            foreach (int i in Forget) hash = SeededRandom.Mix(hash ^ (ulong)i);
            return hash.ToString("x16", CultureInfo.InvariantCulture);
        }
    }

    /// <summary>All samples of one class.</summary>
    /// <param name="labels">[samples], int64.</param>
    /// <param name="forgotten">The class.</param>
    /// <exception cref="ArgumentException">Labels of another type, a class without a sample, or one that has all.</exception>
    public static ForgetSplit ByClass(Tensor labels, int forgotten)
    {
        ArgumentNullException.ThrowIfNull(labels);
        if (labels.dtype != ScalarType.Int64 || labels.dim() != 1) throw new ArgumentException($"labels are {labels.dtype} [{string.Join(", ", labels.shape)}]; they must be Int64 [samples].", nameof(labels));
        using Tensor here = labels.cpu().contiguous();
        long[] all = here.data<long>().ToArray();
        int[] forget = [.. Enumerable.Range(0, all.Length).Where(i => all[i] == forgotten)];
        if (forget.Length == 0) throw new ArgumentException($"No sample is of class {forgotten}.", nameof(forgotten));
        return new(all.Length, forget, forgotten);
    }

    /// <summary>round(share size) samples, drawn without replacement.</summary>
    /// <param name="size">Samples in all, at least 2.</param>
    /// <param name="share">Share to forget, above 0 and below 1. Default 0.1.</param>
    /// <param name="seed">Seed of the draw. Default 1.</param>
    /// <exception cref="ArgumentException">A number is out of its range, or the share leaves nothing to forget or to keep.</exception>
    public static ForgetSplit Random(int size, double share = 0.1, long seed = 1)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(size, 2);
        if (!(share is > 0 and < 1)) throw new ArgumentOutOfRangeException(nameof(share), share, "The share must lie above 0 and below 1.");
        var random = new SeededRandom(seed, 5_100);
        int[] order = random.Permutation<int>(size);
        return new(size, [.. order.Take((int)Math.Round(share * size, MidpointRounding.AwayFromZero)).Order()], null);
    }

    /// <summary>Given samples: poisoned ones, or those whose owners asked.</summary>
    /// <param name="size">Samples in all.</param>
    /// <param name="forget">Numbers of those to forget, from 0, none twice.</param>
    /// <exception cref="ArgumentException">A number out of range or twice, none, or all.</exception>
    public static ForgetSplit Of(int size, IReadOnlyList<int> forget)
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(size);
        ArgumentNullException.ThrowIfNull(forget);
        int[] sorted = [.. forget.Order()];
        for (int i = 0; i < sorted.Length; i++)
        {
            if (sorted[i] < 0 || sorted[i] >= size) throw new ArgumentOutOfRangeException(nameof(forget), sorted[i], $"Samples have the numbers 0 to {size - 1}.");
            if (i > 0 && sorted[i] == sorted[i - 1]) throw new ArgumentException($"Sample {sorted[i]} stands twice.", nameof(forget));
        }

        return new(size, sorted, null);
    }

    /// <inheritdoc/>
    public override string ToString() => $"ForgetSplit of {Size}: {Forget.Count} to forget{(Class is { } c ? $", class {c}" : "")}";
}
