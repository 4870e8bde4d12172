using System.Text.Json.Nodes;
using Sparseland.Autoencoders;
using Sparseland.IO;
using Sparseland.Models.Language;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Tests.Autoencoders;

/// <summary>One entry for folders of other people: what they are is seen by their files, what is changed is said, and what does not fit a model is refused.</summary>
public sealed class AutoencoderFolderTests : FolderBed
{
    [Fact]
    public void Either_kit_is_told_by_its_files()
    {
        var topK = new SparseAutoencoder(6, 20, new TopKRule(3), seed: 2);
        SaeLensFolder.Write(At("lens"), topK, new() { Site = new(1, Activation.ResidualAfter) });
        SparsifyFolder.Write(At("layers.1"), topK);
        Tensor x = Draw(40, 6), expected = topK.Reconstruct(x);
        foreach (string path in (string[])[At("lens"), At("layers.1"), Path.Combine(At("lens"), "sae_weights.safetensors")])
        {
            using SavedAutoencoder saved = AutoencoderFolder.Read(path);
            Close(expected, saved.Autoencoder.Reconstruct(x));
            Assert.Equal(new ActivationSite(1, Activation.ResidualAfter), saved.Origin.Site);
            Assert.Empty(saved.Remarks);
        }

        File.Copy(Path.Combine(At("lens"), "sae_weights.safetensors"), Path.Combine(At("layers.1"), "sae_weights.safetensors"));
        Assert.Contains("sae_weights.safetensors and sae.safetensors", Assert.Throws<InvalidDataException>(() => AutoencoderFolder.Read(At("layers.1"))).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_folder_of_folders_lists_the_places_found()
    {
        // As a download cache has them: a folder per snapshot, in it one per place.
        string root = At("models--somebody--saes"), snapshot = Path.Combine(root, "snapshots", "0a1b");
        var autoencoder = new SparseAutoencoder(6, 20, new TopKRule(3));
        foreach (int layer in (int[])[11, 2]) SparsifyFolder.Write(Path.Combine(snapshot, $"layers.{layer}"), autoencoder);
        SaeLensFolder.Write(Path.Combine(snapshot, "run-7"), autoencoder, new() { Hook = "blocks.5.hook_resid_pre" });
        Directory.CreateDirectory(Path.Combine(root, "blobs"));
        string said = Assert.Throws<FileNotFoundException>(() => AutoencoderFolder.Read(root)).Message;
        Assert.Contains($"3 below it; name one: layers.2 in {Path.Combine("snapshots", "0a1b", "layers.2")}, blocks.5.hook_resid_pre in {Path.Combine("snapshots", "0a1b", "run-7")}, layers.11 in", said, StringComparison.Ordinal);
        said = Assert.Throws<FileNotFoundException>(() => AutoencoderFolder.Read(snapshot)).Message;
        Assert.Contains("layers.2, blocks.5.hook_resid_pre in run-7, layers.11", said, StringComparison.Ordinal);

        Directory.CreateDirectory(At("other"));
        Assert.Contains("no other file", Assert.Throws<FileNotFoundException>(() => AutoencoderFolder.Read(At("other"))).Message, StringComparison.Ordinal);
        File.WriteAllText(Path.Combine(At("other"), "ae.pt"), "x");
        Assert.Contains("only ae.pt", Assert.Throws<FileNotFoundException>(() => AutoencoderFolder.Read(At("other"))).Message, StringComparison.Ordinal);
        Assert.Contains("nowhere", Assert.Throws<DirectoryNotFoundException>(() => AutoencoderFolder.Read(At("nowhere"))).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_scaling_is_found_beside_the_config_or_taken_as_given()
    {
        Dictionary<string, Tensor> t = Tensors();
        string folder = Write("scaled", t, """{"architecture": "standard", "d_in": 6, "d_sae": 20, "normalize_activations": "expected_average_only_in"}""");
        Assert.Contains("activation_scaler.json", Assert.Throws<ArgumentException>(() => AutoencoderFolder.Read(folder)).Message, StringComparison.Ordinal);
        Tensor x = Draw(40, 6);
        Tensor Expected(double s) => ((((x * s) - t["b_dec"]).mm(t["W_enc"]) + t["b_enc"]).relu().mm(t["W_dec"]) + t["b_dec"]) / s;
        using (SavedAutoencoder given = AutoencoderFolder.Read(folder, new() { ActivationScale = 0.5 })) Close(Expected(0.5), given.Autoencoder.Reconstruct(x));
        File.WriteAllText(Path.Combine(folder, "activation_scaler.json"), """{"scaling_factor": 0.25}""");
        using (SavedAutoencoder found = AutoencoderFolder.Read(folder))
        {
            Close(Expected(0.25), found.Autoencoder.Reconstruct(x));
            Assert.Contains(found.Remarks, remark => remark.Contains("multiplied with 0.25 (scaling_factor of activation_scaler.json)", StringComparison.Ordinal));
        }

        using (SavedAutoencoder given = AutoencoderFolder.Read(folder, new() { ActivationScale = 0.5 })) Close(Expected(0.5), given.Autoencoder.Reconstruct(x));
        File.WriteAllText(Path.Combine(folder, "activation_scaler.json"), """{"scaling_factor": -1}""");
        Assert.Contains("scaling_factor is -1", Assert.Throws<InvalidDataException>(() => AutoencoderFolder.Read(folder)).Message, StringComparison.Ordinal);
        SparsifyFolder.Write(At("layers.0"), new SparseAutoencoder(6, 20, new TopKRule(3)));
        Assert.Contains("scales no activations", Assert.Throws<ArgumentException>(() => AutoencoderFolder.Read(At("layers.0"), new() { ActivationScale = 2 })).Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("standard")]
    [InlineData("jumprelu")]
    [InlineData("gated")]
    [InlineData("topk")]
    public void Norms_of_the_decoder_are_folded_where_that_changes_no_choice(string architecture)
    {
        Dictionary<string, Tensor> t = Tensors();
        t["threshold"] = Draw(20).abs() + 0.1;
        if (architecture == "gated") (t["b_gate"], t["r_mag"], t["b_mag"]) = (Draw(20), Draw(20) * 0.3, Draw(20));
        string folder = Write("norms", t, $$"""{"architecture": "{{architecture}}", "k": 3, "d_in": 6, "d_sae": 20}""");
        Tensor x = Draw(40, 6), norms = t["W_dec"].norm(1);
        using SavedAutoencoder kept = AutoencoderFolder.Read(folder, new() { Norms = DecoderNorms.Keep }), folded = AutoencoderFolder.Read(folder);
        Close(kept.Autoencoder.Reconstruct(x), folded.Autoencoder.Reconstruct(x));
        Assert.Contains(kept.Remarks, remark => remark.Contains("stay as they are", StringComparison.Ordinal));
        if (architecture == "topk")
        {
            Assert.Contains(folded.Remarks, remark => remark.Contains("topk compares latents", StringComparison.Ordinal));
            Close(norms, folded.Autoencoder.Decoder.norm(1));
            return;
        }

        Close(ones(20), folded.Autoencoder.Decoder.norm(1));
        Close(kept.Autoencoder.Encode(x).ToDense() * norms, folded.Autoencoder.Encode(x).ToDense());
        Assert.Contains(folded.Remarks, remark => remark.Contains("folded into the encoder", StringComparison.Ordinal));
    }

    [Fact]
    public void One_norm_of_all_rows_is_folded_for_topk_too()
    {
        // What a folded scaling leaves behind: rows of one norm that is not one.
        var autoencoder = new SparseAutoencoder(6, 20, new TopKRule(3), seed: 2);
        autoencoder.Scaling.Set(0.25);
        using (no_grad()) autoencoder.EncoderBias.copy_(Draw(20) * 0.1);
        SaeLensFolder.Write(At("one"), autoencoder);
        Tensor x = Draw(40, 6) * 4;
        using SavedAutoencoder folded = AutoencoderFolder.Read(At("one")), kept = AutoencoderFolder.Read(At("one"), new() { Norms = DecoderNorms.Keep });
        Close(ones(20), folded.Autoencoder.Decoder.norm(1));
        Close(full(20, 4f), kept.Autoencoder.Decoder.norm(1));
        using SparseCode a = folded.Autoencoder.Encode(x), b = kept.Autoencoder.Encode(x);
        Assert.Equal(b.Support.ColumnIndices.ToArray(), a.Support.ColumnIndices.ToArray());
        Close(b.Values * 4, a.Values);
        Close(autoencoder.Reconstruct(x), folded.Autoencoder.Reconstruct(x));
        Assert.Contains("norms from 4 to 4; they were folded", Assert.Single(folded.Remarks), StringComparison.Ordinal);
        Assert.Contains("in units of them", Assert.Single(kept.Remarks), StringComparison.Ordinal);
    }

    [Fact]
    public void Figures_of_the_making_come_back_and_unknown_ones_stay()
    {
        var autoencoder = new SparseAutoencoder(6, 20, new BatchTopKRule(2.5), seed: 4);
        autoencoder.Scaling.Set(2);
        autoencoder.CalibrateThreshold(Draw(200, 6), 2.5);
        var figures = new AutoencoderFigures
        {
            Seed = 7, Tokens = 2_000_000_000_000, HeldOutTokens = 4096, L0 = 2.4, Fvu = 0.125, CrossEntropyIncrease = double.NaN, KullbackLeibler = 0.5, DeadShare = 0.1, Context = 64, SkipFirst = 1, MaxNormRatio = 10.5, Pooled = false,
            Unused = new() { ["mood"] = "good" },
        };
        SaeLensFolder.Write(At("a"), autoencoder, new() { Model = "tinylm", Site = new(2, Activation.MlpOutput), Figures = figures });
        using SavedAutoencoder first = AutoencoderFolder.Read(At("a"));
        SaeLensFolder.Write(At("b"), first.Autoencoder, first.Origin);
        using SavedAutoencoder second = AutoencoderFolder.Read(At("b"));
        foreach (SavedAutoencoder saved in (SavedAutoencoder[])[first, second])
        {
            AutoencoderFigures back = saved.Origin.Figures!;
            Assert.Equal((7, 2_000_000_000_000, 4096, 2.4, 0.125, 0.5, 0.1), (back.Seed, back.Tokens, back.HeldOutTokens, back.L0, back.Fvu, back.KullbackLeibler, back.DeadShare));
            Assert.Equal((64, 1, 10.5, false), (back.Context, back.SkipFirst, back.MaxNormRatio, back.Pooled));
            Assert.Null(back.CrossEntropyIncrease);
            Assert.Equal(new ActivationSite(2, Activation.MlpOutput), back.Site);
            Assert.Equal((autoencoder.Rule.Description, 2.0), (back.Rule, back.FoldedScaling));
            Assert.Equal("good", (string?)back.Unused!["mood"]);
        }

        JsonObject config = JsonNode.Parse(File.ReadAllText(Path.Combine(At("b"), "cfg.json")))!.AsObject();
        Assert.Equal("mlp_out.2", (string?)config["metadata"]!["sparseland"]!["site"]);
        config["metadata"]!["sparseland"]!["tokens"] = "many";
        File.WriteAllText(Path.Combine(At("b"), "cfg.json"), config.ToJsonString());
        Assert.Contains("tokens is \"many\"", Assert.Throws<InvalidDataException>(() => AutoencoderFolder.Read(At("b"))).Message, StringComparison.Ordinal);

        SparsifyFolder.Write(At("layers.3"), new SparseAutoencoder(6, 20, new TopKRule(3)), new() { Figures = figures });
        using SavedAutoencoder sparsify = AutoencoderFolder.Read(At("layers.3"));
        Assert.Equal(0.125, sparsify.Origin.Figures!.Fvu);
    }

    [Fact]
    public void An_autoencoder_of_another_model_or_layer_is_refused_with_both_names()
    {
        using var model = new TinyLM(new LlamaConfig { Vocabulary = 50, Width = 16, Layers = 2, Heads = 2, KeyValueHeads = 1, MlpWidth = 24, Context = 12 });
        SavedAutoencoder Saved(int width, ActivationSite? site, string? hook = null) => new(new SparseAutoencoder(width, 20, new TopKRule(3)), new() { Model = "gpt2", Site = site, Hook = hook }, []);
        Assert.Equal(new ActivationSite(1, Activation.ResidualAfter), Saved(16, new(1, Activation.ResidualAfter)).SiteIn(model, "tiny"));
        Assert.Equal(new ActivationSite(0, Activation.MlpHidden), Saved(24, null).SiteIn(model, "tiny", new(0, Activation.MlpHidden)));
        Refused("'blocks.1.hook_mlp_out' of 'gpt2' has width 768, but MlpOutput of block 1 of tiny has 16", Saved(768, new(1, Activation.MlpOutput), "blocks.1.hook_mlp_out"));
        Refused("ResidualAfter of block 11 of 'gpt2', but tiny has blocks 0 to 1", Saved(16, new(11, Activation.ResidualAfter)));
        Refused("'blocks.1.hook_scale' of 'gpt2', which is none of ours", Saved(16, null, "blocks.1.hook_scale"));
        Refused("names no place", Saved(16, null));
        using var bert = Models.Language.TinyBert.New();
        Assert.Contains($"blocks 0 to {bert.Config.Layers - 1}", Assert.Throws<ArgumentException>(() => Saved(16, new(90, Activation.ResidualAfter)).SiteIn(bert, "arctic")).Message, StringComparison.Ordinal);

        void Refused(string text, SavedAutoencoder saved) => Assert.Contains(text, Assert.Throws<ArgumentException>(() => saved.SiteIn(model, "tiny")).Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("resid_post.1", 1, Activation.ResidualAfter)]
    [InlineData("resid_pre.0", 0, Activation.ResidualBefore)]
    [InlineData("mlp_out.12", 12, Activation.MlpOutput)]
    [InlineData("attn_out.3", 3, Activation.AttentionOutput)]
    [InlineData("mlp_post.3", 3, Activation.MlpHidden)]
    [InlineData("z.3", 3, Activation.HeadOutputs)]
    public void Short_names_are_known_and_come_back(string name, int layer, Activation place)
    {
        Assert.Equal(new ActivationSite(layer, place), HookNames.Parse(name));
        Assert.Equal(name, HookNames.Short(new(layer, place)));
    }

    private Dictionary<string, Tensor> Tensors() => new() { ["W_enc"] = Draw(6, 20), ["W_dec"] = Draw(20, 6), ["b_dec"] = Draw(6), ["b_enc"] = Draw(20) };

    private readonly Generator _generator = new(11);

    private Tensor Draw(params long[] shape) => randn(shape, generator: _generator);
}
