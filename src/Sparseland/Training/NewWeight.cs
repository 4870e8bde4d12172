using System.Globalization;
using Sparseland.Tensors;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Training;

/// <summary>The value with which a grown weight begins. One that was dropped and grown in the same update keeps its own.</summary>
public abstract class NewWeight
{
    /// <summary>0, which leaves what the network computes as it is: RigL, ITOP, MEST.</summary>
    public static NewWeight Zero { get; } = new Constant();

    /// <summary>Normal with the deviation of the layer's active weights at that moment.</summary>
    public static NewWeight LayerDeviation { get; } = new Deviation();

    /// <summary>Short name; part of what a checkpoint is compared by.</summary>
    public abstract string Name { get; }

    /// <summary>Whether it looks at the gradient of the mini-batch.</summary>
    public virtual bool NeedsGradient => false;

    /// <summary>Normal with mean 0: SET and QuickSelection with a deviation of 0.1.</summary>
    /// <param name="deviation">Standard deviation, positive and finite. Default 0.1.</param>
    /// <exception cref="ArgumentOutOfRangeException">Out of its range.</exception>
    public static NewWeight Normal(double deviation = 0.1)
    {
        Finite.Positive(deviation);
        return new Gaussian(deviation);
    }

    /// <summary>Against the gradient, -rate g: as if the first step had been made at once.</summary>
    /// <param name="rate">Length of that step, positive and finite.</param>
    /// <exception cref="ArgumentOutOfRangeException">Out of its range.</exception>
    public static NewWeight AgainstGradient(double rate)
    {
        Finite.Positive(rate);
        return new Scaled(rate);
    }

    /// <summary>Values kept elsewhere, such as those of weights that earlier tasks own.</summary>
    /// <param name="name">Short name.</param>
    /// <param name="values">From a layer to a value for each of its places, of its shape; the caller keeps it.</param>
    public static NewWeight Stored(string name, Func<TopologyContext, Tensor> values)
    {
        ArgumentException.ThrowIfNullOrWhiteSpace(name);
        ArgumentNullException.ThrowIfNull(values);
        return new Given(name, values);
    }

    /// <summary>A value for every place of the layer; only those of new weights are used. Null for zeros. In the caller's dispose scope.</summary>
    /// <param name="layer">The layer.</param>
    public abstract Tensor? Of(TopologyContext layer);

    /// <inheritdoc/>
    public override string ToString() => Name;

    private static Tensor Draw(TopologyContext layer, double deviation) => layer.NormalValues().mul_(deviation).to(layer.Weight.dtype).to(layer.Weight.device);

    private sealed class Constant : NewWeight
    {
        public override string Name => "zero";

        public override Tensor? Of(TopologyContext layer) => null;
    }

    private sealed class Gaussian(double deviation) : NewWeight
    {
        public override string Name => string.Create(CultureInfo.InvariantCulture, $"normal {deviation:R}");

        public override Tensor Of(TopologyContext layer) => Draw(layer, deviation);
    }

    private sealed class Deviation : NewWeight
    {
        public override string Name => "layer deviation";

        public override Tensor? Of(TopologyContext layer)
        {
            Tensor active = layer.Weight.masked_select(layer.Mask).to(ScalarType.Float64);
            return active.numel() < 2 ? null : Draw(layer, active.std(unbiased: false).item<double>());
        }
    }

    private sealed class Scaled(double rate) : NewWeight
    {
        public override string Name => string.Create(CultureInfo.InvariantCulture, $"against gradient {rate:R}");

        public override bool NeedsGradient => true;

        public override Tensor Of(TopologyContext layer) => layer.GradientFor(Name).mul(-rate);
    }

    private sealed class Given(string name, Func<TopologyContext, Tensor> values) : NewWeight
    {
        public override string Name => name;

        public override Tensor Of(TopologyContext layer)
        {
            Tensor all = values(layer);
            return all.shape.SequenceEqual(layer.Weight.shape)
                ? all
                : throw new ArgumentException($"The values \"{name}\" of {layer.Layer} are [{string.Join(", ", all.shape)}], the weights are [{string.Join(", ", layer.Weight.shape)}].", nameof(layer));
        }
    }
}
