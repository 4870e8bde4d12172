using System.Globalization;
using Sparseland.IO;
using Sparseland.Kernels;
using Sparseland.Models;
using Sparseland.Selection;
using Sparseland.Tensors;
using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Sparseland.LowRank;

/// <summary>How <see cref="LowRankSparseLinear"/> computes its products.</summary>
public enum ForwardMode
{
    /// <summary>Whichever takes less by count, with a sparse multiply-add taken for <see cref="LowRankSparseLinear.SparseCost"/> dense ones.</summary>
    Auto,

    /// <summary>As published: W is formed in each pass and given up after it; the backward pass forms it again.</summary>
    FormWeight,

    /// <summary>W is never formed: two thin products and a sparse one.</summary>
    Factored,
}

/// <summary>Settings of <see cref="LowRankSparseLinear"/> (SLTrain, Han et al. 2024).</summary>
public sealed record SLTrainOptions
{
    /// <summary>r; 0 for a sparse layer alone. Default 128.</summary>
    public int Rank { get; init; } = 128;

    /// <summary>delta: share of the entries that have a value, above 0 and below 1; floor(delta out in) must be at least 1. Default 0.03.</summary>
    public double Density { get; init; } = 0.03;

    /// <summary>The product is multiplied by Alpha / Rank; null, the default, for 1.</summary>
    public double? Alpha { get; init; }

    /// <summary>How products are computed. Default <see cref="ForwardMode.Auto"/>.</summary>
    public ForwardMode Mode { get; init; }

    /// <summary>Seed of the support and of the start: a part of the model. Default 0.</summary>
    public long Seed { get; init; }

    /// <summary>Constant before the product.</summary>
    public double Scale => Rank == 0 || Alpha is null ? 1 : Alpha.Value / Rank;

    /// <summary>Throws when a value is outside its range.</summary>
    /// <param name="outputs">out.</param>
    /// <param name="inputs">in.</param>
    /// <exception cref="ArgumentException">A value is outside its range.</exception>
    public void Validate(long outputs, long inputs)
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(outputs);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(inputs);
        if (Rank != 0) Decomposition.CheckRank(Rank, outputs, inputs, nameof(Rank));
        if (!(Density is > 0 and < 1)) throw new ArgumentOutOfRangeException(nameof(Density), Density, "Density must lie between 0 and 1.");
        if ((long)(Density * outputs * inputs) < 1) throw new ArgumentOutOfRangeException(nameof(Density), Density, $"Density leaves no entry of [{outputs}, {inputs}].");
        if (!Enum.IsDefined(Mode)) throw new ArgumentOutOfRangeException(nameof(Mode), Mode, "No such mode.");
        Factors.CheckScale(Scale);
    }
}

/// <summary>
/// SLTrain's layer (Han et al. 2024): W = scale B A + S, S with trained values at fixed places that were drawn once. The random part makes W of full rank; parameters, gradients and moments exist for the
/// factors and the values alone. Y = X W^T + b; of the gradient G = dY^T X only dB = scale G A^T, dA = scale B^T G and G at the places are wanted.
/// </summary>
/// <remarks>
/// For the backward pass X alone is kept, beside the parameters. As published both passes form W and the backward pass G; <see cref="ForwardMode.Factored"/> forms neither: dB = scale dY^T (X A^T), dA =
/// scale (dY B)^T X, and values by a sampled product. The results are the same up to rounding.
/// </remarks>
public sealed class LowRankSparseLinear : nn.Module<Tensor, Tensor>, IMergeableLinear
{
    /// <summary>Dense multiply-adds for which <see cref="ForwardMode.Auto"/> takes a sparse one.</summary>
    public const double SparseCost = 8;

    // Named as they are registered: TorchSharp gives fields, and only fields, their new tensors when a module changes its type or device.
    private readonly Parameter values;
    private readonly Parameter? lora_A, lora_B, bias;
    private readonly Tensor _order;
    private readonly Plan _plan;

    /// <summary>A layer with a random support and SLTrain's start: A and values uniform in +-1/sqrt(in), B = 0.</summary>
    /// <param name="inputs">in.</param>
    /// <param name="outputs">out.</param>
    /// <param name="options">Rank, density, seed; null for the defaults of the record.</param>
    /// <param name="bias">Whether there is a bias, from 0. Default false.</param>
    /// <param name="type">Float32, the default, or Float64.</param>
    /// <exception cref="ArgumentException">An option is out of its range.</exception>
    public LowRankSparseLinear(int inputs, int outputs, SLTrainOptions? options = null, bool bias = false, ScalarType type = ScalarType.Float32)
        : this(Drawn(inputs, outputs, options ??= new()), options, bias ? zeros(outputs, dtype: type) : null, type)
    {
    }

