using Sparseland.Tensors;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Autoencoders.Metrics;

/// <summary>A probe's figure on the test part.</summary>
/// <param name="Columns">The latents or coordinates that it reads, largest difference of class means first; empty for the full probe, which reads all.</param>
/// <param name="BalancedAccuracy">Mean of the shares found right in the two classes; a half is chance.</param>
/// <param name="StandardError">Its binomial standard error over test tokens, as if tokens were independent.</param>
public sealed record ProbeScore(int[] Columns, double BalancedAccuracy, double StandardError)
{
    /// <inheritdoc/>
    public override string ToString() => Readable.Of(this);
}

/// <summary>
/// Sparse probing (Gurnee et al. 2023; Karvonen et al. 2025): can a labelled concept be read from k latents? The k with the largest difference of class means
/// on the training part are chosen, a logistic regression on their codes is fitted there, and judged by balanced accuracy on the test part. Controls:
/// as many raw coordinates of the activations chosen alike, and a logistic regression on all of them.
/// </summary>
/// <remarks>Nothing of the test part enters the choice or the fit. Class weights are balanced and the penalty is half the squared norm of the weights of standardised columns.</remarks>
public sealed record SparseProbe
{
    private SparseProbe()
    {
    }

    /// <summary>Tokens of the training part.</summary>
    public required int TrainTokens { get; init; }

    /// <summary>Tokens of the test part.</summary>
    public required int TestTokens { get; init; }

    /// <summary>Test tokens that have the concept.</summary>
    public required int TestPositives { get; init; }

    /// <summary>Numbers of columns that were tried.</summary>
    public required int[] Counts { get; init; }

    /// <summary>Probe on latents, for each count.</summary>
    public required ProbeScore[] Latents { get; init; }

    /// <summary>Probe on raw coordinates, for each count.</summary>
    public required ProbeScore[] Coordinates { get; init; }

    /// <summary>Probe on the whole activation.</summary>
    public required ProbeScore Full { get; init; }

    /// <summary>Probes one concept.</summary>
    /// <param name="autoencoder">The autoencoder.</param>
    /// <param name="train">Activations of the training part [tokens, d].</param>
    /// <param name="trainLabels">Whether each has the concept.</param>
    /// <param name="test">Activations of the test part [tokens, d], of other texts.</param>
    /// <param name="testLabels">Whether each has the concept.</param>
    /// <param name="counts">Numbers of latents, each from 1 to the width; 1, 2 and 5 where null, the default.</param>
    /// <param name="progress">Probes done; null, the default, for none.</param>
    /// <param name="cancel">Stops the call. Never by default.</param>
    /// <exception cref="ArgumentException">Widths or numbers of labels do not fit, a part is not finite or lacks one of the classes, or a count is out of its range.</exception>
    /// <exception cref="OperationCanceledException">Cancelled.</exception>
    public static SparseProbe Of(
        SparseAutoencoder autoencoder, Tensor train, IReadOnlyList<bool> trainLabels, Tensor test, IReadOnlyList<bool> testLabels, IReadOnlyList<int>? counts = null,
        IProgress<ProgressReport>? progress = null, CancellationToken cancel = default)
    {
        ArgumentNullException.ThrowIfNull(autoencoder);
        bool[] learned = Labels(autoencoder, train, trainLabels, nameof(train), nameof(trainLabels)), judged = Labels(autoencoder, test, testLabels, nameof(test), nameof(testLabels));
        int[] ks = [.. counts ?? [1, 2, 5]];
        int most = Math.Min(autoencoder.Latents, autoencoder.Width);
        if (ks.Length == 0) throw new ArgumentException("counts is empty.", nameof(counts));
        int wrong = Array.FindIndex(ks, k => k < 1 || k > most);
        if (wrong >= 0) throw new ArgumentException($"counts[{wrong}] is {ks[wrong]}; it must be from 1 to {most}, the number of coordinates or latents.", nameof(counts));

        using IDisposable off = no_grad();
        using DisposeScope scope = NewDisposeScope();
        int largest = ks.Max(), total = (2 * ks.Length) + 1, done = 0;
        double[] sums = new double[2L * autoencoder.Latents];
        CodeStream.Each(autoencoder, train, nameof(train), cancel, (_, code, first) => AddClassSums(code, first, learned, sums));
        int[] latents = Largest(Differences(sums, learned), largest);
        Tensor raw = train.to(ScalarType.Float64), rawTest = test.to(ScalarType.Float64);
        int[] coordinates = Largest(MeanDifferences(raw, learned), largest);
        Tensor codes = Codes(autoencoder, train, nameof(train), latents, cancel), codesTest = Codes(autoencoder, test, nameof(test), latents, cancel);
        ProbeScore[] OfColumns(int[] chosen, Tensor from, Tensor fromTest) => [.. ks.Select(k => Probe(chosen[..k], from.narrow(1, 0, k), fromTest.narrow(1, 0, k)))];
        ProbeScore Probe(int[] chosen, Tensor from, Tensor fromTest)
        {
            using DisposeScope inner = NewDisposeScope();
            bool[] said = BalancedLogistic.Fit(from, learned, cancel).Predict(fromTest);
            progress?.Report(new(++done, total, "probing"));
            return Score(chosen, said, judged);
        }

        Tensor places = tensor(coordinates, dtype: ScalarType.Int64);
        return new()
        {
            TrainTokens = learned.Length, TestTokens = judged.Length, TestPositives = judged.Count(y => y), Counts = ks,
            Latents = OfColumns(latents, codes, codesTest),
            Coordinates = OfColumns(coordinates, raw.index_select(1, places), rawTest.index_select(1, places)),
            Full = Probe([], raw, rawTest),
        };
    }

