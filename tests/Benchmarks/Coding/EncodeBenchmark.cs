using BenchmarkDotNet.Attributes;
using Sparseland.Coding;
using Sparseland.Penalties;
using TorchSharp;
using static TorchSharp.torch;

namespace Benchmarks.Coding;

/// <summary>Encoding of many samples: batch OMP and lasso by coordinate descent, against sparse_encode of scikit-learn; and cost curves.</summary>
[MemoryDiagnoser]
public class EncodeBenchmark : IQuickBenchmark
{
    private Tensor _samples = null!;
    private Tensor _dictionary = null!;

    /// <summary>Samples of 64 dimensions.</summary>
    [Params(5000, 20000)]
    public int Samples { get; set; }

    /// <summary>Planted codes.</summary>
    [GlobalSetup]
    public void Setup() => (_samples, _dictionary) = Planted(Samples, 64, 256, 5);

    /// <summary>Five atoms each.</summary>
    [Benchmark]
    public void Omp() => BatchOmp.Encode(_samples, _dictionary, 5).Dispose();

    /// <summary>Lasso to a gap of 1e-6.</summary>
    [Benchmark]
    public void Lasso() => new CoordinateCoder(new L1(0.05)).Encode(_samples, _dictionary).Dispose();

    /// <inheritdoc/>
    public IEnumerable<Comparison> Comparisons()
    {
        const string Name = "scikit-learn sparse_encode";
        using PythonPeer? python = PythonPeer.Start("import numpy as np\nfrom sklearn.decomposition import sparse_encode");
        (Tensor X, Tensor D) = Planted(20000, 64, 256, 5);
        python?.Put("X", X);
        python?.Put("D", D);
        string EqualCodes()
        {
            using PursuitResult ours = BatchOmp.Encode(X, D, 5);
            using Tensor dense = ours.ToDense();
            return python is null ? "" : $"equal supports: {EqualSupports(dense, python.Get("C")):P3} of the samples (wanted: 99.9 %)";
        }

        var coder = new CoordinateCoder(new L1(0.05));
        string Objectives()
        {
            using CoordinateCodes codes = coder.Encode(X, D);
            string ours = $"objective {Objective(X, D, codes.Codes):F6}, largest gap {codes.Certificates.Max():E1} of ||x||^2, {codes.Sweeps.Average():F1} sweeps on average";
            if (python is null) return ours;
            using Tensor theirs = tensor(python.Get("C"), codes.Codes.shape);
            return $"{ours}; scikit-learn's objective {Objective(X, D, theirs):F6}";
        }

        yield return new Comparison(
            "batch OMP, 20,000 x 64, 256 atoms, k = 5", () => BatchOmp.Encode(X, D, 5).ToDense().Dispose(), $"{Name}(omp)",
            python is null ? null : () => python.Run("C = sparse_encode(X, D, algorithm='omp', n_nonzero_coefs=5)"), 10, EqualCodes);
        yield return new Comparison(
            "batch OMP alone, 20,000 x 64, 256 atoms, k = 5", () => BatchOmp.Encode(X, D, 5).Dispose(), "the product X D^T alone", () => X.mm(D.t()).Dispose(), 1.0 / 3);
        yield return new Comparison(
            "batch lasso, 20,000 x 64, 256 atoms, alpha = 0.05", () => coder.Encode(X, D).Dispose(), $"{Name}(lasso_cd)",
            python is null ? null : () => python.Run("C = sparse_encode(X, D, algorithm='lasso_cd', alpha=0.05)"), 8, Objectives);
        foreach (int samples in new[] { 2000, 8000, 32000 }) yield return Cost(samples, 256, 5);
        foreach (int atoms in new[] { 128, 512, 2048 }) yield return Cost(8000, atoms, 5);
        foreach (int k in new[] { 2, 8, 32 }) yield return Cost(8000, 256, k);
    }

    private static Comparison Cost(int samples, int atoms, int k)
    {
        (Tensor X, Tensor D) = Planted(samples, 64, atoms, Math.Min(k, 16));
        return new Comparison(
            $"cost: {samples} samples, {atoms} atoms, k = {k}: OMP", () => BatchOmp.Encode(X, D, k).Dispose(), "lasso to a gap of 1e-6",
            () => new CoordinateCoder(new L1(0.05)).Encode(X, D).Dispose());
    }

    /// <summary>Unit atoms, k Gaussian coefficients per sample, noise 0.02.</summary>
    internal static (Tensor X, Tensor D) Planted(int samples, int features, int atoms, int k)
    {
        using var scope = NewDisposeScope();
        using var generator = new Generator(7);
        Tensor D = randn([atoms, features], dtype: ScalarType.Float64, generator: generator);
        D = D.div(D.norm(1, keepdim: true));
        Tensor codes = randn([samples, atoms], dtype: ScalarType.Float64, generator: generator);
        Tensor keys = rand([samples, atoms], dtype: ScalarType.Float64, generator: generator);
        (Tensor top, _) = keys.topk(k, 1);
        codes.mul_(keys.ge(top.narrow(1, k - 1, 1)).to(ScalarType.Float64));
        Tensor X = codes.mm(D).add(randn([samples, features], dtype: ScalarType.Float64, generator: generator).mul(0.02));
        return (X.MoveToOuterDisposeScope(), D.MoveToOuterDisposeScope());
    }

    private static double Objective(Tensor X, Tensor D, Tensor codes)
    {
        using var scope = NewDisposeScope();
        return X.sub(codes.mm(D)).square().sum().item<double>() / 2 + 0.05 * codes.abs().sum().item<double>();
    }

    private static double EqualSupports(Tensor ours, double[] theirs)
    {
        using var scope = NewDisposeScope();
        Tensor peer = tensor(theirs, ours.shape);
        return ours.ne(0).eq(peer.ne(0)).all(1).to(ScalarType.Float64).mean().item<double>();
    }
}
