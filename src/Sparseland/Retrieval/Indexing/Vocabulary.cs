namespace Sparseland.Retrieval.Indexing;

/// <summary>Names of terms by number, and numbers by name.</summary>
internal sealed class Vocabulary
{
    private readonly Lazy<Dictionary<string, int>> _numbers;

    internal Vocabulary(IReadOnlyList<string> names)
    {
        Names = names;
        _numbers = new(() =>
        {
            var numbers = new Dictionary<string, int>(names.Count, StringComparer.Ordinal);
            for (int i = 0; i < names.Count; i++) numbers.TryAdd(names[i], i);
            return numbers;
        });
    }

    internal IReadOnlyList<string> Names { get; }

    internal int? Find(ReadOnlySpan<char> name) => _numbers.Value.GetAlternateLookup<ReadOnlySpan<char>>().TryGetValue(name, out int number) ? number : null;

    /// <summary>Order of the UTF-8 bytes, which is that of code points: surrogate pairs stand behind all else.</summary>
    internal static int CompareUtf8(string left, string right)
    {
        int same = left.AsSpan().CommonPrefixLength(right);
        if (same == left.Length || same == right.Length) return left.Length.CompareTo(right.Length);
        return Rank(left[same]).CompareTo(Rank(right[same]));
    }

    private static int Rank(char c) => c < 0xD800 ? c : c < 0xE000 ? c + 0x2000 : c - 0x800;
}
