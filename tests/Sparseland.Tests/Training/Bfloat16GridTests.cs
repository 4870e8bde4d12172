using FsCheck;
using FsCheck.Fluent;
using Sparseland.Models;
using Sparseland.Training;
using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Sparseland.Tests.Training;

public class Bfloat16GridTests
{
    [Theory]
    [InlineData(1, 1.0 / 128)]
    [InlineData(0.99609375, 1.0 / 256)]
    [InlineData(1.9921875, 1.0 / 128)]
    [InlineData(2, 1.0 / 64)]
    [InlineData(-2, 1.0 / 64)]
    [InlineData(0.05, 1.0 / 4096)]
    public void Numbers_stand_as_far_apart_as_eight_bits_allow(double value, double spacing)
    {
        Assert.Equal(spacing, Bfloat16Grid.Spacing(value));
        using Tensor one = tensor(new[] { (float)value }), all = Bfloat16Grid.Spacing(one);
        Assert.Equal((float)spacing, all.item<float>());
    }

    [Fact]
    public void Every_number_of_the_grid_has_its_neighbour_one_spacing_away()
    {
        // All 2 x 32,640 finite numbers by their bits: the next in size is the one with the next bits.
        float[] numbers = [.. Enumerable.Range(0, 0x7F7F).SelectMany(bits => new[] { BitConverter.Int32BitsToSingle(bits << 16), BitConverter.Int32BitsToSingle((bits << 16) | int.MinValue) })];
        using Tensor values = tensor(numbers), spacing = Bfloat16Grid.Spacing(values);
        float[] all = spacing.data<float>().ToArray();
        for (int i = 0; i < numbers.Length; i++)
        {
            float next = BitConverter.Int32BitsToSingle(BitConverter.SingleToInt32Bits(numbers[i]) + (1 << 16));
            Assert.Equal(Math.Abs((double)next - numbers[i]), all[i]);
            Assert.Equal((double)all[i], Bfloat16Grid.Spacing(numbers[i]));
        }

        Assert.True(Bfloat16Grid.Holds(values));
    }

    [Fact]
    public void A_cell_ends_where_rounding_gives_another_number()
    {
        foreach (float value in new[] { 1f, -1f, 2f, 0.5f, 1.5f, 0.05029296875f, -0.75f, 3.0517578125e-05f })
        {
            (double towards, double away) = Bfloat16Grid.Cell(value);
            double sign = Math.Sign(value);
            Assert.True(IsRead(value, value + (sign * away * 0.999)) && !IsRead(value, value + (sign * away * 1.001)));
            Assert.True(IsRead(value, value - (sign * towards * 0.999)) && !IsRead(value, value - (sign * towards * 1.001)));
        }

        Assert.Equal((1.0 / 512, 1.0 / 256), Bfloat16Grid.Cell(1));
        Assert.Equal((1.0 / 256, 1.0 / 256), Bfloat16Grid.Cell(1.5));
        Assert.Equal((Math.ScaleB(1, -134), Math.ScaleB(1, -134)), Bfloat16Grid.Cell(0));
        Assert.Throws<ArgumentException>("value", () => Bfloat16Grid.Cell(0.05));

        static bool IsRead(float value, double moved)
        {
            using Tensor at = tensor(new[] { (float)moved }), rounded = Bfloat16Grid.Round(at);
            return rounded.item<float>() == value;
        }
    }

    [Fact]
    public void What_leaves_its_cell_is_what_is_read_as_another_number_but_next_to_a_power_of_two()
    {
        using var scope = NewDisposeScope();
        using var generator = new Generator(5);
        Tensor start = Bfloat16Grid.Round(randn([200, 300], generator: generator).mul(0.05)), moved = randn([200, 300], generator: generator).mul(1e-4);
        Tensor now = start.add(moved), left = Bfloat16Grid.LeavesCell(start, now.sub(start)), seen = Bfloat16Grid.Round(now).ne(start);
        Tensor atPower = start.abs().log2().eq(start.abs().log2().round());
        Assert.True(seen.sum().item<long>() > 1000);
        Assert.False(left.ne(seen).logical_and(atPower.logical_not()).any().item<bool>());
        Assert.True(left.ne(seen).any().item<bool>());
    }

    [Fact]
    public void Rounding_moves_by_at_most_half_a_spacing()
    {
        Gen<float> numbers = Gen.Choose(int.MinValue, int.MaxValue).Select(BitConverter.Int32BitsToSingle).Where(value => Math.Abs(value) < 1e38f);
        Prop.ForAll(numbers.ToArbitrary(), value =>
        {
            using Tensor one = tensor(new[] { value }), rounded = Bfloat16Grid.Round(one);
            return Math.Abs((double)value - rounded.item<float>()) <= Bfloat16Grid.Spacing(value) / 2 && Bfloat16Grid.Holds(rounded);
        }).QuickCheckThrowOnFailure();
    }

    [Fact]
    public void A_network_is_rounded_in_place_and_views_and_bfloat16_are_read()
    {
        using var scope = NewDisposeScope();
        using Sequential network = TrainingData.Mlp();
        Assert.False(network.parameters().All(Bfloat16Grid.Holds));
        Bfloat16Grid.Round(network);
        Assert.True(network.parameters().All(Bfloat16Grid.Holds));
        Tensor matrix = randn(6, 4), view = matrix.t();
        Assert.Equal(TrainingData.Numbers(Bfloat16Grid.Spacing(view.contiguous())), TrainingData.Numbers(Bfloat16Grid.Spacing(view)));
        Assert.Equal(1f / 128, Bfloat16Grid.Spacing(ones(1, dtype: ScalarType.BFloat16)).item<float>());
    }

    [Fact]
    public void What_has_no_grid_is_refused()
    {
        using var scope = NewDisposeScope();
        Assert.Throws<ArgumentOutOfRangeException>("value", () => Bfloat16Grid.Spacing(double.NaN));
        Assert.Throws<ArgumentException>("values", () => Bfloat16Grid.Spacing(ones(2, dtype: ScalarType.Float64)));
        Assert.Throws<ArgumentException>("values", () => Bfloat16Grid.Spacing(tensor(new[] { 1f, float.PositiveInfinity })));
        Assert.Throws<ArgumentException>("moved", () => Bfloat16Grid.LeavesCell(ones(2), ones(3)));
        Assert.Equal(0, Bfloat16Grid.Spacing(zeros(0)).numel());
    }
}
