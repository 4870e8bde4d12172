using Sparseland.Kernels;
using Sparseland.Selection;
using Sparseland.Tensors;
using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Sparseland.ActivationSparsity;

/// <summary>What a layer has done since its counters were set to zero.</summary>
/// <param name="Layer">Path of the layer.</param>
/// <param name="Inputs">Inputs.</param>
/// <param name="Outputs">Outputs.</param>
/// <param name="Tokens">Tokens seen.</param>
/// <param name="SparseTokens">Of these, those that dropped inputs; the others stood before <see cref="SparseInputsOptions.SparseFrom"/>.</param>
/// <param name="KeptInputs">Inputs that the sparse tokens kept, together.</param>
/// <param name="Nothing">Sparse tokens that kept no input at all, as a threshold may have it.</param>
/// <param name="WeightsNeeded">Weights that all tokens need together, what is made of dropped inputs included.</param>
/// <param name="SkippedTokens">Sparse tokens whose dropped columns were really not read: those that came one at a time. The others were multiplied with zeros in place.</param>
public sealed record LayerReads(string Layer, int Inputs, int Outputs, long Tokens, long SparseTokens, long KeptInputs, long Nothing, long WeightsNeeded, long SkippedTokens)
{
    /// <summary>Share of the inputs that the sparse tokens dropped; 0 where there was none.</summary>
    public double Realised => SparseTokens == 0 ? 0 : 1 - ((double)KeptInputs / SparseTokens / Inputs);
}

/// <summary>
/// A linear layer y = W x + b of which each token uses some inputs only: y = W (m x) + b, m chosen by score and budget. A token that comes alone reads the kept columns and no others;
/// several at once are multiplied with zeros in place, which costs a dense product. For inference: no gradient is recorded.
/// </summary>
/// <remarks>
/// In a model (<see cref="SparseInputs"/>) positions are those of the model's call: they follow its cache, also one that was cut back. By itself, a call of several tokens [batch, tokens, in] begins
/// sequences and a call of one token goes on with the last. Tokens before <see cref="SparseFrom"/> are dense. The layer borrows W and b from the linear layer, which must live as long; it moves that layer when it
/// is moved itself. Numbers of W that change in place are not seen by tokens that come alone, which read a turned copy.
/// </remarks>
public sealed unsafe class SparseInputLinear : nn.Module<Tensor, Tensor>
{
    // A module in a field would be taken for a part of this one.
    private readonly Func<Linear> _dense;
    private readonly float[]? _factors;
    private Tensor? _scale, _turned;
    private nint _turnedFrom;
    private long? _told;
    private long _position, _tokens, _sparse, _kept, _nothing, _needed, _skipped;

    /// <summary>A layer that uses some of the inputs of a linear one.</summary>
    /// <param name="dense">The linear layer, Float32 or Float64; borrowed.</param>
    /// <param name="name">Its path, for messages and the score.</param>
    /// <param name="score">What an input is worth.</param>
    /// <param name="budget">How many are kept.</param>
    /// <param name="sparseFrom">First position that drops inputs. Default 0.</param>
    /// <param name="dropped">What is made of the dropped inputs; borrowed. Null, the default, for nothing.</param>
    /// <exception cref="ArgumentException">A number is out of its range, or a part belongs to a layer of another shape.</exception>
    public SparseInputLinear(Linear dense, string name, InputScore score, ActivationBudget budget, int sparseFrom = 0, IDroppedInputs? dropped = null)
        : base(nameof(SparseInputLinear))
    {
        ArgumentNullException.ThrowIfNull(dense);
        ArgumentNullException.ThrowIfNull(name);
        ArgumentNullException.ThrowIfNull(score);
        ArgumentNullException.ThrowIfNull(budget);
        ArgumentOutOfRangeException.ThrowIfNegative(sparseFrom);
        (_dense, Layer, Budget, SparseFrom, Dropped) = (() => dense, name, budget, sparseFrom, dropped);
        (Inputs, Outputs) = ((int)dense.weight.shape[1], (int)dense.weight.shape[0]);
        if (dropped is not null && (dropped.Inputs, dropped.Outputs) != (Inputs, Outputs))
            throw new ArgumentException($"{name} is [{Outputs}, {Inputs}]; what is to be made of its dropped inputs belongs to a layer [{dropped.Outputs}, {dropped.Inputs}].", nameof(dropped));
        _scale = score.ScaleOf(name, dense.weight)?.DetachFromDisposeScope();
        if (_scale is null) return;

        // Also of a Float64 layer: it may become Float32.
        using DisposeScope scope = NewDisposeScope();
        Tensor plain = _scale.to(ScalarType.Float32).cpu();
        _factors = plain.data<float>().ToArray();
    }

