namespace Benchmarks.Autoencoders;

/// <summary>
/// How a TopK step grows with the latents (to 65,536), with k and with the batch, each against the plain dense PyTorch implementation: the sparse parts grow with k, the dense
/// product and the choice with latents times tokens.
/// </summary>
public class TopKCurvesBenchmark : IQuickBenchmark
{
    private const int Width = 256;

    /// <inheritdoc/>
    public IEnumerable<Comparison> Comparisons() => TopKStepBenchmark.Steps(
            0, s => new("A TopK step, 1,024 tokens of 256 numbers, k = 32", "latents", s.Latents),
            [(1024, Width, 1024, 32), (1024, Width, 4096, 32), (1024, Width, 16384, 32), (1024, Width, 65536, 32)])
        .Concat(TopKStepBenchmark.Steps(
            0, s => new("A TopK step, 1,024 tokens of 256 numbers, 8,192 latents", "k", s.K), [(1024, Width, 8192, 8), (1024, Width, 8192, 32), (1024, Width, 8192, 128), (1024, Width, 8192, 512)]))
        .Concat(TopKStepBenchmark.Steps(0, s => new("A TopK step, 8,192 latents of 256 numbers, k = 32", "tokens", s.Tokens), [(256, Width, 8192, 32), (1024, Width, 8192, 32), (4096, Width, 8192, 32)]));
}
