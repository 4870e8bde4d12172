namespace Sparseland.Tests.Models.Tokenizers;

/// <summary>A theory that needs the native tokenizers library of Hugging Face, which is here for Linux on x64.</summary>
internal sealed class LinuxTheoryAttribute : TheoryAttribute
{
    public LinuxTheoryAttribute()
    {
        bool here = OperatingSystem.IsLinux() && System.Runtime.InteropServices.RuntimeInformation.ProcessArchitecture == System.Runtime.InteropServices.Architecture.X64;
        if (!here) Skip = "The peer library is here for Linux on x64 only.";
    }
}
