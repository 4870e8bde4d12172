using Sparseland.Tensors;
using Sparseland.Training;
using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Sparseland.Pruning;

/// <summary>Kept weights that do nothing.</summary>
/// <param name="Kept">Weights that the masks kept.</param>
/// <param name="Effective">Those of them between units that are alive.</param>
/// <param name="Size">All weights of the masked layers.</param>
/// <param name="Dead">Dead outputs of each layer but the last, by the name of its weight.</param>
public sealed record DeadUnitReport(long Kept, long Effective, long Size, IReadOnlyDictionary<string, int> Dead)
{
    /// <summary>Share of the kept weights that does nothing; 0 where none is kept.</summary>
    public double Wasted => Kept == 0 ? 0 : (double)(Kept - Effective) / Kept;

    /// <inheritdoc/>
    public override string ToString() => Readable.Of(this);
}

/// <summary>
/// Hidden units without an input or without an output. A kept weight to or from such a unit does nothing (a unit without inputs is a constant, which counts as dead; a bias
/// after it can take its place), and taking those away can leave more such units, until nothing changes.
/// </summary>
public static class DeadUnits
{
    /// <summary>Counts; the masks stay.</summary>
    /// <param name="network">Linear layers and convolutions one after the other, with layers between that keep channels apart; layers may stand in inner sequences.</param>
    /// <param name="masks">Masks of all its linear layers and convolutions.</param>
    /// <exception cref="ArgumentException">A layer without a mask, grouped or transposed convolutions, a block whose outputs do not come in order, or layers that do not follow each other.</exception>
    public static DeadUnitReport Count(Sequential network, MaskSet masks)
    {
        ArgumentNullException.ThrowIfNull(masks);
        using MaskSet copy = masks.Copy();
        return Remove(network, copy);
    }

    /// <summary>Counts, and takes the weights that do nothing out of the masks; weights change with <see cref="MaskSet.Apply"/>.</summary>
    /// <inheritdoc cref="Count"/>
    public static DeadUnitReport Remove(Sequential network, MaskSet masks)
    {
        ArgumentNullException.ThrowIfNull(network);
        ArgumentNullException.ThrowIfNull(masks);
        string[] names = [.. Chain(network, "")];
        if (names.Length == 0) throw new ArgumentException("The network has no linear layer and no convolution.", nameof(network));
        if (names.FirstOrDefault(name => !masks.Names.Contains(name)) is { } missing) throw new ArgumentException($"{missing} has no mask; all layers need one.", nameof(masks));
        using DisposeScope scope = NewDisposeScope();
        using IDisposable off = no_grad();

        // Per layer: which output sees which input channel, through any place of the kernel or of the image that was flattened.
        bool[][,] links = new bool[names.Length][,];
        Tensor[] grids = new Tensor[names.Length];
        for (int l = 0; l < names.Length; l++)
        {
            Tensor mask = masks[names[l]];
            long inputs = l == 0 ? mask.shape[1] : masks[names[l - 1]].shape[0];
            if (mask.shape[1] % inputs != 0) throw new ArgumentException($"{names[l]} has {mask.shape[1]} inputs and the layer before it {inputs} outputs; they do not follow each other.", nameof(network));
            grids[l] = mask.reshape(mask.shape[0], inputs, -1);
            links[l] = Matrix(grids[l].any(2));
        }

        bool[][] alive = [.. names.Select((_, l) => Enumerable.Repeat(true, links[l].GetLength(0)).ToArray())];
        for (bool changed = true; changed;)
        {
            changed = false;
            for (int l = 0; l + 1 < names.Length; l++)
            {
                for (int unit = 0; unit < alive[l].Length; unit++)
                {
                    if (!alive[l][unit]) continue;
                    bool fed = Enumerable.Range(0, links[l].GetLength(1)).Any(i => links[l][unit, i] && (l == 0 || alive[l - 1][i]));
                    bool heard = Enumerable.Range(0, links[l + 1].GetLength(0)).Any(o => links[l + 1][o, unit] && alive[l + 1][o]);
                    if (fed && heard) continue;
                    alive[l][unit] = false;
                    changed = true;
                }
            }
        }

        long kept = masks.Active, size = masks.Size;
        for (int l = 0; l < names.Length; l++)
        {
            Tensor left = grids[l].logical_and(tensor(alive[l]).view(-1, 1, 1));
            if (l > 0) left = left.logical_and(tensor(alive[l - 1]).view(1, -1, 1));
            masks.Set(names[l], left.reshape(masks[names[l]].shape));
        }

        return new(kept, masks.Active, size, names.SkipLast(1).Select((name, l) => (name, l)).ToDictionary(pair => pair.name, pair => alive[pair.l].Count(a => !a)));
    }

    private static IEnumerable<string> Chain(Sequential network, string path)
    {
        foreach ((string name, nn.Module layer) in network.named_children())
        {
            switch (layer)
            {
                case Sequential inner:
                    foreach (string found in Chain(inner, path + name + ".")) yield return found;
                    break;
                case Convolution { groups: > 1 } or ConvTranspose2d or ConvTranspose1d or ConvTranspose3d:
                    throw new ArgumentException($"{path}{name} is a grouped or transposed convolution, whose channels are not followed here.", nameof(network));
                case Linear or Convolution:
                    yield return path + name + ".weight";
                    break;
                default:
                    if (PrunableIn(layer)) throw new ArgumentException($"{path}{name} is a {layer.GetType().Name} with layers inside; only sequences are followed.", nameof(network));
                    break;
            }
        }
    }

    private static bool PrunableIn(nn.Module layer) => layer.modules().Any(module => module is Linear or Convolution);

    private static bool[,] Matrix(Tensor mask)
    {
        bool[] flat = mask.contiguous().data<bool>().ToArray();
        var matrix = new bool[mask.shape[0], mask.shape[1]];
        Buffer.BlockCopy(flat, 0, matrix, 0, flat.Length);
        return matrix;
    }
}
