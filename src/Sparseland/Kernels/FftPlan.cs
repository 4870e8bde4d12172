using System.Numerics;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Kernels;

/// <summary>How the small transforms of a plan are computed.</summary>
public enum FftKernel
{
    /// <summary>Products with dense DFT matrices, as on a unit for matrix products: 8 n operations per complex number for a factor n. Any factors.</summary>
    Products,

    /// <summary>Butterflies in registers, which use the symmetries of transforms of 4, 8 and 16 points, the other index in the lanes. Powers of two from 256.</summary>
    Butterflies,
}

/// <summary>
/// A discrete Fourier transform of length N = n1 n2 ... np as small transforms and twiddle factors (FlashFFTConv, Fu et al. 2024; a Monarch decomposition of order p):
/// with X[a, b] = x[a N/n1 + b], Z = ((F_n1 X) o T) and then the same on every row with the remaining factors. Frequencies are left in the order in which they come,
/// which a convolution never has to undo.
/// </summary>
public sealed class FftPlan
{
    private const int Longest = 1 << 24;
    private const int Tile = 16;

    // Its dense matrix has 128 MB.
    private const int MostFactor = 1 << 12;
    private readonly Lazy<int[]> _frequencies;

    private FftPlan(int length, int[] factors, FftKernel kernel)
    {
        (Length, Factors, Kernel) = (length, factors, kernel);
        _frequencies = new(Order);
        Stages = [.. Enumerable.Range(0, factors.Length - 1).Select(s => FftStage.Of(factors[s], factors[(s + 1)..].Aggregate(1, (x, y) => x * y)))];
        Last = FftMatrix.Of(factors[^1]);
    }

    /// <summary>N, complex points.</summary>
    public int Length { get; }

    /// <summary>n1 to np.</summary>
    public IReadOnlyList<int> Factors { get; }

    /// <summary>How small transforms are computed.</summary>
    public FftKernel Kernel { get; }

    /// <summary>Which frequency stands at each place of a spectrum [N]: with products k1 + n1 k2 + n1 n2 k3 ... at (k1, k2, k3 ...) row by row; butterflies leave the last index before 16 rows.</summary>
    public IReadOnlyList<int> Frequencies => _frequencies.Value;

    /// <summary>Operations of one transform of the plan as products, 8 N times the sum of the factors; as butterflies 5 N log2 N, as is usual to count.</summary>
    public double Operations => Kernel == FftKernel.Products ? 8.0 * Length * Factors.Sum() : 5.0 * Length * Math.Log2(Length);

    /// <summary>All stages but the last.</summary>
    internal FftStage[] Stages { get; }

    /// <summary>The matrix of the last stage.</summary>
    internal FftMatrix Last { get; }

    /// <summary>Points of the last stage.</summary>
    internal int LastFactor => Factors[^1];

    /// <summary>A plan.</summary>
    /// <param name="length">N: from 2 to 2^24.</param>
    /// <param name="factors">Their product is N, each from 2 to 4,096; for butterflies 2, 4, 8 or 16 with 16 the last. Null for the library's choice.</param>
    /// <param name="kernel">Default <see cref="FftKernel.Butterflies"/>.</param>
    /// <exception cref="ArgumentException">The length or a factor is out of its range, or the factors do not multiply to the length.</exception>
    public static FftPlan Create(int length, IReadOnlyList<int>? factors = null, FftKernel kernel = FftKernel.Butterflies)
    {
        if (length is < 2 or > Longest) throw new ArgumentOutOfRangeException(nameof(length), length, $"length is from 2 to {Longest}.");
        if (!Enum.IsDefined(kernel)) throw new ArgumentOutOfRangeException(nameof(kernel), kernel, "kernel is Products or Butterflies.");
        if (kernel == FftKernel.Butterflies && (!BitOperations.IsPow2(length) || length < Tile * Tile))
            throw new ArgumentException($"Butterflies take powers of two from {Tile * Tile}, not {length}; take products.", nameof(length));
        int[] chosen = factors is null ? Choose(length, kernel) : [.. factors];
        if (chosen.Length == 0 || chosen.Any(f => f < 2)) throw new ArgumentException($"Factors are at least 2, but are {string.Join(", ", chosen)}.", nameof(factors));
        if (chosen.Max() > MostFactor) throw new ArgumentException($"Factors are at most {MostFactor}, as each has a dense matrix, but are {string.Join(" x ", chosen)}; take a length without large primes.", factors is null ? nameof(length) : nameof(factors));
        if (chosen.Aggregate(1L, (x, f) => Math.Min(long.MaxValue / Longest, x * f)) != length) throw new ArgumentException($"The factors {string.Join(" x ", chosen)} do not multiply to {length}.", nameof(factors));
        if (kernel == FftKernel.Butterflies && (chosen[^1] != Tile || chosen.Any(f => f is not (2 or 4 or 8 or 16))))
            throw new ArgumentException($"Butterflies have 2, 4, 8 or 16 points and 16 at the end, not {string.Join(" x ", chosen)}.", nameof(factors));
        return new(length, chosen, kernel);
    }

