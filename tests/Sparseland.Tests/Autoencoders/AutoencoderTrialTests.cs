using Sparseland.Autoencoders;
using Sparseland.IO;
using Sparseland.Models.Language;
using Sparseland.Training;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Tests.Autoencoders;

/// <summary>What people who had not written the chapter found when they tried to break it.</summary>
public class AutoencoderTrialTests : FolderBed
{
    public static TheoryData<string> Architectures() => [.. AutoencoderRecipe.Architectures];

    [Theory]
    [MemberData(nameof(Architectures))]
    public void A_step_that_was_stopped_between_its_mini_batches_is_made_again_as_if_nothing_had_happened(string architecture)
    {
        (AutoencoderRecipe recipe, AutoencoderTrainingOptions options, Func<ActivationBuffer> buffer) = Training(architecture, accumulate: 3);
        using var whole = new AutoencoderTrainer(recipe.Create(12), buffer(), options);
        whole.Run();
        var stops = new Stopping(buffer(), 29);
        using var stopped = new AutoencoderTrainer(recipe.Create(12), stops, options);
        stops.Armed = true;
        Assert.Throws<OperationCanceledException>(() => stopped.Run());
        Assert.Equal(9, stopped.History.Count);
        stopped.Run();
        Same(whole, stopped);
    }

    [Theory]
    [MemberData(nameof(Architectures))]
    public void A_training_resumed_while_latents_are_dead_is_the_same_bit_for_bit(string architecture)
    {
        (AutoencoderRecipe recipe, AutoencoderTrainingOptions options, Func<ActivationBuffer> buffer) = Training(architecture, accumulate: 2);
        using var whole = new AutoencoderTrainer(recipe.Create(12), buffer(), options);
        using var first = new AutoencoderTrainer(recipe.Create(12), buffer(), options);
        while (first.History.Count < 13) first.Step();
        if (architecture is "topk" or "batch-topk" or "gradient") Assert.NotEmpty(first.Statistics.SilentFor(400));
        first.Save(At("half.safetensors"));
        using var second = new AutoencoderTrainer(recipe.Create(12), buffer(), options);
        second.Load(At("half.safetensors"));
        second.Run();
        whole.Run();
        Same(whole, second);
        Assert.Equal(whole.History.Select(step => step.Loss), second.History.Select(step => step.Loss));
    }

    [Theory]
    [InlineData(1e-9)]
    [InlineData(1e-6)]
    [InlineData(1e6)]
    public void Thresholds_of_feature_choice_meet_an_l0_whatever_the_unit_of_the_activations(double unit)
    {
        for (int p = 0; p < 20; p++)
        {
            using var scope = NewDisposeScope();
            Tensor x = Gaussian(p, 300, 8) * unit;
            var autoencoder = new SparseAutoencoder(8, 24, new FeatureChoiceRule(24, 3, new(1, 5)), p);
            autoencoder.CalibrateThreshold(x, 3);
            using SparseCode code = autoencoder.Encode(x), frozen = autoencoder.Freeze().Encode(x);
            Assert.Equal(3, code.L0, 0.015);
            Assert.Equal(code.Support.ColumnIndices.ToArray(), frozen.Support.ColumnIndices.ToArray());
        }
    }

    [Fact]
    public void A_budget_that_gives_a_batch_nothing_is_refused_with_the_batch_that_would_do()
    {
        Tensor x = Gaussian(1, 64, 8);
        foreach (CodeRule rule in (CodeRule[])[new BatchTopKRule(0.005), new MutualChoiceRule(0.005), new MatryoshkaRule(0.005, [4, 24]), new FeatureChoiceRule(24, 0.005, null, floor: 0)])
        {
            var autoencoder = new SparseAutoencoder(8, 24, rule);
            Assert.Contains("a batch of 102 tokens would do", Assert.Throws<ArgumentException>(() => autoencoder.EncodeBatch(x)).Message, StringComparison.Ordinal);
            Assert.Equal(0, autoencoder.EncodeBatch(x[..0]).Tokens);
        }
    }

    [Fact]
    public void Equal_counts_keep_the_floor_too()
    {
        var autoencoder = new SparseAutoencoder(8, 24, new FeatureChoiceRule(24, 0.1, null, floor: 1));
        Assert.Contains("24 latents with at least 1 tokens", Assert.Throws<ArgumentException>(() => autoencoder.EncodeBatch(Gaussian(1, 64, 8))).Message, StringComparison.Ordinal);
        Assert.Equal(24, autoencoder.EncodeBatch(Gaussian(1, 240, 8)).Support.Count);
    }

