using Sparseland.Models.Language;
using Sparseland.Selection;
using Sparseland.Tensors;
using TorchSharp;
using static TorchSharp.torch;
using TensorPrimitives = System.Numerics.Tensors.TensorPrimitives;

namespace Sparseland.ActivationSparsity;

/// <summary>By what the hidden units of a gated MLP are chosen.</summary>
public abstract record NeuronScore;

/// <summary>
/// The size of the opened gate of the token, |silu(gate_j)|: CATS (Lee et al. 2024, arXiv 2404.08763) and fine-grained contextual sparsity. Needs the gate of every unit; up and down are read on the chosen ones.
/// </summary>
/// <param name="Gate">Non-linearity of the gate. Default SiLU.</param>
public sealed record GateScore(GateActivation Gate = GateActivation.Silu) : NeuronScore;

/// <summary>
/// A statistic of the prompt, the norm over its tokens of z_t / |z_t| with z_t the hidden layer: GRIFFIN (Dong et al. 2024, arXiv 2404.01365) and coarse-grained contextual sparsity. The prompt is dense; the
/// units it chooses serve all later tokens of its sequence.
/// </summary>
public sealed record PromptScore : NeuronScore;

/// <summary>The size of the hidden layer itself, |z_j|: it can be known only when all has been computed, so it bounds what choices of units can reach.</summary>
public sealed record HiddenScore : NeuronScore;

/// <summary>
/// Uses some hidden units of the gated MLPs only, chosen token by token or by the prompt, as a hook: the values of the others become zero, so that what is said by the model is what it would say without
/// reading their rows of gate and up and their columns of down.
/// </summary>
/// <remarks>
/// Positions are those of the model's call and follow its cache, also one that was cut back. Where values are given without a model, several tokens begin sequences and one token goes on with the last.
/// One model and one call at a time. Zeros are put in place and all weights are read; <see cref="SparseNeurons"/> skips reads.
/// </remarks>
public sealed class NeuronSparsity : IActivationHook
{
    private readonly Dictionary<int, float[]> _gates = [];
    private readonly Dictionary<int, double[]> _sums = [];
    private readonly Dictionary<int, Support> _prompt = [];
    private readonly Dictionary<int, long> _seen = [];
    private readonly Dictionary<int, long> _position = [];
    private readonly NeuronScore _score;
    private long? _told;
    private long _units, _kept;

    /// <summary>A hook for all blocks.</summary>
    /// <param name="score">By what units are chosen.</param>
    /// <param name="density">Share of the units that is used, in (0, 1].</param>
    /// <param name="sparseFrom">First position that uses some units only; with <see cref="PromptScore"/> the length of the prompt, and then at least 1. Default 0.</param>
    /// <exception cref="ArgumentException">A number is out of its range.</exception>
    public NeuronSparsity(NeuronScore score, double density, int sparseFrom = 0)
    {
        ArgumentNullException.ThrowIfNull(score);
        if (!(density is > 0 and <= 1)) throw new ArgumentOutOfRangeException(nameof(density), density, "density must lie in (0, 1].");
        ArgumentOutOfRangeException.ThrowIfNegative(sparseFrom);
        if (score is PromptScore && sparseFrom == 0) throw new ArgumentOutOfRangeException(nameof(sparseFrom), sparseFrom, "With PromptScore the first tokens are the prompt: sparseFrom must be at least 1.");
        (_score, Density, SparseFrom) = (score, density, sparseFrom);
    }

    /// <summary>Share of the units that is used.</summary>
    public double Density { get; }

    /// <summary>First position that uses some units only.</summary>
    public int SparseFrom { get; }

    /// <summary>Share of the units that the sparse tokens so far used; NaN before the first.</summary>
    public double Realised => _units == 0 ? double.NaN : (double)_kept / _units;

    /// <inheritdoc/>
    public bool Wants(ActivationSite site) => site.Activation == Models.Language.Activation.MlpHidden || (_score is GateScore && site.Activation == Models.Language.Activation.MlpGate);

    /// <inheritdoc/>
    public void Begin(int position) => _told = position;

