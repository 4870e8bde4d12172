namespace Sparseland.Retrieval;

/// <summary>
/// A document or a query as weights of terms: BM25, learned encoders and feedback all write this form, and one index takes it. Terms ascend,
/// each once; weights are finite and above 0 in a document, while a query may hold any finite weight but 0.
/// </summary>
public sealed class SparseVector
{
    private readonly int[] _terms;
    private readonly float[] _weights;

    private SparseVector(int[] terms, float[] weights) => (_terms, _weights) = (terms, weights);

    /// <summary>The vector without terms.</summary>
    public static SparseVector Empty { get; } = new([], []);

    /// <summary>Terms, ascending.</summary>
    public ReadOnlySpan<int> Terms => _terms;

    /// <summary>Weight of each term.</summary>
    public ReadOnlySpan<float> Weights => _weights;

    /// <summary>Number of terms.</summary>
    public int Count => _terms.Length;

    /// <summary>A vector of terms in any order; weights of 0 are left out.</summary>
    /// <param name="terms">Term numbers, at least 0, each once.</param>
    /// <param name="weights">Their weights, finite.</param>
    /// <exception cref="ArgumentException">Unequal numbers, a negative term, a term twice, or a weight that is not finite.</exception>
    public static SparseVector Of(ReadOnlySpan<int> terms, ReadOnlySpan<float> weights)
    {
        if (terms.Length != weights.Length) throw new ArgumentException($"{terms.Length} terms, but {weights.Length} weights.", nameof(weights));
        int kept = 0;
        for (int i = 0; i < terms.Length; i++)
        {
            if (terms[i] < 0) throw new ArgumentException($"Term {i} is {terms[i]}; terms are at least 0.", nameof(terms));
            if (!float.IsFinite(weights[i])) throw new ArgumentException($"Term {terms[i]} has the weight {weights[i]}; weights are finite.", nameof(weights));
            if (weights[i] != 0) kept++;
        }

        var (keys, values) = (new int[kept], new float[kept]);
        for (int i = 0, to = 0; i < terms.Length; i++)
        {
            if (weights[i] != 0) (keys[to], values[to++]) = (terms[i], weights[i]);
        }

        // Most come sorted: encoders and analyzers count their terms in order.
        for (int i = 1; i < keys.Length; i++)
        {
            if (keys[i] >= keys[i - 1]) continue;
            Array.Sort(keys, values);
            break;
        }

        for (int i = 1; i < keys.Length; i++)
        {
            if (keys[i] == keys[i - 1]) throw new ArgumentException($"Term {keys[i]} stands twice.", nameof(terms));
        }

        return kept == 0 ? Empty : new(keys, values);
    }

    /// <summary>Weight of a term; 0 where the vector has it not.</summary>
    /// <param name="term">A term.</param>
    public float this[int term] => Array.BinarySearch(_terms, term) is >= 0 and var at ? _weights[at] : 0;

    /// <summary>Inner product, in float64, in the order of the terms.</summary>
    /// <param name="other">Another vector.</param>
    public double Dot(SparseVector other)
    {
        ArgumentNullException.ThrowIfNull(other);
        double sum = 0;
        for (int i = 0, j = 0; i < _terms.Length && j < other._terms.Length;)
        {
            if (_terms[i] == other._terms[j]) sum += (double)_weights[i++] * other._weights[j++];
            else if (_terms[i] < other._terms[j]) i++;
            else j++;
        }

        return sum;
    }

    /// <summary>Its heaviest terms in words, as "reader 2.31, stream 1.07".</summary>
    /// <param name="name">Text of a term.</param>
    /// <param name="most">Most terms, at least 1. Default 12.</param>
    /// <exception cref="ArgumentOutOfRangeException">Fewer than 1.</exception>
    public string Describe(Func<int, string> name, int most = 12)
    {
        ArgumentNullException.ThrowIfNull(name);
        ArgumentOutOfRangeException.ThrowIfLessThan(most, 1);
        IEnumerable<string> heaviest = Enumerable.Range(0, Count).OrderByDescending(i => _weights[i]).ThenBy(i => _terms[i]).Take(most)
            .Select(i => string.Create(System.Globalization.CultureInfo.InvariantCulture, $"{name(_terms[i])} {_weights[i]:0.00}"));
        return string.Join(", ", heaviest) + (Count > most ? $" and {Count - most} more" : "");
    }

    /// <summary>Its terms by number, heaviest first.</summary>
    public override string ToString() => Count == 0 ? "no terms" : Describe(t => t.ToString(System.Globalization.CultureInfo.InvariantCulture));
}
