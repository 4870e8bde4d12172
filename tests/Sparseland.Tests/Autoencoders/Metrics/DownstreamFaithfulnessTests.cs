using Sparseland.Autoencoders;
using Sparseland.Autoencoders.Metrics;
using Sparseland.Models.Language;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Tests.Autoencoders.Metrics;

public class DownstreamFaithfulnessTests
{
    private const int Unused = 49;

    [Theory]
    [InlineData(0, null)]
    [InlineData(1, 3)]
    [InlineData(11, 2)]
    public void Figures_equal_a_dense_computation(int skip, int? batch)
    {
        using var scope = NewDisposeScope();
        using TinyLM model = MetricsBed.Model();
        using SparseAutoencoder autoencoder = MetricsBed.Autoencoder();
        TokenText text = MetricsBed.Text();
        DownstreamFaithfulness found = DownstreamFaithfulness.Of(model, MetricsBed.Site, autoencoder, text, new() { Length = 12, SkipFirst = skip, Batch = batch });
        Assert.Equal((8, 12 - skip, 8L * (12 - skip)), (found.Windows, found.TokensPerWindow, found.Tokens));

        using IDisposable off = no_grad();
        (Tensor ids, Tensor next) = text.Windows([0, 12, 24, 36, 48, 60, 72, 84], 12);
        using var recorder = new ActivationRecorder(MetricsBed.Site);
        Tensor clean = model.Logits(ids, recorder).to(ScalarType.Float64).log_softmax(-1);
        Tensor x = recorder[MetricsBed.Site].clone();
        Tensor rebuilt = x.clone(), nothing = x.clone(), average = x.clone();
        Tensor rest = x.narrow(1, skip, 12 - skip);
        rebuilt.narrow(1, skip, 12 - skip).copy_(autoencoder.Reconstruct(rest.reshape(-1, 16)).view_as(rest));
        nothing.narrow(1, skip, 12 - skip).zero_();
        average.narrow(1, skip, 12 - skip).copy_(rest.mean([0, 1], keepdim: true).expand_as(rest));
        Check(clean, found.Clean);
        Tensor spliced = With(rebuilt);
        Check(spliced, found.Spliced);
        Check(With(nothing), found.Zeros);
        Check(With(average), found.Mean);
        Close((clean.exp() * (clean - spliced)).sum(-1).narrow(1, skip, 12 - skip).mean([1L]), found.Divergence);
        Assert.All(found.Divergence, kl => Assert.InRange(kl, 1e-9, 10));

        Tensor With(Tensor value) => model.Logits(ids, ActivationHook.Replace(MetricsBed.Site, _ => value)).to(ScalarType.Float64).log_softmax(-1);
        void Check(Tensor logProbabilities, double[] perWindow) =>
            Close(-logProbabilities.gather(2, next.unsqueeze(2)).squeeze(2).narrow(1, skip, 12 - skip).mean([1L]), perWindow);
    }

    [Fact]
    public void Loss_recovered_is_one_minus_the_increase_over_the_ablation()
    {
        using TinyLM model = MetricsBed.Model();
        using SparseAutoencoder autoencoder = MetricsBed.Autoencoder();
        DownstreamFaithfulness found = DownstreamFaithfulness.Of(model, MetricsBed.Site, autoencoder, MetricsBed.Text());
        double increase = found.CrossEntropyIncrease.Value, clean = found.CleanCrossEntropy.Value;
        Assert.Equal(1 - (increase / (found.ZeroCrossEntropy.Value - clean)), found.RecoveredOfZeros.Value, 1e-9);
        Assert.Equal(1 - (increase / (found.MeanCrossEntropy.Value - clean)), found.RecoveredOfMean.Value, 1e-9);
        Assert.Equal(found.SplicedCrossEntropy.Value - clean, increase, 1e-12);

        // Paired: the error of the difference, not of the two means.
        double[] differences = [.. found.Spliced.Zip(found.Clean, (a, b) => a - b)];
        double deviation = Math.Sqrt(differences.Sum(d => Math.Pow(d - increase, 2)) / (differences.Length - 1));
        Assert.Equal(deviation / Math.Sqrt(differences.Length), found.CrossEntropyIncrease.StandardError, 1e-12);
        Assert.Contains("CrossEntropyIncrease = ", found.ToString(), StringComparison.Ordinal);
    }

