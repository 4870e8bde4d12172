using Sparseland.Kernels;
using Sparseland.Models;
using Sparseland.Models.Language;
using Sparseland.Pruning;
using Sparseland.Selection;
using Sparseland.Training;
using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Sparseland.Tests.Pruning;

public class GqsaTests
{
    private static readonly GqsaOptions s_few = new() { BlockSteps = 6, EndToEndSteps = 5, Batch = 2, WeightRate = 1e-3, EndToEndRate = 1e-3 };

    private static TinyLM Model() => new(new LlamaConfig { Vocabulary = 40, Width = 32, Layers = 2, Heads = 2, KeyValueHeads = 1, MlpWidth = 48, Context = 16 }, seed: 3);

    private static Tensor Texts(int sequences = 6)
    {
        using var generator = new Generator(4);
        return randint(0, 40, [sequences, 12], dtype: ScalarType.Int64, generator: generator);
    }

    [Fact]
    public void Saliency_is_the_mean_of_the_scores_and_the_best_groups_stay()
    {
        using var scope = NewDisposeScope();
        using Generator generator = new(1);
        Tensor W = randn([8, 64], generator: generator), X = randn([200, 64], generator: generator);
        using var statistics = new ActivationStatistics(64, gram: true);
        statistics.Add(X);
        ObsFactor factor = statistics.Factor();

        // By the definition: w^2 / [(H + damping)^-1]_jj.
        Tensor H = X.t().mm(X).to(ScalarType.Float64) * (2.0 / 200);
        H += eye(64, dtype: ScalarType.Float64) * (0.01 * H.diagonal().mean().item<double>());
        Tensor expected = (W.to(ScalarType.Float64).square() / linalg.inv(H).diagonal()).view(8, 4, 16).mean([2L]);
        Tensor saliency = Gqsa.Saliency(W, factor, 16);
        Assert.True(((saliency - expected) / expected).abs().max().item<double>() < 1e-4);

        Tensor mask = Gqsa.Prune("layer", W, factor, PruningPattern.Groups(16, 0.5)), groups = mask.view(8, 4, 16);
        Assert.True(groups.any(2).eq(groups.all(2)).all().item<bool>());
        Assert.Equal(16, groups.any(2).sum().item<long>());
        Assert.True(saliency.masked_select(groups.any(2)).min().item<double>() >= saliency.masked_select(groups.any(2).logical_not()).max().item<double>());

        Tensor even = Gqsa.Prune("layer", W, factor, PruningPattern.Groups(16, 0.5, perRow: true)).view(8, 4, 16).any(2);
        Assert.True(even.sum(1).eq(2).all().item<bool>());
        Assert.Contains("layer", Assert.Throws<ArgumentException>(() => Gqsa.Prune("layer", W, factor, PruningPattern.Groups(24, 0.5))).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Stage_one_lowers_the_error_and_keeps_the_mask_and_the_model_comes_back()
    {
        using var scope = NewDisposeScope();
        using TinyLM model = Model();
        Tensor texts = Texts(), before = model.Logits(texts).detach();
        string shot;
        using (GqsaModel one = Gqsa.Bqpo(model, texts, s_few with { BlockSteps = 0 }))
        {
            Assert.All(one.Blocks, block => Assert.Equal(block.Before, block.After, 1e-6));
            Assert.False(Same(before, model.Logits(texts)));
            shot = Kept(one.Layers[0].Layer);
        }

        Assert.True(Same(before, model.Logits(texts)));
        Assert.All(LinearSlots.Of(model), slot => Assert.IsType<Linear>(slot.Module));
        using GqsaModel trained = Gqsa.Bqpo(model, texts, s_few with { BlockSteps = 40 });
        Assert.Equal(14, trained.Layers.Count);
        Assert.All(trained.Blocks, block => Assert.True(block.After < 0.9 * block.Before, block.ToString()));

        // The first block sees the same inputs in both, so its groups are the same; half of them stay.
        Assert.Equal(shot, Kept(trained.Layers[0].Layer));
        Assert.All(trained.Layers, layer => Assert.Equal(layer.Layer.Groups.Rows * layer.Layer.Groups.Groups.Columns / 2, layer.Layer.Groups.Groups.Count));
        Assert.All(trained.Layers, layer => Assert.False(layer.Layer.Quantized().masked_select(layer.Layer.Groups.Groups.ToMask().repeat_interleave(16, 1).logical_not()).any().item<bool>()));
        Assert.All(model.named_parameters().Where(p => p.name.Contains("norm", StringComparison.Ordinal)), p => Assert.True(p.parameter.requires_grad));
    }

    [Fact]
    public void Stage_two_changes_scales_alone()
    {
        using var scope = NewDisposeScope();
        using TinyLM model = Model();
        Tensor texts = Texts(), embeddings = model.Embeddings.detach().clone();
        using GqsaModel quantized = Gqsa.Bqpo(model, texts, s_few with { EndToEndSteps = 40, EndToEndRate = 5e-3, Batch = 6 });
        string hash = quantized.FixedHash();
        Half[] scales = quantized.Layers[3].Layer.Groups.Scales;
        IReadOnlyList<double> curve = Gqsa.E2eOqp(quantized, texts);
        Assert.Equal(hash, quantized.FixedHash());
        Assert.NotEqual(scales, quantized.Layers[3].Layer.Groups.Scales);
        Assert.True(curve[^1] < curve[0] - 0.01, $"{curve[0]} to {curve[^1]}");
        Assert.True(Same(embeddings, model.Embeddings));

        // Scales are what float16 holds already, so that nothing changes when it is stored.
        Assert.All(quantized.Layers, layer => Assert.True(Same(layer.Layer.Scales, GroupQuantizer.Stored(layer.Layer.Scales))));
        Tensor trained = model.Logits(texts).detach();
        IReadOnlyList<ReplacedLayer> packed = quantized.Pack();
        using IDisposable off = no_grad();
        Assert.True((model.Logits(texts) - trained).abs().max().item<float>() < 1e-4);
        Assert.Throws<ArgumentException>(() => Gqsa.E2eOqp(quantized, texts));
        LinearSlots.Restore(packed);
        Assert.True(Same(trained, model.Logits(texts)));
    }

    [Fact]
    public void The_same_seed_gives_the_same_model_and_another_does_not()
    {
        using var scope = NewDisposeScope();
        using TinyLM model = Model();
        string Once(long seed)
        {
            using GqsaModel quantized = Gqsa.Bqpo(model, Texts(), s_few with { Seed = seed });
            return quantized.FixedHash() + string.Join(",", quantized.Layers[0].Layer.Groups.Scales);
        }

        Assert.Equal(Once(1), Once(1));
        Assert.NotEqual(Once(1), Once(2));
    }

    [Fact]
    public void Other_patterns_are_trained_too_and_their_zeros_stay()
    {
        using var scope = NewDisposeScope();
        using TinyLM model = Model();
        using GqsaModel quantized = Gqsa.Bqpo(model, Texts(), s_few with { Pattern = PruningPattern.NofM(2, 4) });
        foreach (GqsaLayer layer in quantized.Layers)
        {
            Tensor zerosOfFour = layer.Layer.Quantized().view(-1, 4).eq(0).sum(1);
            Assert.True(zerosOfFour.ge(2).all().item<bool>());
            Assert.Equal(layer.Layer.Groups.Rows * layer.Layer.Groups.Groups.Columns, layer.Layer.Groups.Groups.Count);
        }
    }

    [Fact]
    public void A_stopped_run_leaves_the_dense_model()
    {
        using var scope = NewDisposeScope();
        using TinyLM model = Model();
        Tensor texts = Texts(), before = model.Logits(texts).detach();
        using var cancel = new CancellationTokenSource();
        var progress = new Now<ProgressReport>(report =>
        {
            if (report.Done == 8) cancel.Cancel();
        });
        Assert.ThrowsAny<OperationCanceledException>(() => Gqsa.Bqpo(model, texts, s_few, progress, cancel.Token));
        Assert.True(Same(before, model.Logits(texts)));
        Assert.Throws<ArithmeticException>(() => Gqsa.Bqpo(model, texts, s_few with { ParameterRate = 1e30 }));
        Assert.True(Same(before, model.Logits(texts)));
    }

    [Fact]
    public void Wrong_input_is_refused_before_work_is_lost()
    {
        using var scope = NewDisposeScope();
        using TinyLM model = Model();
        Tensor texts = Texts();
        ArgumentException error = Assert.Throws<ArgumentException>(() => Gqsa.Bqpo(model, texts, s_few with { Quantizer = new(4, 32), Pattern = PruningPattern.Groups(32, 0.5) }));
        Assert.Contains("down_proj", error.Message, StringComparison.Ordinal);
        Assert.Throws<ArgumentException>(() => Gqsa.Bqpo(model, texts, s_few with { Pattern = PruningPattern.Groups(8, 0.5) }));
        Assert.Throws<ArgumentException>(() => Gqsa.Bqpo(model, texts, s_few with { Pattern = PruningPattern.Global(0.5) }));
        Assert.Throws<ArgumentOutOfRangeException>(() => Gqsa.Bqpo(model, texts, s_few with { Quantizer = new(1, 16) }));
        Assert.Throws<ArgumentException>(() => Gqsa.Bqpo(model, zeros(0, 3, dtype: ScalarType.Int64), s_few));
        using (no_grad()) model.Blocks[1].Up.weight![0, 0] = float.NaN;
        error = Assert.Throws<ArgumentException>(() => Gqsa.Bqpo(model, texts, s_few));
        Assert.Contains("layers.1.mlp.up_proj", error.Message, StringComparison.Ordinal);
        using TinyLM other = Model();
        using GqsaModel quantized = Gqsa.Bqpo(other, texts, s_few with { BlockSteps = 0 });
        Assert.Throws<ArgumentException>(() => Gqsa.E2eOqp(quantized, texts.narrow(1, 0, 1)));
        Assert.Throws<ArgumentException>(() => Gqsa.Bqpo(other, texts, s_few));
    }

    [Fact]
    public void A_packed_model_is_a_smaller_folder_that_computes_the_same()
    {
        using var scope = NewDisposeScope();
        using IDisposable off = no_grad();
        string folder = Directory.CreateTempSubdirectory("gqsa").FullName;
        try
        {
            using TinyLM model = Model();
            LanguageModelFolder.SaveModel(Path.Combine(folder, "dense"), model);
            using GqsaModel quantized = Gqsa.Bqpo(model, Texts(), s_few with { BlockSteps = 0 });
            quantized.Pack();
            string sparse = Path.Combine(folder, "sparse");
            LanguageModelFolder.SaveModel(sparse, model);
            using LanguageModel again = LanguageModelFolder.LoadModel(sparse);
            Assert.All(LinearSlots.Of(again), slot => Assert.IsType<SparseLinear>(slot.Module));
            Assert.True(Same(model.Logits(Texts()), again.Logits(Texts())));
            LanguageModelFolder.SaveModel(Path.Combine(folder, "again"), again);
            Assert.Equal(File.ReadAllBytes(Path.Combine(sparse, "model.safetensors")), File.ReadAllBytes(Path.Combine(folder, "again", "model.safetensors")));
            long saved = new FileInfo(Path.Combine(folder, "dense", "model.safetensors")).Length - new FileInfo(Path.Combine(sparse, "model.safetensors")).Length;
            Assert.True(saved > 0.5 * ((4 * quantized.Weights) - quantized.Bytes), $"{saved} bytes saved");

            // Dense layers put back, and the field is gone with them.
            quantized.Dispose();
            LanguageModelFolder.SaveModel(sparse, model);
            Assert.DoesNotContain("sparse_layers", File.ReadAllText(Path.Combine(sparse, "config.json")), StringComparison.Ordinal);
        }
        finally
        {
            Directory.Delete(folder, true);
        }
    }

    private static string Kept(GroupScaleLinear layer) => string.Join(",", layer.Groups.Groups.ColumnIndices.ToArray());

    private static bool Same(Tensor a, Tensor b) => a.eq(b).all().item<bool>();

    private sealed class Now<T>(Action<T> report) : IProgress<T>
    {
        public void Report(T value) => report(value);
    }
}
