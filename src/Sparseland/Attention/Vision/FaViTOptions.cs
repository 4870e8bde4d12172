using Sparseland.Tensors;

namespace Sparseland.Attention.Vision;

/// <summary>What mixes the places of a map in a <see cref="FaViT"/>.</summary>
public enum MapMixing
{
    /// <summary><see cref="FactorizedAttention"/>.</summary>
    Factorized,

    /// <summary><see cref="WindowAttention"/> in windows that stay.</summary>
    Windows,

    /// <summary><see cref="WindowAttention"/> in windows that are moved by half a window in every second block.</summary>
    ShiftedWindows,

    /// <summary><see cref="WindowAttention"/> over the whole map.</summary>
    Dense,

    /// <summary>No attention at all: what the convolutions of the skeleton do alone.</summary>
    None,
}

/// <summary>Sizes of a <see cref="FaViT"/>. Lists have one entry per stage; the defaults are those of <see cref="B0"/>.</summary>
public sealed record FaViTOptions
{
    /// <summary>3,427,704 parameters with 1,000 classes.</summary>
    public static FaViTOptions B0 { get; } = new();

    /// <summary>12,958,568 parameters with 1,000 classes.</summary>
    public static FaViTOptions B1 { get; } = new() { Widths = [64, 128, 256, 512] };

    /// <summary>24,919,896 parameters with 1,000 classes.</summary>
    public static FaViTOptions B2 { get; } = new() { Widths = [64, 128, 256, 512], Depths = [2, 3, 18, 3] };

    /// <summary>About 48 M parameters with 1,000 classes.</summary>
    public static FaViTOptions B3 { get; } = new() { Widths = [96, 192, 384, 768], Depths = [2, 3, 14, 3] };

    /// <summary>For images of 28 x 28: maps of 28, 14 and 7, reductions 4, 2 and 1, so that every group of every stage has 49 keys, as in the paper.</summary>
    public static FaViTOptions Small28 { get; } = new()
    {
        Classes = 10, Widths = [32, 64, 128], Depths = [1, 1, 1], Heads = [1, 2, 4], Reductions = [4, 2, 1], MlpRatios = [4, 4, 4], StemKernel = 3, StemStride = 1,
    };

    /// <summary>
    /// One stage alone, a map of 14 x 14 with reduction 2, for comparisons of attentions in many trainings: in several stages the last map is a single window, where every attention is dense.
    /// </summary>
    public static FaViTOptions Flat28 { get; } = new()
    {
        Classes = 10, Widths = [16], Depths = [2], Heads = [1], Reductions = [2], MlpRatios = [2], StemKernel = 3, StemStride = 2,
    };

    /// <summary>Channels of the images. Default 3.</summary>
    public int Channels { get; init; } = 3;

    /// <summary>Classes. Default 1000.</summary>
    public int Classes { get; init; } = 1000;

    /// <summary>Channels of each stage. Default 32, 64, 128, 256.</summary>
    public IReadOnlyList<int> Widths { get; init; } = [32, 64, 128, 256];

    /// <summary>Blocks of each stage. Default 2, 2, 6, 2.</summary>
    public IReadOnlyList<int> Depths { get; init; } = [2, 2, 6, 2];

    /// <summary>Heads of each stage. Default 1, 2, 4, 8.</summary>
    public IReadOnlyList<int> Heads { get; init; } = [1, 2, 4, 8];

    /// <summary>r of each stage, for <see cref="MapMixing.Factorized"/>. Default 8, 4, 2, 1.</summary>
    public IReadOnlyList<int> Reductions { get; init; } = [8, 4, 2, 1];

    /// <summary>Hidden width of each stage's MLP over its width. Default 8, 6, 4, 4.</summary>
    public IReadOnlyList<int> MlpRatios { get; init; } = [8, 6, 4, 4];

    /// <summary>Side of the first convolution, odd and above its stride; padding is half of it. Later stages begin with 3 x 3, stride 2. Default 7.</summary>
    public int StemKernel { get; init; } = 7;

    /// <summary>Stride of the first convolution. Default 4.</summary>
    public int StemStride { get; init; } = 4;

    /// <summary>Side of the windows, odd and at least 3. Default 7.</summary>
    public int Window { get; init; } = 7;

    /// <summary>What mixes the places. Default <see cref="MapMixing.Factorized"/>.</summary>
    public MapMixing Mixing { get; init; } = MapMixing.Factorized;

    /// <summary>Whether windows are fused as the authors' code does (<see cref="WindowFusion.AsPublished"/>). Default false: the mean, as the paper says.</summary>
    public bool FusedAsPublished { get; init; }

    /// <summary>The options of a name: "b0", "b1", "b2", "b3", "small28" or "flat28", in any case.</summary>
    /// <param name="name">The name.</param>
    /// <exception cref="ArgumentException">There is no such name; the message has those that there are.</exception>
    public static FaViTOptions Named(string name)
    {
        ArgumentNullException.ThrowIfNull(name);
        return name.ToUpperInvariant() switch
        {
            "B0" => B0,
            "B1" => B1,
            "B2" => B2,
            "B3" => B3,
            "SMALL28" => Small28,
            "FLAT28" => Flat28,
            _ => throw new ArgumentException($"There is no FaViT \"{name}\"; there are b0, b1, b2, b3, small28 and flat28.", nameof(name)),
        };
    }

    /// <summary>Rows and columns of each stage's map for images of a size.</summary>
    /// <param name="height">Rows of an image.</param>
    /// <param name="width">Columns of an image.</param>
    public IReadOnlyList<(int Height, int Width)> Maps(int height, int width)
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(height);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(width);
        static int After(int side, int stride) => ((side - 1) / stride) + 1;
        var maps = new List<(int, int)>();
        for (int stage = 0; stage < Widths.Count; stage++)
        {
            int stride = stage == 0 ? StemStride : 2;
            (height, width) = (After(height, stride), After(width, stride));
            maps.Add((height, width));
        }

        return maps;
    }

    /// <summary>Refuses what has no meaning.</summary>
    /// <exception cref="ArgumentException">A number is out of its range, or the lists are not equally long.</exception>
    public void Validate()
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(Channels);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(Classes);
        if (Widths is null || Widths.Count == 0) throw new ArgumentException($"{nameof(Widths)} must have an entry per stage, and there must be a stage.", nameof(Widths));
        Each(Widths, nameof(Widths));
        Each(Depths, nameof(Depths));
        Each(Heads, nameof(Heads));
        Each(Reductions, nameof(Reductions));
        Each(MlpRatios, nameof(MlpRatios));
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(StemStride);
        if (StemKernel % 2 == 0 || StemKernel <= StemStride && StemStride > 1 || StemKernel < 1)
            throw new ArgumentOutOfRangeException(nameof(StemKernel), StemKernel, $"{nameof(StemKernel)} must be odd and above {nameof(StemStride)} = {StemStride}, so that patches overlap.");
        WindowComb.CheckWindow(Window);
        if (!Enum.IsDefined(Mixing)) throw new ArgumentOutOfRangeException(nameof(Mixing), Mixing, "There is no such mixing.");
    }

    private void Each(IReadOnlyList<int> values, string name)
    {
        if (values is null || values.Count != Widths.Count || values.Any(v => v < 1))
            throw new ArgumentException($"{name} are [{string.Join(", ", values ?? [])}]; they must be {Widths.Count} positive numbers, one per stage.", name);
    }

    /// <inheritdoc/>
    public override string ToString() => Readable.Of(this);
}
