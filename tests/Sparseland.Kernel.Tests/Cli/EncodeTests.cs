using System.Globalization;
using System.Text;
using Sparseland.Kernel.Tests.Running;
using Sparseland.Models.Language;
using Sparseland.Retrieval.Analysis;
using Sparseland.Retrieval.Formats;
using Sparseland.Retrieval.Learned;
using TorchSharp;

namespace Sparseland.Kernel.Tests.Cli;

public class EncodeTests
{
    private static readonly string[] Words = ["dog", "cat", "run", "big", "small", "the"];

    [Fact]
    public async Task Vectors_are_the_encoders_and_are_made_once()
    {
        string folder = Collection(documents: 6);
        using BertEncoder encoder = Encoder(folder, "model", seed: 1);
        var (code, text, error) = await Command.RunAsync(folder, "encode", "beir", "--model", "model", "--out", "vectors", "--queries");
        Assert.True(code == 0, error);
        Assert.Contains("6 documents and 2 queries; 0 vectors are there", text, StringComparison.Ordinal);
        string[] made = Directory.GetFiles(Path.Combine(folder, "vectors"));

        string[] texts = [.. CamelCaseText.Split(Beir.Read(Path.Combine(folder, "beir")).Collection).Documents.Select(d => d.Contents)];
        using (VectorStore store = VectorStore.Open(Path.Combine(folder, "vectors")))
        using (torch.Tensor kept = store.Find(texts), direct = encoder.Encode(texts))
        {
            Assert.Equal(8, store.Count);
            Assert.True((kept - direct).abs().max().item<float>() < 1e-3);
        }

        // A seventh document is one vector more, in a file of its own.
        Dictionary<string, byte[]> before = made.ToDictionary(f => f, File.ReadAllBytes);
        File.AppendAllText(Path.Combine(folder, "beir", "corpus.jsonl"), "{\"_id\": \"new\", \"title\": \"\", \"text\": \"the small small dog\"}\n");
        (code, text, error) = await Command.RunAsync(folder, "encode", "beir", "--model", "model", "--out", "vectors", "--queries");
        Assert.True(code == 0, error);
        Assert.Contains("7 documents and 2 queries; 8 vectors are there", text, StringComparison.Ordinal);
        Assert.Contains("9 vectors of width 16", text, StringComparison.Ordinal);
        foreach ((string file, byte[] bytes) in before) Assert.Equal(bytes, File.ReadAllBytes(file));
        Directory.Delete(folder, recursive: true);
    }

    [Fact]
    public async Task Another_encoder_and_another_length_are_refused_and_nothing_changes()
    {
        string folder = Collection(documents: 4);
        Encoder(folder, "model", seed: 1).Dispose();
        Encoder(folder, "other", seed: 2).Dispose();
        var (code, text, error) = await Command.RunAsync(folder, "encode", "beir", "--model", "model", "--out", "vectors");
        Assert.True(code == 0, error);
        File.AppendAllText(Path.Combine(folder, "beir", "corpus.jsonl"), "{\"_id\": \"new\", \"title\": \"\", \"text\": \"the small small dog\"}\n");
        string[] files = Directory.GetFiles(Path.Combine(folder, "vectors"));
        foreach (string[] arguments in (string[][])[["--model", "other"], ["--model", "model", "--tokens", "5"]])
        {
            (code, text, error) = await Command.RunAsync(folder, ["encode", "beir", "--out", "vectors", .. arguments]);
            Assert.Equal(2, code);
            Assert.Contains("another encoder", error, StringComparison.Ordinal);
            Assert.DoesNotContain("   at ", error, StringComparison.Ordinal);
            Assert.Equal(files, Directory.GetFiles(Path.Combine(folder, "vectors")));
        }

        (code, _, error) = await Command.RunAsync(folder, "encode", "beir", "--part", "--model", "model", "--out", "part");
        Assert.Equal(2, code);
        Assert.Contains("--part", error, StringComparison.Ordinal);
        Directory.Delete(folder, recursive: true);
    }

    [Fact]
    public async Task What_was_made_before_a_stop_is_kept()
    {
        if (OperatingSystem.IsWindows()) return;
        string folder = Collection(documents: 30_000), vectors = Path.Combine(folder, "vectors");

        // So slow that all of it takes many times as long as its first file, beside other tests too.
        Encoder(folder, "model", seed: 1, layers: 12).Dispose();
        string[] call = ["encode", "beir", "--model", "model", "--out", "vectors", "--threads", "1"];
        var (code, error) = await Command.InterruptAsync(folder, () => Directory.Exists(vectors) && Directory.GetFiles(vectors, "*.safetensors").Length > 0, call);
        Assert.Equal(130, code);
        Assert.Contains("are kept, and the same call goes on", error, StringComparison.Ordinal);

        int kept;
        using (VectorStore store = VectorStore.Open(vectors)) kept = store.Count;
        Assert.InRange(kept, 1, 29_999);

        // The rest of a part of them.
        string corpus = Path.Combine(folder, "beir", "corpus.jsonl");
        File.WriteAllLines(corpus, File.ReadLines(corpus).Take(kept + 50).ToArray());
        (code, string all, error) = await Command.RunAsync(folder, call);
        Assert.True(code == 0, error);
        Assert.Contains(string.Create(CultureInfo.InvariantCulture, $"{kept:N0} vectors are there"), all, StringComparison.Ordinal);
        Directory.Delete(folder, recursive: true);
    }

    /// <summary>A folder in BEIR's form: documents of a few words, no two alike, and two queries.</summary>
    private static string Collection(int documents)
    {
        string folder = Notes.Folder(), beir = Path.Combine(folder, "beir");
        Directory.CreateDirectory(Path.Combine(beir, "qrels"));
        var corpus = new StringBuilder();
        for (int d = 0; d < documents; d++)
        {
            var words = new StringBuilder();
            for (int rest = d; rest > 0 || words.Length == 0; rest /= Words.Length) words.Append(Words[rest % Words.Length]).Append(' ');
            corpus.Append(CultureInfo.InvariantCulture, $"{{\"_id\": \"d{d}\", \"title\": \"\", \"text\": \"{words}.\"}}\n");
        }

        File.WriteAllText(Path.Combine(beir, "corpus.jsonl"), corpus.ToString());
        File.WriteAllText(Path.Combine(beir, "queries.jsonl"), "{\"_id\": \"q1\", \"text\": \"a big dog\"}\n{\"_id\": \"q2\", \"text\": \"running cats\"}\n");
        File.WriteAllText(Path.Combine(beir, "qrels", "test.tsv"), "query-id\tcorpus-id\tscore\nq1\td0\t1\nq2\td1\t1\n");
        return folder;
    }

    private static BertEncoder Encoder(string folder, string name, long seed, int layers = 2)
    {
        var config = new BertConfig { Vocabulary = 17, Width = 16, MlpWidth = 24, Layers = layers, Heads = 4, Context = 24 };
        var encoder = new BertEncoder(config, ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a", "dog", "cat", "run", "##s", "##ning", ".", "big", "small", "the"], seed);
        encoder.Save(Path.Combine(folder, name));
        encoder.eval();
        return encoder;
    }
}
