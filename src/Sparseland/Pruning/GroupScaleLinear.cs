using Sparseland.Kernels;
using Sparseland.Models;
using Sparseland.Tensors;
using TorchSharp;
using TorchSharp.Modules;
using TorchSharp.Utils;
using static TorchSharp.torch;

namespace Sparseland.Pruning;

/// <summary>A linear layer with fixed integers in groups (stage 2 of GQSA): its only parameters are the scales, one number per group.</summary>
public sealed class GroupScaleLinear : nn.Module<Tensor, Tensor>
{
    private const double LeastScale = 1e-4;
    private readonly QuantizedGroups _fixed;

    // q - z of the kept groups [N, G], and where the groups stand.
    [ComponentName(Name = "offsets")]
    private readonly Tensor _offsets;
    [ComponentName(Name = "places")]
    private readonly Tensor _places;
    [ComponentName(Name = "bias")]
    private readonly Tensor? _bias;

    /// <summary>A layer of quantised groups.</summary>
    /// <param name="groups">The groups.</param>
    /// <param name="bias">[out]; copied. Null, the default, for none.</param>
    /// <exception cref="ArgumentException">As for <see cref="QuantizedGroups.Validate"/>.</exception>
    public GroupScaleLinear(QuantizedGroups groups, Tensor? bias = null)
        : base(nameof(GroupScaleLinear))
    {
        ArgumentNullException.ThrowIfNull(groups);
        groups.Validate();
        _fixed = groups;
        using DisposeScope scope = NewDisposeScope();
        using IDisposable off = no_grad();
        (_offsets, _places) = (Offsets(groups).DetachFromDisposeScope(), Places(groups).DetachFromDisposeScope());
        _bias = bias?.detach().clone().DetachFromDisposeScope();
        Scales = new Parameter(tensor(Array.ConvertAll(groups.Scales, s => (float)s)).DetachFromDisposeScope());
        register_parameter("scales", Scales);
        register_buffer("offsets", _offsets);
        register_buffer("places", _places);
        if (_bias is not null) register_buffer("bias", _bias);
    }

    /// <summary>Scales of the kept groups [N].</summary>
    [field: ComponentName(Name = "scales")]
    public Parameter Scales { get; }

    /// <summary>The groups with the scales as they are now, in float16.</summary>
    /// <exception cref="InvalidOperationException">The layer no longer computes with the integers that it was made of: the state of another one was loaded into it.</exception>
    public QuantizedGroups Groups
    {
        get
        {
            using DisposeScope scope = NewDisposeScope();
            using IDisposable off = no_grad();
            if (!_offsets.cpu().to(ScalarType.Float32).equal(Offsets(_fixed)).all().item<bool>() || !_places.cpu().equal(Places(_fixed)).all().item<bool>())
                throw new InvalidOperationException("The layer holds other integers than those it was made of: the state of another layer was loaded. Make the layer of the groups that it came from.");
            return _fixed.WithScales(Array.ConvertAll(TensorMemory.Read<float>(Scales.clamp(min: LeastScale).to(ScalarType.Float32).cpu().contiguous()).ToArray(), s => (Half)s));
        }
    }

    /// <summary>W^ = (q - z) s at the kept groups, zero elsewhere. Gradients flow to s.</summary>
    /// <returns>[out, in].</returns>
    public Tensor Quantized()
    {
        using DisposeScope scope = NewDisposeScope();
        Tensor kept = _offsets * Scales.clamp(min: LeastScale).unsqueeze(1);
        Tensor all = zeros([(long)_fixed.Rows * _fixed.Groups.Columns, _fixed.Quantizer.GroupSize], dtype: kept.dtype, device: kept.device).index_copy(0, _places, kept);
        return all.view(_fixed.Rows, _fixed.Columns).MoveToOuterDisposeScope();
    }

    /// <summary>W^ x + b.</summary>
    /// <param name="input">[..., in].</param>
    public override Tensor forward(Tensor input)
    {
        using DisposeScope scope = NewDisposeScope();
        return nn.functional.linear(input, Quantized(), _bias).MoveToOuterDisposeScope();
    }

    /// <summary>Rounds the scales to float16, as they are stored.</summary>
    public void RoundScales()
    {
        using DisposeScope scope = NewDisposeScope();
        using IDisposable off = no_grad();
        Scales.copy_(GroupQuantizer.Stored(Scales.clamp(min: LeastScale)));
    }

    /// <summary>The layer packed, for inference.</summary>
    public SparseLinear Pack() => new(GroupSparseQuantMatrix.Pack(Groups), _bias);

    // q - z of the kept groups [N, G].
    private static Tensor Offsets(QuantizedGroups groups) =>
        tensor(groups.Integers).to(ScalarType.Float32).view(groups.Scales.Length, groups.Quantizer.GroupSize) - tensor(groups.Zeros).to(ScalarType.Float32).unsqueeze(1);

    private static Tensor Places(QuantizedGroups groups) => groups.Groups.ColumnIndexTensor() + RowStarts(groups);

    private static Tensor RowStarts(QuantizedGroups groups)
    {
        long[] starts = new long[groups.Groups.Count];
        for (int row = 0; row < groups.Rows; row++) starts.AsSpan(groups.Groups.RowOffsets[row]..groups.Groups.RowOffsets[row + 1]).Fill((long)row * groups.Groups.Columns);
        return tensor(starts);
    }
}
