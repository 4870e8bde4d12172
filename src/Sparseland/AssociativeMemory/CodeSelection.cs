using System.Numerics;
using System.Numerics.Tensors;
using Sparseland.Tensors;

namespace Sparseland.AssociativeMemory;

/// <summary>
/// The steps of the code selection algorithm (Rinkus 2014; Rinkus and Leveille 2017) after the supports: evidence V, familiarity G,
/// expansivity eta, win weights mu, probabilities rho, choice. Cells of module q are q K .. q K + K - 1.
/// </summary>
public static class CodeSelection
{
    /// <summary>V_i = U_i^lambdaU H_i^lambdaH D_i^lambdaD over the signals that are given.</summary>
    /// <param name="u">Bottom-up support, [cells] in 0 .. 1, or null.</param>
    /// <param name="h">Horizontal support, or null.</param>
    /// <param name="d">Top-down support, or null.</param>
    /// <param name="exponents">Powers; null, the default, for 1 each.</param>
    /// <returns>[cells].</returns>
    /// <exception cref="ArgumentException">No signal, or lengths differ.</exception>
    public static double[] Evidence(double[]? u, double[]? h = null, double[]? d = null, SignalExponents? exponents = null)
    {
        exponents ??= new();
        int cells = (u ?? h ?? d ?? throw new ArgumentException("There is no signal; give at least one of u, h and d.", nameof(u))).Length;
        var v = new double[cells];
        v.AsSpan().Fill(1);
        foreach ((double[]? signal, double power, string name) in new[] { (u, exponents.U, nameof(u)), (h, exponents.H, nameof(h)), (d, exponents.D, nameof(d)) })
        {
            if (signal is null) continue;
            if (signal.Length != cells) throw new ArgumentException($"{name} has {signal.Length} cells and another signal {cells}.", name);
            Multiply(v, signal, power);
        }

        return v;
    }

    /// <summary>Largest V of each module.</summary>
    /// <param name="v">[Q K].</param>
    /// <param name="k">Cells per module.</param>
    /// <returns>[Q].</returns>
    /// <exception cref="ArgumentException">The cells are not whole modules.</exception>
    public static double[] Maxima(ReadOnlySpan<double> v, int k)
    {
        var maxima = new double[Modules(v.Length, k)];
        for (int q = 0; q < maxima.Length; q++) maxima[q] = TensorPrimitives.Max(v.Slice(q * k, k));
        return maxima;
    }

    /// <summary>G, the mean over modules of the largest V: one number for the whole macrocolumn.</summary>
    /// <param name="v">[Q K].</param>
    /// <param name="k">Cells per module.</param>
    /// <exception cref="ArgumentException">The cells are not whole modules.</exception>
    public static double Familiarity(ReadOnlySpan<double> v, int k)
    {
        int modules = Modules(v.Length, k);
        double sum = 0;
        for (int q = 0; q < modules; q++) sum += TensorPrimitives.Max(v.Slice(q * k, k));
        return sum / modules;
    }

    /// <summary>eta = 1 + (max(0, (G - G0) / (1 - G0)))^gamma chi K.</summary>
    /// <param name="familiarity">G, 0 to 1.</param>
    /// <param name="options">G0, gamma, chi and K.</param>
    public static double Expansivity(double familiarity, MacOptions options)
    {
        ArgumentNullException.ThrowIfNull(options);
        if (!(familiarity is >= 0 and <= 1)) throw new ArgumentOutOfRangeException(nameof(familiarity), familiarity, "A familiarity is from 0 to 1.");
        return 1 + (Math.Pow(Math.Max(0, (familiarity - options.G0) / (1 - options.G0)), options.Gamma) * options.Chi * options.K);
    }

    /// <summary>mu of every cell.</summary>
    /// <param name="v">[cells].</param>
    /// <param name="eta">Expansivity.</param>
    /// <param name="sigmoid">From V to mu.</param>
    /// <returns>[cells], each at least 1.</returns>
    public static double[] WinWeights(ReadOnlySpan<double> v, double eta, WinSigmoid sigmoid)
    {
        var mu = new double[v.Length];
        WinWeights(v, eta, sigmoid, mu);
        return mu;
    }

    /// <summary>rho_i = mu_i / (sum of mu over its module).</summary>
    /// <param name="mu">[Q K], positive.</param>
    /// <param name="k">Cells per module.</param>
    /// <returns>[Q K]; each module sums to 1.</returns>
    /// <exception cref="ArgumentException">The cells are not whole modules, or a weight is not positive and finite.</exception>
    public static double[] Probabilities(ReadOnlySpan<double> mu, int k)
    {
        Modules(mu.Length, k);
        if (!(TensorPrimitives.Min(mu) > 0) || !double.IsFinite(TensorPrimitives.Sum(mu))) throw new ArgumentException("Win weights must be positive and finite.", nameof(mu));
        double[] rho = mu.ToArray();
        Normalize(rho, k);
        return rho;
    }

