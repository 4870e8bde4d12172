using Sparseland.Tensors;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Coding;

/// <summary>How the dictionary follows the codes.</summary>
public enum DictionaryUpdate
{
    /// <summary><see cref="Mod"/>: the least-squares dictionary.</summary>
    Mod,

    /// <summary><see cref="KSvd"/> with singular value decompositions.</summary>
    KSvd,

    /// <summary><see cref="KSvd"/> with one power step per atom.</summary>
    ApproximateKSvd,
}

/// <summary>
/// Dictionary learning on all samples at once: codes for the dictionary, then the dictionary for the codes, in turns. Minimizes
/// 1/2 ||X - A D||^2 + pen(A) over unit atoms, with the codes of any <see cref="ISparseCoder"/>; with <see cref="OmpCoder"/> pen is the
/// constraint of k atoms per sample, the setting of the K-SVD paper.
/// </summary>
/// <remarks>
/// The learner is its state: <see cref="Dictionary"/> and <see cref="Iterations"/> are valid after every step, also after a cancelled
/// one, which leaves them as they were. A new learner with the same options and a saved dictionary goes on exactly as the old one.
/// </remarks>
public sealed class AlternatingDictionaryLearner : IDisposable
{
    private readonly DictionaryUpdate _update;
    private readonly NativeSize _size = NativeSize.Of();

    /// <summary>Starts from samples as atoms.</summary>
    /// <param name="X">Training samples [samples, features], float64.</param>
    /// <param name="coder">Finds the codes.</param>
    /// <param name="update">Finds the dictionary. Default KSvd.</param>
    /// <param name="options">Atoms, replacement, seed; null for the defaults of the record.</param>
    /// <exception cref="ArgumentException">X is not a matrix of finite float64 numbers, or an option is out of its range.</exception>
    public AlternatingDictionaryLearner(Tensor X, ISparseCoder coder, DictionaryUpdate update = DictionaryUpdate.KSvd, LearnerOptions? options = null)
        : this(coder, update, options)
    {
        TensorInput.CheckMatrix(X, nameof(X), "[samples, features]");
        if (X.dtype != ScalarType.Float64) throw new ArgumentException($"X is {X.dtype}; dictionary learning works in Float64.", nameof(X));
        Dictionary = Atoms.FromSamples(X, Options.Atoms, Options.Seed).DetachFromDisposeScope();
        _size = NativeSize.Of(Dictionary);
    }

    /// <summary>Goes on from a dictionary.</summary>
    /// <param name="dictionary">[atoms, features], float64; copied.</param>
    /// <param name="iterations">Iterations that led to it: the noise of replacements follows their number.</param>
    /// <param name="coder">Finds the codes.</param>
    /// <param name="update">Finds the dictionary.</param>
    /// <param name="options">Replacement, seed.</param>
    /// <exception cref="ArgumentException">The dictionary is not a float64 matrix without zero atoms, or an option is out of its range.</exception>
    public AlternatingDictionaryLearner(Tensor dictionary, int iterations, ISparseCoder coder, DictionaryUpdate update = DictionaryUpdate.KSvd, LearnerOptions? options = null)
        : this(coder, update, options)
    {
        CodingInput.CheckDictionary(dictionary);
        if (dictionary.dtype != ScalarType.Float64) throw new ArgumentException($"The dictionary is {dictionary.dtype}; dictionary learning works in Float64.", nameof(dictionary));
        ArgumentOutOfRangeException.ThrowIfNegative(iterations);
        Options = Options with { Atoms = (int)dictionary.shape[0] };
        Iterations = iterations;
        using Tensor rows = dictionary.contiguous();
        Dictionary = rows.clone().DetachFromDisposeScope();
        _size = NativeSize.Of(Dictionary);
    }

    private AlternatingDictionaryLearner(ISparseCoder coder, DictionaryUpdate update, LearnerOptions? options)
    {
        ArgumentNullException.ThrowIfNull(coder);
        if (!Enum.IsDefined(update)) throw new ArgumentOutOfRangeException(nameof(update), update, "No such update.");
        (Coder, _update, Options) = (coder, update, LearnerOptions.Checked(options));
        Dictionary = null!;
    }

    /// <summary>Finds the codes.</summary>
    public ISparseCoder Coder { get; }

    /// <summary>The options in use.</summary>
    public LearnerOptions Options { get; }

    /// <summary>D [atoms, features], unit atoms. Owned by the learner, replaced by every step.</summary>
    public Tensor Dictionary { get; private set; }

    /// <summary>Iterations done.</summary>
    public int Iterations { get; private set; }

    /// <summary>One iteration: codes, dictionary, replacement of unused and duplicated atoms.</summary>
    /// <param name="X">[samples, features], float64.</param>
    /// <param name="cancel">Leaves the learner as it was.</param>
    /// <exception cref="ArgumentException">Shapes, types or values do not fit.</exception>
    public LearningStep Step(Tensor X, CancellationToken cancel = default)
    {
        CodingInput.Check(X, Dictionary);
        using var scope = NewDisposeScope();
        Tensor codes = Coder.Codes(X, Dictionary, null, cancel), residual = X.sub(codes.mm(Dictionary));
        double error = residual.mul(residual).sum().item<double>(), samples = X.shape[0];
        double objective = (error / 2 + Coder.PenaltyOf(codes)) / samples, active = codes.count_nonzero().item<long>() / samples;
        Tensor next;
        if (_update == DictionaryUpdate.Mod)
        {
            next = Mod.Update(X, codes, Dictionary);
        }
        else
        {
            next = Dictionary.clone();
            KSvd.Sweep(X, codes, next, _update == DictionaryUpdate.ApproximateKSvd, cancel);
        }

        int replaced = 0;
        if (Options.ReplaceAtoms)
        {
            double[] use = codes.ne(0).to(ScalarType.Float64).sum([0L]).data<double>().ToArray();
            List<int> superfluous = Atoms.Superfluous(next, use, 1, Options.DuplicateCosine);
            if (superfluous.Count > 0) replaced = Atoms.Replace(next, superfluous, X, X.sub(codes.mm(next)), Options.Seed, Iterations).Count;
        }

        Tensor old = Dictionary;
        Dictionary = next.DetachFromDisposeScope();
        old.Dispose();
        return new LearningStep(Iterations++, objective, error / X.numel(), active, replaced);
    }

    /// <summary>Some more iterations.</summary>
    /// <param name="X">[samples, features], float64.</param>
    /// <param name="iterations">How many.</param>
    /// <param name="progress">Iterations done.</param>
    /// <param name="cancel">Leaves the learner as the last whole iteration left it.</param>
    /// <exception cref="ArgumentException">Shapes, types or values do not fit.</exception>
    public IReadOnlyList<LearningStep> Fit(Tensor X, int iterations, IProgress<ProgressReport>? progress = null, CancellationToken cancel = default)
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(iterations);
        var steps = new List<LearningStep>();
        for (int i = 0; i < iterations; i++)
        {
            cancel.ThrowIfCancellationRequested();
            steps.Add(Step(X, cancel));
            progress?.Report(new ProgressReport(i + 1, iterations, $"objective {steps[^1].Objective:G4}"));
        }

        return steps;
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        Dictionary.Dispose();
        _size.Dispose();
    }
}
