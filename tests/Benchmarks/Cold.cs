using System.Diagnostics;
using System.Globalization;
using Benchmarks.Coding;
using Sparseland.Coding;
using Sparseland.Penalties;
using Sparseland.Selection;
using Sparseland.Solvers;
using TorchSharp;
using static TorchSharp.torch;

namespace Benchmarks;

/// <summary>
/// The first calls: a notebook calls a thing once or ten times, and code that the runtime has not yet compiled fully is many times slower.
/// Each hot path runs in a process of its own, 60 calls; printed are the 1st, 2nd and 10th call and the median of the last ten, as
/// milliseconds of the wall and of the processor (the latter is the one to read on a busy machine), under the runtime's settings of a
/// notebook kernel (the runtime's own) and of a program that takes the package.
/// </summary>
internal static class Cold
{
    private const int Calls = 60;

    private static readonly Dictionary<string, Func<Action>> s_paths = new()
    {
        ["OMP"] = () =>
        {
            (Tensor X, Tensor D) = EncodeBenchmark.Planted(20000, 64, 256, 5);
            return () => BatchOmp.Encode(X, D, 5).Dispose();
        },
        ["lasso-codes"] = () =>
        {
            (Tensor X, Tensor D) = EncodeBenchmark.Planted(2000, 64, 256, 5);
            var coder = new CoordinateCoder(new L1(0.05));
            return () => coder.Encode(X, D).Dispose();
        },
        ["thresholding"] = () =>
        {
            (Tensor X, Tensor D) = EncodeBenchmark.Planted(500, 64, 256, 5);
            (Tensor x, Tensor d) = (X.to(ScalarType.Float32), D.to(ScalarType.Float32));
            var coder = new ThresholdCoder(new L1(0.05), new() { MaxIterations = 50, Tolerance = 0 });
            return () => coder.Encode(x, d).Dispose();
        },
        ["lasso-path"] = () =>
        {
            using var generator = new Generator(1);
            Tensor phi = randn([200, 1000], dtype: ScalarType.Float64, generator: generator), y = randn([200], dtype: ScalarType.Float64, generator: generator);
            LeastSquares fit = LeastSquares.FromPhi(phi, y);
            double top = fit.LargestUsefulStrength(new L1(1));
            var solver = new CoordinateDescent();
            return () => solver.Solve(fit, new L1(0.1 * top));
        },
        ["TopK"] = () =>
        {
            Tensor scores = rand(2048, 8192);
            return () => Select.TopK(scores, Budget.PerRow(32));
        },
        ["TopK-global"] = () =>
        {
            Tensor scores = rand(1024, 2048);
            return () => Select.TopK(scores, Budget.Global(65_536));
        },
        ["TopK-groups"] = () =>
        {
            Tensor scores = rand(1024, 2048);
            return () => Select.TopK(scores, Budget.Groups(16, 64));
        },
        ["prox-l1"] = () =>
        {
            Tensor z = randn(1_000_000);
            var l1 = new L1(0.5);
            return () => l1.Prox(z, 1).Dispose();
        },
        ["prox-half"] = () =>
        {
            Tensor z = randn(1_000_000);
            var half = new LHalf(0.5);
            return () => half.Prox(z, 1).Dispose();
        },
    };

    internal static int Run(string filter)
    {
        Console.WriteLine("path, settings: 1st, 2nd, 10th, steady [ms wall; ms of the processor], 2nd/steady of the processor");
        foreach (string path in s_paths.Keys.Where(name => name.Contains(filter, StringComparison.OrdinalIgnoreCase)))
        {
            foreach ((string settings, string quickLoops) in new[] { ("notebook", "1"), ("program", "0") })
                Console.WriteLine($"{path}, {settings}: {Child(path, quickLoops)}");
        }

        return 0;
    }

    /// <summary>The child's side.</summary>
    internal static int RunOne(string path)
    {
        Action call = s_paths[path]();
        double[] wall = new double[Calls], processor = new double[Calls];
        Process self = Process.GetCurrentProcess();
        for (int i = 0; i < Calls; i++)
        {
            self.Refresh();
            TimeSpan before = self.TotalProcessorTime;
            long start = Stopwatch.GetTimestamp();
            call();
            wall[i] = Stopwatch.GetElapsedTime(start).TotalMilliseconds;
            self.Refresh();
            processor[i] = (self.TotalProcessorTime - before).TotalMilliseconds;
        }

        double steady = Steady(processor);
        Console.WriteLine($"{Row(wall)}; {Row(processor)}; {Text(processor[1] / steady)}x");
        return 0;
    }

    private static string Child(string path, string quickLoops)
    {
        var start = new ProcessStartInfo(Environment.ProcessPath!, ["--cold-one", path]) { RedirectStandardOutput = true };
        start.Environment["DOTNET_TC_QuickJitForLoops"] = quickLoops;
        start.Environment["DOTNET_TieredPGO"] = "0";
        using Process child = Process.Start(start)!;
        string output = child.StandardOutput.ReadToEnd().Trim();
        child.WaitForExit();
        return child.ExitCode == 0 ? output : $"failed with exit code {child.ExitCode}";
    }

    private static double Steady(double[] values) => values[^10..].Order().ElementAt(5);

    private static string Row(double[] values) => string.Join(" ", new[] { values[0], values[1], values[9], Steady(values) }.Select(Text));

    private static string Text(double value) => value.ToString("0.0", CultureInfo.InvariantCulture);
}
