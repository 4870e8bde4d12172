using System.Text;

namespace Sparseland.Models.Language;

/// <summary>
/// A text as characters: one id per byte of its UTF-8, 32..126 as 0..94, the newline as 95, every other byte as 96. A vocabulary of 97 leaves a small language model nothing but its blocks to learn with.
/// </summary>
public static class ByteText
{
    /// <summary>Ids.</summary>
    public const int Vocabulary = 97;

    /// <summary>What stands between two articles: a line that holds only the sign U+241E.</summary>
    public const string Separator = "\n\u241E\n";

    private const int Newline = 95, Other = 96;

    /// <summary>Articles joined by a separator, as ids.</summary>
    /// <param name="articles">Texts.</param>
    /// <param name="separator">Stands between two articles. Default <see cref="Separator"/>.</param>
    /// <param name="most">Ids after which the rest is left out, at least 2; all where null, the default.</param>
    /// <param name="cancel">Checked between articles.</param>
    /// <exception cref="ArgumentException">Fewer than two bytes in all.</exception>
    public static TokenText Of(IEnumerable<string> articles, string separator = Separator, int? most = null, CancellationToken cancel = default)
    {
        ArgumentNullException.ThrowIfNull(articles);
        ArgumentNullException.ThrowIfNull(separator);
        if (most is < 2) throw new ArgumentOutOfRangeException(nameof(most), most, "most must be at least 2: a prediction needs two ids.");
        var ids = new List<int>();
        int[] between = Encode(separator);
        foreach (string article in articles)
        {
            cancel.ThrowIfCancellationRequested();
            ArgumentNullException.ThrowIfNull(article, nameof(articles));
            if (ids.Count > 0) ids.AddRange(between);
            ids.AddRange(Encode(article));
            if (ids.Count >= most) break;
        }

        return new TokenText(most < ids.Count ? ids[..most.Value] : ids);
    }

    /// <summary>Ids of a text.</summary>
    /// <param name="text">The text.</param>
    public static int[] Encode(string text)
    {
        ArgumentNullException.ThrowIfNull(text);
        byte[] bytes = Encoding.UTF8.GetBytes(text);
        int[] ids = new int[bytes.Length];
        for (int i = 0; i < bytes.Length; i++) ids[i] = bytes[i] is >= 32 and <= 126 ? bytes[i] - 32 : bytes[i] == '\n' ? Newline : Other;
        return ids;
    }

    /// <summary>Text of ids; id 96 reads as U+FFFD, once for each byte.</summary>
    /// <param name="ids">Ids from 0 to 96.</param>
    /// <exception cref="ArgumentOutOfRangeException">Another id.</exception>
    public static string Decode(ReadOnlySpan<int> ids)
    {
        var text = new StringBuilder(ids.Length);
        foreach (int id in ids)
        {
            text.Append(id switch
            {
                >= 0 and < Newline => (char)(id + 32),
                Newline => '\n',
                Other => '\uFFFD',
                _ => throw new ArgumentOutOfRangeException(nameof(ids), id, $"An id must be from 0 to {Other}."),
            });
        }

        return text.ToString();
    }
}
