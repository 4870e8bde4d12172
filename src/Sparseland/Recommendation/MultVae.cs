using Sparseland.Tensors;
using Sparseland.Training;
using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Sparseland.Recommendation;

/// <summary>
/// MultVAE (Liang et al. 2018): a user's history as a draw from a multinomial over items, whose logits a variational autoencoder gives. The loss is
/// minus the log likelihood of the history plus beta times the divergence of the latent from a standard normal, beta rising in a line.
/// </summary>
/// <remarks>What it draws (dropout, the latent) depends on its seed and the number of the mini-batch alone, not on libtorch's one generator: several may train at once.</remarks>
public sealed class MultVae : nn.Module, IRecommender
{
    private readonly Interactions _training;
    private readonly Linear _first, _second, _third, _last;
    private readonly long _seed;

    /// <summary>Fresh layers, Xavier normal weights and biases of normal numbers with deviation 0.001.</summary>
    /// <param name="training">The interactions; their histories are what is recommended from.</param>
    /// <param name="hidden">Width of the hidden layers. Default 600.</param>
    /// <param name="latent">Width of the latent. Default 200.</param>
    /// <param name="dropout">Share of a history that is hidden in a step, from 0 to below 1. Default 0.5.</param>
    /// <param name="beta">Largest weight of the divergence. Default 0.2.</param>
    /// <param name="annealing">Steps until it is reached. Default 200.</param>
    /// <param name="seed">Seed of start and draws. Default 1.</param>
    /// <exception cref="ArgumentOutOfRangeException">A number is out of its range.</exception>
    public MultVae(Interactions training, int hidden = 600, int latent = 200, double dropout = 0.5, double beta = 0.2, long annealing = 200, long seed = 1)
        : base(nameof(MultVae))
    {
        ArgumentNullException.ThrowIfNull(training);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(hidden);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(latent);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(annealing);
        if (!(dropout >= 0 && dropout < 1)) throw new ArgumentOutOfRangeException(nameof(dropout), dropout, "dropout must be from 0 to below 1.");
        Finite.NotNegative(beta);
        (_training, Latent, Dropout, Beta, Annealing, _seed) = (training, latent, dropout, beta, annealing, seed);
        var random = new SeededRandom(seed, 9_200_000);
        _first = Layer(training.Items, hidden, ref random);
        _second = Layer(hidden, 2 * latent, ref random);
        _third = Layer(latent, hidden, ref random);
        _last = Layer(hidden, training.Items, ref random);
        RegisterComponents();
    }

    /// <summary>Width of the latent.</summary>
    public int Latent { get; }

    /// <summary>Share of a history that is hidden in a step.</summary>
    public double Dropout { get; }

    /// <summary>Largest weight of the divergence.</summary>
    public double Beta { get; }

    /// <summary>Steps until it is reached.</summary>
    public long Annealing { get; }

    /// <summary>Mean and logarithm of the variance of the latent.</summary>
    /// <param name="history">[users, items], already hidden in part where that is wanted; rows are brought to length one here, and divided by 1 - dropout before by who hides.</param>
    public (Tensor Mean, Tensor LogVariance) Encode(Tensor history)
    {
        ArgumentNullException.ThrowIfNull(history);
        using DisposeScope scope = NewDisposeScope();
        Tensor[] parts = _second.call(_first.call(history).tanh()).chunk(2, 1);
        return (parts[0].MoveToOuterDisposeScope(), parts[1].MoveToOuterDisposeScope());
    }

    /// <summary>Logits of the items.</summary>
    /// <param name="latent">[users, latent].</param>
    public Tensor Decode(Tensor latent)
    {
        ArgumentNullException.ThrowIfNull(latent);
        using DisposeScope scope = NewDisposeScope();
        return _last.call(_third.call(latent).tanh()).MoveToOuterDisposeScope();
    }

    /// <summary>The loss of a mini-batch. For <see cref="TrainingLoop"/>.</summary>
    /// <param name="batch">Of <see cref="HistoryBatches"/>.</param>
    public Tensor Loss(Batch batch)
    {
        long step = batch.Target.item<long>();
        using DisposeScope scope = NewDisposeScope();
        using var generator = new Generator(SeededRandom.Mix((ulong)_seed ^ SeededRandom.Mix((ulong)step + 1)) >> 1);
        Tensor input = Normalized(batch.Input);
        if (Dropout > 0) input = input.mul(rand(input.shape, generator: generator).ge(Dropout)).div(1 - Dropout);
        return Loss(batch.Input, input, latent => randn(latent, generator: generator), Beta * Math.Min(1, (double)step / Annealing)).MoveToOuterDisposeScope();
    }

    /// <summary>The loss of given histories, inputs and noise.</summary>
    /// <param name="history">[users, items] of 0 and 1: what should be likely.</param>
    /// <param name="input">[users, items]: what the encoder sees.</param>
    /// <param name="noise">Standard normal numbers of a shape.</param>
    /// <param name="beta">Weight of the divergence.</param>
    public Tensor Loss(Tensor history, Tensor input, Func<long[], Tensor> noise, double beta)
    {
        ArgumentNullException.ThrowIfNull(history);
        ArgumentNullException.ThrowIfNull(noise);
        using DisposeScope scope = NewDisposeScope();
        (Tensor mean, Tensor logVariance) = Encode(input);
        Tensor latent = mean.add(noise(mean.shape).mul(logVariance.mul(0.5).exp()));
        Tensor likelihood = nn.functional.log_softmax(Decode(latent), 1).mul(history).sum([1L]).mean();
        Tensor divergence = logVariance.add(1).sub(mean.square()).sub(logVariance.exp()).sum([1L]).mean().mul(-0.5);
        return divergence.mul(beta).sub(likelihood).MoveToOuterDisposeScope();
    }

    /// <inheritdoc/>
    public Tensor Scores(IReadOnlyList<int> users)
    {
        Interactions.CheckUsers(users, _training.Users);
        using DisposeScope scope = NewDisposeScope();
        using IDisposable off = no_grad();
        return Decode(Encode(Normalized(HistoryBatches.Rows(_training, users.ToArray()))).Mean).MoveToOuterDisposeScope();
    }

    /// <summary>Rows of Euclidean length one; an empty history stays zero.</summary>
    internal static Tensor Normalized(Tensor history) => history.div(history.norm(1, keepdim: true).clamp_min(1e-12));

    private static Linear Layer(int inputs, int outputs, ref SeededRandom random)
    {
        Linear layer = nn.Linear(inputs, outputs);
        double scale = Math.Sqrt(2.0 / (inputs + outputs));
        float[] weight = new float[inputs * outputs], bias = new float[outputs];
        for (int i = 0; i < weight.Length; i++) weight[i] = (float)(scale * random.NextGaussian());
        for (int i = 0; i < bias.Length; i++) bias[i] = (float)(0.001 * random.NextGaussian());
        using IDisposable off = no_grad();
        using DisposeScope scope = NewDisposeScope();
        layer.weight.copy_(tensor(weight, [outputs, inputs]));
        layer.bias!.copy_(tensor(bias));
        return layer;
    }
}
