using Sparseland.Tensors;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Data;

/// <summary>
/// Mean power of images over rings of equal frequency: 1/f^2 for photographs and dead leaves, flat for whitened ones.
/// </summary>
/// <param name="Frequency">Ring radii 1, 2, ... up to the Nyquist frequency, in cycles per image height.</param>
/// <param name="Power">Mean of |F|^2 / pixels over a ring and over the images: 1 at every frequency for white noise of variance 1.</param>
public sealed record RadialSpectrum(double[] Frequency, double[] Power)
{
    /// <summary>Measures the spectrum of images.</summary>
    /// <param name="images">[count, height, width], float32 or float64, finite.</param>
    /// <param name="window">
    /// Whether a Hann window takes the image to zero at its border. Without it the jump between opposite borders of an image
    /// that is not periodic adds a 1/f^2 spectrum of its own; images that went through a periodic filter need none.
    /// Default true.
    /// </param>
    /// <returns>The spectrum of the images, each minus its mean.</returns>
    /// <exception cref="ArgumentException">Wrong shape or type, or a value that is not finite.</exception>
    public static RadialSpectrum Of(Tensor images, bool window = true)
    {
        (_, int height, int width) = ImageStack.Validate(images);
        using DisposeScope scope = NewDisposeScope();
        Tensor data = images.to(ScalarType.Float64).cpu();
        data = data - data.mean([1, 2], keepdim: true);
        double energy = 1;
        if (window)
        {
            Tensor hann = torch.hann_window(height, dtype: ScalarType.Float64).unsqueeze(1) * torch.hann_window(width, dtype: ScalarType.Float64).unsqueeze(0);
            energy = hann.square().mean().item<double>();
            data = data * hann;
        }
        Tensor spectrum = fft.rfft2(data).abs().square().mean([0]) / ((double)height * width * energy);
        double[] power = [.. spectrum.contiguous().data<double>()];

        int columns = (width / 2) + 1;
        int rings = Math.Min(height / 2, (int)((double)(width / 2) * height / width));
        double[] sum = new double[rings + 1], weight = new double[rings + 1];
        for (int row = 0; row < height; row++)
        {
            for (int column = 0; column < columns; column++)
            {
                int ring = (int)Math.Round(RetinalFilter.Radius(row, column, height, width));
                if (ring < 1 || ring > rings)
                    continue;
                // The half spectrum holds once what the whole has twice, but for its own first and last column.
                double times = column == 0 || 2 * column == width ? 1 : 2;
                sum[ring] += times * power[(row * columns) + column];
                weight[ring] += times;
            }
        }
        int[] kept = [.. Enumerable.Range(1, rings).Where(ring => weight[ring] > 0)];
        return new RadialSpectrum([.. kept.Select(ring => (double)ring)], [.. kept.Select(ring => sum[ring] / weight[ring])]);
    }

    /// <summary>Slope of log power over log frequency by least squares: -2 for 1/f^2, 0 for white.</summary>
    /// <param name="low">Lowest frequency used.</param>
    /// <param name="high">Highest frequency used.</param>
    /// <exception cref="ArgumentException">Fewer than two rings lie between them, or one has no power.</exception>
    public double Slope(double low, double high)
    {
        int[] used = [.. Enumerable.Range(0, Frequency.Length).Where(i => Frequency[i] >= low && Frequency[i] <= high)];
        if (used.Length < 2)
            throw new ArgumentException($"A slope needs two frequencies; between {low} and {high} there are {used.Length}.", nameof(low));
        if (used.Any(i => !(Power[i] > 0)))
            throw new ArgumentException($"There is no power at some frequency between {low} and {high}, so no logarithm.", nameof(low));
        double[] x = [.. used.Select(i => Math.Log(Frequency[i]))], y = [.. used.Select(i => Math.Log(Power[i]))];
        double meanX = x.Average(), meanY = y.Average();
        return x.Zip(y, (a, b) => (a - meanX) * (b - meanY)).Sum() / x.Sum(a => (a - meanX) * (a - meanX));
    }

    /// <inheritdoc/>
    public override string ToString() => Readable.Of(this);
}
