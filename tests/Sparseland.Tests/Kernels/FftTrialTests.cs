using Sparseland.Kernels;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Tests.Kernels;

/// <summary>Long convolutions against sums written out in float64, with odd lengths, kept frequencies, scales and input that does not fit.</summary>
public class FftTrialTests
{
    private static readonly Random s_random = new(11);

    private static double[] Numbers(int count)
    {
        lock (s_random) return [.. Enumerable.Range(0, count).Select(_ => (double)(float)(s_random.NextDouble() - 0.5))];
    }

    private static Tensor Floats(double[] numbers, params long[] shape) => tensor(Array.ConvertAll(numbers, n => (float)n), shape);

    /// <summary>The kernel of the frequencies below a number, of period N: the real inverse transform, written out.</summary>
    private static double[] Kept(double[] kernel, int N, int keep)
    {
        var response = new double[N];
        for (int f = 0; f < N; f++)
        {
            if (Math.Min(f, N - f) >= keep) continue;
            double re = 0, im = 0;
            for (int s = 0; s < kernel.Length; s++) (re, im) = (re + (kernel[s] * Math.Cos(2 * Math.PI * f * s / N)), im - (kernel[s] * Math.Sin(2 * Math.PI * f * s / N)));
            for (int t = 0; t < N; t++) response[t] += ((re * Math.Cos(2 * Math.PI * ((long)f * t % N) / N)) - (im * Math.Sin(2 * Math.PI * ((long)f * t % N) / N))) / N;
        }

        return response;
    }

    private static FftPlan[] Plans(int N) => [FftPlan.Create(N, null, FftKernel.Products), .. N >= 256 && (N & (N - 1)) == 0 ? new[] { FftPlan.Create(N) } : []];

    [Theory]
    [InlineData(2, 1, 2)]
    [InlineData(2, 2, 1)]
    [InlineData(3, 2, 2)]
    [InlineData(7, 3, 5)]
    [InlineData(30, 11, 20)]
    [InlineData(77, 40, 38)]
    [InlineData(256, 1, 256)]
    [InlineData(256, 256, 1)]
    [InlineData(256, 100, 157)]
    [InlineData(512, 17, 33)]
    [InlineData(210, 100, 100)]
    public void Causal_and_circular_sums_are_those_of_the_formula(int N, int taps, int L)
    {
        using var scope = NewDisposeScope();
        double[] k = Numbers(2 * taps), u = Numbers(3 * 2 * L), v = Numbers(3 * 2 * L), w = Numbers(3 * 2 * L);
        foreach (FftPlan plan in Plans(N))
        {
            KernelSpectrum spectrum = KernelSpectrum.From(Floats(k, 2, taps), plan);
            foreach (bool circular in new[] { false, true })
            {
                foreach (int gates in new[] { 0, 1, 2, 3 })
                {
                    float[] y = FftConvolution.Forward(Floats(u, 3, 2, L), spectrum, (gates & 1) != 0 ? Floats(v, 3, 2, L) : null, (gates & 2) != 0 ? Floats(w, 3, 2, L) : null, circular).data<float>().ToArray();
                    for (int row = 0; row < 6; row++)
                    {
                        for (int t = 0; t < L; t++)
                        {
                            double sum = 0;
                            for (int s = 0; s < taps; s++)
                            {
                                int at = circular ? (((t - s) % N) + N) % N : t - s;
                                if (at >= 0 && at < L) sum += k[(row % 2 * taps) + s] * u[(row * L) + at] * ((gates & 1) != 0 ? v[(row * L) + at] : 1);
                            }

                            Assert.Equal(sum * ((gates & 2) != 0 ? w[(row * L) + t] : 1), y[(row * L) + t], 2e-5);
                        }
                    }
                }
            }
        }
    }

