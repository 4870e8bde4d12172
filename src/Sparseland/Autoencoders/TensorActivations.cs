using Sparseland.Tensors;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Autoencoders;

/// <summary>Activations that are at hand as a matrix; each token is a window of its own.</summary>
public sealed class TensorActivations : IActivationSource
{
    private readonly Tensor _activations;
    private readonly Tensor? _gradients;

    /// <summary>Takes a matrix.</summary>
    /// <param name="activations">[tokens, d], Float32 or Float64, finite; stays the caller's.</param>
    /// <param name="gradients">[tokens, d] in the same order; null for none.</param>
    /// <param name="description">What they are of. Default "activations".</param>
    /// <exception cref="ArgumentException">A shape, type or value does not fit.</exception>
    public TensorActivations(Tensor activations, Tensor? gradients = null, string description = "activations")
    {
        TensorInput.CheckShape(activations, nameof(activations), "[tokens, d]");
        ArgumentNullException.ThrowIfNull(description);
        CheckFinite(activations, nameof(activations), description);
        if (gradients is not null)
        {
            TensorInput.CheckShape(gradients, nameof(gradients), "[tokens, d]");
            CheckFinite(gradients, nameof(gradients), description);
            if (!gradients.shape.SequenceEqual(activations.shape))
                throw new ArgumentException($"gradients are [{string.Join(", ", gradients.shape)}], the activations [{string.Join(", ", activations.shape)}]; they must agree.", nameof(gradients));
        }

        (_activations, _gradients, Description) = (activations, gradients, $"{description} [{string.Join(", ", activations.shape)}]");
    }

    /// <inheritdoc/>
    public string Description { get; }

    /// <inheritdoc/>
    public int Width => (int)_activations.shape[1];

    /// <inheritdoc/>
    public int Windows => checked((int)_activations.shape[0]);

    /// <inheritdoc/>
    public int TokensPerWindow => 1;

    /// <inheritdoc/>
    public bool HasGradients => _gradients is not null;

    /// <inheritdoc/>
    public ActivationRows Read(ReadOnlySpan<int> windows, CancellationToken cancel)
    {
        cancel.ThrowIfCancellationRequested();
        using Tensor rows = tensor(windows.ToArray(), ScalarType.Int64);
        return new(_activations.index_select(0, rows), _gradients?.index_select(0, rows));
    }

    private static void CheckFinite(Tensor x, string name, string description)
    {
        if (FiniteRows.FirstBad(x) is { } token) throw new ArgumentException($"{name} holds a value that is not finite, first in token {token} ({description}).", name);
    }
}
