using Sparseland.Tensors;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Training.NofM;

/// <summary>The three products of a linear layer in a training step, each with its own mask: y = W_FF x + b, dx = W_BP^T dy, dW = dy x^T (Fang et al. 2024).</summary>
public static class NofMProducts
{
    /// <summary>W_FF x + b, as one function with the gradients of the scheme: those of x by W_BP and those of W dense, to all of it.</summary>
    /// <remarks>With W_BP other than W_FF the gradient of x is not that of the value: a bias that the method accepts. There is no second derivative: these gradients have no graph, and asking for their gradient fails.</remarks>
    /// <param name="input">x [..., in].</param>
    /// <param name="weight">W [out, in].</param>
    /// <param name="bias">b [out]; null for none.</param>
    /// <param name="maskIn">Bool [out, in]: W_FF = maskIn W; null for W.</param>
    /// <param name="maskOut">Bool [out, in]: W_BP = maskOut W; null for W.</param>
    /// <param name="gradient">N and M of the output gradient in dx, by its absolute values along the outputs of each sample; null, the default, for all of it. dW has all of it in any case.</param>
    /// <param name="rescale">Whether a pruned output gradient is multiplied so that the sum of absolute values of each output is kept. Default false.</param>
    /// <param name="pull">lambda: added to the gradient of weights outside <paramref name="maskIn"/>, times the weight. Default 0.</param>
    /// <returns>[..., out].</returns>
    /// <exception cref="ArgumentException">Shapes or types do not fit.</exception>
    public static Tensor Linear(
        Tensor input, Tensor weight, Tensor? bias, Tensor? maskIn, Tensor? maskOut, (int N, int M)? gradient = null, bool rescale = false, double pull = 0)
    {
        ArgumentNullException.ThrowIfNull(input);
        ArgumentNullException.ThrowIfNull(weight);
        if (weight.dim() != 2) throw new ArgumentException($"weight must be [out, in], but is [{string.Join(", ", weight.shape)}].", nameof(weight));
        if (input.dim() == 0 || input.shape[^1] != weight.shape[1] || input.dtype != weight.dtype)
            throw new ArgumentException($"input must be {weight.dtype} [..., {weight.shape[1]}], but is {input.dtype} [{string.Join(", ", input.shape)}].", nameof(input));
        if (bias is not null && (bias.dim() != 1 || bias.shape[0] != weight.shape[0] || bias.dtype != weight.dtype))
            throw new ArgumentException($"bias must be {weight.dtype} [{weight.shape[0]}], but is {bias.dtype} [{string.Join(", ", bias.shape)}].", nameof(bias));
        CheckMask(maskIn, weight, nameof(maskIn));
        CheckMask(maskOut, weight, nameof(maskOut));
        Finite.NotNegative(pull);
        if (gradient is { } pattern)
        {
            _ = PruningPattern.NofM(pattern.N, pattern.M);
            if (weight.shape[0] % pattern.M != 0) throw new ArgumentException($"{pattern.M} does not divide the {weight.shape[0]} outputs.", nameof(gradient));
        }

        using DisposeScope scope = NewDisposeScope();
        long[] shape = [.. input.shape[..^1], weight.shape[0]];
        Tensor product = Product.apply(input.reshape(-1, weight.shape[1]), weight, bias!, maskIn!, maskOut!, new Scheme(gradient, rescale, pull));
        return product.reshape(shape).MoveToOuterDisposeScope();
    }

    /// <summary>The N largest absolute values of every M neighbours of a row; the others are 0.</summary>
    /// <param name="gradient">dy [samples, out].</param>
    /// <param name="n">Kept of a run.</param>
    /// <param name="m">Length of a run; it must divide the outputs.</param>
    /// <param name="rescale">Whether each output is multiplied so that the sum of its absolute values over the samples is kept. Default false.</param>
    /// <exception cref="ArgumentException">The pattern does not fit.</exception>
    public static Tensor PruneGradient(Tensor gradient, int n, int m, bool rescale = false)
    {
        ArgumentNullException.ThrowIfNull(gradient);
        using DisposeScope scope = NewDisposeScope();
        using IDisposable off = no_grad();
        Tensor size = gradient.detach().abs();
        Tensor pruned = where(NofMLayout.Mask(size, n, m), gradient.detach(), 0);
        if (!rescale) return pruned.MoveToOuterDisposeScope();
        Tensor left = pruned.abs().sum(0L);
        return pruned.mul(where(left.gt(0), size.sum(0L) / left, 1)).MoveToOuterDisposeScope();
    }

    private static void CheckMask(Tensor? mask, Tensor weight, string name)
    {
        if (mask is not null && (mask.dtype != ScalarType.Bool || !mask.shape.SequenceEqual(weight.shape)))
            throw new ArgumentException($"{name} must be Bool [{string.Join(", ", weight.shape)}], but is {mask.dtype} [{string.Join(", ", mask.shape)}].", name);
    }

    private static Tensor Masked(Tensor weight, Tensor? mask) => mask is null ? weight : where(mask, weight, 0);

    private sealed record Scheme((int N, int M)? Gradient, bool Rescale, double Pull);

    private sealed class Product : GuardedFunction<Product>
    {
        public override string Name => nameof(NofMProducts);

        protected override Tensor Forward(autograd.AutogradContext ctx, object[] vars)
        {
            (Tensor input, Tensor weight, Tensor? bias, Tensor? maskIn, Tensor? maskOut) = ((Tensor)vars[0], (Tensor)vars[1], (Tensor?)vars[2], (Tensor?)vars[3], (Tensor?)vars[4]);
            List<Tensor> saved = [input, weight];
            (int @in, int @out) = (Add(saved, maskIn), Add(saved, maskOut));
            ctx.save_for_backward(saved);
            ctx.save_data("scheme", vars[5]);
            ctx.save_data("places", (bias is not null, @in, @out));
            using DisposeScope scope = NewDisposeScope();
            return nn.functional.linear(input.detach(), Masked(weight.detach(), maskIn), bias?.detach()).MoveToOuterDisposeScope();
        }

        protected override List<Tensor> Backward(autograd.AutogradContext ctx, Tensor grad_output)
        {
            List<Tensor> saved = ctx.get_saved_variables();
            var scheme = (Scheme)ctx.get_data("scheme");
            (bool biased, int @in, int @out) = ((bool, int, int))ctx.get_data("places");
            (Tensor input, Tensor weight) = (saved[0].detach(), saved[1].detach());
            (Tensor? maskIn, Tensor? maskOut) = (@in < 0 ? null : saved[@in], @out < 0 ? null : saved[@out]);
            using DisposeScope scope = NewDisposeScope();
            Tensor seen = scheme.Gradient is { } pattern ? PruneGradient(grad_output, pattern.N, pattern.M, scheme.Rescale) : grad_output;
            Tensor inputs = seen.mm(Masked(weight, maskOut)), weights = grad_output.t().mm(input);
            if (scheme.Pull > 0 && maskIn is not null) weights.add_(where(maskIn, 0, weight), alpha: scheme.Pull);
            Tensor? bias = biased ? grad_output.sum(0L).MoveToOuterDisposeScope() : null;
            return [inputs.MoveToOuterDisposeScope(), weights.MoveToOuterDisposeScope(), bias!, null!, null!, null!];
        }

        private static int Add(List<Tensor> saved, Tensor? mask)
        {
            if (mask is null) return -1;
            saved.Add(mask);
            return saved.Count - 1;
        }
    }
}
