using Sparseland.Models;
using Sparseland.Tensors;
using Sparseland.Training;
using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Sparseland.LowRank;

/// <summary>How <see cref="SpectralLinear"/> draws the pairs of singular vectors that are trained next.</summary>
public enum SpectralSampling
{
    /// <summary>Half uniform, half in proportion to the singular values: p_i = (1/m + s_i / sum s) / 2.</summary>
    Mixed,

    /// <summary>All alike.</summary>
    Uniform,

    /// <summary>In proportion to the singular values.</summary>
    Proportional,

    /// <summary>No draw: those of the largest singular values.</summary>
    Top,
}

/// <summary>Settings of <see cref="SpectralLinear"/> (sparse spectral training, Zhao et al. 2025).</summary>
public sealed record SstOptions
{
    /// <summary>r, pairs of singular vectors that are trained at a time, from 1 to min(out, in). Default 128.</summary>
    public int Rank { get; init; } = 128;

    /// <summary>How they are drawn. Default <see cref="SpectralSampling.Mixed"/>.</summary>
    public SpectralSampling Sampling { get; init; } = SpectralSampling.Mixed;

    /// <summary>
    /// Whether vectors get their gradient without its factor s_i, so that directions of small singular values learn as fast as others. Adam, which divides by the size of gradients, makes no difference
    /// of it; plain gradient descent does. Default true.
    /// </summary>
    public bool EnhancedGradient { get; init; } = true;

    /// <summary>Seed of the draws. Layers of one network may share it: <see cref="SstOptimizer"/> gives each of them draws of its own. Default 0.</summary>
    public long Seed { get; init; }

    /// <summary>Throws when a value is outside its range.</summary>
    /// <param name="outputs">out.</param>
    /// <param name="inputs">in.</param>
    /// <exception cref="ArgumentException">A value is outside its range.</exception>
    public void Validate(long outputs, long inputs)
    {
        Decomposition.CheckRank(Rank, outputs, inputs, nameof(Rank));
        if (!Enum.IsDefined(Sampling)) throw new ArgumentOutOfRangeException(nameof(Sampling), Sampling, "There is no such sampling.");
    }
}

/// <summary>
/// A linear layer kept as its singular value decomposition, y = ((x V) * s) U^T + b (SST, Zhao et al. 2025, arXiv 2405.15481). All singular values are trained in every step; of the pairs of singular vectors only r at a time, which
/// alone have gradients and moments. <see cref="SstOptimizer"/> draws new ones on the way.
/// </summary>
/// <remarks>
/// With G = dY^T X: ds_i = u_i^T G v_i for all i; for the active pairs du_i = G v_i and dv_i = G^T u_i, the true gradient without its factor s_i. G is never formed. Vectors have unit length, s is not negative:
/// <see cref="Normalize"/> sees to it after a step. They are orthogonal only after <see cref="Redecompose"/>.
/// </remarks>
public sealed class SpectralLinear : nn.Module<Tensor, Tensor>, IMergeableLinear
{
    // Named as they are registered: TorchSharp gives fields, and only fields, their new tensors when a module changes its type or device.
    private readonly Parameter active_U, active_V, s;
    private readonly Parameter? bias;
    private readonly Tensor frozen_U, frozen_V, order, draws;
    private readonly string _name;
    private readonly LoadedIndices _loaded;
    private int _stream;

