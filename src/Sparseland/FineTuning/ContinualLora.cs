using Sparseland.LowRank;
using Sparseland.Models;
using Sparseland.Tensors;
using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Sparseland.FineTuning;

/// <summary>How <see cref="ContinualLora"/> deals with a new task.</summary>
public enum ContinualRule
{
    /// <summary>One adapter, trained on and on.</summary>
    Sequential,

    /// <summary>A new adapter for each task; all of them are added, the old ones frozen.</summary>
    Added,

    /// <summary>A new adapter for each task and a linear router, trained on and on: their softmax in training, the first alone in evaluation.</summary>
    Routed,
}

/// <summary>The baselines of continual learning with adapters of low rank around one frozen layer.</summary>
public sealed class ContinualLora : nn.Module<Tensor, Tensor>, IContinualLayer
{
    // Named as they are registered: TorchSharp gives fields, and only fields, their new tensors when a module changes its type or device. Those of tasks are asked for by name.
    private readonly Parameter weight;
    private readonly Parameter? bias;
    private bool _learning;

    /// <summary>A layer without any task yet.</summary>
    /// <param name="linear">Gives W0 and the bias, which stay its own memory and are frozen here.</param>
    /// <param name="rule">What becomes of a new task.</param>
    /// <param name="rank">r of an adapter, from 1 to min(out, in).</param>
    /// <exception cref="ArgumentException">A number is out of its range.</exception>
    public ContinualLora(Linear linear, ContinualRule rule, int rank)
        : base(nameof(ContinualLora))
    {
        ArgumentNullException.ThrowIfNull(linear);
        if (!Enum.IsDefined(rule)) throw new ArgumentOutOfRangeException(nameof(rule), rule, "No such rule.");
        long most = Math.Min(linear.weight!.shape[0], linear.weight.shape[1]);
        if (rank < 1 || rank > most) throw new ArgumentOutOfRangeException(nameof(rank), rank, $"rank must be from 1 to {most}.");
        (Rule, Rank, weight) = (rule, rank, LinearOf.Shared(linear.weight));
        bias = linear.bias is null ? null : LinearOf.Shared(linear.bias);
        register_parameter("weight", weight);
        if (bias is not null) register_parameter("bias", bias);
    }

    /// <summary>What becomes of a new task.</summary>
    public ContinualRule Rule { get; }

    /// <summary>r.</summary>
    public int Rank { get; }

    /// <inheritdoc/>
    public nn.Module<Tensor, Tensor> Layer => this;

    /// <inheritdoc/>
    public int Tasks { get; private set; }

    /// <inheritdoc/>
    public void BeginTask(long seed)
    {
        if (_learning) throw new InvalidOperationException($"Task {Tasks} has not ended.");
        using IDisposable off = no_grad();
        using DisposeScope scope = NewDisposeScope();
        using var generator = new Generator(SeededRandom.Mix(unchecked((ulong)seed) ^ 0x104a));
        Tensor Uniform(long rows) => Factors.Uniform(weight.shape[1], [rows, weight.shape[1]], generator).to(weight.dtype).to(weight.device);

        if (Rule != ContinualRule.Sequential || Tasks == 0)
        {
            register_parameter($"A{Tasks}", LinearOf.Owned(Uniform(Rank)));
            register_parameter($"B{Tasks}", LinearOf.Owned(zeros([weight.shape[0], Rank], dtype: weight.dtype, device: weight.device)));
        }

        // A row of the router for the new adapter; the rows before are trained on.
        if (Rule == ContinualRule.Routed) register_parameter($"router{Tasks}", LinearOf.Owned(Uniform(1)));
        (_learning, Tasks) = (true, Tasks + 1);
        foreach (Parameter own in Learned()) own.requires_grad = true;
    }

    /// <inheritdoc/>
    public void EndTask()
    {
        if (!_learning) throw new InvalidOperationException("No task has begun that could be frozen.");
        foreach (Parameter own in Learned()) own.requires_grad = false;
        _learning = false;
    }

    /// <summary>W0 x, the adapters' part, and b.</summary>
    /// <param name="input">[..., in], of the parameters' type.</param>
    /// <exception cref="ArgumentException">Another width or type.</exception>
    public override Tensor forward(Tensor input)
    {
        LayerInput.Check(input, weight);
        using DisposeScope scope = NewDisposeScope();
        Tensor y = nn.functional.linear(input, weight, bias);
        if (Tasks == 0) return y.MoveToOuterDisposeScope();
        Tensor? share = null;
        if (Rule == ContinualRule.Routed)
        {
            Tensor scores = nn.functional.linear(input, cat([.. Enumerable.Range(0, Tasks).Select(t => (Tensor)Named($"router{t}"))], 0));
            share = training ? scores.softmax(-1) : nn.functional.one_hot(scores.argmax(-1), Tasks).to(scores.dtype);
        }

        for (int i = 0; i < (Rule == ContinualRule.Sequential ? 1 : Tasks); i++)
        {
            Tensor part = nn.functional.linear(nn.functional.linear(input, Named($"A{i}")), Named($"B{i}"));
            y = y + (share is null ? part : part * share.narrow(-1, i, 1));
        }

        return y.MoveToOuterDisposeScope();
    }

    /// <summary>What the present task trains.</summary>
    private IEnumerable<Parameter> Learned()
    {
        int adapter = Rule == ContinualRule.Sequential ? 0 : Tasks - 1;
        return new[] { $"A{adapter}", $"B{adapter}" }.Concat(Rule == ContinualRule.Routed ? Enumerable.Range(0, Tasks).Select(t => $"router{t}") : []).Select(Named);
    }

    /// <inheritdoc/>
    public override string ToString() => $"ContinualLora({Rule}, rank {Rank}, {Tasks} tasks)";

    private Parameter Named(string name) => get_parameter(name) ?? throw new InvalidOperationException($"The layer has no {name}.");
}