    /// <summary>Path of the layer.</summary>
    public string Layer { get; }

    /// <summary>Inputs.</summary>
    public int Inputs { get; }

    /// <summary>Outputs.</summary>
    public int Outputs { get; }

    /// <summary>How many inputs are kept.</summary>
    public ActivationBudget Budget { get; set; }

    /// <summary>First position that drops inputs.</summary>
    public int SparseFrom { get; }

    /// <summary>What is made of dropped inputs; null for nothing.</summary>
    public IDroppedInputs? Dropped { get; }

    /// <summary>The linear layer.</summary>
    public Linear Dense => _dense();

    /// <summary>What has been done since the counters were set to zero.</summary>
    public LayerReads Reads => new(Layer, Inputs, Outputs, _tokens, _sparse, _kept, _nothing, _needed, _skipped);

    /// <summary>Sets the counters to zero.</summary>
    public void ResetReads() => (_tokens, _sparse, _kept, _nothing, _needed, _skipped) = (0, 0, 0, 0, 0, 0);

    /// <summary>Says at which position the next call begins.</summary>
    internal void Begin(int position) => _told = position;

    /// <summary>W (m x) + b, with what is made of (1 - m) x.</summary>
    /// <param name="input">[..., in]; [batch, tokens, in] where positions count.</param>
    /// <returns>[..., out].</returns>
    /// <exception cref="ArgumentException">Another width, type or device than the weight's, or a number that is not finite; nothing has been computed.</exception>
    public override Tensor forward(Tensor input)
    {
        ArgumentNullException.ThrowIfNull(input);
        if (input.dim() == 0 || input.shape[^1] != Inputs) throw new ArgumentException($"The input of {Layer} must be [..., {Inputs}], but is [{string.Join(", ", input.shape)}].", nameof(input));
        Parameter weight = Dense.weight;
        if (input.dtype != weight.dtype || input.device_type != weight.device_type)
            throw new ArgumentException($"The input of {Layer} is {input.dtype} on {input.device_type}; its weight is {weight.dtype} on {weight.device_type}.", nameof(input));
        if (input.numel() == 0) return zeros((long[])[.. input.shape[..^1], Outputs], dtype: input.dtype, device: input.device);
        using IDisposable off = no_grad();
        using DisposeScope scope = NewDisposeScope();
        Follow(weight);
        long length = input.dim() > 1 ? input.shape[^2] : 1, rows = input.numel() / Inputs;
        if (_told is { } told) (_position, _told) = (told, null);
        else if (length > 1) _position = 0;
        long dense = Math.Clamp(SparseFrom - _position, 0, length);
        Tensor flat = input.detach().reshape(rows, Inputs);
        Tensor output = rows == 1 && dense == 0 && flat.dtype == ScalarType.Float32 && flat.device_type == DeviceType.CPU ? Alone(flat) : Together(flat, length, dense);
        _position += length;
        return output.reshape([.. input.shape[..^1], Outputs]).MoveToOuterDisposeScope();
    }

    /// <inheritdoc/>
    public override string ToString() => $"SparseInputLinear({Layer}, {Budget})";

    /// <inheritdoc/>
    protected override void Dispose(bool disposing)
    {
        if (disposing)
        {
            _turned?.Dispose();
            _scale?.Dispose();
        }

        base.Dispose(disposing);
    }

    /// <summary>The linear layer is no part of this one, so nobody else moves it.</summary>
    protected override void _toEpilog(ScalarType? dtype, Device? device, bool non_blocking)
    {
        base._toEpilog(dtype, device, non_blocking);
        Linear linear = Dense;
        if (dtype is { } type) linear.to(type, non_blocking);
        if (device is not null) linear.to(device, non_blocking);
        Follow(linear.weight);
    }

