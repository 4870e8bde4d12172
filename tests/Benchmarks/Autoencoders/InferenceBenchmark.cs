using System.Globalization;
using Sparseland.Autoencoders;
using TorchSharp;
using static TorchSharp.torch;

namespace Benchmarks.Autoencoders;

/// <summary>
/// Encoding and decoding at inference against the plain dense PyTorch code (scatter into a matrix of all latents, two dense products), and decoding of given codes
/// alone: encoding is one dense product on both sides, which bounds the ratio of the whole by two.
/// </summary>
public class InferenceBenchmark : IQuickBenchmark
{
    private const int Tokens = 2048;
    private const int K = 32;

    private const string Dense = """
        @torch.no_grad()
        def encode():
            z = (x - bd) @ We.t() + be
            v, i = z.topk(k, sorted=False)
            return torch.zeros_like(z).scatter(1, i, v.relu())
        @torch.no_grad()
        def decode(f):
            return f @ Wd + bd
        """;

    /// <inheritdoc/>
    public IEnumerable<Comparison> Comparisons()
    {
        using PythonPeer? python = PythonPeer.Start("import numpy as np\nimport torch");
        python?.Run(Dense);
        foreach ((int width, int latents) in new[] { (192, 3072), (512, 8192), (768, 16384) })
        {
            using DisposeScope scope = NewDisposeScope();
            Tensor x = randn([Tokens, width], generator: new Generator(1));
            using var autoencoder = new SparseAutoencoder(width, latents, new TopKRule(K));
            if (python is not null)
            {
                python.Put("E", autoencoder.Encoder.to(ScalarType.Float64));
                python.Put("X", x.to(ScalarType.Float64));
                python.Run($"k = {K}\nx = torch.tensor(X).float()\nWe = torch.tensor(E).float()\nWd = We.clone()\nbe, bd = torch.zeros(Wd.shape[0]), torch.zeros(Wd.shape[1])\nf = encode()");
            }

            using SparseCode code = autoencoder.Encode(x);
            string Same()
            {
                using DisposeScope inner = NewDisposeScope();
                double ours = autoencoder.Decode(code).square().mean().to(ScalarType.Float64).item<double>(), theirs = python?.Get("np.array([decode(f).double().square().mean().item()])")[0] ?? double.NaN;
                return string.Create(CultureInfo.InvariantCulture, $"mean square of what is decoded {ours:G6} and {theirs:G6}");
            }

            string shape = $"{Tokens} x {width}, {latents} latents, k = {K}";
            yield return new Comparison($"encode, {shape}", () => autoencoder.Encode(x).Dispose(), "PyTorch, dense", python is null ? null : () => python.Run("encode()"), 0, Same);
            yield return new Comparison($"decode, {shape}", () => autoencoder.Decode(code).Dispose(), "PyTorch, dense", python is null ? null : () => python.Run("decode(f)"), 4, Same);
            yield return new Comparison($"encode and decode, {shape}", () => autoencoder.Reconstruct(x).Dispose(), "PyTorch, dense", python is null ? null : () => python.Run("decode(encode())"), 4, Same);
        }
    }
}
