using Sparseland.Models.Language;
using Sparseland.Tensors;
using Sparseland.Training;
using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Sparseland.Pruning;

/// <summary>
/// Sparse finetuning (Kurtic, Kuznedelev, Frantar, Goin and Alistarh 2023, arXiv 2310.06927): trains a pruned decoder with its masks fixed, on labels and on what its
/// dense teacher makes of the same texts. Every parameter is trained; the masked ones keep their zeros in every step.
/// </summary>
/// <remarks>
/// Student and teacher run each by itself from the input: a student's layer that is fed with the teacher's states learns another task (a published framework did so at
/// first). A batch's targets are the next tokens, <see cref="NoLabel"/> where a token is none of the labels (prompt, padding).
/// </remarks>
public static class SparseFinetuning
{
    /// <summary>Target of a token that is no label.</summary>
    public const long NoLabel = -100;

    /// <summary>Finetunes the student in place.</summary>
    /// <param name="student">The pruned decoder: zero where a mask says so.</param>
    /// <param name="teacher">The dense decoder; it stays as it is. May be null where only cross-entropy counts.</param>
    /// <param name="masks">Masks of the student's weights, which stay.</param>
    /// <param name="batches">Token ids [batch, tokens] and next tokens of the same shape.</param>
    /// <param name="options">The losses; null for cross-entropy and SquareHead.</param>
    /// <param name="training">Steps, rates, clipping; null for <see cref="SparseFinetuningOptions.Recipe"/>.</param>
    /// <param name="hooks">Evaluation and callbacks; null for none.</param>
    /// <param name="progress">Reported after each step.</param>
    /// <param name="cancel">Checked within each step; the student is that of the last whole step then.</param>
    /// <returns>Losses and norms of each step.</returns>
    /// <exception cref="ArgumentException">
    /// The two are one network or do not fit each other; masks of another network, of embeddings, or of weights that are not zero; an option out of its range; windows
    /// longer than the context; a batch without a label; a state of the teacher that is not finite (the layer is named).
    /// </exception>
    /// <exception cref="Solvers.DivergenceException">A loss or gradient is not finite.</exception>
    /// <exception cref="OperationCanceledException">Cancelled.</exception>
    public static SparseFinetuningResult Run(
        LanguageModel student, LanguageModel? teacher, MaskSet masks, IBatchSource batches, SparseFinetuningOptions? options = null, TrainingOptions? training = null,
        TrainingHooks? hooks = null, IProgress<ProgressReport>? progress = null, CancellationToken cancel = default)
    {
        ArgumentNullException.ThrowIfNull(student);
        ArgumentNullException.ThrowIfNull(masks);
        ArgumentNullException.ThrowIfNull(batches);
        (options ??= new()).Validate();
        (training ??= SparseFinetuningOptions.Recipe()).Validate();
        CheckTeacher(student, teacher, options);
        CheckMasks(student, masks);
        CheckFirst(batches, student, teacher, options);
        cancel.ThrowIfCancellationRequested();

        var terms = new Terms(options);
        var steps = new List<FinetuningStep>();
        using var modes = new Modes(student, teacher);

        // Reset masks gradients before they are clipped, Keep never: the moments of pruned weights run on, and no one ever sees them.
        TopologyOptions fixedMasks = new() { Moments = options.MaskGradients ? MomentRule.Reset : MomentRule.Keep };
        using var optimizer = new SparseOptimizer(
            new AdamWOptimizer(student, training.WeightDecay, training.Beta1, training.Beta2, training.Epsilon, training.DecayAll), masks, fixedMasks);
        TrainingHooks all = optimizer.Hooks(hooks) with
        {
            OnStep = (loop, report) =>
            {
                steps.Add(terms.Take(report, training.Accumulate));
                hooks?.OnStep?.Invoke(loop, report);
            },
        };
        using var loop = new TrainingLoop(student, batches, batch => Loss(student, teacher, batch, options, terms, cancel), training, all, optimizer);
        TrainingResult done = loop.Run(progress, cancel);
        return new([.. steps.Zip(done.History, (step, report) => step with { Evaluation = report.Evaluation })], MeasuredSparsity(masks), done.Seconds);
    }

    /// <summary>The whole loss of a batch, with a gradient to the student.</summary>
    /// <param name="student">The student.</param>
    /// <param name="teacher">The teacher; may be null where only cross-entropy counts.</param>
    /// <param name="batch">Token ids and next tokens, <see cref="NoLabel"/> where there is no label.</param>
    /// <param name="options">The losses; null for cross-entropy and SquareHead.</param>
    /// <returns>One number.</returns>
    /// <exception cref="ArgumentException">As for <see cref="Run"/>.</exception>
    public static Tensor Loss(LanguageModel student, LanguageModel? teacher, Batch batch, SparseFinetuningOptions? options = null)
    {
        ArgumentNullException.ThrowIfNull(student);
        (options ??= new()).Validate();
        CheckTeacher(student, teacher, options);
        CheckBatch(batch, student, options);
        return Loss(student, teacher, batch, options, new(options), default);
    }

