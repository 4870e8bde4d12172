using System.Text.Json.Nodes;
using Sparseland.Autoencoders;
using Sparseland.Autoencoders.Metrics;
using Sparseland.IO;
using Sparseland.Training;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Tests.Autoencoders;

/// <summary>Sources of activations as others write them, buffers on many threads and after faults, and files that were cut, mixed or changed.</summary>
public sealed class SourceTrialTests : FolderBed
{
    [Theory]
    [InlineData("few rows", "[5, 3]")]
    [InlineData("many rows", "[7, 3]")]
    [InlineData("one row", "[1, 3]")]
    [InlineData("narrow", "[6, 1]")]
    [InlineData("half", "Float16")]
    [InlineData("whole numbers", "Int64")]
    [InlineData("no gradients", "it has gradients, but gave none")]
    [InlineData("gradients", "it has no gradients, but gave some")]
    [InlineData("few gradients", "[5, 3]")]
    public void A_source_that_does_not_give_what_it_says_is_refused_by_name(string lie, string said)
    {
        var source = new Lying(lie);
        var autoencoder = new SparseAutoencoder(3, 8, new TopKRule(2));
        foreach (Action use in (Action[])
        [
            () =>
            {
                using var buffer = new ActivationBuffer(source, 2, new() { Capacity = 100 });
                buffer.At(0);
            },
            () => ActivationFiles.Write(source, At("out")), () => ReconstructionReport.Of(autoencoder, source), () => LatentDensity.Of(autoencoder, source), () => OrdinaryTokens.Of(source, 10),
        ])
        {
            string message = Assert.Throws<InvalidDataException>(use).Message;
            Assert.Contains(said, message, StringComparison.Ordinal);
            Assert.Contains("a lie", message, StringComparison.Ordinal);
        }
    }

    [Fact]
    public void A_buffer_gives_the_same_batches_to_many_threads_in_any_order()
    {
        var source = new TensorActivations(Rows(400, 3), Rows(400, 3) * 2);
        using var one = new ActivationBuffer(source, 4, new() { Capacity = 200, Repeat = true, Seed = 9 });
        using var other = new ActivationBuffer(source, 4, new() { Capacity = 200, Repeat = true, Seed = 9 });
        float[][] expected = [.. Enumerable.Range(0, 250).Select(i => Numbers(one.At(i).Input))];
        var random = new Random(1);
        int[] order = [.. Enumerable.Range(0, 250)];
        random.Shuffle(order);
        Parallel.ForEach(order.Chunk(50), new ParallelOptions { MaxDegreeOfParallelism = 4 }, some =>
        {
            foreach (int i in some)
            {
                Batch batch = other.At(i);
                Assert.Equal(expected[i], Numbers(batch.Input));
                Assert.Equal(expected[i].Select(v => 2 * v), Numbers(batch.Target));
            }
        });
        foreach (int epoch in (int[])[0, 1])
            Assert.Equal(Enumerable.Range(0, 400).Select(i => (float)i), Enumerable.Range(epoch * 100, 100).SelectMany(i => Tokens(expected[i])).Order());
        Assert.NotEqual(expected[0], expected[100]);
    }

    [Fact]
    public void A_buffer_goes_on_after_a_source_that_failed_or_was_stopped()
    {
        var source = new Failing(new TensorActivations(Rows(20_000, 3))) { At = 2 };
        using var buffer = new ActivationBuffer(source, 10, new() { Capacity = 20_000 });
        Assert.Throws<IOException>(() => buffer.At(0));
        using var whole = new ActivationBuffer(new TensorActivations(Rows(20_000, 3)), 10, new() { Capacity = 20_000 });
        Assert.Equal(Numbers(whole.At(7).Input), Numbers(buffer.At(7).Input));
        using var stop = new CancellationTokenSource();
        using var stopped = new ActivationBuffer(new Failing(new TensorActivations(Rows(20_000, 3))) { At = 2, Stop = stop }, 10, new() { Capacity = 20_000 }, cancel: stop.Token);
        Assert.Throws<OperationCanceledException>(() => stopped.At(0));
    }

