using System.Diagnostics.CodeAnalysis;
using System.Runtime.CompilerServices;
using Sparseland.Native;

namespace Benchmarks;

/// <summary>
/// A benchmark's setup may make tensors before it touches the library, in a process of its own; TorchSharp's natives
/// must be findable by then.
/// </summary>
internal static class RegisterNatives
{
    [ModuleInitializer]
    [SuppressMessage("Usage", "CA2255", Justification = "Each benchmark process starts in this assembly.")]
    internal static void Register() => NativeLibraries.Register();
}