    [Fact]
    public void A_value_that_is_not_finite_is_named_with_its_token_its_batch_and_where_it_comes_from()
    {
        Tensor x = Gaussian(1, 64, 8);
        var autoencoder = new SparseAutoencoder(8, 24, new TopKRule(3));
        string atOnce = Assert.Throws<ArgumentException>(() => new AutoencoderTrainer(autoencoder, new Poisoned(x, 2, 7), new() { Steps = 5 })).Message;
        using var trainer = new AutoencoderTrainer(autoencoder, new Poisoned(x, 2, 7), new() { Steps = 5, CentreOn = 0, ScaleActivations = false });
        string later = Assert.Throws<ArgumentException>(() => trainer.Run()).Message;
        foreach (string message in (string[])[atOnce, later])
        {
            Assert.Contains("Batch 2 (block 2, poisoned)", message, StringComparison.Ordinal);
            Assert.Contains("token 7", message, StringComparison.Ordinal);
        }

        Tensor bad = x.clone();
        bad[5, 1] = float.PositiveInfinity;
        string held = Assert.Throws<ArgumentException>(() => new TensorActivations(bad, description: "block 4")).Message;
        Assert.Contains("token 5 (block 4)", held, StringComparison.Ordinal);
    }

    [Fact]
    public void What_float16_cannot_hold_is_refused_and_not_served_as_infinity_or_nothing()
    {
        Tensor x = Gaussian(1, 64, 8), large = x.clone();
        large[5, 2] = -1e5f;
        using var buffer = new ActivationBuffer(new TensorActivations(large), 8, new() { Half = true, Capacity = 400 });
        Assert.Contains("above 65504, the largest number of float16: token 0 of window 5", Assert.Throws<InvalidDataException>(() => buffer.At(0)).Message, StringComparison.Ordinal);
        using var small = new ActivationBuffer(new TensorActivations(x, x * 1e-9f), 8, new() { Half = true, Capacity = 400 });
        Assert.Contains("too small for float16", Assert.Throws<InvalidDataException>(() => small.At(0)).Message, StringComparison.Ordinal);
        using var fits = new ActivationBuffer(new TensorActivations(x, x * 1e-3f), 8, new() { Half = true, Capacity = 400 });
        Assert.True(fits.At(0).Target.abs().max().item<float>() > 0);
    }

    [Fact]
    public void The_last_block_of_a_long_source_is_a_mixture_too()
    {
        // 5,001 windows in blocks of 50 would leave one window, and so a batch of neighbours, for the last.
        using var buffer = new ActivationBuffer(new Numbered(5001, 64), 64, new() { Capacity = 3200 });
        Assert.Equal(5001, buffer.PerEpoch);
        var seen = new int[5001];
        for (long i = 0; i < buffer.PerEpoch; i++)
        {
            float[] windows = buffer.At(i).Input.data<float>().ToArray();
            Assert.InRange(windows.Distinct().Count(), 20, 64);
            foreach (float window in windows) seen[(int)window]++;
        }

        Assert.All(seen, count => Assert.Equal(64, count));
    }

    [Fact]
    public void A_training_that_cannot_be_is_refused_before_the_autoencoder_changes()
    {
        Tensor x = Gaussian(1, 64, 8);
        Refused("k decides how many latents", new MatryoshkaRule(3, [4, 24]), empty(0), new() { Losses = [new L1Penalty(1)] });
        Refused("has none (same)", new GradientTopKRule(3), empty(0), new());
        Refused("has [64, 7] (same)", new GradientTopKRule(3), zeros(64, 7), new());
        Refused("EvaluateEvery is 5", new TopKRule(3), empty(0), new() { EvaluateEvery = 5 });

        void Refused(string said, CodeRule rule, Tensor target, AutoencoderTrainingOptions options)
        {
            var autoencoder = new SparseAutoencoder(8, 24, rule);
            Assert.Contains(said, Assert.Throws<ArgumentException>(() => new AutoencoderTrainer(autoencoder, new Constant(x, target), options)).Message, StringComparison.Ordinal);
            Assert.Equal(1, autoencoder.Scaling.Factor);
            Assert.Equal(0, autoencoder.DecoderBias.abs().max().item<float>());
        }
    }

