using System.Runtime.CompilerServices;
using Sparseland.Tensors;
using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Sparseland.Training;

/// <summary>
/// The weights of a network in groups of equal number by size, all parameters together: what two sets of weights have in common because both prefer weights of one
/// size can be told from what they have in common besides.
/// </summary>
public sealed class MagnitudeBins
{
    private readonly Dictionary<string, ushort[]> _bins;
    private readonly long[] _sizes;

    private MagnitudeBins(Dictionary<string, ushort[]> bins, long[] sizes) => (_bins, _sizes) = (bins, sizes);

    /// <summary>Number of groups.</summary>
    public int Count => _sizes.Length;

    /// <summary>Sorts all weights by |w|; of equals the earlier comes first.</summary>
    /// <param name="model">The network, float32; a tied parameter counts once.</param>
    /// <param name="count">Groups, from 1 to 1000. Default 4.</param>
    /// <exception cref="ArgumentException">A number of groups out of range or above that of the weights, another type, or a weight that is not finite.</exception>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public static MagnitudeBins Of(nn.Module model, int count = 4)
    {
        ArgumentNullException.ThrowIfNull(model);
        if (count is < 1 or > 1000) throw new ArgumentOutOfRangeException(nameof(count), count, "count must be from 1 to 1000.");
        (string Name, Parameter After)[] parameters = [.. ParameterPairs.Of(model, model).Select(p => (p.Name, p.After))];
        long all = parameters.Sum(p => p.After.numel());
        if (count > all) throw new ArgumentOutOfRangeException(nameof(count), count, $"There are only {all} weights.");
        ulong[] keys = new ulong[checked((int)all)];
        using IDisposable off = no_grad();
        int at = 0;
        foreach ((string name, Parameter parameter) in parameters)
        {
            if (parameter.dtype != ScalarType.Float32) throw new ArgumentException($"{name} is {parameter.dtype}; it must be Float32.", nameof(model));
            using Tensor plain = parameter.contiguous();
            foreach (float w in TensorMemory.Read<float>(plain))
            {
                if (!float.IsFinite(w)) throw new ArgumentException($"{name} holds a number that is not finite.", nameof(model));
                keys[at] = ((ulong)BitConverter.SingleToUInt32Bits(MathF.Abs(w)) << 32) | (uint)at;
                at++;
            }
        }

        Array.Sort(keys);
        ushort[] bins = new ushort[all];
        long[] sizes = new long[count];
        for (int r = 0; r < keys.Length; r++)
        {
            int bin = (int)((long)r * count / all);
            bins[(uint)keys[r]] = (ushort)bin;
            sizes[bin]++;
        }

        var named = new Dictionary<string, ushort[]>();
        at = 0;
        foreach ((string name, Parameter parameter) in parameters) named[name] = bins[at..(at += (int)parameter.numel())];
        return new(named, sizes);
    }

    /// <summary>Share of each group, smallest weights first, that a set has.</summary>
    /// <param name="set">A set over all parameters of the network.</param>
    /// <exception cref="ArgumentException">Other parameters.</exception>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public double[] Shares(MaskSet set)
    {
        ArgumentNullException.ThrowIfNull(set);
        if (set.Names.Count != _bins.Count || set.Names.FirstOrDefault(name => !_bins.TryGetValue(name, out ushort[]? bins) || bins.Length != set[name].numel()) is not null)
            throw new ArgumentException($"The set is over {string.Join(", ", set.Names)}, the groups over {string.Join(", ", _bins.Keys)}.", nameof(set));
        long[] counts = new long[Count];
        foreach (string name in set.Names)
        {
            using Tensor plain = set[name].contiguous();
            ReadOnlySpan<byte> mask = TensorMemory.Read<byte>(plain);
            ushort[] bins = _bins[name];

            // A Bool is a byte of 0 or 1; a branch would be guessed wrong half of the time.
            for (int i = 0; i < mask.Length; i++) counts[bins[i]] += mask[i];
        }

        return [.. counts.Select((c, q) => (double)c / _sizes[q])];
    }

    /// <summary>
    /// The one-sided overlap |A and B| / |A| of two sets that are independent given the group: sum_q n_q p_q p'_q / sum_q n_q p_q. What is above it is more than
    /// the size of the weights explains.
    /// </summary>
    /// <param name="first">A.</param>
    /// <param name="second">B.</param>
    /// <exception cref="ArgumentException">Other parameters.</exception>
    public double PredictedOverlap(MaskSet first, MaskSet second)
    {
        double[] p = Shares(first), other = Shares(second);
        double both = 0, one = 0;
        for (int q = 0; q < Count; q++)
        {
            both += _sizes[q] * p[q] * other[q];
            one += _sizes[q] * p[q];
        }

        return both / one;
    }

    /// <inheritdoc/>
    public override string ToString() => $"{Count} groups of {_sizes.Sum()} weights by size";
}
