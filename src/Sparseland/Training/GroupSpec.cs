using System.Buffers;
using System.Runtime.CompilerServices;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Sparseland.Training;

/// <summary>
/// Groups of a network's parameters that live or die together: the rows of a linear layer with their biases, the filters of a
/// convolution with their batch-norm scales and shifts, attention heads, single numbers. Each number of each named parameter
/// belongs to exactly one group.
/// </summary>
/// <remarks>
/// The bias belongs inside: a neuron whose weights are zero and whose bias is not still says something to the next layer, and
/// cannot be removed. The same holds for batch norm's gamma and beta.
/// </remarks>
public sealed class GroupSpec
{
    private readonly int[] _sizes;

    /// <summary>Groups from slices.</summary>
    /// <param name="name">Name for reports.</param>
    /// <param name="count">Number of groups.</param>
    /// <param name="slices">Parts of parameters; together they cover each parameter they name, each number once.</param>
    /// <exception cref="ArgumentException">A slice leaves its parameter, groups overlap, a parameter is not covered, or a group is empty.</exception>
    public GroupSpec(string name, int count, IReadOnlyList<GroupSlice> slices)
    {
        ArgumentException.ThrowIfNullOrWhiteSpace(name);
        ArgumentNullException.ThrowIfNull(slices);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(count);
        if (slices.Count == 0) throw new ArgumentException($"{name} has no slices; there is nothing to group.", nameof(slices));
        (Name, Count, Slices) = (name, count, [.. slices]);
        _sizes = new int[count];
        foreach (GroupSlice slice in slices)
        {
            slice.Check();
            if (slice.First + slice.Groups > count)
                throw new ArgumentException($"The slice of {slice.Name} reaches group {slice.First + slice.Groups - 1}, but {name} has {count}.", nameof(slices));
            for (int j = 0; j < slice.Groups; j++) _sizes[slice.First + j] += slice.Size;
        }

        foreach (IGrouping<nint, GroupSlice> parts in slices.GroupBy(slice => slice.Identity))
        {
            byte[] seen = new byte[parts.First().Parameter.numel()];
            foreach (GroupSlice part in parts) part.Mark(seen);
            int missed = Array.IndexOf(seen, (byte)0);
            if (missed >= 0)
                throw new ArgumentException($"No group of {name} has number {missed} of {parts.First().Name}; the groups must cover a parameter.", nameof(slices));
        }

        int empty = Array.IndexOf(_sizes, 0);
        if (empty >= 0) throw new ArgumentException($"Group {empty} of {name} is empty.", nameof(count));
    }

    /// <summary>Name for reports.</summary>
    public string Name { get; }

    /// <summary>Number of groups.</summary>
    public int Count { get; }

    /// <summary>Parts of parameters that make the groups.</summary>
    public IReadOnlyList<GroupSlice> Slices { get; }

    /// <summary>Numbers in each group.</summary>
    public IReadOnlyList<int> Sizes => _sizes;

    /// <summary>One group per output of a linear layer: the row of its weight and its bias.</summary>
    /// <param name="linear">The layer.</param>
    /// <param name="name">Name for reports; the expression by default.</param>
    public static GroupSpec Rows(Linear linear, [CallerArgumentExpression(nameof(linear))] string name = "")
    {
        ArgumentNullException.ThrowIfNull(linear);
        return new GroupSpec(name, Whole(linear.out_features), [.. Outputs(name, linear.weight, linear.bias)]);
    }

    /// <summary>
    /// One group per output of a linear layer, of its weights alone: the bias is left outside, to be named free or grouped elsewhere.
    /// A neuron of zero weights then still gives its bias, and cannot be removed; see <see cref="Rows"/>.
    /// </summary>
    /// <param name="linear">The layer.</param>
    /// <param name="name">Name for reports; the expression by default.</param>
    public static GroupSpec RowWeights(Linear linear, [CallerArgumentExpression(nameof(linear))] string name = "")
    {
        ArgumentNullException.ThrowIfNull(linear);
        return new GroupSpec(name, Whole(linear.out_features), [.. Outputs(name, linear.weight, null)]);
    }

    /// <summary>One group per filter of a convolution: its kernel, its bias, and gamma and beta of the batch norm that follows.</summary>
    /// <param name="convolution">The layer.</param>
    /// <param name="batchNorm">The batch norm behind it, or null where there is none.</param>
    /// <param name="name">Name for reports; the expression by default.</param>
    /// <exception cref="ArgumentException">The two do not have the same number of channels, or the convolution is transposed.</exception>
    public static GroupSpec Filters(
        Convolution convolution, BatchNorm? batchNorm = null, [CallerArgumentExpression(nameof(convolution))] string name = "")
    {
        ArgumentNullException.ThrowIfNull(convolution);
        if (convolution.transposed) throw new ArgumentException($"{name} is transposed; its filters are not rows of its weight.", nameof(convolution));
        List<GroupSlice> slices = [.. Outputs(name, convolution.weight, convolution.bias)];
        if (batchNorm is not null)
        {
            if (batchNorm.num_features != convolution.out_channels)
            {
                throw new ArgumentException(
                    $"The batch norm has {batchNorm.num_features} channels and {name} {convolution.out_channels}; they must be the same.", nameof(batchNorm));
            }

            if (batchNorm.weight is { } gamma) slices.AddRange(Outputs($"{name} norm", gamma, batchNorm.bias));
        }

        return new GroupSpec(name, Whole(convolution.out_channels), slices);
    }

