using Sparseland.Autoencoders;
using Sparseland.Autoencoders.Dashboards;
using Sparseland.Models.Language;
using Sparseland.Models.Tokenizers;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Kernel.Tests.Dashboards;

/// <summary>Dashboards of small models whose vocabularies hold what must not become part of a page.</summary>
internal static class LatentBed
{
    public static readonly ActivationSite Site = new(1, Activation.ResidualAfter);

    public static readonly string[] Hostile =
    [
        "</script>", "<script>alert(1)</script>", "\"><img src=x onerror=alert(1)>", "''", "&lt;", "<!--", "{{data}}", "\u202e", "\u0007\u001b[0m", "\0\0", "\n\n", "  ", "\u2028", "日本",
    ];

    public static LatentDashboard Dashboard(int latents = 48, int k = 3, int windows = 24, int context = 16, LatentDashboardOptions? options = null)
    {
        string[] tokens = [.. Enumerable.Range(0, 256).Select(b => ByteAlphabet.Of((byte)b).ToString()), .. Hostile.Select(Spelled), "<|end</script>|>"];
        var tokenizer = new TextTokenizer(new BpeModel(tokens, [], ["<|end</script>|>"], BpeModel.Gpt2Pattern));
        using var model = new TinyLM(new LlamaConfig { Vocabulary = tokens.Length, Width = 16, Layers = 2, Heads = 2, KeyValueHeads = 1, MlpWidth = 24, Context = context }, seed: 3);
        using var autoencoder = new SparseAutoencoder(16, latents, new TopKRule(k), seed: 2);
        using IDisposable off = no_grad();
        model.Embeddings.mul_(20);
        autoencoder.Encoder[5].zero_();

        // All tokens of the vocabulary come up, the dangerous ones often.
        var random = new Random(5);
        int[] text = [.. Enumerable.Range(0, (windows * context) + 1).Select(_ => random.Next(2) == 0 ? random.Next(256) : 256 + random.Next(Hostile.Length + 1))];
        return LatentDashboard.Of(model, tokenizer, autoencoder, Site, new TokenText(text), options ?? new() { Top = 4, LeastBefore = 0, SkipFirst = 2, MinTogether = 2, RemovalExamples = 2 });
    }

    private static string Spelled(string text) => string.Concat(System.Text.Encoding.UTF8.GetBytes(text).Select(ByteAlphabet.Of));
}
