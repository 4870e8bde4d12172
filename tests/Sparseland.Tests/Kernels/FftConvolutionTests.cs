using Sparseland.Kernels;
using TorchSharp;
using Xunit;
using static TorchSharp.torch;

namespace Sparseland.Tests.Kernels;

public class FftConvolutionTests
{
    public static TheoryData<int, int[]?, FftKernel> Plans() => new()
    {
        { 16, [4, 4], FftKernel.Products }, { 48, [3, 16], FftKernel.Products }, { 60, [3, 4, 5], FftKernel.Products }, { 7, [7], FftKernel.Products },
        { 256, [16, 16], FftKernel.Products }, { 1024, [32, 32], FftKernel.Products }, { 4096, [16, 16, 16], FftKernel.Products }, { 2310, null, FftKernel.Products },
        { 256, null, FftKernel.Butterflies }, { 512, null, FftKernel.Butterflies }, { 1024, null, FftKernel.Butterflies }, { 2048, null, FftKernel.Butterflies },
        { 4096, null, FftKernel.Butterflies }, { 8192, null, FftKernel.Butterflies }, { 16384, null, FftKernel.Butterflies }, { 65536, null, FftKernel.Butterflies },
        { 512, [2, 2, 8, 16], FftKernel.Butterflies }, { 256, [4, 4, 16], FftKernel.Butterflies }, { 8192, [2, 16, 16, 16], FftKernel.Butterflies },
    };

    [Theory]
    [MemberData(nameof(Plans))]
    public void A_plan_leaves_every_frequency_where_it_says(int length, int[]? factors, FftKernel kernel)
    {
        using DisposeScope scope = NewDisposeScope();
        FftPlan plan = FftPlan.Create(length, factors, kernel);
        Tensor x = torch.complex(randn(2, length, dtype: ScalarType.Float64), randn(2, length, dtype: ScalarType.Float64));
        Tensor order = tensor(plan.Frequencies.Select(f => (long)f).ToArray());
        Assert.Equal(Enumerable.Range(0, length), plan.Frequencies.Order());
        Tensor expected = torch.fft.fft_(x).index_select(1, order), found = plan.Transform(x);
        Assert.True(((found - expected).abs().max() / expected.abs().max()).item<double>() < 1e-12);
        if (kernel == FftKernel.Products && plan.Factors.Count == 2) Assert.Equal(1 + plan.Factors[0], plan.Frequencies[plan.Factors[1] + 1]);
    }

    [Theory]
    [MemberData(nameof(Plans))]
    public void Convolution_is_that_of_the_library_for_every_plan(int length, int[]? factors, FftKernel kernel)
    {
        using DisposeScope scope = NewDisposeScope();
        FftPlan plan = FftPlan.Create(length, factors, kernel);
        foreach (int batch in new[] { 1, 2, 3 })
        {
            foreach (int taps in new[] { 1, Math.Max(1, length / 3), (length / 2) + 1 })
            {
                int L = length - taps + 1;
                Tensor u = randn(batch, 3, L), k = randn(3, taps) / Math.Sqrt(taps);
                Tensor y = FftConvolution.Forward(u, KernelSpectrum.From(k, plan));
                Close(Reference(u, k), y, 1e-6);
                Tensor v = randn(batch, 3, L), w = randn(batch, 3, L);
                Close(w.to(ScalarType.Float64) * Reference(u * v, k), FftConvolution.Forward(u, KernelSpectrum.From(k, plan), v, w), 2e-6);
                Close(Reference(u * v, k), FftConvolution.Forward(u, KernelSpectrum.From(k, plan), before: v), 2e-6);
            }
        }
    }

    [Theory]
    [InlineData(FftKernel.Products)]
    [InlineData(FftKernel.Butterflies)]
    public void Short_signals_delays_and_causality(FftKernel kernel)
    {
        using DisposeScope scope = NewDisposeScope();
        FftPlan plan = FftPlan.Create(1024, null, kernel);
        foreach (int L in new[] { 1, 5, 33, 100, 300, 511, 512, 513, 900 })
        {
            Tensor u = randn(2, 2, L), delay = zeros(2, Math.Min(124, 7));
            delay[0, 0] = 1;
            delay[1, 3] = 1;
            Tensor y = FftConvolution.Forward(u, KernelSpectrum.From(delay, plan));
            Close(u.select(1, 0), y.select(1, 0), 1e-6);
            if (L > 3) Close(u.select(1, 1).narrow(1, 0, L - 3), y.select(1, 1).narrow(1, 3, L - 3), 2e-6);
            Tensor k = randn(2, 100), other = u.clone();
            other.narrow(2, L / 2, L - (L / 2)).mul_(-3);
            KernelSpectrum spectrum = KernelSpectrum.From(k, plan);
            Tensor first = FftConvolution.Forward(u, spectrum), second = FftConvolution.Forward(other, spectrum);
            if (L > 1) Assert.True((first - second).narrow(2, 0, L / 2).abs().max().item<float>() < 1e-4);
        }
    }