    /// <summary>A layer of given places, with SLTrain's start.</summary>
    /// <param name="support">Places of S [out, in], at least one.</param>
    /// <param name="options">Rank, scale, seed of the start; the density is the support's.</param>
    /// <param name="bias">b [out], of the type; copied. Null, the default, for none.</param>
    /// <param name="type">Float32, the default, or Float64.</param>
    /// <exception cref="ArgumentException">An option is out of its range, an empty support, or another bias.</exception>
    public LowRankSparseLinear(Support support, SLTrainOptions options, Tensor? bias = null, ScalarType type = ScalarType.Float32)
        : base(nameof(LowRankSparseLinear))
    {
        ArgumentNullException.ThrowIfNull(support);
        ArgumentNullException.ThrowIfNull(options);
        if (support.Count == 0) throw new ArgumentException("The support is empty; take a LowRankLinear.", nameof(support));
        (options with { Density = 0.5 }).Validate(support.Rows, support.Columns);
        if ((long)support.Rows * support.Columns > int.MaxValue) throw new ArgumentException($"[{support.Rows}, {support.Columns}] has more places than 32-bit indices reach.", nameof(support));
        if (type is not (ScalarType.Float32 or ScalarType.Float64)) throw new ArgumentException($"The layer is Float32 or Float64, not {type}.", nameof(type));
        if (bias is not null && (bias.dim() != 1 || bias.shape[0] != support.Rows || bias.dtype != type))
            throw new ArgumentException($"bias must be {type} [{support.Rows}], but is {bias.dtype} [{string.Join(", ", bias.shape)}].", nameof(bias));
        (Support, Scale, Mode) = (support, options.Scale, options.Mode);
        using IDisposable off = no_grad();
        using (NewDisposeScope())
        {
            using var generator = new Generator(SeededRandom.Mix(unchecked((ulong)options.Seed) ^ 0x51));
            values = LinearOf.Owned(Factors.Uniform(support.Columns, [support.Count], generator).to(type));
            if (options.Rank > 0) (lora_A, lora_B) = Factors.Start(support.Columns, support.Rows, options.Rank, options.Seed, Scale, FactorStart.Zero, type);
            this.bias = bias is null ? null : LinearOf.Owned(bias.detach().cpu().clone());
            _order = tensor(OrderOf(support, out Support columns), dtype: ScalarType.Int64).DetachFromDisposeScope();
            _plan = new(support, columns, Scale);
        }

        if (A is not null) register_parameter("lora_A", A);
        if (B is not null) register_parameter("lora_B", B);
        register_parameter("values", Values);
        if (Bias is not null) register_parameter("bias", Bias);
    }

    /// <summary>A [r, in]; null where the rank is 0.</summary>
    public Parameter? A => lora_A;

    /// <summary>B [out, r]; null where the rank is 0.</summary>
    public Parameter? B => lora_B;

    /// <summary>Values of S [Count], row after row.</summary>
    public Parameter Values => values;

    /// <summary>b [out]; null for none.</summary>
    public Parameter? Bias => bias;

    /// <summary>Places of S [out, in].</summary>
    public Support Support { get; }

    /// <summary>Constant before the product.</summary>
    public double Scale { get; }

    /// <summary>How products are computed; may be changed at any time.</summary>
    public ForwardMode Mode { get; set; }

    /// <summary>r.</summary>
    public int Rank => (int)(A?.shape[0] ?? 0);

    /// <inheritdoc/>
    public long ParameterCount => (Rank * (long)(Support.Rows + Support.Columns)) + Support.Count + (Bias?.numel() ?? 0);

    /// <summary>Multiply-adds of the factored form, r (out + in) + k. As published it is out in + r out in / T (<see cref="FlopAccount.FormedLowRankSparse"/>).</summary>
    public long MacsPerToken => (Rank * (long)(Support.Rows + Support.Columns)) + Support.Count;

