using System.Globalization;
using Sparseland.Selection;
using Sparseland.Tensors;

namespace Sparseland.Recommendation;

/// <summary>Who had to do with what: users x items, stored as compressed rows; that is all a recommender of implicit feedback sees.</summary>
public sealed class Interactions
{
    private Interactions(Support pairs, int duplicates) => (Pairs, Duplicates) = (pairs, duplicates);

    /// <summary>The pairs as compressed rows [users, items].</summary>
    public Support Pairs { get; }

    /// <summary>Pairs that were given more than once, each repetition counted; they stand once.</summary>
    public int Duplicates { get; }

    /// <summary>Number of users, with or without interactions.</summary>
    public int Users => Pairs.Rows;

    /// <summary>Number of items, with or without interactions.</summary>
    public int Items => Pairs.Columns;

    /// <summary>Number of interactions.</summary>
    public int Count => Pairs.Count;

    /// <summary>Interactions of each user [users].</summary>
    public int[] UserDegrees() => Pairs.CountsPerRow();

    /// <summary>Interactions of each item [items]: its popularity.</summary>
    public int[] ItemDegrees() => Pairs.CountsPerColumn();

    /// <summary>Users that a recommender is asked for are among those that it knows.</summary>
    internal static void CheckUsers(IReadOnlyList<int> users, int known)
    {
        ArgumentNullException.ThrowIfNull(users);
        foreach (int user in users)
        {
            if (user < 0 || user >= known) throw new ArgumentOutOfRangeException(nameof(users), user, $"User {user} is not there; users are from 0 to {known - 1}.");
        }
    }

    /// <summary>Takes pairs in any order.</summary>
    /// <param name="users">Number of users.</param>
    /// <param name="items">Number of items.</param>
    /// <param name="pairs">User and item of each interaction, from 0; repetitions are counted and dropped.</param>
    /// <exception cref="ArgumentException">A number is out of its range; the message names the pair.</exception>
    public static Interactions Of(int users, int items, IEnumerable<(int User, int Item)> pairs)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(users);
        ArgumentOutOfRangeException.ThrowIfNegative(items);
        ArgumentNullException.ThrowIfNull(pairs);
        var keys = new List<long>();
        foreach ((int user, int item) in pairs)
        {
            if (user < 0 || user >= users || item < 0 || item >= items)
                throw new ArgumentException($"Pair {keys.Count} is user {user} and item {item}; users are from 0 to {users - 1} and items from 0 to {items - 1}.", nameof(pairs));
            keys.Add(((long)user * items) + item);
        }

        keys.Sort();
        var columns = new List<int>(keys.Count);
        int[] offsets = new int[users + 1];
        for (int i = 0; i < keys.Count; i++)
        {
            if (i > 0 && keys[i] == keys[i - 1]) continue;
            columns.Add((int)(keys[i] % items));
            offsets[(keys[i] / items) + 1]++;
        }

        for (int user = 0; user < users; user++) offsets[user + 1] += offsets[user];
        return new(new Support(users, items, offsets, columns.ToArray()), keys.Count - columns.Count);
    }

    /// <summary>Takes a part of each user's items out for testing and validation, at random; each user keeps at least one for training.</summary>
    /// <param name="test">Share of a user's items that are tested, rounded down. Default 0.2.</param>
    /// <param name="validation">Share that validates, rounded down. Default 0.1.</param>
    /// <param name="seed">Seed of the draw. Default 1.</param>
    /// <exception cref="ArgumentOutOfRangeException">A share is negative, or they leave nothing.</exception>
    public InteractionSplit Split(double test = 0.2, double validation = 0.1, long seed = 1)
    {
        if (!(test >= 0)) throw new ArgumentOutOfRangeException(nameof(test), test, "test must not be negative.");
        if (!(validation >= 0 && test + validation < 1)) throw new ArgumentOutOfRangeException(nameof(validation), validation, "validation must not be negative, and test and validation together must leave something to train on.");
        List<(int, int)>[] parts = [[], [], []];
        for (int user = 0; user < Users; user++)
        {
            int[] own = Pairs.Row(user).ToArray();
            new SeededRandom(seed, 4_000_000L + user).Shuffle(own.AsSpan());

            // The guard keeps 0.1 of thirty at three.
            int most = Math.Max(0, own.Length - 1), tested = Math.Min(most, (int)((test * own.Length) + 1e-9)), validated = Math.Min(most - tested, (int)((validation * own.Length) + 1e-9));
            for (int i = 0; i < own.Length; i++) parts[i < tested ? 2 : i < tested + validated ? 1 : 0].Add((user, own[i]));
        }

        return new(Of(Users, Items, parts[0]), Of(Users, Items, parts[1]), Of(Users, Items, parts[2]));
    }

    /// <inheritdoc/>
    public override string ToString() => string.Create(CultureInfo.InvariantCulture, $"Interactions of {Users} users with {Items} items: {Count} ({Pairs.Density:0.###%})");
}

/// <summary>Interactions in three parts that have no pair in common.</summary>
public sealed class InteractionSplit
{
    /// <summary>Takes three parts of the same users and items.</summary>
    /// <param name="training">What is learned from.</param>
    /// <param name="validation">What settings are chosen by.</param>
    /// <param name="test">What is tested.</param>
    /// <exception cref="ArgumentException">Other users or items, or a pair that is in two parts; the message names it.</exception>
    public InteractionSplit(Interactions training, Interactions validation, Interactions test)
    {
        ArgumentNullException.ThrowIfNull(training);
        ArgumentNullException.ThrowIfNull(validation);
        ArgumentNullException.ThrowIfNull(test);
        foreach ((Interactions a, Interactions b, string names, string argument) in new[]
            { (training, validation, "training and validation", nameof(validation)), (training, test, "training and test", nameof(test)), (validation, test, "validation and test", nameof(test)) })
        {
            if (a.Users != b.Users || a.Items != b.Items)
                throw new ArgumentException($"{names} have {a.Users} x {a.Items} and {b.Users} x {b.Items} users and items; they must be the same.", argument);
            Support both = a.Pairs.Intersect(b.Pairs);
            if (both.Count == 0) continue;
            int user = Enumerable.Range(0, both.Rows).First(row => !both.Row(row).IsEmpty);
            throw new ArgumentException($"{both.Count} pairs are in {names}, the first of them user {user} with item {both.Row(user)[0]}; what was learned from cannot test.", argument);
        }

        (Training, Validation, Test) = (training, validation, test);
    }

    /// <summary>What is learned from.</summary>
    public Interactions Training { get; }

    /// <summary>What settings are chosen by.</summary>
    public Interactions Validation { get; }

    /// <summary>What is tested.</summary>
    public Interactions Test { get; }

    /// <summary>Users without an interaction to learn from: they are kept, and nothing can be known of them.</summary>
    public int ColdUsers => Training.UserDegrees().Count(n => n == 0);

    /// <summary>Items without an interaction to learn from.</summary>
    public int ColdItems => Training.ItemDegrees().Count(n => n == 0);

    /// <inheritdoc/>
    public override string ToString() => $"InteractionSplit {{ training {Training.Count}, validation {Validation.Count}, test {Test.Count}, {ColdUsers} users and {ColdItems} items without training }}";
}
