using System.Runtime.InteropServices;
using Sparseland.IO;
using Sparseland.Tensors;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Tests.Tensors;

/// <summary>Transposes in tiles, pieces for threads, and the question for finite values, where lengths, views and types are awkward.</summary>
public sealed class PieceTrialTests
{
    [Theory]
    [InlineData(ScalarType.Float32)]
    [InlineData(ScalarType.Float64)]
    [InlineData(ScalarType.Float16)]
    [InlineData(ScalarType.BFloat16)]
    [InlineData(ScalarType.Int64)]
    [InlineData(ScalarType.Byte)]
    [InlineData(ScalarType.Bool)]
    [InlineData(ScalarType.ComplexFloat32)]
    public void Matrices_of_every_type_are_turned_from_any_view(ScalarType type)
    {
        using var scope = NewDisposeScope();
        using Generator generator = new(2);
        foreach (int rows in (int[])[0, 1, 7, 8, 9, 72])
        {
            foreach (int columns in (int[])[0, 1, 7, 8, 63, 64, 65, 129, 520])
            {
                Tensor x = (randn([rows, columns], generator: generator) * 3).to(type), odd = (randn([(rows * columns) + 1], generator: generator) * 3).to(type);
                Tensor row = (randn([1, columns], generator: generator) * 3).to(type), column = (randn([rows, 1], generator: generator) * 3).to(type);
                foreach (Tensor matrix in (Tensor[])[x, odd.narrow(0, 1, rows * columns).view(rows, columns), row.expand(rows, columns), column.expand(rows, columns), x.unsqueeze(0).expand(3, rows, columns)[1], x.t().contiguous().t()])
                {
                    Tensor turned = Transposed.Of(matrix);
                    Assert.True(turned.is_contiguous());
                    Assert.Equal(matrix.t().shape, turned.shape);
                    if (turned.numel() == 0) continue;
                    Assert.Equal(matrix.t().clone().contiguous().bytes.ToArray(), turned.bytes.ToArray());
                    Assert.True(TensorMemory.Identity(turned) != TensorMemory.Identity(matrix));
                }
            }
        }
    }

    [Fact]
    public void Views_that_conjugate_or_negate_are_turned_with_their_values()
    {
        using var scope = NewDisposeScope();
        using Generator generator = new(2);
        foreach ((int rows, int columns) in ((int, int)[])[(9, 17), (1, 17), (9, 1), (1, 1)])
        {
            Tensor z = randn([rows, columns], ScalarType.ComplexFloat32, generator: generator);
            Assert.Equal(0, (Transposed.Of(z.conj()) - z.conj().t()).abs().sum().item<float>());
            Assert.Equal(0, (Transposed.Of(z.conj().imag) + z.imag.t()).abs().sum().item<float>());
            Assert.Equal(TensorHash.Of(z.conj().resolve_conj()), TensorHash.Of(z.conj()));
            Assert.NotEqual(TensorHash.Of(z), TensorHash.Of(z.conj()));
        }
    }

    [Fact]
    public void Bits_of_what_is_no_number_pass_through_the_registers()
    {
        using var scope = NewDisposeScope();
        int[] bits = [.. Enumerable.Range(0x7f800001, 72 * 80)];
        Tensor turned = Transposed.Of(tensor(MemoryMarshal.Cast<int, float>(bits).ToArray(), [72, 80]));
        Assert.Equal(tensor(bits, [72, 80]).t().contiguous().bytes.ToArray(), turned.bytes.ToArray());
    }

    [Theory]
    [InlineData(0, 5)]
    [InlineData(1, 5)]
    [InlineData(4, 5)]
    [InlineData(5, 5)]
    [InlineData(6, 5)]
    [InlineData(10, 5)]
    [InlineData(1001, 1)]
    [InlineData(3, int.MaxValue)]
    public void Pieces_cover_each_place_once(long length, int piece)
    {
        int[] seen = new int[length];
        int calls = 0;
        Pieces.For(length, piece, (from, count) =>
        {
            Interlocked.Increment(ref calls);
            Assert.InRange(count, 1, piece);
            for (long i = from; i < from + count; i++) Interlocked.Increment(ref seen[i]);
        });
        Assert.All(seen, n => Assert.Equal(1, n));
        Assert.Equal(length == 0 ? 0 : ((length - 1) / piece) + 1, calls);
    }

    [Fact]
    public void A_number_of_places_beyond_an_int_is_shared_out()
    {
        long sum = 0;
        Pieces.For((5L << 31) + 3, 1 << 30, (_, count) => Interlocked.Add(ref sum, count));
        Assert.Equal((5L << 31) + 3, sum);
    }

    [Theory]
    [InlineData(ScalarType.Float32)]
    [InlineData(ScalarType.Float64)]
    [InlineData(ScalarType.Float16)]
    [InlineData(ScalarType.BFloat16)]
    public void A_value_that_is_not_finite_is_found_wherever_it_stands(ScalarType type)
    {
        using var scope = NewDisposeScope();
        foreach (long length in (long[])[1, 17, 131_072, 131_073, 262_145])
        {
            foreach (double bad in (double[])[double.NaN, double.NegativeInfinity])
            {
                foreach (long at in (long[])[0, length / 2, length - 1])
                {
                    Tensor x = zeros(length + 2, dtype: type);
                    x[at + 1] = bad;
                    Assert.False(TensorInput.IsFinite(x.narrow(0, 1, length)));
                    Assert.True(TensorInput.IsFinite(x.narrow(0, 0, at + 1)));
                    x[at + 1] = 0;
                    x[0] = bad;
                    x[-1] = bad;
                    Assert.True(TensorInput.IsFinite(x.narrow(0, 1, length)));
                }
            }
        }
    }

    [Fact]
    public void Views_and_other_types_are_asked_too()
    {
        using var scope = NewDisposeScope();
        Tensor x = zeros(300, 500);
        x[299, 1] = float.PositiveInfinity;
        Assert.False(TensorInput.IsFinite(x.t()));
        Assert.False(TensorInput.IsFinite(x.select(1, 1)));
        Assert.True(TensorInput.IsFinite(x.select(1, 0)));
        Assert.False(TensorInput.IsFinite(x.narrow(0, 299, 1).expand(700, 500)));
        Assert.False(TensorInput.IsFinite(x.clone().requires_grad_(true)));
        Assert.False(TensorInput.IsFinite(tensor(float.NaN)));
        Assert.True(TensorInput.IsFinite(tensor(1.0)));
        foreach (ScalarType type in (ScalarType[])[ScalarType.Bool, ScalarType.Byte, ScalarType.Int32, ScalarType.Int64]) Assert.True(TensorInput.IsFinite(ones(3, dtype: type)));
        foreach (ScalarType type in (ScalarType[])[ScalarType.Float32, ScalarType.BFloat16, ScalarType.Int64]) Assert.True(TensorInput.IsFinite(zeros(0, 3, dtype: type)));
        Assert.False(TensorInput.IsFinite(torch.complex(ones(3), tensor(new[] { 0f, 0f, float.NaN }))));
        Assert.True(TensorInput.IsFinite(full(3, float.MaxValue)) && TensorInput.IsFinite(full(3, double.MaxValue, dtype: ScalarType.Float64)) && TensorInput.IsFinite(full(3, 65504, dtype: ScalarType.Float16)));
    }
}
