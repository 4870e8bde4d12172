using Sparseland.Models.Language;
using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Sparseland.Attention.Graphs;

/// <summary>
/// PNA-Attention (Buehler 2025, arXiv 2501.02393): each head joins several statistics of its neighbours' values (principal neighbourhood aggregation, Corso et al. 2020), an MLP of the head makes one vector
/// of them, and a matrix mixes the heads.
/// </summary>
public sealed class PnaAttention : GraphAttention
{
    private readonly PnaOptions _options;
    private readonly Linear _value, _output;
    private readonly HeadMlp _mlp;

    /// <summary>An attention with random weights.</summary>
    /// <param name="width">Width of the input, heads * headDim.</param>
    /// <param name="heads">Heads, a divisor of the width.</param>
    /// <param name="options">Settings; null, the default, for those of the record.</param>
    /// <param name="context">Longest text in tokens. Default 128.</param>
    /// <param name="theta">Base of the rotary frequencies. Default 10,000.</param>
    /// <param name="seed">Seed of the weights. Default 1.</param>
    /// <exception cref="ArgumentException">A value is out of its range, or the heads do not divide the width into even parts.</exception>
    public PnaAttention(int width, int heads, PnaOptions? options = null, int context = 128, double theta = 10_000, long seed = 1)
        : base(nameof(PnaAttention), width, heads, options ?? new(), context, theta)
    {
        _options = options ?? new();
        (_value, _output) = (nn.Linear(width, width, hasBias: false), nn.Linear(width, width, hasBias: false));
        _mlp = new(heads, _options.Count * HeadDim, Math.Max(1, (int)Math.Round(_options.Multiplier * HeadDim)), HeadDim, normed: false, _options.Dropout);
        register_module("value", _value);
        register_module("mlp", _mlp);
        register_module("output", _output);
        GraphStart.Uniform(this, seed);
    }

    /// <inheritdoc/>
    public override Tensor Step(Tensor x, Tensor a)
    {
        CheckStep(x, a);
        using DisposeScope scope = NewDisposeScope();
        return scope.MoveToOuter(_output.call(CausalAttention.Join(_mlp.call(GraphStep.Statistics(Split(_value.call(x)), a, _options)))));
    }
}