    /// <summary>Share of zeros among the masked weights, counted in the weights and not in the masks.</summary>
    /// <param name="masks">The masks.</param>
    public static double MeasuredSparsity(MaskSet masks)
    {
        ArgumentNullException.ThrowIfNull(masks);
        using DisposeScope scope = NewDisposeScope();
        return (double)masks.Names.Sum(name => MaskSet.TrueIn(masks.ParameterOf(name).eq(0))) / masks.Size;
    }

    private static Tensor Loss(LanguageModel student, LanguageModel? teacher, Batch batch, SparseFinetuningOptions options, Terms terms, CancellationToken cancel)
    {
        CheckBatch(batch, student, options);
        using DisposeScope scope = NewDisposeScope();
        Tensor labelled = batch.Target.ne(NoLabel);
        Tensor? real = options.Padding is { } padding ? batch.Input.ne(padding) : null;
        HiddenStates? dense = null;
        if (options.NeedsTeacher)
        {
            using IDisposable off = no_grad();
            dense = States(teacher!, batch.Input, options, options.KullbackLeibler > 0);
        }

        using HiddenStates? target = dense;
        cancel.ThrowIfCancellationRequested();
        using HiddenStates own = States(student, batch.Input, options, options.CrossEntropy > 0 || options.KullbackLeibler > 0);
        cancel.ThrowIfCancellationRequested();
        var sum = new WeightedSum();
        if (options.CrossEntropy > 0)
        {
            Tensor logits = own.Logits!;
            sum.Add(options.CrossEntropy, terms.CrossEntropy, nn.functional.cross_entropy(logits.view(-1, logits.shape[^1]), batch.Target.reshape(-1), ignore_index: NoLabel));
        }

        if (options.KullbackLeibler > 0)
        {
            Tensor? labels = labelled.all().item<bool>() ? null : labelled;
            sum.Add(options.KullbackLeibler, terms.KullbackLeibler, Distillation.KullbackLeibler(own.Logits!, target!.Logits!, labels, options.Temperature));
        }

        if (options.SquareHead > 0) sum.Add(options.SquareHead, terms.SquareHead, SquareHead.Loss(own.Layers, target!.Layers, real));
        if (options.StateError > 0) sum.Add(options.StateError, terms.StateError, StateError.Loss(own.Layers, target!.Layers, real));
        return sum.Total!.MoveToOuterDisposeScope();
    }

    private static HiddenStates States(LanguageModel model, Tensor ids, SparseFinetuningOptions options, bool logits) => HiddenStates.Of(model, ids, options.FinalState, logits);

    private static void CheckTeacher(LanguageModel student, LanguageModel? teacher, SparseFinetuningOptions options)
    {
        if (teacher is null)
        {
            if (options.NeedsTeacher) throw new ArgumentNullException(nameof(teacher), "A loss that counts needs a teacher.");
            return;
        }

        HashSet<nint> own = [.. student.parameters().Select(TensorMemory.Identity)];
        if (ReferenceEquals(student, teacher) || teacher.parameters().Any(p => own.Contains(TensorMemory.Identity(p))))
            throw new ArgumentException("Teacher and student are one network or share parameters: the teacher would change with the student. Load it twice.", nameof(teacher));
        foreach ((int taught, int given, string what) in new[] { (student.Layers, teacher.Layers, "blocks"), (student.Width, teacher.Width, "numbers a state"), (student.Vocabulary, teacher.Vocabulary, "tokens in its vocabulary") })
        {
            if (taught != given) throw new ArgumentException($"The teacher has {given} {what}, the student {taught}.", nameof(teacher));
        }
    }

    private static void CheckMasks(LanguageModel student, MaskSet masks)
    {
        HashSet<nint> own = [.. student.parameters().Select(TensorMemory.Identity)];
        nint embeddings = TensorMemory.Identity(student.Embeddings);
        foreach (string name in masks.Names)
        {
            Parameter weight = masks.ParameterOf(name);
            nint identity = TensorMemory.Identity(weight);
            if (!own.Contains(identity)) throw new ArgumentException($"The mask of {name} is of another network than the student.", nameof(masks));
            if (identity == embeddings) throw new ArgumentException($"{name} are the embeddings, which the head may be tied to; they are not pruned.", nameof(masks));
            using DisposeScope scope = NewDisposeScope();
            long alive = MaskSet.TrueIn(weight.ne(0).logical_and(masks[name].logical_not()));
            if (alive == 0) continue;
            double claimed = 1 - ((double)masks.ActiveOf(name) / weight.numel()), real = (double)MaskSet.TrueIn(weight.eq(0)) / weight.numel();
            throw new ArgumentException(
                FormattableString.Invariant($"The mask of {name} says a sparsity of {claimed:0.###}, but {alive} weights that it removes are not zero ({real:0.###} are): prune the student first, or apply the masks."), nameof(masks));
        }
    }

