using Sparseland.Tensors;
using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Sparseland.Recommendation;

/// <summary>
/// Keeps the weights with which a recommender ranked the validation items best: give <see cref="Evaluate"/> to the hooks of a training, and take
/// the weights back afterwards with <see cref="Restore"/>. A comparison of models without it favours those that overfit least in the given steps.
/// </summary>
/// <remarks>It is no part of a checkpoint: after a resumption it knows the evaluations from then on.</remarks>
public sealed class BestOnValidation : IDisposable
{
    private readonly nn.Module _model;
    private readonly IRecommender _recommender;
    private readonly InteractionSplit _split;
    private readonly (Parameter Own, Tensor Kept)[] _kept;
    private readonly NativeSize _size;
    private readonly int _k;

    /// <summary>Begins without a best.</summary>
    /// <param name="model">The model, a recommender itself.</param>
    /// <param name="split">Its data: what was seen in training is out of the ranking.</param>
    /// <param name="k">Ranks of the recall that is compared. Default 20.</param>
    /// <exception cref="ArgumentException">The model is no recommender, the split has no validation, or k is below 1.</exception>
    public BestOnValidation(nn.Module model, InteractionSplit split, int k = 20)
    {
        ArgumentNullException.ThrowIfNull(model);
        ArgumentNullException.ThrowIfNull(split);
        ArgumentOutOfRangeException.ThrowIfLessThan(k, 1);
        _recommender = model as IRecommender ?? throw new ArgumentException($"{model.GetName()} is no IRecommender.", nameof(model));
        if (split.Validation.Count == 0) throw new ArgumentException("The split holds nothing back for validation; no evaluation could be the best.", nameof(split));
        (_model, _split, _k) = (model, split, k);
        using IDisposable off = no_grad();
        _kept = [.. model.parameters().Select(own => (own, own.detach().clone().DetachFromDisposeScope()))];
        _size = NativeSize.Of(_kept.Select(pair => pair.Kept));
    }

    /// <summary>Best mean recall on the validation items so far; NaN before the first evaluation.</summary>
    public double Recall { get; private set; } = double.NaN;

    /// <summary>Evaluations so far.</summary>
    public int Evaluations { get; private set; }

    /// <summary>The evaluation that was best, counted from 1; 0 before the first. Of equal ones the first.</summary>
    public int BestEvaluation { get; private set; }

    /// <summary>Ranks the validation items, and keeps the weights where they are ranked better than ever before.</summary>
    /// <param name="cancel">Checked on the way.</param>
    /// <returns>Mean recall now.</returns>
    public double Evaluate(CancellationToken cancel = default)
    {
        double recall = RecommenderEvaluation.Of(_recommender, _split.Training, _split.Validation, _k, cancel).MeanRecall;
        Evaluations++;
        if (BestEvaluation > 0 && !(recall > Recall)) return recall;
        (Recall, BestEvaluation) = (recall, Evaluations);
        using IDisposable off = no_grad();
        foreach ((Parameter own, Tensor kept) in _kept) kept.copy_(own);
        return recall;
    }

    /// <summary>Gives the model the best weights back.</summary>
    /// <exception cref="InvalidOperationException">There was no evaluation.</exception>
    public void Restore()
    {
        if (BestEvaluation == 0) throw new InvalidOperationException($"{_model.GetName()} was never evaluated; there is no best to go back to.");
        using IDisposable off = no_grad();
        foreach ((Parameter own, Tensor kept) in _kept) own.copy_(kept);
    }

    /// <summary>Frees the copies; the model stays.</summary>
    public void Dispose()
    {
        foreach ((_, Tensor kept) in _kept) kept.Dispose();
        _size.Dispose();
    }
}
