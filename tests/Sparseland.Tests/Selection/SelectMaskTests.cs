using Sparseland.Selection;
using Sparseland.Tests.Training;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Tests.Selection;

public sealed unsafe class SelectMaskTests : IDisposable
{
    private readonly DisposeScope _scope = NewDisposeScope();

    public void Dispose() => _scope.Dispose();

    [Fact]
    public void The_mask_is_that_of_the_support_for_every_run_with_ties_and_infinities()
    {
        using Generator generator = new(3);
        foreach (ScalarType type in new[] { ScalarType.Float32, ScalarType.Float64 })
        {
            foreach (int m in new[] { 1, 2, 3, 4, 5, 8, 12, 16, 32 })
            {
                foreach ((int rows, int runs) in new[] { (1, 1), (1, 2), (3, 1), (2, 7), (5, 33), (300, 40) })
                {
                    // Few values: most runs have ties.
                    Tensor scores = randint(-3, 4, [rows, runs * m], generator: generator).to(type);
                    scores[0, 0] = double.PositiveInfinity;
                    scores[rows - 1, -1] = double.NegativeInfinity;
                    foreach (int n in new[] { 1, (m + 1) / 2, m })
                    {
                        Tensor wanted = Select.TopK(scores, Budget.NofM(n, m)).ToMask();
                        Assert.True(wanted.Same(Select.Mask(scores, Budget.NofM(n, m))), $"{n}:{m} of [{rows}, {runs * m}] {type}");
                    }
                }
            }
        }
    }

    [Fact]
    public void The_mask_of_k_of_each_row_is_that_of_the_support_with_ties_and_infinities()
    {
        using Generator generator = new(4);
        foreach (ScalarType type in new[] { ScalarType.Float32, ScalarType.Float64, ScalarType.Float16 })
        {
            foreach ((int rows, int columns) in new[] { (1, 1), (3, 17), (2, 300), (400, 333), (0, 5), (5, 0) })
            {
                Tensor scores = randint(-3, 4, [rows, columns], generator: generator).to(type);
                if (scores.numel() > 0) scores[0, 0] = double.NegativeInfinity;
                foreach (int k in new[] { 0, Math.Min(1, columns), columns / 2, columns })
                    Assert.True(Select.TopK(scores, Budget.PerRow(k)).ToMask().Same(Select.Mask(scores, Budget.PerRow(k))), $"{k} of each row of [{rows}, {columns}] {type}");
            }
        }

        Tensor broken = rand([40, 3000]);
        (broken[31, 7], broken[12, 2999]) = (double.NaN, double.NaN);
        string wanted = Assert.Throws<ArgumentException>(() => Select.TopK(broken, Budget.PerRow(5))).Message;
        Assert.Equal(wanted, Assert.Throws<ArgumentException>(() => Select.Mask(broken, Budget.PerRow(5))).Message);
        Assert.Throws<ArgumentException>(() => Select.Mask(rand([2, 3]), Budget.PerRow(4)));
    }

    [Fact]
    public void Vectors_and_single_runs_agree_on_every_part_of_a_row()
    {
        float[] scores = new float[16 * 20];
        var random = new Random(5);
        for (int i = 0; i < scores.Length; i++) scores[i] = random.Next(5);
        foreach (int m in new[] { 2, 4, 8, 16 })
        {
            foreach ((int from, int to) in new[] { (0, scores.Length), (16, 320), (16, 48), (0, 16), (304, 320), (m * 16, scores.Length - m) })
            {
                byte[] one = new byte[scores.Length], other = new byte[scores.Length];
                fixed (float* source = scores)
                {
                    fixed (byte* a = one, b = other)
                    {
                        var budget = (NofMBudget)Budget.NofM(Math.Max(1, m / 2), m);
                        Assert.False(ShortRuns<float>.Mask(source, scores.Length, from, to, budget, a, vectors: true));
                        Assert.False(ShortRuns<float>.Mask(source, scores.Length, from, to, budget, b, vectors: false));
                    }
                }

                Assert.Equal(other, one);
                Assert.Equal((to - from) / m * Math.Max(1, m / 2), one.Sum(x => x));
            }
        }
    }

    [Theory, InlineData(0), InlineData(70), InlineData(639)]
    public void A_NaN_is_refused_by_its_place_as_elsewhere(int at)
    {
        Tensor scores = rand([2, 320]);
        scores.view(-1)[at] = double.NaN;
        string wanted = Assert.Throws<ArgumentException>(() => Select.TopK(scores, Budget.NofM(1, 4))).Message;
        Assert.Equal(wanted, Assert.Throws<ArgumentException>(() => Select.Mask(scores, Budget.NofM(1, 4))).Message);
    }

    [Fact]
    public void Views_other_budgets_and_nothing_at_all()
    {
        Tensor scores = rand([24, 40], generator: new Generator(8));
        Assert.True(Select.TopK(scores.t(), Budget.NofM(2, 8)).ToMask().Same(Select.Mask(scores.t(), Budget.NofM(2, 8))));
        Assert.True(Select.TopK(scores, Budget.PerRow(7)).ToMask().Same(Select.Mask(scores, Budget.PerRow(7))));
        Assert.Equal([2, 3, 8], Select.Mask(rand([2, 3, 8]), Budget.NofM(1, 4)).shape);
        Assert.Equal(0, Select.Mask(zeros([0, 8]), Budget.NofM(1, 4)).numel());
        Assert.Throws<ArgumentException>(() => Select.Mask(scores, Budget.NofM(1, 16)));
        Assert.Throws<ArgumentException>(() => Select.Mask(scores.to(ScalarType.Int64), Budget.NofM(1, 4)));
    }
}
