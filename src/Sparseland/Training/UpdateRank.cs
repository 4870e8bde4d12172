using Sparseland.Tensors;
using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Sparseland.Training;

/// <summary>Rank of what a training added to a matrix.</summary>
/// <param name="Name">Name of the matrix.</param>
/// <param name="Rank">Singular values of the difference that count as not zero.</param>
/// <param name="Full">The highest rank that it could have, its smaller side.</param>
public sealed record UpdateRank(string Name, int Rank, int Full)
{
    /// <summary>Rank over the highest possible.</summary>
    public double Share => (double)Rank / Full;

    /// <summary>The ranks of all matrices of two networks of one structure; norms and biases have none.</summary>
    /// <param name="before">The network before training.</param>
    /// <param name="after">The network after it.</param>
    /// <param name="relativeTolerance">
    /// Singular values up to this times the largest count as zero; null, the default, for the larger side times 2^-23, the rule of numerical libraries for float32.
    /// </param>
    /// <exception cref="ArgumentException">Other parameters, no matrix among them, a number that is not finite, or a tolerance out of range.</exception>
    public static IReadOnlyList<UpdateRank> Of(nn.Module before, nn.Module after, double? relativeTolerance = null)
    {
        (string Name, Parameter Before, Parameter After)[] pairs = [.. ParameterPairs.Of(before, after).Where(p => p.After.dim() == 2)];
        if (pairs.Length == 0) throw new ArgumentException("The networks have no matrix.", nameof(after));
        if (relativeTolerance is { } given && !(given >= 0 && given < 1)) throw new ArgumentOutOfRangeException(nameof(relativeTolerance), given, "relativeTolerance must be from 0 to below 1.");
        using IDisposable off = no_grad();
        return [.. pairs.Select(p =>
        {
            using DisposeScope scope = NewDisposeScope();
            Tensor difference = p.After.to(ScalarType.Float64).sub(p.Before.to(ScalarType.Float64));
            if (!TensorInput.IsFinite(difference)) throw new ArgumentException($"{p.Name} holds a number that is not finite.", nameof(after));
            double tolerance = relativeTolerance ?? (Math.Max(difference.shape[0], difference.shape[1]) * Math.ScaleB(1, -23));
            Tensor values = SingularValues(difference, tolerance);
            return new UpdateRank(p.Name, (int)MaskSet.TrueIn(values.gt(values.max().item<double>() * tolerance)), (int)values.numel());
        })];
    }

    /// <summary>Singular values, those far below the tolerance not to their last digits: as roots of eigenvalues of the smaller product they cost a tenth.</summary>
    private static Tensor SingularValues(Tensor matrix, double tolerance)
    {
        // The product has errors of about 1e-16 of the largest eigenvalue, so of 1e-8 of the largest singular value.
        if (tolerance < 1e-6) return linalg.svdvals(matrix);
        using Tensor scale = matrix.abs().max();
        if (scale.item<double>() == 0) return zeros([Math.Min(matrix.shape[0], matrix.shape[1])], dtype: ScalarType.Float64);
        Tensor scaled = matrix.div(scale), product = matrix.shape[0] >= matrix.shape[1] ? scaled.t().mm(scaled) : scaled.mm(scaled.t());
        return linalg.eigvalsh(product).clamp_min(0).sqrt();
    }

    /// <inheritdoc/>
    public override string ToString() => Readable.Of(this);
}
