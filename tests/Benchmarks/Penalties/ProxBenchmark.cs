using BenchmarkDotNet.Attributes;
using Sparseland.Penalties;
using TorchSharp;
using static TorchSharp.torch;

namespace Benchmarks.Penalties;

/// <summary>Proximal operators of a million float32 numbers against libtorch's shortest recipe of the same function.</summary>
[MemoryDiagnoser]
public class ProxBenchmark : IQuickBenchmark
{
    private const int Size = 1 << 20;
    private Tensor _z = null!;

    /// <summary>Normal numbers, fixed by a seed.</summary>
    [GlobalSetup]
    public void Setup() => _z = Numbers();

    /// <summary>Frees the numbers.</summary>
    [GlobalCleanup]
    public void Cleanup() => _z.Dispose();

    /// <summary>Soft thresholding.</summary>
    [Benchmark]
    public Tensor Soft() => new L1(0.7).Prox(_z, 1);

    /// <summary>Half thresholding, which takes a cosine and an arc cosine.</summary>
    [Benchmark]
    public Tensor Half() => new LHalf(0.7).Prox(_z, 1);

    /// <inheritdoc/>
    public IEnumerable<Comparison> Comparisons()
    {
        using Tensor z = Numbers();
        (IPenalty Penalty, Func<Tensor> LibTorch)[] all =
        [
            (new L1(0.7), () => nn.functional.softshrink(z, 0.7)),
            (new L0(0.7), () => nn.functional.hardshrink(z, Math.Sqrt(1.4))),
            (new Cel0(0.3), () => Firm(z)),
            (new LHalf(0.7), () => HalfThreshold(z, 0.7)),
        ];
        using Tensor copy = empty_like(z);
        yield return new Comparison($"the memory's limit: {Size} numbers copied into a present tensor", () => copy.copy_(z), "into a new one", () => z.clone().Dispose());
        foreach ((IPenalty penalty, Func<Tensor> recipe) in all)
        {
            using Tensor ours = penalty.Prox(z, penalty is Cel0 ? 0.5 : 1), peer = recipe();
            double difference = (ours - peer).abs().max().item<float>();
            if (difference > 1e-3)
                throw new InvalidOperationException($"{penalty.Name}: the two disagree by {difference}.");
            yield return new Comparison($"prox of {penalty.Name}, {Size} numbers", () => penalty.Prox(z, penalty is Cel0 ? 0.5 : 1).Dispose(), "libtorch", () =>
            {
                using DisposeScope scope = NewDisposeScope();
                recipe();
            }, penalty is L1 or L0 ? 1.5 : 0);
        }
    }

    private static Tensor Numbers()
    {
        using Generator generator = new(3);
        return randn(Size, generator: generator);
    }

    private static Tensor Firm(Tensor z)
    {
        Tensor size = z.abs();
        return z.sign() * minimum(size, (size - 0.5 * Math.Sqrt(0.6)).clamp(min: 0) / 0.5);
    }

    private static Tensor HalfThreshold(Tensor z, double mu)
    {
        Tensor size = z.abs();
        Tensor angle = (mu / 4 * (size / 3).pow(-1.5)).clamp(max: 1).acos();
        Tensor large = 2.0 / 3 * z * (1 + (2 * Math.PI / 3 - 2.0 / 3 * angle).cos());
        return where(size > 1.5 * Math.Pow(mu, 2.0 / 3), large, zeros_like(z));
    }
}
