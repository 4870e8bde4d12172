using Sparseland.Tensors;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Bayes;

/// <summary>
/// The sensing matrix A = A_1 (x) A_2 (x) ... (x) A_I of small factors A_i [M_i, N_i]: prod M_i measurements of prod N_i coefficients.
/// Coefficients and measurements are ordered with the last factor fastest, as in kron(x_1, kron(x_2, x_3)). Products with A go factor by
/// factor; the matrix is not formed.
/// </summary>
public sealed class KroneckerDictionary : IDisposable
{
    private readonly Tensor[] _factors;
    private readonly NativeSize _size = NativeSize.Of();

    /// <summary>Copies the factors.</summary>
    /// <param name="factors">Two or more matrices [M_i, N_i], all float64 or all complex128, no zero column.</param>
    /// <exception cref="ArgumentException">Fewer than two factors, or shapes, types or values do not fit.</exception>
    public KroneckerDictionary(params Tensor[] factors)
    {
        ArgumentNullException.ThrowIfNull(factors);
        if (factors.Length < 2) throw new ArgumentException($"There are {factors.Length} factors; a Kronecker product needs at least 2.", nameof(factors));
        for (int i = 0; i < factors.Length; i++)
        {
            string name = $"factors[{i}]";
            BayesInput.CheckValues(factors[i], name, "[measurements, coefficients]", 2, 2);
            BayesInput.CheckColumns(factors[i], name);
            if (factors[i].dtype != factors[0].dtype)
                throw new ArgumentException($"{name} is {factors[i].dtype} and the first factor {factors[0].dtype}; they must have one type.", nameof(factors));
        }

        _factors = [.. factors.Select(Copy)];
        _size = NativeSize.Of(_factors);
    }

    /// <summary>Takes factors that are checked, as they are.</summary>
    private KroneckerDictionary(IEnumerable<Tensor> factors) => _factors = [.. factors];

    /// <summary>A_1 to A_I, each [M_i, N_i]; not to be changed.</summary>
    public IReadOnlyList<Tensor> Factors => _factors;

    /// <summary>prod M_i.</summary>
    public long Measurements => _factors.Aggregate(1L, (product, f) => product * f.shape[0]);

    /// <summary>prod N_i.</summary>
    public long Coefficients => _factors.Aggregate(1L, (product, f) => product * f.shape[1]);

    /// <summary>Float64 or ComplexFloat64.</summary>
    public ScalarType Type => _factors[0].dtype;

    /// <summary>A x.</summary>
    /// <param name="x">[coefficients] of the dictionary's type.</param>
    /// <exception cref="ArgumentException">Length, type or values do not fit.</exception>
    public Tensor Apply(Tensor x)
    {
        Check(x, nameof(x), Coefficients, "coefficients");
        return ModeProduct.Apply(_factors, x);
    }

    /// <summary>A^H y.</summary>
    /// <param name="y">[measurements] of the dictionary's type.</param>
    /// <exception cref="ArgumentException">Length, type or values do not fit.</exception>
    public Tensor Adjoint(Tensor y)
    {
        Check(y, nameof(y), Measurements, "measurements");
        using var scope = NewDisposeScope();
        return ModeProduct.Apply(_factors.Select(f => f.mH), y).MoveToOuterDisposeScope();
    }

    /// <summary>A as a matrix [measurements, coefficients]: prod M_i N_i numbers, for baselines and tests.</summary>
    public Tensor ToDense()
    {
        using var scope = NewDisposeScope();
        return _factors.Aggregate((a, b) => kron(a, b)).contiguous().MoveToOuterDisposeScope();
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        foreach (Tensor factor in _factors) factor.Dispose();
        _size.Dispose();
    }

    /// <summary>Another dictionary of as many factors, which belong to the current scope.</summary>
    internal KroneckerDictionary With(Func<Tensor, Tensor> change) => new(_factors.Select(change));

    /// <summary>||column||^2 of each column of A, [coefficients].</summary>
    internal double[] ColumnPowers()
    {
        using var scope = NewDisposeScope();
        return ModeProduct.Kron([.. _factors.Select(f => f.abs().square().sum([0]).Doubles())]);
    }

    internal void Check(Tensor values, string name, long length, string what)
    {
        BayesInput.CheckValues(values, name, $"[{what}]", 1, 1);
        if (values.shape[0] != length)
        {
            string sizes = string.Join(" x ", _factors.Select(f => f.shape[what == "measurements" ? 0 : 1]));
            throw new ArgumentException($"{name} has {values.shape[0]} entries; the dictionary has {sizes} = {length} {what}.", name);
        }

        if (values.dtype != Type) throw new ArgumentException($"{name} is {values.dtype} and the dictionary {Type}; they must have one type.", name);
    }

    internal void CheckGammas(IReadOnlyList<double[]> gammas, string name)
    {
        ArgumentNullException.ThrowIfNull(gammas, name);
        if (gammas.Count != _factors.Length) throw new ArgumentException($"{name} has {gammas.Count} factors, the dictionary {_factors.Length}.", name);
        for (int i = 0; i < gammas.Count; i++) BayesInput.CheckGamma(gammas[i], _factors[i].shape[1], $"{name}[{i}]");
    }

    private static Tensor Copy(Tensor factor)
    {
        using Tensor rows = factor.contiguous();
        return rows.clone().DetachFromDisposeScope();
    }
}