    /// <summary>What was made of the weight goes where the weight is: its owner may have moved it.</summary>
    private void Follow(Tensor weight)
    {
        if (_scale is not null && (_scale.dtype != weight.dtype || _scale.device_type != weight.device_type))
        {
            Tensor moved = _scale.to(weight).DetachFromDisposeScope();
            _scale.Dispose();
            _scale = moved;
        }

        if (_turned is null || (weight.device_type == DeviceType.CPU && weight.dtype == ScalarType.Float32 && TensorMemory.Identity(weight) == _turnedFrom)) return;
        _turned.Dispose();
        _turned = null;
    }

    private Tensor Together(Tensor flat, long length, long dense)
    {
        if (!TensorInput.IsFinite(flat)) throw NotFinite();
        Linear linear = Dense;
        long rows = flat.shape[0], sparse = rows / length * (length - dense);
        _tokens += rows;
        _needed += (rows - sparse) * Inputs * Outputs;
        if (sparse == 0) return nn.functional.linear(flat, linear.weight, linear.bias);
        Support kept = Budget.Choose(InputScore.Of(flat, _scale));
        Tensor mask = kept.ToMask(flat.device);
        if (dense > 0) mask.view(-1, length, Inputs).narrow(1, 0, dense).fill_(true);
        Tensor used = flat * mask, output = nn.functional.linear(used, linear.weight, linear.bias);
        if (Dropped is not null)
        {
            Tensor made = Dropped.Outcome(flat - used);

            // Tokens before the first sparse one drop nothing, so nothing stands in for it.
            if (dense > 0) made = made.view(-1, length, Outputs).index_fill(1, arange(dense), 0).view(rows, Outputs);
            output = output + made;
        }

        Count(kept, length, dense);
        return output;
    }

    private void Count(Support kept, long length, long dense)
    {
        long inputs = 0, tokens = 0;
        for (int row = 0; row < kept.Rows; row++)
        {
            if (row % length < dense) continue;
            int count = kept.RowOffsets[row + 1] - kept.RowOffsets[row];
            inputs += count;
            tokens++;
            if (count == 0) _nothing++;
        }

        _sparse += tokens;
        _kept += inputs;
        _needed += (inputs * Outputs) + (tokens * (Dropped?.Reads ?? 0));
    }

    /// <summary>One token: the columns of its kept inputs are read, and no others.</summary>
    private Tensor Alone(Tensor flat)
    {
        Linear linear = Dense;
        (_turned, _turnedFrom) = (_turned ?? linear.weight.detach().t().contiguous().DetachFromDisposeScope(), TensorMemory.Identity(linear.weight));
        Tensor input = flat.contiguous(), output = linear.bias is null ? zeros([1, Outputs], dtype: ScalarType.Float32) : linear.bias.detach().reshape(1, Outputs).clone();
        ReadOnlySpan<float> x = TensorMemory.Read<float>(input);
        float[] scores = new float[Inputs];
        for (int i = 0; i < scores.Length; i++)
        {
            if (!float.IsFinite(x[i])) throw NotFinite();
            scores[i] = _factors is null ? Math.Abs(x[i]) : Math.Abs(x[i]) * _factors[i];
        }

        int[] kept = Budget.Choose(scores);
        fixed (int* places = kept) SparseColumns.Run((float*)TensorMemory.Address(_turned), (float*)TensorMemory.Address(input), places, kept.Length, (float*)TensorMemory.Address(output), Outputs, KernelPaths.Widest);
        if (Dropped is not null)
        {
            Tensor rest = input.clone();
            float* r = (float*)TensorMemory.Address(rest);
            foreach (int place in kept) r[place] = 0;
            output = output + Dropped.Outcome(rest);
        }

        _tokens++;
        _sparse++;
        _skipped++;
        _kept += kept.Length;
        if (kept.Length == 0) _nothing++;
        _needed += ((long)kept.Length * Outputs) + (Dropped?.Reads ?? 0);
        return output;
    }

    private ArgumentException NotFinite() => new($"An input of {Layer} is NaN or infinite: the model's activations have overflowed, and no input can be ranked.", "input");
}
