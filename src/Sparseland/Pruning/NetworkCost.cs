using Sparseland.Models;
using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;
using static TorchSharp.torch.nn;

namespace Sparseland.Pruning;

/// <summary>What one sample costs.</summary>
/// <param name="Parameters">Numbers in the parameters.</param>
/// <param name="MultiplyAdds">Multiplications with an addition in linear layers and convolutions.</param>
public sealed record NetworkCost(long Parameters, long MultiplyAdds)
{
    /// <summary>Counts by sending one sample of zeros through the layers.</summary>
    /// <param name="network">Network of linear layers, convolutions and layers that cost next to nothing.</param>
    /// <param name="sampleShape">Shape of one sample, without the batch dimension.</param>
    /// <exception cref="ArgumentException">The shape is empty or not positive.</exception>
    public static NetworkCost Of(Sequential network, params IReadOnlyList<long> sampleShape)
    {
        ArgumentNullException.ThrowIfNull(network);
        ArgumentNullException.ThrowIfNull(sampleShape);
        if (sampleShape.Count == 0 || sampleShape.Any(size => size < 1))
            throw new ArgumentException($"A sample's shape is not [{string.Join(", ", sampleShape)}]; it must be positive.", nameof(sampleShape));
        using DisposeScope scope = NewDisposeScope();
        using IDisposable off = no_grad();
        bool training = network.training;
        network.eval();
        ScalarType type = network.parameters().FirstOrDefault()?.dtype ?? ScalarType.Float32;
        long products = 0;
        Through(network, zeros([1, .. sampleShape], dtype: type), ref products);
        network.train(training);
        return new NetworkCost(network.parameters().Sum(p => p.numel()), products);
    }

    private static Tensor Through(Sequential network, Tensor x, ref long products)
    {
        foreach (Module layer in network.children())
        {
            switch (layer)
            {
                case Sequential inner:
                    x = Through(inner, x, ref products);
                    continue;
                case Residual residual:
                    x = x + Through(residual.Inner, x, ref products);
                    continue;
            }

            x = ((Module<Tensor, Tensor>)layer).call(x);
            products += layer switch
            {
                Linear linear => linear.weight.numel() * (x.numel() / linear.out_features),
                Convolution convolution => convolution.weight.numel() * (x.numel() / convolution.out_channels),
                _ => 0,
            };
        }

        return x;
    }
}
