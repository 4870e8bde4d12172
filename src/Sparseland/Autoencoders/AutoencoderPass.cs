using Sparseland.Kernels;
using Sparseland.Selection;
using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Sparseland.Autoencoders;

/// <summary>Some entries of a code and the gradient of what they rebuild.</summary>
/// <param name="Support">Places [tokens, latents].</param>
/// <param name="Values">f [Count].</param>
/// <param name="Gradient">dL/dxhat of their reconstruction [tokens, d].</param>
internal sealed record CodePart(Support Support, Tensor Values, Tensor Gradient);

/// <summary>
/// One batch through an autoencoder and back, by hand: only the pre-activations are a dense product; decoding and both gradients touch active
/// latents alone. With G = dL/dxhat: df = &lt;W_d[i], G_t&gt;, gW_d[i] = sum_t f G_t, gW_e[i] = sum_t dz (x_t - b_d), gb_e = sum_t dz,
/// gb_d = sum_t G_t - sum dz W_e[i].
/// </summary>
internal sealed class AutoencoderPass : IDisposable
{
    // So many pre-activations of tokens that do not look at each other are held at a time: they are chosen from while they are in the cache.
    private const long TileEntries = 1 << 21;

    private readonly DisposeScope _scope;
    private readonly List<CodePart> _parts = [];
    private readonly List<(Support Places, Tensor Gradients)> _pre = [];
    private readonly List<(Parameter Parameter, Tensor Gradient)> _others = [];
    private Tensor _biasGradient;
    private int _main = 1;
    private Tensor? _values, _decoderRows, _preActivations;

    /// <summary>Forward, with the loss mean over tokens of ||x - xhat||^2 as the first part.</summary>
    public AutoencoderPass(SparseAutoencoder autoencoder, Tensor x, Tensor? gradients, bool training)
    {
        Autoencoder = autoencoder;
        _scope = NewDisposeScope();
        using IDisposable off = no_grad();
        x = autoencoder.Scaling.Apply(x);
        gradients = gradients is null ? null : autoencoder.Scaling.Undo(gradients);
        Input = x;
        Centred = autoencoder.Centred(x);
        Code = autoencoder.Rule.IsByTokens ? autoencoder.OfTiles(Centred, TileEntries) : autoencoder.Rule.Select(Pre, new(training, gradients, autoencoder.Decoder, autoencoder.EncoderBias));
        Reconstruction = autoencoder.Rebuild(Code);
        Error = x - Reconstruction;
        Tensor gradient = Error.mul(-2.0 / x.shape[0]);
        _biasGradient = gradient.sum([0L]);
        _parts.Add(new(Code.Support, Code.Values, gradient));
        Loss = SquaredError = Error.square().sum(ScalarType.Float64).item<double>() / x.shape[0];
        if (training) autoencoder.Rule.PutLoss(this);
    }

    public SparseAutoencoder Autoencoder { get; }

    /// <summary>x as the autoencoder sees it: scaled. The loss and all gradients are on this scale.</summary>
    public Tensor Input { get; }

    /// <summary>x - b_d.</summary>
    public Tensor Centred { get; }

    /// <summary>z [tokens, latents], computed where it is asked for.</summary>
    public Tensor Pre
    {
        get
        {
            using IDisposable off = no_grad();
            return _preActivations ??= Autoencoder.Pre(Centred).DetachFromDisposeScope();
        }
    }

    public SparseCode Code { get; }

    public Tensor Reconstruction { get; }

    /// <summary>e = x - xhat.</summary>
    public Tensor Error { get; }

    /// <summary>Of the reconstruction: sum over d, mean over tokens.</summary>
    public double SquaredError { get; }

    /// <summary>The loss so far: <see cref="SquaredError"/>, or what took its place.</summary>
    public double Loss { get; private set; }

    /// <summary>Puts other losses in place of the reconstruction's: parts of the code with the gradient of what each rebuilds. Before anything is added.</summary>
    /// <param name="parts">Parts that together are the code.</param>
    /// <param name="biasGradient">Gradient of the decoder's bias through the reconstructions [d].</param>
    /// <param name="loss">The loss.</param>
    public void Replace(IReadOnlyList<CodePart> parts, Tensor biasGradient, double loss)
    {
        if (_parts.Count != 1 || _values is not null) throw new InvalidOperationException("A loss that takes the place of the reconstruction's comes first and alone.");
        _parts.Clear();
        _parts.AddRange(parts);
        (_main, _biasGradient, Loss) = (parts.Count, biasGradient, loss);
    }

