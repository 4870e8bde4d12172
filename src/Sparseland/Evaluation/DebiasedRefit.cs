using System.Runtime.InteropServices;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Evaluation;

/// <summary>
/// Least squares on the support of each code. Penalized codes are shrunk; this separates the price of shrinkage from the price of a
/// bad selection.
/// </summary>
public static class DebiasedRefit
{
    /// <summary>For every sample, the coefficients on its non-zero atoms that minimize ||x - a D||^2; zeros stay zero.</summary>
    /// <remarks>
    /// Normal equations on the Gram matrix in float64. An atom that depends on those before it in the support (Cholesky pivot at or
    /// below 1e-10 of its squared norm) gets 0: the residual is still the smallest.
    /// </remarks>
    /// <param name="X">[samples, features], float32 or float64.</param>
    /// <param name="dictionary">[atoms, features].</param>
    /// <param name="codes">[samples, atoms]; exact zeros are outside the support.</param>
    /// <returns>[samples, atoms] of the type of <paramref name="codes"/>.</returns>
    /// <exception cref="ArgumentException">Shapes or types do not fit.</exception>
    public static unsafe Tensor Fit(Tensor X, Tensor dictionary, Tensor codes)
    {
        Check(X, dictionary, codes);
        using var scope = NewDisposeScope();
        int samples = (int)codes.shape[0], atoms = (int)codes.shape[1];
        Tensor d = dictionary.to(ScalarType.Float64), gram = d.mm(d.t()).contiguous();
        Tensor correlations = X.to(ScalarType.Float64).mm(d.t()).contiguous();
        Tensor result = codes.to(ScalarType.Float64).contiguous().clone();
        fixed (double* g = MemoryMarshal.Cast<byte, double>(gram.bytes), q = MemoryMarshal.Cast<byte, double>(correlations.bytes),
            a = MemoryMarshal.Cast<byte, double>(result.bytes))
        {
            (nint gp, nint qp, nint ap) = ((nint)g, (nint)q, (nint)a);
            Parallel.For(0, samples, () => new Workspace(atoms), (s, _, work) =>
            {
                work.Solve((double*)gp, (double*)qp + (long)s * atoms, (double*)ap + (long)s * atoms);
                return work;
            }, _ => { });
        }

        return result.to(codes.dtype).MoveToOuterDisposeScope();
    }

    private static void Check(Tensor X, Tensor dictionary, Tensor codes)
    {
        ArgumentNullException.ThrowIfNull(X);
        ArgumentNullException.ThrowIfNull(dictionary);
        ArgumentNullException.ThrowIfNull(codes);
        if (X.dim() != 2 || dictionary.dim() != 2 || codes.dim() != 2
            || X.shape[0] != codes.shape[0] || X.shape[1] != dictionary.shape[1] || codes.shape[1] != dictionary.shape[0])
        {
            throw new ArgumentException(
                $"X [{string.Join(", ", X.shape)}], dictionary [{string.Join(", ", dictionary.shape)}] and codes [{string.Join(", ", codes.shape)}] " +
                "must be [samples, features], [atoms, features] and [samples, atoms].", nameof(codes));
        }
    }

    private sealed unsafe class Workspace(int atoms)
    {
        private readonly int[] _support = new int[atoms];
        private double[] _factor = [];
        private double[] _solution = [];

        public void Solve(double* gram, double* correlations, double* code)
        {
            // The whole code is the candidate list; only independent atoms stay in the support.
            int size = 0, candidates = 0;
            for (int j = 0; j < atoms; j++)
            {
                if (code[j] != 0) candidates++;
            }

            if (_solution.Length < candidates) (_factor, _solution) = (new double[candidates * candidates], new double[candidates]);
            for (int j = 0; j < atoms; j++)
            {
                if (code[j] == 0) continue;
                code[j] = 0;
                if (Extend(gram, j, size, candidates)) _support[size++] = j;
            }

            for (int i = 0; i < size; i++)
            {
                double sum = correlations[_support[i]];
                for (int k = 0; k < i; k++) sum -= _factor[i * candidates + k] * _solution[k];
                _solution[i] = sum / _factor[i * candidates + i];
            }

            for (int i = size - 1; i >= 0; i--)
            {
                double sum = _solution[i];
                for (int k = i + 1; k < size; k++) sum -= _factor[k * candidates + i] * _solution[k];
                _solution[i] = sum / _factor[i * candidates + i];
                code[_support[i]] = _solution[i];
            }
        }

        /// <summary>One more row of the Cholesky factor; false where the atom depends on those in the support.</summary>
        private bool Extend(double* gram, int atom, int size, int stride)
        {
            double norm = gram[(long)atom * atoms + atom], pivot = norm;
            Span<double> row = _factor.AsSpan(size * stride, size + 1);
            for (int i = 0; i < size; i++)
            {
                double sum = gram[(long)atom * atoms + _support[i]];
                for (int k = 0; k < i; k++) sum -= row[k] * _factor[i * stride + k];
                row[i] = sum / _factor[i * stride + i];
                pivot -= row[i] * row[i];
            }

            if (!(pivot > 1e-10 * norm)) return false;
            row[size] = Math.Sqrt(pivot);
            return true;
        }
    }
}
