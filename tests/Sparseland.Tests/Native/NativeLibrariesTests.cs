using Sparseland.Native;
using TorchSharp;

namespace Sparseland.Tests.Native;

public class NativeLibrariesTests
{
    [Fact]
    public void A_tensor_works_in_the_test_process()
    {
        using var sum = torch.arange(5, dtype: torch.float64).sum();
        Assert.Equal(10.0, sum.item<double>());
    }

    [Fact]
    public void The_report_says_what_is_loaded()
    {
        NativeLibraryReport report = NativeLibraries.Describe();
        Assert.True(report.Loads, report.Reason);
        Assert.Null(report.Remedy);
        Assert.True(File.Exists(report.TorchSharpLibrary));
        Assert.True(File.Exists(Path.Combine(report.LibTorchFolder!, NativeSearch.FileName("torch"))));
        Assert.Equal(report.Patched, report.CachePath is not null);
        if (OperatingSystem.IsLinux())
        {
            Assert.Equal("GLIBCXX_3.4.32", report.VersionNeeded);
            Assert.StartsWith("GLIBCXX_3.4.", report.VersionAvailable);
        }
    }

    [Fact]
    public void Versions_compare_by_number() =>
        Assert.Equal("GLIBCXX_3.4.30", NativeLibraries.Newest(["GLIBCXX_3.4.9", "GLIBCXX_3.4.30", "GLIBCXX_3.4.4", "CXXABI_1.3.13", "GLIBCXX_TUNABLES"]));
}
