using System.Text.RegularExpressions;
using FsCheck;
using FsCheck.Fluent;
using TorchSharp;

namespace Sparseland.Tests.Tensors;

public class CheckedTests
{
    private static torch.Tensor Random(params long[] shape) =>
        torch.rand(shape, dtype: torch.float64, generator: new torch.Generator(shape.Aggregate(7UL, (h, s) => h * 31 + (ulong)s)));

    [Theory]
    [InlineData("3", "3")]
    [InlineData("2,3", "3")]
    [InlineData("3", "3,4")]
    [InlineData("2,3", "3,4")]
    [InlineData("5,2,3", "3,4")]
    [InlineData("5,2,3", "3")]
    [InlineData("3", "5,3,4")]
    [InlineData("2,3", "5,3,4")]
    [InlineData("5,2,3", "5,3,4")]
    [InlineData("5,1,2,3", "6,3,4")]
    [InlineData("1,2,3", "7,5,3,4")]
    [InlineData("0,2,3", "3,4")]
    [InlineData("5,2,0", "5,0,4")]
    public void It_gives_what_torch_gives(string left, string right)
    {
        using var scope = torch.NewDisposeScope();
        torch.Tensor a = Random(Shape(left)).requires_grad_(), b = Random(Shape(right)).requires_grad_();
        torch.Tensor c = Random(Shape(left)).requires_grad_(), d = Random(Shape(right)).requires_grad_();
        torch.Tensor ours = a.MatMul(b), theirs = c.matmul(d);
        Assert.Equal(theirs.shape, ours.shape);
        Assert.True(ours.allclose(theirs, rtol: 1e-12, atol: 1e-12));
        ours.square().sum().backward();
        theirs.square().sum().backward();
        Assert.True(a.grad!.allclose(c.grad!, rtol: 1e-12, atol: 1e-12) && b.grad!.allclose(d.grad!, rtol: 1e-12, atol: 1e-12));
    }

    [Theory]
    [InlineData("2,3", "4,5", "[2, 3] by [4, 5]", "(3) must equal", "(4)")]
    [InlineData("3", "4", "[3] by [4]", "(3) must equal", "(4)")]
    [InlineData("5,2,3", "6,3,4", "[5, 2, 3] by [6, 3, 4]", "5 meets 6", "equal or 1")]
    [InlineData("", "3", "[] by [3]", "scalar", "*")]
    public void A_wrong_shape_is_told_with_both_shapes_and_the_rule(string left, string right, params string[] parts)
    {
        using var scope = torch.NewDisposeScope();
        string message = Assert.Throws<ArgumentException>(() => Random(Shape(left)).MatMul(Random(Shape(right)))).Message;
        Assert.All(parts, part => Assert.Contains(part, message));
    }

    [Fact]
    public void Element_types_and_devices_must_be_the_same()
    {
        using var scope = torch.NewDisposeScope();
        torch.Tensor a = Random(2, 3);
        Assert.Contains("Float64 and Float32", Assert.Throws<ArgumentException>(() => a.MatMul(torch.ones(3, 2))).Message);
        Assert.Contains("meta", Assert.Throws<ArgumentException>(() => a.MatMul(torch.ones(3, 2, dtype: torch.float64, device: torch.META))).Message);
        Assert.Throws<ArgumentNullException>(() => a.MatMul(null!));
    }

    [Fact]
    public void Any_two_shapes_give_a_product_or_an_argument_exception_and_leave_no_tensor_behind()
    {
        Gen<long[]> shape = Gen.Choose(0, 4).SelectMany(rank => Gen.ArrayOf(Gen.Choose(1, 3).Select(size => (long)size), rank));
        Prop.ForAll(Arb.From(shape), Arb.From(shape), (x, y) =>
        {
            using var scope = torch.NewDisposeScope();
            torch.Tensor a = torch.ones(x), b = torch.ones(y);
            try
            {
                torch.Tensor product = a.MatMul(b);
                return scope.DisposablesCount == 3 && product.shape.SequenceEqual(a.matmul(b).shape);
            }
            catch (ArgumentException)
            {
                return scope.DisposablesCount == 2;
            }
        }).QuickCheckThrowOnFailure();
    }

    [Fact]
    public void Our_own_code_never_calls_the_unchecked_product()
    {
        DirectoryInfo? root = new(AppContext.BaseDirectory);
        while (root is not null && !File.Exists(Path.Combine(root.FullName, "Notebooks.sln")))
        {
            root = root.Parent;
        }
        string[] files = [.. Directory.EnumerateFiles(Path.Combine(root!.FullName, "src"), "*.cs", SearchOption.AllDirectories)
            .Where(f => !Regex.IsMatch(f, @"[\\/](bin|obj)[\\/]"))];
        Assert.NotEmpty(files);
        Assert.Empty(files.SelectMany(f => File.ReadLines(f)
            .Where(line => Regex.IsMatch(Regex.Replace(line, "//.*", ""), @"\bmatmul\s*\("))
            .Select(line => $"{f}: {line.Trim()}")));
    }

    private static long[] Shape(string text) => [.. text.Split(',', StringSplitOptions.RemoveEmptyEntries).Select(long.Parse)];
}
