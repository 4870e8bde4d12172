using System.Numerics.Tensors;
using System.Runtime.InteropServices;
using Sparseland.IO;
using Sparseland.Kernels;
using Sparseland.Tensors;
using TorchSharp;
using static TorchSharp.torch;
using Tensor = TorchSharp.torch.Tensor;

namespace Sparseland.Coding;

/// <summary>
/// Online dictionary learning (Mairal, Bach, Ponce and Sapiro 2010, algorithm 1 with mini-batches): codes of a mini-batch, the sums
/// A &lt;- beta A + sum a a^T and B &lt;- beta B + sum a x^T, and one pass of block coordinate descent over the atoms,
/// d_j &lt;- P(d_j + (b_j - D a_j)/A_jj) with P the projection on ||d|| &lt;= 1. Minimizes 1/2 ||x - a D||^2 + pen(a) over the stream, with the
/// codes of any <see cref="ISparseCoder"/>.
/// </summary>
/// <remarks>
/// beta = (theta + 1 - eta)/(theta + 1) with theta = t eta for t &lt; eta and eta^2 + t - eta after, t the number of the mini-batch from 1 and
/// eta its size. An atom with A_jj &lt; 1e-6 is replaced by the worst represented sample of the mini-batch, a duplicate too (looked for
/// every tenth mini-batch). The learner is its state: valid after every step, also after a cancelled one, which leaves it as it was;
/// <see cref="Save"/> and <see cref="Load"/> go on bit for bit.
/// </remarks>
public sealed class OnlineDictionaryLearner : IDisposable
{
    private const double LeastUse = 1e-6;
    private const int DuplicatesEvery = 10;
    private readonly NativeSize _size;
    private Tensor _codeSums;
    private Tensor _sampleSums;

    /// <summary>Starts from samples as atoms.</summary>
    /// <param name="X">Samples to take the first atoms from [samples, features], float64.</param>
    /// <param name="coder">Finds the codes.</param>
    /// <param name="options">Atoms, batch size, replacement, seed; null for the defaults of the record.</param>
    /// <exception cref="ArgumentException">X is not a matrix of finite float64 numbers, or an option is out of its range.</exception>
    public OnlineDictionaryLearner(Tensor X, ISparseCoder coder, LearnerOptions? options = null)
    {
        ArgumentNullException.ThrowIfNull(coder);
        (Coder, Options) = (coder, LearnerOptions.Checked(options));
        TensorInput.CheckMatrix(X, nameof(X), "[samples, features]");
        if (X.dtype != ScalarType.Float64) throw new ArgumentException($"X is {X.dtype}; dictionary learning works in Float64.", nameof(X));
        Dictionary = Atoms.FromSamples(X, Options.Atoms, Options.Seed).DetachFromDisposeScope();
        _codeSums = zeros([Options.Atoms, Options.Atoms], dtype: ScalarType.Float64).DetachFromDisposeScope();
        _sampleSums = zeros([Options.Atoms, X.shape[1]], dtype: ScalarType.Float64).DetachFromDisposeScope();
        _size = NativeSize.Of(Dictionary, _codeSums, _sampleSums);
    }

    private OnlineDictionaryLearner(ISparseCoder coder, LearnerOptions options, Tensor dictionary, Tensor codeSums, Tensor sampleSums, int batches)
        => (Coder, Options, Dictionary, _codeSums, _sampleSums, Batches, _size) =
            (coder, options, dictionary, codeSums, sampleSums, batches, NativeSize.Of(dictionary, codeSums, sampleSums));

    /// <summary>Finds the codes.</summary>
    public ISparseCoder Coder { get; }

    /// <summary>The options in use.</summary>
    public LearnerOptions Options { get; }

    /// <summary>D [atoms, features], norms at most 1. Owned by the learner, replaced by every step.</summary>
    public Tensor Dictionary { get; private set; }

    /// <summary>Mini-batches seen.</summary>
    public int Batches { get; private set; }

    /// <summary>One mini-batch of a stream.</summary>
    /// <param name="batch">[samples, features], float64; its number of samples is eta.</param>
    /// <param name="cancel">Leaves the learner as it was.</param>
    /// <exception cref="ArgumentException">Shapes, types or values do not fit.</exception>
    public LearningStep Step(Tensor batch, CancellationToken cancel = default)
    {
        CodingInput.Check(batch, Dictionary);
        using var scope = NewDisposeScope();
        double samples = batch.shape[0], t = Batches + 1.0;
        double theta = t < samples ? t * samples : samples * samples + t - samples, beta = (theta + 1 - samples) / (theta + 1);
        Tensor codes = Coder.Codes(batch, Dictionary, null, cancel).contiguous(), residual = batch.sub(SmallProduct.Multiply(codes, Dictionary));
        double error = residual.mul(residual).sum().item<double>();
        double objective = (error / 2 + Coder.PenaltyOf(codes)) / samples, active = (codes.numel() - MemoryMarshal.Cast<byte, double>(codes.bytes).Count(0)) / samples;
        Tensor codeSums = Scaled(_codeSums, beta), sampleSums = Scaled(_sampleSums, beta), next = Scaled(Dictionary, 1);
        Accumulate(codes, batch.contiguous(), codeSums, sampleSums);
        UpdateAtoms(next, codeSums, sampleSums);
        int replaced = Options.ReplaceAtoms ? Replace(next, codeSums, sampleSums, batch, residual) : 0;
        (Tensor d, Tensor a, Tensor b) = (Dictionary, _codeSums, _sampleSums);
        (Dictionary, _codeSums, _sampleSums) = (next.DetachFromDisposeScope(), codeSums.DetachFromDisposeScope(), sampleSums.DetachFromDisposeScope());
        d.Dispose();
        a.Dispose();
        b.Dispose();
        return new LearningStep(Batches++, objective, error / batch.numel(), active, replaced);
    }

