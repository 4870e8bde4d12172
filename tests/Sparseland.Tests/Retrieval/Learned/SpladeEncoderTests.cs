using Sparseland.IO;
using Sparseland.Models.Language;
using Sparseland.Retrieval;
using Sparseland.Retrieval.Learned;
using Sparseland.Tests.IO;
using Sparseland.Tests.Models.Language;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Tests.Retrieval.Learned;

public class SpladeEncoderTests
{
    private static readonly string[] s_texts = ["the big dog", "a cat runs .", "", "running the running dog runs .", "zebra"];

    internal static SpladeEncoder New()
    {
        BertEncoder body = TinyBert.New();
        var head = new VocabularyHead(body, seed: 3);
        using (no_grad())
        {
            foreach (var parameter in head.parameters()) parameter.add_(rand(parameter.shape, generator: new Generator(9)).mul_(0.4));
        }

        var model = new SpladeEncoder(body, head);
        model.eval();
        return model;
    }

    /// <summary>The formula once more, text by text, number by number.</summary>
    [Fact]
    public void Weights_are_those_of_the_formula()
    {
        using DisposeScope scope = NewDisposeScope();
        using SpladeEncoder model = New();
        Dictionary<string, double[]> w = model.Head.named_parameters().ToDictionary(p => p.name, p => TinyModels.Numbers(p.parameter));
        double[] e = TinyModels.Numbers(model.Body.Embeddings);
        SparseVector[] vectors = model.Encode(s_texts);
        for (int t = 0; t < s_texts.Length; t++)
        {
            int[] ids = model.Body.Tokenize(s_texts[t]);
            double[] hidden = TinyModels.Numbers(model.Body.Hidden(tensor(ids.Select(i => (long)i).ToArray(), [1, ids.Length])));
            double[] best = [.. Enumerable.Repeat(double.NegativeInfinity, 17)];
            for (int i = 0; i < ids.Length; i++)
            {
                double[] dense = [.. Enumerable.Range(0, 16).Select(r => w["transform.dense.bias"][r] + Enumerable.Range(0, 16).Sum(c => w["transform.dense.weight"][(r * 16) + c] * hidden[(i * 16) + c]))];
                double[] act = [.. dense.Select(x => 0.5 * x * (1 + Erf(x / Math.Sqrt(2))))];
                double mean = act.Average(), deviation = Math.Sqrt(act.Average(x => (x - mean) * (x - mean)) + 1e-12);
                double[] normed = [.. act.Select((x, j) => ((x - mean) / deviation * w["transform.LayerNorm.weight"][j]) + w["transform.LayerNorm.bias"][j])];
                for (int j = 0; j < 17; j++) best[j] = Math.Max(best[j], w["bias"][j] + Enumerable.Range(0, 16).Sum(c => normed[c] * e[(j * 16) + c]));
            }

            for (int j = 0; j < 17; j++)
            {
                double expected = j < 5 || s_texts[t].Length == 0 ? 0 : Math.Log(1 + Math.Max(0, best[j]));
                Assert.Equal(expected, vectors[t][j], 2e-4);
            }
        }

        Assert.Contains(vectors, v => v.Count > 3);
    }

    [Fact]
    public void A_text_has_the_same_vector_alone_and_among_longer_ones()
    {
        using SpladeEncoder model = New();
        SparseVector[] together = model.Encode(s_texts);
        for (int t = 0; t < s_texts.Length; t++)
        {
            SparseVector alone = model.Encode([s_texts[t]])[0];
            Assert.Equal(alone.Terms.ToArray(), together[t].Terms.ToArray());
            for (int i = 0; i < alone.Count; i++) Assert.Equal(alone.Weights[i], together[t].Weights[i], 1e-4f);
        }
    }

    [Fact]
    public void Slices_of_the_pooling_agree_with_the_whole_and_so_do_their_gradients()
    {
        using DisposeScope scope = NewDisposeScope();
        using var generator = new Generator(4);
        Tensor h = randn([5, 3, 4], generator: generator).requires_grad_(true), embeddings = randn([9, 4], generator: generator), bias = randn([9], generator: generator);
        Tensor mask = tensor(new[] { true, true, true, true, false, false, true, true, false, true, true, true, false, false, false }, [5, 3]);
        Tensor whole = SparsePooling.Max(nn.functional.linear(h, embeddings, bias), mask), sliced = SparsePooling.OfLinear(h, mask, embeddings, bias);
        TinyModels.AssertClose(whole, sliced);
        Assert.Equal(0, sliced[4].sum().item<float>()); // nothing stands there
        sliced.sum().backward();
        Assert.Equal(0, h.grad![1, 1].abs().sum().item<float>());
        Assert.True(h.grad![0].abs().sum().item<float>() > 0);
        TinyModels.AssertClose(whole.log1p(), SparsePooling.Max(nn.functional.linear(h, embeddings, bias), mask, twice: true));
    }

