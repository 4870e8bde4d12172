using Sparseland.Tensors;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Bayes;

/// <summary>A planted problem of the paper's simulations: Gaussian factors, Gaussian values, a support that is a Kronecker product.</summary>
/// <param name="Dictionary">The factors.</param>
/// <param name="Truth">x [coefficients].</param>
/// <param name="Measurements">y = A x + noise.</param>
/// <param name="NoiseVariance">s2 = ||A x||^2 / (M 10^(SNR/10)).</param>
/// <param name="Supports">Indices of each factor, ascending; empty for a support that is no Kronecker product.</param>
public sealed record KroneckerProblem(
    KroneckerDictionary Dictionary, Tensor Truth, Tensor Measurements, double NoiseVariance, int[][] Supports) : IDisposable
{
    private readonly NativeSize _size = NativeSize.Of(Truth, Measurements);

    /// <summary>Draws one.</summary>
    /// <param name="coefficients">N_i.</param>
    /// <param name="measurements">M_i.</param>
    /// <param name="nonZeros">Non-zero entries of each factor of x, from 1 to the smallest N_i.</param>
    /// <param name="snr">Signal to noise ratio in decibel.</param>
    /// <param name="seed">Seed.</param>
    /// <param name="kroneckerSupport">
    /// False for the same number of non-zero coefficients, nonZeros^I, at random places with N(0, 1) values: what the method does not expect.
    /// Default true.
    /// </param>
    /// <exception cref="ArgumentException">Sizes do not fit.</exception>
    public static KroneckerProblem Draw(
        IReadOnlyList<int> coefficients, IReadOnlyList<int> measurements, int nonZeros, double snr, long seed, bool kroneckerSupport = true)
    {
        ArgumentNullException.ThrowIfNull(coefficients);
        ArgumentNullException.ThrowIfNull(measurements);
        if (coefficients.Count != measurements.Count || coefficients.Count < 2)
            throw new ArgumentException($"There are {coefficients.Count} N_i and {measurements.Count} M_i; at least 2 of each, as many of both.", nameof(measurements));
        if (coefficients.Concat(measurements).Any(size => size < 1)) throw new ArgumentException("All N_i and M_i must be at least 1.", nameof(coefficients));
        if (nonZeros < 1 || nonZeros > coefficients.Min())
            throw new ArgumentOutOfRangeException(nameof(nonZeros), nonZeros, $"From 1 to the smallest N_i = {coefficients.Min()}.");
        if (!double.IsFinite(snr)) throw new ArgumentOutOfRangeException(nameof(snr), snr, "The SNR must be finite.");
        using var scope = NewDisposeScope();
        var random = new SeededRandom(seed, 1);
        Tensor[] factors = new Tensor[coefficients.Count];
        double[][] x = new double[factors.Length][];
        int[][] supports = new int[factors.Length][];
        for (int i = 0; i < factors.Length; i++)
        {
            factors[i] = tensor(Gaussians(ref random, coefficients[i] * measurements[i])).view(measurements[i], coefficients[i]);
            supports[i] = Places(ref random, coefficients[i], nonZeros);
            x[i] = new double[coefficients[i]];
            foreach (int a in supports[i]) x[i][a] = random.NextGaussian();
        }

        double[] truth = ModeProduct.Kron(x);
        if (!kroneckerSupport)
        {
            int[] places = Places(ref random, truth.Length, (int)Math.Pow(nonZeros, factors.Length));
            Array.Clear(truth);
            foreach (int place in places) truth[place] = random.NextGaussian();
            supports = [];
        }

        var dictionary = new KroneckerDictionary(factors);
        Tensor coefficientsOfX = tensor(truth), clean = dictionary.Apply(coefficientsOfX);
        double noise = clean.square().mean().item<double>() / Math.Pow(10, snr / 10);
        Tensor y = clean.add(tensor(Gaussians(ref random, (int)clean.shape[0])).mul(Math.Sqrt(noise)));
        return new(dictionary, coefficientsOfX.MoveToOuterDisposeScope(), y.MoveToOuterDisposeScope(), noise, supports);
    }

    internal static double[] Gaussians(ref SeededRandom random, int count)
    {
        double[] values = new double[count];
        for (int i = 0; i < count; i++) values[i] = random.NextGaussian();
        return values;
    }

    private static int[] Places(ref SeededRandom random, int size, int count)
    {
        int[] order = random.Permutation<int>(size);
        return [.. order[..count].Order()];
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        Dictionary.Dispose();
        Truth.Dispose();
        Measurements.Dispose();
        _size.Dispose();
    }

    /// <inheritdoc/>
    public override string ToString() => Readable.Of(this);
}
