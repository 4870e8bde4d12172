using Sparseland.Models;
using Sparseland.Tensors;
using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Sparseland.LowRank;

/// <summary>How <see cref="WeLore.Apply"/> stores what it cuts.</summary>
public enum CutForm
{
    /// <summary>Matrices above the ratio as two factors, all others dense and at FULL rank: the model that is shipped and fine-tuned.</summary>
    Factored,

    /// <summary>Every matrix cut to its rank and stored dense: what the plan itself does to the model.</summary>
    Merged,
}

/// <summary>Settings of <see cref="WeLore.Apply"/>.</summary>
public sealed record WeLoreOptions
{
    /// <summary>A matrix is a low-rank component if d / m is above this; from 0 to below 1. Default 0.5, from where two factors of a square matrix are smaller than the matrix.</summary>
    public double MinimumRatio { get; init; } = 0.5;

    /// <summary>How it is stored. Default <see cref="CutForm.Factored"/>.</summary>
    public CutForm Form { get; init; } = CutForm.Factored;

    /// <summary>Whether all but the factors of the low-rank components is frozen, in the factored form. Default true.</summary>
    public bool FreezeRest { get; init; } = true;

    /// <summary>Damping of the Gram matrices. Default 1e-6.</summary>
    public double Damping { get; init; } = 1e-6;

    /// <summary>Throws when a value is outside its range.</summary>
    /// <exception cref="ArgumentException">A value is outside its range.</exception>
    public void Validate()
    {
        if (!(MinimumRatio is >= 0 and < 1)) throw new ArgumentOutOfRangeException(nameof(MinimumRatio), MinimumRatio, "MinimumRatio must be from 0 to below 1.");
        if (!Enum.IsDefined(Form)) throw new ArgumentOutOfRangeException(nameof(Form), Form, "No such form.");
        Finite.Positive(Damping);
    }
}

/// <summary>A model whose matrices were cut.</summary>
/// <param name="Plan">The plan.</param>
/// <param name="LowRank">Names of the low-rank components.</param>
/// <param name="Dense">Names of the other matrices.</param>
/// <param name="Replaced">What was replaced, for <see cref="LinearSlots.Restore"/>.</param>
/// <param name="Trainable">Numbers that are trained now.</param>
public sealed record WeLoreResult(RankPlan Plan, IReadOnlyList<string> LowRank, IReadOnlyList<string> Dense, IReadOnlyList<ReplacedLayer> Replaced, long Trainable)
{
    /// <inheritdoc/>
    public override string ToString() => $"{LowRank.Count} low-rank and {Dense.Count} dense matrices, {Trainable:N0} numbers trained";
}

