using Sparseland.Models;
using Sparseland.Selection;
using Sparseland.Tensors;
using Sparseland.Training;
using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Sparseland.LowRank;

/// <summary>Through what <see cref="StraightThroughFactorizer"/> passes the gradient.</summary>
public enum StfEstimator
{
    /// <summary>Through the whole factorisation: a dense weight W is trained, and factored in each pass.</summary>
    Weight,

    /// <summary>Through the choice of atoms alone: dense coefficients are trained, of which the s largest of a row count, and the bases beside them. A second reading of the paper.</summary>
    Coefficients,
}

/// <summary>Settings of <see cref="StraightThroughFactorizer"/>.</summary>
public sealed record StfOptions
{
    /// <summary>Steps between two sweeps, in which rows choose their atoms anew and bases are fitted; between them coefficients alone follow W. Default 5.</summary>
    public int SweepEvery { get; init; } = 5;

    /// <summary>Through what the gradient passes. Default <see cref="StfEstimator.Weight"/>.</summary>
    public StfEstimator Estimator { get; init; } = StfEstimator.Weight;

    /// <summary>Of the first factorisation, and of the rule of the later sweeps; null, the default, for the defaults of that record.</summary>
    public DenseSparseOptions? Start { get; init; }

    /// <summary>Throws when a value is outside its range.</summary>
    /// <exception cref="ArgumentException">A value is outside its range.</exception>
    public void Validate()
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(SweepEvery, 1);
        if (!Enum.IsDefined(Estimator)) throw new ArgumentOutOfRangeException(nameof(Estimator), Estimator, "There is no such estimator.");
        Start?.Validate();
    }
}

/// <summary>
/// The straight-through factoriser of DSFormer (Chand et al. 2023): a linear layer that computes with the dense-sparse copy What of a dense weight W, while the optimizer owns W. The gradient of What goes to W as it is,
/// dL/dW := dL/dWhat = dY^T X, to every entry: so atoms that a row has not chosen can become worth choosing. <see cref="Finish"/> keeps the factors and drops W.
/// </summary>
/// <remarks>
/// To factor anew in each pass would cost too much, and is not needed (ours): in a pass the coefficients are fitted to W on the atoms that the rows have; every few steps one sweep follows, from where the factors are
/// (<see cref="Hooks"/>). Bases and atoms are buffers, so that a checkpoint keeps them.
/// </remarks>
public sealed class StraightThroughFactorizer : nn.Module<Tensor, Tensor>, IMergeableLinear
{
    private readonly EffectiveWeight? _shadow;
    private readonly Parameter? coefficients, directions, bias;
    private readonly Tensor? basis, atoms;
    private readonly string _name;
    private readonly LoadedIndices? _loaded;
    private bool _hasRun, _finished;

    /// <summary>A layer in place of a linear one.</summary>
    /// <param name="linear">Its weight is W, its bias is used too: both are trained there and here.</param>
    /// <param name="shape">Sizes, those of the weight.</param>
    /// <param name="options">Sweeps and estimator; null for the defaults of the record.</param>
    /// <param name="name">Name of the layer in messages; null, the default, for none.</param>
    /// <param name="cancel">Checked at every row of the first factorisation.</param>
    /// <exception cref="ArgumentException">Another size, an option out of its range, or NaN or infinity in the weight.</exception>
    public StraightThroughFactorizer(Linear linear, DenseSparseShape shape, StfOptions? options = null, string? name = null, CancellationToken cancel = default)
        : base(nameof(StraightThroughFactorizer))
    {
        ArgumentNullException.ThrowIfNull(linear);
        ArgumentNullException.ThrowIfNull(shape);
        (Shape, Options, _name) = (shape, options ?? new(), name ?? "The layer");
        Options.Validate();
        using DenseSparseFactors start = DenseSparse.Factorize(linear.weight!, shape, Options.Start, name: name, cancel: cancel);
        using IDisposable off = no_grad();
        using DisposeScope scope = NewDisposeScope();
        if (Options.Estimator == StfEstimator.Coefficients)
        {
            (coefficients, directions, bias) = (LinearOf.Owned(Latent(start, linear.weight!).to(linear.weight!.dtype)), LinearOf.Owned(start.Basis.to(linear.weight!.dtype, copy: true)), linear.bias);
            register_parameter("coefficients", coefficients);
            register_parameter("directions", directions);
            if (bias is not null) register_parameter("bias", bias);
            return;
        }

        (basis, atoms) = (start.Basis.to(ScalarType.Float64, copy: true).DetachFromDisposeScope(), start.Indices.clone().DetachFromDisposeScope());
        _loaded = new(atoms.data<long>().ToArray(), now => LoadedIndices.Check(now, shape.NonZeros, shape.Atoms, _name, "atom"));
        register_buffer("basis", basis);
        register_buffer("atoms", atoms);
        _shadow = new EffectiveWeight(linear, new Projection(this));
        register_module("shadow", _shadow);
    }