    /// <inheritdoc/>
    public Tensor? Visit(ActivationSite site, Tensor value)
    {
        ArgumentNullException.ThrowIfNull(value);
        if (value.dim() != 3) throw new ArgumentException($"The values of block {site.Layer} must be [batch, tokens, units], but are [{string.Join(", ", value.shape)}].", nameof(value));
        using IDisposable off = no_grad();
        if (site.Activation == Models.Language.Activation.MlpGate)
        {
            using DisposeScope inner = NewDisposeScope();
            Tensor gate = value.detach(), open = ((GateScore)_score).Gate == GateActivation.Silu ? nn.functional.silu(gate) : nn.functional.gelu(gate, TorchSharp.Modules.GELU.Approximate.tanh);
            _gates[site.Layer] = TensorMemory.Read<float>(open.abs().to(ScalarType.Float32).cpu().contiguous()).ToArray();
            return null;
        }

        using DisposeScope scope = NewDisposeScope();
        if (!TensorInput.IsFinite(value)) throw new ArgumentException($"The hidden layer of block {site.Layer} has a value that is NaN or infinite.", nameof(value));
        long batch = value.shape[0], length = value.shape[1];
        int width = (int)value.shape[2];
        if (_told is { } told) _position[site.Layer] = told;
        else if (length > 1) _position[site.Layer] = 0;
        long from = _position.GetValueOrDefault(site.Layer), dense = Math.Clamp(SparseFrom - from, 0, length);
        _position[site.Layer] = from + length;
        Tensor? mask = _score is PromptScore ? OfPrompt(site.Layer, value, from, dense) : dense == length ? null : OfTokens(site.Layer, value);
        if (mask is null || dense == length) return null;
        mask = mask.to(value.device).expand(batch, length, width).clone();
        if (dense > 0) mask.narrow(1, 0, dense).fill_(true);
        _units += batch * (length - dense) * width;
        _kept += batch * (length - dense) * Kept(width, Density);
        return (value * mask).MoveToOuterDisposeScope();
    }

    /// <summary>Units used of a number at a density.</summary>
    internal static int Kept(int units, double density) => density is > 0 and <= 1 ? Math.Max(1, (int)Math.Floor((units * density) + 1e-6)) : throw new ArgumentOutOfRangeException(nameof(density), density, "density must lie in (0, 1].");

    /// <summary>Sums over tokens of z_j^2 / |z|^2, whose order is that of the prompt's statistic.</summary>
    /// <param name="hidden">[batch, tokens, units].</param>
    /// <returns>Row-major [batch, units].</returns>
    internal static double[] Shares(Tensor hidden)
    {
        using DisposeScope scope = NewDisposeScope();
        Tensor z = hidden.detach().to(ScalarType.Float64), unit = z / z.square().sum([2L], keepdim: true).sqrt().clamp_min(double.Epsilon);
        return unit.square().sum([1L]).cpu().contiguous().data<double>().ToArray();
    }

    private Tensor OfTokens(int layer, Tensor value)
    {
        int rows = (int)(value.shape[0] * value.shape[1]), width = (int)value.shape[2];
        Budget budget = Budget.PerRow(Kept(width, Density));
        if (_score is not GateScore) return Select.TopK(value.detach().abs(), budget).ToMask().view(value.shape);
        if (!_gates.TryGetValue(layer, out float[]? gate)) throw new InvalidOperationException($"Block {layer} has shown no gate before its hidden layer.");
        Support kept = Select.TopK(gate, rows, width, budget);
        return kept.ToMask().view(value.shape);
    }

    private Tensor OfPrompt(int layer, Tensor value, long from, long prompt)
    {
        int rows = (int)value.shape[0], width = (int)value.shape[2];
        if (prompt > 0)
        {
            double[] squares = Shares(value.detach().narrow(1, 0, prompt));

            // A prompt may come token by token.
            if (from > 0 && from != _seen.GetValueOrDefault(layer))
                throw new InvalidOperationException($"The prompt goes on at {from}, but {_seen.GetValueOrDefault(layer)} of its tokens have been seen: a cache that was cut back into the prompt needs the prompt anew.");
            _seen[layer] = from + prompt;
            if (from > 0 && _sums.TryGetValue(layer, out double[]? before) && before.Length == squares.Length) TensorPrimitives.Add(squares, before, squares);
            _sums[layer] = squares;
            _prompt[layer] = Select.TopK(squares, rows, width, Budget.PerRow(Kept(width, Density)));
        }

        if (!_prompt.TryGetValue(layer, out Support? chosen) || (chosen.Rows, chosen.Columns) != (rows, width))
            throw new InvalidOperationException($"Block {layer} has seen no prompt of {rows} sequences; call the model with the prompt first.");
        return chosen.ToMask().view(rows, 1, width);
    }
}
