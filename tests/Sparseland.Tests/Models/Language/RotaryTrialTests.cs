using Sparseland.Models.Language;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Tests.Models.Language;

/// <summary>Attacks on scaled rotary positions: the formulas of transformers 4.46's modeling_rope_utils.py written out in loops, lengths and bases at the end of the numbers.</summary>
public sealed class RotaryTrialTests
{
    private static double Inv(int i, int turned, double theta) => 1 / Math.Pow(theta, 2.0 * i / turned);

    [Theory]
    [InlineData(8, 10_000, 2048), InlineData(64, 500_000, 131_072), InlineData(2, 10_000, 16), InlineData(128, 1e6, 4096)]
    public void Frequencies_are_those_of_the_formulas(int turned, double theta, int context)
    {
        int half = turned / 2;
        double[] linear = new RotaryScaling { Factor = 4 }.Frequencies(turned, theta, context, 10);
        for (int i = 0; i < half; i++) Assert.Equal(Inv(i, turned, theta) / 4, linear[i], 14);

        RotaryScaling llama = new() { Kind = RotaryScalingKind.Llama3, Factor = 8, Original = 8192, LowFrequency = 1, HighFrequency = 4 };
        double[] bands = llama.Frequencies(turned, theta, context, 10);
        for (int i = 0; i < half; i++)
        {
            double f = Inv(i, turned, theta), wave = 2 * Math.PI / f, smooth = ((8192 / wave) - 1) / 3;
            Assert.Equal(wave < 8192 / 4.0 ? f : wave > 8192 ? f / 8 : ((1 - smooth) * f / 8) + (smooth * f), bands[i], 14);
        }

        foreach (bool truncate in new[] { true, false })
        {
            double[] yarn = new RotaryScaling { Kind = RotaryScalingKind.Yarn, Factor = 16, Original = 1024, Truncate = truncate }.Frequencies(turned, theta, context, 10);
            double Dim(double turns) => turned * Math.Log(1024 / (turns * 2 * Math.PI)) / (2 * Math.Log(theta));
            (double low, double high) = truncate ? (Math.Floor(Dim(32)), Math.Ceiling(Dim(1))) : (Dim(32), Dim(1));
            (low, high) = (Math.Max(low, 0), Math.Min(high, turned - 1));
            if (low == high) high += 0.001;
            for (int i = 0; i < half; i++)
            {
                double kept = 1 - Math.Clamp((i - low) / (high - low), 0, 1);
                Assert.Equal((Inv(i, turned, theta) / 16 * (1 - kept)) + (Inv(i, turned, theta) * kept), yarn[i], 14);
            }
        }

        if (turned == 2) return;
        double[] ntk = RotaryScaling.Ntk(12).Frequencies(turned, theta, context, 10), longer = new RotaryScaling { Kind = RotaryScalingKind.Dynamic, Factor = 2 }.Frequencies(turned, theta, context, 3L * context);
        for (int i = 0; i < half; i++)
        {
            Assert.Equal(Inv(i, turned, theta * Math.Pow(12, turned / (turned - 2.0))), ntk[i], 14);
            Assert.Equal(Inv(i, turned, theta * Math.Pow((2 * 3.0) - 1, turned / (turned - 2.0))), longer[i], 14);
        }
    }

    [Theory]
    [InlineData(RotaryScalingKind.Linear), InlineData(RotaryScalingKind.Dynamic), InlineData(RotaryScalingKind.Yarn), InlineData(RotaryScalingKind.Ntk), InlineData(RotaryScalingKind.Llama3)]
    public void A_factor_of_one_changes_nothing(RotaryScalingKind kind)
    {
        RotaryScaling scaling = new() { Kind = kind, Factor = 1, Original = 64 };
        scaling.Validate(16);
        Assert.Equal(1, scaling.Amplitude);
        double[] found = scaling.Frequencies(16, 10_000, 64, 40);
        for (int i = 0; i < 8; i++) Assert.Equal(Inv(i, 16, 10_000), found[i], 14);
        Assert.Equal(64, scaling.Longest(64));
    }