    /// <summary>Sizes.</summary>
    public DenseSparseShape Shape { get; }

    /// <summary>Settings.</summary>
    public StfOptions Options { get; }

    /// <summary>W [out, in], what is trained; null where dense coefficients are.</summary>
    public Parameter? Raw => _shadow?.Raw;

    /// <summary>Dense coefficients [K, out, r]; null where W is trained.</summary>
    public Parameter? Coefficients => coefficients;

    /// <summary>Share of the rows, over all blocks, whose atoms the last sweep changed; NaN before one.</summary>
    public double Changed { get; private set; } = double.NaN;

    /// <summary>Numbers held while it is trained: W or the dense coefficients, bases, bias.</summary>
    public long ParameterCount => (Raw?.numel() ?? coefficients!.numel()) + Shape.BasisCount + ((_shadow is null ? bias : _shadow.Bias)?.numel() ?? 0);

    /// <summary>Multiply-adds for one token while it is trained, those of the dense layer.</summary>
    public long MacsPerToken => (long)Shape.Outputs * Shape.Inputs;

    /// <summary>Puts such layers in place of linear ones.</summary>
    /// <param name="model">The network.</param>
    /// <param name="shape">From name and weight of a layer to its shape; null leaves it as it is.</param>
    /// <param name="options">Sweeps and estimator; null for the defaults of the record.</param>
    /// <param name="progress">Layers factored.</param>
    /// <param name="cancel">Checked at every row.</param>
    /// <returns>What was replaced, for <see cref="LinearSlots.Restore"/>.</returns>
    /// <exception cref="ArgumentException">No layer gets a shape, a weight is tied to another, or it does not fit.</exception>
    public static IReadOnlyList<ReplacedLayer> Attach(
        nn.Module model, Func<string, Tensor, DenseSparseShape?> shape, StfOptions? options = null, IProgress<ProgressReport>? progress = null, CancellationToken cancel = default)
    {
        ArgumentNullException.ThrowIfNull(model);
        ArgumentNullException.ThrowIfNull(shape);
        var owners = new WeightOwners(model);
        LinearSlot[] slots = [.. LinearSlots.Of(model).Where(s => s.Module is Linear)];
        (string Name, DenseSparseShape Shape)[] wanted = [.. slots.Select(s => (s.Name, Shape: shape(s.Name, ((Linear)s.Module).weight!))).Where(w => w.Shape is not null).Select(w => (w.Name, w.Shape!))];
        if (wanted.Length == 0) throw new ArgumentException("No linear layer of the network gets a shape; LinearSlots lists those that there are.", nameof(shape));
        foreach ((string name, _) in wanted)
        {
            Parameter weight = ((Linear)slots.First(s => s.Name == name).Module).weight!;
            if (owners.Others(weight, name + ".weight") is { Count: > 0 } others) throw new ArgumentException($"{name} is tied: its weight is also {string.Join(" and ", others)}. Leave it out.", nameof(model));
        }

        Dictionary<string, DenseSparseShape> shapes = wanted.ToDictionary(w => w.Name, w => w.Shape);
        var made = new Dictionary<string, StraightThroughFactorizer>();
        foreach (LinearSlot slot in slots.Where(s => shapes.ContainsKey(s.Name)))
        {
            made[slot.Name] = new(((Linear)slot.Module), shapes[slot.Name], options, slot.Name, cancel);
            progress?.Report(new(made.Count, wanted.Length, slot.Name));
        }

        return LinearSlots.Replace(model, (name, _) => made.GetValueOrDefault(name));
    }

