using FsCheck;
using FsCheck.Fluent;
using Sparseland.Selection;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Tests.Selection;

public sealed class SupportTests : IDisposable
{
    private readonly DisposeScope _scope = NewDisposeScope();

    public void Dispose() => _scope.Dispose();

    /// <summary>Rows {1, 3}, {}, {0, 1, 2} of 4 columns.</summary>
    private static Support Small { get; } = new(3, 4, [0, 2, 2, 5], [1, 3, 0, 1, 2]);

    private static Gen<bool[,]> Masks(int rows, int columns) => Gen.ArrayOf(Gen.Elements(true, false), rows * columns).Select(flat =>
    {
        bool[,] mask = new bool[rows, columns];
        Buffer.BlockCopy(flat, 0, mask, 0, flat.Length);
        return mask;
    });

    private static Support Of(bool[,] mask)
    {
        using Tensor t = tensor(mask);
        return Support.FromMask(t);
    }

    [Fact]
    public void A_mask_of_any_width_and_fill_comes_back_from_its_support()
    {
        using var scope = NewDisposeScope();
        var random = new Random(6);
        foreach ((int rows, int columns) in new[] { (1, 1), (3, 63), (2, 64), (4, 65), (7, 129), (1, 400_001), (900, 700), (3, 0), (0, 3) })
        {
            foreach (double fill in new[] { 0, 0.01, 0.3, 1 })
            {
                bool[] wanted = [.. Enumerable.Range(0, rows * columns).Select(_ => random.NextDouble() < fill)];
                Tensor mask = tensor(wanted, [rows, columns]);
                var support = Support.FromMask(mask);
                Assert.True(mask.equal(support.ToMask()).all().item<bool>());
                Assert.Equal(wanted.Index().Where(w => w.Item).Select(w => w.Index % columns), support.ColumnIndices.ToArray());
                Assert.Equal(Enumerable.Range(0, rows).Select(row => wanted.Skip(row * columns).Take(columns).Count(w => w)), support.CountsPerRow());
                Assert.True(mask.equal(Support.FromMask(mask.t().contiguous().t()).ToMask()).all().item<bool>());
            }
        }
    }

    [Fact]
    public void Counts_and_density_by_hand()
    {
        Assert.Equal(5, Small.Count);
        Assert.Equal(5.0 / 12, Small.Density);
        Assert.Equal([2, 0, 3], Small.CountsPerRow());
        Assert.Equal([1, 2, 1, 1], Small.CountsPerColumn());
        Assert.Equal([0, 1, 2], Small.Row(2).ToArray());
        Assert.True(Small.Contains(0, 3));
        Assert.False(Small.Contains(1, 3));
        Assert.Equal("Support [3, 4], 5 kept (41.667%)", Small.ToString());
        Assert.Equal(0, Support.Empty(0, 4).Density);
    }

    [Fact]
    public void Mask_and_gather_by_hand()
    {
        Assert.True(Small.ToMask().Equals(tensor(new[,] { { false, true, false, true }, { false, false, false, false }, { true, true, true, false } })));
        Tensor matrix = arange(12, dtype: ScalarType.Float32).reshape(3, 4);
        Assert.Equal([1f, 3, 8, 9, 10], Small.Gather(matrix).data<float>().ToArray());
        Assert.Equal([1f, 3, 8, 9, 10], Small.Gather(matrix.t().contiguous().t()).data<float>().ToArray());
        float[] values = new float[5];
        Small.Gather<float>(matrix.data<float>().ToArray(), values);
        Assert.Equal([1f, 3, 8, 9, 10], values);
        Assert.Equal([1L, 3, 0, 1, 2], Small.ColumnIndexTensor().data<long>().ToArray());
        Assert.Equal(0, Support.Empty(3, 4).Gather(matrix).NumberOfElements);
    }

    [Fact]
    public void Gather_passes_gradients_to_the_kept_entries_only()
    {
        Tensor matrix = ones(3, 4).requires_grad_();
        (Small.Gather(matrix) * tensor(new[] { 1f, 2, 3, 4, 5 })).sum().backward();
        Assert.Equal([0f, 1, 0, 2, 0, 0, 0, 0, 3, 4, 5, 0], matrix.grad!.data<float>().ToArray());
    }

    [Fact]
    public void A_code_is_values_beside_indices()
    {
        Tensor scores = tensor(new[,] { { 0.1, 0.9, 0.5 }, { 0.7, 0.2, 0.3 } });
        Support support = Select.TopK(scores, Budget.PerRow(2));
        Tensor dense = zeros_like(scores).scatter(1, support.ColumnIndexTensor().view(2, 2), support.Gather(scores).view(2, 2));
        Assert.True(dense.Equals(scores * support.ToMask()));
    }