    /// <summary>Epochs over given samples, each in a new order that follows from the seed.</summary>
    /// <param name="X">[samples, features], float64, the same in every call that goes on.</param>
    /// <param name="epochs">
    /// Epochs in all, those done before included: Fit(X, 5) after a Fit(X, 2) does three more, and after a cancelled Fit(X, 5) the rest.
    /// </param>
    /// <param name="progress">Mini-batches done.</param>
    /// <param name="cancel">Leaves the learner as the last whole mini-batch left it.</param>
    /// <returns>The steps of this call.</returns>
    /// <exception cref="ArgumentException">Shapes, types or values do not fit.</exception>
    public IReadOnlyList<LearningStep> Fit(Tensor X, int epochs, IProgress<ProgressReport>? progress = null, CancellationToken cancel = default)
    {
        CodingInput.Check(X, Dictionary);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(epochs);
        int samples = (int)X.shape[0], size = Math.Min(Options.BatchSize, samples), perEpoch = (samples + size - 1) / size, all = checked(epochs * perEpoch);
        var steps = new List<LearningStep>();
        for (int epoch = Batches / perEpoch; epoch < epochs; epoch++)
        {
            var random = new SeededRandom(Options.Seed, 200 + epoch);
            long[] order = random.Permutation<long>(samples);
            while (Batches / perEpoch == epoch)
            {
                cancel.ThrowIfCancellationRequested();
                int from = Batches % perEpoch * size;
                using Tensor rows = tensor(order[from..Math.Min(samples, from + size)]), batch = X.index_select(0, rows);
                steps.Add(Step(batch, cancel));
                progress?.Report(new ProgressReport(Batches, all, $"epoch {epoch + 1}, objective {steps[^1].Objective:G4}"));
            }
        }

        return steps;
    }

    /// <summary>Writes the whole state to a SafeTensors file.</summary>
    /// <param name="path">File to write.</param>
    public void Save(string path)
    {
        using Tensor batches = tensor(new long[] { Batches });
        SafeTensors.Save(path, new Dictionary<string, Tensor>
        {
            ["dictionary"] = Dictionary, ["code_sums"] = _codeSums, ["sample_sums"] = _sampleSums, ["batches"] = batches,
        });
    }

    /// <summary>A learner that goes on where a saved one stood.</summary>
    /// <param name="path">File written by <see cref="Save"/>.</param>
    /// <param name="coder">The same coder.</param>
    /// <param name="options">The same options, but for the number of atoms, which is the file's; null for the defaults of the record.</param>
    /// <exception cref="InvalidDataException">The file does not hold a learner's state.</exception>
    public static OnlineDictionaryLearner Load(string path, ISparseCoder coder, LearnerOptions? options = null)
    {
        ArgumentNullException.ThrowIfNull(coder);
        options = LearnerOptions.Checked(options);
        Dictionary<string, Tensor> state = SafeTensors.Load(path);
        using Tensor? batches = state.GetValueOrDefault("batches");
        Tensor? dictionary = state.GetValueOrDefault("dictionary"), a = state.GetValueOrDefault("code_sums"), b = state.GetValueOrDefault("sample_sums");
        bool fits = batches is { dtype: ScalarType.Int64 } && batches.numel() == 1
            && dictionary is { dtype: ScalarType.Float64 } && dictionary.dim() == 2 && a is { dtype: ScalarType.Float64 } && b is { dtype: ScalarType.Float64 }
            && a.shape.SequenceEqual([dictionary.shape[0], dictionary.shape[0]]) && b.shape.SequenceEqual(dictionary.shape);
        if (!fits)
        {
            foreach (Tensor tensor in state.Values) tensor.Dispose();
            throw new InvalidDataException($"{path} does not hold the state of an online dictionary learner (dictionary, code_sums, sample_sums, batches).");
        }

        int count = checked((int)batches!.item<long>());
        return new OnlineDictionaryLearner(coder, options with { Atoms = (int)dictionary!.shape[0] }, dictionary.DetachFromDisposeScope(), a!.DetachFromDisposeScope(), b!.DetachFromDisposeScope(), count);
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        Dictionary.Dispose();
        _codeSums.Dispose();
        _sampleSums.Dispose();
        _size.Dispose();
    }

