using System.Globalization;
using System.Numerics;
using System.Runtime.InteropServices;
using Sparseland.IO;
using Sparseland.Selection;
using Sparseland.Tensors;
using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Sparseland.Training;

/// <summary>
/// Which weights of a network are active: a mask for each of some parameters, true where a weight is kept. A weight is active because the mask
/// says so, never because its value is not zero.
/// </summary>
public sealed partial class MaskSet : IDisposable
{
    /// <summary>What the files of masks call themselves.</summary>
    internal const string FileKind = "sparseland.masks.1";

    private readonly Entry[] _entries;
    private readonly NativeSize _size;

    private MaskSet(IEnumerable<Entry> entries)
    {
        _entries = [.. entries];
        _size = NativeSize.Of(_entries.Select(e => e.Mask));
    }

    /// <summary>A random mask of one density on each parameter: exactly round(density size) weights, drawn without replacement.</summary>
    /// <param name="model">The network; nothing in it changes before <see cref="Apply"/>.</param>
    /// <param name="density">Share kept, above 0 and at most 1.</param>
    /// <param name="seed">Seed of the draw.</param>
    /// <param name="names">Parameters that are masked; null, the default, for all trainable ones of two and more dimensions.</param>
    /// <exception cref="ArgumentException">A density out of range or too small to keep a weight of a parameter, which is named; an unknown or tied parameter.</exception>
    public static MaskSet Random(nn.Module model, double density, long seed, IReadOnlyList<string>? names = null)
    {
        ArgumentNullException.ThrowIfNull(model);
        names ??= [.. OptimizerState.Trainable(model).Where(p => p.Parameter.dim() > 1).Select(p => p.Name)];
        if (names.GroupBy(name => name).FirstOrDefault(group => group.Count() > 1) is { } twice) throw new ArgumentException($"{twice.Key} is named twice; a parameter has one mask.", nameof(names));
        return Random(model, names.ToDictionary(name => name, _ => density), seed);
    }

    /// <summary>Random masks with a density for each parameter, as an allocation gives them.</summary>
    /// <param name="model">The network.</param>
    /// <param name="densities">Share kept by name, above 0 and at most 1.</param>
    /// <param name="seed">Seed of the draw.</param>
    /// <exception cref="ArgumentException">As for the other form.</exception>
    public static MaskSet Random(nn.Module model, IReadOnlyDictionary<string, double> densities, long seed)
    {
        ArgumentNullException.ThrowIfNull(densities);
        foreach ((string name, double density) in densities)
        {
            if (!(density is > 0 and <= 1)) throw new ArgumentOutOfRangeException(nameof(densities), density, $"The density of {name} must lie above 0 and not above 1.");
        }

        long stream = 0;
        return Of(model, densities.Keys, (name, parameter) =>
        {
            long size = parameter.numel(), kept = (long)Math.Round(densities[name] * size, MidpointRounding.AwayFromZero);
            if (kept == 0)
                throw new ArgumentException(string.Create(CultureInfo.InvariantCulture, $"A density of {densities[name]} keeps none of the {size} weights of {name}; take at least {1.0 / size:G3}."), nameof(densities));
            using Tensor scores = TopologyContext.RandomScores(parameter.shape, seed, 9_000 + stream++);
            return Select.TopK(scores, Budget.Global(checked((int)kept))).ToMask();
        });
    }

    /// <summary>Given masks.</summary>
    /// <param name="model">The network.</param>
    /// <param name="masks">Boolean masks by the name of the parameter, copied.</param>
    /// <exception cref="ArgumentException">An unknown or tied parameter, or a mask of another shape or type.</exception>
    public static MaskSet Of(nn.Module model, IReadOnlyDictionary<string, Tensor> masks)
    {
        ArgumentNullException.ThrowIfNull(masks);
        return Of(model, masks.Keys, (name, parameter) => Checked(name, parameter, masks[name]).clone());
    }

    /// <summary>The weights that are not zero now: the masks of a network that was pruned elsewhere.</summary>
    /// <param name="model">The network.</param>
    /// <param name="names">Parameters that are masked; null, the default, for all trainable ones of two and more dimensions.</param>
    /// <exception cref="ArgumentException">An unknown or tied parameter.</exception>
    public static MaskSet FromNonZeros(nn.Module model, IReadOnlyList<string>? names = null)
    {
        ArgumentNullException.ThrowIfNull(model);
        names ??= [.. OptimizerState.Trainable(model).Where(p => p.Parameter.dim() > 1).Select(p => p.Name)];
        return Of(model, names, (_, parameter) => parameter.ne(0));
    }

