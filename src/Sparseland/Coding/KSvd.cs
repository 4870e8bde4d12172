using System.Numerics.Tensors;
using System.Runtime.InteropServices;
using TorchSharp;
using static TorchSharp.torch;
using Tensor = TorchSharp.torch.Tensor;

namespace Sparseland.Coding;

/// <summary>
/// The dictionary update of K-SVD (Aharon, Elad and Bruckstein 2006): atom after atom, with the samples that use it, atom and
/// coefficients become the best rank-one fit of what the other atoms leave. The approximate form takes one power step instead of the
/// singular value decomposition (Rubinstein, Zibulevsky and Elad 2008). Neither ever increases ||X - A D||.
/// </summary>
public static class KSvd
{
    /// <summary>One sweep over all atoms; the supports of the codes stay as they are. Changes codes and dictionary in place.</summary>
    /// <param name="X">[samples, features], float64.</param>
    /// <param name="codes">A [samples, atoms], contiguous.</param>
    /// <param name="dictionary">D [atoms, features], contiguous; unit atoms afterwards, but for atoms without a user.</param>
    /// <param name="approximate">One power step instead of the singular value decomposition. Default false.</param>
    /// <param name="cancel">Checked before every atom; codes and dictionary then fit each other, with some atoms updated.</param>
    /// <exception cref="ArgumentException">Shapes or types do not fit.</exception>
    public static void Sweep(Tensor X, Tensor codes, Tensor dictionary, bool approximate = false, CancellationToken cancel = default)
    {
        CodingInput.CheckFactors(X, codes, dictionary);
        if (X.dtype != ScalarType.Float64) throw new ArgumentException($"K-SVD works in Float64, but X is {X.dtype}.", nameof(X));
        if (!codes.is_contiguous() || !dictionary.is_contiguous()) throw new ArgumentException("codes and dictionary are changed in place and must be contiguous.", nameof(codes));
        using var scope = NewDisposeScope();
        Tensor residual = X.sub(codes.mm(dictionary)).contiguous();
        int samples = (int)X.shape[0], features = (int)X.shape[1], atoms = (int)dictionary.shape[0];
        Span<double> E = MemoryMarshal.Cast<byte, double>(residual.bytes), A = MemoryMarshal.Cast<byte, double>(codes.bytes);
        Span<double> D = MemoryMarshal.Cast<byte, double>(dictionary.bytes);
        int[][] users = Users(A, samples, atoms);
        double[] image = new double[features];
        for (int k = 0; k < atoms; k++)
        {
            cancel.ThrowIfCancellationRequested();
            if (users[k].Length == 0) continue;
            Span<double> atom = D.Slice(k * features, features);

            // What the other atoms leave, at the users.
            foreach (int s in users[k])
            {
                Span<double> row = E.Slice(s * features, features);
                TensorPrimitives.MultiplyAdd(atom, A[s * atoms + k], row, row);
            }

            if (approximate) PowerStep(E, A, users[k], k, atoms, features, image);
            else LeadingDirection(E, users[k], features, image);
            double norm = TensorPrimitives.Norm<double>(image);
            if (norm > 0) TensorPrimitives.Divide(image, norm, atom);
            foreach (int s in users[k])
            {
                Span<double> row = E.Slice(s * features, features);
                double coefficient = TensorPrimitives.Dot<double>(atom, row);
                A[s * atoms + k] = coefficient;
                TensorPrimitives.MultiplyAdd(atom, -coefficient, row, row);
            }
        }
    }

    private static int[][] Users(Span<double> codes, int samples, int atoms)
    {
        var users = new List<int>[atoms];
        for (int k = 0; k < atoms; k++) users[k] = [];
        for (int s = 0; s < samples; s++)
        {
            for (int k = 0; k < atoms; k++)
            {
                if (codes[s * atoms + k] != 0) users[k].Add(s);
            }
        }

        return [.. users.Select(list => list.ToArray())];
    }

    /// <summary>E^T a: the least-squares atom for the coefficients as they are, up to its norm.</summary>
    private static void PowerStep(Span<double> E, Span<double> A, int[] users, int k, int atoms, int features, Span<double> image)
    {
        image.Clear();
        foreach (int s in users) TensorPrimitives.MultiplyAdd(E.Slice(s * features, features), A[s * atoms + k], image, image);
    }

    /// <summary>The first right singular vector of the users' rows, with the sign that makes the sum of its coefficients positive.</summary>
    private static void LeadingDirection(Span<double> E, int[] users, int features, Span<double> image)
    {
        double[] rows = new double[users.Length * features];
        for (int i = 0; i < users.Length; i++) E.Slice(users[i] * features, features).CopyTo(rows.AsSpan(i * features));
        using var scope = NewDisposeScope();
        Tensor matrix = tensor(rows, [users.Length, features]);
        Tensor direction;
        if (users.Length < features)
        {
            (_, _, Tensor right) = linalg.svd(matrix, fullMatrices: false);
            direction = right.select(0, 0);
        }
        else
        {
            // With many users the eigenvectors of the small Gram matrix cost less and are as good for the leading direction.
            (_, Tensor vectors) = linalg.eigh(matrix.t().mm(matrix));
            direction = vectors.select(1, features - 1);
        }

        if (matrix.mv(direction).sum().item<double>() < 0) direction = direction.neg();
        direction.contiguous().data<double>().ToArray().CopyTo(image);
    }
}
