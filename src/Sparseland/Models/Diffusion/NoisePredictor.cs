using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;
using static TorchSharp.torch.nn;

namespace Sparseland.Models.Diffusion;

/// <summary>
/// A small network that predicts the noise in a noisy sample: a residual multi-layer perceptron whose every hidden layer also sees the time, as sines and cosines of sixteen frequencies (at the default width).
/// h = silu(W_0 [x, t]), h += silu(W_i [h, t]), e = W_out h.
/// </summary>
public sealed class NoisePredictor : Module<Tensor, Tensor>, ILinearPlaces
{
    private readonly LinearPlace[] _layers;
    private readonly string[] _names;
    private readonly Tensor _frequencies;

    /// <summary>A network whose weights depend on the seed alone: normal with variance 1 over the number of inputs, biases and the last layer's weights zero.</summary>
    /// <param name="values">Numbers of a sample.</param>
    /// <param name="seed">Seed of the weights.</param>
    /// <param name="width">Width of the hidden layers. Default 320.</param>
    /// <param name="hidden">Hidden layers, at least 1. Default 3.</param>
    /// <param name="timeWidth">Numbers that tell the time, even. Default 32.</param>
    /// <exception cref="ArgumentException">A size out of its range.</exception>
    public NoisePredictor(int values, long seed, int width = 320, int hidden = 3, int timeWidth = 32)
        : base(nameof(NoisePredictor))
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(values);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(width);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(hidden);
        if (timeWidth < 2 || timeWidth % 2 != 0) throw new ArgumentOutOfRangeException(nameof(timeWidth), timeWidth, "timeWidth must be even and at least 2.");
        (Values, TimeWidth) = (values, timeWidth);
        _layers = [.. Enumerable.Range(0, hidden + 1).Select(i => new LinearPlace(Linear((i == 0 ? values : width) + (i == hidden ? 0 : timeWidth), i == hidden ? values : width)))];
        _names = [.. Enumerable.Range(0, hidden).Select(i => $"hidden{i}"), "out"];
        _frequencies = tensor((float[])[.. Enumerable.Range(0, timeWidth / 2).Select(i => (float)Math.Exp(-Math.Log(10_000) * i / (timeWidth / 2)))]).DetachFromDisposeScope();
        for (int i = 0; i <= hidden; i++) register_module(_names[i], _layers[i].Current);
        LayerPlace.Bind(this, [.. _names.Zip(_layers)]);
        using var generator = new Generator(unchecked((ulong)seed));
        using DisposeScope scope = NewDisposeScope();
        using IDisposable off = no_grad();
        for (int i = 0; i <= hidden; i++)
        {
            Parameter weight = _layers[i].Linear.weight;
            if (i < hidden) weight.copy_(randn(weight.shape, generator: generator).div(Math.Sqrt(weight.shape[1])));
            else weight.zero_();
            _layers[i].Linear.bias!.zero_();
        }
    }

    /// <summary>Numbers of a sample.</summary>
    public int Values { get; }

    /// <summary>Numbers that tell the time.</summary>
    public int TimeWidth { get; }

    IEnumerable<(string Path, LinearPlace Place)> ILinearPlaces.Places => _names.Zip(_layers);

    /// <summary>The noise in some samples.</summary>
    /// <param name="noisy">x_t [n, values].</param>
    /// <param name="times">t of each [n].</param>
    /// <returns>e [n, values].</returns>
    /// <exception cref="ArgumentException">Shapes that do not fit.</exception>
    public Tensor Predict(Tensor noisy, IReadOnlyList<int> times)
    {
        ArgumentNullException.ThrowIfNull(times);
        using DisposeScope scope = NewDisposeScope();
        return forward(WithTimes(noisy, times)).MoveToOuterDisposeScope();
    }

    /// <summary>Samples with their times in one more column: what <see cref="forward"/> takes.</summary>
    /// <param name="noisy">x_t [n, values].</param>
    /// <param name="times">t of each [n].</param>
    /// <exception cref="ArgumentException">Shapes that do not fit.</exception>
    public static Tensor WithTimes(Tensor noisy, IReadOnlyList<int> times)
    {
        ArgumentNullException.ThrowIfNull(noisy);
        ArgumentNullException.ThrowIfNull(times);
        if (noisy.dim() != 2 || noisy.shape[0] != times.Count) throw new ArgumentException($"noisy must be [{times.Count}, values], but is [{string.Join(", ", noisy.shape)}].", nameof(noisy));
        using DisposeScope scope = NewDisposeScope();
        return cat([noisy, tensor((float[])[.. times.Select(t => (float)t)], [times.Count, 1]).to(noisy.dtype).to(noisy.device)], 1).MoveToOuterDisposeScope();
    }

    /// <summary>The noise in some samples.</summary>
    /// <param name="input">[n, values + 1]: samples with their times in the last column.</param>
    /// <returns>[n, values].</returns>
    public override Tensor forward(Tensor input)
    {
        ArgumentNullException.ThrowIfNull(input);
        if (input.dim() != 2 || input.shape[1] != Values + 1) throw new ArgumentException($"input must be [n, {Values + 1}], but is [{string.Join(", ", input.shape)}].", nameof(input));
        using DisposeScope scope = NewDisposeScope();
        Tensor angles = input.narrow(1, Values, 1).mul(_frequencies.to(input.dtype).to(input.device)), time = cat([angles.sin(), angles.cos()], 1);
        Tensor h = functional.silu(_layers[0].call(cat([input.narrow(1, 0, Values), time], 1)));
        foreach (LinearPlace layer in _layers[1..^1]) h = h + functional.silu(layer.call(cat([h, time], 1)));
        return _layers[^1].call(h).MoveToOuterDisposeScope();
    }

    /// <inheritdoc/>
    protected override void Dispose(bool disposing)
    {
        if (disposing) _frequencies.Dispose();
        base.Dispose(disposing);
    }
}