    [Theory]
    [InlineData(30)]
    [InlineData(31)]
    [InlineData(77)]
    [InlineData(256)]
    public void Kept_frequencies_are_the_written_out_response_for_odd_and_even_lengths(int N)
    {
        using var scope = NewDisposeScope();
        int taps = 5, L = N - taps + 1;
        double[] k = Numbers(taps), u = Numbers(L);
        foreach (FftPlan plan in Plans(N))
        {
            foreach (int keep in new[] { 1, 2, N / 4, N / 2, (N / 2) + 1 })
            {
                KernelSpectrum spectrum = KernelSpectrum.From(Floats(k, 1, taps), plan, keep);
                double[] response = Kept(k, N, keep);
                float[] y = FftConvolution.Forward(Floats(u, 1, 1, L), spectrum).data<float>().ToArray();
                for (int t = 0; t < L; t++)
                {
                    double sum = 0;
                    for (int s = 0; s < L; s++) sum += u[s] * response[(((t - s) % N) + N) % N];
                    Assert.Equal(sum, y[t], 2e-5);
                }

                Assert.Equal((double)keep / ((N / 2) + 1), spectrum.Share, 1e-12);
            }

            Assert.Throws<ArgumentOutOfRangeException>(() => KernelSpectrum.From(Floats(k, 1, taps), plan, 0));
            Assert.Throws<ArgumentOutOfRangeException>(() => KernelSpectrum.From(Floats(k, 1, taps), plan, (N / 2) + 2));
        }
    }

    [Theory]
    [InlineData(FftKernel.Butterflies)]
    [InlineData(FftKernel.Products)]
    public void Gradients_of_spectra_that_leave_frequencies_out_are_refused_and_not_made_up(FftKernel kernel)
    {
        // The gradient of a kernel whose spectrum is cut would need the same cut; without it a training goes another way and says nothing.
        using var scope = NewDisposeScope();
        FftPlan plan = FftPlan.Create(256, null, kernel);
        Tensor u = randn(2, 1, 100), g = randn(2, 1, 100), k = randn(1, 30);
        foreach (int keep in new[] { 1, 20, 100, 128 })
            Assert.Contains("frequencies", Assert.Throws<ArgumentException>(() => FftConvolution.Backward(g, u, KernelSpectrum.From(k, plan, keep))).Message, StringComparison.Ordinal);
        using FftGradients all = FftConvolution.Backward(g, u, KernelSpectrum.From(k, plan, 129));
        Assert.Equal([1, 30], all.Kernel.shape);
    }

    [Fact]
    public void Windows_are_refused_where_a_cut_spectrum_makes_the_response_as_long_as_the_period()
    {
        using var scope = NewDisposeScope();
        FftPlan plan = FftPlan.Create(256);
        Tensor u = randn(1, 1, 1000), k = randn(1, 30);
        Assert.Throws<ArgumentException>("kernel", () => PartialConvolution.Forward(u, KernelSpectrum.From(k, plan, 40)));
        Assert.Throws<ArgumentException>(() => PartialConvolution.Forward(randn([1, 1, 1000], dtype: ScalarType.Float64), KernelSpectrum.From(k, plan)));
        Assert.Throws<ArgumentException>(() => PartialConvolution.Forward(randn(1, 2, 1000), KernelSpectrum.From(k, plan)));
        Assert.Throws<ArgumentException>(() => PartialConvolution.Forward(randn(0, 1, 1000), KernelSpectrum.From(k, plan)));
        Assert.Throws<ArgumentNullException>(() => PartialConvolution.Forward(u, null!));
    }

    [Theory]
    [InlineData(1, 300)]
    [InlineData(7, 1)]
    [InlineData(255, 400)]
    [InlineData(256, 300)]
    [InlineData(100, 157)]
    public void Windows_of_any_kernel_give_the_sums(int taps, int L)
    {
        using var scope = NewDisposeScope();
        double[] k = Numbers(taps), u = Numbers(L);
        float[] y = PartialConvolution.Forward(Floats(u, 1, 1, L), KernelSpectrum.From(Floats(k, 1, taps), FftPlan.Create(256))).data<float>().ToArray();
        Assert.Equal(L, y.Length);
        for (int t = 0; t < L; t++)
        {
            double sum = 0;
            for (int s = 0; s < taps && s <= t; s++) sum += k[s] * u[t - s];
            Assert.Equal(sum, y[t], 2e-5);
        }
    }

    [Theory]
    [InlineData(1e-30f)]
    [InlineData(1e15f)]
    public void Scales_come_through(float scale)
    {
        using var scope = NewDisposeScope();
        Tensor u = randn(1, 2, 200), k = randn(2, 50);
        KernelSpectrum spectrum = KernelSpectrum.From(k, FftPlan.ForCausal(200, 50));
        Tensor plain = FftConvolution.Forward(u, spectrum), scaled = FftConvolution.Forward(u * scale, spectrum) / scale;
        Assert.True((plain - scaled).abs().max().item<float>() < 1e-4);
        Assert.True((FftConvolution.Forward(u, KernelSpectrum.From(k * scale, spectrum.Plan)) / scale - plain).abs().max().item<float>() < 1e-4);
    }

