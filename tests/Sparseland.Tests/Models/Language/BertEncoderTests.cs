using Sparseland.Models.Language;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Tests.Models.Language;

public class BertEncoderTests
{
    public static TheoryData<Activation> Places => [.. Enum.GetValues<Activation>().Where(a => a != Activation.MlpGate)];

    /// <summary>The formula written out once more, number by number, for one text without padding.</summary>
    [Fact]
    public void The_hidden_state_is_that_of_the_formula()
    {
        using var scope = NewDisposeScope();
        using BertEncoder model = TinyBert.New();
        Tensor ids = TinyBert.Ids(1);
        Dictionary<string, Tensor> w = model.named_parameters().ToDictionary(p => p.name, p => p.parameter.detach().to(ScalarType.Float64));
        Tensor Norm(Tensor x, string name)
        {
            Tensor centred = x - x.mean([-1], keepdim: true);
            return (centred / (centred.square().mean([-1], keepdim: true) + 1e-12).sqrt() * w[$"{name}.weight"]) + w[$"{name}.bias"];
        }

        Tensor Linear(Tensor x, string name) => x.matmul(w[$"{name}.weight"].t()) + w[$"{name}.bias"];
        Tensor x = Norm(w["embeddings.word_embeddings.weight"][ids[0]] + w["embeddings.position_embeddings.weight"][..5] + w["embeddings.token_type_embeddings.weight"][0], "embeddings.LayerNorm");
        for (int layer = 0; layer < 2; layer++)
        {
            string at = $"encoder.layer.{layer}.";
            Tensor q = Linear(x, at + "attention.self.query"), k = Linear(x, at + "attention.self.key"), v = Linear(x, at + "attention.self.value");
            Tensor[] heads = [.. Enumerable.Range(0, 4).Select(h => (h * 4)..((h * 4) + 4)).Select(h => (q[.., h].matmul(k[.., h].t()) / 2.0).softmax(-1).matmul(v[.., h]))];
            x = Norm(x + Linear(cat(heads, 1), at + "attention.output.dense"), at + "attention.output.LayerNorm");
            Tensor up = Linear(x, at + "intermediate.dense");
            x = Norm(x + Linear(up * 0.5 * (1 + (up / Math.Sqrt(2)).erf()), at + "output.dense"), at + "output.LayerNorm");
        }

        TinyModels.AssertClose(x.unsqueeze(0), model.Hidden(ids));
    }

    [Fact]
    public void Every_place_is_seen_once_in_every_block_with_its_documented_shape()
    {
        using var scope = NewDisposeScope();
        using BertEncoder model = TinyBert.New();
        var seen = new Dictionary<ActivationSite, long[]>();
        Tensor with = model.Hidden(TinyBert.Ids(), hook: ActivationHook.Read(_ => true, (site, value) => seen.Add(site, value.shape)));
        foreach (Activation activation in Enum.GetValues<Activation>().Where(a => a != Activation.MlpGate))
        {
            long[] expected = activation switch
            {
                Activation.Queries or Activation.Keys or Activation.Values or Activation.HeadOutputs => [2, 4, 5, 4],
                Activation.AttentionPattern => [2, 4, 5, 5],
                Activation.MlpUp or Activation.MlpHidden => [2, 5, 24],
                _ => [2, 5, 16],
            };
            Assert.All([0, 1], layer => Assert.Equal(expected, seen[new(layer, activation)]));
        }

        Assert.Equal(2 * 13, seen.Count);
        TinyModels.AssertClose(model.Hidden(TinyBert.Ids()), with);
    }

    [Theory]
    [MemberData(nameof(Places))]
    public void Replacing_a_place_changes_what_follows_and_a_copy_changes_nothing(Activation activation)
    {
        using var scope = NewDisposeScope();
        using BertEncoder model = TinyBert.New();
        Tensor plain = model.Hidden(TinyBert.Ids());
        var site = new ActivationSite(1, activation);
        Assert.True(TinyModels.Largest(plain, model.Hidden(TinyBert.Ids(), hook: ActivationHook.Replace(site, value => value.square()))) > 1e-4, $"{activation} has no effect.");
        TinyModels.AssertClose(plain, model.Hidden(TinyBert.Ids(), hook: ActivationHook.Replace(site, value => value.clone())));
    }