    [Fact]
    public void Bounds_of_a_buffer_are_named_and_the_last_index_is_as_good_as_the_first()
    {
        var source = new TensorActivations(Rows(60, 3));
        foreach (int capacity in (int[])[0, -1, int.MinValue, 59])
            Assert.Contains("Capacity", Assert.Throws<ArgumentException>(() => new ActivationBuffer(source, 2, new() { Capacity = capacity })).Message, StringComparison.Ordinal);
        Assert.Contains("60 tokens", Assert.Throws<ArgumentException>(() => new ActivationBuffer(source, 61)).Message, StringComparison.Ordinal);
        Assert.Throws<ArgumentOutOfRangeException>(() => new ActivationBuffer(source, 0));
        using var all = new ActivationBuffer(source, 60, new() { Capacity = int.MaxValue, Repeat = true });
        Assert.Equal((1, 60), (all.PerEpoch, (int)all.At(0).Input.shape[0]));
        Assert.Equal(Enumerable.Range(0, 60).Select(i => (float)i), Tokens(Numbers(all.At(long.MaxValue).Input)).Order());
        Assert.Throws<ArgumentOutOfRangeException>(() => all.At(-1));
        using var once = new ActivationBuffer(source, 7);
        Assert.Equal(8, once.PerEpoch);
        Assert.Contains("Batch 9", Assert.Throws<InvalidOperationException>(() => once.At(8)).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Float64_stays_float64_and_what_half_precision_loses_is_refused()
    {
        Tensor x = Rows(64, 3).to(ScalarType.Float64) + 1;
        using var wide = new ActivationBuffer(new TensorActivations(x), 8, new() { Capacity = 400 });
        Assert.Equal(ScalarType.Float64, wide.At(0).Input.dtype);
        using var half = new ActivationBuffer(new TensorActivations(x * 1e-9), 8, new() { Capacity = 400, Half = true });
        Assert.Contains("too small for float16", Assert.Throws<InvalidDataException>(() => half.At(0)).Message, StringComparison.Ordinal);
        using var huge = new ActivationBuffer(new TensorActivations(x * 1e300), 8, new() { Capacity = 400, Half = true });
        Assert.Contains("above 65504", Assert.Throws<InvalidDataException>(() => huge.At(0)).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Files_in_half_precision_refuse_what_they_would_lose()
    {
        Tensor x = Rows(64, 3) + 1;
        Assert.Contains("too small for float16", Assert.Throws<InvalidDataException>(() => ActivationFiles.Write(new TensorActivations(x, x * 1e-9f), At("g"), new() { Type = ScalarType.Float16 })).Message, StringComparison.Ordinal);
        Assert.Contains("too small for float16", Assert.Throws<InvalidDataException>(() => ActivationFiles.Write(new TensorActivations(x * 1e-9f), At("x"), new() { Type = ScalarType.Float16 })).Message, StringComparison.Ordinal);
        Assert.Throws<InvalidDataException>(() => ActivationFiles.Write(new TensorActivations(x.to(ScalarType.Float64) * 1e39), At("wide")));
        ActivationFiles.Write(new TensorActivations(x, x * 1e-9f), At("b"), new() { Type = ScalarType.BFloat16 });
        using var files = ActivationFiles.Open(At("b"));
        Assert.True(files.Read([0], default).Gradients!.abs().min().item<float>() > 9e-10f);

        // Nothing but zeros is nothing lost.
        ActivationFiles.Write(new TensorActivations(x, x * 0), At("zeros"), new() { Type = ScalarType.Float16 });
    }

    [Fact]
    public void Files_that_are_read_through_another_source_are_not_written_over()
    {
        ActivationFiles.Write(new TensorActivations(Rows(64, 3) + 1), At("own"));
        using var own = ActivationFiles.Open(At("own"));
        byte[] before = File.ReadAllBytes(At("own/activations-00001.safetensors"));
        OrdinaryTokens ordinary = OrdinaryTokens.Of(own, 10);
        Assert.Contains("another folder", Assert.Throws<ArgumentException>(() => ActivationFiles.Write(ordinary, At("own"))).Message, StringComparison.Ordinal);
        Assert.Equal(before, File.ReadAllBytes(At("own/activations-00001.safetensors")));
        if (!OperatingSystem.IsWindows())
        {
            File.CreateSymbolicLink(At("link"), At("own"));
            Assert.Contains("another folder", Assert.Throws<ArgumentException>(() => ActivationFiles.Write(own, At("link"))).Message, StringComparison.Ordinal);
        }

        ActivationFiles.Write(ordinary, At("other"));
    }

    [Fact]
    public void A_set_whose_writing_was_stopped_is_not_read_as_a_whole_one()
    {
        using var stop = new CancellationTokenSource();
        var source = new Failing(new TensorActivations(Rows(20_000, 3))) { At = 3, Stop = stop };
        Assert.Throws<OperationCanceledException>(() => ActivationFiles.Write(source, At("cut"), new() { TokensPerFile = 5000 }, cancel: stop.Token));
        Assert.NotEmpty(Directory.GetFiles(At("cut"), "*.safetensors"));
        Assert.Contains("was stopped", Assert.Throws<InvalidDataException>(() => ActivationFiles.Open(At("cut"))).Message, StringComparison.Ordinal);
        ActivationFiles.Write(new TensorActivations(Rows(64, 3)), At("cut"));
        using var files = ActivationFiles.Open(At("cut"));
        Assert.Equal(64, files.Tokens);
    }

    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(3)]
    public void Shards_without_rows_are_passed_over(int where)
    {
        Tensor x = Rows(30, 3);
        for (int shard = 0, from = 0; shard < 4; shard++)
        {
            int count = shard == where ? 0 : 10;
            Save($"part-{shard}.safetensors", "activations", x.narrow(0, from, count));
            from += count;
        }

        using var files = ActivationFiles.Open(Folder, new() { TokensPerWindow = 6 });
        Assert.Equal((30, 5), (files.Tokens, files.Windows));
        Assert.Equal(Numbers(x), Numbers(files.Read([0, 1, 2, 3, 4], default).Activations));
    }

    [Fact]
    public void Files_with_no_row_at_all_are_refused_by_name()
    {
        Save("a.safetensors", "activations", zeros(0, 3));
        Assert.Contains(Folder, Assert.ThrowsAny<Exception>(() => ActivationFiles.Open(Folder)).Message, StringComparison.Ordinal);
        Save("a.safetensors", "activations", zeros(4, 0));
        Assert.Contains("a.safetensors", Assert.Throws<InvalidDataException>(() => ActivationFiles.Open(Folder)).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Files_that_are_cut_after_they_were_opened_or_closed_say_so()
    {
        Save("a.safetensors", "activations", Rows(4000, 3));
        using var files = ActivationFiles.Open(At("a.safetensors"));
        using (var cut = new FileStream(At("a.safetensors"), FileMode.Open, FileAccess.Write, FileShare.ReadWrite)) cut.SetLength(2000);
        Assert.Contains("a.safetensors", Assert.Throws<InvalidDataException>(() => files.Read([files.Windows - 1], default)).Message, StringComparison.Ordinal);
        files.Dispose();
        Assert.Throws<ObjectDisposedException>(() => files.Read([0], default));
        Assert.Throws<ArgumentOutOfRangeException>(() => files.Read([files.Windows], default));
        Assert.Throws<OperationCanceledException>(() => files.Read([0], new CancellationToken(canceled: true)));
    }

    [Fact]
    public void A_manifest_as_others_may_have_changed_it_is_read_or_refused_by_name()
    {
        ActivationFiles.Write(new TensorActivations(Rows(50, 3)), At("set"), new() { TokensPerFile = 20 });
        string path = At("set/activations.json"), text = File.ReadAllText(path);
        foreach ((Action<JsonObject> change, string said) in ((Action<JsonObject>, string)[])
        [
            (json => json["shards"] = null, "not whole"), (json => json["shards"] = "x", "shards"), (json => json["shards"]![0]!["file"] = null, "file"), (json => json["shards"]![0]!["file"] = 7, "file"),
            (json => json["shards"]![0]!["tokens"] = -1, "tokens"), (json => json["shards"]![0]!["tokens"] = 1e300, "tokens"), (json => json["width"] = 0, "width"), (json => json["width"] = 4, "width 3"),
            (json => json["tokens_per_window"] = 0, "tokens_per_window"), (json => json["tokens_per_window"] = 1000, "1000"), (json => json["gradients"] = "yes", "gradients"), (json => json["gradients"] = true, "gradients"),
            (json => json.Remove("format"), "format"), (json => json["source"] = new JsonArray(), "source"),
        ])
        {
            JsonObject json = JsonNode.Parse(text)!.AsObject();
            change(json);
            File.WriteAllText(path, json.ToJsonString());
            Assert.Contains(said, Assert.ThrowsAny<Exception>(() => ActivationFiles.Open(At("set"))).Message, StringComparison.Ordinal);
        }

        foreach (string broken in (string[])["", "[]", "null", "{", "{}", new string('[', 500)])
        {
            File.WriteAllText(path, broken);
            Assert.Contains("activations.json", Assert.Throws<InvalidDataException>(() => ActivationFiles.Open(At("set"))).Message, StringComparison.Ordinal);
        }

        File.WriteAllText(path, "\uFEFF" + text.ReplaceLineEndings("\r\n"));
        using var files = ActivationFiles.Open(At("set"));
        Assert.Equal(50, files.Windows);
    }

    [Theory]
    [InlineData(1e20)]
    [InlineData(1e-30)]
    [InlineData(1.0)]
    public void Ordinary_tokens_are_the_same_in_every_unit(double unit)
    {
        Tensor x = randn([64, 4], generator: new Generator(3)) + 2;
        x[10].mul_(50);
        x[31].mul_(80);
        OrdinaryTokens ordinary = OrdinaryTokens.Of(new TensorActivations(x * unit), 10);
        Assert.Equal((2, 62), (ordinary.LeftOut, ordinary.Windows));
        double[] norms = [.. Numbers(x).Select(v => (double)v).Chunk(4).Select(row => Math.Sqrt(row.Sum(v => v * v))).Order()];
        Assert.Equal(norms[31] * unit, ordinary.MedianNorm, 1e-5 * norms[31] * unit);
    }

    [Fact]
    public void Windows_that_follow_each_other_and_those_that_do_not_are_the_same_rows()
    {
        ActivationFiles.Write(new TensorActivations(Rows(1500, 3), Rows(1500, 3) * 2), At("set"), new() { TokensPerFile = 700 });
        using var files = ActivationFiles.Open(At("set"));
        int[] random = [.. Enumerable.Range(0, 1500)];
        new Random(2).Shuffle(random);
        foreach (int[] windows in (int[][])[[.. Enumerable.Range(0, 1500)], random, [5, 6, 6, 7, 699, 700, 701, 3, 2, 1, 1499]])
        {
            ActivationRows rows = files.Read(windows, default);
            Assert.Equal(windows.Select(w => (float)w), Tokens(Numbers(rows.Activations)));
            Assert.Equal(windows.Select(w => 2f * w), Tokens(Numbers(rows.Gradients!)));
        }

        Assert.Equal([0, 3], files.Read([], default).Activations.shape);
    }

    private static Tensor Rows(int rows, int width) => arange(rows, dtype: ScalarType.Float32).unsqueeze(1).expand(rows, width).contiguous();

    private static float[] Numbers(Tensor x) => x.contiguous().data<float>().ToArray();

    private static IEnumerable<float> Tokens(float[] rows) => rows.Chunk(3).Select(row => row[0]);

    private void Save(string file, string name, Tensor tensor) => SafeTensors.Save(At(file), new Dictionary<string, Tensor> { [name] = tensor.contiguous() });

    private sealed class Lying(string lie) : IActivationSource
    {
        public string Description => "a lie";

        public int Width => 3;

        public int Windows => 3;

        public int TokensPerWindow => 2;

        public bool HasGradients => lie is "no gradients" or "few gradients";

        public ActivationRows Read(ReadOnlySpan<int> windows, CancellationToken cancel)
        {
            Tensor x = randn(windows.Length * 2, 3);
            return lie switch
            {
                "few rows" => new(x[..^1]),
                "many rows" => new(cat([x, x[..1]])),
                "one row" => new(x[..1]),
                "narrow" => new(x.narrow(1, 0, 1)),
                "half" => new(x.to(ScalarType.Float16)),
                "whole numbers" => new(x.to(ScalarType.Int64)),
                "gradients" => new(x, x),
                "few gradients" => new(x, x[..^1]),
                _ => new(x),
            };
        }
    }

    private sealed class Failing(IActivationSource inner) : IActivationSource
    {
        private int _calls;

        public int At { get; init; }

        public CancellationTokenSource? Stop { get; init; }

        public string Description => inner.Description;

        public int Width => inner.Width;

        public int Windows => inner.Windows;

        public int TokensPerWindow => inner.TokensPerWindow;

        public bool HasGradients => inner.HasGradients;

        public ActivationRows Read(ReadOnlySpan<int> windows, CancellationToken cancel)
        {
            if (++_calls == At && Stop is null) throw new IOException("the disk is gone");
            if (_calls == At) Stop!.Cancel();
            return inner.Read(windows, cancel);
        }
    }
}
