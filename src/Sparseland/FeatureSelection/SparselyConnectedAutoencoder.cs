using Sparseland.Tensors;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.FeatureSelection;

/// <summary>
/// A denoising autoencoder of one hidden layer whose two matrices are sparse from the first step to the last and rewired by SET once an epoch (Atashgahi et al. 2022, on Mocanu et al. 2018). Everything is computed on
/// existing connections; no dense matrix of weights exists.
/// </summary>
public sealed class SparselyConnectedAutoencoder : IDisposable
{
    private readonly Tensor _hiddenBias;
    private readonly Tensor _outputBias;
    private readonly Tensor _hiddenMomentum;
    private readonly Tensor _outputMomentum;
    private readonly NativeSize _size;

    /// <summary>Draws the connections; biases are zero.</summary>
    /// <param name="features">d, inputs and outputs.</param>
    /// <param name="options">Settings; null, the default, for the record's.</param>
    /// <exception cref="ArgumentException">A number is out of its range.</exception>
    public SparselyConnectedAutoencoder(int features, QuickSelectionOptions? options = null)
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(features);
        Options = options ?? new();
        Options.Validate();
        Features = features;
        Encoder = SparseConnections.Draw(Options.Hidden, features, Options.Epsilon, Options.WeightDeviation, Options.Seed, 0);
        Decoder = SparseConnections.Draw(features, Options.Hidden, Options.Epsilon, Options.WeightDeviation, Options.Seed, 1);
        Tensor Zeros(long n) => zeros([n, 1]).DetachFromDisposeScope();
        (_hiddenBias, _hiddenMomentum, _outputBias, _outputMomentum) = (Zeros(Options.Hidden), Zeros(Options.Hidden), Zeros(features), Zeros(features));
        _size = NativeSize.Of(new[] { _hiddenBias, _hiddenMomentum, _outputBias, _outputMomentum });
    }

    /// <summary>Settings.</summary>
    public QuickSelectionOptions Options { get; }

    /// <summary>d.</summary>
    public int Features { get; }

    /// <summary>W1 [hidden, features].</summary>
    public SparseConnections Encoder { get; }

    /// <summary>W2 [features, hidden].</summary>
    public SparseConnections Decoder { get; }

    /// <summary>Steps done.</summary>
    public long Steps { get; private set; }

    /// <summary>Evolutions done.</summary>
    public long Evolutions { get; private set; }

    /// <summary>Inputs without a connection, whose strength is 0.</summary>
    public int Unconnected => NeuronStrength.Degree(Encoder).Count(degree => degree == 0);

    /// <summary>Mean number of two-step paths from an input to its own output: h p1 p2 at the start. Where it is below about two, an input cannot be copied.</summary>
    public double SelfPaths
    {
        get
        {
            long paths = 0;
            for (int hidden = 0; hidden < Options.Hidden; hidden++)
            {
                foreach (int feature in Encoder.Support.Row(hidden)) paths += Decoder.Support.Contains(feature, hidden) ? 1 : 0;
            }

            return (double)paths / Features;
        }
    }

    /// <summary>One step of stochastic gradient descent on a mini-batch.</summary>
    /// <param name="noisy">Inputs with noise [features, batch].</param>
    /// <param name="clean">What is to be reconstructed, of the same shape.</param>
    /// <returns>Mean squared error over features and samples, before the step.</returns>
    /// <exception cref="ArgumentException">Another shape.</exception>
    public double Step(Tensor noisy, Tensor clean)
    {
        using DisposeScope scope = NewDisposeScope();
        using IDisposable off = no_grad();
        Gradients g = Compute(noisy, clean, DropoutMask(noisy.shape[1]));
        Encoder.Step(g.Encoder, Options);
        Decoder.Step(g.Decoder, Options);
        StepBias(_hiddenBias, _hiddenMomentum, g.HiddenBias);
        StepBias(_outputBias, _outputMomentum, g.OutputBias);
        Steps++;
        return g.Loss;
    }

    /// <summary>Gradients of 0.5 times the squared error, summed over features and averaged over the batch, at the connections alone.</summary>
    /// <param name="noisy">Inputs [features, batch].</param>
    /// <param name="clean">Targets.</param>
    /// <param name="kept">0 or 1 for each hidden unit and sample [hidden, batch]; null, the default, for no dropout.</param>
    /// <exception cref="ArgumentException">Another shape.</exception>
    public (Tensor Encoder, Tensor Decoder, Tensor HiddenBias, Tensor OutputBias, double Loss) GradientsOf(Tensor noisy, Tensor clean, Tensor? kept = null)
    {
        using DisposeScope scope = NewDisposeScope();
        using IDisposable off = no_grad();
        Gradients g = Compute(noisy, clean, kept);
        return (g.Encoder.MoveToOuterDisposeScope(), g.Decoder.MoveToOuterDisposeScope(), g.HiddenBias.MoveToOuterDisposeScope(), g.OutputBias.MoveToOuterDisposeScope(), g.Loss);
    }

    /// <summary>Rewires both matrices.</summary>
    /// <returns>What changed in the encoder.</returns>
    public ConnectionChange Evolve()
    {
        ConnectionChange change = Encoder.Evolve(Options.Zeta, Options.WeightDeviation, Options.Seed, 2 * Evolutions);
        Decoder.Evolve(Options.Zeta, Options.WeightDeviation, Options.Seed, (2 * Evolutions) + 1);
        Evolutions++;
        return change;
    }

    /// <summary>Trains, with an evolution after each epoch but the last.</summary>
    /// <param name="X">[samples, features], standardised; stays the caller's.</param>
    /// <param name="epochs">Positive.</param>
    /// <param name="after">Called after each epoch and before its evolution, with the epoch from 1; null, the default, for nobody.</param>
    /// <param name="progress">Reported after each epoch.</param>
    /// <param name="cancel">Checked before each step.</param>
    /// <returns>Mean loss of each epoch.</returns>
    /// <exception cref="ArgumentException">Another number of features, fewer samples than a mini-batch, or a value that is not finite.</exception>
    /// <exception cref="Solvers.DivergenceException">The loss of an epoch is not finite.</exception>
    public IReadOnlyList<double> Fit(Tensor X, int epochs, Action<int>? after = null, IProgress<ProgressReport>? progress = null, CancellationToken cancel = default)
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(epochs);
        Check(X);
        using DisposeScope scope = NewDisposeScope();
        using IDisposable off = no_grad();
        Tensor clean = X.detach().to(ScalarType.Float32).contiguous();
        if (!TensorInput.IsFinite(clean)) throw new ArgumentException("X has a value that is not finite in float32, in which the network computes.", nameof(X));
        Tensor? once = Options is { Noise: > 0, NoiseOnce: true } ? Noise(clean.shape, 0) : null;
        int samples = (int)clean.shape[0], batches = samples / Options.BatchSize;
        var losses = new List<double>();
        for (int epoch = 1; epoch <= epochs; epoch++)
        {
            long[] order = new SeededRandom(Options.Seed, 1_000_000_000L + Steps).Permutation<long>(samples);
            double sum = 0;
            for (int b = 0; b < batches; b++)
            {
                cancel.ThrowIfCancellationRequested();
                using DisposeScope step = NewDisposeScope();
                Tensor rows = tensor(order[(b * Options.BatchSize)..((b + 1) * Options.BatchSize)]), target = clean.index_select(0, rows);
                Tensor noise = once is not null ? once.index_select(0, rows) : Options.Noise > 0 ? Noise(target.shape, 1 + Steps) : zeros_like(target);
                sum += Step(Transposed.Of(target + noise), Transposed.Of(target));
            }

            losses.Add(sum / batches);
            if (!double.IsFinite(losses[^1])) throw new Solvers.DivergenceException($"The loss of epoch {epoch} is {losses[^1]}; take a learning rate below {Options.LearningRate:G3}.");
            after?.Invoke(epoch);
            if (epoch < epochs && Options.Zeta > 0) Evolve();
            progress?.Report(new(epoch, epochs, FormattableString.Invariant($"loss {losses[^1]:F3}")));
        }

        return losses;
    }

    /// <summary>What the network makes of samples, all hidden units in place: the next activations are scaled by the share that training kept.</summary>
    /// <param name="X">[samples, features].</param>
    /// <returns>[samples, features].</returns>
    /// <exception cref="ArgumentException">Another number of features.</exception>
    public Tensor Reconstruct(Tensor X)
    {
        ArgumentNullException.ThrowIfNull(X);
        if (X.dim() != 2 || X.shape[1] != Features) throw new ArgumentException($"X must be [samples, {Features}], but is [{string.Join(", ", X.shape)}].", nameof(X));
        using DisposeScope scope = NewDisposeScope();
        using IDisposable off = no_grad();
        Tensor hidden = (Encoder.Multiply(Transposed.Of(X.to(ScalarType.Float32))) + _hiddenBias).sigmoid();
        Tensor output = (Decoder.Multiply(hidden) * (1 - Options.Dropout)) + _outputBias;
        return (Options.Output == AutoencoderOutput.Tanh ? output.tanh() : output).t().contiguous().MoveToOuterDisposeScope();
    }

    /// <summary>Frees the weights.</summary>
    public void Dispose()
    {
        Encoder.Dispose();
        Decoder.Dispose();
        foreach (Tensor each in new[] { _hiddenBias, _hiddenMomentum, _outputBias, _outputMomentum }) each.Dispose();
        _size.Dispose();
    }

    private Gradients Compute(Tensor noisy, Tensor clean, Tensor? kept)
    {
        ArgumentNullException.ThrowIfNull(noisy);
        ArgumentNullException.ThrowIfNull(clean);
        if (noisy.dim() != 2 || noisy.shape[0] != Features || noisy.shape[1] < 1) throw new ArgumentException($"noisy must be [{Features}, batch], but is [{string.Join(", ", noisy.shape)}].", nameof(noisy));
        if (!clean.shape.SequenceEqual(noisy.shape)) throw new ArgumentException($"clean is [{string.Join(", ", clean.shape)}], noisy [{string.Join(", ", noisy.shape)}]; they must agree.", nameof(clean));
        long batch = noisy.shape[1];
        Tensor whole = (Encoder.Multiply(noisy) + _hiddenBias).sigmoid(), hidden = kept is null ? whole : whole * kept;
        Tensor before = Decoder.Multiply(hidden) + _outputBias, output = Options.Output == AutoencoderOutput.Tanh ? before.tanh() : before;
        Tensor delta2 = output - clean;
        double loss = delta2.square().mean().to(ScalarType.Float64).item<double>();
        if (Options.Output == AutoencoderOutput.Tanh) delta2 *= 1 - output.square();
        Tensor delta1 = Decoder.MultiplyTransposed(delta2) * whole * (1 - whole);
        if (kept is not null && Options.Backward == DropoutBackward.Correct) delta1 *= kept;
        return new(
            Encoder.Sampled(delta1, noisy).div_(batch), Decoder.Sampled(delta2, hidden).div_(batch), delta1.mean([1L], keepdim: true), delta2.mean([1L], keepdim: true), loss);
    }

    private Tensor? DropoutMask(long batch)
    {
        if (Options.Dropout == 0) return null;
        var random = new SeededRandom(Options.Seed, 2_000_000_000L + Steps);
        float[] mask = new float[Options.Hidden * batch];
        for (int i = 0; i < mask.Length; i++) mask[i] = random.NextDouble() < Options.Dropout ? 0 : 1;
        return tensor(mask, [Options.Hidden, batch]);
    }

    private Tensor Noise(long[] shape, long stream)
    {
        // libtorch's generator of our own: a table of millions of numbers is drawn once.
        using Generator generator = new(SeededRandom.Mix((ulong)Options.Seed ^ SeededRandom.Mix(0x5EED_0001UL + (ulong)stream)));
        return randn(shape, generator: generator).mul_(Options.Noise);
    }

    private void StepBias(Tensor bias, Tensor momentum, Tensor gradient)
    {
        momentum.mul_(Options.Momentum).add_(gradient, alpha: -Options.LearningRate);
        bias.mul_(1 - Options.WeightDecay).add_(momentum);
    }

    private void Check(Tensor X)
    {
        ArgumentNullException.ThrowIfNull(X);
        if (X.dim() != 2 || X.shape[1] != Features) throw new ArgumentException($"X must be [samples, {Features}], but is [{string.Join(", ", X.shape)}].", nameof(X));
        if (X.shape[0] < Options.BatchSize) throw new ArgumentException($"There are {X.shape[0]} samples, too few for one mini-batch of {Options.BatchSize}.", nameof(X));
    }

    private sealed record Gradients(Tensor Encoder, Tensor Decoder, Tensor HiddenBias, Tensor OutputBias, double Loss);
}
