using Sparseland.Models.Language;
using Sparseland.Tensors;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.ActivationSparsity;

/// <summary>
/// A decoder in rotated bases: a model and the matrices by which its residual stream goes from one basis to the next, as a hook. The model alone computes something else: give the hook to every
/// call, <c>rotated.Model.Logits(ids, rotated.Hook)</c>.
/// </summary>
public sealed class RotatedModel : IDisposable
{
    private readonly List<(Tensor Attention, Tensor? Mlp)> _shortcuts;
    private readonly NativeSize _size;

    internal RotatedModel(TinyLM model, List<(Tensor Attention, Tensor? Mlp)> shortcuts)
    {
        (Model, _shortcuts, Hook) = (model, shortcuts, new Crossing(shortcuts));
        _size = NativeSize.Of(shortcuts.SelectMany(s => new[] { s.Attention, s.Mlp }));
    }

    /// <summary>The model with rotated matrices and norms without weights.</summary>
    public TinyLM Model { get; }

    /// <summary>Carries the residual stream from basis to basis.</summary>
    public IActivationHook Hook { get; }

    /// <summary>Weights of the square matrices that the stream crosses bases with, which every token reads: the price of the rotation.</summary>
    public long ShortcutWeights => _shortcuts.Sum(s => s.Attention.numel() + (s.Mlp?.numel() ?? 0));

    /// <summary>Whether the columns of a layer were made orthogonal: k_proj and gate_proj. The published code weighs inputs by column norms in these alone, for <see cref="WeightInformedScore.Layers"/>.</summary>
    /// <param name="layer">Path of the layer.</param>
    public static bool IsOrthogonal(string layer)
    {
        ArgumentNullException.ThrowIfNull(layer);
        return layer.EndsWith("k_proj", StringComparison.Ordinal) || layer.EndsWith("gate_proj", StringComparison.Ordinal);
    }

    /// <summary>Logits of the next token at every place: those of the model that was rotated.</summary>
    /// <param name="ids">Token ids [batch, tokens], int64.</param>
    /// <returns>[batch, tokens, vocabulary].</returns>
    public Tensor Logits(Tensor ids) => Model.Logits(ids, Hook);

    /// <inheritdoc/>
    public void Dispose()
    {
        Model.Dispose();
        foreach ((Tensor attention, Tensor? mlp) in _shortcuts)
        {
            attention.Dispose();
            mlp?.Dispose();
        }

        _size.Dispose();
    }

    /// <summary>A block adds to x; where it shall add to x S, what it adds becomes that and x S - x.</summary>
    private sealed class Crossing(List<(Tensor Attention, Tensor? Mlp)> shortcuts) : IActivationHook
    {
        private Tensor? _stream;

        public bool Wants(ActivationSite site) => site.Layer < shortcuts.Count && site.Activation is Models.Language.Activation.ResidualBefore
            or Models.Language.Activation.AttentionOutput or Models.Language.Activation.MlpOutput;

        public Tensor? Visit(ActivationSite site, Tensor value)
        {
            if (site.Activation == Models.Language.Activation.ResidualBefore)
            {
                _stream = value;
                return null;
            }

            Tensor stream = _stream ?? throw new InvalidOperationException("The hook has not seen the residual stream before the block.");
            Tensor? shortcut = site.Activation == Models.Language.Activation.AttentionOutput ? shortcuts[site.Layer].Attention : shortcuts[site.Layer].Mlp;
            Tensor added = shortcut is null ? value : value + (nn.functional.linear(stream, shortcut.t()) - stream);
            _stream = site.Activation == Models.Language.Activation.AttentionOutput ? stream + added : null;
            return added;
        }
    }
}