    /// <summary>The shortest plan of butterflies for a causal convolution: the power of two that holds signal and kernel without wrapping around.</summary>
    /// <param name="signal">L, positive.</param>
    /// <param name="kernel">Length of the kernel, positive.</param>
    /// <exception cref="ArgumentOutOfRangeException">A length is not positive, or the sum is too long.</exception>
    public static FftPlan ForCausal(int signal, int kernel)
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(signal);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(kernel);
        long least = (long)signal + kernel - 1;
        if (least > Longest) throw new ArgumentOutOfRangeException(nameof(signal), signal, $"Signal and kernel are {least} together, more than {Longest}.");
        return Create(Math.Max(Tile * Tile, (int)BitOperations.RoundUpToPowerOf2((uint)least)));
    }

    /// <summary>Operations that a causal convolution needs of the first stage's products, as a share of those without padding: only rows that hold signal are multiplied, and only rows that are wanted computed.</summary>
    /// <param name="signal">L, from 1 to N.</param>
    public double RowShare(int signal)
    {
        if (signal < 1 || signal > Length) throw new ArgumentOutOfRangeException(nameof(signal), signal, $"signal is from 1 to {Length}.");
        return (double)Rows(signal) / Factors[0];
    }

    /// <summary>The transform in float64, with whole matrices and as it is written: for looking and for tests.</summary>
    /// <param name="x">[..., N], real or complex.</param>
    /// <returns>Complex [..., N], in the order of <see cref="Frequencies"/>; the caller disposes it.</returns>
    /// <exception cref="ArgumentException">Another length.</exception>
    public Tensor Transform(Tensor x)
    {
        ArgumentNullException.ThrowIfNull(x);
        if (x.dim() == 0 || x.shape[^1] != Length) throw new ArgumentException($"x must be [..., {Length}], but is [{string.Join(", ", x.shape)}].", nameof(x));
        using DisposeScope scope = NewDisposeScope();
        Tensor z = Recurse(x.detach().to(ScalarType.ComplexFloat64).reshape(-1, Length), 0);
        if (Kernel == FftKernel.Butterflies) z = z.reshape(-1, Tile, Tile).transpose(1, 2);
        return scope.MoveToOuter(z.reshape(x.shape).contiguous());
    }

    /// <inheritdoc/>
    public override string ToString() => $"{Length} = {string.Join(" x ", Factors)}, {Kernel.ToString().ToLowerInvariant()}";

    /// <summary>Rows of the first stage that hold a signal of some length.</summary>
    internal int Rows(int signal)
    {
        if (Factors.Count == 1) return Factors[0];
        int columns = Length / Factors[0];
        return Math.Min(Factors[0], (signal + columns - 1) / columns);
    }

    private Tensor Recurse(Tensor rows, int stage)
    {
        int n = Factors[stage];
        Tensor F = Roots(n, n, n);
        if (stage == Factors.Count - 1) return rows.mm(F);
        long columns = rows.shape[1] / n;
        Tensor X = rows.reshape(-1, n, columns), y = torch.einsum("ka,rab->rkb", F, X) * Roots(n, columns, n * columns);
        return Recurse(y.reshape(-1, columns), stage + 1).reshape(rows.shape);
    }

    /// <summary>exp(-2 pi i j k / N) for j and k below two bounds.</summary>
    private static Tensor Roots(long rows, long columns, long length)
    {
        Tensor turns = arange(rows, dtype: ScalarType.Int64).unsqueeze(1).mul(arange(columns, dtype: ScalarType.Int64)).remainder(length).to(ScalarType.Float64).mul(-2 * Math.PI / length);
        return torch.complex(turns.cos(), turns.sin());
    }

    private int[] Order()
    {
        int[] all = new int[Length];
        Fill(0, Length, 0, 1, 0);
        if (Kernel == FftKernel.Products) return all;
        int[] tiled = new int[Length];
        for (int i = 0; i < Length; i++)
        {
            int row = i / Tile % Tile, at = i % Tile;
            tiled[(i / (Tile * Tile) * Tile * Tile) + (at * Tile) + row] = all[i];
        }

        return tiled;

        void Fill(int start, int length, int stage, int step, int frequency)
        {
            if (stage == Factors.Count)
            {
                all[start] = frequency;
                return;
            }

            int part = length / Factors[stage];
            for (int k = 0; k < Factors[stage]; k++) Fill(start + (k * part), part, stage + 1, step * Factors[stage], frequency + (k * step));
        }
    }

    /// <summary>Butterflies: eights, a four or a sixteen where they do not come out even, and sixteen at the end. Products: factors near 16, the least sum.</summary>
    private static int[] Choose(int length, FftKernel kernel)
    {
        if (kernel == FftKernel.Butterflies)
        {
            int rest = BitOperations.Log2((uint)length) - 4;
            var first = new List<int>();
            if (rest % 3 == 1) first.Add(16);
            if (rest % 3 == 2) first.Add(4);
            rest -= first.Count == 0 ? 0 : BitOperations.Log2((uint)first[0]);
            return [.. Enumerable.Repeat(8, rest / 3), .. first, 16];
        }

        var factors = new List<int>();
        for (int prime = 2; length > 1; prime++)
        {
            for (; length % prime == 0; length /= prime) factors.Add(prime);
        }

        // Small primes are put together up to 16, the largest first.
        var joined = new List<int>();
        foreach (int prime in factors.OrderDescending())
        {
            int at = joined.FindIndex(f => f * prime <= 16);
            if (at < 0) joined.Add(prime);
            else joined[at] *= prime;
        }

        return [.. joined.Order()];
    }
}