    /// <summary>The decomposition of a linear layer, which it computes as before.</summary>
    /// <param name="start">The layer; it stays as it is, its bias is copied.</param>
    /// <param name="options">Rank, sampling, seed; null for the defaults of the record.</param>
    /// <param name="name">Name of the layer in messages; null, the default, for none.</param>
    /// <exception cref="ArgumentException">An option is out of its range, or NaN or infinity in the weight.</exception>
    public SpectralLinear(Linear start, SstOptions? options = null, string? name = null)
        : base(nameof(SpectralLinear))
    {
        ArgumentNullException.ThrowIfNull(start);
        Tensor weight = start.weight!;
        (Options, _name, _loaded) = (options ?? new(), name ?? "the layer", new([], CheckOrder));
        Options.Validate(weight.shape[0], weight.shape[1]);
        using IDisposable off = no_grad();
        using DisposeScope scope = NewDisposeScope();
        (Tensor u, Tensor singular, Tensor vt) = Decomposition.Svd(Decomposition.Wide(weight, nameof(start), name), nameof(start), name);
        ScalarType type = weight.dtype;
        s = LinearOf.Owned(singular.to(type));
        draws = zeros(1, dtype: ScalarType.Int64).DetachFromDisposeScope();
        order = tensor(Draw(singular)).DetachFromDisposeScope();
        Tensor placedU = u.index_select(1, order).to(type), placedV = vt.t().index_select(1, order).to(type);
        long r = Options.Rank, rest = singular.shape[0] - r;
        (active_U, active_V) = (LinearOf.Owned(placedU.narrow(1, 0, r).contiguous()), LinearOf.Owned(placedV.narrow(1, 0, r).contiguous()));
        (frozen_U, frozen_V) = (placedU.narrow(1, r, rest).contiguous().DetachFromDisposeScope(), placedV.narrow(1, r, rest).contiguous().DetachFromDisposeScope());
        bias = start.bias is null ? null : LinearOf.Owned(start.bias.detach().cpu().clone());
        register_parameter("active_U", active_U);
        register_parameter("active_V", active_V);
        register_parameter("s", s);
        if (bias is not null) register_parameter("bias", bias);
        register_buffer("frozen_U", frozen_U);
        register_buffer("frozen_V", frozen_V);
        register_buffer("order", order);
        register_buffer("draws", draws);
    }

    /// <summary>Settings.</summary>
    public SstOptions Options { get; }

    /// <summary>Singular values [m], m = min(out, in), pair after pair; falling after a decomposition, not afterwards.</summary>
    public Parameter S => s;

    /// <summary>Left vectors of the active pairs [out, r], in the order of <see cref="Active"/>.</summary>
    public Parameter ActiveU => active_U;

    /// <summary>Right vectors of the active pairs [in, r], in the order of <see cref="Active"/>.</summary>
    public Parameter ActiveV => active_V;

    /// <summary>b [out]; null for none.</summary>
    public Parameter? Bias => bias;

    /// <summary>Which pairs are trained at present, ascending.</summary>
    /// <exception cref="InvalidDataException">A state was loaded whose order is none of the layer's pairs.</exception>
    public IReadOnlyList<long> Active => _loaded.Read(order)[..Options.Rank];

    /// <summary>Draws made, the first one included.</summary>
    public long Draws => draws.item<long>();

    /// <summary>Numbers held, m (out + in + 1) and the bias: for a square layer twice those of W.</summary>
    public long ParameterCount => (s.numel() * (active_U.shape[0] + active_V.shape[0] + 1)) + (bias?.numel() ?? 0);

    /// <summary>Numbers trained at a time, r (out + in) + m and the bias: those that have gradients and moments.</summary>
    public long TrainedCount => active_U.numel() + active_V.numel() + s.numel() + (bias?.numel() ?? 0);

    /// <summary>Multiply-adds of the product through the vectors, m (out + in).</summary>
    public long MacsPerToken => s.numel() * (active_U.shape[0] + active_V.shape[0]);

    /// <summary>The chance of each pair to be drawn first.</summary>
    /// <param name="singular">Singular values [m], finite and not negative. Where all are zero there is nothing to prefer and the chances are equal.</param>
    /// <param name="sampling">The rule; <see cref="SpectralSampling.Top"/> has no chances.</param>
    /// <exception cref="ArgumentException">A value is negative or not finite, there is none, or the rule draws nothing.</exception>
    public static double[] Probabilities(IReadOnlyList<double> singular, SpectralSampling sampling)
    {
        ArgumentNullException.ThrowIfNull(singular);
        if (singular.Count == 0) throw new ArgumentException("There is no singular value.", nameof(singular));
        double sum = 0;
        for (int i = 0; i < singular.Count; i++)
        {
            if (!(singular[i] >= 0 && double.IsFinite(singular[i]))) throw new ArgumentException($"Singular value {i} is {singular[i]}; all must be finite and not negative.", nameof(singular));
            sum += singular[i];
        }

        if (double.IsInfinity(sum))
        {
            double largest = singular.Max();
            return Probabilities([.. singular.Select(v => v / largest)], sampling);
        }

        double alike = 1.0 / singular.Count;
        if (sampling == SpectralSampling.Uniform || sum == 0) return [.. singular.Select(_ => alike)];
        return sampling switch
        {
            SpectralSampling.Mixed => [.. singular.Select(v => 0.5 * (alike + (v / sum)))],
            SpectralSampling.Proportional => [.. singular.Select(v => v / sum)],
            _ => throw new ArgumentException($"{sampling} draws nothing.", nameof(sampling)),
        };
    }

