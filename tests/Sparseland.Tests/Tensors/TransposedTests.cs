using Sparseland.Tensors;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Tests.Tensors;

public class TransposedTests
{
    [Fact]
    public void Every_shape_is_turned_and_nothing_is_shared()
    {
        using var scope = NewDisposeScope();
        foreach (ScalarType type in (ScalarType[])[ScalarType.Float32, ScalarType.Float64, ScalarType.BFloat16])
        {
            foreach ((int rows, int columns) in ((int, int)[])[(1, 1), (0, 3), (3, 0), (1, 500), (500, 1), (7, 9), (8, 8), (63, 65), (129, 64), (300, 777)])
            {
                Tensor x = randn(rows, columns).to(type), wide = randn(rows, columns + 3).to(type), kept = x.clone();
                foreach (Tensor matrix in (Tensor[])[x, wide.narrow(1, 2, columns), x.t(), x.t().contiguous().t()])
                {
                    Tensor turned = Transposed.Of(matrix);
                    Assert.True(turned.is_contiguous());
                    Assert.Equal([matrix.shape[1], matrix.shape[0]], turned.shape);
                    Assert.True(turned.equal(matrix.t()).all().item<bool>());
                    turned.zero_();
                }

                Assert.True(x.equal(kept).all().item<bool>());
            }
        }
    }
}
