using Sparseland.Notebooks.Charts;
using Sparseland.Selection;
using TorchSharp;

namespace Sparseland.Kernel.Tests.Charts;

/// <summary>One chart of each kind, and what a reader must find written in it.</summary>
internal static class Samples
{
    private static readonly double[] Steps = [.. Enumerable.Range(0, 40).Select(i => (double)i)];

    private static readonly Dictionary<string, (Func<Chart> Make, string[] Shows)> All = new()
    {
        ["curves"] = (() => Chart.Curves(
            [("ISTA", Steps, Steps.Select(i => Math.Exp(-i / 20)).ToArray()), ("FISTA", Steps, Steps.Select(i => Math.Exp(-i / 8)).ToArray())],
            x: "iteration", y: "objective [1]", title: "Two solvers", caption: "FISTA is ahead.", logY: true), ["ISTA", "FISTA", "iteration", "objective [1]", "FISTA is ahead."]),
        ["band"] = (() => Chart.Curves([Series.Over("five seeds", new double[,] { { 1, 2, 3 }, { 2, 3, 5 }, { 3, 4, 4 } })], x: "step", y: "error [1]", title: "With a band").WithLine("paper: 3.2", y: 3.2), ["five seeds", "step", "error [1]", "paper: 3.2"]),
        ["pareto"] = (() => Chart.Pareto(
            [("TopK", new double[] { 8, 16, 32, 64 }, new[] { .4, .3, .22, .2 }), ("ReLU", new double[] { 10, 20, 40, 80 }, new[] { .5, .38, .28, .19 })],
            x: "L0", y: "MSE [1]", title: "Trade-off", logX: true), ["TopK", "ReLU", "L0", "MSE [1]", "↙ better"]),
        ["scatter"] = (() => Chart.Scatter([("codes", Steps, Steps.Select(i => i + Math.Sin(i)).ToArray())], x: "true [1]", y: "estimate [1]", title: "Estimates", diagonal: true), ["codes", "true [1]", "estimate [1]"]),
        ["histogram"] = (() => Chart.Histogram([("before", Steps.Select(Math.Cos).ToArray()), ("after", Steps.Select(Math.Sin).ToArray())], x: "coefficient [1]", bins: 12, title: "How often", shares: true), ["before", "after", "coefficient [1]", "share [1]"]),
        ["bars"] = (() => Chart.Bars(["dense", "sparse", "both at once"], [new Series("CPU", [9.1, 2.2, 4]).Band([8, 2, 3], [10, 3, 5]), new Series("GPU", [1, .2, -.7])], x: "format", y: "time [ms]", title: "Speed"), ["dense", "sparse", "CPU", "GPU", "format", "time [ms]"]),
        ["lying bars"] = (() => Chart.Bars(["a name that is far too long to stand under a bar", "another name just as long as that", "third", "fourth", "fifth", "sixth", "seventh", "eighth", "ninth"], [1200, 3, 0, 17, -100, 5, 6, 7, 8], x: "method", y: "time [ms]", title: "Names"), ["another name just as long as that", "method", "time [ms]"]),
        ["heat map"] = (() => Chart.HeatMap(new double[,] { { -1, 0, 2 }, { .5, double.NaN, 1 } }, x: "atom", y: "sample", value: "inner product [1]", title: "Gram", rowNames: ["first", "second"]), ["atom", "↓ sample", "inner product [1]", "first", "second"]),
        ["atoms"] = (() => Chart.Atoms(Matrix(12, 16), patchSize: 4, title: "Dictionary", caption: "Twelve atoms."), ["Twelve atoms."]),
        ["images"] = (() => Chart.Images([("input", Matrix(20, 30)), ("colour", torch.ones(3, 20, 30) * .5)], title: "Pictures"), ["input", "colour"]),
        ["support"] = (() => Chart.Support(Select.TopK(torch.tensor(Matrix(6, 12)), Budget.PerRow(3)), x: "feature", y: "token", title: "Which stay"), ["feature", "↓ token"]),
        ["table"] = (() => Chart.Table(["method", "NMSE"], [["ISTA", .031], ["FISTA", 12345.678]], title: "Numbers"), ["method", "NMSE", "ISTA", "0.031", "12,346"]),
        ["row"] = (() => Chart.Row(Make("curves"), Make("bars"), Make("heat map")) with { Title = "Side by side" }, ["ISTA", "dense", "atom", "Two solvers", "Speed", "Gram"]),
        ["grid"] = (() => Chart.Grid(2, Make("pareto"), Make("images"), Make("support"), Make("table")) with { Title = "Four" }, ["TopK", "input", "feature", "method"]),
    };

    public static IEnumerable<string> Kinds => All.Keys;

    public static TheoryData<string> Names => [.. All.Keys];

    public static Chart Make(string name) => All[name].Make();

    public static IReadOnlyList<string> Shows(string name) => All[name].Shows;

    /// <summary>Numbers from -1 to 1 without a pattern that a wrong row length would keep.</summary>
    public static double[,] Matrix(int rows, int columns)
    {
        var matrix = new double[rows, columns];
        for (int row = 0; row < rows; row++)
        {
            for (int column = 0; column < columns; column++)
                matrix[row, column] = Math.Sin((row * 7.3) + (column * column * .37));
        }
        return matrix;
    }
}