    /// <summary>Adds entries that rebuild something of their own, without the decoder's bias.</summary>
    public void Add(CodePart part) => _parts.Add(part);

    /// <summary>Adds gradients of the code's own values [Count], such as a penalty's.</summary>
    public void AddToValues(Tensor gradients)
    {
        if (_main != 1) throw new InvalidOperationException("The code is rebuilt in several parts; gradients of its values have no one place.");
        _values = _values is null ? gradients : _values + gradients;
    }

    /// <summary>Whether a part is the whole code as it was chosen, and not entries that were added.</summary>
    public bool IsCode(CodePart part) => ReferenceEquals(part.Values, Code.Values);

    /// <summary>Adds gradients of pre-activations [Count] at some places: they reach the encoder alone.</summary>
    public void AddToPreActivations(Support places, Tensor gradients) => _pre.Add((places, gradients));

    /// <summary>Adds to the gradient of each decoder row so many times the row itself [latents].</summary>
    public void AddToDecoderRows(Tensor coefficients) => _decoderRows = _decoderRows is null ? coefficients : _decoderRows + coefficients;

    /// <summary>Adds to the gradient of a parameter of the rule.</summary>
    public void AddTo(Parameter parameter, Tensor gradient) => _others.Add((parameter, gradient));

    /// <summary>Adds weight times the gradients of all parts to the parameters.</summary>
    public void Backward(double weight = 1)
    {
        using IDisposable off = no_grad();
        using DisposeScope scope = NewDisposeScope();
        Tensor? decoder = null, encoder = null;
        Tensor bias = zeros_like(Autoencoder.EncoderBias);
        for (int i = 0; i < _parts.Count; i++)
        {
            CodePart part = _parts[i];
            Tensor values = SparseProduct.Sampled(part.Support, part.Gradient, Autoencoder.Decoder);
            if (i == 0 && _values is not null) values.add_(_values);
            Tensor pre = Autoencoder.Rule.Back(this, part, values);
            TurnedSupport byLatent = new(part.Support);
            Accumulate(ref decoder, byLatent.Columns, byLatent.Turn(part.Values), part.Gradient);
            Accumulate(ref encoder, byLatent.Columns, byLatent.Turn(pre), Centred);
            bias.index_add_(0, part.Support.ColumnIndexTensor(), pre, 1);
        }

        foreach ((Support places, Tensor gradients) in _pre)
        {
            TurnedSupport byLatent = new(places);
            Accumulate(ref encoder, byLatent.Columns, byLatent.Turn(gradients), Centred);
            bias.index_add_(0, places.ColumnIndexTensor(), gradients, 1);
        }

        if (_decoderRows is not null) decoder!.addcmul_(_decoderRows.unsqueeze(1), Autoencoder.Decoder, 1);
        Put(Autoencoder.Decoder, decoder!, weight);
        Put(Autoencoder.Encoder, encoder!, weight);
        Put(Autoencoder.DecoderBias, Autoencoder.CentreInput ? _biasGradient - bias.unsqueeze(0).mm(Autoencoder.Encoder).squeeze(0) : _biasGradient.clone(), weight);
        Put(Autoencoder.EncoderBias, bias, weight);
        foreach ((Parameter parameter, Tensor gradient) in _others) Put(parameter, gradient, weight);
    }

    public void Dispose()
    {
        _preActivations?.Dispose();
        _scope.Dispose();
    }

    private static void Accumulate(ref Tensor? sum, Support latents, Tensor values, Tensor rows)
    {
        if (sum is null) sum = SparseProduct.Multiply(latents, values, rows);
        else SparseProduct.AddTo(latents, values, rows, sum);
    }

    private static void Put(Parameter parameter, Tensor gradient, double weight)
    {
        if (weight != 1) gradient.mul_(weight);
        using Tensor? before = parameter.grad;

        // The parameter keeps what it is given; a handle of ours that outlived the scope would hold the memory until the collector comes by.
        if (before is null) parameter.grad = gradient;
        else before.add_(gradient);
    }
}
