using Sparseland.Tensors;
using Sparseland.Training;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Recommendation;

/// <summary>
/// Triples for a pairwise loss: an interaction drawn uniformly, and an item that its user has not been seen with. Input: users [batch]; target
/// [batch, 2]: the item and the other one.
/// </summary>
public sealed class TripleBatches : IBatchSource
{
    private readonly PairDraw _draw;
    private readonly int _batch;
    private readonly long _seed;

    /// <summary>Triples of interactions.</summary>
    /// <param name="training">The interactions.</param>
    /// <param name="batch">Triples of a mini-batch.</param>
    /// <param name="seed">Seed of the draws. Default 1.</param>
    /// <exception cref="ArgumentException">No interaction, a user who has been seen with every item, or no positive batch.</exception>
    public TripleBatches(Interactions training, int batch, long seed = 1)
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(batch);
        (_draw, _batch, _seed) = (new(training), batch, seed);
    }

    /// <inheritdoc/>
    public string Description => $"triples of {_draw.Training}, {_batch} a batch, seed {_seed}";

    /// <inheritdoc/>
    public Batch At(long index)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(index);
        var random = new SeededRandom(_seed, 6_000_000_000 + index);
        var (users, items) = (new long[_batch], new long[2 * _batch]);
        for (int i = 0; i < _batch; i++)
        {
            (int user, int item) = _draw.Positive(ref random);
            (users[i], items[2 * i], items[(2 * i) + 1]) = (user, item, _draw.Negative(ref random, user));
        }

        return new(tensor(users), tensor(items, [_batch, 2]));
    }
}

/// <summary>Pairs with labels for a pointwise loss. Input [batch, 2]: user and item; target [batch]: 1 for an interaction, 0 for a pair that was drawn against it.</summary>
public sealed class LabelledPairBatches : IBatchSource
{
    private readonly PairDraw _draw;
    private readonly int _positives;
    private readonly int _negatives;
    private readonly long _seed;

    /// <summary>Labelled pairs.</summary>
    /// <param name="training">The interactions.</param>
    /// <param name="positives">Interactions of a mini-batch.</param>
    /// <param name="negatives">Unseen pairs for each interaction. Default 4.</param>
    /// <param name="seed">Seed of the draws. Default 1.</param>
    /// <exception cref="ArgumentException">No interaction, a user who has been seen with every item, or a number that is not positive.</exception>
    public LabelledPairBatches(Interactions training, int positives, int negatives = 4, long seed = 1)
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(positives);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(negatives);
        (_draw, _positives, _negatives, _seed) = (new(training), positives, negatives, seed);
    }

    /// <inheritdoc/>
    public string Description => $"labelled pairs of {_draw.Training}, {_positives} with {_negatives} others each, seed {_seed}";

    /// <inheritdoc/>
    public Batch At(long index)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(index);
        var random = new SeededRandom(_seed, 7_000_000_000 + index);
        int count = _positives * (1 + _negatives), at = 0;
        var (pairs, labels) = (new long[2 * count], new float[count]);
        for (int i = 0; i < _positives; i++)
        {
            (int user, int item) = _draw.Positive(ref random);
            for (int n = 0; n <= _negatives; n++, at++)
                (pairs[2 * at], pairs[(2 * at) + 1], labels[at]) = (user, n == 0 ? item : _draw.Negative(ref random, user), n == 0 ? 1 : 0);
        }

        return new(tensor(pairs, [count, 2]), tensor(labels));
    }
}

/// <summary>Whole histories of users, each user once an epoch. Input [batch, items] of 0 and 1; target [1]: the number of the batch.</summary>
public sealed class HistoryBatches : IBatchSource
{
    private readonly Interactions _training;
    private readonly int[] _users;
    private readonly int _batch;
    private readonly long _seed;

    /// <summary>Histories.</summary>
    /// <param name="training">The interactions; users without any are left out.</param>
    /// <param name="batch">Users of a mini-batch, at most all; the rest of an epoch that fills none is left out.</param>
    /// <param name="seed">Seed of the order. Default 1.</param>
    /// <exception cref="ArgumentException">Fewer users than a mini-batch has.</exception>
    public HistoryBatches(Interactions training, int batch, long seed = 1)
    {
        ArgumentNullException.ThrowIfNull(training);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(batch);
        _users = [.. Enumerable.Range(0, training.Users).Where(user => !training.Pairs.Row(user).IsEmpty)];
        if (_users.Length < batch) throw new ArgumentException($"{_users.Length} users have a history; a mini-batch needs {batch}.", nameof(batch));
        (_training, _batch, _seed) = (training, batch, seed);
    }

    /// <inheritdoc/>
    public string Description => $"histories of {_training}, {_batch} a batch, seed {_seed}";

    /// <inheritdoc/>
    public Batch At(long index)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(index);
        (long epoch, long place) = Math.DivRem(index, _users.Length / _batch);
        int[] order = [.. _users];
        new SeededRandom(_seed, 8_000_000_000 + epoch).Shuffle(order.AsSpan());
        return new(Rows(_training, order.AsSpan((int)place * _batch, _batch)), tensor(new[] { index }));
    }

    /// <summary>Histories of users as rows of 0 and 1.</summary>
    internal static Tensor Rows(Interactions interactions, ReadOnlySpan<int> users)
    {
        float[] rows = new float[users.Length * interactions.Items];
        for (int i = 0; i < users.Length; i++)
        {
            foreach (int item in interactions.Pairs.Row(users[i])) rows[(i * interactions.Items) + item] = 1;
        }

        return tensor(rows, [users.Length, interactions.Items]);
    }
}

/// <summary>Draws interactions and items that are none.</summary>
internal sealed class PairDraw
{
    private readonly int[] _userOf;

    public PairDraw(Interactions training)
    {
        ArgumentNullException.ThrowIfNull(training);
        if (training.Count == 0) throw new ArgumentException("There is no interaction to learn from.", nameof(training));
        Training = training;
        _userOf = new int[training.Count];
        for (int user = 0; user < training.Users; user++)
        {
            if (training.Pairs.Row(user).Length == training.Items)
                throw new ArgumentException($"User {user} has been seen with all {training.Items} items; there is none to draw against them.", nameof(training));
            _userOf.AsSpan(training.Pairs.RowOffsets[user]..training.Pairs.RowOffsets[user + 1]).Fill(user);
        }
    }

    public Interactions Training { get; }

    public (int User, int Item) Positive(ref SeededRandom random)
    {
        int at = random.NextInt(_userOf.Length);
        return (_userOf[at], Training.Pairs.ColumnIndices[at]);
    }

    public int Negative(ref SeededRandom random, int user)
    {
        while (true)
        {
            int item = random.NextInt(Training.Items);
            if (Training.Pairs.Row(user).BinarySearch(item) < 0) return item;
        }
    }
}
