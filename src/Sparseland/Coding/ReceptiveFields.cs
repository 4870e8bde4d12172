using Sparseland.Tensors;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Coding;

/// <summary>Tuning of atoms to sine gratings.</summary>
/// <param name="SelectivityIndex">OSI of each atom, 0 (none) to 1 (one orientation only).</param>
/// <param name="PreferredOrientation">Angle of the strongest grating, in [0, pi): the direction in which it varies.</param>
/// <param name="PreferredFrequency">Its frequency in cycles per pixel.</param>
/// <param name="Orientations">The angles tried.</param>
/// <param name="Frequencies">The frequencies tried.</param>
/// <param name="Amplitude">Response amplitude [atom, orientation, frequency].</param>
public sealed record OrientationTuning(
    IReadOnlyList<double> SelectivityIndex,
    IReadOnlyList<double> PreferredOrientation,
    IReadOnlyList<double> PreferredFrequency,
    IReadOnlyList<double> Orientations,
    IReadOnlyList<double> Frequencies,
    double[,,] Amplitude)
{
    /// <summary>Median OSI over atoms.</summary>
    public double MedianSelectivity
    {
        get
        {
            double[] sorted = [.. SelectivityIndex.Order()];
            return (sorted[(sorted.Length - 1) / 2] + sorted[sorted.Length / 2]) / 2;
        }
    }

    /// <inheritdoc/>
    public override string ToString() => Readable.Of(this);
}

/// <summary>Receptive-field analysis of dictionaries of square patches.</summary>
public static class ReceptiveFields
{
    /// <summary>
    /// Orientation selectivity index |sum_th A(th) e^(2 i th)|/sum_th A(th), where A(th) is the largest response amplitude over
    /// frequencies to a sine grating of orientation th (the length of the responses to its quadrature pair).
    /// </summary>
    /// <param name="dictionary">[atoms, patchSize^2], rows of pixels one after another.</param>
    /// <param name="patchSize">Side of a patch.</param>
    /// <param name="orientations">Number of orientations, evenly over [0, pi). Default 24.</param>
    /// <param name="frequencies">Cycles per pixel; by default six, evenly from 1/patchSize to 0.4.</param>
    /// <exception cref="ArgumentException">The features are not patchSize^2, or a number is out of its range.</exception>
    public static OrientationTuning OrientationSelectivity(
        Tensor dictionary, int patchSize, int orientations = 24, IReadOnlyList<double>? frequencies = null)
    {
        TensorInput.CheckMatrix(dictionary, nameof(dictionary), "[atoms, features]");
        ArgumentOutOfRangeException.ThrowIfLessThan(patchSize, 2);
        ArgumentOutOfRangeException.ThrowIfLessThan(orientations, 3);
        if (dictionary.shape[1] != (long)patchSize * patchSize)
            throw new ArgumentException($"An atom has {dictionary.shape[1]} values, but a patch of side {patchSize} has {patchSize * patchSize}.", nameof(dictionary));
        frequencies ??= DefaultFrequencies(patchSize);
        if (frequencies.Count == 0 || frequencies.Any(f => !(f > 0) || f > 0.5))
            throw new ArgumentException("Frequencies must lie in (0, 0.5] cycles per pixel, and there must be one.", nameof(frequencies));

        double[] angles = [.. Enumerable.Range(0, orientations).Select(i => i * Math.PI / orientations)];
        double[] responses = Respond(dictionary, Gratings(patchSize, angles, frequencies));
        int atoms = (int)dictionary.shape[0], pairs = orientations * frequencies.Count;
        var amplitude = new double[atoms, orientations, frequencies.Count];
        double[] index = new double[atoms], angle = new double[atoms], frequency = new double[atoms];
        for (int k = 0; k < atoms; k++)
        {
            double strongest = -1, real = 0, imaginary = 0, total = 0;
            for (int o = 0; o < orientations; o++)
            {
                double top = 0;
                for (int f = 0; f < frequencies.Count; f++)
                {
                    int at = (k * pairs + o * frequencies.Count + f) * 2;
                    double a = Math.Sqrt(responses[at] * responses[at] + responses[at + 1] * responses[at + 1]);
                    amplitude[k, o, f] = a;
                    top = Math.Max(top, a);
                    if (a > strongest) (strongest, angle[k], frequency[k]) = (a, angles[o], frequencies[f]);
                }

                real += top * Math.Cos(2 * angles[o]);
                imaginary += top * Math.Sin(2 * angles[o]);
                total += top;
            }

            index[k] = total > 0 ? Math.Sqrt(real * real + imaginary * imaginary) / total : 0;
        }

        return new OrientationTuning(index, angle, frequency, angles, frequencies, amplitude);
    }

    private static double[] DefaultFrequencies(int patchSize)
    {
        double low = 1.0 / patchSize, high = Math.Max(low, 0.4);
        return [.. Enumerable.Range(0, 6).Select(i => low + (high - low) * i / 5)];
    }

    /// <summary>[orientation, frequency, cosine and sine] one after another, each a patch without mean and of unit norm.</summary>
    private static double[] Gratings(int size, double[] angles, IReadOnlyList<double> frequencies)
    {
        int pixels = size * size;
        double[] all = new double[angles.Length * frequencies.Count * 2 * pixels];
        int row = 0;
        double centre = (size - 1) / 2.0;
        foreach (double angle in angles)
        {
            foreach (double frequency in frequencies)
            {
                for (int phase = 0; phase < 2; phase++, row++)
                {
                    Span<double> grating = all.AsSpan(row * pixels, pixels);
                    for (int y = 0; y < size; y++)
                    {
                        for (int x = 0; x < size; x++)
                        {
                            double along = (x - centre) * Math.Cos(angle) + (y - centre) * Math.Sin(angle);
                            grating[y * size + x] = Math.Cos(2 * Math.PI * frequency * along - phase * Math.PI / 2);
                        }
                    }

                    // Patches have no mean; a grating with one would favour some orientations by the window alone.
                    double mean = System.Numerics.Tensors.TensorPrimitives.Sum<double>(grating) / pixels;
                    System.Numerics.Tensors.TensorPrimitives.Subtract(grating, mean, grating);
                    double norm = System.Numerics.Tensors.TensorPrimitives.Norm<double>(grating);
                    if (norm > 1e-9 * size) System.Numerics.Tensors.TensorPrimitives.Divide(grating, norm, grating);
                }
            }
        }

        return all;
    }

    private static double[] Respond(Tensor dictionary, double[] gratings)
    {
        using var scope = NewDisposeScope();
        Tensor bank = tensor(gratings, dtype: ScalarType.Float64).view(-1, dictionary.shape[1]);
        return dictionary.to(ScalarType.Float64).mm(bank.t()).contiguous().data<double>().ToArray();
    }
}
