using Sparseland.IO;
using Sparseland.Tensors;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Training;

/// <summary>How alike two keep-masks of the same weights are.</summary>
/// <param name="Both">Weights that both keep.</param>
/// <param name="First">Weights that the first keeps.</param>
/// <param name="Second">Weights that the second keeps.</param>
/// <param name="Size">All weights.</param>
public sealed record MaskOverlap(long Both, long First, long Second, long Size)
{
    /// <summary>|A and B| / sqrt(|A| |B|); NaN where one keeps nothing.</summary>
    public double Cosine => Both / Math.Sqrt((double)First * Second);

    /// <summary>|A and B| / |A or B|; NaN where both keep nothing.</summary>
    public double Jaccard => (double)Both / (First + Second - Both);

    /// <summary>|A and B| / |A| and |A and B| / |B|: the share of each set that the other has too; NaN for a set that keeps nothing.</summary>
    public (double First, double Second) OneSided => ((double)Both / First, (double)Both / Second);

    /// <summary>What <see cref="OneSided"/> is in expectation for independent sets: the density of the other, |B| / n and |A| / n.</summary>
    public (double First, double Second) OneSidedByChance => ((double)Second / Size, (double)First / Size);

    /// <summary>Weights that one keeps and the other does not.</summary>
    public long Different => First + Second - (2 * Both);

    /// <summary>The cosine that two independent masks of these densities have in expectation: sqrt(d1 d2), which is the density of both where they are equal.</summary>
    public double CosineByChance => Math.Sqrt((double)First / Size * Second / Size);

    /// <inheritdoc/>
    public override string ToString() => Readable.Of(this);
}

/// <content>Masks compared and combined.</content>
public sealed partial class MaskSet
{
    /// <summary>Reads the masks of a pruned model's folder: all files in its masks folder together.</summary>
    /// <param name="folder">The model's folder, or its masks folder.</param>
    /// <param name="model">The model.</param>
    /// <exception cref="DirectoryNotFoundException">There are no masks.</exception>
    /// <exception cref="InvalidDataException">A file there is no file of masks, or two have a mask of one parameter.</exception>
    /// <exception cref="ArgumentException">The masks are not this model's.</exception>
    public static MaskSet LoadFolder(string folder, nn.Module model)
    {
        ArgumentException.ThrowIfNullOrEmpty(folder);
        string inside = Path.Combine(folder, "masks"), place = Directory.Exists(inside) ? inside : folder;
        string[] files = Directory.Exists(place) ? [.. Directory.EnumerateFiles(place, "*.safetensors").Order(StringComparer.Ordinal)] : [];
        if (files.Length == 0) throw new DirectoryNotFoundException($"'{folder}' holds no masks.");
        using DisposeScope scope = NewDisposeScope();
        var masks = new Dictionary<string, Tensor>();
        foreach (string path in files)
        {
            using SafeTensorsFile file = SafeTensors.Open(path);
            if (file.Metadata.GetValueOrDefault("kind") != FileKind) throw new InvalidDataException($"'{path}' is no file of masks.");
            foreach ((string name, Tensor mask) in file.LoadAll())
            {
                if (!masks.TryAdd(name, mask)) throw new InvalidDataException($"'{place}' has two masks of {name}, one of them in '{path}'.");
            }
        }

        return Of(model, masks);
    }

    /// <summary>The same masks on another network of the same structure.</summary>
    /// <param name="model">The network; nothing in it changes before <see cref="Apply"/>.</param>
    /// <exception cref="ArgumentException">It lacks a masked parameter, or has it in another shape.</exception>
    public MaskSet For(nn.Module model) => Of(model, _entries.ToDictionary(e => e.Name, e => e.Mask));

    /// <summary>Weights that both sets keep.</summary>
    /// <param name="other">Masks of the same parameters.</param>
    /// <exception cref="ArgumentException">Other parameters.</exception>
    public MaskSet And(MaskSet other) => Combine(other, (a, b) => a.logical_and(b));

    /// <summary>Weights that at least one set keeps: the zeros that are left of an average of two networks are the others.</summary>
    /// <param name="other">Masks of the same parameters.</param>
    /// <exception cref="ArgumentException">Other parameters.</exception>
    public MaskSet Or(MaskSet other) => Combine(other, (a, b) => a.logical_or(b));

    /// <summary>How alike the two sets are over all weights.</summary>
    /// <param name="other">Masks of the same parameters.</param>
    /// <exception cref="ArgumentException">Other parameters.</exception>
    public MaskOverlap Overlap(MaskSet other) =>
        OverlapByLayer(other).Values.Aggregate(new MaskOverlap(0, 0, 0, 0), (a, b) => new(a.Both + b.Both, a.First + b.First, a.Second + b.Second, a.Size + b.Size));

    /// <summary>How alike the two sets are, parameter by parameter.</summary>
    /// <param name="other">Masks of the same parameters.</param>
    /// <exception cref="ArgumentException">Other parameters.</exception>
    public IReadOnlyDictionary<string, MaskOverlap> OverlapByLayer(MaskSet other)
    {
        RequireSame(other);
        return _entries.ToDictionary(e => e.Name, e =>
        {
            Tensor second = other[e.Name];
            using Tensor both = e.Mask.logical_and(second);
            return new MaskOverlap(TrueIn(both), TrueIn(e.Mask), TrueIn(second), e.Mask.numel());
        });
    }

    private MaskSet Combine(MaskSet other, Func<Tensor, Tensor, Tensor> rule)
    {
        RequireSame(other);
        using IDisposable off = no_grad();
        return new(_entries.Select(e => e with { Mask = rule(e.Mask, other[e.Name]).DetachFromDisposeScope() }));
    }

    private void RequireSame(MaskSet other)
    {
        ArgumentNullException.ThrowIfNull(other);
        if (_entries.Length != other._entries.Length) throw new ArgumentException($"One set masks {string.Join(", ", Names)}, the other {string.Join(", ", other.Names)}.", nameof(other));
        foreach (Entry entry in _entries)
        {
            Tensor second = other[entry.Name];
            if (!second.shape.SequenceEqual(entry.Mask.shape))
                throw new ArgumentException($"The masks of {entry.Name} are [{string.Join(", ", entry.Mask.shape)}] and [{string.Join(", ", second.shape)}].", nameof(other));
        }
    }
}
