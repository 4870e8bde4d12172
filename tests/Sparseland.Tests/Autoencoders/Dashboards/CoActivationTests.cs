using Sparseland.Autoencoders;
using Sparseland.Autoencoders.Dashboards;
using Sparseland.Selection;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Tests.Autoencoders.Dashboards;

public class CoActivationTests
{
    [Fact]
    public void Beyond_its_bounds_it_counts_on_a_random_part_of_the_tokens()
    {
        using Tensor mask = rand(4000, 30, generator: new Generator(1)).lt(0.1);
        using IDisposable off = no_grad();
        using Tensor some = mask.select(1, 3), copied = mask.select(1, 7).copy_(some);
        using var code = new SparseCode(Support.FromMask(mask), ones(Support.FromMask(mask).Count));
        var all = new CoActivation(30, 1);
        all.Add(code.Values, code, 0);
        Assert.Equal(4000, all.Tokens);
        LatentCompanion twin = Assert.Single(all.Companions(1, 2, null, default)[3]);
        Assert.Equal((7, 1.0), (twin.Latent, twin.Jaccard));

        var part = new CoActivation(30, 1, mostEntries: 3000);
        part.Add(code.Values, code, 0);
        Assert.InRange(part.Tokens, 400, 1100);
        twin = part.Companions(1, 2, null, default)[3][0];
        Assert.Equal((7, 1.0), (twin.Latent, twin.Jaccard));
        Assert.Equal(10, twin.Lift, 4.0);

        var one = new CoActivation(30, 1, mostPairs: 1);
        one.Add(code.Values, code, 0);
        Assert.Equal(1, one.Tokens);
    }

    [Fact]
    public void Which_tokens_are_kept_depends_on_no_batch()
    {
        using Tensor mask = rand(1000, 20, generator: new Generator(2)).lt(0.2);
        using var code = new SparseCode(Support.FromMask(mask), ones(Support.FromMask(mask).Count));
        var whole = new CoActivation(20, 1, mostEntries: 500);
        whole.Add(code.Values, code, 0);
        var parts = new CoActivation(20, 1, mostEntries: 500);
        for (int first = 0; first < 1000; first += 125)
        {
            using Tensor rows = mask.narrow(0, first, 125);
            using var part = new SparseCode(Support.FromMask(rows), ones(Support.FromMask(rows).Count));
            parts.Add(part.Values, part, first);
        }

        Assert.Equal(whole.Tokens, parts.Tokens);
        Assert.Equal(whole.Companions(5, 1, null, default), parts.Companions(5, 1, null, default));
    }
}