    /// <summary>((x V) * s) U^T + b.</summary>
    /// <param name="input">[..., in], of the layer's type.</param>
    /// <returns>[..., out], with gradients for the input, s, the active vectors and the bias.</returns>
    /// <exception cref="ArgumentException">Another width or type.</exception>
    /// <exception cref="InvalidDataException">On the CPU: a state was loaded whose order is none of the layer's pairs.</exception>
    public override Tensor forward(Tensor input)
    {
        ArgumentNullException.ThrowIfNull(input);
        if (input.dim() == 0 || input.shape[^1] != active_V.shape[0]) throw new ArgumentException($"input must be [..., {active_V.shape[0]}], but is [{string.Join(", ", input.shape)}].", nameof(input));
        if (input.dtype != s.dtype) throw new ArgumentException($"input is {input.dtype}; it must be {s.dtype}.", nameof(input));

        // Elsewhere a look at it would stop the device in every pass.
        if (order.device_type == DeviceType.CPU) _loaded.Read(order);
        using DisposeScope scope = NewDisposeScope();
        Tensor product = SpectralProduct.apply(input.reshape(-1, active_V.shape[0]), active_U, active_V, s.index_select(0, order), frozen_U, frozen_V, Options.EnhancedGradient);
        product = product.reshape([.. input.shape[..^1], active_U.shape[0]]);
        return (bias is null ? product : product + bias).MoveToOuterDisposeScope();
    }

    /// <summary>After a step of an optimizer: singular values below zero become zero, active vectors unit length.</summary>
    public void Normalize()
    {
        using IDisposable off = no_grad();
        using DisposeScope scope = NewDisposeScope();
        s.clamp_(min: 0);
        foreach (Parameter vectors in new[] { active_U, active_V })
        {
            Tensor length = vectors.square().sum(0, keepdim: true).sqrt();
            vectors.div_(where(length.gt(0), length, 1));
        }
    }

    /// <summary>Freezes the active pairs where they are and draws others.</summary>
    /// <param name="optimizer">Forgets the moments of the active vectors, which now are others; those of s stay. Null, the default, for none.</param>
    /// <exception cref="ArgumentException">A singular value is not finite, or the optimizer does not step this layer.</exception>
    /// <exception cref="InvalidDataException">A state was loaded whose order is none of the layer's pairs.</exception>
    public void Resample(IOptimizer? optimizer = null)
    {
        using IDisposable off = no_grad();
        using DisposeScope scope = NewDisposeScope();
        using Tensor u = U(), v = V();
        Place(u, v, s.detach());
        Forget(optimizer);
    }

    /// <summary>Decomposes U diag(s) V^T anew, which makes the vectors orthogonal again and leaves the function as it is, and draws.</summary>
    /// <remarks>The method has moments of s kept at a new draw and names no other rule for a decomposition: they stay in their places, though the values, sorted again, may now be other pairs' there.</remarks>
    /// <param name="optimizer">Forgets the moments of the active vectors; those of s stay. Null, the default, for none.</param>
    /// <exception cref="ArgumentException">The weight is not finite (the layer is named), or the optimizer does not step this layer.</exception>
    /// <exception cref="InvalidDataException">A state was loaded whose order is none of the layer's pairs.</exception>
    public void Redecompose(IOptimizer? optimizer = null)
    {
        using IDisposable off = no_grad();
        using DisposeScope scope = NewDisposeScope();
        (Tensor u, Tensor singular, Tensor vt) = Decomposition.Svd(Decomposition.Wide(EffectiveWeight(), "W", _name), "W", _name);
        s.copy_(singular);
        Place(u.to(s.dtype).to(s.device), vt.t().to(s.dtype).to(s.device), singular);
        Forget(optimizer);
    }

