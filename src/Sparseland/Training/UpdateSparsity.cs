using Sparseland.Tensors;
using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Sparseland.Training;

/// <summary>How much of a parameter a training changed.</summary>
/// <param name="Name">Name of the parameter, or of a layer.</param>
/// <param name="Changed">Numbers that differ.</param>
/// <param name="Size">All its numbers.</param>
public sealed record UpdateShare(string Name, long Changed, long Size)
{
    /// <summary>1 - changed / all.</summary>
    public double Sparsity => 1 - ((double)Changed / Size);
}

/// <summary>
/// Update sparsity (Mukherjee et al. 2025, arXiv 2505.11711): the share of a network's parameters that a training left as they were,
/// S = 1 - |{i : theta1_i != theta0_i}| / n, read in a stated number format. Tied parameters count once; norms and biases count.
/// </summary>
public sealed class UpdateSparsity : IDisposable
{
    private UpdateSparsity(MaskSet changed, IReadOnlyList<UpdateShare> parameters) => (Changed, Parameters) = (changed, parameters);

    /// <summary>True where a parameter changed; belongs to this.</summary>
    public MaskSet Changed { get; }

    /// <summary>Every parameter, in the order of the network.</summary>
    public IReadOnlyList<UpdateShare> Parameters { get; }

    /// <summary>The whole network.</summary>
    public UpdateShare Whole => new("all", Parameters.Sum(p => p.Changed), Parameters.Sum(p => p.Size));

    /// <summary>S of the whole network.</summary>
    public double Sparsity => Whole.Sparsity;

    /// <summary>Compares two networks of one structure.</summary>
    /// <param name="before">The network before training.</param>
    /// <param name="after">The network after it; its parameters must be trainable.</param>
    /// <param name="compareAs">Type that both are rounded to first; null, the default, where all parameters have the same type in both.</param>
    /// <param name="tolerance">Differences up to it count as unchanged. Default 0.</param>
    /// <returns>Dispose it.</returns>
    /// <exception cref="ArgumentException">
    /// Other parameters, types that differ while no type to compare in is given, a number that is not finite, or a tolerance out of range.
    /// </exception>
    public static UpdateSparsity Of(nn.Module before, nn.Module after, ScalarType? compareAs = null, double tolerance = 0)
    {
        (string Name, Parameter Before, Parameter After)[] pairs = ParameterPairs.Of(before, after);
        Finite.NotNegative(tolerance);
        if (compareAs is not (null or ScalarType.BFloat16 or ScalarType.Float16 or ScalarType.Float32 or ScalarType.Float64))
            throw new ArgumentException($"compareAs is {compareAs}; it must be a floating-point type.", nameof(compareAs));
        if (compareAs is null && pairs.FirstOrDefault(p => p.Before.dtype != p.After.dtype) is { Name: not null } mixed)
            throw new ArgumentException($"{mixed.Name} is {mixed.Before.dtype} before and {mixed.After.dtype} after; say in compareAs which type counts.", nameof(compareAs));
        using IDisposable off = no_grad();
        using DisposeScope scope = NewDisposeScope();
        MaskSet changed = MaskSet.Of(after, pairs.ToDictionary(p => p.Name, p => Differ(p.Name, p.Before, p.After, compareAs, tolerance)));
        return new(changed, [.. pairs.Select(p => new UpdateShare(p.Name, changed.ActiveOf(p.Name), p.After.numel()))]);
    }

    /// <summary>The parameters of a numbered part together ("model.layers.2"), those outside alone.</summary>
    public IReadOnlyList<UpdateShare> ByLayer() =>
        [.. Parameters.GroupBy(p => LayerOf(p.Name), StringComparer.Ordinal).Select(g => new UpdateShare(g.Key, g.Sum(p => p.Changed), g.Sum(p => p.Size)))];

    /// <summary>Frees the masks.</summary>
    public void Dispose() => Changed.Dispose();

    /// <inheritdoc/>
    public override string ToString() => FormattableString.Invariant($"update sparsity {Sparsity:0.0000}: {Whole.Changed} of {Whole.Size} parameters changed");

    private static Tensor Differ(string name, Tensor before, Tensor after, ScalarType? compareAs, double tolerance)
    {
        using DisposeScope scope = NewDisposeScope();
        if (!TensorInput.IsFinite(before) || !TensorInput.IsFinite(after)) throw new ArgumentException($"{name} holds a number that is not finite.", nameof(after));
        (Tensor a, Tensor b) = compareAs is { } type ? (before.to(type), after.to(type)) : (before, after);
        if (!TensorInput.IsFinite(a) || !TensorInput.IsFinite(b)) throw new ArgumentException($"{name} holds a number that {a.dtype} has not.", nameof(after));
        return (tolerance == 0 ? a.ne(b) : a.to(ScalarType.Float64).sub(b.to(ScalarType.Float64)).abs().gt(tolerance)).MoveToOuterDisposeScope();
    }

    private static string LayerOf(string name)
    {
        string[] parts = name.Split('.');
        int number = Array.FindIndex(parts, part => part.All(char.IsAsciiDigit));
        return number < 0 ? name : string.Join('.', parts[..(number + 1)]);
    }
}
