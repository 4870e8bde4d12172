using Sparseland.Kernels;
using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Sparseland.Models.Language;

/// <summary>Sizes of a <see cref="HyenaModel"/>.</summary>
public sealed record HyenaOptions
{
    /// <summary>Kinds of tokens. Default 256, bytes.</summary>
    public int Vocabulary { get; init; } = 256;

    /// <summary>Numbers of a token's vector. Default 64.</summary>
    public int Width { get; init; } = 64;

    /// <summary>Blocks. Default 2.</summary>
    public int Blocks { get; init; } = 2;

    /// <summary>Longest sequence and length of the kernels. Default 512.</summary>
    public int Length { get; init; } = 512;

    /// <summary>Throws when a value is outside its range.</summary>
    /// <exception cref="ArgumentOutOfRangeException">A value is outside its range.</exception>
    public void Validate()
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(Vocabulary, 2);
        ArgumentOutOfRangeException.ThrowIfLessThan(Width, 2);
        ArgumentOutOfRangeException.ThrowIfLessThan(Blocks, 1);
        ArgumentOutOfRangeException.ThrowIfLessThan(Length, 2);
    }
}

/// <summary>
/// A gated long convolution in place of attention (Hyena, Poli et al. 2023, order 2): three projections u, v, w of the sequence, each through a short causal convolution of three taps; then w o ((v o u) * k) with a kernel
/// as long as the sequence, which a small network of sines makes from the position, under a window that decays exponentially, faster in some channels than in others.
/// </summary>
public sealed class HyenaBlock : nn.Module<Tensor, Tensor>
{
    private const int Hidden = 32, Bands = 8;
    private const double Frequency = 6, SlowestDecay = 0.5, FastestDecay = 30;
    private readonly LayerNorm _norm, _norm2;
    private readonly Linear _project, _first, _second, _third, _out, _wide, _narrow;
    private readonly Parameter _short, _through;
    private readonly Tensor _positions, _window;
    private readonly FftPlan _plan;

    /// <summary>A block of random weights.</summary>
    /// <param name="width">Channels.</param>
    /// <param name="length">Longest sequence and length of the kernel.</param>
    /// <exception cref="ArgumentOutOfRangeException">A number is below 2.</exception>
    public HyenaBlock(int width, int length)
        : base(nameof(HyenaBlock))
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(width, 2);
        ArgumentOutOfRangeException.ThrowIfLessThan(length, 2);
        (Width, Length, _plan) = (width, length, FftPlan.ForCausal(length, length));
        (_norm, _norm2) = (nn.LayerNorm(width), nn.LayerNorm(width));
        (_project, _out) = (nn.Linear(width, 3 * width), nn.Linear(width, width));
        (_wide, _narrow) = (nn.Linear(width, 2 * width), nn.Linear(2 * width, width));
        (_first, _second, _third) = (nn.Linear((2 * Bands) + 1, Hidden), nn.Linear(Hidden, Hidden), nn.Linear(Hidden, width, hasBias: false));
        using (DisposeScope scope = NewDisposeScope())
        using (no_grad())
        {
            _short = new Parameter((randn(3 * width, 1, 3) * 0.5).DetachFromDisposeScope());
            _through = new Parameter(ones(width, 1).DetachFromDisposeScope());
            Tensor t = linspace(0, 1, length).unsqueeze(1), bands = arange(1, Bands + 1, dtype: ScalarType.Float32).unsqueeze(0) * (2 * Math.PI);
            _positions = cat([t, (t * bands).cos(), (t * bands).sin()], 1).DetachFromDisposeScope();
            Tensor decay = linspace(Math.Log(SlowestDecay), Math.Log(FastestDecay), width).exp().unsqueeze(1);
            _window = (t.t() * decay).neg().exp().DetachFromDisposeScope();
        }

