using Sparseland.Models.Language;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Tests.Models.Language;

public class BertTextsTests
{
    private static readonly string[] s_texts = ["the dog runs.", "", "a big cat", "the small dog runs a big cat . the dog runs a cat", "A DOG", "a dog"];

    [Fact]
    public void Texts_become_pieces_between_the_special_tokens_and_long_ones_are_cut()
    {
        using BertEncoder model = TinyBert.New();
        string[] Pieces(string text) => [.. model.Tokenize(text).Select(model.TokenText)];
        Assert.Equal(["[CLS]", "the", "dog", "run", "##s", ".", "[SEP]"], Pieces("The dog runs."));
        Assert.Equal(["[CLS]", "[SEP]"], Pieces(""));
        Assert.Equal(["[CLS]", "[SEP]"], Pieces(" \t\n"));
        Assert.Equal(["[CLS]", "a", "[UNK]", "cat", "[SEP]"], Pieces("a yellow c\u00e1t"));
        Assert.Equal([.. new[] { "[CLS]" }, .. Enumerable.Repeat("dog", 10), "[SEP]"], Pieces(string.Join(' ', Enumerable.Repeat("dog", 500))));

        // Inside a word as well.
        Assert.Equal(["[CLS]", "dog", "dog", "dog", "dog", "dog", "dog", "dog", "dog", "dog", "run", "[SEP]"], Pieces("dog dog dog dog dog dog dog dog dog runs"));
        // What is written like a special token becomes that token; half a character and control characters are left out.
        Assert.Equal(["[CLS]", "a", "[SEP]", "dog", "[SEP]"], Pieces("a [SEP] dog"));
        Assert.Equal(["[CLS]", "a", "dog", "[SEP]"], Pieces("a \uD800d\0o\u0007g\uDC00"));
        Assert.Equal(["[CLS]", "[UNK]", "dog", "[SEP]"], Pieces(new string('a', 101) + " dog"));
        Assert.Throws<ArgumentOutOfRangeException>("id", () => model.TokenText(15));
        Assert.Throws<ArgumentOutOfRangeException>("id", () => model.TokenText(-1));
        Assert.Throws<ArgumentNullException>("text", () => model.Tokenize(null!));
    }

    [Theory]
    [InlineData(Pooling.Cls, 2048)]
    [InlineData(Pooling.Cls, 1)]
    [InlineData(Pooling.Mean, 20)]
    public void Every_text_has_its_own_vector_in_its_own_row_whatever_the_batches(Pooling pooling, int batchTokens)
    {
        using var scope = NewDisposeScope();
        using BertEncoder model = TinyBert.New();
        var options = new EmbeddingOptions { Pooling = pooling, BatchTokens = batchTokens };
        Tensor vectors = model.Encode(s_texts, options);
        Assert.Equal([6L, 16L], vectors.shape);
        Assert.False(vectors.requires_grad);
        for (int i = 0; i < s_texts.Length; i++)
        {
            Tensor hidden = model.Hidden(tensor(model.Tokenize(s_texts[i]).Select(id => (long)id).ToArray()).unsqueeze(0))[0];
            Tensor raw = pooling == Pooling.Cls ? hidden[0] : hidden.mean([0]);
            TinyModels.AssertClose(raw / raw.norm(), vectors[i]);
            TinyModels.AssertClose(raw, model.Encode(s_texts, options with { Normalize = false })[i]);
        }
    }

    [Fact]
    public void No_text_gives_no_row()
    {
        using BertEncoder model = TinyBert.New();
        using Tensor none = model.Encode([]);
        Assert.Equal([0L, 16L], none.shape);
    }

    [Fact]
    public void Queries_have_the_prefix_of_the_model_before_them()
    {
        using var scope = NewDisposeScope();
        using var model = TinyBert.Enlarged(new BertEncoder(TinyBert.Config, TinyBert.Vocabulary) { QueryPrefix = "the big " });
        TinyModels.AssertClose(model.Encode(["the big dog"]), model.EncodeQueries(["dog"]));
        TinyModels.AssertClose(model.Encode(["a dog"]), model.EncodeQueries(["dog"], new() { Prefix = "a " }));
        Assert.True(TinyModels.Largest(model.Encode(["dog"]), model.EncodeQueries(["dog"])) > 1e-3);
    }

    [Fact]
    public void A_hook_changes_the_vectors()
    {
        using var scope = NewDisposeScope();
        using BertEncoder model = TinyBert.New();
        Tensor without = model.Encode(s_texts, hook: ActivationHook.Replace(new(1, Activation.HeadOutputs), value => value * 0));
        Assert.True(TinyModels.Largest(model.Encode(s_texts), without) > 1e-2);
    }

    [Fact]
    public void Progress_counts_the_texts_and_a_cancelled_call_ends()
    {
        using var scope = NewDisposeScope();
        using BertEncoder model = TinyBert.New();
        var told = new Told();
        model.Encode(s_texts, new() { BatchTokens = 12 }, progress: told);
        Assert.Equal(new ProgressReport(6, 6), told.Reports[^1]);
        Assert.True(told.Reports.Count > 1 && told.Reports.Select(r => r.Done).SequenceEqual(told.Reports.Select(r => r.Done).Order()));
        using var cancel = new CancellationTokenSource();
        var first = new Told { Then = cancel.Cancel };
        Assert.ThrowsAny<OperationCanceledException>(() => model.Encode(s_texts, new() { BatchTokens = 12 }, progress: first, cancel: cancel.Token));
        Assert.Single(first.Reports);
    }

    [Fact]
    public void Wrong_input_is_refused()
    {
        using BertEncoder model = TinyBert.New();
        Assert.Throws<ArgumentNullException>("texts", () => model.Encode(null!));
        Assert.Contains("Text 1", Assert.Throws<ArgumentException>("texts", () => model.Encode(["a", null!])).Message, StringComparison.Ordinal);
        Assert.Throws<ArgumentOutOfRangeException>("BatchTokens", () => model.Encode(["a"], new() { BatchTokens = 0 }));
        Assert.Throws<ArgumentOutOfRangeException>("Pooling", () => model.Encode(["a"], new() { Pooling = (Pooling)5 }));
        Assert.Throws<ArgumentNullException>("Prefix", () => model.Encode(["a"], new() { Prefix = null! }));
    }

    [Fact]
    public void Nothing_is_left_but_the_vectors()
    {
        using BertEncoder model = TinyBert.New();
        using var scope = NewDisposeScope();
        using (model.Encode(s_texts))
        {
            Assert.Equal(1, scope.DisposablesCount);
        }
    }

    private sealed class Told : IProgress<ProgressReport>
    {
        public List<ProgressReport> Reports { get; } = [];

        public Action? Then { get; init; }

        public void Report(ProgressReport value)
        {
            Reports.Add(value);
            Then?.Invoke();
        }
    }
}
