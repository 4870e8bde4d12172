using Sparseland.Models.Language;
using Sparseland.Retrieval;
using Sparseland.Retrieval.Learned;
using Sparseland.Tests.IO;
using Sparseland.Tests.Models.Language;

namespace Sparseland.Tests.Retrieval.Learned;

public class QueryTableTests
{
    private static int Id(string token) => Array.IndexOf(TinyBert.Vocabulary, token);

    [Fact]
    public void A_query_is_its_distinct_tokens()
    {
        using BertEncoder encoder = TinyBert.New();
        SparseVector query = QueryTable.Binary(encoder).Encode("the dog runs, the dog zebra");
        Assert.Equal(new[] { Id("dog"), Id("run"), Id("##s"), Id("the") }.Order(), query.Terms.ToArray());
        Assert.All(query.Weights.ToArray(), w => Assert.Equal(1, w));
        Assert.Equal(0, QueryTable.Binary(encoder).Encode("").Count);
    }

    [Fact]
    public void Idf_counts_documents_and_not_tokens()
    {
        using BertEncoder encoder = TinyBert.New();
        QueryTable table = QueryTable.FromIdf(encoder, ["the dog the dog", "the cat", "the", "a"]);
        double Idf(int n) => Math.Log(1 + ((4 - n + 0.5) / (n + 0.5)));
        Assert.Equal(Idf(3), table.Weights[Id("the")], 1e-6);
        Assert.Equal(Idf(1), table.Weights[Id("dog")], 1e-6);
        Assert.Equal(Idf(0), table.Weights[Id("big")], 1e-6);
        Assert.Equal(0, table.Weights[Id("[CLS]")]);

        // Over the queries' tokens the, dog, the the mean is 1.
        QueryTable even = QueryTable.FromIdf(encoder, ["the dog the dog", "the cat", "the", "a"], ["the dog", "the"]);
        Assert.Equal(1, ((2 * even.Weights[Id("the")]) + even.Weights[Id("dog")]) / 3, 1e-6);
        Assert.Equal(table.Weights[Id("dog")] / table.Weights[Id("the")], even.Weights[Id("dog")] / even.Weights[Id("the")], 1e-5);
    }

    [Fact]
    public void A_file_gives_the_weights_that_it_has_and_one_to_the_rest()
    {
        using var folder = new TemporaryFolder();
        using BertEncoder encoder = TinyBert.New();
        File.WriteAllText(folder.File("idf.json"), """{"dog": 2.5, "cat": -3, "the": 0, "[CLS]": 9}""");
        QueryTable table = QueryTable.Read(encoder, folder.File("idf.json"));
        Assert.Equal(2.5f, table.Weights[Id("dog")]);
        Assert.Equal([Id("a"), Id("dog")], table.Encode("a dog the cat").Terms.ToArray().Order().ToArray().Where(t => t is not -1).ToArray());
        File.WriteAllText(folder.File("idf.json"), """{"dog": 2.5, "horse": 1}""");
        Assert.Contains("'horse' is not of the encoder's vocabulary", Assert.Throws<InvalidDataException>(() => QueryTable.Read(encoder, folder.File("idf.json"))).Message, StringComparison.Ordinal);
        File.WriteAllText(folder.File("idf.json"), """{"dog": "much"}""");
        Assert.Contains("'dog'", Assert.Throws<InvalidDataException>(() => QueryTable.Read(encoder, folder.File("idf.json"))).Message, StringComparison.Ordinal);
        File.WriteAllText(folder.File("idf.json"), """{"dog": 1e60}""");
        Assert.Throws<InvalidDataException>(() => QueryTable.Read(encoder, folder.File("idf.json")));
        File.WriteAllText(folder.File("idf.json"), "[1");
        Assert.Throws<InvalidDataException>(() => QueryTable.Read(encoder, folder.File("idf.json")));
        Assert.Throws<FileNotFoundException>(() => QueryTable.Read(encoder, folder.File("none.json")));
    }

    [Fact]
    public void Bad_weights_are_named()
    {
        using BertEncoder encoder = TinyBert.New();
        Assert.Contains("another model", Assert.Throws<ArgumentException>("weights", () => QueryTable.Of(encoder, new float[9])).Message, StringComparison.Ordinal);
        float[] weights = [.. Enumerable.Repeat(1f, 17)];
        weights[6] = float.NaN;
        Assert.Throws<ArgumentException>("weights", () => QueryTable.Of(encoder, weights));
        weights[6] = -2;
        Assert.Equal(0, QueryTable.Of(encoder, weights).Weights[6]);
        Assert.Throws<ArgumentException>("documents", () => QueryTable.FromIdf(encoder, []));
        Assert.Throws<ArgumentException>("queries", () => QueryTable.FromIdf(encoder, ["the"], [""]));
        Assert.Throws<ArgumentOutOfRangeException>("factor", () => QueryTable.Binary(encoder).Times(0));
    }
}
