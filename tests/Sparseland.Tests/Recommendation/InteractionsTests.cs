using Sparseland.Recommendation;

namespace Sparseland.Tests.Recommendation;

public class InteractionsTests
{
    [Fact]
    public void Pairs_in_any_order_become_rows_and_repetitions_are_counted()
    {
        Interactions some = Interactions.Of(4, 5, [(2, 4), (0, 1), (2, 0), (0, 1), (2, 4), (3, 2), (0, 1)]);
        Assert.Equal((4, 5, 4, 3), (some.Users, some.Items, some.Count, some.Duplicates));
        Assert.Equal([0, 4], some.Pairs.Row(2).ToArray());
        Assert.Equal([1, 0, 2, 1], some.UserDegrees());
        Assert.Equal([1, 1, 1, 0, 1], some.ItemDegrees());
        Assert.Contains("user 4 and item 0", Assert.Throws<ArgumentException>("pairs", () => Interactions.Of(4, 5, [(0, 0), (4, 0)])).Message, StringComparison.Ordinal);
        Assert.Throws<ArgumentException>("pairs", () => Interactions.Of(4, 5, [(0, -1)]));
    }

    [Fact]
    public void A_split_takes_its_share_of_every_user_and_loses_nothing()
    {
        Interactions all = InteractionGenerator.Draw(new() { Users = 60, Items = 100, Longest = 80 }, 2).Interactions;
        InteractionSplit split = all.Split(0.2, 0.1, 3);
        Assert.Equal(all.Pairs, split.Training.Pairs.Union(split.Validation.Pairs).Union(split.Test.Pairs));
        Assert.Equal(all.Count, split.Training.Count + split.Validation.Count + split.Test.Count);
        for (int user = 0; user < 60; user++)
        {
            int n = all.Pairs.Row(user).Length;
            Assert.Equal((n * 2 / 10, n / 10), (split.Test.Pairs.Row(user).Length, split.Validation.Pairs.Row(user).Length));
        }

        Assert.Equal(split.Test.Pairs, all.Split(0.2, 0.1, 3).Test.Pairs);
        Assert.NotEqual(split.Test.Pairs, all.Split(0.2, 0.1, 4).Test.Pairs);
        Assert.Throws<ArgumentOutOfRangeException>("validation", () => all.Split(0.6, 0.4));
        Assert.Throws<ArgumentOutOfRangeException>("test", () => all.Split(-0.1));
    }

    [Fact]
    public void Parts_with_a_pair_in_common_are_refused_and_who_has_no_training_is_counted()
    {
        Interactions training = Interactions.Of(3, 3, [(0, 0), (1, 1)]), test = Interactions.Of(3, 3, [(0, 1), (1, 1)]), none = Interactions.Of(3, 3, []);
        Assert.Contains("user 1 with item 1", Assert.Throws<ArgumentException>("test", () => new InteractionSplit(training, none, test)).Message, StringComparison.Ordinal);
        Assert.Throws<ArgumentException>("validation", () => new InteractionSplit(training, Interactions.Of(3, 4, []), none));
        InteractionSplit split = new(training, none, Interactions.Of(3, 3, [(2, 2)]));
        Assert.Equal((1, 1), (split.ColdUsers, split.ColdItems));
    }

    [Fact]
    public void Generated_interactions_follow_their_laws()
    {
        GeneratedInteractions drawn = InteractionGenerator.Draw(seed: 1);
        Interactions all = drawn.Interactions;
        Assert.Equal((800, 600, 0), (all.Users, all.Items, all.Duplicates));
        Assert.InRange(all.Split().Training.Count, 14_500, 16_200);
        Assert.All(all.UserDegrees(), n => Assert.InRange(n, 8, 150));
        Assert.InRange(all.UserDegrees().Order().ElementAt(400), 22, 26);
        for (int row = 0; row < 800; row++) Assert.Equal(1, Enumerable.Range(0, 16).Sum(topic => drawn.UserTopics[row, topic]), 1e-12);

        // A Dirichlet variable of 16 parts with concentration 0.1 has the mean square (1 + 0.1) / (16 (1 + 1.6)).
        double square = drawn.UserTopics.Cast<double>().Average(u => u * u);
        Assert.Equal(1.1 / (16 * 2.6), square, 0.002);

        // The taken items are those that share topics.
        double Affinity(int user, int item) => Enumerable.Range(0, 16).Sum(topic => drawn.UserTopics[user, topic] * drawn.ItemTopics[item, topic]);
        double taken = Enumerable.Range(0, 800).Average(user => all.Pairs.Row(user).ToArray().Average(item => Affinity(user, item)));
        double any = Enumerable.Range(0, 800).Average(user => Enumerable.Range(0, 600).Average(item => Affinity(user, item)));
        Assert.True(taken > 3 * any, $"{taken} against {any}");
        Assert.Equal(all.Pairs, InteractionGenerator.Draw(seed: 1).Interactions.Pairs);
        Assert.NotEqual(all.Pairs, InteractionGenerator.Draw(seed: 2).Interactions.Pairs);
        Assert.Throws<ArgumentOutOfRangeException>("Longest", () => InteractionGenerator.Draw(new() { Items = 100 }));
        Assert.Throws<ArgumentOutOfRangeException>("Concentration", () => InteractionGenerator.Draw(new() { Concentration = 0 }));
    }
}
