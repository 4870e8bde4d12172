using Sparseland.Autoencoders;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Tests.Autoencoders;

/// <summary>Tokens of a norm far above the usual are left out and counted; windows stay windows of one length.</summary>
public class OrdinaryTokensTests
{
    [Fact]
    public void The_first_token_of_each_window_and_a_broken_window_are_left_out()
    {
        using var scope = NewDisposeScope();
        Tensor x = randn([40, 4], generator: new Generator(3));
        x = x / x.norm(1, keepdim: true) * rand([40, 1], generator: new Generator(4)).add(0.5);

        // Four windows of ten: the first token is large in each, one more in window 1, all but two in window 2.
        int[] large = [0, 10, 15, .. Enumerable.Range(20, 8), 30];
        foreach (int token in large) x[token].mul_(100);
        var source = new Windows(x, 10);
        OrdinaryTokens ordinary = OrdinaryTokens.Of(source, 10);
        Assert.Equal((12, 8, 3), (ordinary.LeftOut, ordinary.TokensPerWindow, ordinary.Windows));
        Assert.Equal(40 - 12 - 24, ordinary.LeftOver);
        Assert.InRange(ordinary.MedianNorm, 0.5, 2);
        ActivationRows rows = ordinary.Read([2, 1, 0], default);
        long[] expected = [31, 32, 33, 34, 35, 36, 37, 38, 11, 12, 13, 14, 16, 17, 18, 19, 1, 2, 3, 4, 5, 6, 7, 8];
        Assert.True(rows.Activations.eq(x.index_select(0, tensor(expected))).all().item<bool>());
        Assert.True(rows.Gradients!.eq(-rows.Activations).all().item<bool>());
        Assert.Contains("12 tokens of norm above 10 medians", ordinary.Description, StringComparison.Ordinal);
    }

    [Fact]
    public void Where_nothing_is_large_everything_stays()
    {
        using var scope = NewDisposeScope();
        Tensor x = randn([30, 4], generator: new Generator(3)) + 5;
        OrdinaryTokens ordinary = OrdinaryTokens.Of(new TensorActivations(x), 10);
        Assert.Equal((0, 0, 30, 1), (ordinary.LeftOut, ordinary.LeftOver, ordinary.Windows, ordinary.TokensPerWindow));
        Assert.True(ordinary.Read([3, 29], default).Activations.eq(x.index_select(0, tensor(new long[] { 3, 29 }))).all().item<bool>());
        x[7].mul_(1000);
        Assert.Equal(29, OrdinaryTokens.Of(new TensorActivations(x), 10).Windows);
    }

    [Fact]
    public void What_cannot_be_measured_is_refused()
    {
        using var scope = NewDisposeScope();
        Assert.Throws<ArgumentOutOfRangeException>(() => OrdinaryTokens.Of(new TensorActivations(ones(4, 2)), 0.5));
        Assert.Contains("are zero", Assert.Throws<ArgumentException>(() => OrdinaryTokens.Of(new TensorActivations(zeros(4, 2)), 10)).Message, StringComparison.Ordinal);
        Tensor x = ones(20, 2);
        x[13, 1] = float.NaN;
        Assert.Contains("token 3 of window 1", Assert.Throws<InvalidDataException>(() => OrdinaryTokens.Of(new Windows(x, 10), 10)).Message, StringComparison.Ordinal);
        Assert.Throws<OperationCanceledException>(() => OrdinaryTokens.Of(new Windows(ones(20, 2), 10), 10, cancel: new CancellationToken(canceled: true)));
    }

    private sealed class Windows(Tensor x, int length) : IActivationSource
    {
        public string Description => "a test";

        public int Width => (int)x.shape[1];

        int IActivationSource.Windows => (int)(x.shape[0] / length);

        public int TokensPerWindow => length;

        public bool HasGradients => true;

        public ActivationRows Read(ReadOnlySpan<int> windows, CancellationToken cancel)
        {
            Tensor rows = cat([.. windows.ToArray().Select(w => x.narrow(0, (long)w * length, length))]);
            return new(rows, -rows);
        }
    }
}
