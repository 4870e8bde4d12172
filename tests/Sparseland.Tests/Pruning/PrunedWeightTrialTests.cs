using Sparseland.Pruning;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Tests.Pruning;

/// <summary>What becomes of a pruned layer's weight.</summary>
public sealed class PrunedWeightTrialTests
{
    [Theory]
    [InlineData(ScalarType.Float32)]
    [InlineData(ScalarType.BFloat16)]
    [InlineData(ScalarType.Float64)]
    public void The_weight_or_its_repair_stays_where_the_mask_is_true(ScalarType type)
    {
        using var scope = NewDisposeScope();
        using Generator generator = new(4);
        Tensor weight = randn([30, 50], generator: generator).to(type).requires_grad_(true), repaired = randn([30, 50], generator: generator).to(type), mask = rand([30, 50], generator: generator) > 0.5f;
        byte[] before = weight.detach().bytes.ToArray();
        using (PrunedWeight kept = new(mask.clone()), mended = new(mask.t().contiguous().t(), repaired.t().contiguous().t()))
        {
            using (no_grad())
            {
                Assert.Equal(weight.masked_fill(mask.logical_not(), 0).bytes.ToArray(), kept.Of(weight).bytes.ToArray());
                Assert.Equal(repaired.masked_fill(mask.logical_not(), 0).bytes.ToArray(), mended.Of(weight).contiguous().bytes.ToArray());
            }

            Tensor own = kept.Of(weight);
            Assert.False(own.requires_grad);
            own.fill_(7);
            Assert.Equal(before, weight.detach().bytes.ToArray());
            Assert.Throws<ArgumentException>("weight", () => kept.Of(weight.t()));
            Assert.Throws<ArgumentNullException>("weight", () => kept.Of(null!));
        }
    }

    // A method of somebody else may give its mask as numbers.
    [Theory]
    [InlineData(ScalarType.Float32)]
    [InlineData(ScalarType.Byte)]
    public void A_mask_that_is_not_of_Bool_is_refused_by_name(ScalarType type)
    {
        using var scope = NewDisposeScope();
        ArgumentException refusal = Assert.Throws<ArgumentException>("Mask", () => new PrunedWeight(tensor(new[] { 1, 0, 0, 1, 0, 1 }, [2, 3]).to(type)));
        Assert.Contains("Bool", refusal.Message, StringComparison.Ordinal);
    }
}
