using Sparseland.Selection;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Tests.Selection;

/// <summary>Values at a support's places, read from memory, against libtorch's own selection.</summary>
public sealed class GatherTrialTests
{
    [Theory]
    [InlineData(ScalarType.Bool)]
    [InlineData(ScalarType.Byte)]
    [InlineData(ScalarType.Int16)]
    [InlineData(ScalarType.Int64)]
    [InlineData(ScalarType.Float16)]
    [InlineData(ScalarType.BFloat16)]
    [InlineData(ScalarType.Float32)]
    [InlineData(ScalarType.Float64)]
    [InlineData(ScalarType.ComplexFloat32)]
    [InlineData(ScalarType.ComplexFloat64)]
    public void Numbers_of_every_type_are_taken_from_any_view(ScalarType type)
    {
        using var scope = NewDisposeScope();
        using Generator generator = new(4);
        foreach ((int rows, int columns, int count) in ((int, int, int)[])[(1, 1, 1), (7, 9, 0), (7, 9, 63), (400, 700, 20_001), (3, 140_000, 5_000)])
        {
            Support support = Support.Random(rows, columns, count, 2);
            Tensor flat = (randn([(rows * columns) + 1], generator: generator) * 4).to(type), x = flat.narrow(0, 1, rows * columns).view(rows, columns);
            Tensor places = tensor(Enumerable.Range(0, rows).SelectMany(r => support.Row(r).ToArray().Select(c => ((long)r * columns) + c)).ToArray(), dtype: ScalarType.Int64);
            byte[] expected = flat.narrow(0, 1, rows * columns).index_select(0, places).bytes.ToArray();
            foreach (Tensor matrix in (Tensor[])[x, x.t().contiguous().t(), x.clone()]) Assert.Equal(expected, support.Gather(matrix).bytes.ToArray());
            Assert.Equal(type, support.Gather(x).dtype);
        }
    }

    [Fact]
    public void A_conjugated_or_negated_view_gives_its_values()
    {
        using var scope = NewDisposeScope();
        using Generator generator = new(4);
        Support support = Support.Random(20, 30, 100, 2), one = Support.Random(1, 1, 1, 2);
        foreach (ScalarType type in (ScalarType[])[ScalarType.ComplexFloat32, ScalarType.ComplexFloat64])
        {
            Tensor z = randn([20, 30], type, generator: generator);
            Assert.Equal(0, (support.Gather(z.conj()) - support.Gather(z).conj()).abs().sum().to(ScalarType.Float64).item<double>());
            Assert.Equal(0, (support.Gather(z.conj().imag) + support.Gather(z.imag)).abs().sum().to(ScalarType.Float64).item<double>());
            Tensor alone = z.narrow(0, 0, 1).narrow(1, 0, 1);
            Assert.Equal(0, (one.Gather(alone.conj().imag) + one.Gather(alone.imag)).abs().sum().to(ScalarType.Float64).item<double>());
        }
    }

    [Fact]
    public void Gradients_flow_where_they_are_asked_for()
    {
        using var scope = NewDisposeScope();
        Support support = Support.Random(20, 30, 100, 2);
        Tensor x = ones(20, 30).requires_grad_(true);
        (support.Gather(x) * arange(100)).sum().backward();
        Assert.True(x.grad!.equal(Sparseland.Kernels.SparseProduct.ToDense(support, arange(100).to(ScalarType.Float32))).all().item<bool>());
        Tensor between = x * 2;
        Assert.True(support.Gather(between).requires_grad);
        using (no_grad()) Assert.False(support.Gather(between).requires_grad);
    }

    [Fact]
    public void Leading_dimensions_are_rows()
    {
        using var scope = NewDisposeScope();
        using Generator generator = new(4);
        Tensor x = randn([3, 4, 600, 8], generator: generator);
        Support places = Select.TopK(x, Budget.PerRow(3));
        Assert.Equal(x.masked_select(places.ToMask()).bytes.ToArray(), places.Gather(x).bytes.ToArray());
        Support groups = Select.TopK(x.view(300, 192), Budget.Groups(16, 5));
        Assert.Equal(x.view(300, 192).masked_select(groups.ToMask()).bytes.ToArray(), Select.TopK(x.view(300, 192), Budget.Groups(16, 5)).Gather(x.view(300, 192)).bytes.ToArray());
        Assert.Throws<ArgumentException>(() => places.Gather(x.transpose(2, 3)));
        Assert.Throws<ArgumentNullException>(() => places.Gather(null!));
    }

    [Fact]
    public void Values_go_to_the_transpose_and_back()
    {
        using var scope = NewDisposeScope();
        foreach (int count in (int[])[0, 1, 32_767, 32_768, 32_769, 70_000])
        {
            Support support = Support.Random(300, 400, count, 2);
            TurnedSupport turned = new(support), back = new(turned.Columns);
            Assert.Equal(support, back.Columns);
            Tensor values = randn(count);
            if (count > 0) values[-1] = float.NaN;
            Assert.Equal(values.bytes.ToArray(), back.Turn(turned.Turn(values)).bytes.ToArray());
            Tensor z = torch.complex(values, values + 1);
            Assert.Equal(z.conj().resolve_conj().bytes.ToArray(), back.Turn(turned.Turn(z.conj())).bytes.ToArray());
        }
    }
}
