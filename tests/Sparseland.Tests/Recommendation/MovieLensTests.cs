using Sparseland.Recommendation;

namespace Sparseland.Tests.Recommendation;

public sealed class MovieLensTests : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("sparseland-movielens-").FullName;

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Theory]
    [InlineData("u.data", "196\t242\t3\t881250949\n22\t377\t1\t878887116\n196\t51\t5\t881250000\n")]
    [InlineData("ratings.dat", "196::242::3::881250949\r\n22::377::1::878887116\r\n196::51::5::881250000\r\n")]
    [InlineData("ratings.csv", "\uFEFFuserId,movieId,rating,timestamp\n196,242,3.0,881250949\n22,377,1.0,878887116\n196,51,5.0,881250000")]
    public void Three_formats_are_one(string name, string text)
    {
        string file = Write(name, text);
        foreach (string path in new[] { file, _folder })
        {
            MovieLensRatings read = MovieLens.Read(path);
            Assert.Equal([22L, 196], read.UserIds);
            Assert.Equal([51L, 242, 377], read.ItemIds);
            Assert.Equal([2], read.Interactions.Pairs.Row(0).ToArray());
            Assert.Equal([0, 1], read.Interactions.Pairs.Row(1).ToArray());
            Assert.Equal((3, 0), (read.Lines, read.BelowLeast));
        }

        MovieLensRatings liked = MovieLens.Read(file, least: 4);
        Assert.Equal((1, 1, 2), (liked.Interactions.Users, liked.Interactions.Items, liked.BelowLeast));
    }

    [Fact]
    public void Repetitions_are_counted()
    {
        MovieLensRatings read = MovieLens.Read(Write("ratings.dat", "1::5::3::0\n1::5::4::1\n\n2::5::4::1\n"));
        Assert.Equal((2, 1), (read.Interactions.Count, read.Interactions.Duplicates));
    }

    [Theory]
    [InlineData("1::5::3::0\n1::5\n", "line 2: 2 fields")]
    [InlineData("1::5::3::0\nx::5::3::0\n", "line 2: the user 'x'")]
    [InlineData("1::-5::3::0\n", "line 1: the item '-5'")]
    [InlineData("1,5,good,0\n", "line 1: the rating 'good'")]
    [InlineData("1,5,NaN,0\n", "line 1: the rating 'NaN'")]
    public void A_malformed_line_is_named_with_its_file(string text, string says)
    {
        string file = Write("ratings.dat", text);
        string message = Assert.Throws<InvalidDataException>(() => MovieLens.Read(file)).Message;
        Assert.Contains(says, message, StringComparison.Ordinal);
        Assert.Contains(file, message, StringComparison.Ordinal);
    }

    [Fact]
    public void Nothing_to_read_is_refused()
    {
        Assert.Throws<InvalidDataException>(() => MovieLens.Read(Write("ratings.csv", "userId,movieId,rating,timestamp\n")));
        Assert.Throws<FileNotFoundException>(() => MovieLens.Read(Path.Combine(_folder, "none")));
        string empty = Directory.CreateDirectory(Path.Combine(_folder, "empty")).FullName;
        Assert.Contains("u.data", Assert.Throws<FileNotFoundException>(() => MovieLens.Read(empty)).Message, StringComparison.Ordinal);
    }

    private string Write(string name, string text)
    {
        string path = Path.Combine(_folder, name);
        File.WriteAllText(path, text);
        return path;
    }
}
