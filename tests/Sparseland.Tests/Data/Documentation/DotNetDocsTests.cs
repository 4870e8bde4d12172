using System.Xml.Linq;
using Sparseland.Data.Documentation;

namespace Sparseland.Tests.Data.Documentation;

public class DotNetDocsTests
{
    private static readonly Lazy<IReadOnlyList<DocMember>> s_all = new(() => DotNetDocs.Load());

    [Fact]
    public void The_documentation_of_the_SDK_is_found_and_read()
    {
        IReadOnlyList<DocMember> all = s_all.Value;
        Assert.True(all.Count > 50_000, $"{all.Count} members");
        Assert.Equal(all.Count, all.Select(m => m.Id).Distinct().Count());
        DocMember add = all.Single(m => m.Id == "M:System.Collections.Generic.List`1.Add(`0)");
        Assert.Equal((DocMemberKind.Method, "System.Collections.Generic", "List", "List.Add(T)"), (add.Kind, add.Namespace, add.Type, add.Name));
        Assert.Equal("Adds an object to the end of the List.", add.Summary);
        Assert.Equal("item", add.Parameters.Single().Name);
        Assert.Contains("T:System.Collections.Generic.List`1", add.References);
    }

    [Fact]
    public void No_markup_is_left_and_spaces_are_single()
    {
        foreach (DocMember member in s_all.Value.Where((_, i) => i % 7 == 0))
        {
            string text = member.ToText();
            Assert.DoesNotContain("  ", text, StringComparison.Ordinal);
            Assert.DoesNotContain("cref=", text, StringComparison.Ordinal);
            Assert.DoesNotContain("<see", text, StringComparison.Ordinal);
            Assert.DoesNotContain("<para", text, StringComparison.Ordinal);
            Assert.DoesNotContain("\n\n", text, StringComparison.Ordinal);
            Assert.EndsWith("\n", text, StringComparison.Ordinal);
        }
    }

    [Fact]
    public void Reading_twice_gives_the_same_in_the_same_order() =>
        Assert.Equal(s_all.Value.Select(m => m.Id + m.ToText()), DotNetDocs.Load().Select(m => m.Id + m.ToText()));

    [Fact]
    public void An_element_becomes_words()
    {
        XElement element = XElement.Parse("""
            <member name="M:A.B.C`1.#ctor(System.Int32[],A.B.C{System.String})">
              <summary>Makes a <see cref="T:A.B.C`1" /> of <paramref name="values"/>,
                 or <see langword="null" />.<para>More about <c>x &lt; 1</c> and <see cref="P:A.B.C`1.Item(System.Int32)">the item</see>.</para></summary>
              <param name="values">Values, <code>null</code> for none.</param>
              <param name="other"></param>
              <exception cref="T:System.ArgumentNullException"><paramref name="other" /> is <see langword="null" />.</exception>
              <exception cref="T:System.OverflowException" />
              <remarks><list type="bullet"><item><term>One</term><description>first</description></item><item><description>second</description></item></list></remarks>
            </member>
            """, LoadOptions.PreserveWhitespace);
        DocMember member = DotNetDocs.Member(element, new HashSet<string> { "A.B.C", "A.B" });
        Assert.Equal(("A", "B.C", "C(Int32[], C)"), (member.Namespace, member.Type, member.Name));
        Assert.Equal("Makes a C of values, or null.\nMore about x < 1 and the item.", member.Summary);
        Assert.Equal("One: first\nsecond", member.Remarks);
        Assert.Equal(["T:A.B.C`1", "P:A.B.C`1.Item(System.Int32)", "T:System.ArgumentNullException", "T:System.OverflowException"], member.References);
        Assert.Equal(
            "C(Int32[], C)\nMakes a C of values, or null.\nMore about x < 1 and the item.\nvalues: Values, null for none.\nThrows ArgumentNullException: other is null.\nThrows OverflowException.\nOne: first\nsecond\n",
            member.ToText());
    }

