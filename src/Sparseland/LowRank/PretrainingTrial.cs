using System.Diagnostics;
using Sparseland.Data.Documentation;
using Sparseland.Models;
using Sparseland.Models.Language;
using Sparseland.Tensors;
using Sparseland.Training;
using Sparseland.Solvers;
using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Sparseland.LowRank;

/// <summary>Settings of one training of <see cref="PretrainingTrial"/>.</summary>
public sealed record TrialOptions
{
    /// <summary>Steps of 8 windows of 128 characters. Default 300; the long trial has 800.</summary>
    public long Steps { get; init; } = 300;

    /// <summary>Steps of warm-up; null, the default, for a tenth of all.</summary>
    public long? WarmUp { get; init; }

    /// <summary>Seed of the start and of the windows, the same windows for every method; supports and redraws have streams of their own. Default 0.</summary>
    public long Seed { get; init; }

    /// <summary>Highest learning rate. Default 0.005, found for dense and plain low-rank layers; the other methods of the chapter take 0.01.</summary>
    public double LearningRate { get; init; } = 0.005;

    /// <summary>Held-out loss after each so many steps; 0 for at the end alone. Default 100.</summary>
    public long CurveEvery { get; init; } = 100;

    /// <summary>Ids of the held-out text that are read, at least 2. Default 24,577, 192 windows and one id.</summary>
    public int HeldOut { get; init; } = 24_577;

    /// <summary>From the network, after its layers were replaced, to its optimizer, which the trial disposes; null, the default, for Adam without weight decay.</summary>
    public Func<TinyLM, IOptimizer>? Optimizer { get; init; }

    /// <summary>From the network to callbacks of the training; null, the default, for none. The trial's own evaluation stays.</summary>
    public Func<TinyLM, TrainingHooks>? Hooks { get; init; }

    /// <summary>Throws when a value is outside its range.</summary>
    /// <exception cref="ArgumentException">A value is outside its range.</exception>
    public void Validate()
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(HeldOut, 2);
        ArgumentOutOfRangeException.ThrowIfNegative(CurveEvery);
        Training().Validate();
    }

    /// <summary>The options of the loop.</summary>
    internal TrainingOptions Training() => new()
    {
        Steps = Steps, WarmUp = WarmUp ?? Steps / 10, LearningRate = LearningRate, FinalRate = 0.1, Beta1 = 0.9, Beta2 = 0.999, WeightDecay = 0, ClipNorm = 1, EvaluateEvery = CurveEvery, Seed = 1 + (Seed & 0xffffff),
    };
}

/// <summary>What a training of the trial left behind.</summary>
public sealed class TrialResult : IDisposable
{
    private readonly NativeSize _size;

    internal TrialResult(string name, double loss, IReadOnlyList<(long Step, double Loss)> curve, TrainingResult training, long trained, double seconds, TinyLM model)
    {
        (Name, Loss, Curve, Training, Trained, Seconds, Model) = (name, loss, curve, training, trained, seconds, model);
        _size = NativeSize.Of(model.parameters());
    }

    /// <summary>Name of the method.</summary>
    public string Name { get; }

    /// <summary>Held-out loss at the end, in nats per character. Chance is ln 97 = 4.57.</summary>
    public double Loss { get; }

    /// <summary>Held-out loss on the way, the end included.</summary>
    public IReadOnlyList<(long Step, double Loss)> Curve { get; }

    /// <summary>All steps.</summary>
    public TrainingResult Training { get; }

    /// <summary>Parameters that were trained.</summary>
    public long Trained { get; }

    /// <summary>Time of all steps and evaluations.</summary>
    public double Seconds { get; }

    /// <summary>The network, in evaluation mode. It belongs to the result.</summary>
    public TinyLM Model { get; }

    /// <inheritdoc/>
    public void Dispose()
    {
        Model.Dispose();
        _size.Dispose();
    }

    /// <inheritdoc/>
    public override string ToString() => FormattableString.Invariant($"{Name}: {Loss:0.000} nats per character, {Trained:N0} trained");
}

/// <summary>
/// One small language model, trained from nothing on the characters of the documentation: long enough for the methods of low rank to separate, short enough for a notebook. A decoder of width 96 with two blocks;
/// its 14 linear layers may be replaced, embedding and norms are always trained as they are.
/// </summary>
/// <remarks>With few steps the loss measures how fast a start learns, not what a family can express: compare methods at equal steps, AND look at the long trial.</remarks>
public sealed class PretrainingTrial
{
    /// <summary>Windows of a step.</summary>
    public const int Windows = 8;

    /// <summary>Characters of a window.</summary>
    public const int Length = 128;

    /// <summary>A trial over two texts of characters.</summary>
    /// <param name="training">From <see cref="ByteText"/>.</param>
    /// <param name="heldOut">From <see cref="ByteText"/>.</param>
    /// <exception cref="ArgumentException">A text is too short for a window, or has an id that no character has.</exception>
    public PretrainingTrial(TokenText training, TokenText heldOut)
    {
        ArgumentNullException.ThrowIfNull(training);
        ArgumentNullException.ThrowIfNull(heldOut);
        foreach ((TokenText text, string name) in new[] { (training, nameof(training)), (heldOut, nameof(heldOut)) })
        {
            if (text.Count <= Length + 1) throw new ArgumentException($"The text has {text.Count} characters; a window takes {Length} and one behind it.", name);
            foreach (int id in text.Ids)
            {
                if (id is < 0 or >= ByteText.Vocabulary) throw new ArgumentException($"The text has the id {id}; those of {nameof(ByteText)} are below {ByteText.Vocabulary}.", name);
            }
        }

        (Training, HeldOut) = (training, heldOut);
    }

