using Sparseland.Training;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Tests.Training;

public class MaskedZerosTests
{
    [Fact]
    public void Zeros_stand_where_they_should_and_all_else_keeps_its_bits()
    {
        using var scope = NewDisposeScope();
        foreach (ScalarType type in (ScalarType[])[ScalarType.Float32, ScalarType.Float64, ScalarType.Float16, ScalarType.BFloat16])
        {
            foreach (long[] shape in (long[][])[[0], [1], [3, 5], [300, 777], [2, 3, 4, 5]])
            {
                Tensor x = randn(shape).to(type), mask = rand(shape) > 0.3f;
                if (x.numel() > 10)
                {
                    x.view(-1)[0] = double.NaN;
                    x.view(-1)[1] = double.NegativeInfinity;
                    x.view(-1)[2] = -0.0;
                }

                Tensor copy = MaskedZeros.Of(x, mask), turned = MaskedZeros.Of(x.dim() == 2 ? x.t() : x, x.dim() == 2 ? mask.t() : mask);
                Assert.Equal(x.masked_fill(mask.logical_not(), 0).bytes.ToArray(), copy.bytes.ToArray());
                Assert.Equal(copy.bytes.ToArray(), (x.dim() == 2 ? turned.t().contiguous() : turned).bytes.ToArray());
                foreach (bool where in (bool[])[true, false])
                {
                    Tensor expected = x.masked_fill(where ? mask : mask.logical_not(), 0);
                    foreach (Tensor target in (Tensor[])[x.clone(), x.dim() == 2 ? x.t().contiguous().t() : x.clone()])
                    {
                        MaskedZeros.Write(target, mask, where);
                        Assert.Equal(expected.contiguous().bytes.ToArray(), target.contiguous().bytes.ToArray());
                    }
                }
            }
        }
    }

    [Fact]
    public void What_a_gradient_still_needs_is_not_overwritten_unseen()
    {
        using var scope = NewDisposeScope();
        Tensor x = randn([100, 100], requires_grad: true), y = x * 1, loss = y.square().sum();
        using (no_grad()) MaskedZeros.Write(y, zeros(100, 100, dtype: ScalarType.Bool), where: false);
        Assert.ThrowsAny<Exception>(() => loss.backward());
    }

    [Fact]
    public void Random_scores_of_a_large_layer_do_not_depend_on_threads_and_begin_as_those_of_a_small_one()
    {
        using var scope = NewDisposeScope();
        TopologyContext Of(long rows) => new() { Layer = "a", Weight = zeros(rows, 1 << 10), Mask = zeros(rows, 1 << 10, dtype: ScalarType.Bool), Seed = 4, Step = 7 };
        Tensor large = Of(2500).RandomScores(), again = Of(2500).RandomScores(), small = Of(1 << 10).RandomScores();
        Assert.True(large.equal(again).all().item<bool>());
        Assert.True(large.narrow(0, 0, 1 << 10).equal(small).all().item<bool>());
        double[] values = large.data<double>().ToArray();
        Assert.Equal(values.Length, values.Distinct().Count());
        Assert.All(Enumerable.Range(0, 3), part => Assert.InRange(values.Skip(part << 20).Take(1 << 19).Average(), 0.498, 0.502));
    }
}
