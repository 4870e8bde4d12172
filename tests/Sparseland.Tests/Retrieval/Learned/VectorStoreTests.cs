using Sparseland.Models.Language;
using Sparseland.Retrieval.Learned;
using Sparseland.Tests.IO;
using Sparseland.Tests.Models.Language;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Tests.Retrieval.Learned;

public class VectorStoreTests
{
    private static readonly string[] s_words = ["the", "big", "small", "dog", "cat", "run", "a", "."];

    private static string[] Texts(int count) => [.. Enumerable.Range(0, count).Select(i => string.Join(' ', Enumerable.Range(0, 4).Select(j => s_words[(i >> (3 * j)) & 7])))];

    [Fact]
    public void Vectors_are_those_of_the_encoder_in_half_precision_now_and_later()
    {
        using var folder = new TemporaryFolder();
        using DisposeScope scope = NewDisposeScope();
        using BertEncoder encoder = TinyBert.New();
        string[] texts = ["the dog", "", "a cat runs", "the dog"];
        Tensor expected = encoder.Encode(texts).to(ScalarType.Float16).to(ScalarType.Float32), made;
        using (VectorStore store = VectorStore.Open(folder.File("store")))
        {
            Assert.Equal((0, 0, ""), (store.Count, store.Width, store.Model));
            made = store.Encode(texts, encoder);
            Assert.Equal((3, 16), (store.Count, store.Width));
            TinyModels.AssertClose(expected, made, 1e-3);
        }

        using VectorStore again = VectorStore.Open(folder.File("store"));
        Assert.Equal(3, again.Count);
        Assert.True(again.Find(texts).eq(made).all().item<bool>());
        Assert.True(again.Encode(texts, encoder).eq(made).all().item<bool>());
        Assert.False(again.Has("the dog", "query: "));
        Assert.Contains("no vectors of 2 of 3 texts", Assert.Throws<KeyNotFoundException>(() => again.Find(["the dog", "x", "y"])).Message, StringComparison.Ordinal);
        Assert.Equal(2, again.Encode(["x", "y"], encoder).shape[0]);
        Assert.Equal(5, again.Count);
    }

    [Fact]
    public void A_call_that_was_stopped_goes_on_where_it_was()
    {
        using var folder = new TemporaryFolder();
        using BertEncoder encoder = TinyBert.New();
        string[] texts = Texts(4096);
        using var stop = new CancellationTokenSource();
        using (VectorStore store = VectorStore.Open(folder.Path))
        {
            Assert.ThrowsAny<OperationCanceledException>(() => store.Encode(texts, encoder, progress: new Told(r => { if (r.Done > 2500) stop.Cancel(); }), cancel: stop.Token));
        }

        using VectorStore again = VectorStore.Open(folder.Path);
        Assert.Equal(2048, again.Count);
        long first = 0;
        using Tensor all = again.Encode(texts, encoder, progress: new Told(r => first = first == 0 ? r.Done : first));
        Assert.InRange(first, 2049, 4095);
        Assert.Equal(4096, again.Count);
        Assert.Empty(Directory.GetFiles(folder.Path, "*.tmp"));
    }

    [Fact]
    public void Another_encoder_or_another_way_is_refused()
    {
        using var folder = new TemporaryFolder();
        using BertEncoder encoder = TinyBert.New(), other = TinyBert.New(seed: 2);
        using VectorStore store = VectorStore.Open(folder.Path);
        store.Encode(["the"], encoder).Dispose();
        Assert.Contains("another encoder", Assert.Throws<ArgumentException>("encoder", () => store.Encode(["a"], other)).Message, StringComparison.Ordinal);
        Assert.Throws<ArgumentException>("encoder", () => store.Encode(["a"], encoder, new() { Pooling = Pooling.Mean }));
        Assert.Throws<ArgumentException>("encoder", () => store.Encode(["a"], encoder, new() { Normalize = false }));
        store.Encode(["a"], encoder, new() { BatchTokens = 7 }).Dispose();
    }

    [Fact]
    public void Damaged_and_foreign_files_are_named()
    {
        using var folder = new TemporaryFolder();
        using BertEncoder encoder = TinyBert.New(), other = TinyBert.New(seed: 2);
        using (VectorStore store = VectorStore.Open(folder.Path)) store.Encode(["the"], encoder).Dispose();
        using (VectorStore store = VectorStore.Open(folder.File("other"))) store.Encode(["a"], other).Dispose();
        string file = Directory.GetFiles(folder.Path, "vectors-*")[0], strange = Directory.GetFiles(folder.File("other"), "vectors-*")[0];
        File.Copy(strange, folder.File("vectors-zz.safetensors"));
        Assert.Contains("another encoder", Assert.Throws<InvalidDataException>(() => VectorStore.Open(folder.Path)).Message, StringComparison.Ordinal);
        File.Delete(folder.File("vectors-zz.safetensors"));
        byte[] bytes = File.ReadAllBytes(file);
        File.WriteAllBytes(file, bytes[..^5]);
        Assert.Contains(Path.GetFileName(file), Assert.Throws<InvalidDataException>(() => VectorStore.Open(folder.Path)).Message, StringComparison.Ordinal);
        Sparseland.IO.SafeTensors.Save(file, new Dictionary<string, Tensor> { ["x"] = ones(2) });
        Assert.Contains("no file of a vector store", Assert.Throws<InvalidDataException>(() => VectorStore.Open(folder.Path)).Message, StringComparison.Ordinal);
    }

    private sealed class Told(Action<ProgressReport> tell) : IProgress<ProgressReport>
    {
        public void Report(ProgressReport value) => tell(value);
    }
}
