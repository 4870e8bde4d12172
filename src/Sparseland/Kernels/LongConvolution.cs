using Sparseland.Tensors;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Kernels;

/// <summary>Long convolutions in networks that are trained: <see cref="FftConvolution"/> with gradients for signal, kernels and gates.</summary>
/// <remarks>Signal and gates must stay as they are between the forward pass and its gradients: changed in place they make <c>backward</c> throw.</remarks>
public static class LongConvolution
{
    /// <summary>y = w o ((v o u) * k), causal.</summary>
    /// <param name="signal">u [B, H, L], Float32, on the CPU.</param>
    /// <param name="kernel">k [H, Lk], Float32; its spectra are computed here.</param>
    /// <param name="plan">A plan of at least L + Lk - 1; null for <see cref="FftPlan.ForCausal"/>, which makes its tables anew each time.</param>
    /// <param name="before">v [B, H, L]. Default: none.</param>
    /// <param name="after">w [B, H, L]. Default: none.</param>
    /// <returns>[B, H, L].</returns>
    /// <exception cref="ArgumentException">A shape, type or device does not fit.</exception>
    public static Tensor Apply(Tensor signal, Tensor kernel, FftPlan? plan = null, Tensor? before = null, Tensor? after = null)
    {
        ArgumentNullException.ThrowIfNull(signal);
        ArgumentNullException.ThrowIfNull(kernel);
        if (signal.dim() != 3 || kernel.dim() != 2 || signal.numel() == 0 || kernel.numel() == 0)
            throw new ArgumentException($"signal must be [batch, channels, length] and kernel [channels, length], not empty, but are [{string.Join(", ", signal.shape)}] and [{string.Join(", ", kernel.shape)}].", nameof(signal));
        if (kernel.dtype != ScalarType.Float32) throw new ArgumentException($"kernel is {kernel.dtype}; it must be Float32.", nameof(kernel));
        plan ??= FftPlan.ForCausal((int)signal.shape[2], (int)kernel.shape[1]);
        return (before, after) switch
        {
            (null, null) => Product.apply(signal, kernel, new Gates(plan, false, false)),
            (not null, null) => Product.apply(signal, kernel, new Gates(plan, true, false), before),
            (null, not null) => Product.apply(signal, kernel, new Gates(plan, false, true), after),
            _ => Product.apply(signal, kernel, new Gates(plan, true, true), before!, after!),
        };
    }

    /// <summary>What is not a tensor of a call.</summary>
    private sealed record Gates(FftPlan Plan, bool Before, bool After)
    {
        /// <summary>Of [u, v, w], which of the gates there are.</summary>
        public (Tensor? Before, Tensor? After) Of(IReadOnlyList<Tensor> gates) => (Before ? gates[0] : null, After ? gates[^1] : null);
    }

    private sealed class Product : GuardedFunction<Product>
    {
        public override string Name => nameof(LongConvolution);

        protected override Tensor Forward(autograd.AutogradContext ctx, object[] vars)
        {
            (Tensor signal, Tensor kernel, Gates gates) = ((Tensor)vars[0], (Tensor)vars[1], (Gates)vars[2]);
            Tensor[] others = [.. vars[3..].Cast<Tensor>()];
            KernelSpectrum spectrum = KernelSpectrum.From(kernel.detach(), gates.Plan);
            ctx.save_for_backward([signal, .. others]);
            ctx.save_data("gates", gates);
            ctx.save_data("spectrum", spectrum);
            (Tensor? before, Tensor? after) = gates.Of(others);
            return FftConvolution.Forward(signal, spectrum, before, after);
        }

        protected override List<Tensor> Backward(autograd.AutogradContext ctx, Tensor grad_output)
        {
            List<Tensor> saved = ctx.get_saved_variables();
            var gates = (Gates)ctx.get_data("gates");
            (Tensor? before, Tensor? after) = gates.Of([.. saved.Skip(1)]);
            FftGradients all = FftConvolution.Backward(grad_output, saved[0], (KernelSpectrum)ctx.get_data("spectrum"), before, after);
            return [all.Signal, all.Kernel, null!, .. new[] { all.Before, all.After }.OfType<Tensor>()];
        }
    }
}
