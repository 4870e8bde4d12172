using Sparseland.Autoencoders;
using Sparseland.Models.Language;
using Sparseland.Tests.Models.Language;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Tests.Autoencoders;

/// <summary>Rows of an encoder's texts are those of each text alone, however they are packed and whatever stands beside them.</summary>
public class EncoderActivationsTests
{
    private static readonly string[] s_texts = ["a dog", "the big cat runs running.", "run", "the small dog runs a cat running the big dog.", "", "cat cat"];

    [Theory]
    [InlineData(0, Activation.ResidualAfter)]
    [InlineData(1, Activation.MlpHidden)]
    public void Tokens_of_all_texts_follow_each_other_without_padding(int layer, Activation place)
    {
        using var scope = NewDisposeScope();
        using BertEncoder encoder = TinyBert.New();
        var site = new ActivationSite(layer, place);
        Tensor expected = cat([.. s_texts.Select(text => Alone(encoder, site, text))]);
        var source = new EncoderActivations(encoder, site, s_texts, new() { TokensPerWindow = 4, BatchTokens = 16 });
        Assert.Equal(((int)(expected.shape[0] / 4), 4, (int)expected.shape[1]), (source.Windows, source.TokensPerWindow, source.Width));
        int[] order = [3, 0, source.Windows - 1, 3, 1];
        Tensor rows = source.Read(order, default).Activations;
        Assert.InRange((rows - cat([.. order.Select(w => expected.narrow(0, 4L * w, 4))])).abs().max().item<float>(), 0, 1e-4);
        Assert.True(rows.eq(source.Read(order, default).Activations).all().item<bool>());
    }

    [Fact]
    public void Pooled_rows_are_means_over_the_tokens_of_a_text()
    {
        using var scope = NewDisposeScope();
        using BertEncoder encoder = TinyBert.New();
        var site = new ActivationSite(0, Activation.ResidualAfter);
        var source = new EncoderActivations(encoder, site, s_texts, new() { Pooled = true });
        Assert.Equal((s_texts.Length, 1), (source.Windows, source.TokensPerWindow));
        Tensor expected = stack([.. s_texts.Select(text => Alone(encoder, site, text).mean([0L]))]);
        Assert.InRange((source.Read([.. Enumerable.Range(0, s_texts.Length)], default).Activations - expected).abs().max().item<float>(), 0, 1e-4);
    }

    [Fact]
    public void What_does_not_fit_is_refused()
    {
        using BertEncoder encoder = TinyBert.New();
        Assert.Contains("window needs 128", Assert.Throws<ArgumentException>(() => new EncoderActivations(encoder, new(0, Activation.ResidualAfter), s_texts)).Message, StringComparison.Ordinal);
        Assert.Contains("block 2", Assert.Throws<ArgumentException>(() => new EncoderActivations(encoder, new(2, Activation.ResidualAfter), s_texts)).Message, StringComparison.Ordinal);
        Assert.Contains("[batch, tokens, d]", Assert.Throws<ArgumentException>(() => new EncoderActivations(encoder, new(0, Activation.Keys), s_texts)).Message, StringComparison.Ordinal);
        Assert.Contains("Text 1", Assert.Throws<ArgumentException>(() => new EncoderActivations(encoder, new(0, Activation.ResidualAfter), ["a", null!])).Message, StringComparison.Ordinal);
        var source = new EncoderActivations(encoder, new(0, Activation.ResidualAfter), s_texts, new() { TokensPerWindow = 2 });
        Assert.Throws<OperationCanceledException>(() => source.Read([0], new CancellationToken(canceled: true)));
    }

    private static Tensor Alone(BertEncoder encoder, ActivationSite site, string text)
    {
        using IDisposable off = no_grad();
        using var recorder = new ActivationRecorder(site);
        encoder.Hidden(tensor(encoder.Tokenize(text).Select(id => (long)id).ToArray()).unsqueeze(0), hook: recorder);
        return recorder[site][0].clone();
    }
}