    /// <inheritdoc/>
    public override string ToString() => Readable.Of(this);

    private static bool[] Labels(SparseAutoencoder autoencoder, Tensor x, IReadOnlyList<bool> labels, string name, string labelsName)
    {
        TensorInput.CheckMatrix(x, name, "[tokens, d]");
        CodeStream.CheckWidth(autoencoder, x.shape[1], name, name);
        ArgumentNullException.ThrowIfNull(labels, labelsName);
        if (labels.Count != x.shape[0]) throw new ArgumentException($"{labelsName} are {labels.Count}, but {name} has {x.shape[0]} tokens.", labelsName);
        int positives = labels.Count(y => y);
        return positives > 0 && positives < labels.Count
            ? [.. labels]
            : throw new ArgumentException($"{positives} of the {labels.Count} {labelsName} are true; both classes must be there.", labelsName);
    }

    // Sums of each latent over the tokens without (first half) and with the concept.
    private static void AddClassSums(SparseCode code, long first, bool[] labels, double[] sums)
    {
        double[] values = code.Values.to(ScalarType.Float64).data<double>().ToArray();
        ReadOnlySpan<int> offsets = code.Support.RowOffsets, columns = code.Support.ColumnIndices;
        for (int row = 0; row < code.Tokens; row++)
        {
            int part = labels[first + row] ? code.Latents : 0;
            for (int n = offsets[row]; n < offsets[row + 1]; n++) sums[part + columns[n]] += values[n];
        }
    }

    private static double[] Differences(double[] sums, bool[] labels)
    {
        int n = sums.Length / 2, positives = labels.Count(y => y);
        return [.. Enumerable.Range(0, n).Select(i => Math.Abs((sums[n + i] / positives) - (sums[i] / (labels.Length - positives))))];
    }

    private static double[] MeanDifferences(Tensor x, bool[] labels)
    {
        Tensor has = tensor(labels);
        return (x[has].mean([0L]) - x[has.logical_not()].mean([0L])).abs().data<double>().ToArray();
    }

    // Ties go to the lower number.
    private static int[] Largest(double[] scores, int k) => [.. Enumerable.Range(0, scores.Length).OrderByDescending(i => scores[i]).Take(k)];

    private static Tensor Codes(SparseAutoencoder autoencoder, Tensor x, string name, int[] latents, CancellationToken cancel)
    {
        int[] place = new int[autoencoder.Latents];
        Array.Fill(place, -1);
        for (int k = 0; k < latents.Length; k++) place[latents[k]] = k;
        double[,] codes = new double[x.shape[0], latents.Length];
        CodeStream.Each(autoencoder, x, name, cancel, (_, code, first) =>
        {
            double[] values = code.Values.to(ScalarType.Float64).data<double>().ToArray();
            ReadOnlySpan<int> offsets = code.Support.RowOffsets, columns = code.Support.ColumnIndices;
            for (int row = 0; row < code.Tokens; row++)
            {
                for (int n = offsets[row]; n < offsets[row + 1]; n++)
                {
                    if (place[columns[n]] >= 0) codes[first + row, place[columns[n]]] = values[n];
                }
            }
        });
        return tensor(codes);
    }

    private static ProbeScore Score(int[] columns, bool[] said, bool[] truth)
    {
        double accuracy = 0, variance = 0;
        foreach (bool label in (bool[])[false, true])
        {
            int all = truth.Count(y => y == label), right = truth.Zip(said).Count(p => p.First == label && p.Second == label);
            double share = (double)right / all;
            (accuracy, variance) = (accuracy + (share / 2), variance + (share * (1 - share) / all / 4));
        }

        return new(columns, accuracy, Math.Sqrt(variance));
    }
}
