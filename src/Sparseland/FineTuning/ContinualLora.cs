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
    private readonly Parameter _base;
    private readonly Parameter? _bias;
    private readonly List<(Parameter A, Parameter B)> _adapters = [];
    private Parameter? _router;
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
        (Rule, Rank, _base) = (rule, rank, LinearOf.Shared(linear.weight));
        _bias = linear.bias is null ? null : LinearOf.Shared(linear.bias);
        register_parameter("weight", _base);
        if (_bias is not null) register_parameter("bias", _bias);
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
        Tensor Uniform(long rows)
        {
            double bound = 1 / Math.Sqrt(_base.shape[1]);
            return ((rand([rows, _base.shape[1]], generator: generator) * (2 * bound)) - bound).to(_base.dtype);
        }

        if (Rule != ContinualRule.Sequential || Tasks == 0)
        {
            (Parameter A, Parameter B) pair = (LinearOf.Owned(Uniform(Rank)), LinearOf.Owned(zeros([_base.shape[0], Rank], dtype: _base.dtype)));
            _adapters.Add(pair);
            register_parameter($"A{Tasks}", pair.A);
            register_parameter($"B{Tasks}", pair.B);
        }
        else (_adapters[0].A.requires_grad, _adapters[0].B.requires_grad) = (true, true);
        if (Rule == ContinualRule.Routed)
        {
            // A row for the new adapter; the rows before are trained on.
            Tensor rows = _router is null ? Uniform(1) : cat([_router, Uniform(1)], 0);
            Parameter? before = _router;
            _router = LinearOf.Owned(rows.clone());
            register_parameter("router", _router);
            before?.Dispose();
        }

        (_learning, Tasks) = (true, Tasks + 1);
    }

    /// <inheritdoc/>
    public void EndTask()
    {
        if (!_learning) throw new InvalidOperationException("No task has begun that could be frozen.");
        foreach ((Parameter a, Parameter b) in _adapters) (a.requires_grad, b.requires_grad) = (false, false);
        if (_router is not null) _router.requires_grad = false;
        _learning = false;
    }

    /// <summary>W0 x, the adapters' part, and b.</summary>
    /// <param name="input">[..., in].</param>
    public override Tensor forward(Tensor input)
    {
        ArgumentNullException.ThrowIfNull(input);
        using DisposeScope scope = NewDisposeScope();
        Tensor y = nn.functional.linear(input, _base, _bias);
        if (_adapters.Count == 0) return y.MoveToOuterDisposeScope();
        Tensor? share = null;
        if (_router is not null)
        {
            Tensor scores = nn.functional.linear(input, _router);
            share = training ? scores.softmax(-1) : scores.eq(scores.amax([-1L], keepdim: true)).to(scores.dtype);
        }

        for (int i = 0; i < _adapters.Count; i++)
        {
            Tensor part = nn.functional.linear(nn.functional.linear(input, _adapters[i].A), _adapters[i].B);
            y = y + (share is null ? part : part * share.narrow(-1, i, 1));
        }

        return y.MoveToOuterDisposeScope();
    }

    /// <inheritdoc/>
    public override string ToString() => $"ContinualLora({Rule}, rank {Rank}, {Tasks} tasks)";
}