    /// <summary>A dense layer taken apart: B A the best copy of some rank, the values what is left of W at the places.</summary>
    /// <param name="linear">The layer; it stays as it is.</param>
    /// <param name="rank">r, from 1 to min(out, in).</param>
    /// <param name="support">From what is left, W - B A [out, in] in the weight's type, to the places: random ones, or its largest entries.</param>
    /// <param name="name">Name of the layer in messages; null, the default, for none.</param>
    /// <exception cref="ArgumentException">A rank that there is not, NaN in the weight, or a support of another shape.</exception>
    public static LowRankSparseLinear FromDense(Linear linear, int rank, Func<Tensor, Support> support, string? name = null)
    {
        ArgumentNullException.ThrowIfNull(linear);
        ArgumentNullException.ThrowIfNull(support);
        using IDisposable off = no_grad();
        using DisposeScope scope = NewDisposeScope();
        using FactorPair pair = TruncatedSvd.Of(linear.weight!, rank, name);
        Tensor rest = linear.weight!.detach() - pair.Product();
        Support places = support(rest);
        if (places.Rows != rest.shape[0] || places.Columns != rest.shape[1]) throw new ArgumentException($"The support is [{places.Rows}, {places.Columns}], the weight [{string.Join(", ", rest.shape)}].", nameof(support));
        var layer = new LowRankSparseLinear(places, new() { Rank = rank }, linear.bias, rest.dtype);
        layer.A!.copy_(pair.A);
        layer.B!.copy_(pair.B);
        layer.Values.copy_(places.Gather(rest));
        return layer;
    }

    /// <summary>X W^T + b.</summary>
    /// <param name="input">[..., in], of the layer's type, on the CPU.</param>
    /// <returns>[..., out], with gradients for the input and the parameters.</returns>
    /// <exception cref="ArgumentException">Another width, type or device.</exception>
    public override Tensor forward(Tensor input)
    {
        ArgumentNullException.ThrowIfNull(input);
        if (input.dim() == 0 || input.shape[^1] != Support.Columns) throw new ArgumentException($"input must be [..., {Support.Columns}], but is [{string.Join(", ", input.shape)}].", nameof(input));
        if (input.dtype != Values.dtype || input.device_type != DeviceType.CPU) throw new ArgumentException($"input is {input.dtype} on {input.device_type}; it must be {Values.dtype} on the CPU.", nameof(input));
        using DisposeScope scope = NewDisposeScope();
        long[] shape = [.. input.shape[..^1], Support.Rows];
        long tokens = 1;
        foreach (long length in input.shape[..^1]) tokens *= length;
        Tensor rows = input.reshape(tokens, Support.Columns), none = empty(0, dtype: Values.dtype);
        Tensor product = IsFactored(tokens)
            ? FactoredProduct.apply(rows, A ?? none, B ?? none, Values, _order, _plan)
            : FormedProduct.apply(rows, A ?? none, B ?? none, Values, _plan);
        product = product.reshape(shape);
        return (Bias is null ? product : product + Bias).MoveToOuterDisposeScope();
    }

    /// <summary>Whether W is left unformed for so many tokens.</summary>
    /// <param name="tokens">Tokens of a batch.</param>
    public bool IsFactored(long tokens) => Mode switch
    {
        ForwardMode.Factored => true,
        ForwardMode.FormWeight => false,
        _ => tokens * (FlopAccount.LowRank(Support.Rows, Support.Columns, Rank) + (SparseCost * Support.Count)) < (tokens + Rank) * FlopAccount.Dense(Support.Rows, Support.Columns),
    };

    /// <inheritdoc/>
    public Tensor EffectiveWeight()
    {
        using IDisposable off = no_grad();
        using DisposeScope scope = NewDisposeScope();
        return _plan.Form(A, B, Values).MoveToOuterDisposeScope();
    }

    /// <inheritdoc/>
    public Linear Merge()
    {
        using Tensor weight = EffectiveWeight();
        return LinearOf.Weight(weight, Bias);
    }

    /// <summary>Spectra of W and of its two parts, whose singular values do not add up.</summary>
    public (SpectrumReport Total, SpectrumReport LowRank, SpectrumReport Sparse) SpectrumParts()
    {
        using IDisposable off = no_grad();
        using DisposeScope scope = NewDisposeScope();
        Tensor sparse = SparseProduct.ToDense(Support, Values.detach()), low = A is null ? zeros_like(sparse) : B!.mm(A) * Scale;
        return (SpectrumReport.Of(low + sparse, "B A + S"), SpectrumReport.Of(low, "B A"), SpectrumReport.Of(sparse, "S"));
    }

