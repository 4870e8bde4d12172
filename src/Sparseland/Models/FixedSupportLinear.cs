using Sparseland.Kernels;
using Sparseland.Selection;
using Sparseland.Tensors;
using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Sparseland.Models;

/// <summary>
/// A linear layer y = W x + b whose W has entries at fixed places only, to be trained: the stored values are its parameter, and neither the product nor a gradient makes W dense. For inference
/// <see cref="ToSparse"/> gives a <see cref="SparseLinear"/>.
/// </summary>
/// <remarks>
/// With G = dL/dY: dX = G W by the transposed places, whose values are permuted in O(nnz) and never sorted again; of each stored entry dW[i, j] = sum_t G[t, i] X[t, j]; db = sum_t G[t]. A place that
/// is not stored has no gradient. Where more than 15 % of the weights are stored <see cref="SparseProduct"/> multiplies dense matrices instead, which is then sooner done; the numbers are the same up to
/// rounding. Values and inputs must stay as they are between the forward pass and its gradients: changed in place they make <c>backward</c> throw.
/// </remarks>
public sealed class FixedSupportLinear : nn.Module<Tensor, Tensor>
{
    private readonly Parameter _values;
    private readonly Parameter? _bias;
    private readonly TurnedSupport _places;

    /// <summary>A layer of given places and values.</summary>
    /// <param name="support">Places of W [out, in].</param>
    /// <param name="values">[Count] in the order of <see cref="Support.ColumnIndices"/>, Float32 or Float64, on the CPU; copied.</param>
    /// <param name="bias">b [out] of the same type; copied. Null, the default, for none.</param>
    /// <exception cref="ArgumentException">A shape, type or device does not fit.</exception>
    public FixedSupportLinear(Support support, Tensor values, Tensor? bias = null)
        : base(nameof(FixedSupportLinear))
    {
        ArgumentNullException.ThrowIfNull(support);
        ArgumentNullException.ThrowIfNull(values);
        if (values.dtype is not (ScalarType.Float32 or ScalarType.Float64) || values.device_type != DeviceType.CPU)
            throw new ArgumentException($"values must be Float32 or Float64 on the CPU, but are {values.dtype} on {values.device_type}.", nameof(values));
        if (values.dim() != 1 || values.shape[0] != support.Count)
            throw new ArgumentException($"values must be [{support.Count}], one per entry of the support, but are [{string.Join(", ", values.shape)}].", nameof(values));
        if (bias is not null && (bias.dim() != 1 || bias.shape[0] != support.Rows || bias.dtype != values.dtype))
            throw new ArgumentException($"bias must be {values.dtype} [{support.Rows}], but is {bias.dtype} [{string.Join(", ", bias.shape)}].", nameof(bias));
        _places = new(support);
        using IDisposable off = no_grad();
        _values = new Parameter(values.detach().clone().DetachFromDisposeScope());
        _bias = bias is null ? null : new Parameter(bias.detach().cpu().clone().DetachFromDisposeScope());
        RegisterComponents();
    }

    /// <summary>Where W has entries.</summary>
    public Support Support => _places.Rows;

    /// <summary>The stored entries [Count], row after row: the parameter.</summary>
    public Parameter Values => _values;

    /// <summary>b [out]; null for none.</summary>
    public Parameter? Bias => _bias;

    /// <summary>A dense layer's weights at some places, with its bias.</summary>
    /// <param name="linear">The layer; it stays as it is.</param>
    /// <param name="support">Places of its weight [out, in].</param>
    /// <exception cref="ArgumentException">The support has another shape.</exception>
    public static FixedSupportLinear Of(Linear linear, Support support)
    {
        ArgumentNullException.ThrowIfNull(linear);
        ArgumentNullException.ThrowIfNull(support);
        if (support.Rows != linear.weight.shape[0] || support.Columns != linear.weight.shape[1])
            throw new ArgumentException($"The support is [{support.Rows}, {support.Columns}], the weight [{string.Join(", ", linear.weight.shape)}].", nameof(support));
        using DisposeScope scope = NewDisposeScope();
        return new(support, support.Gather(linear.weight.detach()), linear.bias);
    }