    [Fact]
    public void The_norms_stand_behind_the_sums()
    {
        using var scope = NewDisposeScope();
        using BertEncoder model = TinyBert.New();
        using var kept = new ActivationRecorder(_ => true);
        Tensor hidden = model.Hidden(TinyBert.Ids(), hook: kept);
        for (int layer = 0; layer < 2; layer++)
        {
            TinyModels.AssertClose(kept[layer, Activation.ResidualBefore], kept[layer, Activation.AttentionInput]);
            TinyModels.AssertClose(model.Blocks[layer].AttentionNorm.call(kept[layer, Activation.ResidualBefore] + kept[layer, Activation.AttentionOutput]), kept[layer, Activation.MlpInput]);
            TinyModels.AssertClose(model.Blocks[layer].MlpNorm.call(kept[layer, Activation.MlpInput] + kept[layer, Activation.MlpOutput]), kept[layer, Activation.ResidualAfter]);
        }

        TinyModels.AssertClose(hidden, kept[1, Activation.ResidualAfter]);
    }

    [Fact]
    public void A_text_is_the_same_alone_and_padded_beside_a_longer_one()
    {
        using var scope = NewDisposeScope();
        using BertEncoder model = TinyBert.New();
        Tensor ids = TinyBert.Ids(2, 7), mask = ones([2, 7], ScalarType.Bool);
        mask[1, 4..] = false;
        using var kept = new ActivationRecorder(new ActivationSite(0, Activation.AttentionPattern));
        Tensor together = model.Hidden(ids, mask), seen = model.Hidden(ids, mask.to(ScalarType.Int64), hook: kept);
        TinyModels.AssertClose(model.Hidden(ids[1..2, ..4]), together[1..2, ..4]);
        TinyModels.AssertClose(model.Hidden(ids[..1]), together[..1]);
        TinyModels.AssertClose(together, seen);
        Tensor pattern = kept[0, Activation.AttentionPattern];
        Assert.Equal(0, pattern[1, .., .., 4..].abs().max().item<float>());
        TinyModels.AssertClose(ones([2, 4, 7]), pattern.sum(-1));
        TinyModels.AssertClose(together[1, ..4].mean([0]), model.Pool(together, mask, Pooling.Mean)[1]);
        TinyModels.AssertClose(together[1, 0], model.Pool(together, mask, Pooling.Cls)[1]);
    }

    [Fact]
    public void Segments_are_added_and_the_pooler_summarises()
    {
        using var scope = NewDisposeScope();
        using BertEncoder model = TinyBert.New(pooler: true);
        Tensor ids = TinyBert.Ids(), types = zeros([2, 5], ScalarType.Int64), plain = model.Hidden(ids);
        TinyModels.AssertClose(plain, model.Hidden(ids, types: types));
        types[0, 3..] = 1;
        Tensor other = model.Hidden(ids, types: types);
        Assert.True(TinyModels.Largest(plain[0], other[0]) > 1e-3);
        TinyModels.AssertClose(plain[1], other[1]);
        TinyModels.AssertClose(nn.functional.linear(plain[.., 0], model.Pooler!.weight!, model.Pooler.bias).tanh(), model.Pooled(plain));
        using BertEncoder without = TinyBert.New();
        Assert.Throws<InvalidOperationException>(() => without.Pooled(plain));
        Assert.Throws<ArgumentException>("hidden", () => model.Pooled(plain[0]));
    }

    [Fact]
    public void A_place_that_the_encoder_has_not_is_refused_by_name()
    {
        using BertEncoder model = TinyBert.New();
        using Tensor ids = TinyBert.Ids();
        ArgumentException Refused(params ActivationSite[] sites) => Assert.Throws<ArgumentException>("hook", () => model.Hidden(ids, hook: new ActivationRecorder(sites)));
        Assert.Contains("MlpGate", Refused(new ActivationSite(0, Activation.MlpGate)).Message, StringComparison.Ordinal);
        Assert.Contains("block 2", Refused(new ActivationSite(2, Activation.MlpUp)).Message, StringComparison.Ordinal);
        Assert.Throws<ArgumentException>("hook", () => model.Encode(["a dog"], hook: new ActivationRecorder(new ActivationSite(0, Activation.MlpGate))));
    }

