using Microsoft.Data.Sqlite;
using Sparseland.Retrieval;
using Sparseland.Retrieval.Analysis;

namespace Benchmarks.Retrieval;

/// <summary>SQLite's FTS5 in memory over the terms of our analyzer, ranked by its bm25().</summary>
internal sealed class Fts5Peer : IDisposable
{
    private readonly SqliteConnection _connection = new("Data Source=:memory:");
    private readonly Analyzer _analyzer;
    private readonly SqliteCommand _search;

    public Fts5Peer(IReadOnlyList<RetrievalDocument> documents, Analyzer analyzer)
    {
        _analyzer = analyzer;
        _connection.Open();
        Execute("CREATE VIRTUAL TABLE cards USING fts5(text, content='', detail=none, tokenize='unicode61 remove_diacritics 0')");
        using (SqliteTransaction transaction = _connection.BeginTransaction())
        {
            using SqliteCommand insert = _connection.CreateCommand();
            insert.CommandText = "INSERT INTO cards(rowid, text) VALUES ($id, $text)";
            SqliteParameter id = insert.Parameters.Add("$id", SqliteType.Integer), text = insert.Parameters.Add("$text", SqliteType.Text);
            for (int i = 0; i < documents.Count; i++)
            {
                (id.Value, text.Value) = (i, string.Join(' ', analyzer.Analyze(documents[i].Contents).Select(t => t.Text)));
                insert.ExecuteNonQuery();
            }

            transaction.Commit();
        }

        Execute("INSERT INTO cards(cards) VALUES ('optimize')");
        _search = _connection.CreateCommand();
        _search.CommandText = "SELECT rowid FROM cards WHERE cards MATCH $query ORDER BY rank LIMIT 10";
        _search.Parameters.Add("$query", SqliteType.Text);
        _search.Prepare();
    }

    public int Search(string text)
    {
        _search.Parameters[0].Value = string.Join(" OR ", _analyzer.Analyze(text).Select(t => $"\"{t.Text}\"").Distinct());
        int found = 0;
        using SqliteDataReader reader = _search.ExecuteReader();
        while (reader.Read()) found++;
        return found;
    }

    private void Execute(string statement)
    {
        using SqliteCommand command = _connection.CreateCommand();
        command.CommandText = statement;
        command.ExecuteNonQuery();
    }

    public void Dispose()
    {
        _search.Dispose();
        _connection.Dispose();
    }
}
