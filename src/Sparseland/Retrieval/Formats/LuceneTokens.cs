using Lucene.Net.Analysis;
using Lucene.Net.Analysis.TokenAttributes;
using Analyzer = Sparseland.Retrieval.Analysis.Analyzer;
using Token = Sparseland.Retrieval.Analysis.Token;

namespace Sparseland.Retrieval.Formats;

/// <summary>
/// An analyzer of this library as one of Lucene.NET's, for whoever asks an exported index: the same terms at the same places, the parts of a
/// name and the name itself at one place.
/// </summary>
/// <param name="analyzer">The analyzer that the index was made with.</param>
public sealed class LuceneAnalyzer(Analyzer analyzer) : Lucene.Net.Analysis.Analyzer
{
    private readonly Analyzer _analyzer = analyzer ?? throw new ArgumentNullException(nameof(analyzer));

    /// <inheritdoc/>
    protected override TokenStreamComponents CreateComponents(string fieldName, TextReader reader) => new(new LuceneTokens(reader, _analyzer));
}

internal sealed class LuceneTokens : Tokenizer
{
    private readonly Analyzer _analyzer;
    private readonly ICharTermAttribute _term;
    private readonly IPositionIncrementAttribute _increment;
    private IReadOnlyList<Token> _tokens = [];
    private int _next, _position;

    public LuceneTokens(TextReader reader, Analyzer analyzer)
        : base(reader)
    {
        _analyzer = analyzer;
        _term = AddAttribute<ICharTermAttribute>();
        _increment = AddAttribute<IPositionIncrementAttribute>();
    }

    public override void Reset()
    {
        base.Reset();
        (_tokens, _next, _position) = (_analyzer.Analyze(m_input.ReadToEnd()), 0, -1);
    }

    public override bool IncrementToken()
    {
        if (_next == _tokens.Count) return false;
        ClearAttributes();
        Token token = _tokens[_next++];
        _term.SetEmpty().Append(token.Text);
        _increment.PositionIncrement = token.Position - _position;
        _position = token.Position;
        return true;
    }
}
