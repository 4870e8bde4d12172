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
    /// <param name="decompositions">Decompositions of the network's weights as they are, plain or of given Gram matrices, so that none is made here; null, the default, to make them. With them there are no grams, and their damping counts.</param>
    /// <param name="progress">Matrices done.</param>
    /// <param name="cancel">Checked between matrices, before anything is replaced.</param>
    /// <exception cref="ArgumentException">A matrix of the plan is no linear layer of the model, stands there twice, has another shape, a rank that there is not or no Gram matrix, is tied, or no matrix is a low-rank component; or the decompositions are of other weights. Nothing has changed.</exception>
    public static WeLoreResult Apply(
        nn.Module model, RankPlan plan, WeLoreOptions? options = null, IReadOnlyDictionary<string, Tensor>? grams = null, WeLoreDecompositions? decompositions = null,
        IProgress<ProgressReport>? progress = null, CancellationToken cancel = default)
    {
        ArgumentNullException.ThrowIfNull(model);
        ArgumentNullException.ThrowIfNull(plan);
        options ??= new();
        options.Validate();
        if (grams is not null && decompositions is not null) throw new ArgumentException("There are grams and decompositions; give the grams to the decompositions.", nameof(grams));
        Dictionary<string, Linear> layers = Layers(model, plan, grams);
        string[] low = [.. plan.Matrices.Where(m => m.Reduction > options.MinimumRatio).Select(m => m.Name)];
        if (options.Form == CutForm.Factored && low.Length == 0)
            throw new ArgumentException($"With the threshold {plan.Threshold:G3} no matrix gives up more than {options.MinimumRatio:P0} of its rank; nothing would be factored or trained.", nameof(plan));
        var made = new Dictionary<string, nn.Module<Tensor, Tensor>>(StringComparer.Ordinal);
        HashSet<string> components = [.. low];
        bool Changes(RankPlan.Matrix matrix) => options.Form == CutForm.Factored ? components.Contains(matrix.Name) : matrix.Kept < matrix.Full;
        foreach (RankPlan.Matrix matrix in plan.Matrices.Where(Changes)) decompositions?.Check(matrix.Name, layers[matrix.Name].weight!);
        int done = 0;
        try
        {
            foreach (RankPlan.Matrix matrix in plan.Matrices)
            {
                cancel.ThrowIfCancellationRequested();
                if (Changes(matrix)) made[matrix.Name] = Cut(layers[matrix.Name], matrix, options, grams?[matrix.Name], decompositions);
                progress?.Report(new(++done, plan.Matrices.Count, matrix.Name));
            }
        }
        catch
        {
            foreach (nn.Module one in made.Values) one.Dispose();
            throw;
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

    private static nn.Module<Tensor, Tensor> Cut(Linear linear, RankPlan.Matrix matrix, WeLoreOptions options, Tensor? gram, WeLoreDecompositions? decompositions)
    {
        using IDisposable off = no_grad();
        using FactorPair pair = decompositions is not null ? decompositions.Cut(matrix.Name, linear.weight!, matrix.Kept) : gram is null
            ? TruncatedSvd.Of(linear.weight!, matrix.Kept, matrix.Name) : ActivationAwareSvd.Of(linear.weight!, gram, matrix.Kept, options.Damping, matrix.Name);
        if (options.Form == CutForm.Factored) return LowRankLinear.FromFactors(pair, linear.bias);
        using Tensor product = pair.Product();
        return LinearOf.Weight(product, linear.bias);
    }

    private static Dictionary<string, Linear> Layers(nn.Module model, RankPlan plan, IReadOnlyDictionary<string, Tensor>? grams)
    {
        Dictionary<string, Linear> layers = LinearSlots.Of(model).Where(s => s.Module is Linear).ToDictionary(s => s.Name, s => (Linear)s.Module, StringComparer.Ordinal);
        var owners = new WeightOwners(model);
        if (plan.Matrices.GroupBy(m => m.Name, StringComparer.Ordinal).FirstOrDefault(g => g.Count() > 1) is { } twice) throw new ArgumentException($"{twice.Key} stands in the plan twice.", nameof(plan));
        foreach (RankPlan.Matrix matrix in plan.Matrices)
        {
            if (!layers.TryGetValue(matrix.Name, out Linear? linear)) throw new ArgumentException($"The model has no linear layer {matrix.Name}.", nameof(plan));
            if (linear.weight!.shape[0] != matrix.Rows || linear.weight.shape[1] != matrix.Columns)
                throw new ArgumentException($"{matrix.Name} is [{string.Join(", ", linear.weight.shape)}], in the plan [{matrix.Rows}, {matrix.Columns}].", nameof(plan));
            Decomposition.CheckRank(matrix.Kept, matrix.Rows, matrix.Columns, nameof(plan));
            if (owners.Others(linear.weight, matrix.Name + ".weight") is { Count: > 0 } others) throw new ArgumentException($"{matrix.Name} is tied: its weight is also {string.Join(" and ", others)}. Leave it out.", nameof(plan));
            if (grams is not null && !grams.ContainsKey(matrix.Name)) throw new ArgumentException($"There is no Gram matrix of {matrix.Name}.", nameof(grams));
        }

        return layers;
    }
}
