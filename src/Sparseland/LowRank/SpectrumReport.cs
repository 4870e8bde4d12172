using System.Numerics.Tensors;
using Sparseland.Models;
using Sparseland.Tensors;
using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;
using Tensor = TorchSharp.torch.Tensor;

namespace Sparseland.LowRank;

/// <summary>
/// How many directions a matrix really uses, by the usual measures of its singular values s. Always stable &lt;= participation &lt;= exp H(s^2) &lt;= exp H(s) &lt;= rank, with equality where all that are not
/// zero are equal (Roy and Vetterli 2007 for the entropies).
/// </summary>
/// <param name="Name">Name of the matrix.</param>
/// <param name="Rows">out.</param>
/// <param name="Columns">in.</param>
/// <param name="SingularValues">All min(out, in) of them, falling.</param>
/// <exception cref="ArgumentException">Fewer or more of them, not falling, or one that is negative or not finite.</exception>
public sealed record SpectrumReport(string Name, int Rows, int Columns, IReadOnlyList<double> SingularValues)
{
    private readonly double[] _unit = Unit(SingularValues, Rows, Columns);

    /// <summary>All min(out, in) singular values, falling.</summary>
    public IReadOnlyList<double> SingularValues
    {
        get;
        init
        {
            field = [.. value];
            _unit = Unit(value, Rows, Columns);
        }
    }
    = SingularValues;

    /// <summary>min(out, in).</summary>
    public int Full => SingularValues.Count;

    /// <summary>Sum of s^2, the squared Frobenius norm.</summary>
    public double Energy => Decomposition.TailEnergy([.. SingularValues], 0);

    /// <summary>sum s^2 / s_1^2. 0 for a matrix of zeros, as all measures.</summary>
    public double StableRank => Sum(s => s * s);

    /// <summary>(sum s^2)^2 / sum s^4.</summary>
    public double Participation => Sum(s => s * s * s * s) is > 0 and var fourth ? Sum(s => s * s) * Sum(s => s * s) / fourth : 0;

    /// <summary>exp of the entropy of s^2 / sum s^2.</summary>
    public double EnergyEntropyRank => Entropy(s => s * s);

    /// <summary>exp of the entropy of s / sum s: the effective rank.</summary>
    public double EntropyRank => Entropy(s => s);

    /// <summary>Singular values above the rounding of the decomposition: s_1 max(out, in) 2^-52, or another share of s_1.</summary>
    /// <param name="relativeTolerance">Share of s_1, from 0 to below 1; null, the default, for max(out, in) 2^-52, which suits a matrix that was float64 from the start. Take 2^-23 in place of 2^-52 for one of float32.</param>
    public int Rank(double? relativeTolerance = null)
    {
        double tolerance = relativeTolerance ?? Math.Max(Rows, Columns) * Math.ScaleB(1, -52);
        if (!(tolerance is >= 0 and < 1)) throw new ArgumentOutOfRangeException(nameof(relativeTolerance), relativeTolerance, "relativeTolerance must be from 0 to below 1.");
        return _unit.Count(s => s > tolerance);
    }

    /// <summary>The smallest rank whose truncation keeps a share of the energy.</summary>
    /// <param name="share">From 0 to 1.</param>
    public int EnergyRank(double share)
    {
        if (!(share is >= 0 and <= 1)) throw new ArgumentOutOfRangeException(nameof(share), share, "share must be from 0 to 1.");
        double all = Sum(s => s * s), sum = 0;
        for (int r = 0; r < _unit.Length; r++)
        {
            // What is left is summed from its small end, so that share 1 needs every value that is not zero.
            if (all == 0 || (share < 1 ? sum >= share * all : _unit[r] == 0)) return r;
            sum += _unit[r] * _unit[r];
        }

        return _unit.Length;
    }

    /// <summary>Share of the energy that a truncation loses.</summary>
    /// <param name="rank">From 0 to <see cref="Full"/>.</param>
    public double ErrorAt(int rank)
    {
        if (rank < 0 || rank > Full) throw new ArgumentOutOfRangeException(nameof(rank), rank, $"rank must be from 0 to {Full}.");
        double all = Sum(s => s * s);
        return all == 0 ? 0 : Decomposition.TailEnergy(_unit, rank) / all;
    }

    /// <summary>Singular values above a threshold.</summary>
    /// <param name="threshold">Not negative.</param>
    public int CountAbove(double threshold)
    {
        if (!(threshold >= 0)) throw new ArgumentOutOfRangeException(nameof(threshold), threshold, "threshold must not be negative.");
        return SingularValues.Count(s => s > threshold);
    }

