using System.Globalization;

namespace Sparseland.Kernel.Tests.Scripting;

/// <summary>What a cell shows of arrays, tensors, sequences and numbers.</summary>
public sealed class ValueFormTests : EngineTest
{
    [Theory]
    [InlineData("new double[,] { { 1, 2 }, { 3, 4.5 } }", "double[2, 2]\n1    2\n3  4.5")]
    [InlineData("new float[0, 3]", "float[0, 3]: empty")]
    [InlineData("new int[1, 2, 1]", "int[1, 2, 1]\n[0, :, :]\n0\n0")]
    [InlineData("new[] { new[] { 1, 2 }, new[] { 3 } }", "int[2][]\n1  2\n3   ")]
    [InlineData("new double[][] { [0.1], null }", "double[2][]\n 0.1\nnull")]
    [InlineData("new double[] { 1, 2.5 }.AsMemory()", "Memory<double>[2] [ 1, 2.5 ]")]
    [InlineData("new double[] { 1, 2.5 }.AsSpan()", "[ 1, 2.5 ]")]
    [InlineData("\"abc\".AsSpan()[1..]", "[ b, c ]")]
    [InlineData("System.Runtime.Intrinsics.Vector512.Create(1.5)", "Vector512<double>[8] [ 1.5, 1.5, 1.5, 1.5, 1.5, 1.5, 1.5, 1.5 ]")]
    [InlineData("new System.Numerics.Complex(1, -2)", "1 - 2i")]
    [InlineData("new System.Numerics.Complex[] { new(1, 2), new(0, 0) }", "[ 1 + 2i, 0 + 0i ]")]
    [InlineData("System.Numerics.BigInteger.Pow(2, 70)", "1180591620717411303424")]
    [InlineData("(1, \"a\", new[] { 1.5, 2 }, (2, 'c'))", "(1, \"a\", [ 1.5, 2 ], (2, 'c'))")]
    [InlineData("TorchSharp.torch.tensor(new double[,] { { 1, 2 }, { 3, 4 } })", "Tensor [2, 2] Float64\n1  2\n3  4")]
    [InlineData("TorchSharp.torch.tensor(new[] { true, false })", "Tensor [2] Bool [ true, false ]")]
    [InlineData("TorchSharp.torch.tensor(3L)", "Tensor [] Int64 3")]
    [InlineData("TorchSharp.torch.zeros(0, 3)", "Tensor [0, 3] Float32: empty")]
    [InlineData("TorchSharp.torch.ones(2, dtype: TorchSharp.torch.ScalarType.BFloat16, requires_grad: true)", "Tensor [2] BFloat16, requires grad [ 1, 1 ]")]
    [InlineData("TorchSharp.torch.ones(2, 2).to_sparse()", "Tensor [2, 2] Float32\n1  1\n1  1")]
    [InlineData("TorchSharp.torch.sparse_coo_tensor(TorchSharp.torch.zeros([2, 3], dtype: TorchSharp.torch.int64), TorchSharp.torch.ones(3), [1_000_000, 1_000_000])", "Tensor [1000000, 1000000] Float32, sparse; too large to be shown as rows")]
    [InlineData("TorchSharp.torch.tensor(new System.Numerics.Complex[] { new(1, -1) })", "Tensor [1] ComplexFloat64 [ 1 - 1i ]")]
    [InlineData("TorchSharp.torch.arange(3).unsqueeze(1).t()", "Tensor [1, 3] Int64\n0  1  2")]
    public async Task Every_kind_of_numbers_has_its_shape_and_values(string code, string shown) => Assert.Equal(shown, (await Run(code)).ResultText);

