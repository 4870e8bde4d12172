using Sparseland.Autoencoders;
using Sparseland.IO;
using Sparseland.Models.Language;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Tests.Autoencoders;

/// <summary>Folders of other kits: what is written is read back, and folders built by hand from the documented layouts do what their equations say.</summary>
public sealed class FolderTests : FolderBed
{
    public static TheoryData<string> Architectures() => ["standard", "topk", "jumprelu", "gated"];

    [Theory]
    [MemberData(nameof(Architectures))]
    public void A_folder_of_SAELens_by_hand_does_what_its_equations_say(string architecture)
    {
        (Dictionary<string, Tensor> t, Tensor x) = Tensors(architecture);
        string folder = Write("by-hand", t, $$"""{"architecture": "{{architecture}}", "d_in": 6, "d_sae": 20, "k": 3, "apply_b_dec_to_input": true, "normalize_activations": "none", "reshape_activations": "none", "dtype": "torch.float32", "device": "cuda", "somebody": [1], "metadata": {"model_name": "gpt2", "hook_name": "blocks.1.hook_resid_pre", "context_size": 64} }""");
        using SavedAutoencoder saved = SaeLensFolder.Read(folder);
        Tensor u = (x - t["b_dec"]).mm(t["W_enc"]), f;
        if (architecture == "gated") f = (u * t["r_mag"].exp() + t["b_mag"]).relu() * (u + t["b_gate"]).gt(0);
        else
        {
            Tensor z = u + t["b_enc"];
            f = architecture switch
            {
                "jumprelu" => z * z.gt(t["threshold"]),
                "topk" => z.relu() * z.ge(z.topk(3).values.narrow(1, 2, 1)),
                _ => z.relu(),
            };
        }

        using SparseCode code = saved.Autoencoder.Encode(x);
        Close(f, code.ToDense());
        Close(f.mm(t["W_dec"]) + t["b_dec"], saved.Autoencoder.Reconstruct(x));
        Assert.Equal(("gpt2", new ActivationSite(1, Activation.ResidualBefore)), (saved.Origin.Model, saved.Origin.Site!.Value));
        Assert.Contains(saved.Remarks, remark => remark.Contains("somebody", StringComparison.Ordinal));

        // Written again it has the same tensors and the keys that nobody knew.
        string again = Path.Combine(Folder, "again");
        SaeLensFolder.Write(again, saved.Autoencoder, saved.Origin);
        Dictionary<string, Tensor> back = SafeTensors.Load(Path.Combine(again, "sae_weights.safetensors"));
        Assert.Equal(t.Keys.Order(), back.Keys.Order());
        foreach ((string name, Tensor value) in t) Assert.True(value.eq(back[name]).all().item<bool>(), name);
        string text = File.ReadAllText(Path.Combine(again, "cfg.json"));
        Assert.Contains("somebody", text, StringComparison.Ordinal);
        Assert.Contains("\"context_size\": 64", text, StringComparison.Ordinal);
        using SavedAutoencoder twice = SaeLensFolder.Read(again);
        Close(saved.Autoencoder.Reconstruct(x), twice.Autoencoder.Reconstruct(x));
    }

    [Fact]
    public void Older_configs_are_read()
    {
        (Dictionary<string, Tensor> t, Tensor x) = Tensors("topk");
        t["scaling_factor"] = ones(20);
        string folder = Write("older", t, """{"architecture": "standard", "activation_fn": "topk", "activation_fn_kwargs": {"k": 3}, "d_in": 6, "d_sae": 20, "hook_point": "blocks.2.hook_mlp_out", "normalize_activations": true, "model_name": "pythia"}""");
        Assert.Contains("activationScale", Assert.Throws<ArgumentException>(() => SaeLensFolder.Read(folder)).Message, StringComparison.Ordinal);
        using SavedAutoencoder saved = SaeLensFolder.Read(folder, activationScale: 2.5);
        Assert.Equal(new ActivationSite(2, Activation.MlpOutput), saved.Origin.Site);
        Tensor z = (x * 2.5 - t["b_dec"]).mm(t["W_enc"]) + t["b_enc"], f = z.relu() * z.ge(z.topk(3).values.narrow(1, 2, 1));
        Close((f.mm(t["W_dec"]) + t["b_dec"]) / 2.5, saved.Autoencoder.Reconstruct(x));
        Assert.Equal(1, saved.Autoencoder.Scaling.Factor);
    }

