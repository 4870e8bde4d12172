using System.Diagnostics;
using Sparseland.Tensors;
using Sparseland.Training;
using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Sparseland.Pruning.Unlearning;

/// <summary>
/// FF, Fisher forgetting (Golatkar et al. 2020): noise on every weight, the more the less the remaining data need it, theta = theta_o + sqrt(alpha v) N(0, I) with
/// v = 1/(F + 1e-8) and F the diagonal Fisher information on D_r.
/// </summary>
/// <remarks>
/// As published but for two things. F is the mean of squared gradients of single samples; the published code squares the gradient of a batch of 32. The mean of v over a
/// weight's inputs is that over kept weights. v is at most 1e3 (1e2 in the last layer), and ten times as much in the last layer and in vectors.
/// </remarks>
public sealed record FisherForgetting : IUnlearner
{
    /// <summary>alpha, not negative; 0 changes nothing. Default 1e-8.</summary>
    public double Alpha { get; init; } = 1e-8;

    /// <summary>Samples of D_r on which F is measured, drawn by the seed; positive, at most all of D_r are taken. Default 200.</summary>
    public int Samples { get; init; } = 200;

    /// <inheritdoc/>
    public string Name => "FF";

    /// <inheritdoc/>
    public Unlearned Run(
        Func<nn.Module<Tensor, Tensor>> create, SparseSnapshot original, UnlearnData data, long seed = 1, IProgress<ProgressReport>? progress = null, CancellationToken cancel = default)
    {
        TrainingUnlearner.Check(create, original, data);
        Finite.NotNegative(Alpha);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(Samples);
        long started = Stopwatch.GetTimestamp();
        using nn.Module<Tensor, Tensor> workbench = create();
        using MaskSet? masks = original.CopyTo(workbench);
        int[] drawn = InfluenceUnlearning.Draw(data, Samples, seed);
        SampleGradients gradients = new(workbench, masks);
        using DisposeScope scope = NewDisposeScope();
        Tensor fisher = Diagonal(gradients, data, drawn, progress, cancel);
        if (Alpha > 0)
            AddNoise(workbench, masks, gradients.Parameters, fisher, data.Split.Class, seed);
        return new(Name, SparseSnapshot.Of(workbench, masks), Stopwatch.GetElapsedTime(started).TotalSeconds, drawn.Select(i => data.Split.Retain[i]).ToHashSet());
    }

    /// <inheritdoc/>
    public override string ToString() => Readable.Of(this);

    /// <summary>Diagonal Fisher information over the network's own label distribution: mean over some samples of D_r [parameters]. The caller disposes it.</summary>
    /// <param name="gradients">Gradients of the network.</param>
    /// <param name="data">The data.</param>
    /// <param name="samples">Places in D_r.</param>
    /// <param name="progress">Reported after each sample.</param>
    /// <param name="cancel">Checked before each sample.</param>
    public static Tensor Diagonal(SampleGradients gradients, UnlearnData data, IReadOnlyList<int> samples, IProgress<ProgressReport>? progress = null, CancellationToken cancel = default)
    {
        ArgumentNullException.ThrowIfNull(gradients);
        ArgumentNullException.ThrowIfNull(data);
        ArgumentNullException.ThrowIfNull(samples);
        using DisposeScope scope = NewDisposeScope();
        Tensor planes = data.Retain.Planes();
        Tensor? sum = null;
        for (int i = 0; i < samples.Count; i++)
        {
            cancel.ThrowIfCancellationRequested();
            Tensor one = gradients.FisherOf(planes.narrow(0, samples[i], 1));
            if (sum is null)
            {
                sum = one.to(ScalarType.Float64);
            }
            else
            {
                sum.add_(one);
                one.Dispose();
            }

            progress?.Report(new(i + 1, samples.Count, "Fisher information"));
        }

        return scope.MoveToOuter((sum ?? throw new ArgumentException("There is no sample.", nameof(samples))).div_(samples.Count));
    }

    private void AddNoise(nn.Module model, MaskSet? masks, IReadOnlyList<Parameter> parameters, Tensor fisher, int? forgotten, long seed)
    {
        using IDisposable off = no_grad();
        using DisposeScope scope = NewDisposeScope();
        using Generator generator = new(SeededRandom.Mix((ulong)seed));
        var names = model.named_parameters().ToDictionary(p => TensorMemory.Identity(p.parameter), p => p.name);

        // A convolution of one pixel is the last layer of a network without a linear one.
        int head = parameters.Select((p, i) => (p, i)).LastOrDefault(e => e.p.dim() == 2, (null!, -1)).i;
        if (head < 0) head = parameters.Select((p, i) => (p, i)).LastOrDefault(e => e.p.dim() > 1, (null!, parameters.Count - 1)).i;
        long at = 0;
        for (int place = 0; place < parameters.Count; place++)
        {
            Parameter parameter = parameters[place];
            bool isHead = place >= head && parameter.shape[0] == parameters[head].shape[0];
            Tensor v = 1 / (fisher.narrow(0, at, parameter.numel()).view(parameter.shape) + 1e-8);
            at += parameter.numel();
            v = v.clamp_max(isHead ? 1e2 : 1e3).mul_(Alpha);
            if (parameter.dim() > 1)
            {
                string name = names[TensorMemory.Identity(parameter)];
                Tensor kept = masks is not null && masks.Names.Contains(name) ? masks[name].to(v.dtype) : ones_like(v);
                v = ((v * kept).sum(1, keepdim: true) / kept.sum(1, keepdim: true).clamp_min(1)).expand_as(v).clone();
            }

            Tensor mean = parameter.to(ScalarType.Float64);
            if (isHead && forgotten is { } c)
            {
                mean[c].zero_();
                v[c].fill_(1e-4);
            }

            if (isHead || parameter.dim() == 1) v.mul_(10);
            parameter.copy_(mean + (v.sqrt() * randn(parameter.shape, dtype: ScalarType.Float64, generator: generator)));
        }

        masks?.Apply();
    }
}
