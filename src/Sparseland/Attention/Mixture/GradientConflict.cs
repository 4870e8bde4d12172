using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Sparseland.Attention.Mixture;

/// <summary>How two losses pull at one matrix.</summary>
/// <param name="Name">Name of the parameter.</param>
/// <param name="Cosine">Cosine of the two gradients, from -1 to 1; NaN where one is 0.</param>
/// <param name="FirstNorm">Norm of the first loss's gradient.</param>
/// <param name="SecondNorm">Norm of the second loss's gradient.</param>
public sealed record GradientCosine(string Name, double Cosine, double FirstNorm, double SecondNorm);

/// <summary>Whether modalities that share a matrix want the same of it.</summary>
public static class GradientConflict
{
    /// <summary>The cosine of the gradients of two losses, for every matrix that both depend on.</summary>
    /// <param name="model">The model; its gradients stay as they are.</param>
    /// <param name="first">Computes the first loss, one number.</param>
    /// <param name="second">Computes the second loss, one number.</param>
    /// <exception cref="ArgumentException">A loss is not one number.</exception>
    public static IReadOnlyList<GradientCosine> Cosine(nn.Module model, Func<Tensor> first, Func<Tensor> second)
    {
        ArgumentNullException.ThrowIfNull(model);
        ArgumentNullException.ThrowIfNull(first);
        ArgumentNullException.ThrowIfNull(second);
        using DisposeScope scope = NewDisposeScope();
        using IDisposable on = enable_grad();
        (string Name, Parameter Parameter)[] matrices = [.. model.named_parameters().Where(p => p.parameter.requires_grad && p.parameter.dim() > 1).Select(p => (p.name, p.parameter))];
        if (matrices.Length == 0) return [];
        Tensor?[] a = Of(first, nameof(first)), b = Of(second, nameof(second));
        var result = new List<GradientCosine>();
        for (int i = 0; i < matrices.Length; i++)
        {
            if (a[i] is not { IsInvalid: false } x || b[i] is not { IsInvalid: false } y) continue;
            // In double precision: squares of small gradients vanish in single precision.
            (x, y) = (x.to(ScalarType.Float64), y.to(ScalarType.Float64));
            double one = Number(x.norm()), two = Number(y.norm()), product = Number((x * y).sum());
            result.Add(new(matrices[i].Name, Math.Clamp(product / one / two, -1, 1), one, two));
        }

        return result;

        Tensor?[] Of(Func<Tensor> loss, string name)
        {
            Tensor value = loss();
            if (value.numel() != 1) throw new ArgumentException($"The loss must be one number, but is [{string.Join(", ", value.shape)}].", name);
            if (!value.requires_grad) return new Tensor?[matrices.Length];

            // Both losses may come from one pass through the model.
            return [.. autograd.grad([value], [.. matrices.Select(m => (Tensor)m.Parameter)], retain_graph: true, allow_unused: true)];
        }

        static double Number(Tensor t) => t.to(ScalarType.Float64).item<double>();
    }
}
