using Sparseland.Kernels;
using Sparseland.Selection;
using Sparseland.Tensors;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Autoencoders;

/// <summary>Codes of some tokens: which latents are active and how strongly. It owns its values.</summary>
/// <remarks>A latent is active where its value is above zero; rules keep no others, so the entries of <see cref="Support"/> are the active ones.</remarks>
public sealed class SparseCode : IDisposable
{
    private readonly NativeSize _size;

    /// <summary>Puts places and values together.</summary>
    /// <param name="support">Places [tokens, latents].</param>
    /// <param name="values">[Count] in the order of the places, Float32 or Float64; taken over.</param>
    /// <exception cref="ArgumentException">Another number of values.</exception>
    public SparseCode(Support support, Tensor values)
    {
        ArgumentNullException.ThrowIfNull(support);
        ArgumentNullException.ThrowIfNull(values);
        if (values.dim() != 1 || values.shape[0] != support.Count)
            throw new ArgumentException($"values must be [{support.Count}], one per entry of the support, but are [{string.Join(", ", values.shape)}].", nameof(values));
        (Support, Values, _size) = (support, values, NativeSize.Of(values));
    }

    /// <summary>Active latents of each token [tokens, latents].</summary>
    public Support Support { get; }

    /// <summary>Their values [Count], in the order of <see cref="Support.ColumnIndices"/>.</summary>
    public Tensor Values { get; }

    /// <summary>Number of tokens.</summary>
    public int Tokens => Support.Rows;

    /// <summary>Number of latents.</summary>
    public int Latents => Support.Columns;

    /// <summary>Mean number of active latents of a token; 0 without tokens.</summary>
    public double L0 => Tokens == 0 ? 0 : (double)Support.Count / Tokens;

    /// <summary>The code as a matrix [tokens, latents].</summary>
    public Tensor ToDense() => SparseProduct.ToDense(Support, Values);

    /// <summary>What puts a reconstruction back where tokens were scaled by themselves; owned; null where they were not.</summary>
    internal TokenFrame? Frame { get; set; }

    /// <inheritdoc/>
    public void Dispose()
    {
        Values.Dispose();
        Frame?.Dispose();
        _size.Dispose();
    }

    /// <inheritdoc/>
    public override string ToString() => FormattableString.Invariant($"SparseCode of {Tokens} tokens, {Latents} latents, L0 {L0:0.##}");
}