    /// <summary>Writes factors, values and places as a safetensors file: lora_A, lora_B, values, indices (flat positions, Int32) and bias, with scale, shape and a hash of the places as notes.</summary>
    /// <param name="path">The file; its folder must exist.</param>
    /// <exception cref="IOException">The file cannot be written.</exception>
    public void Save(string path)
    {
        using DisposeScope scope = NewDisposeScope();
        int[] flat = new int[Support.Count];
        for (int row = 0, at = 0; row < Support.Rows; row++)
        {
            foreach (int column in Support.Row(row)) flat[at++] = (row * Support.Columns) + column;
        }

        var tensors = new Dictionary<string, Tensor> { ["values"] = Values, ["indices"] = tensor(flat, dtype: ScalarType.Int32) };
        if (A is not null) (tensors["lora_A"], tensors["lora_B"]) = (A, B!);
        if (Bias is not null) tensors["bias"] = Bias;
        SafeTensors.Save(path, tensors, new Dictionary<string, string>
        {
            ["kind"] = "sparseland.lowranksparse.1", ["scale"] = Scale.ToString("R", CultureInfo.InvariantCulture), ["shape"] = FormattableString.Invariant($"{Support.Rows} {Support.Columns}"), ["support"] = Support.Hash(),
        });
    }

    /// <summary>Reads a file of <see cref="Save"/> into this layer, whose places must be those of the file.</summary>
    /// <param name="path">The file.</param>
    /// <exception cref="FileNotFoundException">There is no such file.</exception>
    /// <exception cref="InvalidDataException">It is of another kind, shape, rank, scale or support; the message says which. Nothing has changed. <see cref="Load"/> takes the file's own support.</exception>
    public void LoadInto(string path)
    {
        using LowRankSparseLinear other = Load(path);
        void Same(bool same, string what, object own, object others)
        {
            if (!same) throw new InvalidDataException($"'{path}' holds a layer with {what} {others}; this one has {own}.");
        }

        Same(other.Support.Rows == Support.Rows && other.Support.Columns == Support.Columns, "the shape", $"[{Support.Rows}, {Support.Columns}]", $"[{other.Support.Rows}, {other.Support.Columns}]");
        Same(other.Rank == Rank, "the rank", Rank, other.Rank);
        Same(other.Values.dtype == Values.dtype, "the type", Values.dtype, other.Values.dtype);
        Same(other.Scale == Scale, "the scale", Scale, other.Scale);
        Same((other.Bias is null) == (Bias is null), "a bias", Bias is not null, other.Bias is not null);
        Same(other.Support.Equals(Support), "the support", Support.Hash()[..12], other.Support.Hash()[..12]);
        using IDisposable off = no_grad();
        Values.copy_(other.Values);
        A?.copy_(other.A!);
        B?.copy_(other.B!);
        Bias?.copy_(other.Bias!);
    }

