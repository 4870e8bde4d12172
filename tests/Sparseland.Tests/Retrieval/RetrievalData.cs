using System.Reflection;
using Sparseland.Retrieval;

namespace Sparseland.Tests.Retrieval;

/// <summary>Small runs and judgements, and a folder that goes when a test ends.</summary>
internal static class RetrievalData
{
    public static Run Run(string name, params (string Query, (string Id, double Score)[] List)[] lists) =>
        new(lists.Select(l => KeyValuePair.Create<string, IReadOnlyList<RankedDocument>>(l.Query, [.. l.List.Select(d => new RankedDocument(d.Id, d.Score))])), name);

    public static Qrels Qrels(params (string Query, string Document, int Grade)[] judgements) => new(judgements.Select(j => new Judgement(j.Query, j.Document, j.Grade)));

    /// <summary>A recorded file, written where it can be read.</summary>
    public static string Recorded(TemporaryFolder folder, string name)
    {
        using Stream stream = Assembly.GetExecutingAssembly().GetManifestResourceStream(name)!;
        string path = folder.File(name);
        using FileStream file = System.IO.File.Create(path);
        stream.CopyTo(file);
        return path;
    }
}

internal sealed class TemporaryFolder : IDisposable
{
    public string Path { get; } = Directory.CreateTempSubdirectory("sparseland-retrieval-").FullName;

    public string File(string name) => System.IO.Path.Combine(Path, name);

    public string Write(string name, string text)
    {
        string path = File(name);
        Directory.CreateDirectory(System.IO.Path.GetDirectoryName(path)!);
        System.IO.File.WriteAllText(path, text);
        return path;
    }

    public void Dispose() => Directory.Delete(Path, recursive: true);
}
