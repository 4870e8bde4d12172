using Sparseland.Tensors;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Bayes;

/// <summary>
/// Received pilots of a cascaded channel, mobile station (MS) to intelligent reflecting surface (IRS) to base station (BS), and its
/// Kronecker-structured dictionary (He and Joseph 2024, section V).
/// </summary>
/// <remarks>
/// Steering vectors a(k) = exp(j pi (2k/R - 1) n)/sqrt(size) on a uniform grid of R cosines. Pattern w_k and pilots X give
/// Y_k = H_IRS-BS diag(w_k) H_MS-IRS X + noise. Since a_i . conj(a_j) depends only on i - j modulo R, the surface needs R columns
/// a_0 . conj(a_j) and not R^2. Order of y: pattern, pilot, BS antenna; of x: angle difference at the surface, MS angle, BS angle.
/// </remarks>
/// <param name="Dictionary">A_1 = W^T [a_0 . conj(a_j)] [patterns, R], A_2 = X^T conj(A_MS) [pilots, R], A_3 = A_BS [antennas, R].</param>
/// <param name="Truth">x [R^3].</param>
/// <param name="Received">y [patterns * pilots * BS antennas].</param>
/// <param name="NoiseVariance">Of each complex measurement, ||A x||^2 / (M 10^(SNR/10)).</param>
/// <param name="Channel">H_IRS-BS diag(w_k) H_MS-IRS of each pattern [patterns, MS antennas * BS antennas], BS antenna fastest.</param>
/// <param name="Supports">Indices of x's support in each factor.</param>
public sealed record IrsMimoChannel(
    KroneckerDictionary Dictionary, Tensor Truth, Tensor Received, double NoiseVariance, Tensor Channel, int[][] Supports) : IDisposable
{
    private readonly NativeSize _size = NativeSize.Of(Truth, Received, Channel);

    private KroneckerDictionary? _cascade;

    /// <summary>Draws a channel, pilots, patterns and noise.</summary>
    /// <param name="snr">Signal to noise ratio at the base station in decibel.</param>
    /// <param name="seed">Channels of one seed at different SNR differ in the scale of the noise only.</param>
    /// <param name="options">Sizes; null for the paper's.</param>
    /// <exception cref="ArgumentException">A size or the SNR is out of its range.</exception>
    public static IrsMimoChannel Simulate(double snr, long seed, IrsMimoOptions? options = null)
    {
        options ??= new();
        options.Validate();
        if (!double.IsFinite(snr)) throw new ArgumentOutOfRangeException(nameof(snr), snr, "The SNR must be finite.");
        using var scope = NewDisposeScope();
        int grid = options.Grid, spread = options.Spread;
        var random = new SeededRandom(seed, 2);
        int mobile = random.NextInt(grid), departure = random.NextInt(grid);
        int arrival = random.NextInt(grid - spread + 1), atBase = random.NextInt(grid - spread + 1);
        Tensor irsGains = Gains(ref random, grid, arrival, spread), baseGains = Gains(ref random, grid, atBase, spread);
        Tensor patterns = tensor(Signs(ref random, options.Elements * options.Patterns))
            .view(options.Elements, options.Patterns).div(Math.Sqrt(options.Elements)).to(ScalarType.ComplexFloat64);
        Tensor aMobile = Steering(options.MobileAntennas, grid);
        Tensor pilots = Pilots(ref random, options, aMobile);
        Tensor aIrs = Steering(options.Elements, grid), aBase = Steering(options.BaseAntennas, grid);
        double toIrs = Math.Sqrt((double)options.MobileAntennas * options.Elements / spread);
        double toBase = Math.Sqrt((double)options.BaseAntennas * options.Elements / spread);
        Tensor h1 = aIrs.mv(irsGains).unsqueeze(1).mm(Column(aMobile, mobile).mH).mul(toIrs);
        Tensor h2 = aBase.mv(baseGains).unsqueeze(1).mm(Column(aIrs, departure).mH).mul(toBase);
        Tensor channel = stack([.. Enumerable.Range(0, options.Patterns).Select(k => h2.mul(patterns.select(1, k)).mm(h1).t().reshape(-1))]);

        Tensor surface = patterns.t().mm(aIrs.conj().mul(Column(aIrs, 0)));
        var dictionary = new KroneckerDictionary(surface, pilots.t().mm(aMobile.conj()), aBase);
        var cascade = new KroneckerDictionary(surface, aMobile.conj(), aBase);

        // Path i arrives i - departure grid points from where it leaves; a_0 . conj(a_j) is the difference -j.
        Tensor difference = zeros(grid, dtype: ScalarType.ComplexFloat64);
        int[] places = [.. Enumerable.Range(arrival, spread).Select(i => (departure - i + grid) % grid)];
        difference.index_copy_(0, tensor(places, dtype: ScalarType.Int64), irsGains.narrow(0, arrival, spread));
        Tensor single = zeros(grid, dtype: ScalarType.ComplexFloat64);
        single[mobile] = ones([], dtype: ScalarType.ComplexFloat64);
        Tensor truth = kron(kron(difference, single), baseGains).mul(toIrs * toBase);
        Tensor clean = dictionary.Apply(truth);
        int count = (int)clean.shape[0];
        double noise = clean.abs().square().mean().item<double>() / Math.Pow(10, snr / 10);
        Tensor rest = complex(tensor(KroneckerProblem.Gaussians(ref random, count)), tensor(KroneckerProblem.Gaussians(ref random, count)));
        Tensor received = clean.add(rest.mul(Math.Sqrt(noise / 2)));
        return new(
            dictionary, truth.MoveToOuterDisposeScope(), received.MoveToOuterDisposeScope(), noise, channel.MoveToOuterDisposeScope(),
            [[.. places.Order()], [mobile], [.. Enumerable.Range(atBase, spread)]]) { _cascade = cascade };
    }

    /// <summary>||H^_k - H_k||^2 / ||H_k||^2, mean over the patterns: the error of the channel, not of x.</summary>
    /// <param name="estimate">x^ [R^3].</param>
    /// <exception cref="ArgumentException">Length or type do not fit.</exception>
    public double ChannelNmse(Tensor estimate)
    {
        using var scope = NewDisposeScope();
        Tensor rebuilt = _cascade!.Apply(estimate).view(Channel.shape);
        return rebuilt.sub(Channel).abs().square().sum([1]).div(Channel.abs().square().sum([1])).mean().item<double>();
    }

    /// <summary>QPSK pilots; those that are blind to an angle of the grid, all orthogonal to its steering vector, are drawn again.</summary>
    private static Tensor Pilots(ref SeededRandom random, IrsMimoOptions options, Tensor steering)
    {
        int symbols = options.MobileAntennas * options.Pilots;
        while (true)
        {
            Tensor pilots = complex(tensor(Signs(ref random, symbols)), tensor(Signs(ref random, symbols)))
                .view(options.MobileAntennas, options.Pilots).div(Math.Sqrt(2.0 * options.MobileAntennas));
            if (pilots.t().mm(steering.conj()).abs().pow(2).sum([0L]).min().item<double>() > 1e-12) return pilots;
        }
    }

    /// <summary>exp(j pi (2k/R - 1) n)/sqrt(size) [size, R].</summary>
    internal static Tensor Steering(int size, int grid)
    {
        using var scope = NewDisposeScope();
        Tensor n = arange(size, dtype: ScalarType.Float64).unsqueeze(1), k = arange(grid, dtype: ScalarType.Float64).unsqueeze(0);
        Tensor phase = n.mul(k.mul(2.0 / grid).sub(1)).mul(Math.PI);
        return complex(phase.cos(), phase.sin()).div(Math.Sqrt(size)).MoveToOuterDisposeScope();
    }

    private static Tensor Column(Tensor matrix, int index) => matrix.narrow(1, index, 1);

    private static Tensor Gains(ref SeededRandom random, int grid, int from, int spread)
    {
        double[] real = new double[grid], imaginary = new double[grid];
        for (int i = from; i < from + spread; i++)
        {
            real[i] = random.NextGaussian() / Math.Sqrt(2);
            imaginary[i] = random.NextGaussian() / Math.Sqrt(2);
        }

        return complex(tensor(real), tensor(imaginary));
    }

    private static double[] Signs(ref SeededRandom random, int count)
    {
        double[] values = new double[count];
        for (int i = 0; i < count; i++) values[i] = random.NextInt(2) == 0 ? -1 : 1;
        return values;
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        Dictionary.Dispose();
        _cascade?.Dispose();
        Truth.Dispose();
        Received.Dispose();
        Channel.Dispose();
        _size.Dispose();
    }

    /// <inheritdoc/>
    public override string ToString() => Readable.Of(this);
}
