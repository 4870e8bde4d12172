using System.Globalization;
using Sparseland.Tensors;
using Sparseland.Training;
using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Sparseland.FineTuning;

/// <summary>Which weights SaRA trains: those of small magnitude, by one threshold for the whole network.</summary>
public sealed record SaraSelection
{
    /// <summary>theta: weights with abs(P) below it are trained; infinity for all. Default null: <see cref="Share"/> decides.</summary>
    public double? Threshold { get; init; }

    /// <summary>Share of the weights that are trained, above 0 to 1; theta is the quantile. Default null, which is 0.1 where no threshold is given.</summary>
    public double? Share { get; init; }

    /// <summary>Which parameters take part, by name. Default null: the weights of linear layers and convolutions, see <see cref="PrunableWeights"/>; biases and norms that begin at zero would all count as idle.</summary>
    public Func<string, bool>? Filter { get; init; }

    /// <summary>Throws when a value is outside its range, or both are given.</summary>
    /// <exception cref="ArgumentException">A value is outside its range, or both are given.</exception>
    public void Validate()
    {
        if (Threshold is not null && Share is not null) throw new ArgumentException($"Threshold is {Threshold} and Share {Share}; give one of them.", nameof(Share));
        if (Threshold is { } threshold && !(threshold > 0)) throw new ArgumentOutOfRangeException(nameof(Threshold), threshold, "Threshold must be above 0.");
        if (Share is { } share && !(share is > 0 and <= 1)) throw new ArgumentOutOfRangeException(nameof(Share), share, "Share must lie above 0 and not above 1.");
    }

    /// <summary>Applies it to a network as it is now.</summary>
    /// <param name="model">The network; nothing in it changes.</param>
    /// <exception cref="ArgumentException">A value is outside its range, no parameter is named, or nothing is selected.</exception>
    public SaraChoice Of(nn.Module model)
    {
        ArgumentNullException.ThrowIfNull(model);
        Validate();
        IReadOnlyDictionary<string, Parameter> prunable = PrunableWeights.Of(model);
        (string Name, Parameter Parameter)[] chosen = [.. prunable.Where(p => Filter is null || Filter(p.Key)).Select(p => (p.Key, p.Value))];
        if (chosen.Length == 0) throw new ArgumentException($"No weight of the network is named; there are {string.Join(", ", prunable.Keys)}.", nameof(Filter));
        using DisposeScope scope = NewDisposeScope();
        using IDisposable off = no_grad();
        Tensor all = cat([.. chosen.Select(p => p.Parameter.detach().abs().reshape(-1).to(ScalarType.Float64))]);
        if (!TensorInput.IsFinite(all)) throw new ArgumentException("A weight of the network is not finite.", nameof(model));
        double theta = Threshold ?? Quantile(all, Share ?? 0.1);
        Dictionary<string, Tensor> masks = chosen.ToDictionary(p => p.Name, p => p.Parameter.detach().abs().to(ScalarType.Float64).lt(theta));
        long count = masks.Values.Sum(MaskSet.TrueIn);
        if (count == 0 && Threshold is null)
            throw new ArgumentException(string.Create(CultureInfo.InvariantCulture, $"At a share of {Share ?? 0.1} theta is {theta:G4}, and no weight is smaller: too many are equal (a pruned network has zeros). Give a Threshold, or leave such weights out."), nameof(Share));
        if (count == 0) throw new ArgumentException(string.Create(CultureInfo.InvariantCulture, $"No weight is smaller than theta = {theta:G4}; the smallest magnitude is {all.min().item<double>():G4}."), nameof(Threshold));
        double share = (double)count / all.numel();
        string? warning = share > 0.5 ? string.Create(CultureInfo.InvariantCulture, $"{share:P0} of the weights are trained: this is hardly sparse any more.") : null;
        return new(MaskSet.Of(model, masks), theta, share, warning);
    }

    /// <inheritdoc/>
    public override string ToString() => Threshold is { } t ? string.Create(CultureInfo.InvariantCulture, $"weights below {t:G4}") : string.Create(CultureInfo.InvariantCulture, $"the smallest {Share ?? 0.1:P1} of the weights");

    private static double Quantile(Tensor all, double share)
    {
        long count = (long)Math.Round(share * all.numel(), MidpointRounding.AwayFromZero);
        if (count == 0) throw new ArgumentOutOfRangeException(nameof(Share), share, $"Share selects none of the {all.numel()} weights.");
        if (count == all.numel()) return double.PositiveInfinity;
        return all.kthvalue(count + 1, 0).values.item<double>();
    }
}

/// <summary>What a selection found.</summary>
/// <param name="Masks">Which weights are trained; dispose them.</param>
/// <param name="Threshold">theta.</param>
/// <param name="Share">Share of the weights that are trained.</param>
/// <param name="Warning">What is to be known; null for nothing.</param>
public sealed record SaraChoice(MaskSet Masks, double Threshold, double Share, string? Warning) : IDisposable
{
    /// <summary>Frees the masks.</summary>
    public void Dispose() => Masks.Dispose();

    /// <inheritdoc/>
    public override string ToString() => Readable.Of(this);
}