    private static void CheckFirst(IBatchSource batches, LanguageModel student, LanguageModel? teacher, SparseFinetuningOptions options)
    {
        using DisposeScope scope = NewDisposeScope();
        Batch first = batches.At(0);
        CheckBatch(first, student, options);
        if (teacher is not null && first.Input.shape[1] > teacher.Context)
            throw new ArgumentException($"Windows of {first.Input.shape[1]} tokens are longer than the teacher's context of {teacher.Context}.", nameof(batches));
    }

    private static void CheckBatch(Batch batch, LanguageModel student, SparseFinetuningOptions options)
    {
        ArgumentNullException.ThrowIfNull(batch.Input, nameof(batch));
        ArgumentNullException.ThrowIfNull(batch.Target, nameof(batch));
        if (batch.Input.dim() != 2 || batch.Input.numel() == 0) throw new ArgumentException($"A batch's tokens must be [batch, tokens] and not empty, but are [{string.Join(", ", batch.Input.shape)}].", nameof(batch));
        if (!batch.Target.shape.SequenceEqual(batch.Input.shape) || batch.Target.dtype != ScalarType.Int64)
            throw new ArgumentException($"A batch's next tokens must be Int64 [{string.Join(", ", batch.Input.shape)}], but are {batch.Target.dtype} [{string.Join(", ", batch.Target.shape)}].", nameof(batch));
        if (batch.Input.shape[1] > student.Context) throw new ArgumentException($"Windows of {batch.Input.shape[1]} tokens are longer than the context of {student.Context}.", nameof(batch));
        using DisposeScope scope = NewDisposeScope();
        if ((options.CrossEntropy > 0 || options.KullbackLeibler > 0) && !batch.Target.ne(NoLabel).any().item<bool>())
            throw new ArgumentException($"No token of a batch has a label: all targets are {NoLabel}.", nameof(batch));
    }

    /// <summary>Sums of each loss over the mini-batches of a step.</summary>
    private sealed class Terms
    {
        private readonly Dictionary<string, double> _sums = [];

        public Terms(SparseFinetuningOptions options)
        {
            CrossEntropy = Slot(options.CrossEntropy, nameof(CrossEntropy));
            KullbackLeibler = Slot(options.KullbackLeibler, nameof(KullbackLeibler));
            SquareHead = Slot(options.SquareHead, nameof(SquareHead));
            StateError = Slot(options.StateError, nameof(StateError));
        }

        public Action<double> CrossEntropy { get; }

        public Action<double> KullbackLeibler { get; }

        public Action<double> SquareHead { get; }

        public Action<double> StateError { get; }

        public FinetuningStep Take(StepReport report, int batches)
        {
            double Mean(string name) => _sums.TryGetValue(name, out double sum) ? sum / batches : double.NaN;
            FinetuningStep step = new(
                report.Step, report.Loss, Mean(nameof(CrossEntropy)), Mean(nameof(KullbackLeibler)), Mean(nameof(SquareHead)), Mean(nameof(StateError)), report.GradientNorm, report.LearningRate);
            foreach (string name in _sums.Keys) _sums[name] = 0;
            return step;
        }

        private Action<double> Slot(double coefficient, string name)
        {
            if (coefficient > 0) _sums[name] = 0;
            return value => _sums[name] += value;
        }
    }

    private sealed class WeightedSum
    {
        public Tensor? Total { get; private set; }

        public void Add(double coefficient, Action<double> note, Tensor term)
        {
            note(term.to(ScalarType.Float64).item<double>());
            Tensor weighted = coefficient == 1 ? term : term.mul(coefficient);
            Total = Total is null ? weighted : Total + weighted;
        }
    }

    /// <summary>The teacher in evaluation mode while it lives; both as they were afterwards. Its mode is not touched where it is that already: trainings may share it.</summary>
    private sealed class Modes : IDisposable
    {
        private readonly LanguageModel _student;
        private readonly LanguageModel? _changed;
        private readonly bool _training;

        public Modes(LanguageModel student, LanguageModel? teacher)
        {
            (_student, _training) = (student, student.training);
            if (teacher is not { training: true }) return;
            _changed = teacher;
            teacher.eval();
        }

        public void Dispose()
        {
            _student.train(_training);
            _changed?.train();
        }
    }
}
