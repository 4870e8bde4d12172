using Sparseland.Kernels;
using Sparseland.Models.Language;
using Sparseland.Selection;
using Sparseland.Tensors;
using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Sparseland.ActivationSparsity;

/// <summary>What the gated MLP of a block does with its tokens.</summary>
internal enum NeuronPass
{
    /// <summary>All units; nothing is counted.</summary>
    Apart,

    /// <summary>All units, and the statistic of the prompt is taken.</summary>
    Prefill,

    /// <summary>Some units.</summary>
    Draft,

    /// <summary>All units.</summary>
    Check,
}

/// <summary>The gated MLP of one block that reads the weights of some hidden units only: rows of gate and up, columns of down.</summary>
internal sealed unsafe class NeuronBlock : IDisposable
{
    private readonly Linear _gate, _up, _down;
    private readonly NeuronScore _score;
    private readonly int _layer, _kept, _width, _units;
    private Tensor? _turned;
    private int[]? _ofPrompt;
    private int[][] _chosen = [];

    public NeuronBlock(int layer, LlamaBlock block, NeuronScore score, double density)
    {
        (_layer, _gate, _up, _down, _score) = (layer, block.Gate, block.Up, block.Down, score);
        (_units, _width) = ((int)_up.weight.shape[0], (int)_up.weight.shape[1]);
        _kept = NeuronSparsity.Kept(_units, density);
    }

    public NeuronPass Pass { get; set; }

    /// <summary>Weights read since the counter was set to zero.</summary>
    public long Read { get; set; }

    /// <summary>Tokens of the last call.</summary>
    public long Tokens { get; private set; }

    /// <summary>Units that the last draft used, row by row.</summary>
    public IReadOnlyList<int[]> Chosen => _chosen;

    /// <summary>The gate before its non-linearity; zero where a unit was not asked for.</summary>
    public Tensor Gate(Tensor input)
    {
        Tokens = input.numel() / _width;
        if (Pass != NeuronPass.Draft) return Whole(_gate, input);
        if (!input.isfinite().all().item<bool>()) throw new ArgumentException($"The MLP's input of block {_layer} has a value that is NaN or infinite.", nameof(input));
        int rows = (int)Tokens;
        if (_score is not GateScore gate)
        {
            int[] units = _ofPrompt ?? throw new InvalidOperationException($"Block {_layer} has seen no prompt: read the prompt first.");
            _chosen = [.. Enumerable.Repeat(units, rows)];
            return Rows(_gate, input);
        }

        Tensor value = Whole(_gate, input), open = gate.Gate == GateActivation.Silu ? nn.functional.silu(value) : nn.functional.gelu(value, TorchSharp.Modules.GELU.Approximate.tanh);
        Tensor scores = open.abs().to(ScalarType.Float32).cpu().contiguous();
        Support kept = Select.TopK(TensorMemory.Read<float>(scores), rows, _units, Budget.PerRow(_kept));
        _chosen = [.. Enumerable.Range(0, rows).Select(r => kept.Row(r).ToArray())];
        return value;
    }

    /// <summary>The other factor; zero where a unit was not chosen.</summary>
    public Tensor Up(Tensor input) => Pass == NeuronPass.Draft ? Rows(_up, input) : Whole(_up, input);

    /// <summary>The output of the MLP from its hidden layer.</summary>
    public Tensor Down(Tensor hidden)
    {
        if (Pass == NeuronPass.Prefill && _score is PromptScore)
        {
            double[] shares = NeuronSparsity.Shares(hidden);
            _ofPrompt = Select.TopK(shares, 1, _units, Budget.PerRow(_kept)).Row(0).ToArray();
        }

        if (Pass != NeuronPass.Draft) return Whole(_down, hidden);
        if (!Skips(hidden)) return Whole(_down, hidden * Mask(hidden));
        _turned ??= _down.weight.detach().t().contiguous().DetachFromDisposeScope();
        Tensor from = hidden.reshape(-1, _units).contiguous(), to = zeros([from.shape[0], _width], dtype: ScalarType.Float32);
        float* z = (float*)TensorMemory.Address(from), y = (float*)TensorMemory.Address(to);
        for (int row = 0; row < _chosen.Length; row++)
        {
            fixed (int* units = _chosen[row])
                SparseColumns.Run((float*)TensorMemory.Address(_turned), z + ((long)row * _units), units, _chosen[row].Length, y + ((long)row * _width), _width, KernelPaths.Widest);
        }

        Read += Union() * _width;
        if (_down.bias is not null) to = to + _down.bias.detach();
        return to.reshape([.. hidden.shape[..^1], _width]);
    }

    public void Dispose() => _turned?.Dispose();

    private static bool Skips(Tensor input) => input.dtype == ScalarType.Float32 && input.device_type == DeviceType.CPU;

    private Tensor Whole(Linear linear, Tensor input)
    {
        Read += linear.weight.numel();
        return nn.functional.linear(input, linear.weight, linear.bias);
    }

    private Tensor Rows(Linear linear, Tensor input)
    {
        if (!Skips(input)) return Whole(linear, input).mul(Mask(input));
        Tensor from = input.reshape(-1, _width).contiguous(), to = zeros([from.shape[0], _units], dtype: ScalarType.Float32), weight = linear.weight.detach().contiguous();
        float* w = (float*)TensorMemory.Address(weight), x = (float*)TensorMemory.Address(from), y = (float*)TensorMemory.Address(to);
        ReadOnlySpan<float> bias = linear.bias is null ? default : TensorMemory.Read<float>(linear.bias.detach().contiguous());
        for (int row = 0; row < _chosen.Length; row++)
        {
            float* own = y + ((long)row * _units);
            fixed (int* units = _chosen[row]) SparseRows.Run(w, x + ((long)row * _width), units, _chosen[row].Length, own, _width, KernelPaths.Widest);
            if (!bias.IsEmpty) foreach (int unit in _chosen[row]) own[unit] += bias[unit];
        }

        Read += Union() * _width;
        return to.reshape([.. input.shape[..^1], _units]);
    }

    /// <summary>Units that some row uses: tokens that come together read a unit's weights once.</summary>
    private long Union()
    {
        if (_chosen.Length == 1 || _score is PromptScore) return _chosen[0].Length;
        bool[] used = new bool[_units];
        foreach (int unit in _chosen.SelectMany(c => c)) used[unit] = true;
        return used.LongCount(u => u);
    }

    private Tensor Mask(Tensor like)
    {
        bool[] mask = new bool[_chosen.Length * _units];
        for (int row = 0; row < _chosen.Length; row++) foreach (int unit in _chosen[row]) mask[(row * _units) + unit] = true;
        return tensor(mask).view([.. like.shape[..^1], _units]).to(like.device);
    }
}

/// <summary>A linear layer's place taken by a function.</summary>
internal sealed class NeuronPart(string name, Func<Tensor, Tensor> run) : nn.Module<Tensor, Tensor>(name)
{
    public override Tensor forward(Tensor input) => run(input);
}
