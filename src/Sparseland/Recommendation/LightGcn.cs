using Sparseland.Kernels;
using Sparseland.Selection;
using Sparseland.Tensors;
using Sparseland.Training;
using TorchSharp;
using TorchSharp.Modules;
using TorchSharp.Utils;
using static TorchSharp.torch;

namespace Sparseland.Recommendation;

/// <summary>
/// LightGCN (He et al. 2020): one table E of users and items, averaged over neighbours. With A the graph of interactions and D its degrees,
/// E^(l+1) = D^-1/2 A D^-1/2 E^(l), and the mean of E^(0) ... E^(L) gives the scores, products of a user's and an item's row. Trained with the pairwise
/// loss softplus(s_neg - s_pos) + penalty/2 (squared norms of the three rows of E), averaged over the triples.
/// </summary>
/// <remarks>The propagation is linear and symmetric, so its gradient is the propagation of the gradient: <see cref="Gradients"/> needs no graph of operations.</remarks>
public sealed class LightGcn : nn.Module, IRecommender
{
    private readonly Support _graph;
    private readonly Tensor _weights;

    /// <summary>A table of normal numbers with standard deviation 0.1.</summary>
    /// <param name="training">The interactions that make the graph.</param>
    /// <param name="width">Numbers of a row. Default 64.</param>
    /// <param name="layers">L, from 0 on. Default 3.</param>
    /// <param name="penalty">Weight of the squared norms. Default 1e-4.</param>
    /// <param name="seed">Seed of the start. Default 1.</param>
    /// <exception cref="ArgumentOutOfRangeException">A number is out of its range.</exception>
    public LightGcn(Interactions training, int width = 64, int layers = 3, double penalty = 1e-4, long seed = 1)
        : base(nameof(LightGcn))
    {
        ArgumentNullException.ThrowIfNull(training);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(width);
        ArgumentOutOfRangeException.ThrowIfNegative(layers);
        Finite.NotNegative(penalty);
        (Users, Items, Layers, Penalty) = (training.Users, training.Items, layers, penalty);
        (_graph, float[] weights) = Graph(training);
        _weights = tensor(weights).DetachFromDisposeScope();
        var random = new SeededRandom(seed, 9_100_000);
        float[] start = new float[(Users + Items) * width];
        for (int i = 0; i < start.Length; i++) start[i] = (float)(0.1 * random.NextGaussian());
        Table = new Parameter(tensor(start, [Users + Items, width]));
        register_parameter("table", Table);
    }

    /// <summary>E [users + items, width]: users first.</summary>
    [field: ComponentName(Name = "table")]
    public Parameter Table { get; }

    /// <summary>Number of users.</summary>
    public int Users { get; }

    /// <summary>Number of items.</summary>
    public int Items { get; }

    /// <summary>L.</summary>
    public int Layers { get; }

    /// <summary>Weight of the squared norms.</summary>
    public double Penalty { get; }

    /// <summary>The mean of E^(0) ... E^(L) of a table; without gradients.</summary>
    /// <param name="table">[users + items, width], Float32 on the CPU.</param>
    /// <returns>The same shape; the caller disposes it.</returns>
    /// <exception cref="ArgumentException">Another shape, type or device.</exception>
    public Tensor Propagate(Tensor table)
    {
        ArgumentNullException.ThrowIfNull(table);
        if (table.dim() != 2 || table.size(0) != Users + Items || table.dtype != ScalarType.Float32 || table.device_type != DeviceType.CPU)
            throw new ArgumentException($"table must be Float32 [{Users + Items}, width] on the CPU, but is {table.dtype} [{string.Join(", ", table.shape)}] on {table.device_type}.", nameof(table));
        using DisposeScope scope = NewDisposeScope();
        using IDisposable off = no_grad();
        Tensor layer = table.detach().contiguous(), sum = layer.clone();
        for (int l = 0; l < Layers; l++)
        {
            layer = SparseProduct.Multiply(_graph, _weights, layer);
            sum.add_(layer);
        }

        return sum.div_(Layers + 1).MoveToOuterDisposeScope();
    }

    /// <summary>The loss of a mini-batch; its gradient, times a weight, is added to what the table holds. For <see cref="TrainingLoop"/>.</summary>
    /// <param name="batch">Of <see cref="TripleBatches"/>.</param>
    /// <param name="weight">Factor of the gradient.</param>
    /// <returns>The mean loss.</returns>
    /// <exception cref="ArgumentException">A user or an item is not there: the batch is of other data.</exception>
    public double Gradients(Batch batch, double weight)
    {
        using DisposeScope scope = NewDisposeScope();
        using IDisposable off = no_grad();
        Tensor final = Propagate(Table), received = zeros_like(final), direct = zeros_like(final);
        double loss = Triples(batch, final, received, direct);
        Tensor gradient = Propagate(received).add_(direct).mul_(weight);
        if (Table.grad is { } held) held.add_(gradient);
        else Table.grad = gradient.MoveToOuterDisposeScope();
        return loss;
    }

