using Sparseland.Models.Language;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Tests.Models.Language;

public class ActivationHookTests
{
    public static TheoryData<string> Architectures => [.. TinyModels.All];

    [Fact]
    public void What_a_hook_puts_has_the_type_that_was_there_and_is_not_disposed()
    {
        using var scope = NewDisposeScope();
        using LanguageModel model = TinyModels.New(TinyModels.Llama);
        string Refused(Func<Tensor, Tensor> replace) =>
            Assert.Throws<ArgumentException>(() => model.Logits(TinyModels.Ids(), ActivationHook.Replace(new ActivationSite(1, Activation.ResidualBefore), replace))).Message;
        Assert.Contains("put Float64 at ResidualBefore of block 1, where Float32 was", Refused(value => value.to(ScalarType.Float64)), StringComparison.Ordinal);
        Assert.Contains("a disposed tensor at ResidualBefore of block 1", Refused(value =>
        {
            Tensor gone = zeros_like(value);
            gone.Dispose();
            return gone;
        }), StringComparison.Ordinal);
    }

    [Theory]
    [MemberData(nameof(Architectures))]
    public void Every_place_is_seen_once_in_every_block_with_its_documented_shape(string architecture)
    {
        using var scope = NewDisposeScope();
        using LanguageModel model = TinyModels.New(architecture);
        var seen = new Dictionary<ActivationSite, long[]>();
        Tensor with = model.Logits(TinyModels.Ids(), ActivationHook.Read(_ => true, (site, value) => seen.Add(site, value.shape)));
        foreach (Activation activation in Enum.GetValues<Activation>())
        {
            for (int layer = 0; layer < 2; layer++)
            {
                var site = new ActivationSite(layer, activation);
                long[]? expected = TinyModels.Shape(architecture, activation);
                if (expected is null) Assert.False(seen.ContainsKey(site), $"{site} was seen.");
                else Assert.Equal(expected, seen[site]);
            }
        }

        // Reading the pattern takes another road through the attention than the fused one; the logits are the same.
        TinyModels.AssertClose(model.Logits(TinyModels.Ids()), with);
    }

    [Theory]
    [MemberData(nameof(Architectures))]
    public void Replacing_a_place_changes_what_follows_and_only_that(string architecture)
    {
        using var scope = NewDisposeScope();
        using LanguageModel model = TinyModels.New(architecture);
        Tensor ids = TinyModels.Ids(), plain = model.Logits(ids);
        foreach (Activation activation in Enum.GetValues<Activation>().Where(a => TinyModels.Shape(architecture, a) is not null))
        {
            var site = new ActivationSite(1, activation);
            using ActivationRecorder before = new(new ActivationSite(1, Activation.ResidualBefore)), there = new(new ActivationSite(1, Activation.ResidualBefore));
            Tensor changed = model.Logits(ids, ActivationHook.All(there, ActivationHook.Replace(site, value => value.square())));
            Assert.True(TinyModels.Largest(plain, changed) > 1e-4, $"{activation} has no effect.");
            Tensor same = model.Logits(ids, ActivationHook.Replace(site, value => value.clone()));
            TinyModels.AssertClose(plain, same);
            model.Logits(ids, before);
            TinyModels.AssertClose(before[1, Activation.ResidualBefore], there[1, Activation.ResidualBefore]);
        }
    }

    [Theory]
    [MemberData(nameof(Architectures))]
    public void Without_what_blocks_add_the_logits_are_those_of_the_embeddings(string architecture)
    {
        using var scope = NewDisposeScope();
        using LanguageModel model = TinyModels.New(architecture);
        using var first = new ActivationRecorder(new ActivationSite(0, Activation.ResidualBefore));
        Tensor logits = model.Logits(TinyModels.Ids(), ActivationHook.All(first, new Zero(Activation.AttentionOutput), new Zero(Activation.MlpOutput)));
        TinyModels.AssertClose(model.Unembed(first[0, Activation.ResidualBefore]), logits);
    }

    [Theory]
    [MemberData(nameof(Architectures))]
    public void The_residual_stream_after_a_block_is_that_before_it_and_both_outputs(string architecture)
    {
        using var scope = NewDisposeScope();
        using LanguageModel model = TinyModels.New(architecture);
        using var kept = new ActivationRecorder(_ => true);
        Tensor logits = model.Logits(TinyModels.Ids(), kept);
        Tensor At(int layer, Activation a) => kept[layer, a];
        for (int layer = 0; layer < 2; layer++)
            TinyModels.AssertClose(At(layer, Activation.ResidualAfter), At(layer, Activation.ResidualBefore) + At(layer, Activation.AttentionOutput) + At(layer, Activation.MlpOutput));
        TinyModels.AssertClose(At(0, Activation.ResidualAfter), At(1, Activation.ResidualBefore));
        TinyModels.AssertClose(logits, model.Unembed(At(1, Activation.ResidualAfter)));
        Assert.Throws<ArgumentException>("residual", () => model.Unembed(zeros(1, 5, 15)));
    }

