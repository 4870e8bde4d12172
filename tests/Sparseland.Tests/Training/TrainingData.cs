using Sparseland.Models;
using Sparseland.Training;
using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Sparseland.Tests.Training;

/// <summary>Small networks and data that the training and pruning tests share.</summary>
internal static class TrainingData
{
    /// <summary>Classes around random centres.</summary>
    public static (Tensor X, Tensor Labels) Blobs(int samples, int features, int classes, ulong seed, ScalarType type = ScalarType.Float32)
    {
        using var scope = NewDisposeScope();
        using var generator = new Generator(seed);
        Tensor centres = randn([classes, features], dtype: type, generator: generator).mul(1.5);
        Tensor labels = randint(0, classes, [samples], dtype: ScalarType.Int64, generator: generator);
        Tensor X = centres.index_select(0, labels).add(randn([samples, features], dtype: type, generator: generator));
        return (X.MoveToOuterDisposeScope(), labels.MoveToOuterDisposeScope());
    }

    public static Sequential Mlp(ScalarType type = ScalarType.Float32, int hidden = 16)
    {
        Sequential network = SmallClassifiers.Mlp([8, hidden, 3], 5);
        return type == ScalarType.Float64 ? (Sequential)network.to(type) : network;
    }

    public static Linear Fc1(Sequential network) => network.Layer<Linear>("fc1");

    public static RegularizedGroups Envelope(Sequential network, int k, double strength)
        => new(GroupSpec.Rows(Fc1(network), "fc1"), new EnvelopeRegularizer(KeepGroups.Count(k), strength));

    /// <summary>Whether two tensors have the same shape and the same values.</summary>
    public static bool Same(this Tensor a, Tensor b) => a.shape.SequenceEqual(b.shape) && a.eq(b).all().item<bool>();

    public static double[] Numbers(Tensor values) => values.to(ScalarType.Float64).contiguous().data<double>().ToArray();

    public static double[] Parameters(nn.Module network) => [.. network.parameters().SelectMany(p => Numbers(p.detach()))];
}
