using Sparseland.Data;
using Sparseland.Tensors;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Pruning.Unlearning;

/// <summary>
/// Membership inference by confidence: a classifier learns from a network's probability of the true label which images it was trained on, and is then asked about the
/// forgotten ones. It is fitted anew on every network.
/// </summary>
public static class MembershipAttack
{
    /// <summary>Fewest members and non-members.</summary>
    public const int FewestSamples = 50;

    /// <summary>The network's probability of the true label of each image.</summary>
    /// <param name="model">The network.</param>
    /// <param name="set">The images.</param>
    public static double[] Confidence(nn.Module<Tensor, Tensor> model, LabelledImages set)
    {
        ArgumentNullException.ThrowIfNull(set);
        using DisposeScope scope = NewDisposeScope();
        return SnapshotEvaluation.Probabilities(model, set).gather(1, set.Labels.unsqueeze(1)).squeeze(1).to(ScalarType.Float64).cpu().data<double>().ToArray();
    }

    /// <summary>The attack on confidences.</summary>
    /// <param name="members">Of images that the network was trained on; as many are used as there are non-members, evenly spread over those given.</param>
    /// <param name="nonMembers">Of images that it was not trained on, at least 50.</param>
    /// <param name="targets">Of the images in question, at least one.</param>
    /// <param name="most">Most members and non-members each, evenly spread; null, the default, for all.</param>
    /// <param name="cancel">Checked within the fit.</param>
    /// <exception cref="ArgumentException">Too few of a kind, or a confidence that is not from 0 to 1.</exception>
    public static AttackResult On(IReadOnlyList<double> members, IReadOnlyList<double> nonMembers, IReadOnlyList<double> targets, int? most = null, CancellationToken cancel = default)
    {
        Check(members, nameof(members), FewestSamples);
        Check(nonMembers, nameof(nonMembers), FewestSamples);
        Check(targets, nameof(targets), 1);
        if (most is { } limit && limit < FewestSamples) throw new ArgumentOutOfRangeException(nameof(most), most, $"At least {FewestSamples} of each kind are needed.");
        int count = Math.Min(Math.Min(members.Count, nonMembers.Count), most ?? int.MaxValue);
        double[] inside = Spread(members, count), outside = Spread(nonMembers, count);
        RbfSvc svc = RbfSvc.Fit([.. inside, .. outside], [.. inside.Select(_ => true), .. outside.Select(_ => false)], cancel: cancel);
        return new(Share(targets, x => !svc.Predict(x)), (Share(inside, svc.Predict) + Share(outside, x => !svc.Predict(x))) / 2, svc);
    }

    /// <summary>The attack on a network.</summary>
    /// <param name="model">The network.</param>
    /// <param name="data">Members are images of D_r, non-members the test images, targets D_f.</param>
    /// <param name="most">Most members and non-members each; null, the default, for as many as there are test images.</param>
    /// <param name="cancel">Checked within the fit.</param>
    /// <exception cref="ArgumentException">Fewer than 50 images of a kind.</exception>
    public static AttackResult On(nn.Module<Tensor, Tensor> model, UnlearnData data, int? most = null, CancellationToken cancel = default)
    {
        ArgumentNullException.ThrowIfNull(data);
        return On(Confidence(model, data.Retain), Confidence(model, data.Test), Confidence(model, data.Forget), most, cancel);
    }

    private static double Share(IReadOnlyList<double> values, Func<double, bool> holds) => (double)values.Count(holds) / values.Count;

    private static double[] Spread(IReadOnlyList<double> values, int count) => [.. Enumerable.Range(0, count).Select(i => values[(int)((long)i * values.Count / count)])];

    private static void Check(IReadOnlyList<double> values, string name, int fewest)
    {
        ArgumentNullException.ThrowIfNull(values, name);
        if (values.Count < fewest) throw new ArgumentException($"There are {values.Count}; at least {fewest} are needed.", name);
        for (int i = 0; i < values.Count; i++)
        {
            if (!(values[i] is >= 0 and <= 1.0001)) throw new ArgumentException($"Confidence {i} is {values[i]}; it is a probability.", name);
        }
    }
}

/// <summary>What an attack found.</summary>
/// <param name="Efficacy">Share of the targets that it calls non-members: high where they left no trace (MIA-Efficacy).</param>
/// <param name="Accuracy">How often it is right about the members and non-members that it was fitted on; a half is chance.</param>
/// <param name="Classifier">The classifier.</param>
public sealed record AttackResult(double Efficacy, double Accuracy, RbfSvc Classifier)
{
    /// <inheritdoc/>
    public override string ToString() => Readable.Of(this);
}
