using Sparseland.Tensors;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Evaluation;

/// <summary>
/// A learned dictionary against a reference, length included: each reference atom with its own learned atom, so that the sum of mean absolute
/// errors is least. Where <see cref="DictionaryMatch"/> compares directions, this compares the atoms themselves.
/// </summary>
/// <param name="Assignment">For each reference atom the index of its learned atom.</param>
/// <param name="Error">For each reference atom the mean absolute difference of its entries to those of its learned atom.</param>
/// <param name="Sign">1, or -1 where the learned atom was turned around.</param>
public sealed record DictionaryError(int[] Assignment, double[] Error, int[] Sign)
{
    /// <summary>Mean of <see cref="Error"/>.</summary>
    public double Mean => Error.Average();

    /// <summary>Largest of <see cref="Error"/>.</summary>
    public double Largest => Error.Max();

    /// <summary>Matches two dictionaries.</summary>
    /// <param name="reference">[atoms, features], float32 or float64.</param>
    /// <param name="learned">[as many atoms or more, features].</param>
    /// <param name="eitherSign">Whether a learned atom may be turned around: for models that leave its sign open. Default false.</param>
    /// <exception cref="ArgumentException">Wrong shapes or types, or a value that is not finite.</exception>
    public static DictionaryError Of(Tensor reference, Tensor learned, bool eitherSign = false)
    {
        using DisposeScope scope = NewDisposeScope();
        Tensor a = Checked(reference, nameof(reference)), b = Checked(learned, nameof(learned));
        if (a.shape[1] != b.shape[1])
            throw new ArgumentException($"The learned atoms have {b.shape[1]} features, the reference atoms {a.shape[1]}.", nameof(learned));
        if (b.shape[0] < a.shape[0])
            throw new ArgumentException($"There are {b.shape[0]} learned atoms for {a.shape[0]} reference atoms; there must be at least as many.", nameof(learned));
        int rows = (int)a.shape[0], columns = (int)b.shape[0];
        double[] same = Distances(a, b), turned = eitherSign ? Distances(a, -b) : same;
        double[] cost = [.. same.Zip(turned, Math.Min)];
        int[] assignment = LinearAssignment.Solve(cost, rows, columns);
        int At(int row) => (row * columns) + assignment[row];
        return new(
            assignment, [.. Enumerable.Range(0, rows).Select(row => cost[At(row)])],
            [.. Enumerable.Range(0, rows).Select(row => turned[At(row)] < same[At(row)] ? -1 : 1)]);
    }

    private static double[] Distances(Tensor a, Tensor b) => [.. (a.unsqueeze(1) - b.unsqueeze(0)).abs().mean([2L]).contiguous().data<double>()];

    private static Tensor Checked(Tensor dictionary, string name)
    {
        ArgumentNullException.ThrowIfNull(dictionary, name);
        if (dictionary.dim() != 2 || dictionary.numel() == 0)
            throw new ArgumentException($"A dictionary is [atoms, features], not [{string.Join(", ", dictionary.shape)}].", name);
        if (dictionary.dtype is not (ScalarType.Float32 or ScalarType.Float64))
            throw new ArgumentException($"A dictionary is float32 or float64, not {dictionary.dtype}.", name);
        Tensor atoms = dictionary.detach().to(ScalarType.Float64).cpu();
        if (!TensorInput.IsFinite(atoms)) throw new ArgumentException($"{name} holds a value that is not finite.", name);
        return atoms;
    }

    /// <inheritdoc/>
    public override string ToString() => Readable.Of(this);
}
