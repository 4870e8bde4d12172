using Sparseland.Tensors;

namespace Sparseland.Kernels;

/// <summary>A product of two sparse matrices, and what happened in the tables on the way.</summary>
/// <param name="Product">C, columns of each row ascending.</param>
/// <param name="Products">Multiplications.</param>
/// <param name="Insertions">Those that took a free slot: entries of C.</param>
/// <param name="Merges">Those that met a sum.</param>
/// <param name="ExtraProbes">Looks at slots that another tag had.</param>
/// <param name="Windows">Windows.</param>
/// <param name="HashSeconds">Time of phase 1, hashing, summed over threads.</param>
/// <param name="WriteBackSeconds">Time of phase 2, sorting, copying and clearing, summed over threads.</param>
public sealed record SmashResult(CsrMatrix Product, long Products, long Insertions, long Merges, long ExtraProbes, int Windows, double HashSeconds, double WriteBackSeconds)
{
    /// <inheritdoc/>
    public override string ToString() => Readable.Of(this);
}
