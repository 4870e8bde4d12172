namespace Sparseland.Retrieval.Analysis;

/// <summary>How the forms of an English word become one term.</summary>
public enum Stemming
{
    /// <summary>Not at all.</summary>
    None,

    /// <summary>Porter's suffix rules of 1980 with his two later amendments, as Lucene's PorterStemFilter has them.</summary>
    Porter,

    /// <summary>Krovetz's dictionary stemmer: lighter, its stems are words. Lucene's KStemFilter.</summary>
    Krovetz,
}

/// <summary>Which terms of a document make its length.</summary>
public enum LengthCount
{
    /// <summary>Every term, also a whole word beside its parts.</summary>
    Terms,

    /// <summary>Places only: a whole word beside its parts does not count again. Lucene's "discount overlaps", its default.</summary>
    Positions,
}
