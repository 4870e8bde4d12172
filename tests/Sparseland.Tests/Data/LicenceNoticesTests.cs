using Sparseland.Data.Documentation;

namespace Sparseland.Tests.Data;

public sealed class LicenceNoticesTests : IDisposable
{
    private readonly string _file = Path.Combine(Path.GetTempPath(), $"sparseland-{Guid.NewGuid():N}.txt");

    public void Dispose() => File.Delete(_file);

    [Fact]
    public void What_is_held_out_was_not_trained_on()
    {
        File.WriteAllText(_file, "one one\nand on\n\n \ntwo two\n\nthree three\r\n\r\nfour four\n\none one\nand on\n\nfive five");
        LicenceNotices notices = LicenceNotices.Load(_file, 0.4);
        Assert.Equal(["one one\nand on", "two two", "three three"], notices.Training);
        Assert.Equal(["four four", "five five"], notices.HeldOut);
        Assert.Throws<ArgumentOutOfRangeException>(() => LicenceNotices.Load(_file, 1));
        File.WriteAllText(_file, "only one");
        Assert.Throws<InvalidDataException>(() => LicenceNotices.Load(_file));
        Assert.Throws<FileNotFoundException>(() => LicenceNotices.Load(_file + ".no"));
    }
}