    /// <summary>
    /// One group per attention head: its rows of the query, key and value projections with their biases, and its columns of the
    /// output projection. The output's bias belongs to no head and stays outside.
    /// </summary>
    /// <param name="query">[heads * headDim, model].</param>
    /// <param name="key">Same rows.</param>
    /// <param name="value">Same rows.</param>
    /// <param name="heads">Number of heads.</param>
    /// <param name="output">[model, heads * headDim], or null to leave it out.</param>
    /// <param name="name">Name for reports. Default heads.</param>
    /// <exception cref="ArgumentException">The shapes do not fit the heads.</exception>
    public static GroupSpec Heads(Linear query, Linear key, Linear value, int heads, Linear? output = null, string name = "heads")
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(heads);
        var slices = new List<GroupSlice>();
        foreach ((Linear layer, string part) in new[] { (query, "query"), (key, "key"), (value, "value") })
        {
            ArgumentNullException.ThrowIfNull(layer, part);
            if (layer.out_features % heads != 0)
                throw new ArgumentException($"The {part} projection has {layer.out_features} rows; {heads} heads must divide them.", part);
            int rows = Whole(layer.out_features / heads), length = Whole(rows * layer.in_features);
            slices.Add(new($"{name} {part}.weight", layer.weight, heads, 0, length, length));
            if (layer.bias is { } bias) slices.Add(new($"{name} {part}.bias", bias, heads, 0, rows, rows));
        }

        if (output is not null)
        {
            if (output.in_features != value.out_features)
                throw new ArgumentException($"The output projection takes {output.in_features} numbers, but the heads give {value.out_features}.", nameof(output));
            int columns = Whole(output.in_features / heads);
            slices.Add(new($"{name} output.weight", output.weight, heads, 0, columns, columns, Whole(output.out_features), output.in_features));
        }

        return new GroupSpec(name, heads, slices);
    }

    /// <summary>Every number by itself: unstructured sparsity.</summary>
    /// <param name="parameter">The parameter.</param>
    /// <param name="name">Name for reports; the expression by default.</param>
    public static GroupSpec Elements(Tensor parameter, [CallerArgumentExpression(nameof(parameter))] string name = "")
    {
        ArgumentNullException.ThrowIfNull(parameter);
        int count = Whole(parameter.numel());
        return new GroupSpec(name, count, [new(name, parameter, count, 0, 1, 1)]);
    }

    /// <summary>All groups of several specs in one list, so that one k is shared among the layers.</summary>
    /// <param name="specs">Specs of different parameters.</param>
    public static GroupSpec Together(params IReadOnlyList<GroupSpec> specs)
    {
        ArgumentNullException.ThrowIfNull(specs);
        var slices = new List<GroupSlice>();
        int first = 0;
        foreach (GroupSpec spec in specs)
        {
            slices.AddRange(spec.Slices.Select(slice => slice with { First = slice.First + first }));
            first += spec.Count;
        }

        return new GroupSpec(string.Join(" + ", specs.Select(spec => spec.Name)), first, slices);
    }

    /// <summary>
    /// Group j of each spec becomes one group: for layers whose outputs are added up (residual connections), where a channel can go
    /// only when all of them drop it.
    /// </summary>
    /// <param name="specs">Specs of different parameters with the same number of groups.</param>
    /// <exception cref="ArgumentException">The numbers of groups differ.</exception>
    public static GroupSpec Tied(params IReadOnlyList<GroupSpec> specs)
    {
        ArgumentNullException.ThrowIfNull(specs);
        if (specs.Count == 0 || specs.Any(spec => spec.Count != specs[0].Count))
            throw new ArgumentException($"Tied groups need specs with the same number of groups, not {string.Join(", ", specs.Select(s => s.Count))}.", nameof(specs));
        return new GroupSpec(string.Join(" & ", specs.Select(spec => spec.Name)), specs[0].Count, [.. specs.SelectMany(spec => spec.Slices)]);
    }

    /// <summary>||s_j|| of every group: one pass over the parameters.</summary>
    /// <param name="norms">Receives them; as long as <see cref="Count"/>.</param>
    public void Norms(Span<double> norms)
    {
        CheckLength(norms.Length, nameof(norms));
        norms.Clear();
        foreach (GroupSlice slice in Slices) slice.AddSquares(norms);
        for (int j = 0; j < norms.Length; j++) norms[j] = Math.Sqrt(norms[j]);
    }

    /// <summary>||s_j|| of every group.</summary>
    public double[] Norms()
    {
        double[] norms = new double[Count];
        Norms(norms);
        return norms;
    }

    /// <summary>Multiplies every group by its number, 0 giving exact zeros: one pass over the parameters.</summary>
    /// <param name="scales">One per group.</param>
    public void Scale(ReadOnlySpan<double> scales)
    {
        CheckLength(scales.Length, nameof(scales));
        foreach (GroupSlice slice in Slices) slice.Scale(scales);
    }

    /// <summary>Number of groups that are not zero.</summary>
    public int Surviving()
    {
        double[] pool = ArrayPool<double>.Shared.Rent(Count);
        Span<double> norms = pool.AsSpan(0, Count);
        Norms(norms);
        int surviving = Count - norms.Count(0.0);
        ArrayPool<double>.Shared.Return(pool);
        return surviving;
    }

    /// <summary>Whether a spec has a part of this parameter.</summary>
    internal bool Covers(nint identity) => Slices.Any(slice => slice.Identity == identity);

    private static IEnumerable<GroupSlice> Outputs(string name, Tensor weight, Tensor? bias)
    {
        int outputs = Whole(weight.shape[0]), length = Whole(weight.numel() / outputs);
        yield return new($"{name}.weight", weight, outputs, 0, length, length);
        if (bias is not null) yield return new($"{name}.bias", bias, outputs, 0, 1, 1);
    }

    private static int Whole(long count) => checked((int)count);

    private void CheckLength(int length, string name)
    {
        if (length != Count) throw new ArgumentException($"{name} holds {length} numbers for the {Count} groups of {Name}.", name);
    }
}
