using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Retrieval.Learned;

/// <summary>An inference-free retriever whose documents are a head over frozen states; what it calls the ids of a document is its place among them.</summary>
public sealed class FrozenTermScorer : ITextScorer
{
    private readonly TokenStates _states;
    private readonly Func<string, int[]> _tokenize;
    private readonly Dictionary<int, int> _places;

    /// <summary>A retriever of head, states and table.</summary>
    /// <param name="head">The head; stays the caller's.</param>
    /// <param name="states">States of every document that will be asked for; stay the caller's.</param>
    /// <param name="table">Weights of the queries' tokens.</param>
    /// <param name="tokenize">Token ids of a query, as the encoder's Tokenize gives them.</param>
    public FrozenTermScorer(FrozenTermHead head, TokenStates states, QueryTable table, Func<string, int[]> tokenize)
    {
        ArgumentNullException.ThrowIfNull(head);
        ArgumentNullException.ThrowIfNull(states);
        ArgumentNullException.ThrowIfNull(table);
        ArgumentNullException.ThrowIfNull(tokenize);
        (Head, _states, Table, _tokenize) = (head, states, table, tokenize);
        _places = head.Terms.Select((term, place) => (term, place)).ToDictionary(t => t.term, t => t.place);
    }

    /// <summary>The head.</summary>
    public FrozenTermHead Head { get; }

    /// <summary>The table.</summary>
    public QueryTable Table { get; }

    /// <inheritdoc/>
    public nn.Module Module => Head;

    /// <inheritdoc/>
    public double Scale => 1;

    /// <inheritdoc/>
    public bool Sparse => true;

    /// <inheritdoc/>
    public int[] TokenizeDocument(string text) => [_states.PlaceOf(text)];

    /// <inheritdoc/>
    public int[] TokenizeQuery(string text) => _tokenize(text);

    /// <inheritdoc/>
    public Tensor Documents(IReadOnlyList<int[]> ids)
    {
        ArgumentNullException.ThrowIfNull(ids);
        using DisposeScope scope = NewDisposeScope();
        (Tensor rows, Tensor mask) = _states.Rows([.. ids.Select(i => i[0])]);
        return Head.Weights(rows, mask).MoveToOuterDisposeScope();
    }

    /// <inheritdoc/>
    public Tensor Queries(IReadOnlyList<int[]> ids)
    {
        ArgumentNullException.ThrowIfNull(ids);
        float[] rows = new float[ids.Count * Head.Terms.Count];
        for (int q = 0; q < ids.Count; q++)
        {
            foreach (int token in ids[q])
            {
                if (_places.TryGetValue(token, out int place)) rows[(q * Head.Terms.Count) + place] = Table.Weights[token];
            }
        }

        return tensor(rows, [ids.Count, Head.Terms.Count]);
    }
}