    /// <summary>Callbacks of a training that make the sweeps when they are due.</summary>
    /// <param name="model">The network.</param>
    /// <param name="others">Callbacks to be made besides; null, the default, for none.</param>
    /// <exception cref="ArgumentException">The network has no such layer.</exception>
    public static TrainingHooks Hooks(nn.Module model, TrainingHooks? others = null)
    {
        ArgumentNullException.ThrowIfNull(model);
        StraightThroughFactorizer[] layers = [.. model.named_modules().Select(m => m.module).OfType<StraightThroughFactorizer>()];
        if (layers.Length == 0) throw new ArgumentException($"The network has no {nameof(StraightThroughFactorizer)}; attach some first.", nameof(model));
        others ??= new();
        return others with
        {
            OnStep = (loop, report) =>
            {
                foreach (StraightThroughFactorizer layer in layers)
                {
                    if (report.Step % layer.Options.SweepEvery == 0) layer.Sweep();
                }

                others.OnStep?.Invoke(loop, report);
            },
        };
    }

    /// <summary>Puts what <see cref="Finish"/> gives in the place of every such layer of a network.</summary>
    /// <param name="model">The network.</param>
    /// <returns>What was replaced; the layers before belong to the caller now.</returns>
    /// <exception cref="ArgumentException">There is none.</exception>
    /// <exception cref="InvalidOperationException">One has never been run.</exception>
    public static IReadOnlyList<ReplacedLayer> FinishAll(nn.Module model)
    {
        ArgumentNullException.ThrowIfNull(model);
        var replaced = new List<ReplacedLayer>();
        foreach (LinearSlot slot in LinearSlots.Of(model))
        {
            if (slot.Module is not StraightThroughFactorizer before) continue;
            DenseSparseLinear after = before.Finish();
            after.train(before.training);
            slot.Put(after);
            replaced.Add(new(slot, before, after));
        }

        return replaced.Count > 0 ? replaced : throw new ArgumentException($"The network has no {nameof(StraightThroughFactorizer)}.", nameof(model));
    }

    /// <summary>What x + b.</summary>
    /// <param name="input">[..., in].</param>
    /// <exception cref="InvalidOperationException">After <see cref="Finish"/>.</exception>
    public override Tensor forward(Tensor input)
    {
        ArgumentNullException.ThrowIfNull(input);
        if (_finished) throw new InvalidOperationException($"{_name} is finished; its factors live on in what Finish gave.");
        _hasRun = true;
        if (_shadow is not null) return _shadow.call(input);
        using DisposeScope scope = NewDisposeScope();
        (Tensor chosen, Tensor unit) = Chosen();
        return nn.functional.linear(input, DenseSparse.Form(Shape, unit, chosen), bias).MoveToOuterDisposeScope();
    }

    /// <summary>One sweep from where the factors are: every row chooses its atoms anew for W as it is now, then the bases are fitted. Dense coefficients need none.</summary>
    public void Sweep()
    {
        if (_shadow is null) return;
        using IDisposable off = no_grad();
        using DisposeScope scope = NewDisposeScope();
        (DenseSparseWork work, _) = Present();
        work.Refit(default);
        work.Encode((Options.Start ?? new()).KeepBetterSupport, default);
        Changed = work.Changed / ((double)Shape.Outputs * Shape.Blocks);
        work.UpdateBasis(default);
        (Tensor fitted, Tensor indices) = work.ToState();
        basis!.copy_(fitted);
        atoms!.copy_(indices);
    }

    /// <summary>The factors of W as it is now; dispose them.</summary>
    public DenseSparseFactors Factors()
    {
        using IDisposable off = no_grad();
        using DisposeScope scope = NewDisposeScope();
        if (_shadow is not null)
        {
            (DenseSparseWork work, double scale) = Present();
            work.Refit(default);
            return work.ToFactors(scale, [work.Error], _shadow.Raw.dtype);
        }

        (Tensor chosen, Tensor unit) = Chosen();
        Tensor indices = Mask().view(chosen.shape).nonzero().narrow(1, 2, 1).reshape(Shape.Blocks, Shape.Outputs, Shape.NonZeros);
        return DenseSparseFactors.Of(Shape, unit, indices, chosen.gather(2, indices));
    }

