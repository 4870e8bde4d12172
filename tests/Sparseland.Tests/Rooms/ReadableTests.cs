using System.Collections;
using System.Reflection;
using System.Runtime.CompilerServices;
using Sparseland.Bayes;
using Sparseland.Penalties;
using Sparseland.Solvers;
using Sparseland.Tests.Bayes;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Tests.Rooms;

/// <summary>A result that a notebook prints can be read.</summary>
public class ReadableTests
{
    [Fact]
    public void No_result_prints_a_type_for_its_values()
    {
        string[] wrong =
        [
            .. typeof(ProgressReport).Assembly.GetExportedTypes()
                .Where(type => type.IsSealed && type.GetMethod("<Clone>$") is not null)
                .Where(type => type.GetConstructors().Any(c => c.GetParameters().Any(p => IsList(p.ParameterType))))
                .Where(type => type.GetMethod(nameof(ToString), Type.EmptyTypes)!.IsDefined(typeof(CompilerGeneratedAttribute), inherit: false))
                .Select(type => type.FullName!),
        ];
        Assert.Empty(wrong);
    }

    [Fact]
    public void A_result_shows_shapes_lengths_and_first_values()
    {
        using var scope = NewDisposeScope();
        (Tensor phi, _, Tensor y) = BayesData.Planted(20, 40, 3, 0.05, 1);
        using SblResult result = FastSbl.Recover(phi, y);
        string text = result.ToString();
        Assert.DoesNotContain("System.", text, StringComparison.Ordinal);
        Assert.Contains("Mean = Float64 [40]", text, StringComparison.Ordinal);
        Assert.Contains("40 in all]", text, StringComparison.Ordinal);
        SolveResult solved = new CoordinateDescent().Solve(LeastSquares.FromPhi(phi, y), new L1(0.1));
        Assert.Contains("Converged = True", solved.ToString(), StringComparison.Ordinal);
    }

    private static bool IsList(Type type) => type != typeof(string) && type.Assembly != typeof(ProgressReport).Assembly && (type == typeof(Tensor) || typeof(IEnumerable).IsAssignableFrom(type));
}