    [Fact]
    public void Wrong_ids_masks_and_segments_are_refused()
    {
        using var scope = NewDisposeScope();
        using BertEncoder model = TinyBert.New();
        Tensor ids = TinyBert.Ids(), mask = ones([2, 5], ScalarType.Bool), none = mask.clone();
        none[1] = false;
        Assert.Throws<ArgumentNullException>("ids", () => model.Hidden(null!));
        Assert.Throws<ArgumentException>("ids", () => model.Hidden(ids[0]));
        Assert.Throws<ArgumentException>("ids", () => model.Hidden(ids[.., ..0]));
        Assert.Throws<ArgumentException>("ids", () => model.Hidden(ids.to(ScalarType.Int32)));
        Assert.Throws<ArgumentException>("ids", () => model.Hidden(ids + 17));
        Assert.Throws<ArgumentException>("ids", () => model.Hidden(ids - 17));
        Assert.Throws<ArgumentException>("ids", () => model.Hidden(TinyBert.Ids(1, 13)));
        Assert.Throws<ArgumentException>("mask", () => model.Hidden(ids, mask[.., ..4]));
        Assert.Throws<ArgumentException>("mask", () => model.Hidden(ids, mask.to(ScalarType.Float32)));
        Assert.Throws<ArgumentException>("mask", () => model.Hidden(ids, mask.to(ScalarType.Int64) * 2));
        Assert.Throws<ArgumentException>("mask", () => model.Hidden(ids, none));
        Assert.Throws<ArgumentException>("types", () => model.Hidden(ids, types: ids[.., ..4].clamp(0, 1)));
        Assert.Throws<ArgumentException>("types", () => model.Hidden(ids, types: zeros([2, 5], ScalarType.Int64) + 2));
        Assert.Throws<ArgumentException>("hidden", () => model.Pool(zeros(2, 5, 15), null, Pooling.Cls));
        Assert.Throws<ArgumentException>("mask", () => model.Pool(zeros(2, 4, 16), mask, Pooling.Mean));
        Assert.Throws<ArgumentOutOfRangeException>("pooling", () => model.Pool(zeros(2, 5, 16), mask, (Pooling)7));
    }

    [Fact]
    public void Sizes_and_vocabularies_that_do_not_fit_are_refused()
    {
        BertConfig config = TinyBert.Config;
        Assert.Throws<ArgumentException>("Heads", () => new BertEncoder(config with { Heads = 3 }, TinyBert.Vocabulary));
        Assert.Throws<ArgumentOutOfRangeException>("Context", () => new BertEncoder(config with { Context = 1 }, TinyBert.Vocabulary));
        Assert.Throws<ArgumentOutOfRangeException>("NormEpsilon", () => new BertEncoder(config with { NormEpsilon = 0 }, TinyBert.Vocabulary));
        Assert.Throws<ArgumentException>("vocabulary", () => new BertEncoder(config with { Vocabulary = 14 }, TinyBert.Vocabulary));
        Assert.Throws<FormatException>(() => new BertEncoder(config, TinyBert.Vocabulary[1..]));
        Assert.Throws<FormatException>(() => new BertEncoder(config, [.. TinyBert.Vocabulary, "dog"]));
        Assert.Throws<FormatException>(() => new BertEncoder(config, [.. TinyBert.Vocabulary, "do\ng"]));
        Assert.Throws<ArgumentOutOfRangeException>("MostTokens", () => new BertEncoder(config, TinyBert.Vocabulary) { MostTokens = 13 });
    }

    [Fact]
    public void The_same_seed_gives_the_same_weights_and_another_seed_others()
    {
        using var scope = NewDisposeScope();
        using BertEncoder one = TinyBert.New(1), again = TinyBert.New(1), other = TinyBert.New(2);
        Assert.Equal(TinyModels.Numbers(one.Hidden(TinyBert.Ids())), TinyModels.Numbers(again.Hidden(TinyBert.Ids())));
        Assert.True(TinyModels.Largest(one.Hidden(TinyBert.Ids()), other.Hidden(TinyBert.Ids())) > 1e-2);
    }
}
