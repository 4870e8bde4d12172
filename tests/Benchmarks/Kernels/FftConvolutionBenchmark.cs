using Sparseland.Kernels;
using TorchSharp;
using static TorchSharp.torch;

namespace Benchmarks.Kernels;

/// <summary>Causal convolutions of 64 channels, batch 4, with kernels as long as the signal, against libtorch's rfft, product and irfft with twice the length, spectra of the kernels kept on both sides and the output cut.</summary>
public class FftConvolutionBenchmark : IQuickBenchmark
{
    /// <inheritdoc/>
    public IEnumerable<Comparison> Comparisons()
    {
        const int Channels = 64, Batch = 4;
        foreach (int L in new[] { 1024, 4096, 16384, 65536 })
        {
            Tensor u = randn(Batch, Channels, L), k = randn(Channels, L) / Math.Sqrt(L), spectrum = torch.fft.rfft(k, 2 * L);
            Action peer = () =>
            {
                using DisposeScope scope = NewDisposeScope();
                torch.fft.irfft(torch.fft.rfft(u, 2 * L) * spectrum, 2 * L).narrow(-1, 0, L).contiguous();
            };
            foreach (FftPlan plan in new[] { FftPlan.Create(2 * L), FftPlan.Create(2 * L, kernel: FftKernel.Products) })
            {
                KernelSpectrum own = KernelSpectrum.From(k, plan);
                yield return new($"{Batch} x {Channels} x {L}, {plan}", () => FftConvolution.Forward(u, own).Dispose(), "libtorch rfft", peer, plan.Kernel == FftKernel.Butterflies ? 1.2 : 0, Point: new($"FFT convolution by {(plan.Kernel == FftKernel.Butterflies ? "butterflies" : "matrix products")}, batch 4, 64 channels", "length", L));
            }

            FftPlan sparse = FftPlan.Create(2 * L, [2 * L / 64, 64], FftKernel.Products);
            KernelSpectrum whole = KernelSpectrum.From(k, sparse), quarter = KernelSpectrum.From(k, sparse, L / 4);
            if (L <= 4096) yield return new($"{Batch} x {Channels} x {L}, {sparse}, a quarter of the frequencies", () => FftConvolution.Forward(u, quarter).Dispose(), "all of them", () => FftConvolution.Forward(u, whole).Dispose());
            KernelSpectrum cut = KernelSpectrum.From(k.narrow(1, 0, L / 8).contiguous(), FftPlan.Create(Math.Max(256, L / 2)));
            yield return new($"{Batch} x {Channels} x {L}, kernels of an eighth, in windows", () => PartialConvolution.Forward(u, cut).Dispose(), "libtorch rfft of the whole", peer);
        }
    }
}
