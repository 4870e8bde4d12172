using FsCheck;
using FsCheck.Fluent;
using Sparseland.Evaluation;

namespace Sparseland.Tests.Evaluation;

public class LinearAssignmentTests
{
    // Least costs by scipy 1.10.1: rows, columns = scipy.optimize.linear_sum_assignment(C); C[rows, columns].sum() with
    // C[i, j] = ((7919 i + 104729 j + 1) (i + 2 j + 3)) % 1009.
    [Theory]
    [InlineData(60, 60, 1762)]
    [InlineData(40, 100, 395)]
    [InlineData(100, 40, null)]
    public void Cost_is_scipys(int rows, int columns, int? expected)
    {
        double[] cost = Costs(rows, columns);
        int[] assignment = LinearAssignment.Solve(cost, rows, columns);
        AssertValid(assignment, rows, columns);
        if (expected is not null)
            Assert.Equal(expected.Value, Total(cost, assignment, columns));

        // Turned round, the same pairs.
        double[] turned = new double[cost.Length];
        for (int i = 0; i < cost.Length; i++)
            turned[((i % columns) * rows) + (i / columns)] = cost[i];
        Assert.Equal(Total(cost, assignment, columns), Total(turned, LinearAssignment.Solve(turned, columns, rows), rows));
    }

    [Fact]
    public void Assignment_with_one_optimum_is_scipys()
    {
        // scipy 1.10.1, C[i, j] = sin(1 + i j + 0.3 i - 0.7 j^2); cost -27.516689295221425.
        int[] expected = [28, 17, 4, 6, 5, 11, 15, 21, 25, 12, 22, 2, 13, 0, 27, 18, 14, 24, 20, 7, 9, 26, 16, 10, 3, 19, 29, 8, 1, 23];
        double[] cost = [.. Enumerable.Range(0, 900).Select(k => Math.Sin(1 + ((k / 30) * (k % 30)) + (0.3 * (k / 30)) - (0.7 * (k % 30) * (k % 30))))];
        int[] assignment = LinearAssignment.Solve(cost, 30, 30);
        Assert.Equal(expected, assignment);
        Assert.Equal(-27.516689295221425, Total(cost, assignment, 30), 10);
    }

    [Fact]
    public void No_permutation_is_cheaper()
    {
        // Small integers, so that ties abound; both shapes.
        Gen<(int Rows, int Columns, int[] Cost)> problems =
            from rows in Gen.Choose(1, 6)
            from columns in Gen.Choose(1, 6)
            from cost in Gen.ArrayOf(Gen.Choose(-4, 9), rows * columns)
            select (rows, columns, cost);
        Prop.ForAll(problems.ToArbitrary(), problem =>
        {
            double[] cost = [.. problem.Cost.Select(c => (double)c)];
            int[] assignment = LinearAssignment.Solve(cost, problem.Rows, problem.Columns);
            AssertValid(assignment, problem.Rows, problem.Columns);
            return Total(cost, assignment, problem.Columns) == Cheapest(cost, problem.Rows, problem.Columns);
        }).QuickCheckThrowOnFailure();
    }

    [Fact]
    public void Empty_and_bad_costs()
    {
        Assert.Empty(LinearAssignment.Solve([], 0, 5));
        Assert.Equal([-1, -1], LinearAssignment.Solve([], 2, 0));
        Assert.Throws<ArgumentException>(() => LinearAssignment.Solve([1, 2, 3], 2, 2));
        Assert.Contains("row 1, column 0", Assert.Throws<ArgumentException>(() => LinearAssignment.Solve([1, 2, double.NaN, 3], 2, 2)).Message);
        Assert.Throws<ArgumentException>(() => LinearAssignment.Solve([1, double.PositiveInfinity, 2, 3], 2, 2));
        Assert.Throws<ArgumentOutOfRangeException>(() => LinearAssignment.Solve([], -1, 0));
    }

    private static double[] Costs(int rows, int columns) =>
        [.. Enumerable.Range(0, rows * columns).Select(k => (double)(((7919L * (k / columns)) + (104729L * (k % columns)) + 1) * ((k / columns) + (2 * (k % columns)) + 3) % 1009))];

    private static double Total(double[] cost, int[] assignment, int columns) =>
        assignment.Select((column, row) => column < 0 ? 0 : cost[(row * columns) + column]).Sum();

    private static void AssertValid(int[] assignment, int rows, int columns)
    {
        Assert.Equal(rows, assignment.Length);
        int[] used = [.. assignment.Where(column => column >= 0)];
        Assert.Equal(Math.Min(rows, columns), used.Length);
        Assert.Equal(used.Length, used.Distinct().Count());
        Assert.All(used, column => Assert.InRange(column, 0, columns - 1));
    }

    /// <summary>All assignments, each row with a column of its own or, where rows are left over, none.</summary>
    private static double Cheapest(double[] cost, int rows, int columns)
    {
        return Best(0, 0, Math.Max(rows - columns, 0));

        double Best(int row, int taken, int spare)
        {
            if (row == rows)
                return 0;
            double best = spare > 0 ? Best(row + 1, taken, spare - 1) : double.PositiveInfinity;
            for (int column = 0; column < columns; column++)
            {
                if ((taken & (1 << column)) == 0)
                    best = Math.Min(best, cost[(row * columns) + column] + Best(row + 1, taken | (1 << column), spare));
            }
            return best;
        }
    }
}
