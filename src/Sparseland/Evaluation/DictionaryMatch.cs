using Sparseland.Tensors;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Evaluation;

/// <summary>
/// A learned dictionary against a reference: each reference atom with its own learned atom, so that the sum of
/// |cosine| over pairs is greatest. Order, sign and length of atoms do not count.
/// </summary>
/// <param name="Assignment">For each reference atom the index of its learned atom; -1 where there are fewer learned atoms.</param>
/// <param name="Cosine">For each reference atom the signed cosine with its learned atom; 0 where there is none.</param>
public sealed record DictionaryMatch(int[] Assignment, double[] Cosine)
{
    /// <summary>Mean of 1 - |cosine| over the reference atoms: 0 when all are found, near 1 when none is.</summary>
    public double Distance => 1 - Cosine.Average(Math.Abs);

    /// <summary>Share of reference atoms found, in the sense of a |cosine| of at least a threshold.</summary>
    /// <param name="threshold">From 0 to 1; 0.99 is usual (Aharon, Elad and Bruckstein 2006). Default 0.99.</param>
    /// <exception cref="ArgumentOutOfRangeException">The threshold is not between 0 and 1.</exception>
    public double Recovered(double threshold = 0.99)
    {
        if (!(threshold is >= 0 and <= 1))
            throw new ArgumentOutOfRangeException(nameof(threshold), threshold, "A threshold on |cosine| lies between 0 and 1.");
        return Cosine.Average(c => Math.Abs(c) >= threshold ? 1.0 : 0.0);
    }

    /// <summary>Matches two dictionaries.</summary>
    /// <param name="reference">[atoms, features], float32 or float64.</param>
    /// <param name="learned">[other atoms, features]; the number of atoms may differ.</param>
    /// <exception cref="ArgumentException">Wrong shapes or types, an atom that is zero, or a value that is not finite.</exception>
    public static DictionaryMatch Of(Tensor reference, Tensor learned)
    {
        using DisposeScope scope = NewDisposeScope();
        Tensor a = UnitAtoms(reference, nameof(reference)), b = UnitAtoms(learned, nameof(learned));
        if (a.shape[1] != b.shape[1])
            throw new ArgumentException($"The learned atoms have {b.shape[1]} features, the reference atoms {a.shape[1]}.", nameof(learned));
        int rows = (int)a.shape[0], columns = (int)b.shape[0];
        double[] cosine = [.. a.mm(b.t()).contiguous().data<double>()];
        int[] assignment = LinearAssignment.Solve(Array.ConvertAll(cosine, c => -Math.Abs(c)), rows, columns);
        return new DictionaryMatch(assignment, [.. assignment.Select((column, row) => column < 0 ? 0 : cosine[(row * columns) + column])]);
    }

    private static Tensor UnitAtoms(Tensor dictionary, string name)
    {
        ArgumentNullException.ThrowIfNull(dictionary, name);
        if (dictionary.dim() != 2 || dictionary.shape[0] < 1 || dictionary.shape[1] < 1)
            throw new ArgumentException($"A dictionary is [atoms, features], not [{string.Join(", ", dictionary.shape)}].", name);
        if (dictionary.dtype is not (ScalarType.Float32 or ScalarType.Float64))
            throw new ArgumentException($"A dictionary is float32 or float64, not {dictionary.dtype}.", name);
        Tensor atoms = dictionary.detach().to(ScalarType.Float64).cpu();
        // Scaled by the largest entry first, so that no square under- or overflows.
        Tensor largest = atoms.abs().amax([1], keepdim: true);
        Tensor bad = isfinite(atoms).all(1).logical_not() | largest.squeeze(1).eq(0);
        if (bad.any().item<bool>())
            throw new ArgumentException($"Atom {bad.to(ScalarType.Int32).argmax().item<long>()} is zero or not finite and has no direction.", name);
        Tensor scaled = atoms / largest;
        return scaled / scaled.square().sum([1], keepdim: true).sqrt();
    }

    /// <inheritdoc/>
    public override string ToString() => Readable.Of(this);
}