    /// <summary>Sizes of the network: 230,976 parameters, of them 221,184 in the 14 linear layers.</summary>
    public static LlamaConfig Config { get; } = new() { Vocabulary = ByteText.Vocabulary, Width = 96, MlpWidth = 256, Layers = 2, Heads = 4, KeyValueHeads = 4, Context = Length };

    /// <summary>The training text.</summary>
    public TokenText Training { get; }

    /// <summary>The held-out text.</summary>
    public TokenText HeldOut { get; }

    /// <summary>The texts of a split of the documentation.</summary>
    /// <param name="corpus">The split.</param>
    /// <param name="most">Characters of each text after which the rest is left out; null, the default, for all.</param>
    /// <param name="cancel">Checked between articles.</param>
    public static PretrainingTrial Of(DocCorpus corpus, int? most = null, CancellationToken cancel = default)
    {
        ArgumentNullException.ThrowIfNull(corpus);
        return new(ByteText.Of(DocCorpus.Articles(corpus.Training), most: most, cancel: cancel), ByteText.Of(DocCorpus.Articles(corpus.HeldOut), most: most, cancel: cancel));
    }

    /// <summary>The network before training: linear layers uniform in +-1/sqrt(in), embedding normal with deviation 0.02, norms one.</summary>
    /// <param name="seed">Seed.</param>
    public static TinyLM Start(long seed)
    {
        var model = new TinyLM(Config, 1);
        using IDisposable off = no_grad();
        using DisposeScope scope = NewDisposeScope();
        using var generator = new Generator(SeededRandom.Mix(unchecked((ulong)seed) ^ 0x7a1));
        foreach ((string name, Parameter parameter) in model.named_parameters().OrderBy(p => p.name, StringComparer.Ordinal))
        {
            if (parameter.dim() < 2) continue;
            parameter.copy_(name.EndsWith("embed_tokens.weight", StringComparison.Ordinal)
                ? randn(parameter.shape, generator: generator) * 0.02
                : Factors.Uniform(parameter.shape[1], parameter.shape, generator));
        }

        return model;
    }

    /// <summary>Trains the network with some of its layers replaced.</summary>
    /// <param name="name">Name of the method.</param>
    /// <param name="replace">From name and linear layer to what takes its place; null leaves it. Null, the default, for the dense network.</param>
    /// <param name="options">Steps, seed, rate; null for the defaults of the record.</param>
    /// <param name="progress">Steps done.</param>
    /// <param name="cancel">Checked before each step and during evaluations.</param>
    /// <returns>Loss, curve and network; dispose it.</returns>
    /// <exception cref="ArgumentException">An option is out of its range, or nothing is left to train.</exception>
    /// <exception cref="DivergenceException">A loss or gradient is not finite.</exception>
    public TrialResult Run(
        string name, Func<string, Linear, nn.Module<Tensor, Tensor>?>? replace = null, TrialOptions? options = null, IProgress<ProgressReport>? progress = null, CancellationToken cancel = default)
    {
        ArgumentException.ThrowIfNullOrWhiteSpace(name);
        options ??= new();
        options.Validate();
        TinyLM model = Start(options.Seed);
        try
        {
            // Replaced layers may share their memory with what took their place (LoRA), so they are left to the collector.
            if (replace is not null) LinearSlots.Replace(model, replace);
            var heldOut = new TokenText(HeldOut.Ids[..Math.Min(HeldOut.Count, options.HeldOut)].ToArray());
            double Loss(CancellationToken stop) => Perplexity.Of(model, heldOut, Length, Length, cancel: stop).Loss;
            TrainingHooks hooks = (options.Hooks?.Invoke(model) ?? new()) with { Evaluate = Loss };
            using IOptimizer? own = options.Optimizer?.Invoke(model);
            using var loop = new TrainingLoop(
                model, new RandomWindows(Training, Windows, Length, options.Seed), Losses.CrossEntropy(model),
                options.Training(), hooks, own);
            long trained = loop.Optimizer.Parameters.Sum(p => p.Parameter.numel());
            long start = Stopwatch.GetTimestamp();
            TrainingResult result = loop.Run(progress, cancel);
            double seconds = Stopwatch.GetElapsedTime(start).TotalSeconds;
            model.eval();
            (long, double)[] curve = [.. result.History.Where(s => s.Evaluation is not null).Select(s => (s.Step, s.Evaluation!.Value))];
            double last = curve.Length > 0 && curve[^1].Item1 == options.Steps ? curve[^1].Item2 : Loss(cancel);
            return new(name, last, curve, result, trained, seconds, model);
        }
        catch
        {
            model.Dispose();
            throw;
        }
    }
}