    // On this thread: see SmallProduct for what libtorch's team of threads costs at this size.
    private static Tensor Scaled(Tensor values, double factor)
    {
        Tensor result = empty(values.shape, dtype: ScalarType.Float64);
        TensorPrimitives.Multiply(MemoryMarshal.Cast<byte, double>(values.bytes), factor, MemoryMarshal.Cast<byte, double>(result.bytes));
        return result;
    }

    /// <summary>A += sum a a^T, B += sum a x^T, by the few non-zeros of each code.</summary>
    private static void Accumulate(Tensor codes, Tensor batch, Tensor codeSums, Tensor sampleSums)
    {
        int samples = (int)codes.shape[0], atoms = (int)codes.shape[1], features = (int)batch.shape[1];
        ReadOnlySpan<double> a = TensorMemory.Read<double>(codes), x = TensorMemory.Read<double>(batch);
        Span<double> A = MemoryMarshal.Cast<byte, double>(codeSums.bytes), B = MemoryMarshal.Cast<byte, double>(sampleSums.bytes);
        int[] support = new int[atoms];
        for (int s = 0; s < samples; s++)
        {
            ReadOnlySpan<double> code = a.Slice(s * atoms, atoms), sample = x.Slice(s * features, features);
            int count = 0;
            for (int j = 0; j < atoms; j++)
            {
                if (code[j] != 0) support[count++] = j;
            }

            for (int i = 0; i < count; i++)
            {
                double value = code[support[i]];
                Span<double> row = A.Slice(support[i] * atoms, atoms), target = B.Slice(support[i] * features, features);
                for (int k = 0; k < count; k++) row[support[k]] += value * code[support[k]];
                TensorPrimitives.MultiplyAdd(sample, value, target, target);
            }
        }
    }

    /// <summary>One pass over the atoms. In blocks: the products with all atoms as they were at once, then what the block itself changed.</summary>
    private static void UpdateAtoms(Tensor dictionary, Tensor codeSums, Tensor sampleSums)
    {
        const int Block = 32;
        int atoms = (int)dictionary.shape[0], features = (int)dictionary.shape[1];
        Span<double> D = MemoryMarshal.Cast<byte, double>(dictionary.bytes);
        ReadOnlySpan<double> A = MemoryMarshal.Cast<byte, double>(codeSums.bytes);
        double[] change = new double[Block * features];
        for (int from = 0; from < atoms; from += Block)
        {
            int count = Math.Min(Block, atoms - from);
            using Tensor rows = codeSums.narrow(0, from, count), target = sampleSums.narrow(0, from, count);
            using Tensor product = SmallProduct.Multiply(rows, dictionary), gradient = target.sub(product);
            Span<double> g = MemoryMarshal.Cast<byte, double>(gradient.bytes);
            for (int j = 0; j < count; j++)
            {
                Span<double> atom = D.Slice((from + j) * features, features), delta = change.AsSpan(j * features, features);
                double use = A[(from + j) * atoms + from + j];
                delta.Clear();
                if (use < LeastUse) continue;
                Span<double> step = g.Slice(j * features, features);
                for (int i = 0; i < j; i++)
                    TensorPrimitives.MultiplyAdd(change.AsSpan(i * features, features), -A[(from + j) * atoms + from + i], step, step);
                atom.CopyTo(delta);
                TensorPrimitives.MultiplyAdd(step, 1 / use, atom, atom);
                double norm = TensorPrimitives.Norm<double>(atom);
                if (norm > 1) TensorPrimitives.Divide(atom, norm, atom);
                TensorPrimitives.Subtract(atom, delta, delta);
            }
        }
    }

    private int Replace(Tensor dictionary, Tensor codeSums, Tensor sampleSums, Tensor batch, Tensor residual)
    {
        double[] use = codeSums.diagonal().contiguous().data<double>().ToArray();
        bool duplicates = (Batches + 1) % DuplicatesEvery == 0;
        if (!duplicates && Array.TrueForAll(use, u => u >= LeastUse)) return 0;
        List<int> superfluous = Atoms.Superfluous(dictionary, use, LeastUse, duplicates ? Options.DuplicateCosine : 1);
        List<int> replaced = Atoms.Replace(dictionary, superfluous, batch, residual, Options.Seed, Batches);
        if (replaced.Count == 0) return 0;

        // What the old atom was used for says nothing about the new one.
        using Tensor gone = tensor(replaced.Select(j => (long)j).ToArray());
        codeSums.index_fill_(0, gone, 0);
        codeSums.index_fill_(1, gone, 0);
        sampleSums.index_fill_(0, gone, 0);
        return replaced.Count;
    }
}