    [Theory]
    [InlineData("T:System.Collections.Generic.Dictionary`2.Enumerator", "Enumerator", "")]
    [InlineData("M:System.String.Format(System.String,System.Object[])", "String.Format", "(String, Object[])")]
    [InlineData("M:System.Linq.Enumerable.Select``2(System.Collections.Generic.IEnumerable{``0},System.Func{``0,System.Int32,``1})", "Enumerable.Select", "(IEnumerable, Func)")]
    [InlineData("M:System.Decimal.op_Explicit(System.Decimal)~System.Byte", "Decimal.op_Explicit", "(Decimal)")]
    [InlineData("M:System.Int32.TryParse(System.String,System.Int32@)", "Int32.TryParse", "(String, Int32)")]
    [InlineData("M:A.B.System#IDisposable#Dispose", "B.Dispose", "")]
    [InlineData("M:A.B.M(``0[])", "B.M", "(T[])")]
    [InlineData("P:System.Collections.Generic.List`1.Count", "List.Count", "")]
    public void Identifiers_are_said_in_short(string id, string name, string parameters) =>
        Assert.Equal((name, parameters), (DocId.ShortName(id), DocId.ShortParameters(id)));

    [Fact]
    public void Training_and_held_out_text_share_no_type_and_no_article()
    {
        DocCorpus corpus = DocCorpus.Split(s_all.Value);
        Assert.Empty(corpus.Training.Select(m => m.TypeKey).Intersect(corpus.HeldOut.Select(m => m.TypeKey)));
        var known = corpus.Training.Select(m => m.ToText().Split('\n', 2)[1]).ToHashSet();
        Assert.DoesNotContain(corpus.HeldOut, m => known.Contains(m.ToText().Split('\n', 2)[1]));
        Assert.DoesNotContain(corpus.Training, m => m.Namespace.StartsWith("System.Runtime.Intrinsics", StringComparison.Ordinal));
        DocStatistics training = DocCorpus.Count(corpus.Training), held = DocCorpus.Count(corpus.HeldOut);
        Assert.InRange(held.Types / (double)(held.Types + training.Types), 0.03, 0.06);
        Assert.True(training.Words > 1_000_000, $"{training.Words} words");
        Assert.Equal(corpus.Training.Select(m => m.Id), DocCorpus.Split(s_all.Value).Training.Select(m => m.Id));
        Assert.NotEqual(corpus.Training.Select(m => m.Id), DocCorpus.Split(s_all.Value, new() { Seed = 2 }).Training.Select(m => m.Id));
    }

    [Fact]
    public void What_is_missing_or_broken_is_named()
    {
        string folder = Directory.CreateTempSubdirectory("docs").FullName;
        try
        {
            var none = Assert.Throws<DirectoryNotFoundException>(() => DotNetDocs.FindFiles(folder));
            Assert.Contains("install the SDK", none.Message, StringComparison.Ordinal);
            Assert.Contains(folder, none.Message, StringComparison.Ordinal);
            string cut = Path.Combine(folder, "Cut.xml"), other = Path.Combine(folder, "Other.xml");
            File.WriteAllText(cut, "<doc><members><member name='T:A'><summary>Cut");
            Assert.Contains("Cut.xml", Assert.Throws<InvalidDataException>(() => DotNetDocs.Load([cut])).Message, StringComparison.Ordinal);
            File.WriteAllText(other, "<html />");
            Assert.Contains("<html>", Assert.Throws<InvalidDataException>(() => DotNetDocs.Load([other])).Message, StringComparison.Ordinal);
            Assert.Throws<ArgumentException>(() => DotNetDocs.Load([]));
            Assert.Throws<ArgumentException>(() => DocCorpus.Split([]));
            Assert.Throws<ArgumentOutOfRangeException>(() => DocCorpus.Split(s_all.Value, new() { HeldOut = 1 }));
            using var source = new CancellationTokenSource();
            source.Cancel();
            Assert.ThrowsAny<OperationCanceledException>(() => DotNetDocs.Load(cancel: source.Token));
        }
        finally
        {
            Directory.Delete(folder, true);
        }
    }
}