    [Fact]
    public void Several_together_are_each_alone()
    {
        using TinyLM model = MetricsBed.Model();
        using SparseAutoencoder one = MetricsBed.Autoencoder(), other = one.With(new TopKRule(1));
        IReadOnlyList<DownstreamFaithfulness> both = DownstreamFaithfulness.OfAll(model, MetricsBed.Site, [one, other], MetricsBed.Text());
        foreach ((SparseAutoencoder autoencoder, DownstreamFaithfulness together) in new[] { one, other }.Zip(both))
        {
            DownstreamFaithfulness alone = DownstreamFaithfulness.Of(model, MetricsBed.Site, autoencoder, MetricsBed.Text());
            Assert.Equal(alone.Spliced, together.Spliced);
            Assert.Equal(alone.Divergence, together.Divergence);
            Assert.Equal(alone.Clean, together.Clean);
            Assert.Equal(alone.Zeros, together.Zeros);
            Assert.Equal(alone.Mean, together.Mean);
        }

        Assert.NotEqual(both[0].Spliced, both[1].Spliced);
        Assert.Throws<ArgumentException>("autoencoders", () => DownstreamFaithfulness.OfAll(model, MetricsBed.Site, [], MetricsBed.Text()));
    }

    [Fact]
    public void A_perfect_autoencoder_costs_nothing()
    {
        using var scope = NewDisposeScope();
        using TinyLM model = MetricsBed.Model();
        using SparseAutoencoder perfect = SignedCoordinates(k: 16);
        DownstreamFaithfulness found = DownstreamFaithfulness.Of(model, MetricsBed.Site, perfect, MetricsBed.Text());
        Assert.InRange(found.KullbackLeibler.Value, -1e-12, 1e-9);
        Assert.Equal(0, found.CrossEntropyIncrease.Value, 1e-5);
        Assert.InRange(found.RecoveredOfZeros.Value, 0.98, 1.02);
    }

