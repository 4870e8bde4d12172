namespace Sparseland.Kernel;

/// <summary>How processes that run cells collect their garbage; the user's own setting of the variable wins.</summary>
internal static class KernelMemory
{
    /// <summary>The runtime's variable for the budget of the youngest generation; the project's file of settings cannot hold it.</summary>
    public const string Variable = "DOTNET_GCgen0size";

    /// <summary>64 MB, in the runtime's hexadecimal: by default it is as large as the processor's caches, hundreds of MB on a server.</summary>
    public const string YoungestGeneration = "4000000";
}
