using BenchmarkDotNet.Running;
using Benchmarks;

// dotnet run -c Release --project tests/Benchmarks -- --quick [filter]   medians of both sides, alternating, in seconds
// dotnet run -c Release --project tests/Benchmarks -- --filter '*TopK*'  BenchmarkDotNet
if (args is ["--quick", ..])
    return Quick.Run(args.Length > 1 ? args[1] : "");

BenchmarkSwitcher.FromAssembly(typeof(Quick).Assembly).Run(args);
return 0;
