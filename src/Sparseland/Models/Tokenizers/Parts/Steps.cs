using System.Text;

namespace Sparseland.Models.Tokenizers.Parts;

/// <summary>A step that changes a text.</summary>
internal delegate string TextStep(string text, CancellationToken cancel);

/// <summary>A step that cuts pieces further.</summary>
internal delegate List<Piece> CutStep(List<Piece> pieces, CancellationToken cancel);

/// <summary>Calls of the runtime that cannot be stopped, on stretches of a long text.</summary>
internal static class Stretched
{
    private const int Longest = 1 << 16;

    /// <summary>Changes a text stretch by stretch. Each begins with a letter that no normal form joins with what stands before it: ASCII or an ideograph.</summary>
    public static string Apply(string text, Func<string, string> change, CancellationToken cancel)
    {
        if (text.Length <= Longest) return change(text);
        var changed = new StringBuilder(text.Length);
        for (int start = 0; start < text.Length;)
        {
            cancel.ThrowIfCancellationRequested();
            int end = Math.Min(start + Longest, text.Length);
            while (end < text.Length && text[end] is not (<= '\u007F' or (>= '\u4E00' and <= '\u9FFF'))) end++;
            changed.Append(change(text[start..end]));
            start = end;
        }

        return changed.ToString();
    }
}
