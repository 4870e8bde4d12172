using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Tensors;

/// <summary>
/// A function with a backward pass of its own whose failures are exceptions of the call that began the pass. Libtorch calls the pass from native code, through which no managed exception gets: one that is
/// not caught here ends the process, and a tensor that was changed in place since the forward pass is enough for one.
/// </summary>
/// <remarks>
/// What failed is kept and said by <see cref="GradientPass"/>. Libtorch is given gradients of a shape that it refuses, so that nothing goes on with wrong numbers: an input that asks for a gradient must
/// have a dimension, since a number takes a gradient of any shape. There is no second derivative: a backward pass that is to be differentiated itself is refused.
/// </remarks>
internal abstract class GuardedFunction<T> : autograd.SingleTensorFunction<T>
    where T : GuardedFunction<T>, new()
{
    private const string Which = "which inputs are tensors";

    // Of this thread's last passes: libtorch has handles of its own once a call is over, and outside of a scope the collector would leave these, and their memory, for long.
    [ThreadStatic]
    private static Tensor? s_value;

    [ThreadStatic]
    private static List<Tensor>? s_given;

    /// <summary>The value with its graph.</summary>
    public static new Tensor apply(params object[] vars)
    {
        // Libtorch keeps the gradient of a leaf as it comes only where nobody else holds that tensor, and copies it otherwise; the handle of this pass does. Behind a view it is handed a tensor of its own.
        object[] given = is_grad_enabled() ? [.. vars.Select(v => v is Tensor { IsInvalid: false, is_leaf: true, requires_grad: true } leaf && leaf.dim() > 0 ? leaf.view(leaf.shape) : v)] : vars;
        Tensor value = autograd.SingleTensorFunction<T>.apply(given);
        for (int i = 0; i < vars.Length; i++)
            if (!ReferenceEquals(given[i], vars[i])) ((Tensor)given[i]).Dispose();
        if (!ReferenceEquals(value, s_value)) s_value?.Dispose();
        s_value = null;
        return value;
    }

    /// <inheritdoc/>
    public sealed override Tensor forward(autograd.AutogradContext ctx, params object[] vars)
    {
        ctx.save_data(Which, Array.ConvertAll<object?, bool>(vars, v => v is Tensor { IsInvalid: false }));
        if (vars.Any(v => v is Tensor { IsInvalid: false } x && x.dim() == 0 && x.requires_grad)) throw new ArgumentException($"An input of {Name} is one number without a dimension; it gets no gradient here.", nameof(vars));
        return s_value = Forward(ctx, vars);
    }

    /// <inheritdoc/>
    public sealed override List<Tensor> backward(autograd.AutogradContext ctx, Tensor grad_output)
    {
        try
        {
            s_given?.ForEach(handle => handle.Dispose());
            s_given = null;

            // What a pass by hand leaves out of the graph would count as a constant, and a sum with what other ways give would go unseen.
            if (is_grad_enabled()) throw new NotSupportedException($"{Name} has no second derivative; its gradient cannot be asked for with a graph of its own.");
            List<Tensor> gradients = Backward(ctx, grad_output);
            s_given = [grad_output, .. gradients.Where(g => g is not null)];
            return gradients;
        }
        catch (Exception failure)
        {
            GradientPass.Failed(Name, failure);
            return [.. ((bool[])ctx.get_data(Which)).Select(isTensor => isTensor ? tensor(0f) : null!)];
        }
    }

    /// <summary>The value, without a graph; saves what the backward pass needs.</summary>
    protected abstract Tensor Forward(autograd.AutogradContext ctx, object[] vars);

    /// <summary>Of each input its gradient, null where it takes none. May throw.</summary>
    protected abstract List<Tensor> Backward(autograd.AutogradContext ctx, Tensor grad_output);
}