    [Fact]
    public void A_number_that_is_not_finite_stays_in_its_pair_of_rows()
    {
        using var scope = NewDisposeScope();
        Tensor u = randn(5, 2, 100);
        KernelSpectrum spectrum = KernelSpectrum.From(randn(2, 10), FftPlan.Create(256));
        Tensor clean = FftConvolution.Forward(u, spectrum);
        u[2, 1, 40] = float.NaN;
        Tensor y = FftConvolution.Forward(u, spectrum);
        Assert.True(y[2, 1].isnan().all().item<bool>());
        foreach ((int b, int h) in new[] { (0, 0), (0, 1), (1, 1), (2, 0), (3, 0), (4, 1) }) Assert.True(y[b, h].equal(clean[b, h]).all().item<bool>(), $"({b}, {h})");
    }

    [Theory]
    [InlineData(1, false, false)]
    [InlineData(2, true, true)]
    [InlineData(3, true, false)]
    [InlineData(3, false, true)]
    public void Gradients_are_the_written_out_ones(int batch, bool before, bool after)
    {
        // L = sum g y with y = w o ((v o u) * k), so that dL/du and the others are plain sums.
        using var scope = NewDisposeScope();
        const int L = 21, taps = 9;
        double[] u = Numbers(batch * L), v = before ? Numbers(batch * L) : [.. Enumerable.Repeat(1.0, batch * L)], w = after ? Numbers(batch * L) : [.. Enumerable.Repeat(1.0, batch * L)], g = Numbers(batch * L), k = Numbers(taps);
        double[] du = new double[batch * L], dv = new double[batch * L], dw = new double[batch * L], dk = new double[taps];
        for (int b = 0; b < batch; b++)
        {
            for (int t = 0; t < L; t++)
            {
                for (int s = 0; s < taps && s <= t; s++)
                {
                    int to = (b * L) + t, from = to - s;
                    du[from] += g[to] * w[to] * k[s] * v[from];
                    dv[from] += g[to] * w[to] * k[s] * u[from];
                    dw[to] += g[to] * k[s] * u[from] * v[from];
                    dk[s] += g[to] * w[to] * u[from] * v[from];
                }
            }
        }

        foreach (FftPlan plan in new[] { FftPlan.Create(29, null, FftKernel.Products), FftPlan.Create(36, [4, 9], FftKernel.Products), FftPlan.Create(256) })
        {
            KernelSpectrum spectrum = KernelSpectrum.From(Floats(k, 1, taps), plan);
            using FftGradients all = FftConvolution.Backward(Floats(g, batch, 1, L), Floats(u, batch, 1, L), spectrum, before ? Floats(v, batch, 1, L) : null, after ? Floats(w, batch, 1, L) : null);
            foreach ((double[] expected, Tensor? given) in new[] { (du, all.Signal), (dk, all.Kernel), (dv, all.Before), (dw, all.After) })
            {
                if (given is null) continue;
                float[] numbers = given.contiguous().data<float>().ToArray();
                for (int i = 0; i < expected.Length; i++) Assert.Equal(expected[i], numbers[i], 1e-5);
            }

            Assert.Equal((before, after), (all.Before is not null, all.After is not null));
        }
    }