    /// <summary>U [out, m], pair after pair; the caller disposes it.</summary>
    /// <exception cref="InvalidDataException">A state was loaded whose order is none of the layer's pairs.</exception>
    public Tensor U() => Whole(active_U, frozen_U);

    /// <summary>V [in, m], pair after pair; the caller disposes it.</summary>
    /// <exception cref="InvalidDataException">A state was loaded whose order is none of the layer's pairs.</exception>
    public Tensor V() => Whole(active_V, frozen_V);

    /// <summary>Largest entry of U^T U - I and V^T V - I: how far the vectors are from orthogonal.</summary>
    /// <exception cref="InvalidDataException">A state was loaded whose order is none of the layer's pairs.</exception>
    public double Drift()
    {
        using IDisposable off = no_grad();
        using DisposeScope scope = NewDisposeScope();
        double Of(Tensor vectors)
        {
            Tensor wide = vectors.to(ScalarType.Float64);
            return (wide.t().mm(wide) - eye(wide.shape[1], dtype: ScalarType.Float64, device: wide.device)).abs().max().item<double>();
        }

        return Math.Max(Of(U()), Of(V()));
    }

    /// <inheritdoc/>
    /// <exception cref="InvalidDataException">A state was loaded whose order is none of the layer's pairs.</exception>
    public Tensor EffectiveWeight()
    {
        using IDisposable off = no_grad();
        using DisposeScope scope = NewDisposeScope();
        return (U() * s).mm(V().t()).MoveToOuterDisposeScope();
    }

    /// <inheritdoc/>
    /// <exception cref="InvalidDataException">A state was loaded whose order is none of the layer's pairs.</exception>
    public Linear Merge()
    {
        using Tensor weight = EffectiveWeight();
        return LinearOf.Weight(weight, bias);
    }

    /// <summary>Which of the layers of a network that share this seed it is: the first has the seed's own draws, each other one others. A layer that has been drawn once only, at its start, is drawn anew.</summary>
    internal void DrawAs(int stream)
    {
        if (stream == _stream) return;
        _stream = stream;
        if (Draws == 1) Resample();
    }

    /// <inheritdoc/>
    public override string ToString() => $"SpectralLinear([{active_U.shape[0]}, {active_V.shape[0]}], {Options.Rank} of {s.numel()} pairs trained)";

    private Tensor Whole(Tensor active, Tensor frozen)
    {
        using IDisposable off = no_grad();
        _loaded.Read(order);
        using DisposeScope scope = NewDisposeScope();
        return cat([active, frozen], 1).index_select(1, order.argsort()).MoveToOuterDisposeScope();
    }

    private void Place(Tensor u, Tensor v, Tensor singular)
    {
        order.copy_(tensor(Draw(singular)));
        long r = Options.Rank, rest = s.numel() - r;
        Tensor placedU = u.index_select(1, order), placedV = v.index_select(1, order);
        active_U.copy_(placedU.narrow(1, 0, r));
        active_V.copy_(placedV.narrow(1, 0, r));
        frozen_U.copy_(placedU.narrow(1, r, rest));
        frozen_V.copy_(placedV.narrow(1, r, rest));
    }

    /// <summary>Which pairs are active is part of the saved state: each pair stands once, and both parts ascend.</summary>
    private void CheckOrder(ReadOnlySpan<long> now)
    {
        (int pairs, int r) = (now.Length, Options.Rank);
        LoadedIndices.Check(now[..r], r, pairs, _name, "pair");
        LoadedIndices.Check(now[r..], pairs - r, pairs, _name, "pair");
        foreach (long pair in now[..r])
        {
            if (now[r..].Contains(pair)) throw new InvalidDataException($"{_name} was loaded with the pair {pair} both among those that are trained and among those that are not.");
        }
    }

