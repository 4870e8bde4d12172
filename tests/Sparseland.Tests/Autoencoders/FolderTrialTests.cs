using System.Text;
using System.Text.Json.Nodes;
using Sparseland.Autoencoders;
using Sparseland.IO;
using Sparseland.Models.Language;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Tests.Autoencoders;

/// <summary>Folders as people have them: cut, empty, of other encodings and types, half written, and folders that cannot be written.</summary>
public sealed class FolderTrialTests : FolderBed
{
    private const string Plain = """{"architecture": "standard", "d_in": 3, "d_sae": 4}""";

    [Theory]
    [InlineData("")]
    [InlineData("null")]
    [InlineData("7")]
    [InlineData("{\"d_in\": 3, \"d_sae\": 4, \"l1_coefficient\": NaN}")]
    [InlineData("{\"d_in\": 3, \"d_sae\": 99999999999}")]
    [InlineData("{\"d_in\": 3, \"d_sae\": -4}")]
    [InlineData("{\"d_in\": 3, \"d_sae\": 4.5}")]
    [InlineData("{\"d_in\": true, \"d_sae\": 4}")]
    [InlineData("{\"d_in\": 3, \"d_sae\": 4, \"architecture\": 7}")]
    [InlineData("{\"d_in\": 3, \"d_sae\": 4, \"architecture\": \"topk\", \"k\": \"2\"}")]
    [InlineData("{\"d_in\": 3, \"d_sae\": 4, \"architecture\": \"topk\", \"k\": 0}")]
    [InlineData("{\"d_in\": 3, \"d_sae\": 4, \"architecture\": \"topk\", \"k\": 5}")]
    [InlineData("{\"d_in\": 3, \"d_sae\": 4, \"metadata\": {\"sparseland\": 3}}")]
    [InlineData("{\"d_in\": 3, \"d_sae\": 4, \"metadata\": {\"hook_name\": [1]}}")]
    [InlineData("{\"d_in\": 3, \"d_sae\": 4, \"normalize_activations\": 3}")]
    public void A_config_that_says_nothing_sensible_is_refused_with_its_file(string config)
    {
        string folder = Lens("bad", config);
        Assert.Contains("cfg.json", Assert.Throws<InvalidDataException>(() => AutoencoderFolder.Read(folder)).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Deep_and_other_encodings_of_a_config_are_read_or_refused_with_its_file()
    {
        string folder = Lens("deep", "{\"d_in\": 3, \"d_sae\": 4, \"x\": " + new string('[', 300) + new string(']', 300) + "}");
        Assert.Contains("cfg.json", Assert.Throws<InvalidDataException>(() => AutoencoderFolder.Read(folder)).Message, StringComparison.Ordinal);
        foreach (Encoding encoding in (Encoding[])[Encoding.Unicode, Encoding.BigEndianUnicode, new UTF8Encoding(true)])
        {
            File.WriteAllText(Path.Combine(folder, "cfg.json"), Plain.Replace(",", ",\r\n", StringComparison.Ordinal), encoding);
            using SavedAutoencoder saved = AutoencoderFolder.Read(folder);
            Assert.Equal(4, saved.Autoencoder.Latents);
        }
    }

    [Theory]
    [InlineData(ScalarType.Float16)]
    [InlineData(ScalarType.BFloat16)]
    [InlineData(ScalarType.Float64)]
    public void Weights_of_every_type_are_widened_with_a_remark(ScalarType type)
    {
        Dictionary<string, Tensor> t = Tensors().ToDictionary(pair => pair.Key, pair => pair.Value.to(type));
        using SavedAutoencoder saved = AutoencoderFolder.Read(Write("typed", t, Plain), new() { Norms = DecoderNorms.Keep });
        Assert.Single(saved.Remarks, remark => remark.Contains($"{type} in the file", StringComparison.Ordinal));
        Close(t["W_dec"].to(ScalarType.Float32), saved.Autoencoder.Decoder);
        t["b_dec"] = t["b_dec"].to(ScalarType.Float64) * 1e300;
        Assert.Contains("'b_dec'", Assert.Throws<InvalidDataException>(() => AutoencoderFolder.Read(Write("typed", t, Plain))).Message, StringComparison.Ordinal);
        t["b_dec"] = zeros(3, dtype: ScalarType.Int32);
        Assert.Contains("'b_dec' is Int32", Assert.Throws<InvalidDataException>(() => AutoencoderFolder.Read(Write("typed", t, Plain))).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Weights_that_are_cut_empty_or_no_file_are_refused_by_name()
    {
        string folder = Lens("cut", Plain), weights = Path.Combine(folder, "sae_weights.safetensors");
        byte[] whole = File.ReadAllBytes(weights);
        foreach (int keep in (int[])[0, 1, 7, 8, 40, whole.Length / 2, whole.Length - 1])
        {
            File.WriteAllBytes(weights, whole[..keep]);
            Assert.Contains("sae_weights.safetensors", Assert.Throws<InvalidDataException>(() => AutoencoderFolder.Read(folder)).Message, StringComparison.Ordinal);
        }

        whole[^3] ^= 0x10;
        File.WriteAllBytes(weights, whole);
        Assert.Contains("sae_weights.safetensors", Assert.Throws<InvalidDataException>(() => AutoencoderFolder.Read(folder)).Message, StringComparison.Ordinal);
        File.Delete(weights);
        Directory.CreateDirectory(weights);
        Assert.Contains("cut", Assert.Throws<FileNotFoundException>(() => AutoencoderFolder.Read(folder)).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_decoder_of_zeros_is_read_as_it_is()
    {
        Dictionary<string, Tensor> t = Tensors();
        t["W_dec"] = zeros(4, 3);
        foreach (string rule in (string[])["\"architecture\": \"standard\"", "\"architecture\": \"topk\", \"k\": 2", "\"architecture\": \"topk\", \"k\": 2, \"rescale_acts_by_decoder_norm\": true"])
        {
            using SavedAutoencoder saved = AutoencoderFolder.Read(Write("zeros", t, $$"""{"d_in": 3, "d_sae": 4, {{rule}}}"""));
            Tensor rebuilt = saved.Autoencoder.Reconstruct(randn([5, 3], generator: new Generator(2)));
            Close(t["b_dec"].expand(5, 3), rebuilt);
            Assert.True(saved.Autoencoder.Decoder.isfinite().all().item<bool>() && saved.Autoencoder.Encoder.isfinite().all().item<bool>());
        }
    }

    [Theory]
    [InlineData("""{"d_in": 3, "k": 2, "num_latents": -4, "expansion_factor": 1}""", "num_latents")]
    [InlineData("""{"d_in": 3, "k": 2, "num_latents": 0, "expansion_factor": 0}""", "expansion_factor")]
    [InlineData("""{"d_in": 3, "k": 2}""", "expansion_factor")]
    [InlineData("""{"d_in": 3, "k": 0, "num_latents": 4}""", "k is 0")]
    [InlineData("""{"d_in": 3, "k": 5, "num_latents": 4}""", "k is '5'")]
    [InlineData("""{"d_in": 3, "k": 2, "num_latents": 4, "activation": "relu"}""", "activation is 'relu'")]
    [InlineData("""{"d_in": 3, "k": 2, "num_latents": 4, "transcode": true}""", "transcode")]
    [InlineData("""{"d_in": 3, "k": 2, "num_latents": 4, "skip_connection": true}""", "skip_connection")]
    [InlineData("""{"d_in": 3, "k": 2, "num_latents": 4, "signed": true}""", "signed")]
    public void A_config_of_sparsify_is_refused_by_its_key(string config, string said)
    {
        string folder = Sparsify("layers.1", config);
        Assert.Contains(said, Assert.Throws<InvalidDataException>(() => AutoencoderFolder.Read(folder)).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Sizes_of_sparsify_are_found_in_all_the_ways_it_writes_them()
    {
        foreach (string sizes in (string[])["\"num_latents\": 4", "\"num_latents\": 4, \"expansion_factor\": 32", "\"num_latents\": null, \"expansion_factor\": 2, \"d_in\": 2", "\"num_latents\": 0, \"expansion_factor\": 2.0, \"d_in\": 2"])
        {
            bool narrow = sizes.Contains("d_in", StringComparison.Ordinal);
            string folder = Sparsify("layers.1", $$"""{{{(narrow ? "" : "\"d_in\": 3, ")}}"k": 2, {{sizes}}}""", narrow ? 2 : 3);
            using SavedAutoencoder saved = AutoencoderFolder.Read(folder);
            Assert.Equal((4, new ActivationSite(1, Activation.ResidualAfter)), (saved.Autoencoder.Latents, saved.Origin.Site!.Value));
        }
    }

    [Fact]
    public void A_folder_that_cannot_be_written_is_named_and_a_rule_without_threshold_leaves_nothing()
    {
        var autoencoder = new SparseAutoencoder(3, 4, new TopKRule(2));
        File.WriteAllText(At("file"), "");
        foreach (Action<string> write in (Action<string>[])[folder => SaeLensFolder.Write(folder, autoencoder), folder => SparsifyFolder.Write(folder, autoencoder)])
            Assert.Contains("file", Assert.ThrowsAny<IOException>(() => write(At("file"))).Message, StringComparison.Ordinal);
        foreach (CodeRule rule in (CodeRule[])[new BatchTopKRule(2), new MutualChoiceRule(2), new MatryoshkaRule(2, [2, 4]), new FeatureChoiceRule(4, 2, null)])
        {
            Assert.Throws<InvalidOperationException>(() => SaeLensFolder.Write(At("none"), new SparseAutoencoder(3, 4, rule)));
            Assert.False(Directory.Exists(At("none")));
        }

        Assert.Throws<ArgumentException>(() => SaeLensFolder.Write(At("none"), new SparseAutoencoder(3, 4, new TopKRule(2), type: ScalarType.Float64)));
        Assert.Throws<ArgumentException>(() => SaeLensFolder.Write(At("none"), autoencoder, new() { Site = new(0, Activation.Queries) }));
        Assert.False(Directory.Exists(At("none")));
    }

    [Theory]
    [InlineData("relu")]
    [InlineData("topk")]
    [InlineData("jumprelu")]
    [InlineData("gated")]
    [InlineData("threshold")]
    [InlineData("batch-topk")]
    [InlineData("gradient")]
    [InlineData("feature-choice")]
    public void What_is_written_codes_the_same_and_is_written_again_to_the_same_bytes(string name)
    {
        CodeRule rule = name switch
        {
            "relu" => new ReluRule(), "topk" => new TopKRule(2), "jumprelu" => new JumpReluRule([0.1, 0.2, 0.3, 1e-3]), "gated" => new GatedRule(4), "threshold" => new ThresholdRule([0, 0.1, 0.2, 1e30]),
            "batch-topk" => new BatchTopKRule(2), "gradient" => new GradientTopKRule(2), _ => new FeatureChoiceRule(4, 2, null),
        };
        var autoencoder = new SparseAutoencoder(randn([4, 3], generator: new Generator(1)), randn([4, 3], generator: new Generator(2)), randn([4], generator: new Generator(3)), randn([3], generator: new Generator(4)), rule, name != "relu", 2.5);
        Tensor x = randn([40, 3], generator: new Generator(5));
        if (rule is GatedRule gated) using (no_grad()) gated.LogScale.copy_(linspace(-1, 1, 4));
        if (rule.ChoosesAcrossBatch) autoencoder.CalibrateThreshold(x, 1.5);
        var origin = new AutoencoderOrigin { Model = "ä \"model\"\n", Site = new(3, Activation.MlpOutput), Unused = JsonNode.Parse("""{"lr": 1e-4, "nested": {"a": [1, null, "x"]}}""")!.AsObject() };
        SaeLensFolder.Write(At("one"), autoencoder, origin);
        using SavedAutoencoder read = SaeLensFolder.Read(At("one"));
        Assert.Equal((origin.Model, origin.Site), (read.Origin.Model, read.Origin.Site));
        using SparseCode expected = autoencoder.Encode(x), actual = read.Autoencoder.Encode(x);
        Close(expected.ToDense(), actual.ToDense());
        Close(autoencoder.Decode(expected), read.Autoencoder.Decode(actual));
        SaeLensFolder.Write(At("two"), read.Autoencoder, read.Origin);
        Assert.Equal(File.ReadAllBytes(At("one/sae_weights.safetensors")), File.ReadAllBytes(At("two/sae_weights.safetensors")));
        Assert.Equal("x", (string?)JsonNode.Parse(File.ReadAllText(At("two/cfg.json")))!["nested"]!["a"]![2]);
    }

    [Theory]
    [InlineData("")]
    [InlineData(" ")]
    [InlineData("layers.")]
    [InlineData("layers.-1")]
    [InlineData("layers.99999999999")]
    [InlineData("layers.1.mlp.down_proj")]
    [InlineData("layers.1\n")]
    [InlineData("resid_post.1\n")]
    [InlineData("blocks.1.hook_resid_post\n")]
    [InlineData("resid_post")]
    [InlineData("RESID_POST.1")]
    [InlineData("layers.٣")]
    [InlineData("xlayers.3")]
    public void Names_that_are_none_are_none(string name) => Assert.Null(HookNames.Parse(name));

    [Fact]
    public void Names_come_back_for_every_place_that_has_one()
    {
        foreach (Activation place in Enum.GetValues<Activation>())
        {
            var site = new ActivationSite(7, place);
            string brief = HookNames.Short(site);
            if (brief.EndsWith(".7", StringComparison.Ordinal)) Assert.Equal(site, HookNames.Parse(brief));
            else Assert.Contains("known are", Assert.Throws<ArgumentException>(() => HookNames.Of(site)).Message, StringComparison.Ordinal);
        }
    }

    [Fact]
    public void A_place_that_the_model_does_not_have_is_refused_in_every_way()
    {
        using TinyLM model = Metrics.MetricsBed.Model();
        using var saved = new SavedAutoencoder(new SparseAutoencoder(16, 20, new TopKRule(2)), new(), []);
        Assert.Contains("names no place", Assert.Throws<ArgumentException>(() => saved.SiteIn(model)).Message, StringComparison.Ordinal);
        Assert.Throws<ArgumentNullException>(() => saved.SiteIn((LanguageModel)null!));
        foreach (int layer in (int[])[-1, 3, int.MaxValue])
            Assert.Contains("blocks 0 to 2", Assert.Throws<ArgumentException>(() => saved.SiteIn(model, site: new(layer, Activation.ResidualAfter))).Message, StringComparison.Ordinal);
        Assert.ThrowsAny<ArgumentException>(() => saved.SiteIn(model, site: new(0, Activation.AttentionPattern)));
        Assert.ThrowsAny<ArgumentException>(() => saved.SiteIn(model, site: new(0, (Activation)99)));
        Assert.Equal(new(2, Activation.HeadOutputs), saved.SiteIn(model, site: new(2, Activation.HeadOutputs)));
    }

    [Fact]
    public void A_path_may_be_the_folder_with_a_slash_its_weights_or_a_link()
    {
        string folder = Sparsify("layers.2", """{"d_in": 3, "k": 2, "num_latents": 4}""");
        var paths = new List<string> { folder, folder + "/", Path.Combine(folder, "sae.safetensors"), Path.Combine(folder, "..", "layers.2", ".") };
        if (!OperatingSystem.IsWindows())
        {
            Directory.CreateSymbolicLink(At("layers.5"), folder);
            paths.Add(At("layers.5"));
        }

        foreach (string path in paths)
        {
            using SavedAutoencoder saved = AutoencoderFolder.Read(path);
            Assert.NotNull(saved.Origin.Site);
        }

        Assert.Contains("cfg.json", Assert.ThrowsAny<IOException>(() => AutoencoderFolder.Read(Path.Combine(folder, "cfg.json"))).Message, StringComparison.Ordinal);
    }

    private static Dictionary<string, Tensor> Tensors() => new()
    {
        ["W_enc"] = randn([3, 4], generator: new Generator(1)), ["W_dec"] = randn([4, 3], generator: new Generator(2)), ["b_enc"] = randn([4], generator: new Generator(3)), ["b_dec"] = randn([3], generator: new Generator(4)),
    };

    private string Lens(string name, string config) => Write(name, Tensors(), config);

    private string Sparsify(string name, string config, int width = 3)
    {
        Directory.CreateDirectory(At(name));
        SafeTensors.Save(Path.Combine(At(name), "sae.safetensors"), new Dictionary<string, Tensor> { ["encoder.weight"] = randn(4, width), ["encoder.bias"] = randn(4), ["W_dec"] = randn(4, width), ["b_dec"] = randn(width) });
        File.WriteAllText(Path.Combine(At(name), "cfg.json"), config);
        return At(name);
    }
}
