using Lucene.Net.Analysis;
using Lucene.Net.Analysis.En;
using Lucene.Net.Analysis.TokenAttributes;

namespace Sparseland.Retrieval.Analysis;

/// <summary>
/// Krovetz's stemmer (R. Krovetz, Viewing morphology as an inference process, SIGIR 1993): inflections go where what remains is a word of
/// its dictionary. Lucene.NET carries the dictionary, so its filter does the work; one a thread, since a filter keeps a word.
/// </summary>
internal static class KrovetzStemmer
{
    [ThreadStatic]
    private static OneWord? t_word;

    [ThreadStatic]
    private static KStemFilter? t_filter;

    /// <summary>The stem of a word in lower case; valid until the thread's next call.</summary>
    internal static ReadOnlySpan<char> Stem(ReadOnlySpan<char> word)
    {
        OneWord source = t_word ??= new();
        KStemFilter filter = t_filter ??= new(source);
        source.Set(word);
        filter.IncrementToken();
        return source.Term.Buffer.AsSpan(0, source.Term.Length);
    }

    private sealed class OneWord : TokenStream
    {
        public OneWord() => Term = AddAttribute<ICharTermAttribute>();

        public ICharTermAttribute Term { get; }

        public void Set(ReadOnlySpan<char> word)
        {
            Term.ResizeBuffer(word.Length);
            word.CopyTo(Term.Buffer);
            Term.Length = word.Length;
        }

        public override bool IncrementToken() => true;
    }
}
