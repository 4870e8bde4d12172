using Sparseland.Tensors;
using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Sparseland.Training.IsoFlop;

/// <summary>One convolution in its transformed form.</summary>
/// <param name="Layer">What stands in its place; its weights are zeros, to be given first values.</param>
/// <param name="Masked">Names of the parameters of <paramref name="Layer"/> that get a mask.</param>
/// <param name="Size">Its size.</param>
public sealed record IsoFlopLayer(nn.Module<Tensor, Tensor> Layer, IReadOnlyList<string> Masked, IsoFlopSize Size)
{
    /// <inheritdoc/>
    public override string ToString() => Readable.Of(this);
}

/// <summary>The transformations of one convolution. Its k x k kernel, step, padding and dilation belong to the first factor, the second is 1 x 1.</summary>
public static class IsoFlopConvolution
{
    /// <summary>The transformed convolution: wider on both sides under <see cref="SparseWide"/>, a <see cref="ParallelConvolution"/>, two convolutions "u" and "v" in a row with what stands between them, or a
    /// <see cref="DopedConvolution"/>, which is the convolution alone where its rank would be 0.</summary>
    /// <param name="layer">The dense convolution, in one group and without bias (a norm stands behind it); it is not changed.</param>
    /// <param name="member">The transformation.</param>
    /// <exception cref="ArgumentException">
    /// A convolution in groups (a depthwise one), a bias, padding that is not zeros of a given number, or a size that does not fit.
    /// </exception>
    public static IsoFlopLayer Of(Conv2d layer, IsoFlopMember member)
    {
        ArgumentNullException.ThrowIfNull(layer);
        ArgumentNullException.ThrowIfNull(member);
        var kernel = ConvolutionKernel.Of(layer);
        if (layer.groups != 1)
            throw new ArgumentException($"layer has {layer.groups} groups; a {(layer.groups == layer.in_channels ? "depthwise convolution" : "convolution in groups")} is not transformed: {(member is SparseWide
                ? "wider channels need more groups, not a mask" : "the sizes of the members are those of one group")}.", nameof(layer));
        if (layer.bias is not null) throw new ArgumentException("layer has a bias; a convolution that is transformed has none, the norm behind it shifts.", nameof(layer));
        long[] shape = layer.weight.shape;
        (int inputs, int outputs) = ((int)shape[1], (int)shape[0]);
        IsoFlopSize size = member.SizeFor(inputs, outputs, checked((int)(shape[2] * shape[3])));
        using DisposeScope scope = NewDisposeScope();
        IsoFlopLayer made = member switch
        {
            SparseWide wide => new(kernel.Layer(wide.WidthOf(inputs), wide.WidthOf(outputs), shape), ["weight"], size),
            SparseParallel parallel => new(new ParallelConvolution(kernel, shape, parallel.Branches, parallel.Inner), [.. Enumerable.Range(1, parallel.Branches).Select(j => $"branch{j}")], size),
            SparseFactorized factorized => new(Factors(kernel, shape, size.Size, factorized.Inner), ["u.weight", "v.weight"], size),
            SparseDoped when size.Size > 0 => new(new DopedConvolution(kernel, shape, size.Size), ["weight"], size),
            _ => new(kernel.Layer(inputs, outputs, shape), ["weight"], size),
        };
        using (no_grad())
        {
            foreach (Parameter weight in made.Layer.parameters().Where(p => p.dim() > 1)) weight.zero_();
        }

        scope.Detach(made.Layer.parameters().Cast<Tensor>().Concat(made.Layer.buffers()));
        return made;
    }

    private static Sequential Factors(ConvolutionKernel kernel, long[] shape, int rank, InnerActivation inner)
    {
        List<(string Name, nn.Module<Tensor, Tensor> Module)> modules = [("u", kernel.Layer(shape[1], rank, shape))];
        if (inner != InnerActivation.None) modules.Add(("norm", nn.BatchNorm2d(rank)));
        if (inner == InnerActivation.NormAndRelu) modules.Add(("relu", nn.ReLU()));
        modules.Add(("v", nn.Conv2d(rank, shape[0], 1, bias: false)));
        return nn.Sequential(modules);
    }
}
