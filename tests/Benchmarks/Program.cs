using BenchmarkDotNet.Running;
using Benchmarks;

// dotnet run -c Release --project tests/Benchmarks -- --quick [filter]   medians of both sides, alternating, in seconds
// dotnet run -c Release --project tests/Benchmarks -- --results [filter] all of them (or some classes anew), written to tests/Benchmarks/RESULTS.md with curves and data
//                                                                     --results --rest goes on with the classes that have none yet
// dotnet run -c Release --project tests/Benchmarks -- --filter '*TopK*'  BenchmarkDotNet
// dotnet run -c Release --project tests/Benchmarks -- --cold [filter]    the first calls of the hot paths, each in a process of its own
// dotnet run -c Release --project tests/Benchmarks -- --memory [method]  private memory of pruning a folder of 500 MB block by block
if (args is ["--cold-one", var path])
    return Cold.RunOne(path);
if (args is ["--cold", ..])
    return Cold.Run(args.Length > 1 ? args[1] : "");
if (args is ["--memory-make", var place])
    return Memory.Make(place);
if (args is ["--memory-one", var folder, var method, var batch])
    return Memory.RunOne(folder, method, int.Parse(batch, System.Globalization.CultureInfo.InvariantCulture));
if (args is ["--memory", ..])
    return Memory.Run(args.Length > 1 ? args[1] : "");
if (args is ["--results", ..])
{
    if (ResultsFile.Create() is not { } results) return 1;
    return args is [_, "--rest"] ? Quick.Run("", results, rest: true) : Quick.Run(args.Length > 1 ? args[1] : "", results);
}

if (args is ["--quick", ..])
    return Quick.Run(args.Length > 1 ? args[1] : "");

BenchmarkSwitcher.FromAssembly(typeof(Quick).Assembly).Run(args);
return 0;