    [Fact]
    public void Patterns_are_causal_sum_to_one_and_mix_the_values()
    {
        using var scope = NewDisposeScope();
        using LanguageModel model = TinyModels.New(TinyModels.Llama);
        using var kept = new ActivationRecorder(s => s.Layer == 1);
        model.Logits(TinyModels.Ids(), kept);
        Tensor pattern = kept[1, Activation.AttentionPattern];
        TinyModels.AssertClose(ones(2, 4, 5), pattern.sum([-1L]));
        TinyModels.AssertClose(pattern, pattern.tril());
        Tensor values = kept[1, Activation.Values];
        for (int head = 0; head < 4; head++)
            TinyModels.AssertClose(pattern[0, head].mm(values[0, head / 2]), kept[1, Activation.HeadOutputs][0, head]);
        Tensor scores = kept[1, Activation.Queries][1, 3].mm(kept[1, Activation.Keys][1, 1].t()).div(Math.Sqrt(6));
        TinyModels.AssertClose(scores[4].softmax(0), pattern[1, 3, 4]);
    }

    [Fact]
    public void A_replaced_pattern_is_the_one_that_mixes_the_values()
    {
        using var scope = NewDisposeScope();
        using LanguageModel model = TinyModels.New(TinyModels.Llama);
        using ActivationRecorder kept = new(new ActivationSite(0, Activation.Values), new ActivationSite(0, Activation.HeadOutputs));
        model.Logits(TinyModels.Ids(), ActivationHook.All(ActivationHook.Replace(new(0, Activation.AttentionPattern), _ => eye(5).expand(2, 4, 5, 5)), kept));
        TinyModels.AssertClose(kept[0, Activation.Values].repeat_interleave(2, 1), kept[0, Activation.HeadOutputs]);
    }

    [Theory]
    [MemberData(nameof(Architectures))]
    public void Patterns_and_replacements_with_a_cache_are_those_without(string architecture)
    {
        using var scope = NewDisposeScope();
        using LanguageModel model = TinyModels.New(architecture);
        Tensor ids = TinyModels.Ids(2, 5);
        using ActivationRecorder whole = new(new ActivationSite(1, Activation.AttentionPattern)), part = new(new ActivationSite(1, Activation.AttentionPattern));
        IActivationHook halved = ActivationHook.Replace(new(0, Activation.HeadOutputs), value => value.mul(0.5));
        Tensor logits = model.Logits(ids, ActivationHook.All(halved, whole));
        using KeyValueCache cache = model.NewCache(2);
        foreach ((int from, int count) in new[] { (0, 2), (2, 2), (4, 1) })
        {
            Tensor some = model.Logits(ids.narrow(1, from, count), ActivationHook.All(halved, part), cache);
            TinyModels.AssertClose(whole[1, Activation.AttentionPattern].narrow(2, from, count).narrow(3, 0, from + count), part[1, Activation.AttentionPattern]);
            TinyModels.AssertClose(logits.narrow(1, from, count), some);
        }
    }

    [Fact]
    public void Only_wanted_places_are_visited_and_nothing_outlives_the_call()
    {
        using var scope = NewDisposeScope();
        using LanguageModel model = TinyModels.New(TinyModels.Llama);
        var seen = new List<(ActivationSite Site, Tensor Value)>();
        model.Logits(TinyModels.Ids(), ActivationHook.Read(s => s is { Layer: 1, Activation: Activation.MlpHidden or Activation.Keys }, (site, value) => seen.Add((site, value))));
        Assert.Equal([new(1, Activation.Keys), new(1, Activation.MlpHidden)], seen.Select(s => s.Site));
        Assert.All(seen, s => Assert.True(s.Value.IsInvalid));
    }

    [Fact]
    public void A_replacement_that_belongs_to_the_caller_stays_the_callers()
    {
        using LanguageModel model = TinyModels.New(TinyModels.Llama);
        using Tensor ids = TinyModels.Ids();
        Tensor own;
        using (var scope = NewDisposeScope())
        {
            own = randn(2, 5, 16);
            foreach (Activation activation in new[] { Activation.ResidualBefore, Activation.AttentionOutput, Activation.ResidualAfter })
            {
                for (int layer = 0; layer < 2; layer++)
                {
                    Tensor logits = model.Logits(ids, ActivationHook.Replace(new(layer, activation), _ => own));
                    Assert.False(own.IsInvalid);
                    if (layer == 1 && activation == Activation.ResidualAfter) TinyModels.AssertClose(model.Unembed(own), logits);
                }
            }
        }

        Assert.True(own.IsInvalid, "The caller's scope no longer owns its tensor.");
    }

    [Fact]
    public void Hooks_see_what_those_before_them_left()
    {
        using var scope = NewDisposeScope();
        using LanguageModel model = TinyModels.New(TinyModels.Llama);
        var site = new ActivationSite(0, Activation.MlpOutput);
        using var seen = new ActivationRecorder(site);
        model.Logits(TinyModels.Ids(), ActivationHook.All(ActivationHook.Replace(site, value => value.mul(0).add(2)), ActivationHook.Replace(site, value => value.mul(3)), seen));
        TinyModels.AssertClose(full([2, 5, 16], 6f), seen[site]);
    }

