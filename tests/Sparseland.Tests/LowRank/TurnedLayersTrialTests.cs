using Sparseland.LowRank;
using Sparseland.Models;
using Sparseland.Selection;
using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Sparseland.Tests.LowRank;

/// <summary>Layers of known places, whose values go to the transpose by threads: outputs and all gradients are those of the dense matrix, for inputs of every form.</summary>
public sealed class TurnedLayersTrialTests
{
    [Theory]
    [InlineData(ScalarType.Float32, 300)]
    [InlineData(ScalarType.Float64, 300)]
    [InlineData(ScalarType.Float64, 2000)]
    [InlineData(ScalarType.Float64, 0)]
    public void Fixed_places_are_a_dense_layer_with_zeros(ScalarType type, int count)
    {
        using var scope = NewDisposeScope();
        using Generator generator = new(3);
        Support support = Support.Random(61, 70, count, 2);
        using FixedSupportLinear layer = new(support, randn([count], type, generator: generator), randn([61], type, generator: generator));
        foreach (Tensor input in Inputs(type, 70, generator))
        {
            Tensor x = input.detach().requires_grad_(true), y = input.detach().requires_grad_(true), whole = Dense(support, layer.Values).requires_grad_(true), b = layer.Bias!.detach().clone().requires_grad_(true);
            Tensor output = layer.call(x), expected = nn.functional.linear(y, whole, b), slope = randn(output.shape, type, generator: generator);
            Forget(layer);
            output.backward([slope]);
            expected.backward([slope]);
            Close(expected, output);
            Close(y.grad!, x.grad!);
            Close(support.Gather(whole.grad!), layer.Values.grad!);
            Close(b.grad!, layer.Bias!.grad!);
        }
    }

    [Theory]
    [InlineData(ForwardMode.FormWeight, ScalarType.Float64, 3)]
    [InlineData(ForwardMode.Factored, ScalarType.Float64, 3)]
    [InlineData(ForwardMode.Factored, ScalarType.Float64, 0)]
    [InlineData(ForwardMode.Factored, ScalarType.Float32, 3)]
    public void Low_rank_and_sparse_are_their_sum(ForwardMode mode, ScalarType type, int rank)
    {
        using var scope = NewDisposeScope();
        using Generator generator = new(3);
        Support support = Support.Random(61, 70, 400, 2);
        using LowRankSparseLinear layer = new(support, new() { Rank = rank, Alpha = 1, Mode = mode }, randn([61], type, generator: generator), type);
        using (no_grad())
            if (layer.B is not null) layer.B.copy_(randn([61, rank], type, generator: generator));
        foreach (Tensor input in Inputs(type, 70, generator))
        {
            Tensor x = input.detach().requires_grad_(true), y = input.detach().requires_grad_(true), sparse = Dense(support, layer.Values).requires_grad_(true);
            Tensor? a = layer.A?.detach().clone().requires_grad_(true), b = layer.B?.detach().clone().requires_grad_(true);
            Tensor whole = a is null ? sparse : sparse + (b!.mm(a) * layer.Scale);
            Tensor output = layer.call(x), expected = nn.functional.linear(y, whole, layer.Bias!.detach()), slope = randn(output.shape, type, generator: generator);
            Forget(layer);
            output.backward([slope]);
            expected.backward([slope]);
            Close(expected, output);
            Close(y.grad!, x.grad!);
            Close(support.Gather(sparse.grad!), layer.Values.grad!);
            if (a is null) continue;
            Close(a.grad!, layer.A!.grad!);
            Close(b!.grad!, layer.B!.grad!);
        }
    }

    private static Tensor[] Inputs(ScalarType type, int width, Generator generator) =>
    [
        randn([width], type, generator: generator), randn([1, width], type, generator: generator), randn([2, 17, width], type, generator: generator), randn([width, 9], type, generator: generator).t(),
        randn([width], type, generator: generator).expand(5, width), randn([4, width + 1], type, generator: generator).narrow(1, 1, width), zeros([0, width], type), zeros([3, 0, width], type),
    ];

    private static void Forget(nn.Module layer)
    {
        foreach (Parameter p in layer.parameters()) p.grad = null;
    }

    private static void Close(Tensor expected, Tensor actual)
    {
        double tolerance = expected.dtype == ScalarType.Float64 ? 1e-11 : 1e-4;
        Assert.Equal(expected.shape, actual.shape);
        Assert.True(actual.allclose(expected, tolerance, tolerance));
    }

    private static Tensor Dense(Support support, Tensor values) => zeros([support.Rows, support.Columns], values.dtype).masked_scatter(support.ToMask(), values.detach());
}
