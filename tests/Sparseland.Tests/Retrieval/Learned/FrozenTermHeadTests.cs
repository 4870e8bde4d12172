using Sparseland.Models.Language;
using Sparseland.Retrieval;
using Sparseland.Retrieval.Learned;
using Sparseland.Tests.IO;
using Sparseland.Tests.Models.Language;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Tests.Retrieval.Learned;

public class FrozenTermHeadTests
{
    private static readonly string[] s_texts =
        [.. Enumerable.Range(0, 64).Select(i => string.Join(' ', Enumerable.Range(0, 5).Select(j => TinyBert.Vocabulary[new[] { 5, 6, 7, 8, 11, 12, 13, 14 }[((i * (j + 3)) + (i / 7) + j) % 8]])))];

    private static readonly int[] s_terms = [5, 6, 7, 8, 11, 12, 13, 14];

    // Small weights: a token's state is still its own embedding for the most part, as that of a trained encoder is.
    private static BertEncoder Fresh() => new(TinyBert.Config, TinyBert.Vocabulary);

    [Fact]
    public void It_starts_as_the_lexical_model()
    {
        using BertEncoder encoder = Fresh();
        using TokenStates states = TokenStates.Of(encoder, s_texts);
        using FrozenTermHead head = FrozenTermHead.Start(encoder, s_terms, states);
        SparseVector[] vectors = head.Encode(states);
        double own = 0, other = 0;
        int mine = 0, others = 0;
        for (int t = 0; t < states.Count; t++)
        {
            HashSet<int> stand = [.. states.Ids(t).ToArray()];
            foreach (int term in s_terms)
            {
                if (stand.Contains(term)) (own, mine) = (own + vectors[t][term], mine + 1);
                else (other, others) = (other + vectors[t][term], others + 1);
            }
        }

        Assert.InRange(own / mine, 0.8, 1.3);
        Assert.InRange(other / others, 0, 0.1);
    }

    [Fact]
    public void States_are_those_of_the_encoder_without_special_tokens()
    {
        using DisposeScope scope = NewDisposeScope();
        using BertEncoder encoder = TinyBert.New();
        using TokenStates states = TokenStates.Of(encoder, ["the dog runs", "", "a", "the dog runs"]);
        Assert.Equal(3, states.Count);
        Assert.Equal([14, 6, 8, 9], states.Ids(0).ToArray());
        (Tensor rows, Tensor mask) = states.Rows([2, 0, 1]);
        Assert.Equal([true, false, false, false, true, true, true, true, false, false, false, false], mask.data<bool>().ToArray());
        int[] ids = encoder.Tokenize("the dog runs");
        TinyModels.AssertClose(encoder.Hidden(tensor(ids.Select(i => (long)i).ToArray(), [1, 6]))[0][1..5], rows[1], 5e-3);
        Assert.Throws<KeyNotFoundException>(() => states.PlaceOf("x"));
    }

    [Fact]
    public void A_head_comes_back_and_gives_the_same_vectors()
    {
        using var folder = new TemporaryFolder();
        using BertEncoder encoder = Fresh();
        using TokenStates states = TokenStates.Of(encoder, s_texts);
        using FrozenTermHead head = FrozenTermHead.Start(encoder, s_terms, states);
        head.Save(folder.File("head.safetensors"));
        using FrozenTermHead again = FrozenTermHead.Load(folder.File("head.safetensors"), encoder);
        SparseVector[] before = head.Encode(states), after = again.Encode(encoder, s_texts);
        for (int t = 0; t < s_texts.Length; t++)
        {
            SparseVector kept = before[states.PlaceOf(s_texts[t])];
            foreach (int term in s_terms) Assert.Equal(kept[term], after[t][term], 0.02f);
        }

        Sparseland.IO.SafeTensors.Save(folder.File("x.safetensors"), new Dictionary<string, Tensor> { ["terms"] = ones(2) });
        Assert.Contains("no tensor 'matrix'", Assert.Throws<InvalidDataException>(() => FrozenTermHead.Load(folder.File("x.safetensors"), encoder)).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Bad_input_is_named()
    {
        using BertEncoder encoder = TinyBert.New();
        using TokenStates states = TokenStates.Of(encoder, s_texts), few = TokenStates.Of(encoder, ["the dog"]);
        Assert.Contains("special token [CLS]", Assert.Throws<ArgumentException>("terms", () => FrozenTermHead.Start(encoder, [2, 5], states)).Message, StringComparison.Ordinal);
        Assert.Throws<ArgumentException>("terms", () => FrozenTermHead.Start(encoder, [], states));
        Assert.Throws<ArgumentException>("terms", () => FrozenTermHead.Start(encoder, [5, 5], states));
        Assert.Throws<ArgumentException>("terms", () => FrozenTermHead.Start(encoder, [99], states));
        Assert.Throws<ArgumentException>("states", () => FrozenTermHead.Start(encoder, s_terms, few));
        Assert.Throws<ArgumentOutOfRangeException>("ridge", () => FrozenTermHead.Start(encoder, s_terms, states, ridge: 0));
        Assert.Throws<ArgumentException>("texts", () => TokenStates.Of(encoder, []));
    }
}
