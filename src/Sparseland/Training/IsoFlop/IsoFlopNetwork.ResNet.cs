using Sparseland.Models;
using Sparseland.Models.Vision;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Training.IsoFlop;

public sealed partial class IsoFlopNetwork
{
    /// <summary>
    /// A residual network whose blocks are transformed; stem and head are dense. Under Sparse Wide all widths grow, those of stem, head and what is added around a block too, and the density of the blocks is
    /// solved so that the whole has the multiply-adds of the dense network (<see cref="IsoFlopSolver"/>). The others keep the widths and transform the 3 x 3 convolutions by their formulas; the 1 x 1 convolutions
    /// around a block stay dense.
    /// </summary>
    /// <remarks>
    /// sigma is the convolution's own: batch norm and ReLU behind the first of a block, batch norm alone behind the second, whose ReLU comes after the sum. So branches of the second have a norm at most, and at
    /// s = 0 Sparse Parallel is the dense network. What stands between the factors of Sparse Factorized is as asked for in both.
    /// </remarks>
    /// <param name="options">Sizes of the dense network; null for the defaults of <see cref="ResNetOptions"/>.</param>
    /// <param name="member">The transformation; null for the dense network.</param>
    /// <param name="seed">Seed of weights and masks.</param>
    /// <param name="side">Rows and columns of an image, for the costs. Default 32.</param>
    /// <exception cref="ArgumentException">A size out of its range, or the transformation does not fit: a factor or mask would be empty, or the budget cannot be met.</exception>
    public static IsoFlopNetwork ResNet(ResNetOptions? options, IsoFlopMember? member, long seed, int side = 32)
    {
        options ??= new();
        options.Validate();
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(side);
        using DisposeScope scope = NewDisposeScope();
        var wide = member as SparseWide;
        ResNet model = new(wide is null ? options : options with { Widths = [.. options.Widths.Select(wide.WidthOf)] }, seed);
        // Positions are those of the dense layers: both factors of a convolution have its output's.
        IReadOnlyList<LayerShape> plain = LayerShape.Of(model, options.Channels, side, side);
        long cost = TrainingCost.Forward(plain);
        HashSet<string> sparse = wide is null ? Transform(model, member) : [.. plain.Select(l => l.Name).Where(n => n is not ("conv.weight" or "head.weight"))];
        LayerShape[] layers = [.. model.named_parameters().Where(p => p.parameter.dim() > 1).Select(p => new LayerShape(p.name, [.. p.parameter.shape], PositionsOf(p.name, plain)))];
        if (wide is not null)
        {
            using ResNet dense = new(options, seed);
            cost = TrainingCost.Forward(LayerShape.Of(dense, options.Channels, side, side));
        }

        double density = member switch
        {
            null or { Sparsity: 0 } => 1,
            SparseWide => IsoFlopSolver.Density(layers, cost, ["conv.weight", "head.weight"]),
            _ => member.Density,
        };
        return Made(model, sparse, layers, cost, density, seed, scope);
    }

    /// <summary>Puts the transformed convolutions into the blocks and gives the names of their masked weights.</summary>
    private static HashSet<string> Transform(ResNet model, IsoFlopMember? member)
    {
        HashSet<string> sparse = [];
        if (member is null) return sparse;
        // A list: children change on the way.
        foreach ((string path, nn.Module module) in model.named_modules().ToList())
        {
            if (module is not ResNetBlock block) continue;
            foreach ((LayerPlace place, LayerPlace norm) in block.Pairs)
            {
                IsoFlopMember own = place.Name == "conv2" && member is SparseParallel { Inner: InnerActivation.NormAndRelu } ? new SparseParallel(member.Sparsity, InnerActivation.Norm) : member;
                nn.Module<Tensor, Tensor> before = place.Current, normBefore = norm.Current;
                IsoFlopLayer made = IsoFlopConvolution.Of(place.As<TorchSharp.Modules.Conv2d>(), own);
                place.Put(made.Layer);
                before.Dispose();
                sparse.UnionWith(made.Masked.Select(name => $"{path}.{place.Name}.{name}"));
                // The norm of a branch stands within the branch.
                if (own is not SparseParallel { Inner: not InnerActivation.None }) continue;
                norm.Put(nn.Identity());
                normBefore.Dispose();
            }
        }

        return sparse;
    }

    private static long PositionsOf(string parameter, IReadOnlyList<LayerShape> plain) =>
        plain.Single(layer => parameter.StartsWith(layer.Name[..^"weight".Length], StringComparison.Ordinal)).Positions;
}
