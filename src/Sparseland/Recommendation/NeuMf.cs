using Sparseland.Tensors;
using Sparseland.Training;
using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Sparseland.Recommendation;

/// <summary>
/// NeuMF (He et al. 2017): the product of two embeddings beside a small network of two others, joined in one output, with binary cross-entropy on
/// interactions and unseen pairs.
/// </summary>
public sealed class NeuMf : nn.Module, IRecommender
{
    private readonly Embedding _productUsers, _productItems, _networkUsers, _networkItems;
    private readonly Linear[] _layers;
    private readonly Linear _output;

    /// <summary>Embeddings of normal numbers with deviation 0.01, Xavier uniform layers, biases of zero.</summary>
    /// <param name="users">Number of users.</param>
    /// <param name="items">Number of items.</param>
    /// <param name="width">Numbers of each embedding. Default 16.</param>
    /// <param name="hidden">Widths of the layers above the two embeddings of the network; null, the default, for 32, 16 and 8.</param>
    /// <param name="seed">Seed of the start. Default 1.</param>
    /// <exception cref="ArgumentOutOfRangeException">A number is not positive.</exception>
    public NeuMf(int users, int items, int width = 16, IReadOnlyList<int>? hidden = null, long seed = 1)
        : base(nameof(NeuMf))
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(users);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(items);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(width);
        hidden ??= [32, 16, 8];
        foreach (int size in hidden) ArgumentOutOfRangeException.ThrowIfNegativeOrZero(size, nameof(hidden));
        (Users, Items) = (users, items);
        (_productUsers, _productItems) = (nn.Embedding(users, width), nn.Embedding(items, width));
        (_networkUsers, _networkItems) = (nn.Embedding(users, width), nn.Embedding(items, width));
        int[] sizes = [2 * width, .. hidden];
        _layers = [.. Enumerable.Range(0, hidden.Count).Select(l => nn.Linear(sizes[l], sizes[l + 1]))];
        _output = nn.Linear(width + sizes[^1], 1);
        for (int l = 0; l < _layers.Length; l++) register_module($"layer{l + 1}", _layers[l]);
        RegisterComponents();
        Start(new SeededRandom(seed, 9_300_000));
    }

    /// <summary>Number of users.</summary>
    public int Users { get; }

    /// <summary>Number of items.</summary>
    public int Items { get; }

    /// <summary>Logits of pairs.</summary>
    /// <param name="pairs">[pairs, 2]: users and items.</param>
    /// <returns>[pairs].</returns>
    public Tensor Logits(Tensor pairs)
    {
        ArgumentNullException.ThrowIfNull(pairs);
        using DisposeScope scope = NewDisposeScope();
        Tensor users = pairs.select(1, 0), items = pairs.select(1, 1);
        Tensor product = _productUsers.call(users).mul(_productItems.call(items)), deep = cat([_networkUsers.call(users), _networkItems.call(items)], 1);
        foreach (Linear layer in _layers) deep = layer.call(deep).relu();
        return _output.call(cat([product, deep], 1)).squeeze(1).MoveToOuterDisposeScope();
    }

    /// <summary>Binary cross-entropy of a mini-batch. For <see cref="TrainingLoop"/>.</summary>
    /// <param name="batch">Of <see cref="LabelledPairBatches"/>.</param>
    public Tensor Loss(Batch batch)
    {
        using DisposeScope scope = NewDisposeScope();
        return nn.functional.binary_cross_entropy_with_logits(Logits(batch.Input), batch.Target).MoveToOuterDisposeScope();
    }

    /// <inheritdoc/>
    public Tensor Scores(IReadOnlyList<int> users)
    {
        Interactions.CheckUsers(users, Users);
        using DisposeScope scope = NewDisposeScope();
        using IDisposable off = no_grad();
        Tensor whose = tensor(users.Select(user => (long)user).ToArray()).repeat_interleave(Items), items = arange(Items, dtype: ScalarType.Int64).repeat([users.Count]);
        return Logits(stack([whose, items], 1)).reshape(users.Count, Items).MoveToOuterDisposeScope();
    }

    private void Start(SeededRandom random)
    {
        using IDisposable off = no_grad();
        using DisposeScope scope = NewDisposeScope();
        foreach ((string name, Parameter parameter) in named_parameters())
        {
            long[] shape = parameter.shape;
            float[] values = new float[parameter.numel()];
            bool isTable = shape.Length == 2 && !name.StartsWith("layer", StringComparison.Ordinal) && !name.StartsWith("_output", StringComparison.Ordinal);
            double bound = shape.Length == 2 ? Math.Sqrt(6.0 / (shape[0] + shape[1])) : 0;
            for (int i = 0; i < values.Length; i++) values[i] = (float)(isTable ? 0.01 * random.NextGaussian() : random.NextDouble(-bound, bound));
            parameter.copy_(tensor(values, shape));
        }
    }
}
