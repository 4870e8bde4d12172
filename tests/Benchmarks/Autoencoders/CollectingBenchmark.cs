using System.Globalization;
using Sparseland.Autoencoders;
using Sparseland.Models.Language;
using Sparseland.Training;
using TorchSharp;
using static TorchSharp.torch;

namespace Benchmarks.Autoencoders;

/// <summary>
/// Collecting 32,768 mixed activations of a model of TinyLM's size, after block 2, against the model's own pass up to that place over the same windows: what
/// recording, checking and mixing cost. A ratio of one would be free.
/// </summary>
public class CollectingBenchmark : IQuickBenchmark
{
    private const int Windows = 128;
    private const int Length = 256;

    /// <inheritdoc/>
    public IEnumerable<Comparison> Comparisons()
    {
        using DisposeScope scope = NewDisposeScope();
        using IDisposable off = no_grad();
        using var model = new TinyLM(new LlamaConfig());
        model.eval();
        var text = new TokenText([.. Enumerable.Range(0, (Windows * Length) + 1).Select(i => (int)(i * 2654435761L % model.Vocabulary))]);
        var site = new ActivationSite(1, Activation.ResidualAfter);
        void Collect()
        {
            using var buffer = new ActivationBuffer(new ModelActivations(model, site, text, Length), 512);
            Batch batch = buffer.At(0);
            batch.Input.Dispose();
            batch.Target?.Dispose();
        }

        void Forward()
        {
            for (int from = 0; from < Windows; from += 16)
            {
                using DisposeScope inner = NewDisposeScope();
                using var recorder = new ActivationRecorder(site);
                model.Visit(text.Windows([.. Enumerable.Range(from, 16).Select(w => w * Length)], Length).Ids, recorder);
            }
        }

        yield return new Comparison(
            $"collecting {Windows * Length:N0} activations of width {model.Width}", Collect, "the model's pass to that place", Forward, 0.9,
            () => string.Create(CultureInfo.InvariantCulture, $"the mixed tokens are {(long)Windows * Length * model.Width * 4 / 1e6:0} MB"));
    }
}
