using Sparseland.Native;
using TorchSharp;

switch (args[0])
{
    case "module": // a module before any static of torch
        using (var linear = torch.nn.Linear(3, 2))
        {
            Console.WriteLine(string.Join("x", linear.weight!.shape));
        }
        break;
    case "none": // no tensor: libtorch must not be in the process
        Console.WriteLine(File.ReadAllText("/proc/self/maps").Contains("libtorch", StringComparison.Ordinal) ? "loaded" : "not loaded");
        break;
    case "describe":
        NativeLibraryReport report = NativeLibraries.Describe();
        Console.WriteLine($"{report.Loads}|{report.CachePath}|{report.Reason}|{report.Remedy}");
        break;
}