    /// <summary>
    /// Masks as a training of a pruned network finds them when it is loaded: of each layer among whose weights at least a share is zero, the weights that are not
    /// (Kurtic et al. 2023, whose code takes a share of 0.1). A weight that happens to be zero counts as pruned.
    /// </summary>
    /// <param name="model">The network; its prunable weights are looked at, see <see cref="PrunableWeights"/>.</param>
    /// <param name="minSparsity">Share of zeros from which on a layer counts as pruned, from 0 to below 1.</param>
    /// <exception cref="ArgumentException">The share is out of its range, or no layer has so many zeros.</exception>
    public static MaskSet FromNonZeros(nn.Module model, double minSparsity)
    {
        ArgumentNullException.ThrowIfNull(model);
        if (!(minSparsity is >= 0 and < 1)) throw new ArgumentOutOfRangeException(nameof(minSparsity), minSparsity, "minSparsity must be from 0 to below 1.");
        string[] pruned = [.. PrunableWeights.Of(model).Where(p => ZerosIn(p.Value) >= minSparsity).Select(p => p.Key)];
        if (pruned.Length == 0) throw new ArgumentException(string.Create(CultureInfo.InvariantCulture, $"No layer has a share of {minSparsity} zeros; the network is dense."), nameof(minSparsity));
        return FromNonZeros(model, pruned);

        static double ZerosIn(Tensor weight)
        {
            using DisposeScope scope = NewDisposeScope();
            return (double)TrueIn(weight.eq(0)) / weight.numel();
        }
    }

    /// <summary>How often a mask was replaced: who works with the masks sees that another did.</summary>
    internal long Version { get; private set; }

    /// <summary>Names of the masked parameters, in order.</summary>
    public IReadOnlyList<string> Names => [.. _entries.Select(e => e.Name)];

    /// <summary>Active weights of all parameters.</summary>
    public long Active => _entries.Sum(e => TrueIn(e.Mask));

    /// <summary>Weights of all masked parameters, active or not.</summary>
    public long Size => _entries.Sum(e => e.Mask.numel());

    /// <summary>Active weights over all.</summary>
    public double Density => (double)Active / Size;

    /// <summary>The mask of a parameter; it belongs to the set.</summary>
    /// <param name="name">Name of the parameter.</param>
    /// <exception cref="ArgumentException">It has no mask.</exception>
    public Tensor this[string name] => Find(name).Mask;

    /// <summary>Active weights of a parameter.</summary>
    /// <param name="name">Its name.</param>
    /// <exception cref="ArgumentException">It has no mask.</exception>
    public long ActiveOf(string name) => TrueIn(Find(name).Mask);

    /// <summary>The parameter behind a name.</summary>
    /// <param name="name">The name.</param>
    /// <exception cref="ArgumentException">It has no mask.</exception>
    /// <exception cref="InvalidOperationException">The network has other parameters by now: it was moved to another type or device.</exception>
    public Parameter ParameterOf(string name) => Alive(Find(name));

    /// <summary>The mask of a parameter as a support, leading dimensions together as rows.</summary>
    /// <param name="name">Name of the parameter.</param>
    /// <exception cref="ArgumentException">It has no mask.</exception>
    public Support SupportOf(string name) => Support.FromMask(Find(name).Mask);

    /// <summary>Replaces the mask of a parameter; its weights change with <see cref="Apply"/>.</summary>
    /// <param name="name">Name of the parameter.</param>
    /// <param name="mask">Boolean, of the parameter's shape; copied.</param>
    /// <exception cref="ArgumentException">No such parameter, or another shape or type.</exception>
    public void Set(string name, Tensor mask)
    {
        Entry entry = Find(name);
        using IDisposable off = no_grad();
        entry.Mask.copy_(Checked(name, entry.Parameter, mask));
        Version++;
    }

    /// <summary>Says that masks were written in place.</summary>
    internal void Touch() => Version++;

    /// <summary>Sets all inactive weights to zero.</summary>
    public void Apply()
    {
        using IDisposable off = no_grad();
        foreach (Entry entry in _entries)
        {
            MaskedZeros.Write(Alive(entry), entry.Mask, where: false);
        }
    }

    /// <summary>Sets the gradients of all inactive weights to zero.</summary>
    public void MaskGradients()
    {
        using IDisposable off = no_grad();
        foreach (Entry entry in _entries)
        {
            using Tensor? gradient = Alive(entry).grad;
            if (gradient is not null) MaskedZeros.Write(gradient, entry.Mask, where: false);
        }
    }

    /// <summary>The masks as they are now, for the same network.</summary>
    public MaskSet Copy() => new(_entries.Select(e => e with { Mask = e.Mask.clone().DetachFromDisposeScope() }));

    /// <summary>Writes the masks as safetensors.</summary>
    /// <param name="path">The file.</param>
    /// <exception cref="IOException">The file cannot be written.</exception>
    public void Save(string path) => SafeTensors.Save(path, _entries.ToDictionary(e => e.Name, e => e.Mask), new Dictionary<string, string> { ["kind"] = FileKind });

