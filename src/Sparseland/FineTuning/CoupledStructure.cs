using Sparseland.Models.Language;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.FineTuning;

/// <summary>An order that brings the selected units of a pair of matrices together: each of the two slices is then one contiguous piece.</summary>
/// <param name="Order">Which unit comes to each place: those selected in the first matrix only, in both, in the second only, and the rest.</param>
/// <param name="FirstEnd">The first matrix's slice is the places from 0 to before this.</param>
/// <param name="SecondStart">The second matrix's slice begins here.</param>
/// <param name="SecondEnd">It ends before this.</param>
public sealed record SliceOrder(IReadOnlyList<int> Order, int FirstEnd, int SecondStart, int SecondEnd)
{
    /// <inheritdoc/>
    public override string ToString() => Tensors.Readable.Of(this);
}

/// <summary>
/// Rows and columns of a block that belong together (S2FT, section 3.2): renumbering them on both sides leaves every output of the block as it is. Channel c of an MLP is row c of gate and up and column c
/// of down. The unit of an attention is the group, a key and value head with all its query heads: their rows of queries, keys and values and their columns of the matrix that mixes them.
/// </summary>
public sealed class CoupledStructure
{
    private readonly Part[] _parts;
    private readonly int _headsPerUnit;

    private CoupledStructure(string name, int count, int headsPerUnit, IEnumerable<Part> parts)
    {
        (Name, Count, _headsPerUnit, _parts) = (name, count, headsPerUnit, [.. parts]);
        foreach (Part part in _parts) part.Values();
    }

    /// <summary>What it is: "channels" or "groups of heads".</summary>
    public string Name { get; }

    /// <summary>Channels, or groups.</summary>
    public int Count { get; }

    /// <summary>Query heads of a group; 1 for channels.</summary>
    public int HeadsPerGroup => _headsPerUnit;

    /// <summary>The channels of a block's MLP.</summary>
    /// <param name="block">The block; its matrices are linear layers.</param>
    /// <exception cref="InvalidOperationException">A matrix has been replaced by another kind of layer.</exception>
    public static CoupledStructure Mlp(LlamaBlock block)
    {
        ArgumentNullException.ThrowIfNull(block);
        return new("channels", block.Config.MlpWidth, 1, [new(() => block.Gate.weight, 0, 1, false), new(() => block.Gate.bias, 0, 1, false), new(() => block.Up.weight, 0, 1, false), new(() => block.Up.bias, 0, 1, false), new(() => block.Down.weight, 1, 1, false)]);
    }

    /// <summary>The groups of heads of a block's attention.</summary>
    /// <param name="block">The block; its matrices are linear layers.</param>
    /// <exception cref="InvalidOperationException">A matrix has been replaced by another kind of layer.</exception>
    public static CoupledStructure Attention(LlamaBlock block)
    {
        ArgumentNullException.ThrowIfNull(block);
        int width = block.Config.HeadDim;
        return new("groups of heads", block.Config.KeyValueHeads, block.Config.Heads / block.Config.KeyValueHeads,
        [
            new(() => block.Query.weight, 0, width, true), new(() => block.Query.bias, 0, width, true), new(() => block.Key.weight, 0, width, false), new(() => block.Key.bias, 0, width, false),
            new(() => block.Value.weight, 0, width, false), new(() => block.Value.bias, 0, width, false), new(() => block.Output.weight, 1, width, true),
        ]);
    }

    /// <summary>Renumbers the units in place.</summary>
    /// <param name="order">[Count]: which unit comes to each place, each once.</param>
    /// <exception cref="ArgumentException">Another number of units, or one that is missing or stands twice; nothing has changed.</exception>
    public void Permute(IReadOnlyList<int> order)
    {
        CheckOrder(order, Count, Name, nameof(order));
        Renumber([.. order.SelectMany(unit => Enumerable.Range(unit * _headsPerUnit, _headsPerUnit))], order);
    }

