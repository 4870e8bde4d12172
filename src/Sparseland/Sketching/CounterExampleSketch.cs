using Sparseland.Tensors;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Sketching;

/// <summary>
/// The counter-example distribution of Song and Zhang (2026). With v uniform on the unit sphere of span(e_2 .. e_d), S = M^(1/2) for
/// M = [[I - rho (e_1 v^T + v e_1^T), alpha v], [alpha v^T, 1]], rho = alpha = 1/20.
/// </summary>
/// <remarks>
/// S is a subspace embedding of constant distortion, and for any FIXED g, h the error |g^T S^T S h - g^T h| is of order 1/sqrt(d), since
/// v is random. Yet for A = [e_1 .. e_d] and b = e_(d+1), where x* = 0, the sketched solution has |x'_1| = alpha rho / (1 - rho^2) = 1/399
/// for every d: the direction that does the harm depends on S. A proof that uses the embedding of fixed pairs there has a gap.
/// </remarks>
public sealed class CounterExampleSketch : Sketch
{
    /// <summary>rho = alpha, the size of both perturbations.</summary>
    public const double Perturbation = 1.0 / 20;

    private readonly double[] _entries;

    /// <summary>Draws v.</summary>
    /// <param name="d">Columns of the regression, at least 2; the sketch is square with d + 1 rows.</param>
    /// <param name="seed">Seed.</param>
    /// <exception cref="ArgumentOutOfRangeException">d below 2.</exception>
    public CounterExampleSketch(int d, long seed)
        : base(Size(d), Size(d))
    {
        var random = new SeededRandom(seed, SketchDraws.Instance + 1);
        double[] v = new double[d];
        for (int i = 1; i < d; i++) v[i] = random.NextGaussian();
        double norm = Math.Sqrt(v.Sum(x => x * x));
        for (int i = 1; i < d; i++) v[i] /= norm;
        Direction = v;
        int size = d + 1;
        double[] entries = new double[size * size];
        for (int i = 0; i < size; i++) entries[(i * size) + i] = 1;
        for (int i = 1; i < d; i++)
        {
            entries[i] = entries[i * size] = -Perturbation * v[i];
            entries[(i * size) + d] = entries[(d * size) + i] = Perturbation * v[i];
        }

        using var scope = NewDisposeScope();
        Tensor M = tensor(entries, [size, size]);
        (Tensor values, Tensor vectors) = linalg.eigh(M);
        _entries = TensorMemory.Read<double>(vectors.mul(values.sqrt()).mm(vectors.t())).ToArray();
    }

    /// <inheritdoc/>
    public override string Name => "counter-example";

    /// <summary>v [d]; its first entry is 0.</summary>
    public IReadOnlyList<double> Direction { get; }

    /// <summary>The regression that it fails on: A = [I; 0], b = e_(d+1), x* = 0.</summary>
    public RegressionProblem Regression()
    {
        int d = Inputs - 1;
        using var scope = NewDisposeScope();
        double[] last = new double[d + 1];
        last[d] = 1;
        Tensor b = tensor(last);
        return HardInstance.OnIdentity(Inputs, d, [.. Enumerable.Range(0, d + 1)], b).MovedToOuterScope();
    }

    private protected override void Multiply(Tensor X, Tensor result)
    {
        using Tensor S = tensor(_entries, [Outputs, Inputs]);
        result.addmm_(S, X);
    }

    private protected override void Transposed(ReadOnlySpan<double> r, Span<double> q)
    {
        // S is symmetric.
        for (int j = 0; j < q.Length; j++) q[j] = System.Numerics.Tensors.TensorPrimitives.Dot(_entries.AsSpan(j * Outputs, Outputs), r);
    }

    private protected override void Column(int j, Span<double> column)
    {
        for (int i = 0; i < column.Length; i++) column[i] = _entries[(i * Inputs) + j];
    }

    private static int Size(int d) =>
        d >= 2 ? d + 1 : throw new ArgumentOutOfRangeException(nameof(d), d, "The counter-example needs at least 2 columns: v is orthogonal to the first.");
}
