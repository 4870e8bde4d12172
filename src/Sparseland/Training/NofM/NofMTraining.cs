using Sparseland.Models;
using Sparseland.Tensors;
using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Sparseland.Training.NofM;

/// <summary>What one step did to the pruned layers, all together.</summary>
/// <param name="Step">The step, from 0.</param>
/// <param name="Stage">What it did.</param>
/// <param name="GradientRatio">Norm of the gradient of pruned weights over that of kept ones, as handed to the optimizer, before clipping; 0 where nothing is pruned.</param>
/// <param name="Flips">Half of the mask entries that changed since the step before, over those kept; NaN in the first step, and where the number of kept ones changed.</param>
/// <param name="Density">Share of the effective weights that is not zero by the stage.</param>
public sealed record NofMStepReport(long Step, NofMStage Stage, double GradientRatio, double Flips, double Density)
{
    /// <inheritdoc/>
    public override string ToString() => Readable.Of(this);
}

/// <summary>
/// A network some of whose layers are trained with N:M masks by a schedule: attach it, train with <see cref="Hooks"/> and <see cref="Options"/>, and <see cref="Harden"/> it. Until then the layers compute
/// with the stage of the last step, which may be soft.
/// </summary>
public sealed class NofMTraining : IDisposable
{
    private readonly IReadOnlyList<ReplacedLayer> _replaced;
    private readonly EffectiveWeight[] _layers;
    private readonly Tensor?[] _before;
    private readonly List<NofMStepReport> _report = [];
    private NativeSize? _size;
    private long _stayed;
    private bool _left;

    private NofMTraining(nn.Module module, IReadOnlyList<ReplacedLayer> replaced, NofMSchedule schedule)
    {
        (Module, _replaced, Schedule, Stage) = (module, replaced, schedule, schedule.At(0, long.MaxValue));
        _layers = [.. replaced.Select(r => (EffectiveWeight)r.After)];
        _before = new Tensor?[_layers.Length];
        Set(Stage);
    }

    /// <summary>The network; it is the caller's.</summary>
    public nn.Module Module { get; }

    /// <summary>What is done in which step.</summary>
    public NofMSchedule Schedule { get; }

    /// <summary>What the layers do now.</summary>
    public NofMStage Stage { get; private set; }

    /// <summary>Names and layers, in the order of the network.</summary>
    public IReadOnlyList<(string Name, EffectiveWeight Layer)> Layers => [.. _replaced.Zip(_layers, (r, layer) => (r.Slot.Name, layer))];

    /// <summary>Each step that was done here; a training that was resumed begins with its first step afterwards.</summary>
    public IReadOnlyList<NofMStepReport> Report => _report;

    /// <summary>Puts effective weights into a network.</summary>
    /// <param name="module">The network.</param>
    /// <param name="layers">Which linear layers and convolutions, by name; null for all. Embeddings, norms and the head of a network are best left dense.</param>
    /// <param name="schedule">What is done in which step.</param>
    /// <exception cref="ArgumentException">No layer is named, one has been attached before or is tied, or a pattern of the schedule does not fit a layer (both are named). Nothing has changed then.</exception>
    public static NofMTraining Attach(nn.Module module, Func<string, bool>? layers, NofMSchedule schedule)
    {
        ArgumentNullException.ThrowIfNull(schedule);
        MaskedWeight first = schedule.At(0, long.MaxValue).Rule;
        return new(module, EffectiveWeight.Attach(module, (name, weight) =>
        {
            if (layers is not null && !layers(name)) return null;
            CheckFits(name, weight, schedule);
            return first;
        }), schedule);
    }

    /// <summary>What a <see cref="TrainingLoop"/> must call: the stage is set before each step, and reported when its gradients are there.</summary>
    /// <param name="others">Hooks that are called too, after these; null, the default, for none.</param>
    public TrainingHooks Hooks(TrainingHooks? others = null) => (others ?? new()) with
    {
        OnBeforeStep = loop =>
        {
            Begin(loop);
            others?.OnBeforeStep?.Invoke(loop);
        },
        OnGradients = loop =>
        {
            Gradients(loop);
            others?.OnGradients?.Invoke(loop);
        },
    };

    /// <summary>Options by which a checkpoint knows the schedule, so that it is not taken up under another one.</summary>
    /// <param name="options">The options of the training.</param>
    public TrainingOptions Options(TrainingOptions options)
    {
        ArgumentNullException.ThrowIfNull(options);
        return options with { Variant = Named(options.Variant) };
    }