    [Fact]
    public void A_recorder_owns_what_it_keeps_and_keeps_the_last_call_alone()
    {
        using LanguageModel model = TinyModels.New(TinyModels.Llama);
        var site = new ActivationSite(1, Activation.MlpHidden);
        var recorder = new ActivationRecorder(site);
        Tensor first, second;
        using (var scope = NewDisposeScope())
        {
            model.Logits(TinyModels.Ids(2, 5), recorder);
            first = recorder[site];
            model.Logits(TinyModels.Ids(1, 3), recorder);
            second = recorder[site];
        }

        Assert.True(first.IsInvalid);
        Assert.Equal([1, 3, 24], second.shape);
        Assert.Equal([site], recorder.Sites);
        Assert.Contains("Queries of block 0", Assert.Throws<KeyNotFoundException>(() => recorder[0, Activation.Queries]).Message, StringComparison.Ordinal);
        recorder.Dispose();
        Assert.True(second.IsInvalid);
        Assert.Empty(recorder.Sites);
    }

    [Theory]
    [MemberData(nameof(Architectures))]
    public void A_replacement_of_another_shape_is_refused_and_the_cache_keeps_its_count(string architecture)
    {
        using var scope = NewDisposeScope();
        using LanguageModel model = TinyModels.New(architecture);
        using KeyValueCache cache = model.NewCache(2);
        foreach (Activation activation in Enum.GetValues<Activation>().Where(a => TinyModels.Shape(architecture, a) is not null))
        {
            string message = Assert.Throws<ArgumentException>(() => model.Logits(TinyModels.Ids(), ActivationHook.Replace(new(1, activation), value => value.narrow(0, 0, 1)), cache)).Message;
            Assert.Contains($"{activation} of block 1", message, StringComparison.Ordinal);
            Assert.Equal(0, cache.Count);
        }

        Assert.Throws<ArgumentNullException>(() => ActivationHook.Replace(default, null!));
        Assert.Throws<ArgumentNullException>(() => ActivationHook.Read(null!, (_, _) => { }));
    }

    [Fact]
    public void Gradients_flow_into_a_replacement()
    {
        using var scope = NewDisposeScope();
        using LanguageModel model = TinyModels.New(TinyModels.Llama);
        Tensor shift = zeros([16], requires_grad: true);
        Tensor ids = TinyModels.Ids();
        nn.functional.cross_entropy(model.Logits(ids, ActivationHook.Replace(new(0, Activation.ResidualAfter), value => value.add(shift))).flatten(0, 1), ids.flatten()).backward();
        Assert.True(shift.grad!.abs().sum().item<float>() > 1e-3);
    }

    private sealed class Zero(Activation activation) : IActivationHook
    {
        public bool Wants(ActivationSite site) => site.Activation == activation;

        public Tensor? Visit(ActivationSite site, Tensor value) => zeros_like(value);
    }

    [Fact]
    public void A_place_that_the_model_has_not_is_refused()
    {
        using var scope = NewDisposeScope();
        foreach (LanguageModel model in TinyModels.All.Select(a => TinyModels.New(a)))
        {
            Tensor ids = tensor(new long[] { 1, 2, 3 }).unsqueeze(0);
            string Refusal(IActivationHook hook) => Assert.Throws<ArgumentException>(() => model.Logits(ids, hook)).Message;
            Assert.Contains("block 9", Refusal(ActivationHook.Replace(new(9, Activation.MlpHidden), v => v)));
            Assert.Contains("block -1", Refusal(ActivationHook.Replace(new(-1, Activation.MlpHidden), v => v)));
            Assert.Contains("block 9", Refusal(new ActivationRecorder(new ActivationSite(0, Activation.MlpHidden), new ActivationSite(9, Activation.Keys))));
            Assert.Contains("no place", Refusal(new ActivationRecorder(site => site.Layer == 9)));
            Assert.Contains("block 9", Refusal(ActivationHook.All(new ActivationRecorder(_ => true), ActivationHook.Replace(new(9, Activation.MlpHidden), v => v))));
            if (model is not TinyLM) Assert.Contains("MlpGate", Refusal(ActivationHook.Replace(new(0, Activation.MlpGate), v => v)));
            model.Logits(ids, ActivationHook.All());
        }
    }

    [Fact]
    public void A_recorder_can_keep_every_call()
    {
        using var scope = NewDisposeScope();
        LanguageModel model = TinyModels.New(TinyModels.Llama);
        var site = new ActivationSite(0, Activation.MlpHidden);
        using var last = new ActivationRecorder(site);
        using var all = new ActivationRecorder(site) { KeepAll = true };
        for (int i = 0; i < 3; i++) model.Logits(tensor(new long[] { i, i + 1 }).unsqueeze(0), ActivationHook.All(last, all));
        Assert.Single(last.Calls(site));
        Assert.Equal(3, all.Calls(site).Count);
        Assert.Equal(0, (all[site] - last[site]).abs().max().item<float>());
        Assert.NotEqual(0, (all.Calls(site)[0] - last[site]).abs().max().item<float>());
        all.Clear();
        Assert.Throws<KeyNotFoundException>(() => all.Calls(site));
    }
}
