using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Evaluation;

/// <summary>How often a classifier is right.</summary>
public static class Accuracy
{
    /// <summary>Share of samples whose largest logit is at the label, in evaluation mode; the network's mode is as before afterwards.</summary>
    /// <param name="model">Classifier: [samples, ...] to logits [samples, classes].</param>
    /// <param name="X">[samples, ...], the network's type.</param>
    /// <param name="labels">[samples], int64.</param>
    /// <param name="batch">Samples of one call. Default 500.</param>
    /// <exception cref="ArgumentException">No samples, labels that are not int64 or not one per sample, or a batch that is not positive.</exception>
    public static double Of(nn.Module<Tensor, Tensor> model, Tensor X, Tensor labels, int batch = 500)
    {
        ArgumentNullException.ThrowIfNull(model);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(batch);
        CheckSamples(X, labels);
        bool training = model.training;
        model.eval();
        try
        {
            using IDisposable off = no_grad();
            long right = 0, samples = X.shape[0];
            for (long from = 0; from < samples; from += batch)
            {
                using DisposeScope scope = NewDisposeScope();
                long count = Math.Min(batch, samples - from);
                right += model.call(X.narrow(0, from, count)).argmax(1).eq(labels.narrow(0, from, count)).sum().item<long>();
            }

            return (double)right / samples;
        }
        finally
        {
            model.train(training);
        }
    }

    /// <summary>Refuses samples and labels that do not fit each other, and classes that a classifier has not: one sample goes through it.</summary>
    internal static void CheckClasses(nn.Module<Tensor, Tensor> model, Tensor X, Tensor labels)
    {
        CheckSamples(X, labels);
        bool training = model.training;
        model.eval();
        try
        {
            using DisposeScope scope = NewDisposeScope();
            using IDisposable off = no_grad();
            CheckRange(labels, model.call(X.narrow(0, 0, 1)).shape[^1], "network");
        }
        finally
        {
            model.train(training);
        }
    }

    /// <summary>Refuses classes that there are not.</summary>
    internal static void CheckRange(Tensor labels, long classes, string owner)
    {
        using DisposeScope scope = NewDisposeScope();
        (long low, long high) = (labels.min().item<long>(), labels.max().item<long>());
        if (low < 0 || high >= classes) throw new ArgumentException($"labels go from {low} to {high}; the {owner} has {classes} classes, from 0.", nameof(labels));
    }

    /// <summary>Refuses samples and labels that do not fit each other.</summary>
    internal static void CheckSamples(Tensor X, Tensor labels)
    {
        ArgumentNullException.ThrowIfNull(X);
        ArgumentNullException.ThrowIfNull(labels);
        if (X.dim() < 2 || X.numel() == 0) throw new ArgumentException($"X must be [samples, ...] and not empty, but is [{string.Join(", ", X.shape)}].", nameof(X));
        if (labels.dtype != ScalarType.Int64) throw new ArgumentException($"labels are {labels.dtype}; class numbers are Int64.", nameof(labels));
        if (labels.dim() != 1 || labels.shape[0] != X.shape[0])
            throw new ArgumentException($"labels are [{string.Join(", ", labels.shape)}]; they must be [{X.shape[0]}], one per sample.", nameof(labels));
    }
}
