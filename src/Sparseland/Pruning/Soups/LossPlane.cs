using Sparseland.Data;
using Sparseland.Tensors;
using Sparseland.Training;
using static TorchSharp.torch;

namespace Sparseland.Pruning.Soups;

/// <summary>Loss and accuracy along the plane through three networks, batch norm recalibrated at every point.</summary>
/// <param name="X">Coordinate along the line from the first to the second network, in units of the parameters' distance; ascending.</param>
/// <param name="Y">Coordinate at a right angle to it, towards the third network; ascending.</param>
/// <param name="Loss">Mean cross entropy in nats [Y, X].</param>
/// <param name="Accuracy">Share classified right [Y, X].</param>
/// <param name="Corners">Places (x, y) of the three networks and of their mean.</param>
public sealed record LossPlane(double[] X, double[] Y, double[,] Loss, double[,] Accuracy, IReadOnlyList<(double X, double Y)> Corners)
{
    /// <summary>Evaluates a grid over the triangle and a margin around it.</summary>
    /// <param name="networks">Three of one make.</param>
    /// <param name="workbench">A network of the same make; its weights are overwritten.</param>
    /// <param name="train">Training images, for batch norm.</param>
    /// <param name="set">Images on which it is evaluated.</param>
    /// <param name="points">Points along each side, at least 2. Default 11.</param>
    /// <param name="margin">Margin around the triangle as a share of its sides, not negative. Default 0.3.</param>
    /// <param name="progress">Reported after each point.</param>
    /// <param name="cancel">Checked before each point.</param>
    /// <exception cref="ArgumentException">Not three networks, networks of different make or on one line, or a number out of range.</exception>
    public static LossPlane Of(
        IReadOnlyList<SparseSnapshot> networks, nn.Module<Tensor, Tensor> workbench, LabelledImages train, LabelledImages set, int points = 11, double margin = 0.3,
        IProgress<ProgressReport>? progress = null, CancellationToken cancel = default)
    {
        ArgumentNullException.ThrowIfNull(networks);
        ArgumentOutOfRangeException.ThrowIfLessThan(points, 2);
        Finite.NotNegative(margin);
        if (networks.Count != 3) throw new ArgumentException($"There are {networks.Count} networks; a plane goes through three.", nameof(networks));
        SparseSnapshot.CheckAlike(networks, nameof(networks));
        double ab = ModelDistance.L2(networks[0], networks[1]), ac = ModelDistance.L2(networks[0], networks[2]), bc = ModelDistance.L2(networks[1], networks[2]);

        // The third corner from the three sides; a triangle of no height is no plane.
        double cx = ab == 0 ? 0 : ((ab * ab) + (ac * ac) - (bc * bc)) / (2 * ab), height = (ac * ac) - (cx * cx);
        if (ab == 0 || !(height > 1e-12 * ac * ac)) throw new ArgumentException("The three networks lie on one line.", nameof(networks));
        double cy = Math.Sqrt(height), left = Math.Min(0, cx), right = Math.Max(ab, cx);
        double[] x = Grid(left - (margin * (right - left)), right + (margin * (right - left))), y = Grid(-margin * cy, cy * (1 + margin));
        double[,] loss = new double[points, points], accuracy = new double[points, points];
        for (int i = 0; i < points; i++)
        {
            for (int j = 0; j < points; j++)
            {
                cancel.ThrowIfCancellationRequested();
                double c = y[i] / cy, b = (x[j] - (c * cx)) / ab;
                (loss[i, j], accuracy[i, j]) = At(networks, [1 - b - c, b, c], workbench, train, set, cancel);
                progress?.Report(new((i * points) + j + 1, (long)points * points, "loss plane"));
            }
        }

        return new(x, y, loss, accuracy, [(0, 0), (ab, 0), (cx, cy), ((ab + cx) / 3, cy / 3)]);

        double[] Grid(double from, double to) => [.. Enumerable.Range(0, points).Select(i => from + ((to - from) * i / (points - 1)))];
    }

    /// <summary>Loss and accuracy at one combination of networks, batch norm recalibrated.</summary>
    internal static (double Loss, double Accuracy) At(
        IReadOnlyList<SparseSnapshot> networks, double[] weights, nn.Module<Tensor, Tensor> workbench, LabelledImages train, LabelledImages set, CancellationToken cancel)
    {
        using SparseSnapshot point = SparseSoup.Combine(networks, weights), ready = point.Recalibrated(workbench, train, cancel);
        using TorchSharp.DisposeScope scope = NewDisposeScope();
        Tensor p = ready.LogProbabilities(workbench, set);
        double loss = -p.gather(1, set.Labels.unsqueeze(1)).mean().item<double>();
        return (loss, p.argmax(1).eq(set.Labels).to(ScalarType.Float64).mean().item<double>());
    }

    /// <inheritdoc/>
    public override string ToString() => Readable.Of(this);
}

/// <summary>Loss along the straight line between two networks (Frankle et al. 2020), batch norm recalibrated at every point.</summary>
/// <param name="T">Places from 0, the first network, to 1, the second.</param>
/// <param name="Loss">Mean cross entropy in nats at each.</param>
/// <param name="Accuracy">Share classified right at each.</param>
public sealed record LossLine(IReadOnlyList<double> T, IReadOnlyList<double> Loss, IReadOnlyList<double> Accuracy)
{
    /// <summary>Largest excess of the loss over the straight line between the losses of the two ends; 0 where there is none.</summary>
    public double Barrier => T.Select((t, i) => Loss[i] - (((1 - t) * Loss[0]) + (t * Loss[^1]))).Max();

    /// <summary>Evaluates points between two networks.</summary>
    /// <param name="a">The network at 0.</param>
    /// <param name="b">The network at 1; masks may differ.</param>
    /// <param name="workbench">A network of the same make; its weights are overwritten.</param>
    /// <param name="train">Training images, for batch norm.</param>
    /// <param name="set">Images on which it is evaluated.</param>
    /// <param name="points">Points with both ends, at least 3. Default 11.</param>
    /// <param name="cancel">Checked before each point.</param>
    /// <exception cref="ArgumentException">Networks of different make, or too few points.</exception>
    public static LossLine Between(
        SparseSnapshot a, SparseSnapshot b, nn.Module<Tensor, Tensor> workbench, LabelledImages train, LabelledImages set, int points = 11, CancellationToken cancel = default)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(points, 3);
        SparseSnapshot.CheckAlike([a, b], nameof(b));
        double[] t = [.. Enumerable.Range(0, points).Select(i => (double)i / (points - 1))];
        (double Loss, double Accuracy)[] at = [.. t.Select(s =>
        {
            cancel.ThrowIfCancellationRequested();
            return LossPlane.At([a, b], [1 - s, s], workbench, train, set, cancel);
        })];
        return new(t, [.. at.Select(p => p.Loss)], [.. at.Select(p => p.Accuracy)]);
    }

    /// <inheritdoc/>
    public override string ToString() => Readable.Of(this);
}
