using Sparseland.Penalties;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Tests.Penalties;

public class TensorProxTests
{
    [Theory]
    [InlineData(ScalarType.Float64)]
    [InlineData(ScalarType.Float32)]
    public void Chunks_give_what_one_span_gives(ScalarType type)
    {
        using var scope = NewDisposeScope();
        using var generator = new Generator(3);
        Tensor z = randn([123, 457], dtype: type, generator: generator);
        IPenalty penalty = new Cel0(0.3);
        Tensor result = penalty.Prox(z, 0.4);
        double[] flat = z.to(ScalarType.Float64).data<double>().ToArray(), expected = new double[flat.Length];
        penalty.Prox<double>(flat, 0.4, expected);
        double[] actual = result.to(ScalarType.Float64).data<double>().ToArray();
        double tolerance = type == ScalarType.Float64 ? 0 : 2e-6;
        for (int i = 0; i < flat.Length; i++) Assert.InRange(Math.Abs(actual[i] - expected[i]), 0, tolerance);
        Assert.Equal(type, result.dtype);
        Assert.Equal(z.shape, result.shape);
        Assert.Equal(penalty.Value<double>(actual), penalty.Value(result), 1e-9 * penalty.Value<double>(actual));

        Tensor transposed = penalty.Prox(z.t(), 0.4);
        Assert.True(transposed.equal(result.t()).all().item<bool>());
        penalty.ProxInPlace(z, 0.4);
        Assert.True(z.equal(result).all().item<bool>());
    }

    [Fact]
    public void A_group_penalty_goes_row_by_row()
    {
        using var scope = NewDisposeScope();
        using var generator = new Generator(4);
        Tensor z = randn([3000, 12], dtype: ScalarType.Float64, generator: generator);
        IPenalty penalty = new GroupLasso(GroupPartition.Consecutive(12, 3), 0.4);
        double[] row = z[2999].data<double>().ToArray();
        penalty.Prox<double>(row, 0.5, row);
        Assert.Equal(row, penalty.Prox(z, 0.5)[2999].data<double>().ToArray());
        Assert.Contains("must be 12", Assert.Throws<ArgumentException>(() => penalty.Prox(z.t(), 0.5)).Message);
    }

    [Fact]
    public void Refuses_nan_and_wrong_tensors()
    {
        using var scope = NewDisposeScope();
        IPenalty penalty = new L1(1);
        Tensor z = zeros(40_000, dtype: ScalarType.Float64);
        z[30_001] = double.NaN;
        Assert.Contains("NaN at flat index 30001", Assert.Throws<ArgumentException>(() => penalty.Prox(z, 0.5)).Message);
        Assert.Contains("Int64", Assert.Throws<ArgumentException>(() => penalty.Prox(arange(3), 0.5)).Message);
        Assert.Contains("contiguous", Assert.Throws<ArgumentException>(() => penalty.ProxInPlace(zeros(3, 4).t(), 0.5)).Message);
        Assert.Throws<ArgumentOutOfRangeException>(() => penalty.Prox(zeros(3), 0));
        Assert.Equal(0, penalty.Prox(zeros(0), 1).numel());
    }
}
