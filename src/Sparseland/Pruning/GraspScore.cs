using Sparseland.Evaluation;
using Sparseland.Tensors;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Pruning;

/// <summary>
/// What the flow of gradients would feel if a weight went (GraSP, Wang et al. 2020): removing w changes the squared norm of the gradient g by -w (H g), H the Hessian of the
/// loss. Those weights go whose removal raises it most, so the score, higher is kept, is w (H g).
/// </summary>
public static class GraspScore
{
    /// <summary>The temperature of the published code: logits are divided by it.</summary>
    public const double PublishedTemperature = 200;

    /// <summary>Scores of all prunable weights by two backward passes. Weights, gradients, buffers and mode of the network stay.</summary>
    /// <param name="model">Classifier, from samples to logits.</param>
    /// <param name="X">Samples of one batch, as many of each class; see <see cref="Balanced"/>.</param>
    /// <param name="labels">[samples], int64; every class occurs.</param>
    /// <param name="temperature">What logits are divided by, positive. Default 200.</param>
    /// <exception cref="ArgumentException">Samples and labels do not fit, a class that does not occur, a loss that is not finite, or nothing to prune.</exception>
    /// <exception cref="NotSupportedException">A layer has a backward pass by hand, and so no second derivative.</exception>
    public static ParameterScores Of(nn.Module<Tensor, Tensor> model, Tensor X, Tensor labels, double temperature = PublishedTemperature)
    {
        Accuracy.CheckSamples(X, labels);
        Finite.Positive(temperature);
        using DisposeScope scope = NewDisposeScope();
        using var probe = new ProbedNetwork(model, train: true);
        Tensor loss = probe.Loss(X, labels, temperature);
        RequireAllClasses(model, X, labels);
        IList<Tensor> gradients = GradientPass.Of(() => autograd.grad([loss], probe.Weights, create_graph: true, retain_graph: true));

        // The gradient of g' constant(g) is H g.
        Tensor product = gradients.Select(g => g.mul(g.detach()).sum()).Aggregate((a, b) => a + b);
        IList<Tensor> curved = autograd.grad([product], probe.Weights);
        using IDisposable off = no_grad();
        return new("GraSP, H g by double backward", probe.Names.Select((name, i) => KeyValuePair.Create(name, probe.Weights[i].mul(curved[i]))));
    }

    /// <summary>Places of a batch with as many samples of each class, drawn without replacement.</summary>
    /// <param name="labels">[samples], int64, classes from 0 on.</param>
    /// <param name="perClass">Samples of each class. Default 25.</param>
    /// <param name="seed">Seed. Default 1.</param>
    /// <returns>[classes perClass], int64; it belongs to the caller.</returns>
    /// <exception cref="ArgumentException">A class has fewer samples; it is named.</exception>
    public static Tensor Balanced(Tensor labels, int perClass = 25, long seed = 1)
    {
        ArgumentNullException.ThrowIfNull(labels);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(perClass);
        if (labels.dtype != ScalarType.Int64 || labels.dim() != 1 || labels.numel() == 0) throw new ArgumentException($"labels are {labels.dtype} [{string.Join(", ", labels.shape)}]; they must be Int64 [samples].", nameof(labels));
        using Tensor values = labels.cpu().contiguous();
        long[] classes = values.data<long>().ToArray();
        if (classes.Min() < 0) throw new ArgumentException($"A label is {classes.Min()}; classes are numbered from 0.", nameof(labels));
        var chosen = new List<long>();
        for (long c = 0; c <= classes.Max(); c++)
        {
            long[] places = [.. Enumerable.Range(0, classes.Length).Where(i => classes[i] == c).Select(i => (long)i)];
            if (places.Length < perClass) throw new ArgumentException($"Class {c} has {places.Length} samples; {perClass} are wanted.", nameof(labels));
            new SeededRandom(seed, 700 + c).Shuffle(places.AsSpan());
            chosen.AddRange(places[..perClass]);
        }

        return tensor([.. chosen]);
    }

    private static void RequireAllClasses(nn.Module<Tensor, Tensor> model, Tensor X, Tensor labels)
    {
        using IDisposable off = no_grad();
        long classes = model.call(X.narrow(0, 0, Math.Min(2, X.shape[0]))).shape[^1];
        long[] present = labels.cpu().data<long>().ToArray();
        long missing = Enumerable.Range(0, checked((int)classes)).Select(c => (long)c).FirstOrDefault(c => !present.Contains(c), -1);
        if (missing >= 0) throw new ArgumentException($"No sample of the batch is of class {missing}; GraSP takes as many of each.", nameof(labels));
    }
}