    /// <summary>The rank from which on two factors hold as many numbers as the matrix: out in / (out + in). Below it a factorisation saves.</summary>
    public double BreakEven => (double)Rows * Columns / (Rows + (double)Columns);

    /// <summary>Measures of one matrix, computed in float64.</summary>
    /// <param name="W">[out, in], of floating point, finite.</param>
    /// <param name="name">Name of the matrix. Default "W".</param>
    /// <exception cref="ArgumentException">Another shape or type, NaN or infinity; the message has the name.</exception>
    public static SpectrumReport Of(Tensor W, string name = "W")
    {
        double[] singular = TruncatedSvd.SingularValues(W, name);
        return new(name, (int)W.shape[0], (int)W.shape[1], singular);
    }

    /// <summary>Measures of all linear layers of a network (<see cref="LinearSlots"/>), in its order; layers that are no longer linear are passed over.</summary>
    /// <param name="model">The network.</param>
    /// <param name="progress">Matrices done.</param>
    /// <param name="cancel">Checked between matrices.</param>
    /// <exception cref="ArgumentException">There is no linear layer, or one holds NaN or infinity; it is named.</exception>
    public static IReadOnlyList<SpectrumReport> Of(nn.Module model, IProgress<ProgressReport>? progress = null, CancellationToken cancel = default)
    {
        (string Name, Linear Layer)[] layers = [.. LinearSlots.Of(model).Where(s => s.Module is Linear).Select(s => (s.Name, (Linear)s.Module))];
        if (layers.Length == 0) throw new ArgumentException("The network has no linear layer.", nameof(model));
        var reports = new List<SpectrumReport>();
        foreach ((string name, Linear layer) in layers)
        {
            cancel.ThrowIfCancellationRequested();
            reports.Add(Of(layer.weight!, name));
            progress?.Report(new(reports.Count, layers.Length, name));
        }

        return reports;
    }

    /// <summary>
    /// The control: measures of a matrix of independent normal numbers of the same shape and Frobenius norm. It has a falling spectrum too (Marchenko and Pastur 1967), so "low rank" means lower than this.
    /// </summary>
    /// <param name="seed">Seed.</param>
    public SpectrumReport Control(long seed)
    {
        using DisposeScope scope = NewDisposeScope();
        using var generator = new Generator(SeededRandom.Mix(unchecked((ulong)seed)));
        Tensor random = randn([Rows, Columns], generator: generator, dtype: ScalarType.Float64);
        // The largest value apart: neither square of a very large or small one has a place in float64.
        double largest = SingularValues[0], norm = Math.Sqrt(Sum(s => s * s));
        return Of(random * (norm / random.norm().item<double>()) * largest, $"{Name}, random");
    }

    /// <inheritdoc/>
    public override string ToString() => $"{Name} [{Rows}, {Columns}]: stable rank {StableRank:0.0}, effective rank {EntropyRank:0.0} of {Full}";

    private static double[] Unit(IReadOnlyList<double> singular, int rows, int columns)
    {
        ArgumentNullException.ThrowIfNull(singular, nameof(SingularValues));
        if (singular.Count != Math.Min(rows, columns) || singular.Count == 0)
            throw new ArgumentException($"A matrix [{rows}, {columns}] has {Math.Max(0, Math.Min(rows, columns))} singular values, not {singular.Count}; all are needed, zeros too.", nameof(SingularValues));
        double[] values = [.. singular];
        for (int i = 0; i < values.Length; i++)
        {
            if (!(values[i] >= 0 && double.IsFinite(values[i])) || (i > 0 && values[i] > values[i - 1]))
                throw new ArgumentException($"Singular value {i} is {values[i]}; they must be finite, not negative, and falling.", nameof(SingularValues));
        }

        // Relative to the largest: neither squares nor fourth powers overflow.
        if (values.Length > 0 && values[0] > 0) TensorPrimitives.Divide(values, values[0], values);
        return values;
    }

    private double Sum(Func<double, double> of)
    {
        double sum = 0;
        for (int i = _unit.Length - 1; i >= 0; i--) sum += of(_unit[i]);
        return sum;
    }

    private double Entropy(Func<double, double> of)
    {
        double all = Sum(of);
        return all == 0 ? 0 : Math.Exp(Sum(s => of(s) / all is > 0 and var p ? -p * Math.Log(p) : 0));
    }
}
