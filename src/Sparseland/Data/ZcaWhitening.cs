using Sparseland.Tensors;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Data;

/// <summary>
/// ZCA whitening: the symmetric linear map W = U (Lambda + epsilon)^(-1/2) U^T of centred data, with U Lambda U^T the
/// covariance. Of all maps that whiten it changes the data least (Bell and Sejnowski 1997), so patches stay pictures.
/// </summary>
/// <param name="Mean">[features], what is subtracted first.</param>
/// <param name="Matrix">[features, features], W.</param>
/// <param name="Inverse">[features, features], the inverse of W.</param>
/// <param name="Eigenvalues">[features], of the covariance (divisor: samples), ascending, without epsilon.</param>
/// <param name="Epsilon">What was added to the eigenvalues.</param>
public sealed record ZcaWhitening(Tensor Mean, Tensor Matrix, Tensor Inverse, Tensor Eigenvalues, double Epsilon) : IDisposable
{
    private readonly NativeSize _size = NativeSize.Of(Mean, Matrix, Inverse, Eigenvalues);

    /// <summary>Fits the map to data.</summary>
    /// <param name="X">[samples, features], float32 or float64, finite, at least two samples.</param>
    /// <param name="epsilon">
    /// Added to the variance of every direction, not negative, in the square of the data's unit. With 0 the covariance of the
    /// whitened data is exactly the identity, which needs data that vary in every direction: patches whose own mean was
    /// subtracted do not.
    /// Default 1e-5.
    /// </param>
    /// <returns>The map, in the type and on the device of the data. Its tensors belong to the caller.</returns>
    /// <exception cref="ArgumentException">Wrong shape or type, a value that is not finite, or a direction without variance while epsilon is 0.</exception>
    /// <exception cref="ArgumentOutOfRangeException">Epsilon is negative or not finite.</exception>
    public static ZcaWhitening Fit(Tensor X, double epsilon = 1e-5)
    {
        Validate(X, nameof(X));
        if (!double.IsFinite(epsilon) || epsilon < 0)
            throw new ArgumentOutOfRangeException(nameof(epsilon), epsilon, "Epsilon must be finite and not negative.");
        if (X.shape[0] < 2)
            throw new ArgumentException($"A covariance needs at least two samples, not {X.shape[0]}.", nameof(X));

        using DisposeScope scope = NewDisposeScope();
        // In double whatever the data: float32 loses the small eigenvalues, which whitening multiplies most.
        Tensor data = X.to(ScalarType.Float64);
        Tensor mean = data.mean([0]);
        Tensor centred = data - mean;
        (Tensor eigenvalues, Tensor vectors) = linalg.eigh(centred.t().mm(centred) / X.shape[0]);
        Tensor variances = eigenvalues.clamp(min: 0) + epsilon;
        double smallest = variances.min().item<double>();
        if (smallest <= 1e-12 * variances.max().item<double>())
            throw new ArgumentException($"The data have a direction without variance (smallest {smallest:G3}); give a positive epsilon, as 1e-5 of the variance, or leave that direction out.", nameof(X));
        Tensor root = variances.sqrt();
        Tensor matrix = (vectors / root).mm(vectors.t());
        Tensor inverse = (vectors * root).mm(vectors.t());
        return new ZcaWhitening(Keep(mean), Keep(matrix), Keep(inverse), Keep(eigenvalues), epsilon);

        Tensor Keep(Tensor tensor) => tensor.to(X.dtype).MoveToOuterDisposeScope();
    }

    /// <summary>Whitens data: (X - Mean) W.</summary>
    /// <param name="X">[samples, features], of the type the map was fitted in.</param>
    /// <returns>[samples, features].</returns>
    /// <exception cref="ArgumentException">Wrong shape or type, or a value that is not finite.</exception>
    public Tensor Apply(Tensor X)
    {
        Fits(X);
        using DisposeScope scope = NewDisposeScope();
        return (X - Mean).mm(Matrix).MoveToOuterDisposeScope();
    }

    /// <summary>Takes whitened data back: Z W^-1 + Mean.</summary>
    /// <param name="Z">[samples, features], of the type the map was fitted in.</param>
    /// <returns>[samples, features].</returns>
    /// <exception cref="ArgumentException">Wrong shape or type, or a value that is not finite.</exception>
    public Tensor Invert(Tensor Z)
    {
        Fits(Z);
        using DisposeScope scope = NewDisposeScope();
        return (Z.mm(Inverse) + Mean).MoveToOuterDisposeScope();
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        Mean.Dispose();
        Matrix.Dispose();
        Inverse.Dispose();
        Eigenvalues.Dispose();
        _size.Dispose();
    }

    private void Fits(Tensor data)
    {
        Validate(data, nameof(data));
        if (data.shape[1] != Mean.shape[0] || data.dtype != Mean.dtype)
            throw new ArgumentException($"The map takes [samples, {Mean.shape[0]}] of {Mean.dtype}, not [{string.Join(", ", data.shape)}] of {data.dtype}.", nameof(data));
    }

    private static void Validate(Tensor data, string name)
    {
        ArgumentNullException.ThrowIfNull(data, name);
        if (data.dim() != 2 || data.shape[0] < 1 || data.shape[1] < 1)
            throw new ArgumentException($"Data are [samples, features], not [{string.Join(", ", data.shape)}].", name);
        if (data.dtype is not (ScalarType.Float32 or ScalarType.Float64))
            throw new ArgumentException($"Data are float32 or float64, not {data.dtype}.", name);
        using DisposeScope scope = NewDisposeScope();
        if (!isfinite(data).all().item<bool>())
            throw new ArgumentException("The data hold a value that is not finite.", name);
    }

    /// <inheritdoc/>
    public override string ToString() => Readable.Of(this);
}
