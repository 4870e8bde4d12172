using Sparseland.Autoencoders;
using Sparseland.Autoencoders.Metrics;
using Sparseland.Models.Language;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Tests.Autoencoders;

/// <summary>Outputs of heads are one row a token, as "hook_z" of other kits has them, and go back where they were.</summary>
public class HeadOutputsTests
{
    private static readonly ActivationSite s_site = new(1, Activation.HeadOutputs);

    [Fact]
    public void Rows_are_the_heads_of_a_token_side_by_side()
    {
        using var scope = NewDisposeScope();
        using TinyLM model = Model();
        TokenText text = Text();
        using var recorder = new ActivationRecorder(s_site);
        using (no_grad()) model.Logits(text.Windows([0, 24], 12).Ids, recorder);
        Tensor heads = recorder[s_site];
        Assert.Equal([2, 4, 12, 4], heads.shape);
        foreach (bool gradients in (bool[])[false, true])
        {
            ActivationRows rows = new ModelActivations(model, s_site, text, gradients: gradients).Read([0, 2], default);
            for (int head = 0; head < 4; head++)
                Assert.InRange((rows.Activations.view(2, 12, 16).narrow(2, 4 * head, 4) - heads.select(1, head)).abs().max().item<float>(), 0, 1e-5);
            if (!gradients) continue;
            Tensor expected = ActivationGradients.OfLabels(model, text.Windows([0, 24], 12).Ids, s_site, text.Windows([0, 24], 12).Next);
            Assert.InRange((rows.Gradients!.view(2, 12, 4, 4).transpose(1, 2) - expected).abs().max().item<float>(), 0, 1e-5);
        }
    }

    [Fact]
    public void A_splice_puts_them_back_in_their_heads()
    {
        using var scope = NewDisposeScope();
        using TinyLM model = Model();
        using var identity = new SparseAutoencoder(16, 32, new ReluRule());
        using IDisposable off = no_grad();
        foreach (var rows in (TorchSharp.Modules.Parameter[])[identity.Encoder, identity.Decoder]) rows.copy_(cat([eye(16), -eye(16)]));
        Tensor ids = Text().Windows([0, 24], 12).Ids, clean = model.Logits(ids), spliced = model.Logits(ids, new Splice(identity, s_site, skipFirst: 3));
        Assert.InRange((clean - spliced).abs().max().item<float>(), 0, 1e-5);

        // A permutation of its coordinates is noticed.
        identity.Decoder.copy_(identity.Decoder.roll(4, 1));
        Assert.True((clean - model.Logits(ids, new Splice(identity, s_site))).abs().max().item<float>() > 1e-3);
        var faithfulness = DownstreamFaithfulness.Of(model, s_site, identity, Text());
        Assert.True(faithfulness.KullbackLeibler.Value > 0);
    }

    private static TinyLM Model()
    {
        var model = new TinyLM(new LlamaConfig { Vocabulary = 50, Width = 16, Layers = 2, Heads = 4, KeyValueHeads = 2, MlpWidth = 24, Context = 12 });
        using IDisposable off = no_grad();
        foreach (var parameter in model.parameters().Where(p => p.dim() == 2)) parameter.mul_(8);
        return model;
    }

    private static TokenText Text() => new([.. Enumerable.Range(0, 100).Select(i => i * 7 % 50)]);
}
