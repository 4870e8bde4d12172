using Sparseland.Models;
using Sparseland.Tensors;
using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Sparseland.FineTuning;

/// <summary>
/// A linear layer of which a slice is trained (S2FT, section 3.2), as an addition D to the frozen W. Of inputs: y = x W^T + b + x[S] D^T with D [out, |S|], so that dD = dY^T x[S] and only the |S| inputs are
/// kept for the backward pass. Of outputs: y[S] += x D^T with D [|S|, in], so that dD = dY[S]^T x. The gradient to the input is that of the whole weight.
/// </summary>
/// <remarks>W and the bias are the memory of the layer that it stands for, not copies, and frozen here alone. D begins at zero. Weight decay on D decays the change, not the weight.</remarks>
public sealed class SliceLinear : nn.Module<Tensor, Tensor>, IMergeableLinear
{
    // Named as they are registered: TorchSharp gives fields, and only fields, their new tensors when a module changes its type or device.
    private readonly Parameter weight, delta;
    private readonly Parameter? bias;
    private readonly Tensor index;
    private readonly string _name;
    private readonly LoadedIndices _loaded;
    private int[] _indices;
    private bool _contiguous;

    /// <summary>A layer in place of a linear one.</summary>
    /// <param name="layer">It keeps its parameters, whose memory is used here too.</param>
    /// <param name="side">Columns (inputs) or rows (outputs).</param>
    /// <param name="indices">S, in any order, each once; at least one.</param>
    /// <param name="name">What messages call the layer. Default "layer".</param>
    /// <exception cref="ArgumentException">An index that there is not, one that stands twice, or none.</exception>
    public SliceLinear(Linear layer, SliceSide side, IReadOnlyList<int> indices, string name = "layer")
        : base(nameof(SliceLinear))
    {
        ArgumentNullException.ThrowIfNull(layer);
        ArgumentNullException.ThrowIfNull(indices);
        if (!Enum.IsDefined(side)) throw new ArgumentOutOfRangeException(nameof(side), side, "side is Input or Output.");
        _name = name;
        (weight, bias, Side) = (LinearOf.Shared(layer.weight), layer.bias is null ? null : LinearOf.Shared(layer.bias), side);
        int length = (int)Weight.shape[side == SliceSide.Input ? 1 : 0];
        _indices = [.. indices.Order()];
        if (_indices.Length == 0) throw new ArgumentException($"{name}: no index is selected; there is nothing to train.", nameof(indices));
        for (int i = 0; i < _indices.Length; i++)
        {
            if (_indices[i] < 0 || _indices[i] >= length) throw new ArgumentException($"{name}: {_indices[i]} is no {(side == SliceSide.Input ? "input" : "output")} of a layer that has {length}.", nameof(indices));
            if (i > 0 && _indices[i] == _indices[i - 1]) throw new ArgumentException($"{name}: index {_indices[i]} stands twice.", nameof(indices));
        }

        _contiguous = IsContiguous(_indices);
        using IDisposable off = no_grad();
        long[] chosen = Array.ConvertAll(_indices, i => (long)i);
        _loaded = new(chosen, Follow);
        index = tensor(chosen, device: Weight.device).DetachFromDisposeScope();
        delta = LinearOf.Owned(zeros(side == SliceSide.Input ? [Weight.shape[0], _indices.Length] : [_indices.Length, Weight.shape[1]], dtype: Weight.dtype, device: Weight.device));
        register_parameter("weight", Weight);
        if (Bias is not null) register_parameter("bias", Bias);
        register_parameter("delta", Delta);
        register_buffer("index", index);
    }

    /// <summary>W [out, in], frozen.</summary>
    public Parameter Weight => weight;

    /// <summary>b [out], frozen; null for none.</summary>
    public Parameter? Bias => bias;

    /// <summary>D: [out, |S|] of inputs, [|S|, in] of outputs. What is trained.</summary>
    public Parameter Delta => delta;

    /// <summary>The side that the slice is cut from.</summary>
    public SliceSide Side { get; }

    /// <summary>S, ascending.</summary>
    /// <exception cref="InvalidDataException">A state was loaded whose indices are none of this layer, or not ascending.</exception>
    public IReadOnlyList<int> Indices
    {
        get
        {
            _loaded.Read(index);
            return _indices;
        }
    }

    /// <inheritdoc/>
    public long ParameterCount => Weight.numel() + Delta.numel() + (Bias?.numel() ?? 0);

    /// <summary>Numbers that are trained.</summary>
    public long TrainedCount => Delta.numel();

    /// <summary>Numbers per token that are kept for the gradient of D: |S| of inputs, all inputs for a slice of outputs.</summary>
    public long SavedActivationsPerToken => Side == SliceSide.Input ? _indices.Length : Weight.shape[1];

    /// <inheritdoc/>
    public long MacsPerToken => Weight.numel() + Delta.numel();

    /// <summary>W with D in its place [out, in]; a copy without gradient.</summary>
    public Tensor EffectiveWeight()
    {
        using DisposeScope scope = NewDisposeScope();
        using IDisposable off = no_grad();
        _loaded.Read(index);
        Tensor whole = Weight.detach().clone();
        SliceAdapter.Add(whole, Side, index, Delta);
        return whole.MoveToOuterDisposeScope();
    }

    /// <summary>An ordinary layer with the effective weight and a copy of the bias; this one stays as it is.</summary>
    public Linear Merge()
    {
        using DisposeScope scope = NewDisposeScope();
        return LinearOf.Weight(EffectiveWeight(), Bias);
    }

    /// <summary>The layer's output.</summary>
    /// <param name="input">[..., in], of the parameters' type.</param>
    /// <returns>[..., out].</returns>
    /// <exception cref="ArgumentException">Another width or type.</exception>
    /// <exception cref="InvalidDataException">On the CPU: a state was loaded whose indices are none of this layer, or not ascending.</exception>
    public override Tensor forward(Tensor input)
    {
        LayerInput.Check(input, Weight);

        // Elsewhere a look at them would stop the device in every pass.
        if (index.device_type == DeviceType.CPU) _loaded.Read(index);
        using DisposeScope scope = NewDisposeScope();
        Tensor output = nn.functional.linear(input, Weight, Bias);
        if (Side == SliceSide.Input) return output.add(nn.functional.linear(Selected(input), Delta)).MoveToOuterDisposeScope();
        return output.index_add(output.dim() - 1, index, nn.functional.linear(input, Delta), 1).MoveToOuterDisposeScope();
    }

    /// <summary>S is part of the saved state, together with D: where a state with another S was loaded, it is checked and taken over.</summary>
    private void Follow(ReadOnlySpan<long> now)
    {
        LoadedIndices.Check(now, now.Length, Weight.shape[Side == SliceSide.Input ? 1 : 0], _name, "index");
        _indices = Array.ConvertAll(now.ToArray(), i => (int)i);
        _contiguous = IsContiguous(_indices);
    }

    private static bool IsContiguous(int[] indices) => indices[^1] - indices[0] == indices.Length - 1;

    /// <summary>x[S], a copy: a view would keep the whole input alive until the backward pass.</summary>
    private Tensor Selected(Tensor input) =>
        _contiguous ? input.narrow(-1, _indices[0], _indices.Length).contiguous() : input.index_select(input.dim() - 1, index);
}
