using TorchSharp;
using static TorchSharp.torch;

namespace Benchmarks.Coding;

/// <summary>The lasso that the benchmarks share: 1,000 measurements, 5,000 Gaussian atoms, 50 of them in use, noise 0.1.</summary>
internal static class LassoProblem
{
    /// <summary>Atoms [5000, 1000] and y [1000], the same in every run.</summary>
    public static (Tensor Atoms, Tensor Y) Draw()
    {
        using DisposeScope scope = NewDisposeScope();
        using var generator = new Generator(3);
        Tensor atoms = randn([5000, 1000], dtype: ScalarType.Float64, generator: generator), w = zeros([5000], dtype: ScalarType.Float64);
        w.narrow(0, 0, 50).copy_(randn([50], dtype: ScalarType.Float64, generator: generator));
        Tensor y = w.unsqueeze(0).mm(atoms).view(-1).add(randn([1000], dtype: ScalarType.Float64, generator: generator).mul(0.1));
        return (atoms.MoveToOuterDisposeScope(), y.MoveToOuterDisposeScope());
    }

    /// <summary>
    /// Atoms [1000, 300] and y [300] that no one has centred: every entry has mean 3, so that all atoms share a direction; or neighbours
    /// correlated by 0.95 in place of that.
    /// </summary>
    public static (Tensor Atoms, Tensor Y) DrawCorrelated(bool neighbours)
    {
        using DisposeScope scope = NewDisposeScope();
        using var generator = new Generator(5);
        Tensor atoms = randn([1000, 300], dtype: ScalarType.Float64, generator: generator), w = zeros([1000], dtype: ScalarType.Float64);
        if (neighbours)
        {
            for (int j = 1; j < 1000; j++) atoms[j] = atoms[j - 1].mul(0.95).add(atoms[j].mul(Math.Sqrt(1 - (0.95 * 0.95))));
        }
        else
        {
            atoms.add_(3);
        }

        w.slice(0, 0, 1000, 50).copy_(randn([20], dtype: ScalarType.Float64, generator: generator));
        Tensor y = w.unsqueeze(0).mm(atoms).view(-1).add(randn([300], dtype: ScalarType.Float64, generator: generator));
        return (atoms.MoveToOuterDisposeScope(), y.MoveToOuterDisposeScope());
    }
}
