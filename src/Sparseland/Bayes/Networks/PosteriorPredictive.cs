using Sparseland.Evaluation;
using Sparseland.Tensors;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Bayes.Networks;

/// <summary>What a posterior predicts: the mean of the soft-max outputs of several draws.</summary>
public sealed record PosteriorPredictive : IDisposable
{
    private readonly NativeSize _size;

    private PosteriorPredictive(Tensor log, int draws) => (LogProbabilities, Draws, _size) = (log, draws, NativeSize.Of(log));

    /// <summary>Logarithms of the mean probabilities [samples, classes], Float64; logits to whoever wants some. Disposed with this.</summary>
    public Tensor LogProbabilities { get; }

    /// <summary>Draws that were averaged.</summary>
    public int Draws { get; }

    /// <summary>Averages over draws.</summary>
    /// <param name="network">A classifier with Bayesian layers; in evaluation mode meanwhile, and as before afterwards.</param>
    /// <param name="X">[samples, ...], not empty.</param>
    /// <param name="draws">Draws, positive. Default 10, the paper's.</param>
    /// <param name="seed">Seed of the noise. Default 1.</param>
    /// <param name="batch">Samples of one call; another number draws other noise. Default 500.</param>
    /// <param name="cancel">Checked before each draw.</param>
    /// <exception cref="ArgumentException">No draw, no samples, no Bayesian layer.</exception>
    /// <exception cref="OperationCanceledException">Cancelled.</exception>
    public static PosteriorPredictive Of(nn.Module<Tensor, Tensor> network, Tensor X, int draws = 10, long seed = 1, int batch = 500, CancellationToken cancel = default)
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(draws);
        return With(network, false, () =>
        {
            using DisposeScope scope = NewDisposeScope();
            using IDisposable off = no_grad();
            Tensor? sum = null;
            for (int draw = 0; draw < draws; draw++)
            {
                cancel.ThrowIfCancellationRequested();
                BayesNetwork.SeedNoise(network, seed, -1 - draw);
                using DisposeScope inner = NewDisposeScope();
                Tensor log = LogSoftmax(Logits.Of(network, X, batch));
                Tensor next = sum is null ? log : logaddexp(sum, log);
                sum = next.MoveToOuterDisposeScope();
            }

            return new PosteriorPredictive((sum! - Math.Log(draws)).DetachFromDisposeScope(), draws);
        });
    }

    /// <summary>The mean network alone: all noise off, one pass.</summary>
    /// <param name="network">As for <see cref="Of"/>.</param>
    /// <param name="X">[samples, ...], not empty.</param>
    /// <param name="batch">Samples of one call. Default 500.</param>
    /// <exception cref="ArgumentException">No samples, no Bayesian layer.</exception>
    public static PosteriorPredictive OfMean(nn.Module<Tensor, Tensor> network, Tensor X, int batch = 500) => With(network, true, () =>
    {
        using DisposeScope scope = NewDisposeScope();
        using IDisposable off = no_grad();
        return new PosteriorPredictive(LogSoftmax(Logits.Of(network, X, batch)).DetachFromDisposeScope(), 0);
    });

    /// <summary>Calibration, likelihood and accuracy.</summary>
    /// <param name="labels">[samples], class numbers.</param>
    /// <exception cref="ArgumentException">Labels do not fit.</exception>
    public Calibration Judge(Tensor labels) => Calibration.Of(LogProbabilities, labels);

    /// <summary>Entropy of the mean probabilities of each sample, natural logarithm.</summary>
    public double[] Entropy()
    {
        using DisposeScope scope = NewDisposeScope();
        return (LogProbabilities.exp() * LogProbabilities).sum(1L).neg().contiguous().data<double>().ToArray();
    }

    /// <summary>Frees the tensor.</summary>
    public void Dispose()
    {
        LogProbabilities.Dispose();
        _size.Dispose();
    }

    /// <inheritdoc/>
    public override string ToString() => Readable.Of(this);

    private static Tensor LogSoftmax(Tensor logits) => nn.functional.log_softmax(logits.to(ScalarType.Float64), 1);

    private static PosteriorPredictive With(nn.Module<Tensor, Tensor> network, bool deterministic, Func<PosteriorPredictive> predict)
    {
        (BayesLayer Layer, bool Before)[] layers = [.. BayesNetwork.LayersOf(network).Select(l => (l.Layer, l.Layer.Deterministic))];
        try
        {
            foreach ((BayesLayer layer, _) in layers) layer.Deterministic = deterministic;
            return predict();
        }
        finally
        {
            foreach ((BayesLayer layer, bool before) in layers) layer.Deterministic = before;
        }
    }
}
