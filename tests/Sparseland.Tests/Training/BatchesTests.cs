using Sparseland.Models.Language;
using Sparseland.Training;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Tests.Training;

public class BatchesTests
{
    [Fact]
    public void Every_sample_comes_once_an_epoch_in_another_order_each_time()
    {
        using var scope = NewDisposeScope();
        Tensor X = arange(10, dtype: ScalarType.Float32).view(10, 1), labels = arange(10, dtype: ScalarType.Int64);
        var batches = new SampleBatches(X, labels, 4, 3);
        Assert.Equal(3, batches.PerEpoch);
        long[] Epoch(int e) => [.. Enumerable.Range(0, 3).SelectMany(i => batches.At((3 * e) + i).Target.data<long>().ToArray())];
        long[] first = Epoch(0), second = Epoch(1);
        Assert.Equal(Enumerable.Range(0, 10).Select(i => (long)i), first.Order());
        Assert.Equal(first.Order(), second.Order());
        Assert.NotEqual(first, second);
        Assert.Equal(2, batches.At(2).Input.shape[0]);

        // Input and target belong together, and a batch is the same whenever it is asked for.
        Assert.Equal(first, Epoch(0));
        Batch any = new SampleBatches(X, labels, 4, 3).At(4);
        Assert.Equal(any.Target.data<long>().ToArray(), batches.At(4).Target.data<long>().ToArray());
        Assert.Equal(any.Target.data<long>().ToArray().Select(l => (double)l), TrainingData.Numbers(any.Input.flatten()));
        Assert.NotEqual(any.Target.data<long>().ToArray(), new SampleBatches(X, labels, 4, 4).At(4).Target.data<long>().ToArray());
    }

    [Fact]
    public void Windows_of_an_epoch_do_not_overlap_and_the_target_is_the_next_token()
    {
        using var scope = NewDisposeScope();
        var text = new TokenText([.. Enumerable.Range(0, 100)]);
        var batches = new TextBatches(text, 3, 8, 5);
        Assert.Equal(3, batches.PerEpoch);
        Assert.Equal(24, batches.TokensPerBatch);
        for (int epoch = 0; epoch < 20; epoch++)
        {
            var seen = new HashSet<long>();
            for (int i = 0; i < batches.PerEpoch; i++)
            {
                Batch batch = batches.At((epoch * batches.PerEpoch) + i);
                Assert.Equal([3, 8], batch.Input.shape);
                Assert.All(batch.Input.data<long>().ToArray(), id => Assert.True(seen.Add(id)));
                Assert.Equal(batch.Input.data<long>().ToArray().Select(id => id + 1), batch.Target.data<long>().ToArray());
            }
        }

        Assert.NotEqual(batches.At(0).Input.data<long>().ToArray(), batches.At(batches.PerEpoch).Input.data<long>().ToArray());
    }

    [Fact]
    public void What_makes_no_batch_is_refused()
    {
        using var scope = NewDisposeScope();
        var text = new TokenText([.. Enumerable.Range(0, 33)]);
        Assert.Contains("33 tokens", Assert.Throws<ArgumentException>("text", () => new TextBatches(text, 4, 8)).Message, StringComparison.Ordinal);
        _ = new TextBatches(text, 3, 8).At(100);
        Assert.Throws<ArgumentOutOfRangeException>("batch", () => new TextBatches(text, 0, 8));
        Assert.Throws<ArgumentOutOfRangeException>("length", () => new TextBatches(text, 1, 0));
        Assert.Throws<ArgumentOutOfRangeException>("index", () => new TextBatches(text, 1, 8).At(-1));
        Assert.Throws<ArgumentException>("targets", () => new SampleBatches(zeros(4, 2), zeros(3), 2));
        Assert.Throws<ArgumentException>("X", () => new SampleBatches(zeros(0, 2), zeros(0), 2));
        Assert.Throws<ArgumentOutOfRangeException>("batch", () => new SampleBatches(zeros(4, 2), zeros(4), 0));
    }

    [Fact]
    public void Kept_batches_are_made_once_and_are_the_same_on_every_thread()
    {
        using var scope = NewDisposeScope();
        var source = new Counting();
        using var kept = new KeptBatches(source, most: 20);
        float[] sums = new float[200];
        Parallel.For(0, 200, i =>
        {
            // A caller that changes or frees its batch does no harm to the next.
            using var inner = NewDisposeScope();
            Batch batch = kept.At(i % 25);
            sums[i] = batch.Input.sum().item<float>() + batch.Target.sum().item<float>();
            batch.Input.zero_();
            batch.Target.Dispose();
        });
        for (int i = 0; i < 200; i++) Assert.Equal(6 * (i % 25) + (i % 25) + 1, sums[i]);
        Assert.Equal(20, kept.Count);
        Assert.All(source.Asked.Where(pair => pair.Key < 20), pair => Assert.Equal(1, pair.Value));
        Assert.Equal(8, source.Asked[24]);
        kept.Dispose();
        Assert.Equal(0, kept.Count);
        Assert.Equal(18, kept.At(3).Input.sum().item<float>());
        Assert.Equal("counting", kept.Description);
        Assert.Throws<ArgumentOutOfRangeException>(() => new KeptBatches(source, -1));
    }

    [Fact]
    public void Windows_from_anywhere_depend_on_seed_and_number_and_reach_both_ends()
    {
        using var scope = NewDisposeScope();
        TokenText text = new([.. Enumerable.Range(0, 12)]);
        RandomWindows windows = new(text, 4, 5, seed: 2);
        Batch first = windows.At(7), again = new RandomWindows(text, 4, 5, seed: 2).At(7);
        Assert.True(first.Input.equal(again.Input).all().item<bool>());
        Assert.Equal([4L, 5], first.Input.shape);
        Assert.True(first.Input.add(1).equal(first.Target).all().item<bool>());
        Assert.False(first.Input.equal(windows.At(8).Input).all().item<bool>());
        HashSet<long> starts = [.. Enumerable.Range(0, 60).SelectMany(i => windows.At(i).Input.select(1, 0).data<long>().ToArray())];
        Assert.Equal(Enumerable.Range(0, 7).Select(i => (long)i), starts.Order());
        Assert.Throws<ArgumentException>("text", () => new RandomWindows(text, 1, 12));
        Assert.Throws<ArgumentOutOfRangeException>("batch", () => new RandomWindows(text, 0, 5));
        Assert.Throws<ArgumentOutOfRangeException>("length", () => new RandomWindows(text, 1, 0));
        Assert.Throws<ArgumentOutOfRangeException>("index", () => windows.At(-1));
    }

    private sealed class Counting : IBatchSource
    {
        public Dictionary<long, int> Asked { get; } = [];

        public string Description => "counting";

        public Batch At(long index)
        {
            Asked[index] = Asked.GetValueOrDefault(index) + 1;
            return new(full([2, 3], (float)index), full([1], index + 1f));
        }
    }
}