/// <summary>
/// WeLore (Jaiswal et al. 2024): one threshold on normalised singular values (<see cref="RankPlan.GlobalThreshold"/>) sorts the matrices of a model into low-rank components, stored as two factors, and others,
/// left dense. In fine-tuning the factors of the former alone are trained; no adapter is added.
/// </summary>
public static class WeLore
{
    /// <summary>Cuts the matrices of a model by a plan, in place.</summary>
    /// <param name="model">The network whose linear layers the plan names.</param>
    /// <param name="plan">Which rank each keeps.</param>
    /// <param name="options">Ratio, form, kind of decomposition; null for the defaults of the record.</param>
    /// <param name="grams">Gram matrices of the layers' inputs by name, for <see cref="ActivationAwareSvd"/>; null, the default, for the plain decomposition.</param>
    /// <param name="progress">Matrices done.</param>
    /// <param name="cancel">Checked between matrices, before anything is replaced.</param>
    /// <exception cref="ArgumentException">A matrix of the plan is no linear layer of the model, has another shape or no Gram matrix, is tied, or no matrix is a low-rank component. Nothing has changed.</exception>
    public static WeLoreResult Apply(nn.Module model, RankPlan plan, WeLoreOptions? options = null, IReadOnlyDictionary<string, Tensor>? grams = null, IProgress<ProgressReport>? progress = null, CancellationToken cancel = default)
    {
        ArgumentNullException.ThrowIfNull(model);
        ArgumentNullException.ThrowIfNull(plan);
        options ??= new();
        options.Validate();
        Dictionary<string, Linear> layers = Layers(model, plan, grams);
        string[] low = [.. plan.Matrices.Where(m => m.Reduction > options.MinimumRatio).Select(m => m.Name)];
        if (options.Form == CutForm.Factored && low.Length == 0)
            throw new ArgumentException($"With the threshold {plan.Threshold:G3} no matrix gives up more than {options.MinimumRatio:P0} of its rank; nothing would be factored or trained.", nameof(plan));
        var made = new Dictionary<string, nn.Module<Tensor, Tensor>>(StringComparer.Ordinal);
        HashSet<string> components = [.. low];
        int done = 0;
        foreach (RankPlan.Matrix matrix in plan.Matrices)
        {
            cancel.ThrowIfCancellationRequested();
            if (options.Form == CutForm.Factored ? components.Contains(matrix.Name) : matrix.Kept < matrix.Full) made[matrix.Name] = Cut(layers[matrix.Name], matrix, options, grams?[matrix.Name]);
            progress?.Report(new(++done, plan.Matrices.Count, matrix.Name));
        }

        if (options.Form == CutForm.Factored && options.FreezeRest)
        {
            foreach (Parameter parameter in model.parameters()) parameter.requires_grad = false;
        }

        IReadOnlyList<ReplacedLayer> replaced = LinearSlots.Replace(model, (name, _) => made.GetValueOrDefault(name));
        if (options.Form == CutForm.Factored && options.FreezeRest)
        {
            foreach (ReplacedLayer one in replaced)
            {
                if (one.After is LowRankLinear { Bias: { } bias }) bias.requires_grad = false;
            }
        }

        return new(plan, low, [.. plan.Matrices.Select(m => m.Name).Except(low)], replaced, model.parameters().Where(p => p.requires_grad).Sum(p => p.numel()));
    }

    private static nn.Module<Tensor, Tensor> Cut(Linear linear, RankPlan.Matrix matrix, WeLoreOptions options, Tensor? gram)
    {
        using IDisposable off = no_grad();
        using FactorPair pair = gram is null
            ? TruncatedSvd.Of(linear.weight!, matrix.Kept, matrix.Name) : ActivationAwareSvd.Of(linear.weight!, gram, matrix.Kept, options.Damping, matrix.Name);
        if (options.Form == CutForm.Factored) return LowRankLinear.FromFactors(pair, linear.bias);
        using Tensor product = pair.Product();
        return LinearOf.Weight(product, linear.bias);
    }

    private static Dictionary<string, Linear> Layers(nn.Module model, RankPlan plan, IReadOnlyDictionary<string, Tensor>? grams)
    {
        Dictionary<string, Linear> layers = LinearSlots.Of(model).Where(s => s.Module is Linear).ToDictionary(s => s.Name, s => (Linear)s.Module, StringComparer.Ordinal);
        var owners = new WeightOwners(model);
        foreach (RankPlan.Matrix matrix in plan.Matrices)
        {
            if (!layers.TryGetValue(matrix.Name, out Linear? linear)) throw new ArgumentException($"The model has no linear layer {matrix.Name}.", nameof(plan));
            if (linear.weight!.shape[0] != matrix.Rows || linear.weight.shape[1] != matrix.Columns)
                throw new ArgumentException($"{matrix.Name} is [{string.Join(", ", linear.weight.shape)}], in the plan [{matrix.Rows}, {matrix.Columns}].", nameof(plan));
            if (owners.Others(linear.weight, matrix.Name + ".weight") is { Count: > 0 } others) throw new ArgumentException($"{matrix.Name} is tied: its weight is also {string.Join(" and ", others)}. Leave it out.", nameof(plan));
            if (grams is not null && !grams.ContainsKey(matrix.Name)) throw new ArgumentException($"There is no Gram matrix of {matrix.Name}.", nameof(grams));
        }

        return layers;
    }
}
