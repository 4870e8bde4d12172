using Sparseland.Tensors;

namespace Sparseland.Recommendation;

/// <summary>Settings of <see cref="InteractionGenerator"/>.</summary>
public sealed record InteractionGeneratorOptions
{
    /// <summary>Number of users. Default 800.</summary>
    public int Users { get; init; } = 800;

    /// <summary>Number of items. Default 600.</summary>
    public int Items { get; init; } = 600;

    /// <summary>Number of topics. Default 16.</summary>
    public int Topics { get; init; } = 16;

    /// <summary>Concentration of the topic mixtures, positive: small for users and items of few topics. Default 0.1.</summary>
    public double Concentration { get; init; } = 0.1;

    /// <summary>Affinity of users and items that share no topic, positive. Default 0.002.</summary>
    public double Floor { get; init; } = 0.002;

    /// <summary>Popularity is rank to the power of minus this. Default 0.4.</summary>
    public double PopularityExponent { get; init; } = 0.4;

    /// <summary>Median length of a history. Default 24.</summary>
    public double MedianLength { get; init; } = 24;

    /// <summary>Standard deviation of the logarithm of a length. Default 0.5.</summary>
    public double LengthDeviation { get; init; } = 0.5;

    /// <summary>Shortest history. Default 8.</summary>
    public int Shortest { get; init; } = 8;

    /// <summary>Longest history, at most the number of items. Default 150.</summary>
    public int Longest { get; init; } = 150;

    /// <summary>Throws when a value is outside its range.</summary>
    /// <exception cref="ArgumentException">A value is outside its range.</exception>
    public void Validate()
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(Users);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(Items);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(Topics);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(Shortest);
        Finite.Positive(Concentration);
        Finite.Positive(Floor);
        Finite.Positive(MedianLength);
        Finite.NotNegative(LengthDeviation);
        Finite.NotNegative(PopularityExponent);
        if (Longest < Shortest || Longest > Items) throw new ArgumentOutOfRangeException(nameof(Longest), Longest, $"Longest must be from Shortest, {Shortest}, to Items, {Items}.");
    }
}

/// <summary>Generated interactions with what they were generated from.</summary>
/// <param name="Interactions">The interactions.</param>
/// <param name="UserTopics">[users, topics], each row a mixture.</param>
/// <param name="ItemTopics">[items, topics], each row a mixture.</param>
/// <param name="Popularity">[items], rank to the power of minus the exponent.</param>
public sealed record GeneratedInteractions(Interactions Interactions, double[,] UserTopics, double[,] ItemTopics, double[] Popularity)
{
    /// <inheritdoc/>
    public override string ToString() => Readable.Of(this);
}

/// <summary>
/// Interactions with a known structure: users and items are mixtures of topics, and a user takes items in proportion to ((u . v)^2 + floor) times
/// popularity, without replacement, as many as a log-normal length says.
/// </summary>
public static class InteractionGenerator
{
    /// <summary>Draws interactions.</summary>
    /// <param name="options">Sizes and laws; null, the default, for those of the record.</param>
    /// <param name="seed">Seed of everything. Default 1.</param>
    /// <param name="cancel">Checked for each user.</param>
    /// <exception cref="ArgumentException">An option is out of its range.</exception>
    public static GeneratedInteractions Draw(InteractionGeneratorOptions? options = null, long seed = 1, CancellationToken cancel = default)
    {
        options ??= new();
        options.Validate();
        double[,] users = Mixtures(options.Users, options, seed, 5_000_001), items = Mixtures(options.Items, options, seed, 5_000_002);
        double[] popularity = [.. Enumerable.Range(1, options.Items).Select(rank => Math.Pow(rank, -options.PopularityExponent))];
        new SeededRandom(seed, 5_000_003).Shuffle(popularity.AsSpan());
        var pairs = new List<(int, int)>();
        double[] keys = new double[options.Items];
        int[] order = new int[options.Items];
        for (int user = 0; user < options.Users; user++)
        {
            cancel.ThrowIfCancellationRequested();
            var random = new SeededRandom(seed, 5_100_000L + user);
            double length = options.MedianLength * Math.Exp(options.LengthDeviation * random.NextGaussian());
            int count = (int)Math.Round(Math.Clamp(length, options.Shortest, options.Longest));
            for (int item = 0; item < options.Items; item++)
            {
                double common = 0;
                for (int topic = 0; topic < options.Topics; topic++) common += users[user, topic] * items[item, topic];

                // A race of exponential clocks: the first to ring are a draw without replacement in proportion to the rates.
                keys[item] = -Math.Log(1 - random.NextDouble()) / (((common * common) + options.Floor) * popularity[item]);
                order[item] = item;
            }

            Array.Sort((double[])keys.Clone(), order);
            pairs.AddRange(order.Take(count).Select(item => (user, item)));
        }

        return new(Interactions.Of(options.Users, options.Items, pairs), users, items, popularity);
    }

    private static double[,] Mixtures(int count, InteractionGeneratorOptions options, long seed, long stream)
    {
        double[,] mixtures = new double[count, options.Topics];
        double[] logs = new double[options.Topics];
        var random = new SeededRandom(seed, stream);
        for (int row = 0; row < count; row++)
        {
            double sum = 0, largest = double.NegativeInfinity;
            for (int topic = 0; topic < options.Topics; topic++)
            {
                sum += mixtures[row, topic] = Gamma(ref random, options.Concentration, out logs[topic]);
                largest = Math.Max(largest, logs[topic]);
            }

            // Under small concentrations all of a row's numbers leave float64 at its small end; which of them is the largest their logarithms still say.
            if (sum < 1e-250)
            {
                sum = 0;
                for (int topic = 0; topic < options.Topics; topic++) sum += mixtures[row, topic] = Math.Exp(logs[topic] - largest);
            }

            for (int topic = 0; topic < options.Topics; topic++) mixtures[row, topic] /= sum;
        }

        return mixtures;
    }

    /// <summary>A Gamma variable of unit scale by Marsaglia and Tsang (2000); a shape below 1 through shape + 1.</summary>
    private static double Gamma(ref SeededRandom random, double shape, out double log)
    {
        double lot = shape < 1 ? 1 - random.NextDouble() : 1, boost = shape < 1 ? Math.Pow(lot, 1 / shape) : 1, d = (shape < 1 ? shape + 1 : shape) - (1.0 / 3), c = 1 / Math.Sqrt(9 * d);
        while (true)
        {
            double x = random.NextGaussian(), v = 1 + (c * x);
            if (v <= 0) continue;
            v = v * v * v;
            if (Math.Log(1 - random.NextDouble()) < (0.5 * x * x) + d - (d * v) + (d * Math.Log(v)))
            {
                log = Math.Max(Math.Log(d * v) + (shape < 1 ? Math.Log(lot) / shape : 0), -double.MaxValue);
                return d * v * boost;
            }
        }
    }
}
