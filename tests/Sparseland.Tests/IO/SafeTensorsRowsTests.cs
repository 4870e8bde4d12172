using Sparseland.IO;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Tests.IO;

/// <summary>Some rows of a tensor are those of the whole.</summary>
public sealed class SafeTensorsRowsTests : IDisposable
{
    private readonly string _path = Path.Combine(Path.GetTempPath(), $"sparseland-{Guid.NewGuid():N}.safetensors");
    private readonly DisposeScope _scope = NewDisposeScope();

    public void Dispose()
    {
        _scope.Dispose();
        File.Delete(_path);
    }

    [Fact]
    public void Rows_of_matrices_and_stacks_are_those_of_the_whole()
    {
        Tensor x = randn([300, 7], generator: new Generator(1)), stack = x.view(10, 30, 7).to(ScalarType.BFloat16), long1 = arange(12);
        SafeTensors.Save(_path, new Dictionary<string, Tensor> { ["x"] = x, ["stack"] = stack, ["list"] = long1, ["number"] = tensor(1f), ["flags"] = x.gt(0) });
        using SafeTensorsFile file = SafeTensors.Open(_path);
        foreach ((long first, long count) in ((long, long)[])[(0, 300), (0, 1), (299, 1), (31, 64), (300, 0)])
        {
            Assert.True(file.LoadRows("x", first, count).eq(x.narrow(0, first, count)).all().item<bool>());
            Assert.True(file.LoadRows("stack", first, count).eq(stack.view(300, 7).narrow(0, first, count)).all().item<bool>());
        }

        Assert.True(file.LoadRows("list", 0, 1).eq(long1).all().item<bool>());
        Assert.Contains("2 rows from 299", Assert.Throws<ArgumentOutOfRangeException>(() => file.LoadRows("x", 299, 2)).Message, StringComparison.Ordinal);
        Assert.Throws<ArgumentOutOfRangeException>(() => file.LoadRows("x", -1, 2));
        Assert.Throws<ArgumentOutOfRangeException>(() => file.LoadRows("x", long.MaxValue, 2));
        Assert.Throws<ArgumentOutOfRangeException>(() => file.LoadRows("number", 0, 1));
        Assert.Throws<NotSupportedException>(() => file.LoadRows("flags", 0, 1));
        Assert.Throws<KeyNotFoundException>(() => file.LoadRows("y", 0, 1));
        file.Dispose();
        Assert.Throws<ObjectDisposedException>(() => file.LoadRows("x", 0, 1));
    }

    [Fact]
    public void A_file_that_was_cut_after_it_was_opened_is_named()
    {
        SafeTensors.Save(_path, new Dictionary<string, Tensor> { ["x"] = zeros(100, 8) });
        using SafeTensorsFile file = SafeTensors.Open(_path);
        using (FileStream stream = new(_path, FileMode.Open, FileAccess.Write, FileShare.ReadWrite)) stream.SetLength(stream.Length - 100);
        Assert.True(file.LoadRows("x", 0, 90).eq(0).all().item<bool>());
        Assert.Contains("has been cut", Assert.Throws<InvalidDataException>(() => file.LoadRows("x", 90, 10)).Message, StringComparison.Ordinal);
    }
}