    /// <summary>A layer of a file of <see cref="Save"/>.</summary>
    /// <param name="path">The file.</param>
    /// <exception cref="FileNotFoundException">There is no such file.</exception>
    /// <exception cref="InvalidDataException">It is no such file, or its parts do not fit each other.</exception>
    public static LowRankSparseLinear Load(string path)
    {
        using SafeTensorsFile file = SafeTensors.Open(path);
        using DisposeScope scope = NewDisposeScope();
        string Note(string key) => file.Metadata.TryGetValue(key, out string? text) ? text : throw new InvalidDataException($"'{path}' holds no low-rank and sparse layer: its notes have no '{key}'.");
        if (Note("kind") != "sparseland.lowranksparse.1") throw new InvalidDataException($"'{path}' is of the kind '{Note("kind")}'; known is 'sparseland.lowranksparse.1'.");
        string[] shape = Note("shape").Split(' ');
        if (shape.Length != 2 || !int.TryParse(shape[0], NumberStyles.None, CultureInfo.InvariantCulture, out int rows) || !int.TryParse(shape[1], NumberStyles.None, CultureInfo.InvariantCulture, out int columns)
            || !double.TryParse(Note("scale"), CultureInfo.InvariantCulture, out double scale) || scale == 0 || !double.IsFinite(scale) || rows < 1 || columns < 1)
            throw new InvalidDataException($"'{path}' says shape '{Note("shape")}' and scale '{Note("scale")}', which are no sizes and no scale.");
        Dictionary<string, Tensor> all = file.LoadAll();
        Tensor Part(string name, params long[] sizes)
        {
            if (!all.TryGetValue(name, out Tensor? value) || !value.shape.SequenceEqual(sizes)) throw new InvalidDataException($"'{path}' has no {name} [{string.Join(", ", sizes)}].");
            return value;
        }

        long count = all.TryGetValue("values", out Tensor? values) && values.dim() == 1 ? values.shape[0] : throw new InvalidDataException($"'{path}' has no values.");
        Support support = Places(Part("indices", count), rows, columns, path);
        if (support.Hash() != Note("support")) throw new InvalidDataException($"The indices of '{path}' are not those that its values were trained at: their hash differs from the note.");
        if (all.ContainsKey("lora_A") != all.ContainsKey("lora_B") || (all.TryGetValue("lora_A", out Tensor? a) && a.dim() != 2)) throw new InvalidDataException($"'{path}' does not have both factors, lora_A and lora_B, as matrices.");
        long rank = a?.shape[0] ?? 0;
        if (values.dtype is not (ScalarType.Float32 or ScalarType.Float64)) throw new InvalidDataException($"The values of '{path}' are {values.dtype}; they must be Float32 or Float64.");
        if (rank > Math.Min(rows, columns)) throw new InvalidDataException($"'{path}' has the rank {rank} of a matrix [{rows}, {columns}].");
        var layer = new LowRankSparseLinear(support, new() { Rank = (int)rank, Alpha = rank == 0 ? null : scale * rank }, all.ContainsKey("bias") ? Part("bias", rows) : null, values.dtype);
        using IDisposable off = no_grad();
        layer.Values.copy_(values);
        if (rank > 0)
        {
            layer.A!.copy_(Part("lora_A", rank, columns));
            layer.B!.copy_(Part("lora_B", rows, rank));
        }

        return layer;
    }

    /// <inheritdoc/>
    public override string ToString() => FormattableString.Invariant($"LowRankSparseLinear([{Support.Rows}, {Support.Columns}], rank {Rank}, {Support.Count} values)");

    /// <inheritdoc/>
    protected override void Dispose(bool disposing)
    {
        if (disposing) _order.Dispose();
        base.Dispose(disposing);
    }

    private static Support Drawn(int inputs, int outputs, SLTrainOptions options)
    {
        options.Validate(outputs, inputs);
        return Support.Random(outputs, inputs, (int)(options.Density * outputs * inputs), options.Seed);
    }

    private static int[] OrderOf(Support support, out Support columns)
    {
        columns = support.Transpose(out int[] order);
        return order;
    }

    private static Support Places(Tensor indices, int rows, int columns, string path)
    {
        long[] flat = [.. indices.to(ScalarType.Int64).data<long>()];
        int[] offsets = new int[rows + 1], found = new int[flat.Length];
        for (int i = 0; i < flat.Length; i++)
        {
            if (flat[i] < 0 || flat[i] >= (long)rows * columns || (i > 0 && flat[i] <= flat[i - 1]))
                throw new InvalidDataException($"Index {i} of '{path}' is {flat[i]}; they must ascend from 0 to below {(long)rows * columns}, each once.");
            offsets[(flat[i] / columns) + 1]++;
            found[i] = (int)(flat[i] % columns);
        }

        for (int row = 0; row < rows; row++) offsets[row + 1] += offsets[row];
        return new(rows, columns, offsets, found);
    }

    /// <summary>What both products need beside tensors.</summary>
    private sealed record Plan(Support Rows, Support Columns, double Scale)
    {
        /// <summary>W: the one temporary of its size.</summary>
        public unsafe Tensor Form(Tensor? a, Tensor? b, Tensor values)
        {
            if (a is null || a.numel() == 0) return SparseProduct.ToDense(Rows, values.detach());
            Tensor weight = b!.detach().mm(a.detach());
            if (Scale != 1) weight.mul_(Scale);
            using Tensor own = values.detach().contiguous();
            if (weight.dtype == ScalarType.Float64) Add((double*)TensorMemory.StartOf(weight), (double*)TensorMemory.StartOf(own));
            else Add((float*)TensorMemory.StartOf(weight), (float*)TensorMemory.StartOf(own));
            return weight;
        }

        private unsafe void Add<T>(T* weight, T* values)
            where T : unmanaged, System.Numerics.INumber<T>
        {
            (nint start, nint from, Support rows) = ((nint)weight, (nint)values, Rows);
            Parallel.For(0, rows.Rows, row =>
            {
                T* line = (T*)start + ((long)row * rows.Columns), value = (T*)from + rows.RowOffsets[row];
                foreach (int column in rows.Row(row)) line[column] += *value++;
            });
        }
    }

