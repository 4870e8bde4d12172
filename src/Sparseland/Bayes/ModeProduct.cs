using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Bayes;

/// <summary>Products with a Kronecker product of matrices, one factor at a time, and sums over the modes of a tensor.</summary>
internal static class ModeProduct
{
    /// <summary>
    /// (B_1 (x) ... (x) B_I) v. The first mode is multiplied and moved to the end, so that after all factors the modes are back in
    /// their order, the last fastest.
    /// </summary>
    public static Tensor Apply(IEnumerable<Tensor> factors, Tensor v)
    {
        using var scope = NewDisposeScope();
        Tensor values = v;
        foreach (Tensor factor in factors) values = factor.mm(values.reshape(factor.shape[1], -1)).t();
        return values.reshape(-1).MoveToOuterDisposeScope();
    }

    /// <summary>kron(a_1, ..., a_I), the last fastest.</summary>
    public static double[] Kron(IReadOnlyList<double[]> factors)
    {
        double[] product = factors[0];
        foreach (double[] factor in factors.Skip(1))
        {
            double[] next = new double[product.Length * factor.Length];
            for (int i = 0, at = 0; i < product.Length; i++)
            {
                foreach (double value in factor) next[at++] = product[i] * value;
            }

            product = next;
        }

        return factors.Count == 1 ? [.. product] : product;
    }

    /// <summary>The tensor contracted with a vector in every mode but one: sum of T[.., a, ..] prod_{j != kept} w_j.</summary>
    public static double[] ContractAllBut(int kept, double[] values, IReadOnlyList<double[]> weights)
    {
        double[] current = values;
        for (int k = weights.Count - 1; k >= 0; k--)
        {
            if (k == kept) continue;
            double[] weight = weights[k];
            int right = k < kept ? weights[kept].Length : 1, left = current.Length / weight.Length / right;
            double[] next = new double[left * right];
            for (int l = 0, at = 0; l < left; l++)
            {
                for (int j = 0; j < weight.Length; j++)
                {
                    double w = weight[j];
                    for (int r = 0; r < right; r++) next[(l * right) + r] += w * current[at++];
                }
            }

            current = next;
        }

        return current;
    }
}
