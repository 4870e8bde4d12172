using Sparseland.Attention;
using Sparseland.Attention.Tasks;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Tests.Attention;

public class TaskLMTests
{
    [Fact]
    public void Answers_are_right_by_reading_the_text()
    {
        using TaskSequences made = TaskSequences.Generate(40, new() { Tokens = 192 }, 3);
        long[] ids = made.Ids.data<long>().ToArray(), targets = made.Targets.data<long>().ToArray(), kinds = made.Kinds.data<long>().ToArray();
        int tail = made.TailStart;
        Assert.Equal(192 - 38, tail);
        for (int s = 0; s < 40; s++)
        {
            Span<long> text = ids.AsSpan(s * 192, 192), body = text[..tail];
            int[] asked = new int[3];
            for (int t = 0; t < 192; t++)
            {
                long kind = kinds[(s * 192) + t], target = targets[(s * 192) + t];
                Assert.Equal(kind < 0, target == -100);
                if (kind < 0) continue;
                asked[kind]++;
                Assert.True(t >= tail);
                Assert.Equal(target, text[t + 1]);
                if (kind == (long)TaskKind.Retrieval) Assert.Equal(target, body[body.IndexOf(text[t]) + 1]);
                if (kind == (long)TaskKind.Aggregation)
                {
                    int[] counts = new int[8];
                    foreach (long id in body)
                    {
                        if (id is >= 72 and < 80) counts[id - 72]++;
                    }

                    Assert.Equal(counts.Max(), counts[target - 72]);
                }

                if (kind == (long)TaskKind.TwoHops)
                {
                    // a stands once as the first of a pair; b stands as its second and as the first of another.
                    int a = body.IndexOf(text[t]);
                    long b = body[a + 1];
                    Assert.InRange(b, 0, 47);
                    int first = body.IndexOf(b), second = body[(first + 1)..].IndexOf(b) + first + 1;
                    int own = first == a + 1 ? second : first;
                    Assert.Equal(target, body[own + 1]);
                }
            }

            Assert.Equal([8, 4, 1], asked);
        }
    }

    [Fact]
    public void The_same_seed_gives_the_same_and_other_numbers_others()
    {
        using TaskSequences a = TaskSequences.Generate(3, seed: 5), b = TaskSequences.Generate(2, seed: 5), c = TaskSequences.Generate(2, seed: 6);
        Assert.Equal(a.Ids.narrow(0, 0, 2).data<long>().ToArray(), b.Ids.data<long>().ToArray());
        Assert.NotEqual(b.Ids.data<long>().ToArray(), c.Ids.data<long>().ToArray());
        Assert.Throws<ArgumentException>("Tokens", () => TaskSequences.Generate(1, new() { Tokens = 90 }));
        Assert.Throws<ArgumentException>("Pairs", () => TaskSequences.Generate(1, new() { Pairs = 40 }));
        Assert.Throws<ArgumentException>("Pairs", () => TaskSequences.Generate(1, new() { Chains = 0, Hops = 0, Pairs = 0 }));
    }

    [Fact]
    public void The_model_is_causal_saves_and_learns_a_little()
    {
        using var model = new TaskLM(width: 32, seed: 3);
        using TaskSequences made = TaskSequences.Generate(2, new() { Tokens = 128 });
        Tensor logits = model.Logits(made.Ids), changed = made.Ids.clone();
        changed.narrow(1, 60, 68).copy_(made.Ids.narrow(1, 60, 68).flip(1));
        Assert.True((model.Logits(changed) - logits).narrow(1, 0, 60).abs().max().item<float>() < 1e-5);
        Assert.True((model.Logits(made.Ids, attention: new PatternAttention(c => AttentionPatterns.Full(c.Tokens))) - logits).abs().max().item<float>() < 1e-4);
        string folder = Directory.CreateTempSubdirectory("tasklm").FullName;
        try
        {
            model.Save(folder);
            using TaskLM read = TaskLM.Load(folder);
            Assert.Equal(0, (read.Logits(made.Ids) - logits).abs().max().item<float>());
            File.WriteAllText(Path.Combine(folder, "config.json"), """{"model_type":"tasklm","layers":3,"width":32,"context":64}""");
            Assert.Contains("has no 'layers.2", Assert.Throws<InvalidDataException>(() => TaskLM.Load(folder)).Message, StringComparison.Ordinal);
            File.WriteAllText(Path.Combine(folder, "config.json"), """{"model_type":"llama"}""");
            Assert.Throws<InvalidDataException>(() => TaskLM.Load(folder));
            File.WriteAllText(Path.Combine(folder, "config.json"), "{");
            Assert.Throws<InvalidDataException>(() => TaskLM.Load(folder));
        }
        finally
        {
            Directory.Delete(folder, true);
        }

        IReadOnlyList<TaskLook> looks = TaskTraining.Run(model, new() { Stages = [new(new() { Tokens = 48, Pairs = 2, Chains = 0, Hops = 0, Retrievals = 4 }, 60, 16)], LookEvery = 20 });
        Assert.Equal(3, looks.Count);
        Assert.True(looks[^1].Loss < looks[0].Loss);
        Assert.Throws<NotSupportedException>(() =>
        {
            using var cache = model.NewCache(2);
            model.Logits(made.Ids.narrow(1, 0, 4), cache: cache).Dispose();
            model.Logits(made.Ids.narrow(1, 4, 1), cache: cache).Dispose();
        });
    }
}
