using Sparseland.Kernels;
using Sparseland.Selection;
using Sparseland.Tensors;

namespace Sparseland.FeatureSelection;

/// <summary>How strongly an input is connected: what QuickSelection ranks features by.</summary>
public static class NeuronStrength
{
    /// <summary>s_i, the sum of |W1[j, i]| over the connections of input i.</summary>
    /// <param name="encoder">W1 [hidden, features].</param>
    public static double[] Of(SparseConnections encoder)
    {
        ArgumentNullException.ThrowIfNull(encoder);
        return Of(encoder.Support, TensorMemory.Read<float>(encoder.Values));
    }

    /// <summary>The same of a stored matrix.</summary>
    /// <param name="encoder">W1 [hidden, features].</param>
    public static double[] Of(CsrMatrix encoder)
    {
        ArgumentNullException.ThrowIfNull(encoder);
        return Of(encoder.ToSupport(), encoder.Values);
    }

    /// <summary>Number of connections of each input: a noisier criterion.</summary>
    /// <param name="encoder">W1 [hidden, features].</param>
    public static int[] Degree(SparseConnections encoder)
    {
        ArgumentNullException.ThrowIfNull(encoder);
        int[] degrees = new int[encoder.Support.Columns];
        foreach (int feature in encoder.Support.ColumnIndices) degrees[feature]++;
        return degrees;
    }

    /// <summary>Strengths after the weakest share of each sign was taken out, as the published code saves them.</summary>
    /// <param name="encoder">W1; it stays.</param>
    /// <param name="share">zeta.</param>
    public static double[] AfterRemoval(SparseConnections encoder, double share)
    {
        ArgumentNullException.ThrowIfNull(encoder);
        using TorchSharp.torch.Tensor stays = encoder.Stays(share), values = encoder.Values * stays;
        return Of(encoder.Support, TensorMemory.Read<float>(values));
    }

    private static double[] Of(Support support, ReadOnlySpan<float> values)
    {
        double[] strengths = new double[support.Columns];
        ReadOnlySpan<int> columns = support.ColumnIndices;
        for (int i = 0; i < values.Length; i++) strengths[columns[i]] += Math.Abs(values[i]);
        return strengths;
    }
}
