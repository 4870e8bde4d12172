using Sparseland.Models.Language;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Autoencoders;

/// <summary>Activations at one place of a language model, computed as they are needed, with gradients where wanted; without them blocks above the place are not run.</summary>
public sealed class ModelActivations : IActivationSource
{
    private readonly LanguageModel _model;
    private readonly TokenText _text;
    private readonly int _length, _skip, _batch;

    /// <summary>Names model, place and text.</summary>
    /// <param name="model">The model; stays the caller's.</param>
    /// <param name="site">The place; its values must be [batch, tokens, d].</param>
    /// <param name="text">The text; windows follow each other.</param>
    /// <param name="length">Tokens of a window; the model's context, 256 at most, where null.</param>
    /// <param name="skipFirst">Tokens at the beginning of each window that are left out: in many models the first has a norm of its own. Default 0.</param>
    /// <param name="batch">Windows that go through the model at once. Default 16.</param>
    /// <param name="gradients">
    /// Whether gradients come along, of the summed cross-entropies of a window's next tokens (<see cref="ActivationGradients.OfLabels"/>); then the blocks above the
    /// place are run forth and back. Default false.
    /// </param>
    /// <exception cref="ArgumentException">A number is out of its range, the text is shorter than a window, or the model has no such place.</exception>
    public ModelActivations(LanguageModel model, ActivationSite site, TokenText text, int? length = null, int skipFirst = 0, int batch = 16, bool gradients = false)
    {
        ArgumentNullException.ThrowIfNull(model);
        ArgumentNullException.ThrowIfNull(text);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(batch);
        _length = length ?? Math.Min(256, model.Context);
        if (_length < 1 || _length > model.Context) throw new ArgumentOutOfRangeException(nameof(length), length, $"length must be from 1 to the context of {model.Context}.");
        if (skipFirst < 0 || skipFirst >= _length) throw new ArgumentOutOfRangeException(nameof(skipFirst), skipFirst, $"skipFirst must be from 0 to below the window of {_length}.");
        if (text.Count <= _length) throw new ArgumentException($"The text has {text.Count} tokens; a window needs {_length} and the one after.", nameof(text));
        (_model, Site, _text, _skip, _batch, HasGradients) = (model, site, text, skipFirst, batch, gradients);
        Windows = (text.Count - 1) / _length;
        Width = WidthOf(model, site);
    }

    /// <summary>The place.</summary>
    public ActivationSite Site { get; }

    /// <inheritdoc/>
    public string Description => $"{Site.Activation} of block {Site.Layer}, {_text.Count} tokens in windows of {_length}, first {_skip} left out{(HasGradients ? ", with gradients of the labels" : "")}";

    /// <inheritdoc/>
    public int Width { get; }

    /// <inheritdoc/>
    public int Windows { get; }

    /// <inheritdoc/>
    public int TokensPerWindow => _length - _skip;

    /// <inheritdoc/>
    public bool HasGradients { get; }

    /// <inheritdoc/>
    public ActivationRows Read(ReadOnlySpan<int> windows, CancellationToken cancel)
    {
        using IDisposable off = no_grad();
        long[] shape = [(long)windows.Length * TokensPerWindow, Width];
        Tensor all = empty(shape);
        Tensor? gradients = HasGradients ? empty(shape) : null;
        for (int from = 0; from < windows.Length; from += _batch)
        {
            cancel.ThrowIfCancellationRequested();
            using DisposeScope scope = NewDisposeScope();
            int[] starts = [.. windows[from..Math.Min(windows.Length, from + _batch)].ToArray().Select(w => w * _length)];
            (Tensor ids, Tensor next) = _text.Windows(starts, _length);
            if (gradients is null)
            {
                Put(all, At(ids));
                continue;
            }

            (Tensor value, Tensor gradient) = ActivationGradients.Labelled(_model, ids, next, Site);
            Put(all, value);
            Put(gradients, gradient);

            void Put(Tensor target, Tensor source) =>
                target.narrow(0, (long)from * TokensPerWindow, (long)starts.Length * TokensPerWindow).copy_(source.narrow(1, _skip, TokensPerWindow).reshape(-1, Width));
        }

        return new(all, gradients);
    }

    private Tensor At(Tensor ids) => At(_model, Site, ids);

    /// <summary>d at a place of a model, from one token.</summary>
    /// <exception cref="ArgumentException">The model has no such place, or its values are of another shape.</exception>
    internal static int WidthOf(LanguageModel model, ActivationSite site)
    {
        using DisposeScope scope = NewDisposeScope();
        using IDisposable off = no_grad();
        return WidthOf(site, At(model, site, zeros(1, 1, dtype: ScalarType.Int64)));
    }

    /// <summary>d of a value at a place.</summary>
    internal static int WidthOf(ActivationSite site, Tensor value) => value.dim() == 3
        ? (int)value.shape[2]
        : throw new ArgumentException($"{site.Activation} is [{string.Join(", ", value.shape)}]; an autoencoder takes places of the shape [batch, tokens, d].", nameof(site));

    private static Tensor At(LanguageModel model, ActivationSite site, Tensor ids)
    {
        using var recorder = new ActivationRecorder(site);
        model.Visit(ids, recorder);
        return recorder[site].alias();
    }
}
