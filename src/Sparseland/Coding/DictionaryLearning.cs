using Sparseland.Tensors;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Coding;

/// <summary>Options of <see cref="AlternatingDictionaryLearner"/> and <see cref="OnlineDictionaryLearner"/>.</summary>
public sealed record LearnerOptions
{
    /// <summary>Number of atoms. Default 100.</summary>
    public int Atoms { get; init; } = 100;

    /// <summary>Samples of a mini-batch; used by the online learner only. Default 256.</summary>
    public int BatchSize { get; init; } = 256;

    /// <summary>Atoms with |d_i^T d_j| above this are duplicates: the less used one is replaced. Default 0.99; 1 keeps duplicates.</summary>
    public double DuplicateCosine { get; init; } = 0.99;

    /// <summary>Whether unused and duplicated atoms are replaced by the worst represented sample plus 1 % noise. Default true.</summary>
    public bool ReplaceAtoms { get; init; } = true;

    /// <summary>Seed of the first dictionary, of the order of the samples and of the replacements. Default 0.</summary>
    public int Seed { get; init; }

    internal static LearnerOptions Checked(LearnerOptions? options)
    {
        options ??= new LearnerOptions();
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(options.Atoms, nameof(Atoms));
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(options.BatchSize, nameof(BatchSize));
        if (options.DuplicateCosine is not (> 0 and <= 1))
            throw new ArgumentOutOfRangeException(nameof(DuplicateCosine), options.DuplicateCosine, "DuplicateCosine must lie in (0, 1].");
        return options;
    }
}

/// <summary>One iteration or mini-batch of dictionary learning.</summary>
/// <param name="Step">Number, from 0.</param>
/// <param name="Objective">1/2 ||X - A D||^2 + pen(A) per sample, of the codes and the dictionary they were found with.</param>
/// <param name="MeanSquaredError">Per entry of X, before the dictionary is updated.</param>
/// <param name="ActiveUnits">Non-zero coefficients per sample.</param>
/// <param name="Replaced">Atoms replaced after the update.</param>
public sealed record LearningStep(int Step, double Objective, double MeanSquaredError, double ActiveUnits, int Replaced);

/// <summary>First dictionaries and replacements of atoms that nothing uses.</summary>
internal static class Atoms
{
    private const double Noise = 0.01;

    /// <summary>Distinct samples as unit atoms; Gaussian directions where there are too few samples that are not zero.</summary>
    public static Tensor FromSamples(Tensor X, int atoms, int seed)
    {
        using var scope = NewDisposeScope();
        Tensor norms = X.norm(1).to(ScalarType.Float64);
        double[] sizes = norms.data<double>().ToArray();
        var random = new SeededRandom(seed, 101);
        int[] usable = [.. Enumerable.Range(0, sizes.Length).Where(i => sizes[i] > 0)];
        random.Shuffle(usable.AsSpan());
        int taken = Math.Min(atoms, usable.Length), features = (int)X.shape[1];
        double[] rest = new double[(atoms - taken) * features];
        for (int i = 0; i < rest.Length; i++) rest[i] = random.NextGaussian();
        var parts = new List<Tensor>();
        if (taken > 0) parts.Add(X.index_select(0, tensor(usable[..taken].Select(i => (long)i).ToArray())));
        if (taken < atoms) parts.Add(tensor(rest, [atoms - taken, features]).to(X.dtype));
        return CodingInput.UnitRows(cat(parts, 0)).MoveToOuterDisposeScope();
    }

    /// <summary>Which atoms nothing uses or that copy a more used one.</summary>
    /// <param name="dictionary">[atoms, features].</param>
    /// <param name="use">How much each atom is used.</param>
    /// <param name="least">Atoms used less than this count as unused.</param>
    /// <param name="duplicateCosine">See <see cref="LearnerOptions.DuplicateCosine"/>.</param>
    public static List<int> Superfluous(Tensor dictionary, double[] use, double least, double duplicateCosine)
    {
        var found = new List<int>();
        int atoms = use.Length;
        using var scope = NewDisposeScope();
        bool[] gone = new bool[atoms];
        for (int j = 0; j < atoms; j++) gone[j] = !(use[j] >= least);
        if (duplicateCosine < 1)
        {
            Tensor unit = dictionary.div(dictionary.norm(1, keepdim: true).clamp(1e-12));
            double[] gram = unit.mm(unit.t()).to(ScalarType.Float64).contiguous().data<double>().ToArray();
            for (int i = 0; i < atoms; i++)
            {
                for (int j = i + 1; j < atoms; j++)
                {
                    if (!gone[i] && !gone[j] && Math.Abs(gram[i * atoms + j]) > duplicateCosine) gone[use[i] < use[j] ? i : j] = true;
                }
            }
        }

        for (int j = 0; j < atoms; j++)
        {
            if (gone[j]) found.Add(j);
        }

        return found;
    }

    /// <summary>
    /// Replaces atoms in place by the samples that are represented worst, each plus 1 % noise. Returns those replaced: no more than
    /// samples that are not represented exactly.
    /// </summary>
    public static List<int> Replace(Tensor dictionary, List<int> atoms, Tensor X, Tensor residual, int seed, int step)
    {
        var replaced = new List<int>();
        if (atoms.Count == 0) return replaced;
        using var scope = NewDisposeScope();
        double[] errors = residual.mul(residual).sum(1).to(ScalarType.Float64).data<double>().ToArray();
        int[] worst = [.. Enumerable.Range(0, errors.Length)];
        Array.Sort(worst, (i, j) => errors[j].CompareTo(errors[i]) is not 0 and int by ? by : i.CompareTo(j));
        int count = 0, features = (int)X.shape[1];
        while (count < Math.Min(atoms.Count, worst.Length) && errors[worst[count]] > 0) count++;
        if (count == 0) return replaced;
        Tensor samples = X.index_select(0, tensor(worst[..count].Select(i => (long)i).ToArray()));
        double[] noise = new double[count * features];
        var random = new SeededRandom(seed, 1_000 + step);
        for (int i = 0; i < noise.Length; i++) noise[i] = Noise * random.NextGaussian() / Math.Sqrt(features);
        Tensor rows = CodingInput.UnitRows(CodingInput.UnitRows(samples).add(tensor(noise, [count, features]).to(X.dtype)));
        dictionary.index_copy_(0, tensor(atoms.Take(count).Select(j => (long)j).ToArray()), rows);
        replaced.AddRange(atoms.Take(count));
        return replaced;
    }
}