    [Fact]
    public void A_choice_by_decoder_norms_is_kept()
    {
        (Dictionary<string, Tensor> t, Tensor x) = Tensors("topk");
        string folder = Write("rescaled", t, """{"architecture": "topk", "k": 3, "d_in": 6, "d_sae": 20, "rescale_acts_by_decoder_norm": true}""");
        using SavedAutoencoder saved = SaeLensFolder.Read(folder);
        Tensor z = (x - t["b_dec"]).mm(t["W_enc"]) + t["b_enc"], score = z * t["W_dec"].norm(1), f = z.relu() * score.ge(score.topk(3).values.narrow(1, 2, 1));
        Close(f.mm(t["W_dec"]) + t["b_dec"], saved.Autoencoder.Reconstruct(x));
    }

    [Fact]
    public void A_batch_choice_is_written_as_thresholds_and_the_scaling_folded()
    {
        var autoencoder = new SparseAutoencoder(6, 20, new BatchTopKRule(2.5), seed: 4);
        Tensor x = randn([200, 6], generator: new Generator(5));
        autoencoder.Scaling.Set(1.75);
        autoencoder.CalibrateThreshold(x, 2.5);
        string folder = Path.Combine(Folder, "batch");
        SaeLensFolder.Write(folder, autoencoder, new() { Site = new(3, Activation.ResidualAfter), Model = "tiny" });
        using SavedAutoencoder saved = SaeLensFolder.Read(folder);
        Assert.IsType<ThresholdRule>(saved.Autoencoder.Rule);
        Assert.Equal("blocks.3.hook_resid_post", saved.Origin.Hook);
        Close(autoencoder.Reconstruct(x), saved.Autoencoder.Reconstruct(x));
        Assert.Throws<InvalidOperationException>(() => SaeLensFolder.Write(folder, new SparseAutoencoder(6, 20, new BatchTopKRule(2))));
    }

    [Fact]
    public void A_folder_of_sparsify_is_read_and_written()
    {
        (Dictionary<string, Tensor> t, Tensor x) = Tensors("topk");
        string folder = Path.Combine(Folder, "run", "layers.4.mlp");
        Directory.CreateDirectory(folder);
        File.WriteAllText(Path.Combine(folder, "cfg.json"), """{"expansion_factor": 32, "normalize_decoder": true, "num_latents": 20, "k": 3, "multi_topk": false, "skip_connection": false, "d_in": 6, "mine": "x"}""");
        SafeTensors.Save(Path.Combine(folder, "sae.safetensors"), new Dictionary<string, Tensor>
        {
            ["encoder.weight"] = t["W_enc"].t().contiguous().to(ScalarType.Float16), ["encoder.bias"] = t["b_enc"], ["W_dec"] = t["W_dec"], ["b_dec"] = t["b_dec"],
        });
        using SavedAutoencoder saved = SparsifyFolder.Read(folder);
        Tensor z = (x - t["b_dec"]).mm(t["W_enc"].to(ScalarType.Float16).to(ScalarType.Float32)) + t["b_enc"], f = z.relu() * z.ge(z.topk(3).values.narrow(1, 2, 1));
        Close(f.mm(t["W_dec"]) + t["b_dec"], saved.Autoencoder.Reconstruct(x));
        Assert.Equal(new ActivationSite(4, Activation.MlpOutput), saved.Origin.Site);
        Assert.Contains(saved.Remarks, remark => remark.Contains("Float16", StringComparison.Ordinal));
        string again = Path.Combine(Folder, "layers.4.mlp");
        SparsifyFolder.Write(again, saved.Autoencoder, saved.Origin);
        using SavedAutoencoder twice = SparsifyFolder.Read(again);
        Assert.True(saved.Autoencoder.Reconstruct(x).eq(twice.Autoencoder.Reconstruct(x)).all().item<bool>());
        Assert.Contains("mine", File.ReadAllText(Path.Combine(again, "cfg.json")), StringComparison.Ordinal);
        Assert.Contains("layers.4.mlp", Assert.Throws<FileNotFoundException>(() => SparsifyFolder.Read(Path.Combine(Folder, "run"))).Message, StringComparison.Ordinal);
        Assert.Throws<ArgumentException>(() => SparsifyFolder.Write(again, new SparseAutoencoder(6, 20, new ReluRule())));
    }

