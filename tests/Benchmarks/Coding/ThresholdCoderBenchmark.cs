using BenchmarkDotNet.Attributes;
using Sparseland.Coding;
using Sparseland.Penalties;
using TorchSharp;
using static TorchSharp.torch;

namespace Benchmarks.Coding;

/// <summary>
/// The thresholding loop against the same loop written with libtorch operations, as one would write it in PyTorch: the same
/// dictionary, step, rule and number of iterations.
/// </summary>
[MemoryDiagnoser]
public class ThresholdCoderBenchmark : IQuickBenchmark
{
    private const int Iterations = 60;
    private Tensor _patches = null!;
    private Tensor _dictionary = null!;
    private ThresholdCoder _coder = null!;

    /// <summary>Atoms; patches have 256 pixels.</summary>
    [Params(256, 1000)]
    public int Atoms { get; set; } = 256;

    /// <summary>Planted codes over random atoms, fixed by a seed.</summary>
    [GlobalSetup]
    public void Setup() => (_patches, _dictionary, _coder) = (Patches(1000, 256), Dictionary(Atoms, 256), Coder(new Cel0(0.02)));

    /// <summary>Frees what was set up.</summary>
    [GlobalCleanup]
    public void Cleanup()
    {
        _patches.Dispose();
        _dictionary.Dispose();
    }

    /// <summary>The library.</summary>
    [Benchmark]
    public CodingResult Ours() => _coder.Encode(_patches, _dictionary);

    /// <inheritdoc/>
    public IEnumerable<Comparison> Comparisons()
    {
        foreach ((int samples, int pixels, int atoms) in new[] { (200, 100, 100), (1000, 256, 256), (1000, 256, 1000) })
        {
            using Tensor patches = Patches(samples, pixels), dictionary = Dictionary(atoms, pixels);
            foreach (ISeparablePenalty penalty in new ISeparablePenalty[] { new L1(0.1), new Cel0(0.02) })
            {
                ThresholdCoder coder = Coder(penalty);
                using CodingResult ours = coder.Encode(patches, dictionary);

                // The peer is given its step; ours too, so that neither looks for it.
                coder = new(penalty, coder.Options with { Eta = ours.Step, GuardStep = false });
                Tensor Peer() => penalty is L1 ? Soft(patches, dictionary, ours.Step, penalty.Strength) : Cel0(patches, dictionary, ours.Step, penalty.Strength);
                using (Tensor peer = Peer())
                {
                    double difference = (peer - ours.Codes).abs().max().item<float>();
                    if (difference > 1e-3)
                        throw new InvalidOperationException($"The two loops disagree by {difference}.");
                }
                yield return new Comparison(
                    $"{penalty.Name} [{samples}, {pixels}], {atoms} atoms, {Iterations} iterations", () => coder.Encode(patches, dictionary).Dispose(), "libtorch", () => Peer().Dispose());
            }
        }
    }

    private static ThresholdCoder Coder(IPenalty penalty) => new(penalty, new() { Tolerance = 0, MaxIterations = Iterations });

    private static Tensor Dictionary(int atoms, int pixels)
    {
        using Generator generator = new(1);
        using Tensor random = randn(atoms, pixels, generator: generator);
        return nn.functional.normalize(random, dim: 1);
    }

    private static Tensor Patches(int samples, int pixels)
    {
        using Generator generator = new(2);
        return randn(samples, pixels, generator: generator).mul_(0.3);
    }

    private static Tensor Soft(Tensor X, Tensor D, double eta, double lambda)
    {
        using DisposeScope scope = NewDisposeScope();
        Tensor r = zeros(X.shape[0], D.shape[0]);
        for (int i = 0; i < Iterations; i++)
        {
            using DisposeScope inner = NewDisposeScope();
            Tensor z = r + eta * (X - r.mm(D)).mm(D.t());
            r = nn.functional.softshrink(z, eta * lambda).MoveToOuterDisposeScope();
        }
        return r.MoveToOuterDisposeScope();
    }

    private static Tensor Cel0(Tensor X, Tensor D, double eta, double lambda)
    {
        using DisposeScope scope = NewDisposeScope();
        Tensor r = zeros(X.shape[0], D.shape[0]);
        double threshold = eta * Math.Sqrt(2 * lambda);
        for (int i = 0; i < Iterations; i++)
        {
            using DisposeScope inner = NewDisposeScope();
            Tensor z = r + eta * (X - r.mm(D)).mm(D.t()), size = z.abs();
            r = (z.sign() * minimum(size, (size - threshold).clamp(min: 0) / (1 - eta))).MoveToOuterDisposeScope();
        }
        return r.MoveToOuterDisposeScope();
    }
}
