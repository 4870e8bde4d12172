using System.Collections;
using System.Diagnostics.CodeAnalysis;
using Sparseland.Tensors;
using static TorchSharp.torch;

namespace Sparseland.Pruning;

/// <summary>A score for every weight of some parameters, by name; a higher score is kept. It owns the tensors: dispose it.</summary>
public sealed class ParameterScores : IReadOnlyDictionary<string, Tensor>, IDisposable
{
    private readonly Dictionary<string, Tensor> _scores;
    private readonly NativeSize _size;

    /// <summary>Takes scores over.</summary>
    /// <param name="method">How they came about.</param>
    /// <param name="scores">Scores by the name of the parameter; they belong to this from now on.</param>
    internal ParameterScores(string method, IEnumerable<KeyValuePair<string, Tensor>> scores)
    {
        Method = method;
        _scores = scores.ToDictionary(pair => pair.Key, pair => pair.Value.detach().DetachFromDisposeScope());
        _size = NativeSize.Of(_scores.Values);
    }

    /// <summary>The method, with how its derivatives were taken.</summary>
    public string Method { get; }

    /// <inheritdoc/>
    public IEnumerable<string> Keys => _scores.Keys;

    /// <inheritdoc/>
    public IEnumerable<Tensor> Values => _scores.Values;

    /// <inheritdoc/>
    public int Count => _scores.Count;

    /// <summary>The scores of a parameter, of its shape; they belong to this.</summary>
    /// <param name="key">Its name.</param>
    /// <exception cref="ArgumentException">It has none.</exception>
    public Tensor this[string key] => _scores.TryGetValue(key, out Tensor? scores) ? scores : throw new ArgumentException($"There are no scores of {key}; there are those of {string.Join(", ", Keys)}.", nameof(key));

    /// <inheritdoc/>
    public bool ContainsKey(string key) => _scores.ContainsKey(key);

    /// <inheritdoc/>
    public bool TryGetValue(string key, [MaybeNullWhen(false)] out Tensor value) => _scores.TryGetValue(key, out value);

    /// <inheritdoc/>
    public IEnumerator<KeyValuePair<string, Tensor>> GetEnumerator() => _scores.GetEnumerator();

    IEnumerator IEnumerable.GetEnumerator() => GetEnumerator();

    /// <summary>Frees the scores.</summary>
    public void Dispose()
    {
        foreach (Tensor scores in _scores.Values) scores.Dispose();
        _size.Dispose();
    }

    /// <inheritdoc/>
    public override string ToString() => $"{Method}: scores of {string.Join(", ", _scores.Select(pair => $"{pair.Key} [{string.Join(", ", pair.Value.shape)}]"))}";
}