    [Theory]
    [InlineData("constant_norm_rescale", TokenScaling.ConstantNorm)]
    [InlineData("layer_norm", TokenScaling.LayerNorm)]
    public void Tokens_that_are_scaled_by_themselves_are_put_back(string name, TokenScaling scaling)
    {
        (Dictionary<string, Tensor> t, Tensor x) = Tensors("jumprelu");
        string folder = Write("tokens", t, $$"""{"architecture": "jumprelu", "d_in": 6, "d_sae": 20, "normalize_activations": "{{name}}"}""");
        using SavedAutoencoder saved = SaeLensFolder.Read(folder);
        Assert.Equal(scaling, saved.Autoencoder.TokenScaling);
        Assert.Contains(saved.Remarks, remark => remark.Contains(name, StringComparison.Ordinal));

        // As SAELens: the output of layer_norm is multiplied with std, without what was added to it on the way in.
        Tensor factor = scaling == TokenScaling.ConstantNorm ? x.norm(1, keepdim: true) / Math.Sqrt(6) : x.std(1, unbiased: true, keepdim: true);
        Tensor mean = scaling == TokenScaling.ConstantNorm ? zeros(50, 1) : x.mean([1L], keepdim: true);
        Tensor z = (((x - mean) / (factor + (scaling == TokenScaling.LayerNorm ? 1e-5 : 0))) - t["b_dec"]).mm(t["W_enc"]) + t["b_enc"], f = z * z.gt(t["threshold"]);
        using SparseCode code = saved.Autoencoder.Encode(x);
        Close(f, code.ToDense());
        Close((f.mm(t["W_dec"]) + t["b_dec"]) * factor + mean, saved.Autoencoder.Decode(code));
        Close(z, saved.Autoencoder.PreActivations(x));
        using var bare = new SparseCode(code.Support, code.Values.clone());
        Assert.Contains("Encode", Assert.Throws<ArgumentException>(() => saved.Autoencoder.Decode(bare)).Message, StringComparison.Ordinal);

        // A constant token and one of zeros stay finite.
        Tensor odd = cat([zeros(1, 6), ones(1, 6)]);
        Assert.True(saved.Autoencoder.Reconstruct(odd).isfinite().all().item<bool>());
        Assert.Equal(1, saved.Autoencoder.CalibrateThreshold(x, code.L0), 0.05);
        string again = Path.Combine(Folder, "again");
        SaeLensFolder.Write(again, saved.Autoencoder, saved.Origin);
        using SavedAutoencoder twice = AutoencoderFolder.Read(again, new() { Norms = DecoderNorms.Keep });
        Close(saved.Autoencoder.Reconstruct(x), twice.Autoencoder.Reconstruct(x));
        Assert.Contains("no factor to give", Assert.Throws<ArgumentException>(() => SaeLensFolder.Read(folder, activationScale: 2)).Message, StringComparison.Ordinal);
        using var buffer = new ActivationBuffer(new TensorActivations(x), 10, new() { Repeat = true });
        Assert.Contains("one constant", Assert.Throws<ArgumentException>(() => new AutoencoderTrainer(saved.Autoencoder, buffer)).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Group_max_of_sparsify_is_the_largest_of_each_group()
    {
        (Dictionary<string, Tensor> t, Tensor x) = Tensors("topk");
        string folder = Path.Combine(Folder, "layers.2");
        Directory.CreateDirectory(folder);
        void Config(int k) => File.WriteAllText(Path.Combine(folder, "cfg.json"), $$"""{"activation": "groupmax", "num_latents": 20, "k": {{k}}, "d_in": 6}""");
        SafeTensors.Save(Path.Combine(folder, "sae.safetensors"), new Dictionary<string, Tensor> { ["encoder.weight"] = t["W_enc"].t().contiguous(), ["encoder.bias"] = t["b_enc"], ["W_dec"] = t["W_dec"], ["b_dec"] = t["b_dec"] });
        Config(4);
        using SavedAutoencoder saved = SparsifyFolder.Read(folder);
        Tensor z = ((x - t["b_dec"]).mm(t["W_enc"]) + t["b_enc"]).relu().view(-1, 4, 5), f = (z * z.ge(z.amax([2L], keepdim: true))).view(-1, 20);
        Close(f, saved.Autoencoder.Encode(x).ToDense());
        string again = Path.Combine(Folder, "again", "layers.2");
        SparsifyFolder.Write(again, saved.Autoencoder, saved.Origin);
        using SavedAutoencoder twice = SparsifyFolder.Read(again);
        Assert.Equal(4, Assert.IsType<GroupMaxRule>(twice.Autoencoder.Rule).K);
        Config(3);
        Assert.Contains("divides the 20 latents", Assert.Throws<InvalidDataException>(() => SparsifyFolder.Read(folder)).Message, StringComparison.Ordinal);
        Assert.Contains("3 groups", Assert.Throws<ArgumentException>(() => new SparseAutoencoder(6, 20, new GroupMaxRule(3))).Message, StringComparison.Ordinal);
        Assert.Throws<ArgumentException>(() => SaeLensFolder.Write(again, saved.Autoencoder));
    }

    [Fact]
    public void What_is_not_understood_is_refused_by_name()
    {
        (Dictionary<string, Tensor> t, _) = Tensors("standard");
        void Refused(string config, string text, Dictionary<string, Tensor>? tensors = null) =>
            Assert.Contains(text, Assert.ThrowsAny<InvalidDataException>(() => SaeLensFolder.Read(Write(Guid.NewGuid().ToString("N"), tensors ?? t, config))).Message, StringComparison.Ordinal);
        Refused("[]", "no JSON object");
        Refused("{", "no JSON");
        Refused("""{"d_sae": 20}""", "has no d_in");
        Refused("""{"d_in": "6", "d_sae": 20}""", "must be a whole number");
        Refused("""{"architecture": "crosscoder", "d_in": 6, "d_sae": 20}""", "architecture is 'crosscoder'; known is standard, topk, jumprelu and gated");
        Refused("""{"activation_fn_str": "tanh-relu", "d_in": 6, "d_sae": 20}""", "activation_fn is 'tanh-relu'");
        Refused("""{"normalize_activations": "batch_norm", "d_in": 6, "d_sae": 20}""", "normalize_activations is 'batch_norm'");
        Refused("""{"reshape_activations": "other", "d_in": 6, "d_sae": 20}""", "reshape_activations is 'other'");
        Refused("""{"architecture": "topk", "d_in": 6, "d_sae": 20}""", "k is 'missing'");
        Refused("""{"architecture": "topk", "k": 21, "d_in": 6, "d_sae": 20}""", "k is '21'");
        Refused("""{"d_in": 6, "d_sae": 21}""", "'W_enc' is [6, 20], where the config wants [6, 21]");
        Refused("""{"architecture": "jumprelu", "d_in": 6, "d_sae": 20}""", "no tensor 'threshold'");
        Refused("""{"d_in": 6, "d_sae": 20}""", "'b_dec' holds a value that is not finite", new(t) { ["b_dec"] = t["b_dec"] / 0 });
        Refused("""{"d_in": 6, "d_sae": 20}""", "'scaling_factor' is not all ones", new(t) { ["scaling_factor"] = full(20, 2f) });
        Assert.Contains("no cfg.json", Assert.Throws<FileNotFoundException>(() => SaeLensFolder.Read(Path.Combine(Folder, "nowhere"))).Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("constant_norm_rescale", 1e20)]
    [InlineData("constant_norm_rescale", 1e-25)]
    [InlineData("layer_norm", 1e20)]
    public void Tokens_of_an_extreme_scale_are_scaled_and_put_back(string name, double size)
    {
        (Dictionary<string, Tensor> t, Tensor x) = Tensors("topk");
        x *= 100;
        using SavedAutoencoder saved = SaeLensFolder.Read(Write("extreme", t, $$"""{"architecture": "topk", "k": 3, "d_in": 6, "d_sae": 20, "normalize_activations": "{{name}}"}"""));
        Close(saved.Autoencoder.Reconstruct(x), saved.Autoencoder.Reconstruct(x * size) / size);
    }

    [Fact]
    public void Thresholds_below_zero_do_what_zero_does()
    {
        (Dictionary<string, Tensor> t, Tensor x) = Tensors("jumprelu");
        t["threshold"] = t["threshold"] - 0.8;
        long below = t["threshold"].lt(0).sum().item<long>();
        Assert.InRange(below, 1, 19);
        using SavedAutoencoder saved = SaeLensFolder.Read(Write("below", t, """{"architecture": "jumprelu", "d_in": 6, "d_sae": 20}"""));
        Tensor z = (x - t["b_dec"]).mm(t["W_enc"]) + t["b_enc"];
        using SparseCode code = saved.Autoencoder.Encode(x);
        Close(z.relu() * z.gt(t["threshold"]), code.ToDense());
        Assert.Contains(saved.Remarks, remark => remark.StartsWith($"{below} thresholds are below zero", StringComparison.Ordinal));
    }

    [Fact]
    public void A_key_that_stands_twice_is_refused_by_name_and_does_not_hide_a_folder()
    {
        (Dictionary<string, Tensor> t, _) = Tensors("standard");
        string folder = Write("twice", t, """{"d_in": 6, "d_sae": 20, "hook_name": "blocks.0.hook_resid_pre", "hook_name": "blocks.1.hook_resid_pre"}""");
        string message = Assert.Throws<InvalidDataException>(() => SaeLensFolder.Read(folder)).Message;
        Assert.Contains("cfg.json", message, StringComparison.Ordinal);
        Assert.Contains("hook_name", message, StringComparison.Ordinal);
        Assert.Contains("twice", Assert.Throws<FileNotFoundException>(() => AutoencoderFolder.Read(Folder)).Message, StringComparison.Ordinal);

        // What the reader forgives, the list of places forgives too.
        Write("commented", t, "\uFEFF{\r\n// a note\r\n\"d_in\": 6, \"d_sae\": 20, \"hook_name\": \"blocks.2.hook_resid_pre\",\r\n}");
        Assert.Contains("blocks.2.hook_resid_pre in commented", Assert.Throws<FileNotFoundException>(() => AutoencoderFolder.Read(Folder)).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_product_of_sizes_that_is_too_large_is_refused_by_name()
    {
        string folder = Path.Combine(Folder, "large");
        Directory.CreateDirectory(folder);
        File.WriteAllText(Path.Combine(folder, "cfg.json"), """{"d_in": 2000000000, "k": 32, "expansion_factor": 32}""");
        Assert.Contains("expansion_factor is '32'", Assert.Throws<InvalidDataException>(() => SparsifyFolder.Read(folder)).Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("blocks.0.hook_resid_pre", 0, Activation.ResidualBefore)]
    [InlineData("blocks.11.attn.hook_z", 11, Activation.HeadOutputs)]
    [InlineData("blocks.7.mlp.hook_post", 7, Activation.MlpHidden)]
    [InlineData("layers.3", 3, Activation.ResidualAfter)]
    [InlineData("h.3.attn", 3, Activation.AttentionOutput)]
    [InlineData("model.layers.12.mlp", 12, Activation.MlpOutput)]
    public void Names_of_places_are_known(string name, int layer, Activation place)
    {
        Assert.Equal(new ActivationSite(layer, place), HookNames.Parse(name));
        if (name.StartsWith("blocks", StringComparison.Ordinal)) Assert.Equal(name, HookNames.Of(new(layer, place)));
    }

    [Theory]
    [InlineData("embed_tokens")]
    [InlineData("blocks.x.hook_resid_pre")]
    [InlineData("blocks.1.hook_scale")]
    [InlineData("layers.1.norm")]
    public void Other_names_are_not(string name) => Assert.Null(HookNames.Parse(name));

    private static (Dictionary<string, Tensor> Tensors, Tensor X) Tensors(string architecture)
    {
        var generator = new Generator(11);
        Tensor Draw(params long[] shape) => randn(shape, generator: generator);
        var t = new Dictionary<string, Tensor> { ["W_enc"] = Draw(6, 20), ["W_dec"] = Draw(20, 6), ["b_dec"] = Draw(6) };
        if (architecture == "gated") (t["b_gate"], t["r_mag"], t["b_mag"]) = (Draw(20), Draw(20) * 0.3, Draw(20));
        else t["b_enc"] = Draw(20);
        if (architecture == "jumprelu") t["threshold"] = Draw(20).abs() + 0.1;
        return (t, Draw(50, 6));
    }
}