    /// <summary>Renumbers query heads in place: within their groups, or groups as a whole.</summary>
    /// <param name="order">[heads]: which query head comes to each place.</param>
    /// <exception cref="ArgumentException">No order of the heads, or one that puts heads of different groups under one key and value head; nothing has changed.</exception>
    public void PermuteHeads(IReadOnlyList<int> order)
    {
        CheckOrder(order, Count * _headsPerUnit, _headsPerUnit == 1 ? Name : "query heads", nameof(order));
        var groups = new int[Count];
        for (int place = 0; place < order.Count; place++)
        {
            (int group, int at) = (order[place] / _headsPerUnit, place / _headsPerUnit);
            if (place % _headsPerUnit == 0) groups[at] = group;
            else if (groups[at] != group) throw new ArgumentException($"Query head {order[place]} of group {group} would come under the key and value head of group {groups[at]}. Heads share keys and values in groups of {_headsPerUnit}: they move within their group, or with it.", nameof(order));
        }

        Renumber(order, groups);
    }

    /// <summary>The order that makes the slices of two coupled matrices contiguous.</summary>
    /// <param name="first">Units selected in the matrix before (up, values).</param>
    /// <param name="second">Units selected in the matrix behind (down, output).</param>
    /// <exception cref="ArgumentException">A unit that there is not, or one that stands twice in a list.</exception>
    public SliceOrder OrderFor(IReadOnlyList<int> first, IReadOnlyList<int> second)
    {
        HashSet<int> before = Set(first, nameof(first)), behind = Set(second, nameof(second));
        int[] all = [.. Enumerable.Range(0, Count)];
        int[] only = [.. all.Where(u => before.Contains(u) && !behind.Contains(u))];
        return new([.. all.OrderBy(u => (before.Contains(u), behind.Contains(u)) switch { (true, false) => 0, (true, true) => 1, (false, true) => 2, _ => 3 })], before.Count, only.Length, only.Length + behind.Count);

        HashSet<int> Set(IReadOnlyList<int> units, string argument)
        {
            ArgumentNullException.ThrowIfNull(units, argument);
            var set = new HashSet<int>();
            foreach (int unit in units)
            {
                if (unit < 0 || unit >= Count) throw new ArgumentException($"There is no unit {unit}; the {Name} run from 0 to {Count - 1}.", argument);
                if (!set.Add(unit)) throw new ArgumentException($"Unit {unit} stands twice.", argument);
            }

            return set;
        }
    }

    /// <inheritdoc/>
    public override string ToString() => $"CoupledStructure of {Count} {Name}";

    private void Renumber(IReadOnlyList<int> heads, IReadOnlyList<int> units)
    {
        using DisposeScope scope = NewDisposeScope();
        using IDisposable off = no_grad();
        foreach (Part part in _parts)
        {
            if (part.Values() is not { } values) continue;
            long[] places = [.. (part.PerHead ? heads : units).SelectMany(unit => Enumerable.Range(0, part.Width).Select(i => (long)(unit * part.Width) + i))];
            values.copy_(values.index_select(part.Dimension, tensor(places, device: values.device)));
        }
    }

    private static void CheckOrder(IReadOnlyList<int> order, int count, string what, string argument)
    {
        ArgumentNullException.ThrowIfNull(order, argument);
        if (order.Count != count) throw new ArgumentException($"The order has {order.Count} places; there are {count} {what}.", argument);
        var seen = new bool[count];
        foreach (int unit in order)
        {
            if (unit < 0 || unit >= count || seen[unit]) throw new ArgumentException($"{unit} is outside 0 to {count - 1} or stands twice; an order has each of the {count} {what} once.", argument);
            seen[unit] = true;
        }
    }

    private sealed record Part(Func<TorchSharp.Modules.Parameter?> Values, int Dimension, int Width, bool PerHead);
}