    [Fact]
    public void A_head_is_five_tensors_and_leaves_the_encoder_as_it_was()
    {
        using var folder = new TemporaryFolder();
        using BertEncoder body = TinyBert.New();
        double[] before = [.. body.named_parameters().SelectMany(p => TinyModels.Numbers(p.parameter))];
        using var model = new SpladeEncoder(body, new VocabularyHead(body));
        Assert.Equal(before, body.named_parameters().SelectMany(p => TinyModels.Numbers(p.parameter)));
        string[] head = ["bias", "transform.LayerNorm.bias", "transform.LayerNorm.weight", "transform.dense.bias", "transform.dense.weight"];
        Assert.Equal(head, model.Head.named_parameters().Select(p => p.name).Order(StringComparer.Ordinal));
        model.Save(folder.Path);
        using SafeTensorsFile file = SafeTensors.Open(folder.File("model.safetensors"));
        string[] expected = [.. body.named_parameters().Select(p => "bert." + p.name), .. head.Select(h => "cls.predictions." + h)];
        Assert.Equal(expected.Order(StringComparer.Ordinal), file.Names.Order(StringComparer.Ordinal));
    }

    [Theory]
    [InlineData(false, 0)]
    [InlineData(true, 2e-2)]
    public void A_folder_comes_back(bool half, double tolerance)
    {
        using var folder = new TemporaryFolder();
        using SpladeEncoder model = New();
        model.Save(folder.Path, half: half);
        Assert.Contains("BertForMaskedLM", File.ReadAllText(folder.File("config.json")), StringComparison.Ordinal);
        using SpladeEncoder again = SpladeEncoder.Load(folder.Path);
        SparseVector[] before = model.Encode(s_texts), after = again.Encode(s_texts);
        for (int t = 0; t < s_texts.Length; t++)
        {
            for (int term = 0; term < 17; term++) Assert.Equal(before[t][term], after[t][term], tolerance);
        }
    }

    [Fact]
    public void A_folder_without_the_head_or_with_another_matrix_is_refused()
    {
        using var folder = new TemporaryFolder();
        using SpladeEncoder model = New();
        model.Body.Save(folder.Path);
        Assert.Contains("no head of masked words", Assert.Throws<InvalidDataException>(() => SpladeEncoder.Load(folder.Path)).Message, StringComparison.Ordinal);
        model.Save(folder.Path);
        Dictionary<string, Tensor> tensors = SafeTensors.Load(folder.File("model.safetensors"));
        tensors["cls.predictions.decoder.weight"] = tensors["bert.embeddings.word_embeddings.weight"].clone();
        SafeTensors.Save(folder.File("model.safetensors"), tensors);
        using (SpladeEncoder tied = SpladeEncoder.Load(folder.Path)) Assert.Equal(model.Encode(s_texts)[0].ToString(), tied.Encode(s_texts)[0].ToString());
        tensors["cls.predictions.decoder.weight"] = tensors["cls.predictions.decoder.weight"] + 1;
        SafeTensors.Save(folder.File("model.safetensors"), tensors);
        Assert.Contains("matrix of their own", Assert.Throws<InvalidDataException>(() => SpladeEncoder.Load(folder.Path)).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Modules_of_sentence_transformers_for_splade_are_known_and_others_are_not()
    {
        using var folder = new TemporaryFolder();
        using SpladeEncoder model = New();
        model.Save(folder.Path);
        File.WriteAllText(folder.File("modules.json"), """[{"idx": 0, "name": "0", "path": "", "type": "sentence_transformers.sparse_encoder.models.MLMTransformer"}, {"idx": 1, "name": "1", "path": "1_SpladePooling", "type": "sentence_transformers.sparse_encoder.models.SpladePooling"}]""");
        SpladeEncoder.Load(folder.Path).Dispose();
        Assert.Contains("MLMTransformer", Assert.Throws<InvalidDataException>(() => BertEncoder.Load(folder.Path)).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Encoding_is_stopped_and_tells_how_far_it_is()
    {
        using SpladeEncoder model = New();
        var told = new List<ProgressReport>();
        model.Encode(s_texts, new Told(told));
        Assert.Equal(s_texts.Length, told[^1].Done);
        Assert.ThrowsAny<OperationCanceledException>(() => model.Encode(s_texts, cancel: new CancellationToken(true)));
        Assert.Throws<ArgumentException>("texts", () => model.Encode(["a", null!]));
    }

    private static double Erf(double x)
    {
        // A series; exact to 1e-12 for the small numbers here.
        double sum = x, term = x;
        for (int n = 1; n < 200; n++)
        {
            term *= -x * x / n;
            sum += term / ((2 * n) + 1);
        }

        return 2 / Math.Sqrt(Math.PI) * sum;
    }

    private sealed class Told(List<ProgressReport> reports) : IProgress<ProgressReport>
    {
        public void Report(ProgressReport value) => reports.Add(value);
    }
}