    [Fact]
    public void A_checkpoint_of_centred_input_is_not_taken_up_where_the_input_stays_as_it_is()
    {
        Tensor x = Gaussian(1, 64, 8);
        AutoencoderTrainingOptions options = new() { Steps = 6 };
        using var centred = new AutoencoderTrainer(new SparseAutoencoder(8, 24, new TopKRule(3)), new Constant(x, empty(0)), options);
        centred.Step();
        centred.Save(At("centred.safetensors"));
        using var plain = new AutoencoderTrainer(new SparseAutoencoder(8, 24, new TopKRule(3), centreInput: false), new Constant(x, empty(0)), options);
        Assert.Contains("not centred", Assert.Throws<InvalidDataException>(() => plain.Load(At("centred.safetensors"))).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_tenth_of_all_tokens_counts_every_mini_batch()
    {
        using var pass = new AutoencoderPass(new SparseAutoencoder(8, 24, new TopKRule(3)), Gaussian(1, 256, 8), null, training: true);
        Assert.Equal(25_600, DeadLatentLoss.Patience(null, pass, new(0, 1000, null!)));
        Assert.Equal(102_400, DeadLatentLoss.Patience(null, pass, new(0, 1000, null!, 4)));
    }

    [Theory]
    [InlineData(1e25f)]
    [InlineData(1e-25f)]
    public void Norms_whose_squares_leave_float32_are_folded_all_the_same(float size)
    {
        Tensor x = Gaussian(3, 20, 8);
        var autoencoder = new SparseAutoencoder(8, 24, new ReluRule());
        using (no_grad())
        {
            autoencoder.Decoder.mul_(size);
            autoencoder.Encoder.div_(size);
        }

        Tensor before = autoencoder.Reconstruct(x);
        SaeLensFolder.Write(At("extreme"), autoencoder);
        using SavedAutoencoder read = AutoencoderFolder.Read(At("extreme"));
        autoencoder.FoldDecoderNorms();
        foreach (SparseAutoencoder folded in (SparseAutoencoder[])[autoencoder, read.Autoencoder])
        {
            Close(ones(24), folded.Decoder.norm(1));
            Close(before, folded.Reconstruct(x));
        }
    }

    [Fact]
    public void What_a_folder_says_of_its_model_survives_a_round_trip()
    {
        string folder = Lens("v6", """
            {"architecture": "topk", "d_in": 3, "d_sae": 4, "k": 2.0, "reshape_activations": "hook_z",
             "metadata": {"model_name": "gpt2", "hook_name": "blocks.1.attn.hook_z", "hook_head_index": 2, "model_from_pretrained_kwargs": {"center_writing_weights": true}}}
            """);
        using SavedAutoencoder first = AutoencoderFolder.Read(folder);
        Assert.Equal(2, ((TopKRule)first.Autoencoder.Rule).K);
        SaeLensFolder.Write(At("again"), first.Autoencoder, first.Origin);
        using SavedAutoencoder second = AutoencoderFolder.Read(At("again"));
        Assert.Equal(first.Remarks, second.Remarks);
        Assert.Contains(second.Remarks, remark => remark.Contains("head 2", StringComparison.Ordinal));
        Assert.Contains(second.Remarks, remark => remark.Contains("centred", StringComparison.Ordinal));
        Assert.Contains("\"reshape_activations\": \"hook_z\"", File.ReadAllText(Path.Combine(At("again"), "cfg.json")), StringComparison.Ordinal);
    }

    [Fact]
    public void Older_configs_say_head_and_centring_at_the_top()
    {
        using SavedAutoencoder old = AutoencoderFolder.Read(Lens("old", """
            {"d_in": 3, "d_sae": 4, "hook_point": "blocks.0.hook_resid_pre", "hook_point_head_index": 3, "activation_fn_kwargs": {}, "model_from_pretrained_kwargs": {"center_writing_weights": true}}
            """));
        Assert.Contains(old.Remarks, remark => remark.Contains("head 3", StringComparison.Ordinal));
        Assert.Contains(old.Remarks, remark => remark.Contains("centred", StringComparison.Ordinal));
        Assert.DoesNotContain(old.Remarks, remark => remark.Contains("not known", StringComparison.Ordinal));
        using SavedAutoencoder early = AutoencoderFolder.Read(Lens("early", """{"architecture": "standard", "d_in": 3, "d_sae": 4, "meta": {"model_name": "gpt2", "hook_name": "blocks.1.hook_resid_pre", "hook_head_index": null}}"""));
        Assert.Equal(new ActivationSite(1, Activation.ResidualBefore), early.Origin.Site);
        Assert.DoesNotContain(early.Remarks, remark => remark.Contains("not known", StringComparison.Ordinal));
        Assert.Contains("it must be an object", Assert.Throws<InvalidDataException>(() => AutoencoderFolder.Read(Lens("text", """{"d_in": 3, "d_sae": 4, "metadata": "none"}"""))).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_folder_of_sparsify_says_of_its_rows_what_they_are()
    {
        var autoencoder = new SparseAutoencoder(8, 24, new TopKRule(3));
        SparsifyFolder.Write(At("layers.0"), autoencoder);
        Assert.Contains("\"normalize_decoder\": true", File.ReadAllText(At("layers.0/cfg.json")), StringComparison.Ordinal);
        using (no_grad()) autoencoder.Decoder[0].mul_(2);
        SparsifyFolder.Write(At("layers.0"), autoencoder);
        Assert.Contains("\"normalize_decoder\": false", File.ReadAllText(At("layers.0/cfg.json")), StringComparison.Ordinal);
        Assert.Equal(2, Directory.GetFiles(At("layers.0")).Length);

        // Weights and settings belong together: where one cannot be written, the other stays too.
        byte[] weights = File.ReadAllBytes(At("layers.0/sae.safetensors"));
        File.Delete(At("layers.0/cfg.json"));
        Directory.CreateDirectory(At("layers.0/cfg.json"));
        using (no_grad()) autoencoder.Decoder[0].mul_(2);
        Assert.Throws<IOException>(() => SparsifyFolder.Write(At("layers.0"), autoencoder));
        Assert.Equal(weights, File.ReadAllBytes(At("layers.0/sae.safetensors")));
    }

    [Fact]
    public void Files_are_not_written_over_themselves()
    {
        ActivationFiles.Write(new TensorActivations(Gaussian(1, 64, 8)), At("own"));
        using var own = ActivationFiles.Open(At("own"));
        Assert.Contains("another folder", Assert.Throws<ArgumentException>(() => ActivationFiles.Write(own, At("own") + "/")).Message, StringComparison.Ordinal);
        Assert.Equal(2, Directory.GetFiles(At("own")).Length);
        ActivationFiles.Write(own, At("other"));
    }

    [Fact]
    public void A_code_of_another_type_is_refused_by_name()
    {
        var autoencoder = new SparseAutoencoder(8, 24, new TopKRule(3));
        SparseCode code = autoencoder.Encode(Gaussian(1, 4, 8));
        Assert.Equal("code", Assert.Throws<ArgumentException>(() => autoencoder.Decode(new(code.Support, code.Values.to(ScalarType.Float64)))).ParamName);
        Assert.Equal(0, new SparseAutoencoder(8, 24, new GradientTopKRule(3)).EncodeBatch(zeros(0, 8), zeros(0, 8)).Tokens);
    }

    [Theory]
    [InlineData("topk")]
    [InlineData("relu")]
    [InlineData("gated")]
    [InlineData("jumprelu")]
    public void Codes_of_many_tokens_do_not_depend_on_how_many_are_held_at_once(string architecture)
    {
        var autoencoder = new SparseAutoencoder(8, 24, architecture switch { "topk" => new TopKRule(3), "relu" => new ReluRule(), "gated" => new GatedRule(24), _ => new JumpReluRule(24, 0.3) });
        Tensor x = Gaussian(2, 100, 8);
        using SparseCode whole = autoencoder.OfTiles(x, 1L << 28);
        foreach (long most in (long[])[1, 24, 170, 2399])
        {
            using SparseCode tiled = autoencoder.OfTiles(x, most);
            Assert.Equal(whole.Support.RowOffsets.ToArray(), tiled.Support.RowOffsets.ToArray());
            Assert.Equal(whole.Support.ColumnIndices.ToArray(), tiled.Support.ColumnIndices.ToArray());
            Close(whole.Values, tiled.Values);
        }

        using (no_grad()) autoencoder.EncoderBias[3].fill_(float.NaN);
        Assert.Contains("NaN", Assert.Throws<ArgumentException>(() => autoencoder.OfTiles(x, 170)).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void The_collector_is_told_of_the_weights_and_an_autoencoder_says_what_it_is()
    {
        string folder = Lens("forgotten", """{"d_in": 3, "d_sae": 4}""");
        long before = Read(folder);
        Assert.Equal(((2 * 12) + 4 + 3) * sizeof(float), before);
        Assert.Equal("SparseAutoencoder of width 8, 24 latents: topk, k = 3", new SparseAutoencoder(8, 24, new TopKRule(3)).ToString());

        static long Read(string folder)
        {
            using SavedAutoencoder saved = AutoencoderFolder.Read(folder);
            return saved.Autoencoder.NativeBytes;
        }
    }

    [Fact]
    public void A_recipe_whose_batches_hold_no_entry_is_refused()
    {
        Assert.Contains("no entry", Assert.Throws<ArgumentException>(() => new AutoencoderRecipe { Architecture = "batch-topk", K = 1e-4 }.Validate()).Message, StringComparison.Ordinal);
        Assert.Throws<ArgumentException>(() => new AutoencoderRecipe { Architecture = "feature-choice", K = 1e-6 }.Validate());
    }

    private static Tensor Gaussian(int seed, params long[] shape)
    {
        using Generator generator = new((ulong)seed);
        return randn(shape, generator: generator);
    }

    private static (AutoencoderRecipe Recipe, AutoencoderTrainingOptions Options, Func<ActivationBuffer> Buffer) Training(string architecture, int accumulate)
    {
        Tensor x = Gaussian(3, 3000, 12) * linspace(1, 0.05, 12), gradients = Gaussian(4, 3000, 12);
        var recipe = new AutoencoderRecipe { Architecture = architecture, Latents = 96, K = architecture is "relu" or "gated" ? null : 2, Batch = 64 };
        AutoencoderTrainingOptions options = recipe.Training(24) with { Accumulate = accumulate };
        AuxiliaryLoss dead = architecture == "mutual-choice" ? new ZipfLoss(new(1, 5), deadAfter: 400) : new DeadLatentLoss(400);
        options = options with { Losses = [.. options.Losses.Where(loss => loss is not (DeadLatentLoss or ZipfLoss)), dead] };
        return (recipe, options, () => new(new TensorActivations(x, gradients), 64, new() { Repeat = true, Capacity = 3200 }));
    }

    private static void Same(AutoencoderTrainer expected, AutoencoderTrainer actual)
    {
        foreach ((nn.Module one, nn.Module other) in ((nn.Module, nn.Module)[])[(expected.Autoencoder, actual.Autoencoder), (expected.Statistics, actual.Statistics)])
        {
            Dictionary<string, Tensor> there = other.state_dict();
            foreach ((string name, Tensor value) in one.state_dict()) Assert.True(value.bytes.SequenceEqual(there[name].bytes), name);
        }
    }

    private string Lens(string name, string config) => Write(name, new()
    {
        ["W_enc"] = Gaussian(1, 3, 4), ["W_dec"] = Gaussian(2, 4, 3), ["b_enc"] = Gaussian(3, 4), ["b_dec"] = Gaussian(4, 3),
    }, config);

    private sealed class Stopping(IBatchSource inner, long at) : IBatchSource
    {
        public bool Armed { get; set; }

        public string Description => inner.Description;

        public Batch At(long index)
        {
            if (!Armed || index != at) return inner.At(index);
            Armed = false;
            throw new OperationCanceledException();
        }
    }

    private sealed class Poisoned(Tensor x, long at, int token) : IBatchSource
    {
        public string Description => "block 2, poisoned";

        public Batch At(long index)
        {
            Tensor batch = x.clone();
            if (index == at) batch[token, 1] = float.NaN;
            return new(batch, empty(0));
        }
    }

    private sealed class Constant(Tensor x, Tensor target) : IBatchSource
    {
        public string Description => "same";

        public Batch At(long index) => new(x.clone(), target.clone());
    }

    private sealed class Numbered(int windows, int length) : IActivationSource
    {
        public string Description => "numbers";

        public int Width => 1;

        public int Windows => windows;

        public int TokensPerWindow => length;

        public bool HasGradients => false;

        public ActivationRows Read(ReadOnlySpan<int> wanted, CancellationToken cancel)
        {
            Tensor rows = zeros((long)wanted.Length * length, 1);
            for (int i = 0; i < wanted.Length; i++) rows.narrow(0, (long)i * length, length).fill_(wanted[i]);
            return new(rows);
        }
    }
}