    [Fact]
    public void Masks_and_supports_are_the_same_thing()
    {
        Gen<bool[,]> masks = from rows in Gen.Choose(0, 6) from columns in Gen.Choose(0, 9) from mask in Masks(rows, columns) select mask;
        Prop.ForAll(masks.ToArbitrary(), mask =>
        {
            using DisposeScope scope = NewDisposeScope();
            Support support = Of(mask);
            Assert.True(support.ToMask().Equals(tensor(mask)));
            Assert.Equal(support, new Support(support.Rows, support.Columns, support.RowOffsets, support.ColumnIndices));
            Assert.Equal(support.Count, mask.Cast<bool>().Count(kept => kept));
            for (int row = 0; row < support.Rows; row++)
            {
                for (int column = 0; column < support.Columns; column++)
                    Assert.Equal(mask[row, column], support.Contains(row, column));
            }
        }).QuickCheckThrowOnFailure();
    }

    [Fact]
    public void Set_operations_are_those_of_the_masks()
    {
        Gen<(bool[,], bool[,])> pairs =
            from rows in Gen.Choose(0, 5)
            from columns in Gen.Choose(0, 8)
            from a in Masks(rows, columns)
            from b in Masks(rows, columns)
            select (a, b);
        Prop.ForAll(pairs.ToArbitrary(), pair =>
        {
            using DisposeScope scope = NewDisposeScope();
            Support a = Of(pair.Item1), b = Of(pair.Item2);
            Support both = a.Intersect(b), either = a.Union(b);
            Assert.True(both.ToMask().Equals(a.ToMask().logical_and(b.ToMask())));
            Assert.True(either.ToMask().Equals(a.ToMask().logical_or(b.ToMask())));
            Assert.Equal(either.Count == 0 ? 1 : (double)both.Count / either.Count, a.Overlap(b));
            Assert.Equal(1, a.Overlap(a));
            Assert.Equal(a.Equals(b), both.Equals(either));
            if (a.Equals(b))
                Assert.Equal(a.GetHashCode(), b.GetHashCode());
        }).QuickCheckThrowOnFailure();
    }

    [Fact]
    public void The_constructor_refuses_what_is_not_compressed_rows()
    {
        void Refuses(string argument, string reason, int rows, int columns, int[] offsets, int[] indices) =>
            Assert.Contains(reason, Assert.Throws<ArgumentException>(argument, () => new Support(rows, columns, offsets, indices)).Message);
        Refuses("rowOffsets", "2 rows need 3 offsets, not 2", 2, 3, [0, 1], [0]);
        Refuses("rowOffsets", "run from 0 to 1", 2, 3, [1, 1, 1], [0]);
        Refuses("rowOffsets", "run from 0 to 2", 2, 3, [0, 1, 1], [0, 1]);
        Refuses("rowOffsets", "less than the one before", 2, 3, [0, 2, 1], [0]);
        Refuses("rowOffsets", "less than the one before", 3, 3, [0, 1, 0, 1], [0]);
        Refuses("columnIndices", "Row 0 has column 3 after -1", 1, 3, [0, 1], [3]);
        Refuses("columnIndices", "Row 0 has column -1", 1, 3, [0, 1], [-1]);
        Refuses("columnIndices", "Row 1 has column 1 after 1", 2, 3, [0, 1, 3], [2, 1, 1]);
        Refuses("columnIndices", "Row 0 has column 0 after 1", 1, 3, [0, 2], [1, 0]);
        Assert.Throws<ArgumentOutOfRangeException>("rows", () => new Support(-1, 3, [0], []));
        Assert.Throws<ArgumentOutOfRangeException>("columns", () => new Support(0, -1, [0], []));
    }

    [Fact]
    public void Misuse_is_refused()
    {
        Assert.Throws<ArgumentOutOfRangeException>("row", () => Small.Row(3));
        Assert.Throws<ArgumentOutOfRangeException>("column", () => Small.Contains(0, 4));
        Assert.Throws<ArgumentException>("other", () => Small.Intersect(Support.Empty(3, 5)));
        Assert.Throws<ArgumentException>("other", () => Small.Overlap(Support.Empty(2, 4)));
        Assert.Throws<ArgumentException>("matrix", () => Small.Gather(ones(4, 3)));
        Assert.Throws<ArgumentException>("matrix", () => Small.Gather<float>(new float[11], new float[5]));
        Assert.Throws<ArgumentException>("values", () => Small.Gather<float>(new float[12], new float[4]));
        Assert.Throws<ArgumentException>("mask", () => Support.FromMask(ones(3, 4)));
    }
}
