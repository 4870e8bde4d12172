using Sparseland.Notebooks;

namespace Sparseland.Kernel.Tests.Charts;

public class SeriesDataTests
{
    [Fact]
    public void What_is_shipped_is_found_from_folders_below_the_clone()
    {
        // Tests run somewhere below the clone.
        Assert.True(File.Exists(SeriesData.Find("README.md")));
    }

    [Fact]
    public void What_is_not_there_is_named()
    {
        DirectoryNotFoundException missing = Assert.Throws<DirectoryNotFoundException>(() => SeriesData.Find("no such set"));
        Assert.Contains("data/no such set", missing.Message, StringComparison.Ordinal);
        Assert.Contains(SeriesData.FolderVariable, missing.Message, StringComparison.Ordinal);
        Assert.Equal("name", Assert.Throws<ArgumentException>(() => SeriesData.Find("../src")).ParamName);
        Assert.Equal("name", Assert.Throws<ArgumentException>(() => SeriesData.Find(" ")).ParamName);
    }
}
