using Sparseland.Tensors;
using TorchSharp;
using static TorchSharp.torch;
using TensorPrimitives = System.Numerics.Tensors.TensorPrimitives;

namespace Sparseland.LowRank;

/// <summary>The nearest Monarch matrix.</summary>
public static partial class Monarch
{
    /// <summary>
    /// The Monarch matrix nearest to a dense one in the Frobenius norm (Algorithm 1 of the paper, for any rank and shape): each slice by its truncated singular value decomposition, since no two slices
    /// share an entry. L takes U sqrt(S), R takes sqrt(S) V^*. Computed in float64.
    /// </summary>
    /// <remarks>The factors of a slice are unique only up to an invertible b x b matrix between them: compare products. The result does not depend on the number of threads.</remarks>
    /// <param name="weight">W [out, in], real or complex, finite.</param>
    /// <param name="shape">The sizes.</param>
    /// <param name="name">Name of the matrix for messages. Default "weight".</param>
    /// <param name="cancel">Checked between slices.</param>
    /// <exception cref="ArgumentException">Another shape or type, NaN or infinity.</exception>
    /// <exception cref="OperationCanceledException">Cancelled.</exception>
    public static MonarchProjection Project(Tensor weight, MonarchShape shape, string? name = null, CancellationToken cancel = default)
    {
        CheckWeight(weight, shape);
        using IDisposable off = no_grad();
        using DisposeScope scope = NewDisposeScope();
        Tensor W = weight.detach().cpu().contiguous();
        bool complex = W.is_complex();
        if (complex || !double.IsFinite(TensorInput.LargestMagnitude(W))) CheckFinite(W, name);
        Tensor wide = W.to(complex ? ScalarType.ComplexFloat64 : ScalarType.Float64);
        double largest = complex ? PowerOfTwoScale.Largest(wide) : TensorInput.LargestMagnitude(wide);
        var scale = PowerOfTwoScale.IsSafe(largest) ? new PowerOfTwoScale(0) : PowerOfTwoScale.Of(largest);
        if (scale.Exponent != 0) wide = scale.Down(wide);
        double norm = complex ? wide.abs().square().sum().item<double>() : wide.square().sum().item<double>();
        (Tensor right, Tensor left, double error) = shape.BlockRank == 1 && !complex ? RankOne(wide, shape, cancel) : AnyRank(wide, shape, cancel);
        // Half of the scale in each factor; the rest where it is odd.
        if (scale.Exponent != 0) (right, left) = (right * Math.ScaleB(1, scale.Exponent / 2), left * Math.ScaleB(1, scale.Exponent - (scale.Exponent / 2)));
        MonarchMatrix matrix = new(shape, Placed(right), Placed(left));
        return new(matrix, scale.Squared.Up(error), scale.Squared.Up(norm), norm > 0 ? error / norm : 0);

        // A copy where nothing changes: the factors outlive what they were computed in.
        Tensor Placed(Tensor factor) => factor.to(weight.dtype).to(weight.device).contiguous().clone();
    }

    /// <summary>All singular values of all slices, falling: what <see cref="Project"/> keeps of each is its first b.</summary>
    /// <param name="weight">W [out, in], finite.</param>
    /// <param name="shape">The sizes; the rank plays no part.</param>
    /// <param name="cancel">Checked between slices.</param>
    /// <returns>[K, J, min(outputs of a group, I)], Float64.</returns>
    /// <exception cref="ArgumentException">Another shape or type, NaN or infinity.</exception>
    /// <exception cref="OperationCanceledException">Cancelled.</exception>
    public static Tensor SliceSpectra(Tensor weight, MonarchShape shape, CancellationToken cancel = default)
    {
        CheckWeight(weight, shape);
        using IDisposable off = no_grad();
        using DisposeScope scope = NewDisposeScope();
        Tensor W = weight.detach().cpu();
        CheckFinite(W, null);
        Tensor slices = Slices(W.to(W.is_complex() ? ScalarType.ComplexFloat64 : ScalarType.Float64), shape);
        var values = new Tensor[shape.InputBlocks];
        IndependentWork.For(values.Length, k =>
        {
            using DisposeScope inner = NewDisposeScope();
            values[k] = linalg.svdvals(slices[k]).DetachFromDisposeScope();
        }, cancel);
        Tensor result = stack(values);
        foreach (Tensor value in values) value.Dispose();
        return result.MoveToOuterDisposeScope();
    }