    [Theory]
    [InlineData("new double[0][]", "double[0][]: empty")]
    [InlineData("new string[,] { { \"a\", \"<b>\" }, { null, \"d\" } }", "string[2, 2]\n \"a\"  \"<b>\"\nnull    \"d\"")]
    [InlineData("Array.CreateInstance(typeof(double), [2, 2], [1, 1])", "double[2, 2]\n0  0\n0  0")]
    [InlineData("Array.CreateInstance(typeof(int), [2], [1])", "int[2] [ 0, 0 ], from index 1")]
    [InlineData("default(ArraySegment<double>)", "ArraySegment<double>[0] []")]
    [InlineData("new ArraySegment<int>([1, 2, 3], 1, 2)", "ArraySegment<int>[2] [ 2, 3 ]")]
    public async Task Arrays_that_are_empty_or_begin_elsewhere_are_shown_too(string code, string shown) => Assert.Equal(shown, (await Run(code)).ResultText);

    [Fact]
    public async Task A_matrix_within_another_value_has_its_rows()
    {
        string shown = (await Run("new Dictionary<string, double[,]> { [\"a\"] = new double[,] { { 1, 2 }, { 3, 4 } } }")).ResultText!;
        Assert.Contains("double[2, 2]\n1  2\n3  4", shown.ReplaceLineEndings("\n"), StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("var list = new List<object>(); list.Add(list); list")]
    [InlineData("var array = new object[1]; array[0] = array; array")]
    [InlineData("var pair = new object[2]; pair[0] = new List<object> { pair }; pair[1] = pair; pair")]
    [InlineData("var grid = new object[2, 2]; grid[0, 0] = grid; grid[1, 1] = grid; grid")]
    [InlineData("var map = new Dictionary<string, object>(); map[\"me\"] = map; map")]
    [InlineData("dynamic bag = new System.Dynamic.ExpandoObject(); bag.Me = bag; bag")]
    [InlineData("class Tree : IEnumerable<Tree> { public IEnumerator<Tree> GetEnumerator() { yield return this; } System.Collections.IEnumerator System.Collections.IEnumerable.GetEnumerator() => GetEnumerator(); }\nnew Tree()")]
    [InlineData("class Node { public Node Parent; public List<Node> Children = []; }\nvar root = new Node(); for (int i = 0; i < 30; i++) root.Children.Add(new Node { Parent = root }); root")]
    public async Task A_value_that_contains_itself_is_shown_and_ends_nothing(string code)
    {
        // A stack that overflows would end this test's process with it.
        var shown = (await Run(code)).ResultText!;
        Assert.InRange(shown.Length, 10, 1_100_000);
        Assert.DoesNotContain("formatting failed", shown, StringComparison.Ordinal);
        Assert.Equal("3", (await Run("1 + 2")).ResultText);
    }

    [Fact]
    public async Task A_value_of_a_million_parts_is_cut_and_says_so()
    {
        var shown = (await Run("List<object> Fill(int depth) => [.. Enumerable.Range(0, 20).Select(i => depth == 0 ? (object)\"some words of text\" : Fill(depth - 1))];\nFill(4)")).ResultBundle!;
        Assert.Contains("is not shown whole: its text is too long", shown.Data["text/plain"].ToString(), StringComparison.Ordinal);
        Assert.InRange(shown.Data["text/plain"].ToString().Length, 100, 4_000);
        Assert.False(shown.Data.ContainsKey("text/html"));
    }

    [Fact]
    public async Task Memory_is_read_only_where_it_is_shown()
    {
        var before = GC.GetTotalAllocatedBytes();
        Assert.StartsWith("Memory<double>[2000000] [ 0, 0,", (await Run("new double[2_000_000].AsMemory()")).ResultText, StringComparison.Ordinal);

        // The array itself has 16 MB; a box for each number would be 48 MB more.
        Assert.InRange(GC.GetTotalAllocatedBytes() - before, 0, 60_000_000);
    }

    [Fact]
    public async Task A_disposed_tensor_is_said_to_be_one()
    {
        Assert.Equal("Tensor, disposed", (await Run("var gone = TorchSharp.torch.ones(2); gone.Dispose(); gone")).ResultText);
    }

    [Fact]
    public async Task Large_ones_are_cut_and_small()
    {
        foreach (var code in (string[])["new double[5000, 5000]", "TorchSharp.torch.zeros(5000, 5000)", "TorchSharp.torch.zeros([2, 3, 4, 50, 60])"])
        {
            var bundle = (await Run(code)).ResultBundle!;
            Assert.InRange(bundle.Data["text/html"].ToString().Length, 100, 40_000);
            Assert.Contains("...", bundle.Data["text/plain"].ToString());
            Assert.Contains("<table", bundle.Data["text/html"].ToString());
        }

        Assert.Contains("20 more slices", (await Run("TorchSharp.torch.zeros([2, 3, 4, 5, 6])")).ResultText);
    }

    [Theory]
    [InlineData("IEnumerable<int> Endless() { for (int i = 0; ; i++) yield return i; }\nEndless()", "[ 0, 1, 2", "and so on")]
    [InlineData("IEnumerable<int> Slow() { yield return 7; Thread.Sleep(60_000); yield return 8; }\nSlow()", "[ 7 ]", "did not come within 2 s")]
    [InlineData("IEnumerable<int> Bad() { yield return 7; throw new FormatException(\"no more\"); }\nBad()", "[ 7 ]", "then FormatException: no more")]
    [InlineData("new[] { 1, 2 }.Select(i => i * 2)", "[ 2, 4 ]", "")]
    [InlineData("Enumerable.Range(0, 0).Where(i => i > 0)", "[  ]", "")]
    public async Task A_sequence_shows_its_beginning_and_holds_nobody(string code, string values, string note)
    {
        var output = await Run(code);
        Assert.StartsWith(values, output.ResultText, StringComparison.Ordinal);
        Assert.Contains(note, output.ResultText, StringComparison.Ordinal);
        Assert.Equal(note.Length > 0, output.ResultText!.Contains("...", StringComparison.Ordinal));
    }

    [Fact]
    public async Task The_users_own_formatter_wins()
    {
        // Types of which nothing else here shows values: registrations are the process's.
        foreach (var type in (string[])["bool[,]", "sbyte[,]"])
        {
            await Run($"using Microsoft.DotNet.Interactive.Formatting;\nSparseland.Notebooks.NotebookFormatters.Register();\nFormatter.Register<{type}>((m, w) => w.Write(\"mine\"), \"text/plain\");");
            Assert.Equal("mine", (await Run($"new {type.Replace(",", "1, 1", StringComparison.Ordinal)}")).ResultText);
        }
    }

    [Fact]
    public async Task A_data_frame_is_a_table_before_any_setup_cell()
    {
        var output = await Run("using Microsoft.Data.Analysis;\nnew DataFrame(new DoubleDataFrameColumn(\"a\", new double[] { 1, 2 }))");
        Assert.Contains("2 rows, 1 columns", output.ResultText);
        Assert.Contains("<table", output.ResultBundle!.Data["text/html"].ToString());
    }

    [Theory]
    [InlineData("de-DE")]
    [InlineData("tr-TR")]
    public async Task Cells_may_use_any_culture_and_their_values_look_the_same(string culture)
    {
        var output = await Run($$"""
            var culture = new System.Globalization.CultureInfo("{{culture}}");
            System.Globalization.CultureInfo.CurrentCulture = culture;
            Console.Write(1.5.ToString(culture));
            (new double[,] { { 1.5, -1e10 } }, new System.Numerics.Complex(1.5, 2), 0.25, TorchSharp.torch.tensor(1.5))
            """);
        Assert.Equal(1.5.ToString(new CultureInfo(culture)), output.Stdout);
        Assert.Equal("1,5", output.Stdout);
        Assert.Equal("(double[1, 2]; 1.5  -1E+10, 1.5 + 2i, 0.25, Tensor [] Float64 1.5)", output.ResultText);
    }
}
