using Sparseland.Tensors;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Unmixing;

/// <summary>Where unmixing starts.</summary>
public static class EndmemberInit
{
    /// <summary>
    /// Successive projection (Araujo et al. 2001): the longest pixel, then the one that is longest after the directions of those before are
    /// taken out, and so on. It finds pure pixels exactly where there are some and no noise; ties go to the lower index.
    /// </summary>
    /// <param name="Y">[channels, pixels], float64, finite.</param>
    /// <param name="endmembers">How many, from 2 to min(channels, pixels).</param>
    /// <returns>Indices of the pixels in the order of their choice.</returns>
    /// <exception cref="ArgumentException">Y does not fit, or its pixels do not span so many dimensions.</exception>
    public static int[] SpaPixels(Tensor Y, int endmembers)
    {
        UnmixingInput.CheckMatrix(Y, nameof(Y), "[channels, pixels]", allowNegative: true);
        UnmixingInput.CheckCount(Y, endmembers, nameof(endmembers));
        using var scope = NewDisposeScope();
        Tensor length = Y.square().sum([0L]), directions = zeros([0, Y.shape[0]], dtype: ScalarType.Float64);
        double first = length.max().item<double>();
        int[] chosen = new int[endmembers];
        for (int k = 0; k < endmembers; k++)
        {
            int pixel = (int)length.argmax().item<long>();
            Tensor direction = Y.select(1, pixel).clone();

            // Twice: after one projection a nearly dependent pixel still has a share of the old directions.
            for (int pass = 0; pass < 2 && k > 0; pass++) direction = direction.sub(directions.t().mv(directions.mv(direction)));
            double norm = direction.norm().item<double>();
            if (!(norm * norm > 1e-20 * first))
                throw new ArgumentException($"The pixels of Y span {k} dimensions only; {endmembers} endmembers cannot be told apart.", nameof(endmembers));
            chosen[k] = pixel;
            direction = direction.div(norm);
            directions = cat([directions, direction.unsqueeze(0)]);
            length = length.sub(Y.t().mv(direction).square());
            foreach (int used in chosen.AsSpan(0, k + 1)) length[used] = double.NegativeInfinity;
        }

        return chosen;
    }

    /// <summary>The spectra of those pixels, M [channels, endmembers].</summary>
    /// <param name="Y">[channels, pixels], float64, finite.</param>
    /// <param name="endmembers">How many, from 2 to min(channels, pixels).</param>
    /// <exception cref="ArgumentException">Y does not fit, or its pixels do not span so many dimensions.</exception>
    public static Tensor Spa(Tensor Y, int endmembers)
    {
        using Tensor index = tensor(Array.ConvertAll(SpaPixels(Y, endmembers), i => (long)i));
        return Y.index_select(1, index);
    }

    /// <summary>A = 1/endmembers, each entry times a factor drawn from [1 - jitter, 1 + jitter): exactly even abundances can be a point of rest.</summary>
    /// <param name="endmembers">At least 1.</param>
    /// <param name="pixels">At least 1.</param>
    /// <param name="seed">Seed of the jitter.</param>
    /// <param name="jitter">In [0, 1). Default 0.1.</param>
    /// <returns>A [endmembers, pixels].</returns>
    /// <exception cref="ArgumentOutOfRangeException">A value is out of its range.</exception>
    public static Tensor EvenAbundances(int endmembers, int pixels, long seed, double jitter = 0.1)
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(endmembers);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(pixels);
        if (!(jitter >= 0 && jitter < 1)) throw new ArgumentOutOfRangeException(nameof(jitter), jitter, "jitter must be in [0, 1).");
        var random = new SeededRandom(seed, 7);
        double[] values = new double[checked(endmembers * pixels)];
        for (int i = 0; i < values.Length; i++) values[i] = random.NextDouble(1 - jitter, 1 + jitter) / endmembers;
        return tensor(values).view(endmembers, pixels);
    }
}