    private static void CheckFinite(Tensor weight, string? name)
    {
        if (!TensorInput.IsFinite(weight)) throw new ArgumentException($"{name ?? nameof(weight)} holds a value that is not finite.", nameof(weight));
    }

    private static (Tensor Right, Tensor Left, double Error) AnyRank(Tensor wide, MonarchShape shape, CancellationToken cancel)
    {
        Tensor slices = Slices(wide, shape);
        (int K, int J, int b) = (shape.InputBlocks, shape.OutputBlocks, shape.BlockRank);
        var (rights, lefts, errors) = (new Tensor[K], new Tensor[K], new double[K]);
        IndependentWork.For(K, k =>
        {
            using DisposeScope inner = NewDisposeScope();
            var (right, left) = (new Tensor[J], new Tensor[J]);
            for (int j = 0; j < J; j++)
            {
                cancel.ThrowIfCancellationRequested();
                Tensor slice = slices[k][j];
                (Tensor u, Tensor s, Tensor vt) = linalg.svd(slice, fullMatrices: false);
                Tensor root = s.narrow(0, 0, b).sqrt();
                (left[j], right[j]) = (u.narrow(1, 0, b) * root, vt.narrow(0, 0, b) * root.unsqueeze(1));
                errors[k] += (slice - left[j].mm(right[j])).abs().square().sum().item<double>();
            }

            // [b, J, I] and [J, l, b].
            (rights[k], lefts[k]) = (stack(right, 1).reshape(b * J, shape.InputBlockSize).DetachFromDisposeScope(), stack(left).DetachFromDisposeScope());
        }, cancel);
        (Tensor allRight, Tensor allLeft) = (stack(rights), cat(lefts, 2));
        foreach (Tensor one in rights.Concat(lefts)) one.Dispose();
        return (allRight, allLeft, errors.Sum());
    }

    private static (Tensor Right, Tensor Left, double Error) RankOne(Tensor wide, MonarchShape shape, CancellationToken cancel)
    {
        (int K, int J, int I, int outputs) = (shape.InputBlocks, shape.OutputBlocks, shape.InputBlockSize, shape.OutputBlockSize);
        Tensor W = wide.contiguous(), right = empty(shape.RightShape, dtype: ScalarType.Float64), left = empty(shape.LeftShape, dtype: ScalarType.Float64);
        (nint from, nint toRight, nint toLeft) = (TensorMemory.StartOf(W), TensorMemory.StartOf(right), TensorMemory.StartOf(left));
        double[] errors = new double[K];
        IndependentWork.For(K, k =>
        {
            var pair = new LeadingSingularPair(outputs, I);
            double[] slice = new double[outputs * I], u = new double[outputs], v = new double[I];
            // The last run of a padded matrix is short, and its last group has a row less.
            int width = Math.Min(I, shape.Inputs - (k * I));
            for (int j = 0; j < J; j++)
            {
                cancel.ThrowIfCancellationRequested();
                for (int l = 0; l < outputs; l++)
                {
                    long row = ((long)l * J) + j;
                    if (width > 0 && row < shape.Outputs) TensorMemory.Part<double>(from, (row * shape.Inputs) + ((long)k * I), width).CopyTo(slice.AsSpan(l * I));
                    else slice.AsSpan(l * I, I).Clear();
                }

                double root = Math.Sqrt(pair.Of(slice, u, v));
                TensorPrimitives.Multiply(v, root, TensorMemory.Part<double>(toRight, (((long)k * J) + j) * I, I));
                Span<double> column = TensorMemory.Part<double>(toLeft, (long)j * outputs * K, outputs * K);
                for (int l = 0; l < outputs; l++)
                {
                    column[(l * K) + k] = u[l] * root;
                    Span<double> rest = slice.AsSpan(l * I, I);
                    TensorPrimitives.MultiplyAdd(v, -u[l] * root * root, rest, rest);
                }

                errors[k] += TensorPrimitives.SumOfSquares<double>(slice);
            }
        }, cancel);
        GC.KeepAlive(W);
        return (right, left, errors.Sum());
    }
}
