using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Sparseland.Training;

/// <summary>Norm of all gradients together, and clipping by it (Pascanu, Mikolov and Bengio 2013).</summary>
public static class GradientNorm
{
    /// <summary>Euclidean norm of the gradients as one vector; parameters without a gradient count as zero.</summary>
    /// <param name="parameters">The parameters.</param>
    public static double Of(IEnumerable<Parameter> parameters)
    {
        ArgumentNullException.ThrowIfNull(parameters);
        using DisposeScope scope = NewDisposeScope();
        using IDisposable off = no_grad();
        Tensor[] norms = [.. parameters.Select(p => p.grad).Where(g => g is not null).Select(g => g!.norm().to(ScalarType.Float64))];
        return norms.Length == 0 ? 0 : stack(norms).norm().item<double>();
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
