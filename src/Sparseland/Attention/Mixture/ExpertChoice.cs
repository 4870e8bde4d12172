using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Sparseland.Attention.Mixture;

/// <summary>
/// A feed-forward layer of several experts in which each expert chooses its tokens (Zhou et al., "Mixture-of-experts with expert choice routing", 2022): expert e takes the tokens with the largest router
/// probability for e, as many as tokens / experts, and adds probability * expert(x) to them. The baseline of the mixture of transformers.
/// </summary>
/// <remarks>An expert compares all tokens of the batch, later ones too: NOT causal, so that a loss measured in training is optimistic. Names: router, expert0, expert1, ...</remarks>
public sealed class ExpertChoice : nn.Module<Tensor, Tensor>
{
    private readonly Linear _router;
    private readonly UntiedFeedForward[] _experts;

    /// <summary>Experts with random weights.</summary>
    /// <param name="width">Numbers of a row.</param>
    /// <param name="hidden">Hidden units of an expert.</param>
    /// <param name="experts">Experts, at least 1. Default 4.</param>
    /// <param name="seed">Seed of the weights. Default 1.</param>
    /// <exception cref="ArgumentOutOfRangeException">A number is not positive.</exception>
    public ExpertChoice(int width, int hidden, int experts = 4, long seed = 1)
        : base(nameof(ExpertChoice))
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(width);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(hidden);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(experts);
        _router = nn.Linear(width, experts, hasBias: false);
        _experts = [.. Enumerable.Range(0, experts).Select(_ => new UntiedFeedForward(1, width, hidden))];
        register_module("router", _router);
        for (int e = 0; e < experts; e++) register_module($"expert{e}", _experts[e]);
        MixtureStart.Uniform(this, seed);
    }

    /// <summary>Multiply-adds of a token on average, the router's included.</summary>
    public long MacsPerToken => _router.weight.numel() + _experts[0].MacsPerToken(0);

    /// <summary>The tokens that each expert takes.</summary>
    /// <param name="x">[tokens, width].</param>
    /// <returns>Row numbers [experts, tokens / experts rounded up], and their probabilities of the same shape.</returns>
    public (Tensor Rows, Tensor Probabilities) Choose(Tensor x)
    {
        ArgumentNullException.ThrowIfNull(x);
        if (x.dim() != 2 || x.shape[1] != _router.weight.shape[1] || x.shape[0] == 0) throw new ArgumentException($"x must be [tokens, {_router.weight.shape[1]}], but is [{string.Join(", ", x.shape)}].", nameof(x));
        using DisposeScope scope = NewDisposeScope();
        int capacity = (int)((x.shape[0] + _experts.Length - 1) / _experts.Length);
        (Tensor values, Tensor rows) = _router.call(x).softmax(-1).t().topk(capacity, 1);
        return (scope.MoveToOuter(rows), scope.MoveToOuter(values));
    }

    /// <summary>Each expert on the tokens that it takes, added up; a token that no expert takes gets 0.</summary>
    /// <param name="x">[tokens, width].</param>
    /// <returns>[tokens, width].</returns>
    /// <exception cref="ArgumentException">Another shape.</exception>
    public override Tensor forward(Tensor x)
    {
        using DisposeScope scope = NewDisposeScope();
        (Tensor rows, Tensor probabilities) = Choose(x);
        Tensor sum = zeros_like(x);
        for (int e = 0; e < _experts.Length; e++)
        {
            Tensor own = rows[e], taken = x.index_select(0, own);
            using ModalityMap all = new(zeros(new long[] { 1, taken.shape[0] }, dtype: ScalarType.Int64), 1);
            sum = sum.index_add(0, own, _experts[e].Sorted(taken, all) * probabilities[e].unsqueeze(1), 1);
        }

        return scope.MoveToOuter(sum);
    }
}
