using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Sparseland.Models.Language;

/// <summary>First weights of language models.</summary>
internal static class WeightStart
{
    /// <summary>Matrices normal, biases zero, norms one, in the order of their names: the weights depend on the seed and the sizes alone.</summary>
    public static void Normal(nn.Module model, long seed, double deviation, Func<string, double> scale)
    {
        using var generator = new Generator(unchecked((ulong)seed));
        using IDisposable off = no_grad();
        using var scope = NewDisposeScope();
        foreach ((string name, Parameter parameter) in model.named_parameters().OrderBy(p => p.name, StringComparer.Ordinal))
        {
            if (parameter.dim() > 1) parameter.copy_(randn(parameter.shape, generator: generator).mul_(deviation * scale(name)));
            else if (name.EndsWith("bias", StringComparison.Ordinal)) parameter.zero_();
        }
    }
}