    /// <summary>Draws one winner per module from rho: the choice while learning.</summary>
    /// <param name="rho">[Q K].</param>
    /// <param name="k">Cells per module.</param>
    /// <param name="seed">Same seed and stream, same draw.</param>
    /// <param name="stream">Tells draws of one seed apart. Default 0.</param>
    /// <returns>[Q], cell numbers.</returns>
    /// <exception cref="ArgumentException">The cells are not whole modules, or a probability is negative or NaN.</exception>
    public static int[] Draw(ReadOnlySpan<double> rho, int k, long seed, long stream = 0)
    {
        var random = new SeededRandom(seed, stream);
        var winners = new int[Modules(rho.Length, k)];
        if (!(TensorPrimitives.Min(rho) >= 0)) throw new ArgumentException("A probability is negative or NaN.", nameof(rho));
        for (int q = 0; q < winners.Length; q++)
        {
            double left = random.NextDouble();
            ReadOnlySpan<double> module = rho.Slice(q * k, k);

            // The last cell takes what rounding leaves of the sum.
            int cell = 0;
            while (cell < k - 1 && (left -= module[cell]) >= 0) cell++;
            winners[q] = (q * k) + cell;
        }

        return winners;
    }

    /// <summary>The cell of largest V in each module, ties at random: the choice at recall.</summary>
    /// <param name="v">[Q K].</param>
    /// <param name="k">Cells per module.</param>
    /// <param name="seed">Of the ties.</param>
    /// <param name="stream">Tells draws of one seed apart. Default 0.</param>
    /// <returns>[Q], cell numbers.</returns>
    /// <exception cref="ArgumentException">The cells are not whole modules, or a value is NaN.</exception>
    public static int[] DrawMax(ReadOnlySpan<double> v, int k, long seed, long stream = 0)
    {
        var random = new SeededRandom(seed, stream);
        var winners = new int[Modules(v.Length, k)];
        for (int q = 0; q < winners.Length; q++)
        {
            ReadOnlySpan<double> module = v.Slice(q * k, k);
            double top = TensorPrimitives.Max(module);
            if (double.IsNaN(top)) throw new ArgumentException($"V is NaN in module {q}.", nameof(v));
            int ties = CountEqual(module, top), best = 0;
            for (int skip = ties == 1 ? 0 : random.NextInt(ties); skip > 0 || module[best] != top; best++)
            {
                if (module[best] == top) skip--;
            }

            winners[q] = (q * k) + best;
        }

        return winners;
    }

    /// <summary>zeta, the mean over modules of the number of cells at the largest V, rounded; 0 where all V are 0.</summary>
    /// <param name="v">[Q K].</param>
    /// <param name="k">Cells per module.</param>
    /// <exception cref="ArgumentException">The cells are not whole modules.</exception>
    public static int Hypotheses(ReadOnlySpan<double> v, int k)
    {
        int modules = Modules(v.Length, k), tied = 0, counted = 0;
        for (int q = 0; q < modules; q++)
        {
            ReadOnlySpan<double> module = v.Slice(q * k, k);
            double top = TensorPrimitives.Max(module);
            if (top == 0) continue;
            counted++;
            tied += CountEqual(module, top);
        }

        return counted == 0 ? 0 : (int)Math.Round((double)tied / counted);
    }

    internal static void Multiply(Span<double> v, ReadOnlySpan<double> signal, double power)
    {
        if (power == 1)
        {
            TensorPrimitives.Multiply(v, signal, v);
            return;
        }

        for (int i = 0; i < v.Length; i++) v[i] *= Math.Pow(signal[i], power);
    }

    internal static void WinWeights(ReadOnlySpan<double> v, double eta, WinSigmoid sigmoid, Span<double> mu)
    {
        ArgumentNullException.ThrowIfNull(sigmoid);
        if (!(eta >= 1)) throw new ArgumentOutOfRangeException(nameof(eta), eta, "An expansivity is at least 1.");
        if (eta == 1) mu.Fill(1);
        else sigmoid.Weights(v, eta, mu);
    }

    internal static void Normalize(Span<double> mu, int k)
    {
        for (int at = 0; at < mu.Length; at += k)
        {
            Span<double> module = mu.Slice(at, k);
            TensorPrimitives.Divide(module, TensorPrimitives.Sum<double>(module), module);
        }
    }

    private static int CountEqual(ReadOnlySpan<double> values, double value)
    {
        int count = 0, i = 0;
        Vector<long> equal = default;
        var wanted = new Vector<double>(value);
        for (; i + Vector<double>.Count <= values.Length; i += Vector<double>.Count) equal -= Vector.Equals(new Vector<double>(values[i..]), wanted);
        for (; i < values.Length; i++)
        {
            if (values[i] == value) count++;
        }

        return count + (int)Vector.Sum(equal);
    }

    private static int Modules(int cells, int k)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(k, 1);
        if (cells == 0 || cells % k != 0) throw new ArgumentException($"{cells} cells are not a positive number of modules of {k}.", nameof(k));
        return cells / k;
    }
}
