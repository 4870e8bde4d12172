using Sparseland.Models.Language;
using Sparseland.Retrieval;
using Sparseland.Retrieval.Learned;
using Sparseland.Tests.Models.Language;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Tests.Retrieval.Learned;

public class UnicoilTests
{
    [Fact]
    public void A_token_has_its_largest_weight_in_a_document_and_that_times_its_count_in_a_query()
    {
        using DisposeScope scope = NewDisposeScope();
        using var model = new UnicoilEncoder(TinyBert.New());
        model.eval();
        string[] texts = ["the dog the cat the", "a dog runs", ""];
        SparseVector[] documents = model.Encode(texts), queries = model.EncodeQueries(texts);
        double[] head = [.. TinyModels.Numbers(model.Head.weight!), model.Head.bias!.item<float>()];
        for (int t = 0; t < texts.Length; t++)
        {
            int[] ids = model.Body.Tokenize(texts[t]);
            double[] hidden = TinyModels.Numbers(model.Body.Hidden(tensor(ids.Select(i => (long)i).ToArray(), [1, ids.Length])));
            double[] own = [.. ids.Select((_, i) => Math.Max(0, head[16] + Enumerable.Range(0, 16).Sum(c => head[c] * hidden[(i * 16) + c])))];
            int[] open = [.. ids.Where(id => id > 4).Distinct().Order()];
            foreach (int id in open)
            {
                double best = ids.Select((other, i) => other == id ? own[i] : 0).Max();
                Assert.Equal(best, documents[t][id], 1e-4);
                Assert.Equal(best * ids.Count(i => i == id), queries[t][id], 1e-3);
            }

            Assert.Subset(open.ToHashSet(), documents[t].Terms.ToArray().ToHashSet());
        }
    }

    [Fact]
    public void The_gradient_goes_to_the_largest_occurrence_alone()
    {
        using DisposeScope scope = NewDisposeScope();
        using var model = new UnicoilEncoder(TinyBert.New());
        Tensor weights = model.Documents([model.TokenizeDocument("the dog the cat the")]);
        weights.sum().backward();
        Assert.True(model.Head.weight!.grad!.abs().sum().item<float>() > 0);

        // The bias moves every winning token's weight by one: three distinct tokens, each counted once.
        int alive = SparsePooling.ToVectors(weights)[0].Count;
        Assert.Equal(alive, model.Head.bias!.grad!.item<float>(), 1e-5);
    }
}
