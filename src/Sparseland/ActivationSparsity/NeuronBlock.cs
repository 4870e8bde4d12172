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
    private Held? _gateRows, _upRows, _downColumns;
    private Tensor? _of;
    private float[] _x = [];
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
        int rows = (int)Tokens;
        float[] x = Values(input);
        if (!Array.TrueForAll(x, float.IsFinite)) throw new ArgumentException($"The MLP's input of block {_layer} has a value that is NaN or infinite.", nameof(input));
        (_of, _x) = (input, x);
        if (_score is not GateScore gate)
        {
            int[] units = _ofPrompt ?? throw new InvalidOperationException($"Block {_layer} has seen no prompt: read the prompt first.");
            _chosen = [.. Enumerable.Repeat(units, rows)];
            return Rows(_gate, ref _gateRows, input);
        }

        Tensor value = Whole(_gate, input), open = gate.Gate == GateActivation.Silu ? nn.functional.silu(value) : nn.functional.gelu(value, TorchSharp.Modules.GELU.Approximate.tanh);
        float[] scores = Values(open.abs());
        Support kept = Select.TopK(scores, rows, _units, Budget.PerRow(_kept));
        _chosen = [.. Enumerable.Range(0, rows).Select(r => kept.Row(r).ToArray())];
        return value;
    }

    /// <summary>The other factor; zero where a unit was not chosen.</summary>
    public Tensor Up(Tensor input) => Pass == NeuronPass.Draft ? Rows(_up, ref _upRows, input) : Whole(_up, input);

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
        _downColumns ??= new(_down.weight.detach().t());
        float[] z = Values(hidden), to = new float[_chosen.Length * _width];
        fixed (float* from = z, y = to)
        {
            for (int row = 0; row < _chosen.Length; row++)
            {
                fixed (int* units = _chosen[row])
                    SparseColumns.Run(_downColumns.Address, from + ((long)row * _units), units, _chosen[row].Length, y + ((long)row * _width), _width, KernelPaths.Widest);
            }
        }

        Read += Union() * _width;
        Tensor output = tensor(to, [.. hidden.shape[..^1], _width]);
        return _down.bias is null ? output : output + _down.bias.detach();
    }

    public void Dispose()
    {
        _gateRows?.Dispose();
        _upRows?.Dispose();
        _downColumns?.Dispose();
    }

    private static bool Skips(Tensor input) => input.dtype == ScalarType.Float32 && input.device_type == DeviceType.CPU;

    private static float[] Values(Tensor tensor)
    {
        if (!Skips(tensor)) tensor = tensor.to(ScalarType.Float32).cpu();
        return TensorMemory.Read<float>(tensor.is_contiguous() ? tensor : tensor.contiguous()).ToArray();
    }

    private Tensor Whole(Linear linear, Tensor input)
    {
        Read += linear.weight.numel();
        return nn.functional.linear(input, linear.weight, linear.bias);
    }

    private Tensor Rows(Linear linear, ref Held? rows, Tensor input)
    {
        if (!Skips(input)) return Whole(linear, input).mul(Mask(input));
        rows ??= new(linear.weight.detach());

        // Gate and up read the same input.
        float[] x = ReferenceEquals(input, _of) ? _x : Values(input), to = new float[_chosen.Length * _units];
        float[]? bias = linear.bias is null ? null : Values(linear.bias.detach());
        fixed (float* from = x, y = to)
        {
            for (int row = 0; row < _chosen.Length; row++)
            {
                float* own = y + ((long)row * _units);
                fixed (int* units = _chosen[row]) SparseRows.Run(rows.Address, from + ((long)row * _width), units, _chosen[row].Length, own, _width, KernelPaths.Widest);
                if (bias is not null) foreach (int unit in _chosen[row]) own[unit] += bias[unit];
            }
        }

        Read += Union() * _width;
        return tensor(to, [.. input.shape[..^1], _units]);
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

    /// <summary>A matrix held contiguous, with its address. A contiguous weight is shared and not copied.</summary>
    private sealed class Held : IDisposable
    {
        private readonly Tensor _matrix;

        public Held(Tensor matrix)
        {
            _matrix = matrix.contiguous().DetachFromDisposeScope();
            Address = (float*)TensorMemory.Address(_matrix);
        }

        public float* Address { get; }

        public void Dispose() => _matrix.Dispose();
    }
}

/// <summary>A linear layer's place taken by a function.</summary>
internal sealed class NeuronPart(string name, Func<Tensor, Tensor> run) : nn.Module<Tensor, Tensor>(name)
{
    public override Tensor forward(Tensor input) => run(input);
}
