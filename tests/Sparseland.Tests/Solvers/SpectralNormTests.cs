using Sparseland.Solvers;
using Sparseland.Tests.Coding;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Tests.Solvers;

public class SpectralNormTests
{
    [Theory]
    [InlineData(20, 30)]
    [InlineData(30, 20)]
    [InlineData(1, 7)]
    [InlineData(7, 1)]
    public void Is_the_largest_singular_value(int rows, int columns)
    {
        using var scope = NewDisposeScope();
        for (int seed = 0; seed < 5; seed++)
        {
            Tensor A = CodingData.Random(rows, columns, seed);
            double norm = linalg.norm(A, 2).item<double>();
            Assert.Equal(norm, SpectralNorm.Of(A), norm * 1e-12);
            Assert.Equal(norm, SpectralNorm.Of(A.t()), norm * 1e-12);
            Assert.InRange(SpectralNorm.SquaredBound(A), norm * norm, norm * norm * (1 + 1e-9));
        }
    }

    /// <summary>Large matrices, whose bound comes from Lanczos's iteration: spectra with a cluster, a lone top and a flat top.</summary>
    [Theory]
    [InlineData("random")]
    [InlineData("lone")]
    [InlineData("identity")]
    [InlineData("hidden")]
    public void The_bound_of_a_large_matrix_is_above_and_close(string kind)
    {
        using var scope = NewDisposeScope();
        for (int seed = 0; seed < 3; seed++)
        {
            Tensor A = kind switch
            {
                "random" => CodingData.Random(300, 280, seed),
                "lone" => CodingData.Random(300, 1, seed).mm(CodingData.Random(1, 300, seed + 9)) + 0.01 * CodingData.Random(300, 300, seed + 5),
                "identity" => eye(300, dtype: ScalarType.Float64),
                // One direction among 300 stands out by a tenth.
                _ => eye(300, dtype: ScalarType.Float64) + 0.1 * CodingData.Random(300, 1, seed).div(Math.Sqrt(300)) * CodingData.Random(1, 300, seed).div(Math.Sqrt(300)),
            };
            double squared = Math.Pow(linalg.norm(A, 2).item<double>(), 2);
            Assert.InRange(SpectralNorm.SquaredBound(A, seed), squared, squared * 1.09);
            Assert.InRange(SpectralNorm.SquaredBound(DenseMap.FromPhi(A), seed), squared * (1 - 1e-10), squared * 1.09);
        }
    }

    [Fact]
    public void Scales_and_bad_input()
    {
        using var scope = NewDisposeScope();
        Tensor phi = tensor(new double[,] { { 1 }, { 2 }, { 3 } });
        foreach (double scale in new[] { 1e-100, 1, 1e100 })
        {
            Assert.Equal(1, SpectralNorm.SquaredBound(DenseMap.FromPhi(phi * scale)) / (14 * scale * scale), 1e-9);
            Assert.Equal(1, SpectralNorm.Of(phi * scale) / (Math.Sqrt(14) * scale), 1e-12);
        }

        Assert.Equal(0, SpectralNorm.Of(zeros(3, 4, dtype: ScalarType.Float64)));
        Assert.Equal(0, SpectralNorm.SquaredBound(zeros(300, 400)));
        Assert.Throws<ArgumentException>(() => SpectralNorm.Of(zeros(3)));
        Assert.Throws<ArgumentException>(() => SpectralNorm.SquaredBound(tensor(new double[,] { { 1, double.NaN } })));
    }
}
