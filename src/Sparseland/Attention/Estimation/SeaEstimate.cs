using Sparseland.Tensors;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Attention.Estimation;

/// <summary>What a <see cref="SeaEstimator"/> says of the attention of some texts before it is computed. It owns its tensors.</summary>
public sealed record SeaEstimate : IDisposable
{
    private readonly NativeSize _size;

    /// <summary>Takes over an estimate.</summary>
    /// <param name="scores">[batch, heads, tokens, cells].</param>
    /// <param name="scale">[batch, heads, tokens].</param>
    /// <param name="mix">[batch, heads, tokens].</param>
    /// <exception cref="ArgumentException">Shapes that do not fit.</exception>
    public SeaEstimate(Tensor scores, Tensor scale, Tensor mix)
    {
        ArgumentNullException.ThrowIfNull(scores);
        ArgumentNullException.ThrowIfNull(scale);
        ArgumentNullException.ThrowIfNull(mix);
        if (scores.dim() != 4) throw new ArgumentException($"scores must be [batch, heads, tokens, cells], but are [{string.Join(", ", scores.shape)}].", nameof(scores));
        foreach ((string name, Tensor x) in new[] { (nameof(scale), scale), (nameof(mix), mix) })
        {
            if (!x.shape.SequenceEqual(scores.shape[..3])) throw new ArgumentException($"{name} must be [{string.Join(", ", scores.shape[..3])}], but is [{string.Join(", ", x.shape)}].", name);
        }

        (Scores, Scale, Mix, _size) = (scores.DetachFromDisposeScope(), scale.DetachFromDisposeScope(), mix.DetachFromDisposeScope(), NativeSize.Of(scores, scale, mix));
    }

    /// <summary>Estimated scores of the cells [batch, heads, tokens, cells]; their softmax over cells is the estimated attention.</summary>
    public Tensor Scores { get; }

    /// <summary>s0 [batch, heads, tokens]: the sparse rows count sigmoid(s0) times.</summary>
    public Tensor Scale { get; }

    /// <summary>s1 [batch, heads, tokens]: sigmoid(s1) is the share of the sparse rows, the rest is the running mean of the values.</summary>
    public Tensor Mix { get; }

    /// <summary>The estimated attention over cells: softmax of the scores. In rows of fewer columns than cells the empty cells take part: what they get stands for no column.</summary>
    /// <returns>[batch, heads, tokens, cells], the caller's to dispose.</returns>
    public Tensor Probabilities() => Scores.softmax(-1);

    /// <inheritdoc/>
    public void Dispose()
    {
        Scores.Dispose();
        Scale.Dispose();
        Mix.Dispose();
        _size.Dispose();
    }

    /// <inheritdoc/>
    public override string ToString() => Readable.Of(this);
}
