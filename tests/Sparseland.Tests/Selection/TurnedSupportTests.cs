using Sparseland.Selection;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Tests.Selection;

public sealed class TurnedSupportTests
{
    // Above and below the length from which threads share the work; elements of each size.
    [Theory]
    [InlineData(7, 5, 11, ScalarType.Float32)]
    [InlineData(400, 700, 150_001, ScalarType.Float32)]
    [InlineData(400, 700, 150_001, ScalarType.Float64)]
    [InlineData(30, 40, 500, ScalarType.Float16)]
    [InlineData(30, 40, 500, ScalarType.Int8)]
    [InlineData(3, 4, 0, ScalarType.Float32)]
    public void Values_go_where_the_transposed_matrix_has_them(int rows, int columns, int count, ScalarType type)
    {
        using var scope = NewDisposeScope();
        Support support = Support.Random(rows, columns, count, seed: 3);
        Tensor dense = arange((long)rows * columns, dtype: ScalarType.Int64).remainder(101).to(type).view(rows, columns), values = support.Gather(dense);
        TurnedSupport turned = new(support);
        Assert.Same(support, turned.Rows);
        Tensor expected = turned.Columns.Gather(dense.t().contiguous()), strided = stack([values, values], 1).select(1, 0);
        Assert.True(expected.equal(turned.Turn(values)).all().item<bool>());
        Assert.True(expected.equal(turned.Turn(strided)).all().item<bool>());
    }

    [Fact]
    public void Values_of_another_number_are_refused_and_gradients_are_not_followed()
    {
        using var scope = NewDisposeScope();
        TurnedSupport turned = new(Support.Random(4, 5, 6, seed: 1));
        Assert.Throws<ArgumentException>(() => turned.Turn(zeros(5)));
        Assert.Throws<ArgumentException>(() => turned.Turn(zeros(6, 1)));
        Assert.Throws<ArgumentException>(() => turned.Turn(zeros(6, dtype: ScalarType.ComplexFloat64)));
        Assert.False(turned.Turn(ones(6, requires_grad: true)).requires_grad);
    }
}