        RegisterComponents();
    }

    /// <summary>Channels.</summary>
    public int Width { get; }

    /// <summary>Longest sequence.</summary>
    public int Length { get; }

    /// <summary>Changes the kernels before they are used: to cut them short or to look at them. Null, the default, leaves them.</summary>
    public Func<Tensor, Tensor>? Change { get; set; }

    /// <summary>Frequencies of the half spectrum that are kept without gradients. Null, the default, for all.</summary>
    public int? Keep { get; set; }

    /// <summary>Frequencies of the half spectrum of the block's plan, N/2 + 1.</summary>
    public int Frequencies => (_plan.Length / 2) + 1;

    /// <summary>The kernels k [channels, length] that the network of sines makes.</summary>
    public Tensor Kernels()
    {
        using DisposeScope scope = NewDisposeScope();
        Tensor h = (Frequency * _first.forward(_positions)).sin();
        h = (Frequency * _second.forward(h)).sin();
        Tensor k = _third.forward(h).t() * _window / Math.Sqrt(Length);
        return scope.MoveToOuter(Change is null ? k : Change(k));
    }

    /// <summary>x + convolution, then x + small network.</summary>
    /// <param name="input">[batch, tokens, width], at most <see cref="Length"/> tokens.</param>
    /// <exception cref="ArgumentException">Another shape.</exception>
    public override Tensor forward(Tensor input)
    {
        ArgumentNullException.ThrowIfNull(input);
        if (input.dim() != 3 || input.shape[2] != Width || input.shape[1] < 1 || input.shape[1] > Length)
            throw new ArgumentException($"input must be [batch, 1 to {Length} tokens, {Width}], but is [{string.Join(", ", input.shape)}].", nameof(input));
        using DisposeScope scope = NewDisposeScope();
        long L = input.shape[1];
        Tensor three = nn.functional.conv1d(nn.functional.pad(_project.forward(_norm.forward(input)).transpose(1, 2), [2, 0]), _short, groups: 3 * Width);
        Tensor[] parts = three.chunk(3, 1);
        Tensor kernels = Kernels().narrow(1, 0, L), gated = parts[0] * parts[1];
        Tensor mixed = Keep is int keep && !is_grad_enabled()
            ? FftConvolution.Forward(gated, KernelSpectrum.From(kernels, _plan, keep)) + (gated * _through)
            : LongConvolution.Apply(gated, kernels, _plan) + (gated * _through);
        Tensor x = input + _out.forward((mixed * parts[2]).transpose(1, 2));
        return scope.MoveToOuter(x + _narrow.forward(nn.functional.gelu(_wide.forward(_norm2.forward(x)))));
    }

    /// <inheritdoc/>
    protected override void Dispose(bool disposing)
    {
        if (disposing)
        {
            _positions.Dispose();
            _window.Dispose();
        }

        base.Dispose(disposing);
    }
}

/// <summary>A small language model of long convolutions.</summary>
public sealed class HyenaModel : nn.Module<Tensor, Tensor>
{
    private readonly Embedding _embed;
    private readonly ModuleList<HyenaBlock> _blocks;
    private readonly LayerNorm _norm;
    private readonly Linear _head;

    /// <summary>A model of random weights.</summary>
    /// <param name="options">Sizes; null for the defaults.</param>
    /// <exception cref="ArgumentOutOfRangeException">A size is out of its range.</exception>
    public HyenaModel(HyenaOptions? options = null)
        : base(nameof(HyenaModel))
    {
        (Options = options ?? new()).Validate();
        _embed = nn.Embedding(Options.Vocabulary, Options.Width);
        _blocks = nn.ModuleList([.. Enumerable.Range(0, Options.Blocks).Select(_ => new HyenaBlock(Options.Width, Options.Length))]);
        _norm = nn.LayerNorm(Options.Width);
        _head = nn.Linear(Options.Width, Options.Vocabulary);
        RegisterComponents();
    }

    /// <summary>Sizes.</summary>
    public HyenaOptions Options { get; }

    /// <summary>The blocks.</summary>
    public IReadOnlyList<HyenaBlock> Blocks => [.. _blocks];

    /// <summary>Logits of the next token.</summary>
    /// <param name="input">Tokens [batch, tokens], Int64.</param>
    /// <returns>[batch, tokens, vocabulary].</returns>
    public override Tensor forward(Tensor input)
    {
        ArgumentNullException.ThrowIfNull(input);
        using DisposeScope scope = NewDisposeScope();
        Tensor x = _embed.forward(input);
        foreach (HyenaBlock block in _blocks) x = block.forward(x);
        return scope.MoveToOuter(_head.forward(_norm.forward(x)));
    }

    /// <summary>Mean loss of the next token, in nats.</summary>
    /// <param name="tokens">[batch, tokens + 1], Int64.</param>
    public Tensor Loss(Tensor tokens)
    {
        ArgumentNullException.ThrowIfNull(tokens);
        using DisposeScope scope = NewDisposeScope();
        Tensor logits = forward(tokens.narrow(1, 0, tokens.shape[1] - 1));
        return scope.MoveToOuter(nn.functional.cross_entropy(logits.reshape(-1, Options.Vocabulary), tokens.narrow(1, 1, tokens.shape[1] - 1).reshape(-1)));
    }
}
