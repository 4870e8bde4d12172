using TorchSharp;

namespace Sparseland.Kernels;

/// <summary>Ways to multiply weights, by the format that they are kept in.</summary>
public enum ProductKernel
{
    /// <summary>The dense matrix: libtorch.</summary>
    Dense,

    /// <summary><see cref="CsrMatrix"/>: gathers for a vector, broadcasts for several.</summary>
    Csr,

    /// <summary><see cref="CscMatrix"/>.</summary>
    Csc,

    /// <summary><see cref="SellMatrix"/>.</summary>
    Sell,

    /// <summary><see cref="BitmapMatrix"/>: values are spread to the bits of a row.</summary>
    Bitmap,

    /// <summary><see cref="BitmapTileMatrix"/> with float32 values: load as sparse, compute as dense.</summary>
    BitmapTiles,

    /// <summary><see cref="TiledCslMatrix"/>: the same by scattering; values are rounded to float16.</summary>
    TiledCsl,
}

/// <summary>A line of the table: up to so many vectors and from so full on, which way.</summary>
/// <param name="MostVectors">Vectors that are multiplied together, at most.</param>
/// <param name="LeastDensity">Share of weights that are stored, at least.</param>
/// <param name="Kernel">The way.</param>
public sealed record ProductRule(int MostVectors, double LeastDensity, ProductKernel Kernel);

/// <summary>Which way to multiply weights of some density by some vectors: one table, from measurements of matrices that are read from memory.</summary>
public static class ProductChooser
{
    /// <summary>
    /// The table of this machine: the first line with enough vectors and no more density than there is. With AVX-512 the values of a bitmap are
    /// spread by one instruction; without it they are spread one by one, and no format beats compressed rows.
    /// </summary>
    public static IReadOnlyList<ProductRule> Table { get; } = For(KernelPaths.Widest);

    /// <summary>The table for instructions, whether or not this machine has them.</summary>
    internal static IReadOnlyList<ProductRule> For(KernelPath path) => path == KernelPath.Vector512
        ?
        [
            new(3, 0.85, ProductKernel.Dense), new(3, 0.35, ProductKernel.Bitmap), new(3, 0, ProductKernel.Csr),
            new(8, 0.6, ProductKernel.Dense), new(8, 0.4, ProductKernel.BitmapTiles), new(8, 0, ProductKernel.Csr),
            new(int.MaxValue, 0.3, ProductKernel.Dense), new(int.MaxValue, 0, ProductKernel.Csr),
        ]
        :
        [
            new(1, 0.5, ProductKernel.Dense), new(1, 0, ProductKernel.Csr),
            new(16, 0.85, ProductKernel.Dense), new(16, 0, ProductKernel.Csr),
            new(32, 0.5, ProductKernel.Dense), new(32, 0, ProductKernel.Csr),
            new(int.MaxValue, 0.3, ProductKernel.Dense), new(int.MaxValue, 0, ProductKernel.Csr),
        ];

    /// <summary>The way for a product.</summary>
    /// <param name="density">Share of weights that are stored, from 0 to 1.</param>
    /// <param name="vectors">Vectors that are multiplied together, positive.</param>
    /// <exception cref="ArgumentOutOfRangeException">A number is out of its range.</exception>
    public static ProductKernel Choose(double density, int vectors)
    {
        if (density is not (>= 0 and <= 1)) throw new ArgumentOutOfRangeException(nameof(density), density, "density is from 0 to 1.");
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(vectors);
        return Choose(Table, density, vectors);
    }

    internal static ProductKernel Choose(IReadOnlyList<ProductRule> table, double density, int vectors) =>
        table.First(rule => vectors <= rule.MostVectors && density >= rule.LeastDensity).Kernel;

    /// <summary>A way by its name, so that one can be forced: dense, csr, csc, sell, bitmap, bitmap_tiles, tiled_csl.</summary>
    /// <param name="name">The name of a format.</param>
    /// <exception cref="ArgumentException">Another name.</exception>
    public static ProductKernel Parse(string name)
    {
        ArgumentNullException.ThrowIfNull(name);
        string plain = name.Replace("_", "", StringComparison.Ordinal);
        return Enum.GetNames<ProductKernel>().Any(way => way.Equals(plain, StringComparison.OrdinalIgnoreCase)) ? Enum.Parse<ProductKernel>(plain, ignoreCase: true)
            : throw new ArgumentException($"The way '{name}' is not known; dense, csr, csc, sell, bitmap, bitmap_tiles and tiled_csl are.", nameof(name));
    }

    /// <summary>A matrix in the format of a way.</summary>
    /// <param name="kernel">The way; not <see cref="ProductKernel.Dense"/>, whose matrix is a tensor.</param>
    /// <param name="matrix">The weights.</param>
    /// <exception cref="ArgumentException">The dense way, or values that the format cannot hold.</exception>
    public static SparseMatrix Make(ProductKernel kernel, CsrMatrix matrix)
    {
        ArgumentNullException.ThrowIfNull(matrix);
        return kernel switch
        {
            ProductKernel.Csr => matrix,
            ProductKernel.Csc => CscMatrix.FromCsr(matrix),
            ProductKernel.Sell => SellMatrix.FromCsr(matrix),
            ProductKernel.Bitmap => BitmapMatrix.FromCsr(matrix),
            ProductKernel.BitmapTiles => BitmapTileMatrix.FromCsr(matrix),
            ProductKernel.TiledCsl => TiledCslMatrix.FromCsr(matrix),
            _ => throw new ArgumentException($"{kernel} is no compressed format; keep the dense matrix.", nameof(kernel)),
        };
    }

    /// <summary>Y = X W^T by a way, chosen or forced.</summary>
    /// <remarks>The dense way and tiles multiply what is not stored as a zero, so that an infinite or NaN number of X makes NaN there; the others leave it out.</remarks>
    /// <param name="matrix">W [rows, columns].</param>
    /// <param name="X">[..., columns], Float32, on the CPU.</param>
    /// <param name="kernel">The way; null, the default, for the table's. Each call converts the weights: to multiply often, keep what <see cref="Make"/> gives.</param>
    /// <returns>[..., rows].</returns>
    /// <exception cref="ArgumentException">Something does not fit.</exception>
    public static torch.Tensor Multiply(CsrMatrix matrix, torch.Tensor X, ProductKernel? kernel = null)
    {
        ArgumentNullException.ThrowIfNull(matrix);
        matrix.CheckInput(X);
        long weights = Math.Max(1, (long)matrix.Rows * matrix.Columns);
        kernel ??= Choose((double)matrix.Count / weights, (int)Math.Clamp(X.NumberOfElements / Math.Max(1, matrix.Columns), 1, int.MaxValue));
        if (kernel != ProductKernel.Dense) return Make(kernel.Value, matrix).Multiply(X);
        using DisposeScope scope = torch.NewDisposeScope();
        using IDisposable off = torch.no_grad();
        return torch.nn.functional.linear(X, matrix.ToDense()).MoveToOuterDisposeScope();
    }
}