    /// <summary>W X + b.</summary>
    /// <param name="input">[..., in], of the values' type, on the CPU.</param>
    /// <returns>[..., out], with gradients for the input, the values and the bias.</returns>
    /// <exception cref="ArgumentException">Another width, type or device.</exception>
    public override Tensor forward(Tensor input)
    {
        ArgumentNullException.ThrowIfNull(input);
        if (input.dim() == 0 || input.shape[^1] != Support.Columns) throw new ArgumentException($"input must be [..., {Support.Columns}], but is [{string.Join(", ", input.shape)}].", nameof(input));
        if (input.dtype != _values.dtype || input.device_type != DeviceType.CPU) throw new ArgumentException($"input is {input.dtype} on {input.device_type}; it must be {_values.dtype} on the CPU.", nameof(input));
        using DisposeScope scope = NewDisposeScope();
        long[] shape = [.. input.shape[..^1], Support.Rows];
        long tokens = 1;
        foreach (long length in input.shape[..^1]) tokens *= length;
        Tensor product = Multiply(input.reshape(tokens, Support.Columns), _values, _places).reshape(shape);
        return (_bias is null ? product : product + _bias).MoveToOuterDisposeScope();
    }

    /// <summary>The same layer for inference.</summary>
    /// <param name="format">From CSR to the format that is wanted; null, the default, for CSR itself.</param>
    /// <exception cref="InvalidOperationException">The values are Float64.</exception>
    public SparseLinear ToSparse(Func<CsrMatrix, SparseMatrix>? format = null)
    {
        if (_values.dtype != ScalarType.Float32) throw new InvalidOperationException("Formats for inference hold Float32 values; these are Float64.");
        CsrMatrix matrix = CsrMatrix.From(Support, _values);
        return new(format?.Invoke(matrix) ?? matrix, _bias);
    }

    /// <summary>The same layer with a dense weight, for <see cref="LinearSlots.Merge"/>.</summary>
    public Linear ToLinear()
    {
        using IDisposable off = no_grad();
        using DisposeScope scope = NewDisposeScope();
        Linear linear = nn.Linear(Support.Columns, Support.Rows, hasBias: _bias is not null, dtype: _values.dtype);
        linear.weight!.copy_(SparseProduct.ToDense(Support, _values.detach()));
        if (_bias is not null) linear.bias!.copy_(_bias);
        scope.Detach(linear.parameters());
        return linear;
    }

    /// <summary>
    /// X W^T, and its gradients: what every layer of known places computes. W is given by its stored entries [Count], or whole [out, in]: then what stands at other places counts as zero, and so does its gradient.
    /// </summary>
    internal static Tensor Multiply(Tensor input, Tensor weight, TurnedSupport places) => Product.apply(input, weight, places);

    /// <summary>Which gradients a pass is asked for.</summary>
    private sealed record Asked(TurnedSupport Places, bool Whole, bool Input, bool Weight);

    private sealed class Product : GuardedFunction<Product>
    {
        public override string Name => nameof(FixedSupportLinear);

        protected override Tensor Forward(autograd.AutogradContext ctx, object[] vars)
        {
            (Tensor input, Tensor weight, var places) = ((Tensor)vars[0], (Tensor)vars[1], (TurnedSupport)vars[2]);
            using DisposeScope scope = NewDisposeScope();
            // What is saved must live until this returns: its scope ends too early.
            Tensor turned = Transposed.Of(input.detach()).MoveToOuterDisposeScope();
            bool whole = weight.dim() == 2;
            Tensor values = !whole ? weight : places.Rows.Gather(weight.detach()).MoveToOuterDisposeScope();
            ctx.save_for_backward([turned, values]);
            ctx.save_data("of", new Asked(places, whole, input.requires_grad, weight.requires_grad));
            return Transposed.Of(SparseProduct.Multiply(places.Rows, values.detach(), turned)).MoveToOuterDisposeScope();
        }

        protected override List<Tensor> Backward(autograd.AutogradContext ctx, Tensor grad_output)
        {
            List<Tensor> saved = ctx.get_saved_variables();
            var asked = (Asked)ctx.get_data("of");
            TurnedSupport places = asked.Places;
            using DisposeScope scope = NewDisposeScope();
            Tensor gradient = Transposed.Of(grad_output);
            Tensor? input = asked.Input ? Transposed.Of(SparseProduct.Multiply(places.Columns, places.Turn(saved[1]), gradient)) : null;
            Tensor? weight = asked.Weight ? SparseProduct.Sampled(places.Rows, gradient, saved[0]) : null;
            if (weight is not null && asked.Whole) weight = SparseProduct.ToDense(places.Rows, weight);
            return [input?.MoveToOuterDisposeScope()!, weight?.MoveToOuterDisposeScope()!, null!];
        }
    }
}