    [Fact]
    public void Plans_that_cannot_be_are_refused_with_an_argument_exception()
    {
        foreach ((int length, int[]? factors, FftKernel kernel) in new (int, int[]?, FftKernel)[]
        {
            (1, null, FftKernel.Products), (0, null, FftKernel.Products), (-8, null, FftKernel.Products), ((1 << 24) + 1, null, FftKernel.Products), (8, [], FftKernel.Products), (8, [8, 1], FftKernel.Products), (8, [-2, -4], FftKernel.Products),
            (8, [3, 3], FftKernel.Products), (128, null, FftKernel.Butterflies), (300, null, FftKernel.Butterflies), (256, [32, 8], FftKernel.Butterflies), (256, [4, 4, 16], (FftKernel)9), (8, [1 << 30, 1 << 30, 4], FftKernel.Products),

            // A dense matrix of a large prime's square does not fit any memory: refused, and not tried.
            (65_537, null, FftKernel.Products), (16_777_213, null, FftKernel.Products),
        })
            Assert.True(Record.Exception(() => FftPlan.Create(length, factors, kernel)) is ArgumentException, $"{length}, {kernel}: {Record.Exception(() => FftPlan.Create(length, factors, kernel))}");
        Assert.ThrowsAny<ArgumentException>(() => FftPlan.ForCausal(0, 1));
        Assert.ThrowsAny<ArgumentException>(() => FftPlan.ForCausal(int.MaxValue, int.MaxValue));
        FftPlan plan = FftPlan.Create(12, [3, 4], FftKernel.Products);
        Assert.ThrowsAny<ArgumentException>(() => plan.Transform(zeros(13)));
        Assert.ThrowsAny<ArgumentException>(() => plan.Transform(tensor(1.0)));
        Assert.ThrowsAny<ArgumentException>(() => plan.RowShare(13));
        Assert.Equal([.. Enumerable.Range(0, 12)], plan.Frequencies.Order());
        using var scope = NewDisposeScope();
        Assert.ThrowsAny<ArgumentException>(() => KernelSpectrum.From(zeros(1, 13), plan));
        Assert.ThrowsAny<ArgumentException>(() => KernelSpectrum.From(zeros(0, 3), plan));
        Assert.ThrowsAny<ArgumentException>(() => KernelSpectrum.From(zeros([1, 3], dtype: ScalarType.Float16), plan));
        Assert.ThrowsAny<ArgumentException>(() => LongConvolution.Apply(zeros(1, 1, 4), zeros([1, 2], dtype: ScalarType.Float64)));
        Assert.ThrowsAny<ArgumentException>(() => LongConvolution.Apply(zeros([1, 1, 4], dtype: ScalarType.Float64), zeros(1, 2)));
        Assert.ThrowsAny<ArgumentException>(() => LongConvolution.Apply(zeros(1, 1, 12), zeros(1, 2), plan));
        Assert.ThrowsAny<ArgumentException>(() => LongConvolution.Apply(zeros(1, 1, 4), zeros(1, 2), plan, zeros(1, 1, 5)));
        using var cancelled = new CancellationTokenSource();
        cancelled.Cancel();
        foreach (int batch in new[] { 1, 9 })
            Assert.ThrowsAny<OperationCanceledException>(() => FftConvolution.Forward(zeros(batch, 1, 4), KernelSpectrum.From(zeros(1, 2), plan), cancel: cancelled.Token));
    }

    [Theory]
    [InlineData(1, 1)]
    [InlineData(2, 3)]
    [InlineData(64, 5)]
    [InlineData(1024, 1)]
    public void A_hadamard_transform_is_the_sum_of_its_signs_at_any_scale(int rows, int columns)
    {
        double[] from = [.. Numbers(rows * columns).Select(n => n * 1e150)], to = [.. from];
        Hadamard.TransformRowsInPlace<double>(to, rows, columns);
        for (int i = 0; i < rows; i += Math.Max(1, rows / 9))
        {
            for (int c = 0; c < columns; c++)
            {
                double sum = 0;
                for (int j = 0; j < rows; j++) sum += Hadamard.Entry(i, j) * from[(j * columns) + c];
                Assert.True(Math.Abs(sum - to[(i * columns) + c]) <= 1e-12 * 1e150 * rows);
            }
        }

        using var scope = NewDisposeScope();
        Assert.ThrowsAny<ArgumentException>(() => Hadamard.TransformInPlace(zeros(3)));
        Assert.ThrowsAny<ArgumentException>(() => Hadamard.TransformInPlace(zeros(0)));
        Assert.ThrowsAny<ArgumentException>(() => Hadamard.TransformInPlace(tensor(1f)));
        Assert.ThrowsAny<ArgumentException>(() => Hadamard.TransformInPlace(zeros(4, 2).t()));
        Assert.ThrowsAny<ArgumentException>(() => Hadamard.TransformInPlace(zeros([4], dtype: ScalarType.Float16)));
        Hadamard.TransformInPlace(zeros(4, 0));
        Tensor nan = ones(2, 4);
        nan[1, 2] = float.NaN;
        Hadamard.TransformInPlace(nan, -1);
        Assert.True(nan[1].isnan().all().item<bool>() && nan[0, 0].item<float>() == 4);
    }
}
