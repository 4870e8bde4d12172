using System.Runtime.CompilerServices;
using Sparseland.Native;

namespace Sparseland.Kernel.Tests;

/// <summary>A test may make a tensor before it calls anything of the library.</summary>
internal static class RegisterNatives
{
    [ModuleInitializer]
    internal static void Run() => NativeLibraries.Register();
}
