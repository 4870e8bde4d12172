using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Data;

/// <summary>
/// The whitening filter of Olshausen and Field 1997: f(rho) = rho exp(-(rho / f0)^4) over the frequency radius. The factor
/// rho flattens a 1/rho^2 power spectrum; the exponential takes off what is mostly sampling noise in the corners.
/// </summary>
public static class RetinalFilter
{
    /// <summary>The filter over the half spectrum that <c>torch.fft.rfft2</c> gives.</summary>
    /// <param name="height">Rows of the image, at least 2.</param>
    /// <param name="width">Columns of the image, at least 2.</param>
    /// <param name="cutoff">f0 as a share of the height: 0.4 is 0.8 of the Nyquist frequency. Finite and above 0. Default 0.4.</param>
    /// <returns>
    /// float64 [height, width / 2 + 1]. The radius is in cycles per image height along both axes, so for a square image it
    /// is the integer frequency radius and for others the filter stays round.
    /// </returns>
    /// <exception cref="ArgumentOutOfRangeException">An argument is out of its range.</exception>
    public static Tensor Response(int height, int width, double cutoff = 0.4)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(height, 2);
        ArgumentOutOfRangeException.ThrowIfLessThan(width, 2);
        ValidateCutoff(cutoff, nameof(cutoff));
        int columns = (width / 2) + 1;
        double f0 = cutoff * height;
        double[] response = new double[height * columns];
        for (int row = 0; row < height; row++)
        {
            for (int column = 0; column < columns; column++)
            {
                double rho = Radius(row, column, height, width);
                response[(row * columns) + column] = rho * Math.Exp(-Math.Pow(rho / f0, 4));
            }
        }
        return tensor(response, [height, columns]);
    }

    /// <summary>Multiplies the spectrum of each image by the filter; the image is taken as periodic.</summary>
    /// <param name="images">[count, height, width], float32 or float64.</param>
    /// <param name="cutoff">f0 as a share of the height. Default 0.4.</param>
    /// <returns>Filtered images of the same shape, type and device, each of mean zero since f(0) = 0.</returns>
    /// <exception cref="ArgumentException">The images have another shape or type, or hold a value that is not finite.</exception>
    /// <exception cref="ArgumentOutOfRangeException">The cut-off is not finite or not above 0.</exception>
    public static Tensor Apply(Tensor images, double cutoff = 0.4)
    {
        (_, int height, int width) = ImageStack.Validate(images);
        ValidateCutoff(cutoff, nameof(cutoff));
        using DisposeScope scope = NewDisposeScope();
        Tensor response = Response(height, width, cutoff).to(images.dtype, images.device);
        return fft.irfft2(fft.rfft2(images) * response, [height, width]).MoveToOuterDisposeScope();
    }

    /// <summary>Frequency radius of a bin of the half spectrum, in cycles per image height.</summary>
    internal static double Radius(int row, int column, int height, int width)
    {
        double vertical = row <= height / 2 ? row : row - height;
        double horizontal = (double)column * height / width;
        return Math.Sqrt((vertical * vertical) + (horizontal * horizontal));
    }

    internal static void ValidateCutoff(double cutoff, string name)
    {
        if (!double.IsFinite(cutoff) || cutoff <= 0)
            throw new ArgumentOutOfRangeException(name, cutoff, "The cut-off frequency must be finite and above 0 (as a share of the image's height).");
    }
}