    [Theory]
    [InlineData(2, false, FftKernel.Butterflies)]
    [InlineData(3, true, FftKernel.Butterflies)]
    [InlineData(3, true, FftKernel.Products)]
    public void Gradients_are_those_of_automatic_differentiation(int batch, bool gated, FftKernel kernel)
    {
        using DisposeScope scope = NewDisposeScope();
        const int H = 3, L = 200, Taps = 57;
        FftPlan plan = FftPlan.Create(256, kernel == FftKernel.Products ? [16, 16] : null, kernel);
        Tensor u = randn(batch, H, L), k = randn(H, Taps), v = randn(batch, H, L), w = randn(batch, H, L), g = randn(batch, H, L);
        Tensor[] wide = [.. new[] { u, k, v, w }.Select(t => t.to(ScalarType.Float64).requires_grad_())];
        Tensor y = gated ? wide[3] * Reference(wide[0] * wide[2], wide[1]) : Reference(wide[0], wide[1]);
        (y * g).sum().backward();
        using FftGradients found = FftConvolution.Backward(g, u, KernelSpectrum.From(k, plan), gated ? v : null, gated ? w : null);
        Close(wide[0].grad, found.Signal, 1e-5);
        Close(wide[1].grad, found.Kernel, 1e-5);
        if (!gated) Assert.True(found.Before is null && found.After is null);
        if (gated) Close(wide[2].grad, found.Before!, 1e-5);
        if (gated) Close(wide[3].grad, found.After!, 1e-5);
        Tensor plain = FftConvolution.Forward(u, KernelSpectrum.From(k, plan), gated ? v : null, gated ? w : null);
        double left = (g * plain).to(ScalarType.Float64).sum().item<double>(), right = (found.Signal * u).to(ScalarType.Float64).sum().item<double>();
        Assert.True(Math.Abs(left - right) <= 1e-4 * (g * plain).abs().sum().item<float>());
    }

    [Theory]
    [InlineData(false, false)]
    [InlineData(true, false)]
    [InlineData(false, true)]
    [InlineData(true, true)]
    public void A_network_gets_gradients_through_the_convolution(bool before, bool after)
    {
        using DisposeScope scope = NewDisposeScope();
        Tensor[] leaves = [randn(3, 2, 100).requires_grad_(), randn(2, 40).requires_grad_(), randn(3, 2, 100).requires_grad_(), randn(3, 2, 100).requires_grad_()];
        Tensor g = randn(3, 2, 100), y = LongConvolution.Apply(leaves[0] * 1, leaves[1] * 1, null, before ? leaves[2] * 1 : null, after ? leaves[3] * 1 : null);
        (y * g).sum().backward();
        Tensor[] wide = [.. leaves.Select(t => t.detach().to(ScalarType.Float64).requires_grad_())];
        Tensor expected = Reference(before ? wide[0] * wide[2] : wide[0], wide[1]);
        if (after) expected *= wide[3];
        (expected * g).sum().backward();
        Close(expected, y, 2e-6);
        for (int i = 0; i < 4; i++)
        {
            if (wide[i].grad is null) Assert.Null(leaves[i].grad);
            else Close(wide[i].grad, leaves[i].grad!, 1e-5);
        }

        Assert.Throws<ArgumentException>(() => LongConvolution.Apply(randn(2, 3), randn(2, 4)));
        Assert.Throws<ArgumentException>(() => LongConvolution.Apply(randn(1, 2, 300), randn(2, 300), FftPlan.Create(512)));
    }

    [Theory]
    [InlineData(100, 512, 3000)]
    [InlineData(1, 256, 700)]
    [InlineData(256, 256, 1000)]
    [InlineData(200, 1024, 900)]
    public void Windows_give_the_whole_convolution(int taps, int window, int length)
    {
        using DisposeScope scope = NewDisposeScope();
        Tensor u = randn(3, 2, length), k = randn(2, taps) / Math.Sqrt(taps);
        Close(Reference(u, k), PartialConvolution.Forward(u, KernelSpectrum.From(k, FftPlan.Create(window))), 2e-6);
    }

    [Fact]
    public void Frequencies_that_are_left_out_are_those_of_a_masked_spectrum()
    {
        using DisposeScope scope = NewDisposeScope();
        const int N = 1024, L = 512;
        Tensor u = randn(3, 2, L), k = randn(2, L);
        foreach (FftPlan plan in new[] { FftPlan.Create(N, [16, 64], FftKernel.Products), FftPlan.Create(N, [8, 8, 16], FftKernel.Products), FftPlan.Create(N) })
        {
            foreach (int keep in new[] { 1, 40, 64, 129, 256, 512, 513 })
            {
                KernelSpectrum spectrum = KernelSpectrum.From(k, plan, keep);
                Tensor K = torch.fft.rfft(k.to(ScalarType.Float64), N);
                if (keep < 513) K.narrow(1, keep, 513 - keep).zero_();
                Tensor expected = torch.fft.irfft(torch.fft.rfft(u.to(ScalarType.Float64), N) * K, N).narrow(2, 0, L);
                Close(expected, FftConvolution.Forward(u, spectrum), 2e-6);
                Assert.Equal(keep / 513.0, spectrum.Share);
            }
        }

        // Frequencies below 256 of 0 to 512 are 16 columns of 64 at either end, and the one that holds N - 255.
        Assert.Equal(32, KernelSpectrum.From(k, FftPlan.Create(N, [16, 64], FftKernel.Products), 256).Columns.Count);
        Assert.Equal(64, KernelSpectrum.From(k, FftPlan.Create(N, [16, 64], FftKernel.Products)).Columns.Count);
    }

