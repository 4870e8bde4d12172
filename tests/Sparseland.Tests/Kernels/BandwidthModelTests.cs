using Sparseland.Kernels;
using Sparseland.Selection;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Tests.Kernels;

public class BandwidthModelTests
{
    // Kurtic et al. 2023, figures rounded: v / (v d + 1) and 32 / (v d + 1).
    [Theory]
    [InlineData(0.5, 32, 1.88, 1.88)]
    [InlineData(0.5, 8, 1.60, 6.4)]
    [InlineData(0.25, 32, 3.56, 3.56)]
    [InlineData(0.25, 8, 2.67, 10.67)]
    public void Bitmaps_are_faster_by_the_figures_of_the_model(double density, int bits, double same, double single)
    {
        Assert.Equal(same, BandwidthModel.SpeedUp(BandwidthModel.Bitmap(density, bits), bits), 0.005);
        Assert.Equal(single, BandwidthModel.SpeedUp(BandwidthModel.Bitmap(density, bits)), 0.005);
    }

    [Fact]
    public void Formulas_are_the_bits_of_the_matrices()
    {
        using DisposeScope scope = NewDisposeScope();
        using Generator generator = new(2);
        Tensor W = randn([64, 128], generator: generator), half = W * rand([64, 128], generator: generator).lt(0.3);
        double density = Support.FromMask(half.ne(0)).Count / (64.0 * 128), places = 64 * 128 / 8.0;
        Assert.Equal(places * BandwidthModel.Bitmap(density), BitmapMatrix.FromDense(half).Bytes, 1e-6);
        Assert.Equal((places * BandwidthModel.Csr(density)) + (4 * 65), CsrMatrix.FromDense(half).Bytes, 1e-6);
        foreach ((int n, int m) in new[] { (2, 4), (4, 8), (16, 32), (16, 64) })
        {
            Support kept = Select.TopK(W.abs(), Budget.NofM(n, m));
            Assert.Equal(places * BandwidthModel.NofM(n, m), NofMMatrix.From(kept, kept.Gather(W), n, m).Bytes, 1e-6);
        }

        Assert.Equal(32, BandwidthModel.Dense(32));
        Assert.Equal(1, BandwidthModel.SpeedUp(BandwidthModel.Csr(2 / 3.0)), 1e-12);
        Assert.Equal(1, BandwidthModel.SpeedUp(BandwidthModel.Bitmap(31 / 32.0)), 1e-12);
    }

    [Fact]
    public void Bad_input_is_refused()
    {
        foreach (double density in new[] { -0.1, 1.1, double.NaN })
        {
            Assert.Throws<ArgumentOutOfRangeException>("density", () => BandwidthModel.Bitmap(density));
            Assert.Throws<ArgumentOutOfRangeException>("density", () => BandwidthModel.Csr(density));
        }

        Assert.Throws<ArgumentOutOfRangeException>("bits", () => BandwidthModel.Dense(0));
        Assert.Throws<ArgumentOutOfRangeException>("n", () => BandwidthModel.NofM(5, 4));
        Assert.Throws<ArgumentOutOfRangeException>("m", () => BandwidthModel.NofM(1, 1));
        foreach (double bits in new[] { 0, -1, double.NaN, double.PositiveInfinity }) Assert.Throws<ArgumentOutOfRangeException>("bitsPerPlace", () => BandwidthModel.SpeedUp(bits));
    }
}
