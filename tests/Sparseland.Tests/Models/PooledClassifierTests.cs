using Sparseland.Data.Documentation;
using Sparseland.Models.Language;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Tests.Models;

public class PooledClassifierTests
{
    private static PooledClassifier Network()
    {
        var network = new PooledClassifier(new TinyLM(new LlamaConfig { Vocabulary = 20, Width = 16, Layers = 2, Heads = 2, KeyValueHeads = 1, MlpWidth = 24, Context = 12 }, seed: 5), 4);
        using IDisposable off = no_grad();
        using var generator = new Generator(7);
        network.Head.weight!.copy_(randn([4, 16], generator: generator));
        return network;
    }

    [Fact]
    public void Padding_changes_nothing()
    {
        using var scope = NewDisposeScope();
        using IDisposable off = no_grad();
        using PooledClassifier network = Network();
        Tensor alone = network.call(tensor(new long[] { 3, 1, 4 }, [1, 3]));
        Tensor filled = network.call(tensor(new long[] { 3, 1, 4, -1, -1, 9, 2, 6, 5, 3 }, [2, 5]));
        Assert.True((alone - filled[0]).abs().max().item<float>() < 1e-5);
        Assert.Equal([2, 4], filled.shape);

        // By the definition, from the residual stream.
        Tensor x = network.Decoder.EmbedTokens(tensor(new long[] { 3, 1, 4 }, [1, 3]));
        for (int layer = 0; layer < 2; layer++) x = network.Decoder.RunBlock(layer, x);
        Tensor expected = network.Head.call((x / x.square().mean([-1L], keepdim: true).add(1e-6).sqrt()).mean([1L]));
        Assert.True((alone - expected).abs().max().item<float>() < 1e-5);
    }

    [Fact]
    public void Bad_input_is_refused()
    {
        using var scope = NewDisposeScope();
        using PooledClassifier network = Network();
        Assert.Throws<ArgumentOutOfRangeException>(() => new PooledClassifier(network.Decoder, 1));
        Assert.Throws<ArgumentOutOfRangeException>(() => new PooledClassifier(network.Decoder, 2, blocks: 3));
        Assert.Throws<ArgumentOutOfRangeException>(() => new PooledClassifier(network.Decoder, 2, blocks: 0));
        Assert.Throws<ArgumentException>(() => network.call(tensor(new long[] { -1, -1 }, [1, 2])));
        Assert.Throws<ArgumentException>(() => network.call(tensor(new long[] { 3, -1, 2 }, [1, 3])));
        Assert.Throws<ArgumentException>(() => network.call(tensor(new long[] { 3, 20 }, [1, 2])));
        Assert.Throws<ArgumentException>(() => network.call(ones(2, 3)));
        Assert.Throws<ArgumentException>(() => network.call(zeros(13, dtype: ScalarType.Int64)));
    }

    [Fact]
    public void Sentences_are_different_and_types_stand_on_one_side()
    {
        var members = new List<DocMember>();
        foreach (string space in new[] { "A", "B", "C" })
        {
            for (int type = 0; type < 6; type++)
            {
                for (int i = 0; i < 10; i++)
                    members.Add(new($"M:{space}.T{type}.M{i}", DocMemberKind.Method, space, $"T{type}", $"T{type}.M{i}") { Summary = $"Does {space} {type} {i}. And more." });
            }

            members.Add(new($"M:{space}.T0.Same", DocMemberKind.Method, space, "T0", "T0.Same") { Summary = "Says what all say." });
        }

        NamespaceSentences task = NamespaceSentences.Of(members, classes: 2, each: 30, seed: 4);
        Assert.Equal(["A", "B"], task.Names);
        Assert.Equal((40, 20), (task.Training.Count, task.Test.Count));
        Assert.Equal(20, task.Training.Labels.Count(l => l == 1));
        string[] all = [.. task.Training.Texts, .. task.Test.Texts];
        Assert.Equal(60, all.Distinct().Count());
        Assert.All(all, text => Assert.Matches("^Does [AB] [0-5] [0-9]\\.$", text));
        string[] Types(LabelledSentences part) => [.. part.Texts.Select(t => t[5..8]).Distinct()];
        Assert.Empty(Types(task.Training).Intersect(Types(task.Test)));
        Assert.Equal(task.Test.Texts, NamespaceSentences.Of(members, 2, 30, 4).Test.Texts);
        Assert.NotEqual(task.Test.Texts, NamespaceSentences.Of(members, 2, 30, 5).Test.Texts);
        Assert.Throws<ArgumentException>(() => NamespaceSentences.Of(members, 4, 30));
        Assert.Throws<ArgumentException>(() => NamespaceSentences.Of(members, 2, 61));
        Assert.Throws<ArgumentOutOfRangeException>(() => NamespaceSentences.Of(members, 1));
        Assert.Throws<ArgumentOutOfRangeException>(() => NamespaceSentences.Of(members, 2, 2));
    }
}