    private sealed class FormedProduct : autograd.SingleTensorFunction<FormedProduct>
    {
        public override string Name => "LowRankSparseFormed";

        public override Tensor forward(autograd.AutogradContext ctx, params object[] vars)
        {
            (Tensor input, Tensor a, Tensor b, Tensor values, var plan) = ((Tensor)vars[0], (Tensor)vars[1], (Tensor)vars[2], (Tensor)vars[3], (Plan)vars[4]);
            using DisposeScope scope = NewDisposeScope();
            ctx.save_for_backward([input, a, b, values]);
            ctx.save_data("plan", plan);
            return input.detach().mm(plan.Form(a, b, values).t()).MoveToOuterDisposeScope();
        }

        public override List<Tensor> backward(autograd.AutogradContext ctx, Tensor grad_output)
        {
            List<Tensor> saved = ctx.get_saved_variables();
            var plan = (Plan)ctx.get_data("plan");
            (Tensor input, Tensor a, Tensor b, Tensor values) = (saved[0].detach(), saved[1].detach(), saved[2].detach(), saved[3]);
            using DisposeScope scope = NewDisposeScope();
            Tensor toInput;
            using (Tensor weight = plan.Form(a, b, values)) toInput = grad_output.mm(weight);

            // G, the second temporary of the weight's size, after the first is gone.
            using Tensor G = grad_output.t().mm(input);
            Tensor toValues = plan.Rows.Gather(G);
            bool thin = a.numel() > 0;
            Tensor? toA = thin ? b.t().mm(G).mul_(plan.Scale) : null, toB = thin ? G.mm(a.t()).mul_(plan.Scale) : null;
            return [toInput.MoveToOuterDisposeScope(), toA?.MoveToOuterDisposeScope()!, toB?.MoveToOuterDisposeScope()!, toValues.MoveToOuterDisposeScope(), null!];
        }
    }

    private sealed class FactoredProduct : autograd.SingleTensorFunction<FactoredProduct>
    {
        public override string Name => "LowRankSparseFactored";

        public override Tensor forward(autograd.AutogradContext ctx, params object[] vars)
        {
            (Tensor input, Tensor a, Tensor b, Tensor values, Tensor order, var plan) =
                ((Tensor)vars[0], (Tensor)vars[1], (Tensor)vars[2], (Tensor)vars[3], (Tensor)vars[4], (Plan)vars[5]);
            using DisposeScope scope = NewDisposeScope();
            ctx.save_for_backward([input, a, b, values, order]);
            ctx.save_data("plan", plan);
            Tensor x = input.detach(), sparse = SparseProduct.Multiply(plan.Rows, values.detach(), x.t().contiguous());
            if (a.numel() > 0) sparse.addmm_(b.detach(), x.mm(a.detach().t()).mul_(plan.Scale).t());
            return sparse.t().contiguous().MoveToOuterDisposeScope();
        }

        public override List<Tensor> backward(autograd.AutogradContext ctx, Tensor grad_output)
        {
            List<Tensor> saved = ctx.get_saved_variables();
            var plan = (Plan)ctx.get_data("plan");
            (Tensor input, Tensor a, Tensor b, Tensor values, Tensor order) = (saved[0].detach(), saved[1].detach(), saved[2].detach(), saved[3].detach(), saved[4]);
            using DisposeScope scope = NewDisposeScope();
            Tensor dY = grad_output.contiguous(), turned = dY.t().contiguous(), x = input.t().contiguous();
            Tensor toInput = SparseProduct.Multiply(plan.Columns, values.index_select(0, order), turned);
            Tensor toValues = SparseProduct.Sampled(plan.Rows, turned, x);
            Tensor? toA = null, toB = null;
            if (a.numel() > 0)
            {
                Tensor thin = dY.mm(b).mul_(plan.Scale);
                toInput.addmm_(a.t(), thin.t());
                toA = thin.t().mm(input);
                toB = turned.mm(input.mm(a.t())).mul_(plan.Scale);
            }

            return [toInput.t().contiguous().MoveToOuterDisposeScope(), toA?.MoveToOuterDisposeScope()!, toB?.MoveToOuterDisposeScope()!, toValues.MoveToOuterDisposeScope(), null!, null!];
        }
    }
}