    /// <summary>All pairs, those drawn first; both parts ascending.</summary>
    private long[] Draw(Tensor singular)
    {
        double[] values = singular.detach().cpu().to(ScalarType.Float64).contiguous().data<double>().ToArray();
        int bad = Array.FindIndex(values, v => !double.IsFinite(v));
        if (bad >= 0) throw new ArgumentException($"Singular value {bad} of {_name} is {values[bad]}; the usual cause is a training that diverged.", nameof(singular));
        long draw = Draws;
        draws.fill_(draw + 1);
        double[] keys;
        if (Options.Sampling == SpectralSampling.Top) keys = [.. values.Select(v => -v)];
        else
        {
            // The r smallest of E_i / p_i, E_i exponential, are a draw one after another without replacement.
            long seed = _stream == 0 ? Options.Seed : unchecked((long)SeededRandom.Mix((ulong)Options.Seed ^ ((ulong)_stream << 32)));
            var random = new SeededRandom(seed, 7_000_003 + draw);
            double[] chances = Probabilities([.. values.Select(v => Math.Max(0, v))], Options.Sampling);
            keys = [.. chances.Select(p => -Math.Log(1 - random.NextDouble()) / Math.Max(p, 1e-300))];
        }

        long[] all = [.. Enumerable.Range(0, values.Length).Select(i => (long)i)];
        Array.Sort(all, (a, b) => keys[a].CompareTo(keys[b]) is not 0 and int by ? by : a.CompareTo(b));
        Array.Sort(all, 0, Options.Rank);
        Array.Sort(all, Options.Rank, all.Length - Options.Rank);
        return all;
    }

    private void Forget(IOptimizer? optimizer)
    {
        if (optimizer is null) return;
        foreach (Parameter own in new[] { active_U, active_V })
        {
            nint identity = TensorMemory.Identity(own);
            string name = optimizer.Parameters.FirstOrDefault(p => TensorMemory.Identity(p.Parameter) == identity).Name
                ?? throw new ArgumentException($"The optimizer does not step {_name}.", nameof(optimizer));
            optimizer.Reset(name);
        }
    }

    private sealed class SpectralProduct : GuardedFunction<SpectralProduct>
    {
        public override string Name => nameof(SpectralProduct);

        protected override Tensor Forward(autograd.AutogradContext ctx, object[] vars)
        {
            (Tensor input, Tensor u, Tensor v, Tensor s) = ((Tensor)vars[0], (Tensor)vars[1], (Tensor)vars[2], (Tensor)vars[3]);
            (Tensor frozenU, Tensor frozenV) = ((Tensor)vars[4], (Tensor)vars[5]);
            using DisposeScope scope = NewDisposeScope();

            // What is saved must live until this returns: its scope ends too early.
            Tensor P = input.detach().mm(cat([v.detach(), frozenV], 1)).MoveToOuterDisposeScope();
            ctx.save_for_backward([input, u, v, s, frozenU, frozenV, P]);
            ctx.save_data("enhanced", vars[6]);
            return (P * s.detach()).mm(cat([u.detach(), frozenU], 1).t()).MoveToOuterDisposeScope();
        }

        protected override List<Tensor> Backward(autograd.AutogradContext ctx, Tensor grad_output)
        {
            List<Tensor> saved = ctx.get_saved_variables();
            bool enhanced = (bool)ctx.get_data("enhanced");
            using DisposeScope scope = NewDisposeScope();
            (Tensor input, Tensor u, Tensor v, Tensor s, Tensor P) = (saved[0].detach(), saved[1].detach(), saved[2].detach(), saved[3].detach(), saved[6]);
            long r = u.shape[1];
            Tensor Q = grad_output.mm(cat([u, saved[4]], 1));
            Tensor toU = grad_output.t().mm(P.narrow(1, 0, r)), toV = input.t().mm(Q.narrow(1, 0, r));
            if (!enhanced)
            {
                Tensor own = s.narrow(0, 0, r);
                (toU, toV) = (toU * own, toV * own);
            }

            Tensor toS = (P * Q).sum([0L]), toInput = (Q * s).mm(cat([v, saved[5]], 1).t());
            return [toInput.MoveToOuterDisposeScope(), toU.MoveToOuterDisposeScope(), toV.MoveToOuterDisposeScope(), toS.MoveToOuterDisposeScope(), null!, null!, null!];
        }
    }
}
