namespace Sparseland.Models.Tokenizers.Parts;

/// <summary>Tokens in ordinal order: finds those that a text begins with, without a trie's memory.</summary>
internal sealed class SortedTokens
{
    private readonly string[] _tokens;
    private readonly int[] _ids;

    public SortedTokens(IEnumerable<(string Token, int Id)> tokens)
    {
        (string Token, int Id)[] sorted = [.. tokens.Where(t => t.Token.Length > 0)];
        Array.Sort(sorted, (a, b) => string.CompareOrdinal(a.Token, b.Token));
        _tokens = [.. sorted.Select(t => t.Token)];
        _ids = [.. sorted.Select(t => t.Id)];
    }

    public int Count => _tokens.Length;

    /// <summary>Ids and lengths of the tokens that the text begins with, shorter ones first.</summary>
    public void Prefixes(ReadOnlySpan<char> text, List<(int Length, int Id)> found)
    {
        found.Clear();
        int low = 0, high = _tokens.Length;
        for (int depth = 0; depth < text.Length && low < high; depth++)
        {
            char c = text[depth];
            low = Bound(low, high, depth, c);
            high = c == char.MaxValue ? high : Bound(low, high, depth, (char)(c + 1));
            // Of the tokens that are left, all agree with the text so far; the shortest stands first.
            if (low < high && _tokens[low].Length == depth + 1) found.Add((depth + 1, _ids[low]));
        }
    }

    /// <summary>First token of a range whose character at a depth is not below a given one; a token that ends there is below all.</summary>
    private int Bound(int low, int high, int depth, char c)
    {
        while (low < high)
        {
            int middle = (low + high) / 2;
            string token = _tokens[middle];
            if (token.Length <= depth || token[depth] < c) low = middle + 1;
            else high = middle;
        }

        return low;
    }
}