    [Fact]
    public void One_thread_and_two_give_the_same_bits()
    {
        using DisposeScope scope = NewDisposeScope();
        Tensor u = randn(5, 4, 3000), k = randn(4, 1000);
        KernelSpectrum spectrum = KernelSpectrum.From(k, FftPlan.ForCausal(3000, 1000));
        int threads = get_num_threads();
        try
        {
            set_num_threads(1);
            Tensor one = FftConvolution.Forward(u, spectrum);
            set_num_threads(2);
            Assert.Equal(0, one.ne(FftConvolution.Forward(u, spectrum)).sum().item<long>());
        }
        finally
        {
            set_num_threads(threads);
        }
    }

    [Fact]
    public void Views_numbers_that_are_not_finite_and_what_does_not_fit()
    {
        using DisposeScope scope = NewDisposeScope();
        FftPlan plan = FftPlan.Create(256);
        Tensor u = randn(100, 2, 3).permute(2, 1, 0), k = randn(9, 2).t();
        KernelSpectrum spectrum = KernelSpectrum.From(k, plan);
        Close(Reference(u, k), FftConvolution.Forward(u, spectrum), 1e-6);
        Tensor broken = u.clone().contiguous();
        broken[0, 0, 50] = float.NaN;
        Tensor y = FftConvolution.Forward(broken, spectrum);
        Assert.Equal((100L, 0L), (y[0, 0].isnan().sum().item<long>(), y.select(1, 1).isnan().sum().item<long>()));
        Assert.Contains("264", Assert.Throws<ArgumentException>(() => FftConvolution.Forward(randn(1, 2, 256), spectrum)).Message, StringComparison.Ordinal);
        Assert.Throws<ArgumentException>(() => FftConvolution.Forward(randn(1, 3, 100), spectrum));
        Assert.Throws<ArgumentException>(() => FftConvolution.Forward(randn(1, 2, 100, dtype: ScalarType.Float64), spectrum));
        Assert.Throws<ArgumentException>(() => FftConvolution.Forward(u, spectrum, before: randn(1, 2, 100)));
        Assert.Throws<ArgumentException>(() => FftConvolution.Backward(randn(1, 2, 100), u, spectrum));
        Assert.Throws<ArgumentException>(() => FftPlan.Create(1024, [16, 32], FftKernel.Products));
        Assert.Throws<ArgumentException>(() => FftPlan.Create(1024, [1, 1024], FftKernel.Products));
        Assert.Throws<ArgumentException>(() => FftPlan.Create(1000));
        Assert.Throws<ArgumentException>(() => FftPlan.Create(128));
        Assert.Throws<ArgumentException>(() => FftPlan.Create(512, [32, 16]));
        Assert.Throws<ArgumentOutOfRangeException>(() => FftPlan.Create(1));
        Assert.Throws<ArgumentOutOfRangeException>(() => FftPlan.ForCausal(1 << 24, 2));
        Assert.Throws<ArgumentOutOfRangeException>(() => KernelSpectrum.From(k, plan, 130));
        Assert.Throws<ArgumentOutOfRangeException>(() => KernelSpectrum.From(k, plan, 0));
        Assert.Throws<ArgumentException>(() => KernelSpectrum.From(randn(2, 257), plan));
        Assert.Throws<ArgumentException>(() => FftConvolution.Backward(u, u, KernelSpectrum.From(k, FftPlan.Create(256, [16, 16], FftKernel.Products), 20)));
        using var cancel = new CancellationTokenSource();
        cancel.Cancel();
        Assert.Throws<OperationCanceledException>(() => FftConvolution.Forward(u, spectrum, cancel: cancel.Token));
    }

    /// <summary>Causal, in float64, by libtorch's transforms.</summary>
    private static Tensor Reference(Tensor u, Tensor k)
    {
        long L = u.shape[^1], n = L + k.shape[^1];
        return torch.fft.irfft(torch.fft.rfft(u.to(ScalarType.Float64), n) * torch.fft.rfft(k.to(ScalarType.Float64), n), n).narrow(-1, 0, L);
    }

    private static void Close(Tensor? expected, Tensor found, double tolerance)
    {
        Assert.NotNull(expected);
        double apart = ((found.to(ScalarType.Float64) - expected.to(ScalarType.Float64)).norm() / expected.to(ScalarType.Float64).norm()).item<double>();
        Assert.True(apart <= tolerance, $"relative error {apart}");
    }
}
