namespace Sparseland.Models;

/// <summary>For what images a <see cref="ChannelMajorNetwork"/> is compiled; others run too, with the kernels chosen for these.</summary>
public sealed record ChannelMajorOptions
{
    /// <summary>Rows of an image. Default 32.</summary>
    public int Height { get; init; } = 32;

    /// <summary>Columns of an image. Default 32.</summary>
    public int Width { get; init; } = 32;

    /// <summary>Images at once, side by side inside each channel. Default 1.</summary>
    public int Images { get; init; } = 1;

    /// <summary>
    /// Whether each layer's kernels are tried and the quickest taken, the dense one too: a layer with too many weights left runs dense. Default true. Otherwise a layer with zeros is taken as
    /// sparse, in the largest blocks that its zeros allow. Results are the same bits either way.
    /// </summary>
    public bool Measure { get; init; } = true;

    /// <summary>Threads; 0, the default, for as many as libtorch has.</summary>
    public int Threads { get; init; }

    /// <summary>Refuses what has no meaning.</summary>
    /// <exception cref="ArgumentOutOfRangeException">A number is not positive.</exception>
    public void Validate()
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(Height);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(Width);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(Images);
        ArgumentOutOfRangeException.ThrowIfNegative(Threads);
    }
}

/// <summary>A layer of a <see cref="ChannelMajorNetwork"/>.</summary>
/// <param name="Name">Path of its module.</param>
/// <param name="Kernel">What runs: "dense", "sparse, M = 2", "groups of 16, channels in a vector", "depthwise", "pooling", ...</param>
/// <param name="Inputs">Input channels.</param>
/// <param name="Outputs">Output channels.</param>
/// <param name="Height">Rows that it gives.</param>
/// <param name="Width">Columns that it gives.</param>
/// <param name="Density">Share of its weights that are stored; 1 for layers without weights.</param>
/// <param name="Operations">Two for each stored weight and position of one image.</param>
/// <param name="DenseOperations">The same if no weight were missing.</param>
/// <param name="Milliseconds">Median time for the images of the options; NaN until it has been measured.</param>
public sealed record ChannelMajorLayer(
    string Name, string Kernel, int Inputs, int Outputs, int Height, int Width, double Density, long Operations, long DenseOperations, double Milliseconds);
