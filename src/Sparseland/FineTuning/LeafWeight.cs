using Sparseland.Tensors;
using Sparseland.Training;
using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Sparseland.FineTuning;

/// <summary>
/// SaRA's unstructured backward pass as a rule of <see cref="EffectiveWeight"/>: the leaf is the vector p of the trained entries. Forward scatters p into the weight; the backward of the scatter returns dL/dP at
/// the same places, a vector, so that the full gradient of a matrix exists only while that matrix is handled.
/// </summary>
internal sealed class LeafWeight(Parameter values, long[] places) : IWeightRule, IDisposable
{
    private readonly Tensor _places = tensor(places).DetachFromDisposeScope();

    /// <summary>p.</summary>
    public Parameter Values { get; } = values;

    /// <summary>Where p stands in the row-major weight, ascending.</summary>
    public IReadOnlyList<long> Places => places;

    public Tensor Mask(Tensor raw) => zeros([0], dtype: ScalarType.Bool);

    public Tensor Effective(Tensor raw, Tensor mask)
    {
        Write(raw);
        return Scatter.apply(Values, _places.to(raw.device), raw);
    }

    /// <summary>Writes p into the weight.</summary>
    public unsafe void Write(Tensor raw)
    {
        // By address and not by libtorch: the weight as it is saved for a backward pass stays valid, for a second forward pass before it writes the same numbers.
        if (raw.device_type == DeviceType.CPU && raw.is_contiguous() && raw.dtype == ScalarType.Float32) Write((float*)TensorMemory.Address(raw), (float*)TensorMemory.Address(Values));
        else if (raw.device_type == DeviceType.CPU && raw.is_contiguous() && raw.dtype == ScalarType.Float64) Write((double*)TensorMemory.Address(raw), (double*)TensorMemory.Address(Values));
        else
        {
            using DisposeScope scope = NewDisposeScope();
            Restore(raw, _places.to(raw.device), Values.detach().to(raw.device));
        }
    }

    /// <summary>Writes values into a weight of any strides.</summary>
    internal static void Restore(Tensor raw, Tensor places, Tensor values)
    {
        using IDisposable off = no_grad();
        using DisposeScope scope = NewDisposeScope();
        Tensor own = raw.detach(), flat = own.contiguous().view(-1);
        flat.index_copy_(0, places, values);
        if (!own.is_contiguous()) own.copy_(flat.view(own.shape));
    }

    /// <summary>The entries of a tensor of the weight's shape at the places of p.</summary>
    public Tensor Gather(Tensor full) => full.reshape(-1).index_select(0, _places.to(full.device));

    public void Dispose() => _places.Dispose();

    private unsafe void Write<T>(T* target, T* source)
        where T : unmanaged
    {
        for (int i = 0; i < places.Length; i++) target[places[i]] = source[i];
        GC.KeepAlive(Values);
    }

    private sealed class Scatter : GuardedFunction<Scatter>
    {
        public override string Name => nameof(LeafWeight);

        protected override Tensor Forward(autograd.AutogradContext ctx, object[] vars)
        {
            ctx.save_for_backward([(Tensor)vars[1]]);
            return ((Tensor)vars[2]).detach();
        }

        protected override List<Tensor> Backward(autograd.AutogradContext ctx, Tensor grad_output)
        {
            using DisposeScope scope = NewDisposeScope();
            return [grad_output.reshape(-1).index_select(0, ctx.get_saved_variables()[0]).MoveToOuterDisposeScope(), null!, null!];
        }
    }
}
