using Sparseland.Data;
using Sparseland.Evaluation;
using Sparseland.Tensors;
using Sparseland.Training;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Pruning.Unlearning;

/// <summary>The five figures of an unlearned network. None of them is good when high, all when near those of a network that was retrained.</summary>
/// <param name="Method">Who made it.</param>
/// <param name="UnlearningAccuracy">UA, 100 minus the accuracy on D_f in percent.</param>
/// <param name="Membership">MIA-Efficacy, percent of D_f that the attack calls non-members.</param>
/// <param name="RetainAccuracy">RA, accuracy on D_r in percent.</param>
/// <param name="TestAccuracy">TA, accuracy on the test images in percent.</param>
/// <param name="Seconds">RTE, run time.</param>
/// <param name="Key">Of split and masks: reports with different keys are not compared.</param>
public sealed record UnlearningReport(string Method, double UnlearningAccuracy, double Membership, double RetainAccuracy, double TestAccuracy, double Seconds, string Key)
{
    /// <summary>Measures a network.</summary>
    /// <param name="unlearned">The network.</param>
    /// <param name="workbench">A network of the same make; its weights are overwritten.</param>
    /// <param name="data">The data.</param>
    /// <param name="most">Most members and non-members for the attack; null, the default, for as many as there are test images.</param>
    /// <param name="cancel">Checked within the attack.</param>
    /// <exception cref="ArgumentException">A workbench of another make, or too few images for the attack.</exception>
    public static UnlearningReport Of(Unlearned unlearned, nn.Module<Tensor, Tensor> workbench, UnlearnData data, int? most = null, CancellationToken cancel = default)
    {
        ArgumentNullException.ThrowIfNull(unlearned);
        return Of(unlearned.Method, unlearned.Network, unlearned.Seconds, workbench, data, most, cancel);
    }

    /// <summary>Measures any network, the original one for instance.</summary>
    /// <param name="method">Its name.</param>
    /// <param name="network">The network.</param>
    /// <param name="seconds">Time it took.</param>
    /// <param name="workbench">A network of the same make; its weights are overwritten.</param>
    /// <param name="data">The data.</param>
    /// <param name="most">Most members and non-members for the attack; null, the default, for as many as there are test images.</param>
    /// <param name="cancel">Checked within the attack.</param>
    /// <exception cref="ArgumentException">A workbench of another make, or too few images for the attack.</exception>
    public static UnlearningReport Of(
        string method, SparseSnapshot network, double seconds, nn.Module<Tensor, Tensor> workbench, UnlearnData data, int? most = null, CancellationToken cancel = default)
    {
        ArgumentNullException.ThrowIfNull(network);
        ArgumentNullException.ThrowIfNull(workbench);
        ArgumentNullException.ThrowIfNull(data);
        network.CopyTo(workbench)?.Dispose();
        double Of(LabelledImages set)
        {
            using Tensor X = set.Planes();
            return 100 * Accuracy.Of(workbench, X, set.Labels);
        }

        double attack = 100 * MembershipAttack.On(workbench, data, most, cancel).Efficacy;
        return new(method, 100 - Of(data.Forget), attack, Of(data.Retain), Of(data.Test), seconds, data.Split.Key + MaskKey(network));
    }

    /// <summary>What separates this network from another, retrained one.</summary>
    /// <param name="reference">Its report, of the same split and masks.</param>
    /// <exception cref="ArgumentException">Another split or other masks.</exception>
    public UnlearningGaps GapsTo(UnlearningReport reference)
    {
        ArgumentNullException.ThrowIfNull(reference);
        if (reference.Key != Key) throw new ArgumentException($"The report of {reference.Method} is of another split or of other masks than that of {Method}; they cannot be compared.", nameof(reference));
        return new(
            Math.Abs(UnlearningAccuracy - reference.UnlearningAccuracy), Math.Abs(Membership - reference.Membership), Math.Abs(RetainAccuracy - reference.RetainAccuracy),
            Math.Abs(TestAccuracy - reference.TestAccuracy));
    }

    /// <inheritdoc/>
    public override string ToString() => Readable.Of(this);

    private static string MaskKey(SparseSnapshot network)
    {
        ulong hash = 14695981039346656037;
        foreach ((string _, Tensor mask) in network.Masks)
        {
            using Tensor bytes = mask.to(ScalarType.Byte).cpu().contiguous();
            foreach (byte bit in bytes.data<byte>()) hash = (hash ^ bit) * 1099511628211;
        }

        return network.Masks.Count == 0 ? "-dense" : FormattableString.Invariant($"-{hash:x16}");
    }
}

/// <summary>Distances from a retrained network, in points.</summary>
/// <param name="UnlearningAccuracy">Of UA.</param>
/// <param name="Membership">Of MIA-Efficacy.</param>
/// <param name="RetainAccuracy">Of RA.</param>
/// <param name="TestAccuracy">Of TA.</param>
public sealed record UnlearningGaps(double UnlearningAccuracy, double Membership, double RetainAccuracy, double TestAccuracy)
{
    /// <summary>The disparity average: the mean of the four.</summary>
    public double Average => (UnlearningAccuracy + Membership + RetainAccuracy + TestAccuracy) / 4;

    /// <inheritdoc/>
    public override string ToString() => Readable.Of(this);
}