    [Fact]
    public void Two_autoencoders_are_compared_window_by_window()
    {
        using TinyLM model = MetricsBed.Model();
        using SparseAutoencoder few = SignedCoordinates(k: 1), many = SignedCoordinates(k: 8);
        TokenText text = MetricsBed.Text(241);
        DownstreamFaithfulness a = DownstreamFaithfulness.Of(model, MetricsBed.Site, few, text), b = DownstreamFaithfulness.Of(model, MetricsBed.Site, many, text);
        Assert.True(a.CompareDivergence(b).Low > 0, a.CompareDivergence(b).ToString());
        Assert.Equal(a.CrossEntropyIncrease.Value - b.CrossEntropyIncrease.Value, a.CompareCrossEntropy(b).Difference, 1e-12);
        DownstreamFaithfulness other = DownstreamFaithfulness.Of(model, MetricsBed.Site, few, MetricsBed.Text(241, seed: 6));
        Assert.Contains("another model or text", Assert.Throws<ArgumentException>("other", () => a.CompareDivergence(other)).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Bad_input_is_named()
    {
        using TinyLM model = MetricsBed.Model();
        using SparseAutoencoder autoencoder = MetricsBed.Autoencoder(), wide = MetricsBed.Autoencoder(width: 17);
        TokenText text = MetricsBed.Text();
        Assert.Contains("16", Assert.Throws<ArgumentException>("autoencoder", () => DownstreamFaithfulness.Of(model, MetricsBed.Site, wide, text)).Message, StringComparison.Ordinal);
        Assert.Contains("block 3", Assert.Throws<ArgumentException>(() => DownstreamFaithfulness.Of(model, new(3, Activation.ResidualAfter), autoencoder, text)).Message, StringComparison.Ordinal);
        Assert.Contains("[1, 2, 1, 8]", Assert.Throws<ArgumentException>(() => DownstreamFaithfulness.Of(model, new(1, Activation.Queries), autoencoder, text)).Message, StringComparison.Ordinal);
        foreach (DownstreamFaithfulnessOptions bad in (DownstreamFaithfulnessOptions[])[new() { Length = 13 }, new() { SkipFirst = 12 }, new() { Windows = 9 }, new() { Batch = 0 }])
            Assert.Throws<ArgumentException>("options", () => DownstreamFaithfulness.Of(model, MetricsBed.Site, autoencoder, text, bad));
        Assert.Throws<OperationCanceledException>(() => DownstreamFaithfulness.Of(model, MetricsBed.Site, autoencoder, text, cancel: new CancellationToken(true)));
        using (no_grad()) model.Embeddings[Unused].fill_(float.NaN);
        int[] ids = text.Ids.ToArray();
        ids[14] = Unused;
        model.train();
        string message = Assert.Throws<InvalidDataException>(() => DownstreamFaithfulness.Of(model, MetricsBed.Site, autoencoder, new TokenText(ids))).Message;
        Assert.Contains("of window 1 (ResidualAfter of block 1", message, StringComparison.Ordinal);
        Assert.True(model.training);
    }

    [Fact]
    public void A_splice_names_what_it_cannot_take()
    {
        using var scope = NewDisposeScope();
        using SparseAutoencoder autoencoder = MetricsBed.Autoencoder();
        Tensor value = MetricsBed.Gaussian(10, 16, type: ScalarType.Float32).view(2, 5, 16);
        var splice = new Splice(autoencoder, MetricsBed.Site, skipFirst: 2);
        Tensor changed = splice.Visit(MetricsBed.Site, value);
        Assert.True(changed.narrow(1, 0, 2).eq(value.narrow(1, 0, 2)).all().item<bool>());
        Assert.Equal(0, (changed[1, 2] - autoencoder.Reconstruct(value[1].narrow(0, 2, 1))[0]).abs().max().item<float>(), 1e-5);
        Assert.InRange((changed[1, 2] - value[1, 2]).abs().max().item<float>(), 0.01, 10);
        Assert.True(splice.Visit(MetricsBed.Site, value.narrow(1, 0, 2)).eq(value.narrow(1, 0, 2)).all().item<bool>());
        value[1, 4, 0] = float.PositiveInfinity;
        Assert.Contains("ResidualAfter of block 1 is not finite at token 4 of sequence 1", Assert.Throws<InvalidDataException>(() => splice.Visit(MetricsBed.Site, value)).Message, StringComparison.Ordinal);
        Assert.Contains("width 15", Assert.Throws<ArgumentException>("value", () => splice.Visit(MetricsBed.Site, zeros(1, 5, 15))).Message, StringComparison.Ordinal);
        Assert.Throws<ArgumentException>("value", () => splice.Visit(MetricsBed.Site, zeros(5, 16)));
        Assert.Throws<ArgumentOutOfRangeException>("skipFirst", () => new Splice(autoencoder, MetricsBed.Site, -1));
    }

    // x - b_d is the sum of its positive parts along e_i and -e_i.
    private static SparseAutoencoder SignedCoordinates(int k)
    {
        SparseAutoencoder autoencoder = MetricsBed.Autoencoder(latents: 32, k: k);
        using var scope = NewDisposeScope();
        using IDisposable off = no_grad();
        autoencoder.Decoder.copy_(cat([eye(16), -eye(16)]));
        autoencoder.Encoder.copy_(autoencoder.Decoder);
        return autoencoder;
    }

    private static void Close(Tensor wanted, double[] found)
    {
        double[] values = wanted.to(ScalarType.Float64).data<double>().ToArray();
        Assert.Equal(values.Length, found.Length);
        for (int i = 0; i < values.Length; i++) Assert.Equal(values[i], found[i], 1e-5);
    }
}