    [Theory]
    [InlineData(null), InlineData(RotaryScalingKind.Linear), InlineData(RotaryScalingKind.Dynamic), InlineData(RotaryScalingKind.Yarn), InlineData(RotaryScalingKind.Ntk)]
    public void Turned_heads_are_pairs_turned_by_their_angle_in_pieces_and_at_once(RotaryScalingKind? kind)
    {
        using DisposeScope scope = NewDisposeScope();
        RotaryScaling? scaling = kind is { } k ? new() { Kind = k, Factor = 3 } : null;
        using RotaryPositions positions = new(40, 6, 100, scaling);
        Tensor x = randn([1, 2, 12, 8], dtype: ScalarType.Float64, generator: new Generator(1));
        int from = kind is null or RotaryScalingKind.Ntk ? 28 : 50;
        double[] found = [.. positions.At(from, 12, ScalarType.Float64, CPU).Apply(x).contiguous().data<double>()], values = [.. x.data<double>()];
        double[] frequencies = scaling?.Frequencies(6, 100, 40, from + 12) ?? [1, Inv(1, 6, 100), Inv(2, 6, 100)];
        double amplitude = scaling?.Amplitude ?? 1;
        for (int h = 0; h < 2; h++)
        {
            for (int t = 0; t < 12; t++)
            {
                int at = ((h * 12) + t) * 8;
                for (int i = 0; i < 3; i++)
                {
                    double angle = (from + t) * frequencies[i], a = values[at + i], b = values[at + i + 3];
                    Assert.InRange(found[at + i] - (((a * Math.Cos(angle)) - (b * Math.Sin(angle))) * amplitude), -1e-6, 1e-6);
                    Assert.InRange(found[at + i + 3] - (((b * Math.Cos(angle)) + (a * Math.Sin(angle))) * amplitude), -1e-6, 1e-6);
                }

                Assert.Equal(values[at + 6], found[at + 6]);
                Assert.Equal(values[at + 7], found[at + 7]);
            }
        }
    }

    [Fact]
    public void Positions_far_away_are_as_exact_as_near_ones_and_tables_grow()
    {
        using DisposeScope scope = NewDisposeScope();
        using RotaryPositions positions = new(3_000_000, 4, 10_000);
        Rotation far = positions.At(2_000_000, 2, ScalarType.Float32, CPU);
        Assert.Equal(Math.Cos(2_000_000), far.Cos[0, 0].item<float>(), 5);
        Assert.Equal(-Math.Sin(2_000_001 * 0.01), far.Sin[1, 1].item<float>(), 5);
        Rotation near = positions.At(0, 2, ScalarType.Float32, CPU);
        Assert.Equal(Math.Cos(1), near.Cos[1, 0].item<float>(), 6);
    }

    [Fact]
    public void What_means_nothing_is_refused()
    {
        static void Refused(RotaryScaling scaling, int turned = 8) => Assert.ThrowsAny<ArgumentException>(() => scaling.Validate(turned));
        foreach (double bad in new[] { double.NaN, double.PositiveInfinity, 0, 0.5, -2 }) Refused(new() { Factor = bad });
        Refused(new() { Kind = (RotaryScalingKind)9 });
        Refused(new() { Original = 0 });
        Refused(RotaryScaling.Ntk(2), 2);
        Refused(new() { Kind = RotaryScalingKind.Dynamic, Factor = 2 }, 2);
        Refused(new() { Kind = RotaryScalingKind.Llama3, Factor = 2 });
        Refused(new() { Kind = RotaryScalingKind.Llama3, Factor = 2, Original = 8, LowFrequency = 4, HighFrequency = 4 });
        Refused(new() { Kind = RotaryScalingKind.Llama3, Factor = 2, Original = 8, LowFrequency = double.NaN });
        Refused(new() { Kind = RotaryScalingKind.Yarn, Factor = 2, BetaSlow = 0 });
        Refused(new() { Kind = RotaryScalingKind.Yarn, Factor = 2, BetaFast = 0.5 });
        Refused(new() { Kind = RotaryScalingKind.Yarn, Factor = 2, AttentionFactor = double.NaN });
        Assert.Equal(int.MaxValue, new RotaryScaling { Factor = 1e300 }.Longest(4096));
        Assert.Equal(4096, RotaryScaling.Ntk(100).Longest(4096));
        Assert.Equal(0.1 * Math.Log(16) + 1, new RotaryScaling { Kind = RotaryScalingKind.Yarn, Factor = 16 }.Amplitude, 12);
        Assert.Equal(1, new RotaryScaling { Kind = RotaryScalingKind.Yarn, Factor = 40, MScale = 0.7, MScaleAllDim = 0.7 }.Amplitude, 12);
    }

    [Theory]
    [InlineData(0.0), InlineData(1.0), InlineData(0.5), InlineData(double.NaN), InlineData(double.PositiveInfinity)]
    public void A_base_of_which_no_frequency_can_be_made_is_refused_and_no_nan_comes_out(double theta)
    {
        LlamaConfig config = new() { Vocabulary = 10, Width = 8, MlpWidth = 8, Layers = 1, Heads = 2, KeyValueHeads = 2, Context = 64, RopeTheta = theta, Scaling = new() { Kind = RotaryScalingKind.Yarn, Factor = 4, Original = 1024 } };
        using DisposeScope scope = NewDisposeScope();
        try
        {
            using TinyLM model = new(config);
            Assert.True(model.Logits(zeros([1, 8], dtype: ScalarType.Int64)).isfinite().all().item<bool>());
        }
        catch (ArgumentException)
        {
        }
    }
}