    /// <summary>The factored layer, in Float32 where this one is of a half type; W is not part of it. This one cannot be run any more.</summary>
    /// <exception cref="InvalidOperationException">It has never been run, or is finished.</exception>
    public DenseSparseLinear Finish()
    {
        if (_finished) throw new InvalidOperationException($"{_name} is finished already.");
        if (!_hasRun) throw new InvalidOperationException($"{_name} has never been run: there is nothing that training has changed. DenseSparseLinear.FromDense factors without training.");
        using DenseSparseFactors factors = Factors();
        _finished = true;
        return DenseSparseLinear.Of(factors, _shadow is null ? bias : _shadow.Bias);
    }

    /// <inheritdoc/>
    public Tensor EffectiveWeight()
    {
        using DenseSparseFactors factors = Factors();
        return factors.Product();
    }

    /// <inheritdoc/>
    public Linear Merge()
    {
        using Tensor weight = EffectiveWeight();
        return LinearOf.Weight(weight, _shadow is null ? bias : _shadow.Bias);
    }

    /// <inheritdoc/>
    public override string ToString() => $"StraightThroughFactorizer({Shape}, {Options.Estimator})";

    private (DenseSparseWork Work, double Scale) Present()
    {
        (Tensor scaled, double scale) = Decomposition.ToUnit(Decomposition.Wide(_shadow!.Raw, "W", _name));
        var work = new DenseSparseWork(Shape, scaled);
        work.TakeBasis(basis!);
        _loaded!.Read(atoms!);
        work.TakeCodes(atoms!, null);
        return (work, scale);
    }

    private Tensor Mask() => Select.Mask(coefficients!.detach().abs().view(-1, Shape.Atoms), Budget.PerRow(Shape.NonZeros));

    /// <summary>The coefficients that count, with the gradient of all, and the bases with unit rows.</summary>
    private (Tensor Chosen, Tensor Unit) Chosen()
    {
        // A half type has no number as small as what keeps a zero from being divided by.
        Tensor wide = directions!.dtype is ScalarType.Float16 or ScalarType.BFloat16 ? directions.to(ScalarType.Float32) : directions;
        return (
            StraightThrough.Weight(coefficients!.view(-1, Shape.Atoms), Mask()).view(coefficients!.shape),
            (wide / wide.square().sum(-1, keepdim: true).sqrt().clamp_min(1e-30)).to(directions.dtype));
    }

    /// <summary>What a row has not chosen begins at its correlation with what is left of the row, below what it has chosen.</summary>
    private static Tensor Latent(DenseSparseFactors start, Tensor weight)
    {
        DenseSparseShape shape = start.Shape;
        using Tensor product = start.Product();
        Tensor rest = (weight.detach().to(product.dtype) - product).view(shape.Outputs, shape.Blocks, shape.Block).transpose(0, 1);
        Tensor bound = start.Values.abs().amin([2], keepdim: true) * 0.9, correlations = rest.bmm(start.Basis.transpose(1, 2));
        return minimum(maximum(correlations, -bound), bound).scatter(2, start.Indices, start.Values);
    }

    /// <summary>The factorisation as a rule of the layer with a weight of its own: nothing is masked, What takes the place of W.</summary>
    private sealed class Projection(StraightThroughFactorizer owner) : IWeightRule
    {
        public Tensor Mask(Tensor raw) => zeros([0], dtype: ScalarType.Bool);

        public Tensor Effective(Tensor raw, Tensor mask)
        {
            using DisposeScope scope = NewDisposeScope();
            Tensor copy;
            using (no_grad())
            {
                (DenseSparseWork work, double scale) = owner.Present();
                work.Refit(default);
                copy = (work.Product() * scale).to(raw.dtype);
            }

            return StraightThrough.Value(copy, raw).MoveToOuterDisposeScope();
        }
    }
}