    /// <summary>Reads masks that <see cref="Save"/> wrote.</summary>
    /// <param name="path">The file.</param>
    /// <param name="model">A network with parameters of the same names and shapes.</param>
    /// <exception cref="InvalidDataException">It is no file of masks.</exception>
    /// <exception cref="ArgumentException">The masks are not this network's.</exception>
    public static MaskSet Load(string path, nn.Module model)
    {
        using SafeTensorsFile file = SafeTensors.Open(path);
        if (!file.Metadata.TryGetValue("kind", out string? kind) || kind != FileKind) throw new InvalidDataException($"'{path}' is no file of masks: its kind is '{kind}'.");
        using DisposeScope scope = NewDisposeScope();
        return Of(model, file.LoadAll());
    }

    /// <summary>Frees the masks; the network stays.</summary>
    public void Dispose()
    {
        foreach (Entry entry in _entries) entry.Mask.Dispose();
        _size.Dispose();
    }

    /// <inheritdoc/>
    public override string ToString() => string.Create(CultureInfo.InvariantCulture, $"MaskSet of {string.Join(", ", Names)}: {Active} of {Size} weights ({Density:0.###%})");

    internal static long TrueIn(Tensor mask)
    {
        using DisposeScope scope = NewDisposeScope();
        if (mask.device_type != DeviceType.CPU || mask.dtype != ScalarType.Bool) return mask.to(ScalarType.Int64).sum().item<long>();

        // A true is a byte of 1: bits are counted, eight places at a time.
        ReadOnlySpan<byte> bytes = MemoryMarshal.AsBytes(TensorMemory.Read<bool>(mask.contiguous()));
        ReadOnlySpan<ulong> words = MemoryMarshal.Cast<byte, ulong>(bytes);
        long count = 0;
        foreach (ulong word in words) count += BitOperations.PopCount(word);
        foreach (byte rest in bytes[(words.Length * sizeof(ulong))..]) count += rest;
        return count;
    }

    private static MaskSet Of(nn.Module model, IEnumerable<string> names, Func<string, Parameter, Tensor> mask)
    {
        ArgumentNullException.ThrowIfNull(model);
        (string Name, Parameter Parameter)[] all = OptimizerState.Trainable(model);
        nint[] identities = [.. all.Select(p => TensorMemory.Identity(p.Parameter))];
        string[] wanted = [.. names];
        if (wanted.Length == 0) throw new ArgumentException("No parameter is named, and the network has none of two dimensions; there is nothing to mask.", nameof(names));
        if (wanted.GroupBy(name => name).FirstOrDefault(group => group.Count() > 1) is { } twice) throw new ArgumentException($"{twice.Key} is named twice; a parameter has one mask.", nameof(names));
        var entries = new List<Entry>();
        using IDisposable off = no_grad();
        using DisposeScope scope = NewDisposeScope();
        foreach (string name in wanted)
        {
            int at = Array.FindIndex(all, p => p.Name == name);
            if (at < 0) throw new ArgumentException($"No trainable parameter is \"{name}\"; there are {string.Join(", ", all.Select(p => p.Name))}.", nameof(names));
            int twin = Array.FindIndex(identities, identity => identity == identities[at]);
            if (twin == at) twin = Array.FindIndex(identities, at + 1, identity => identity == identities[at]);
            if (twin >= 0) throw new ArgumentException($"{name} and {all[twin].Name} are one tied parameter, which cannot have a mask of its own.", nameof(names));
            entries.Add(new(name, all[at].Parameter, mask(name, all[at].Parameter).to(all[at].Parameter.device)));
        }

        return new(entries.Select(e => e with { Mask = e.Mask.DetachFromDisposeScope() }));
    }

    private static Tensor Checked(string name, Parameter parameter, Tensor mask)
    {
        ArgumentNullException.ThrowIfNull(mask);
        if (mask.dtype != ScalarType.Bool || !mask.shape.SequenceEqual(parameter.shape))
            throw new ArgumentException($"The mask of {name} must be Bool [{string.Join(", ", parameter.shape)}], but is {mask.dtype} [{string.Join(", ", mask.shape)}].", nameof(mask));
        return mask;
    }

    private Entry Find(string name) => Array.Find(_entries, e => e.Name == name) ?? throw new ArgumentException($"{name} has no mask; there are {string.Join(", ", Names)}.", nameof(name));

    private static Parameter Alive(Entry entry) => entry.Parameter.IsInvalid
        ? throw new InvalidOperationException($"{entry.Name} is no longer the network's parameter: a network that is moved to another type or device gets new ones. Bind the masks to it again, with For.")
        : entry.Parameter;

    private sealed record Entry(string Name, Parameter Parameter, Tensor Mask);
}
