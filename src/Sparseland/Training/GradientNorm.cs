using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Sparseland.Training;

/// <summary>Norm of all gradients together, and clipping by it (Pascanu, Mikolov and Bengio 2013).</summary>
public static class GradientNorm
{
    private const double SafeInSingle = 1e-15;

    /// <summary>Euclidean norm of the gradients as one vector; parameters without a gradient count as zero.</summary>
    /// <param name="parameters">The parameters.</param>
    public static double Of(IEnumerable<Parameter> parameters)
    {
        ArgumentNullException.ThrowIfNull(parameters);
        using DisposeScope scope = NewDisposeScope();
        using IDisposable off = no_grad();
        Tensor[] gradients = [.. parameters.Select(p => p.grad).Where(g => g is not null).Select(g => g!)];
        if (gradients.Length == 0) return 0;
        double norm = stack([.. gradients.Select(g => g.norm().to(ScalarType.Float64))]).norm().item<double>();

        // Squares in the gradients' own type may overflow or vanish where the norm does not.
        return double.IsFinite(norm) && norm >= SafeInSingle ? norm : Scaled(gradients);
    }

    private static double Scaled(Tensor[] gradients)
    {
        Tensor[] wide = [.. gradients.Where(g => g.numel() > 0).Select(g => g.to(ScalarType.Float64))];
        double largest = wide.Length == 0 ? 0 : stack([.. wide.Select(g => g.abs().max())]).max().item<double>();
        return largest == 0 || !double.IsFinite(largest) ? largest : largest * stack([.. wide.Select(g => g.div(largest).norm())]).norm().item<double>();
    }

    /// <summary>Scales all gradients by limit / norm where their norm is above the limit; their direction stays.</summary>
    /// <param name="parameters">The parameters.</param>
    /// <param name="limit">Largest norm, positive.</param>
    /// <returns>The norm before.</returns>
    public static double Clip(IReadOnlyCollection<Parameter> parameters, double limit)
    {
        if (!(limit > 0)) throw new ArgumentOutOfRangeException(nameof(limit), limit, "limit must be positive.");
        double norm = Of(parameters);
        if (!double.IsFinite(norm) || norm <= limit) return norm;
        using DisposeScope scope = NewDisposeScope();
        using IDisposable off = no_grad();
        foreach (Parameter parameter in parameters) parameter.grad?.mul_(limit / norm);
        return norm;
    }
}