    /// <inheritdoc/>
    public Tensor Scores(IReadOnlyList<int> users)
    {
        Interactions.CheckUsers(users, Users);
        using DisposeScope scope = NewDisposeScope();
        using IDisposable off = no_grad();
        Tensor final = Propagate(Table), rows = tensor(users.Select(user => (long)user).ToArray());
        return final.index_select(0, rows).mm(final.narrow(0, Users, Items).t()).MoveToOuterDisposeScope();
    }

    /// <inheritdoc/>
    protected override void Dispose(bool disposing)
    {
        if (disposing) _weights.Dispose();
        base.Dispose(disposing);
    }

    /// <summary>Both directions of every interaction, weighted by one over the root of the product of the degrees.</summary>
    private static (Support Graph, float[] Weights) Graph(Interactions training)
    {
        int users = training.Users, nodes = users + training.Items;
        Support items = training.Pairs.Transpose(out _);
        int[] userDegrees = training.UserDegrees(), itemDegrees = training.ItemDegrees(), offsets = new int[nodes + 1];
        var columns = new List<int>(2 * training.Count);
        var weights = new List<float>(2 * training.Count);
        for (int node = 0; node < nodes; node++)
        {
            bool isUser = node < users;
            foreach (int other in isUser ? training.Pairs.Row(node) : items.Row(node - users))
            {
                columns.Add(isUser ? other + users : other);
                weights.Add((float)(1 / Math.Sqrt((double)(isUser ? userDegrees[node] : itemDegrees[node - users]) * (isUser ? itemDegrees[other] : userDegrees[other]))));
            }

            offsets[node + 1] = columns.Count;
        }

        return (new Support(nodes, nodes, offsets, columns.ToArray()), weights.ToArray());
    }

    /// <summary>Loss of the triples, with its gradients by the propagated rows and, for the norms, by the table itself.</summary>
    private double Triples(Batch batch, Tensor final, Tensor received, Tensor direct)
    {
        int width = (int)final.shape[1], n = (int)batch.Input.shape[0];
        long[] users = batch.Input.data<long>().ToArray(), items = batch.Target.data<long>().ToArray();
        ReadOnlySpan<float> F = TensorMemory.Read<float>(final), E = TensorMemory.Read<float>(Table);
        Span<float> G = TensorMemory.Part<float>(TensorMemory.StartOf(received), 0, (int)received.numel()), D = TensorMemory.Part<float>(TensorMemory.StartOf(direct), 0, (int)direct.numel());
        double loss = 0;
        float decay = (float)(Penalty / n);
        for (int i = 0; i < n; i++)
        {
            if (users[i] < 0 || users[i] >= Users || items[2 * i] < 0 || items[2 * i] >= Items || items[(2 * i) + 1] < 0 || items[(2 * i) + 1] >= Items)
                throw new ArgumentException($"Triple {i} is user {users[i]} with the items {items[2 * i]} and {items[(2 * i) + 1]}, but there are {Users} users and {Items} items: the batches are of other data.", nameof(batch));
            int u = (int)users[i] * width, p = (Users + (int)items[2 * i]) * width, q = (Users + (int)items[(2 * i) + 1]) * width;
            double gap = 0, norms = 0;
            for (int c = 0; c < width; c++)
            {
                gap += (double)F[u + c] * (F[q + c] - F[p + c]);
                norms += ((double)E[u + c] * E[u + c]) + ((double)E[p + c] * E[p + c]) + ((double)E[q + c] * E[q + c]);
            }

            loss += Math.Max(gap, 0) + Math.Log(1 + Math.Exp(-Math.Abs(gap))) + (Penalty / 2 * norms);
            float slope = (float)(1 / (1 + Math.Exp(-gap)) / n);
            for (int c = 0; c < width; c++)
            {
                G[u + c] += slope * (F[q + c] - F[p + c]);
                G[p + c] -= slope * F[u + c];
                G[q + c] += slope * F[u + c];
                D[u + c] += decay * E[u + c];
                D[p + c] += decay * E[p + c];
                D[q + c] += decay * E[q + c];
            }
        }

        return loss / n;
    }
}