    /// <summary>Sets what the layers do, as a step of the training would.</summary>
    /// <param name="step">The step about to be done, from 0.</param>
    /// <param name="steps">All steps.</param>
    /// <exception cref="ObjectDisposedException">Hardened or disposed.</exception>
    public NofMStage SetStage(long step, long steps)
    {
        ObjectDisposedException.ThrowIf(_left, this);
        return Set(Schedule.At(step, steps));
    }

    /// <summary>Puts ordinary layers with m W as their weights back, m the final pattern's mask of W: what is deployed. Accuracy is measured after it.</summary>
    /// <param name="force">Also before the decay has ended, when pruned weights that still count are lost. Default false.</param>
    /// <returns>Names of the layers with their masks, owned by the caller.</returns>
    /// <exception cref="InvalidOperationException">The decay has not ended, and it is not forced.</exception>
    /// <exception cref="ObjectDisposedException">Hardened or disposed before.</exception>
    public MaskSet Harden(bool force = false)
    {
        ObjectDisposedException.ThrowIf(_left, this);
        if (!force && Stage != Schedule.Final) throw new InvalidOperationException($"The layers are at {Stage}, and the schedule ends at {Schedule.Final}: pruned weights still count. Train on, or harden with force.");
        Set(Schedule.Final);
        MaskSet masks = EffectiveWeight.Harden(Module, _replaced);
        Forget();
        return masks;
    }

    /// <summary>Puts the layers back with their dense weights, if the network was not hardened.</summary>
    public void Dispose()
    {
        if (_left) return;
        EffectiveWeight.Leave(_replaced);
        Forget();
    }

    /// <inheritdoc/>
    public override string ToString() => $"NofMTraining of {_layers.Length} layers, {Schedule}, now {Stage}";

    private static void CheckFits(string name, Tensor weight, NofMSchedule schedule)
    {
        foreach ((int n, int m) in schedule.Patterns)
        {
            if (weight.shape[1] % m == 0) continue;
            long fits = Enumerable.Range(1, m).Where(length => weight.shape[1] % length == 0).Max();
            throw new ArgumentException($"{name} has {weight.shape[1]} inputs, which {m} does not divide ({n}:{m} of {schedule}); the longest run up to {m} that fits is {fits}.", nameof(schedule));
        }
    }

    private void Begin(TrainingLoop loop)
    {
        ObjectDisposedException.ThrowIf(_left, this);
        if (loop.Done == 0 || loop.Options.Checkpoint is null || loop.Options.Variant.Contains(Schedule.ToString()!, StringComparison.Ordinal))
        {
            Set(Schedule.At(loop.Done, loop.Options.Steps));
            return;
        }

        throw new InvalidOperationException($"The training is taken up from a checkpoint whose Variant \"{loop.Options.Variant}\" does not name the schedule; make its options by {nameof(NofMTraining)}.{nameof(Options)}.");
    }

    private NofMStage Set(NofMStage stage)
    {
        MaskedWeight rule = stage.Rule;
        foreach (EffectiveWeight layer in _layers) layer.Rule = rule;
        return Stage = stage;
    }

    private void Gradients(TrainingLoop loop)
    {
        using DisposeScope scope = NewDisposeScope();
        using IDisposable off = no_grad();
        double kept = 0, pruned = 0;
        long stay = 0, changed = 0;
        bool known = true;
        for (int i = 0; i < _layers.Length; i++)
        {
            if (_layers[i].Raw.grad is not { } gradient || _layers[i].Mask is not { } mask) continue;

            // Each mini-batch of a step has added the pull.
            if (Stage.Pull > 0 && loop.Options.Accumulate > 1) gradient.add_(where(mask, 0, _layers[i].Raw), alpha: -Stage.Pull * (loop.Options.Accumulate - 1));
            MaskedGradient layer = MaskedGradient.Of(gradient, mask, _before[i]);
            kept += layer.Kept;
            pruned += layer.Pruned;
            stay += layer.Count;
            changed += layer.Changed;
            known &= _before[i] is not null;
            _before[i]?.Dispose();
            _before[i] = mask.clone().DetachFromDisposeScope();
        }

        double ratio = pruned == 0 ? 0 : Math.Sqrt(pruned / kept), flips = known && stay == _stayed && stay > 0 ? changed / 2.0 / stay : double.NaN;
        _size ??= NativeSize.Of(_before);
        _stayed = stay;
        _report.Add(new(loop.Done, Stage, ratio, flips, Stage.Density));
    }

    private string Named(string variant) => variant.Length == 0 ? Schedule.ToString()! : $"{variant}; {Schedule}";

    private void Forget()
    {
        _left = true;
        foreach (Tensor? before in _before) before?.Dispose();
        Array.Clear(_before);
        _size?.Dispose();
    }
}
