using Sparseland.Evaluation;
using Sparseland.Tensors;
using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Sparseland.Training.ArchitectureSearch;

/// <summary>An operation for each layer.</summary>
/// <param name="Operations">Names in the order of the layers.</param>
public sealed record Genotype(IReadOnlyList<string> Operations)
{
    /// <inheritdoc/>
    public override string ToString() => string.Join(" / ", Operations);
}

/// <summary>A small space of networks: a 3 x 3 stem, layers of which each is one of some operations, 2 x 2 max pooling behind each but the last, ReLU, the mean over 2 x 2 parts, and a linear head. Stem and head are never pruned.</summary>
public sealed record SearchSpace
{
    /// <summary>Operations that a layer may be. Names differ.</summary>
    public IReadOnlyList<SearchOperation> Operations { get; init; } = [];

    /// <summary>Channels of all layers. Default 8.</summary>
    public int Channels { get; init; } = 8;

    /// <summary>Layers. Default 3.</summary>
    public int Layers { get; init; } = 3;

    /// <summary>Classes. Default 10.</summary>
    public int Classes { get; init; } = 10;

    /// <summary>Channels of an image. Default 1.</summary>
    public int Planes { get; init; } = 1;

    /// <summary>Whether the operations' batch norms have a gain and a shift. DARTS has none in the search, lest a gain hide alpha. Default true.</summary>
    public bool AffineNorm { get; init; } = true;

    /// <summary>DARTS's kind of space, without full convolutions: skip, max pool, separable 3x3 and 5x5.</summary>
    public static SearchSpace Separable { get; } = new() { Operations = [SearchOperation.Skip, SearchOperation.MaxPool, SearchOperation.Separable(3), SearchOperation.Separable(5)] };

    /// <summary>With full convolutions, which can be afforded because they will be sparse: skip, max pool, separable 3x3, convolutions 1x1, 3x3, 5x5.</summary>
    public static SearchSpace Extended { get; } = new()
    {
        Operations = [SearchOperation.Skip, SearchOperation.MaxPool, SearchOperation.Separable(3), SearchOperation.Convolution(1), SearchOperation.Convolution(3), SearchOperation.Convolution(5)],
    };

    /// <summary>Refuses what has no meaning.</summary>
    /// <exception cref="ArgumentException">No operation, two of one name, or a number that is not positive.</exception>
    public void Validate()
    {
        if (Operations is not { Count: > 0 }) throw new ArgumentException("A space needs an operation.", nameof(Operations));
        if (Operations.Select(o => o.Name).Distinct().Count() != Operations.Count) throw new ArgumentException($"Two operations have one name: {string.Join(", ", Operations.Select(o => o.Name))}.", nameof(Operations));
        foreach ((string name, int value) in new[] { (nameof(Channels), Channels), (nameof(Layers), Layers), (nameof(Classes), Classes), (nameof(Planes), Planes) })
            ArgumentOutOfRangeException.ThrowIfNegativeOrZero(value, name);
    }

    /// <summary>The network whose layers are mixtures of all operations.</summary>
    /// <param name="seed">Seed of the first weights.</param>
    /// <exception cref="ArgumentException">The space has no meaning.</exception>
    public SearchNetwork Supernet(long seed)
    {
        Validate();
        using Generator generator = new((ulong)seed);
        return new(this, [.. Enumerable.Range(0, Layers).Select(_ => new MixedOperation([.. Operations.Select(o => (o.Name, o.Make(Channels, AffineNorm, generator)))]))], generator);
    }

    /// <summary>A network of chosen operations, with new weights.</summary>
    /// <param name="genotype">An operation for each layer.</param>
    /// <param name="seed">Seed of the first weights.</param>
    /// <exception cref="ArgumentException">Another number of layers, or an operation that the space has not.</exception>
    public SearchNetwork Network(Genotype genotype, long seed)
    {
        SearchOperation[] chosen = Chosen(genotype);
        using Generator generator = new((ulong)seed);
        return new(this, [.. chosen.Select(o => o.Make(Channels, true, generator))], generator);
    }

    /// <summary>Weights of the convolutions of chosen operations.</summary>
    /// <param name="genotype">An operation for each layer.</param>
    /// <exception cref="ArgumentException">Another number of layers, or an operation that the space has not.</exception>
    public int WeightsOf(Genotype genotype) => Chosen(genotype).Sum(o => o.Weights(Channels));

    /// <summary>The same operation in all layers.</summary>
    /// <param name="operation">Name of the operation.</param>
    public Genotype Alike(string operation) => new([.. Enumerable.Repeat(operation, Layers)]);

    /// <summary>Refuses images and classes that its networks are not for.</summary>
    internal void CheckImages(Tensor X, Tensor labels)
    {
        long least = 1L << (Layers - 1);
        if (X.shape[1] != Planes || X.shape[2] < least || X.shape[3] < least)
            throw new ArgumentException($"X must be [images, {Planes}, rows, columns] with at least {least} rows and columns, which are halved behind each layer but the last, but is [{string.Join(", ", X.shape)}].", nameof(X));
        Accuracy.CheckRange(labels, Classes, "space");
    }

    private SearchOperation[] Chosen(Genotype genotype)
    {
        ArgumentNullException.ThrowIfNull(genotype);
        Validate();
        if (genotype.Operations.Count != Layers) throw new ArgumentException($"The genotype has {genotype.Operations.Count} layers, the space {Layers}.", nameof(genotype));
        return [.. genotype.Operations.Select(name => Operations.FirstOrDefault(o => o.Name == name)
            ?? throw new ArgumentException($"The space has no operation \"{name}\"; it has {string.Join(", ", Operations.Select(o => o.Name))}.", nameof(genotype)))];
    }
}

/// <summary>A network of a <see cref="SearchSpace"/>: its layers are mixtures, or one operation each.</summary>
public sealed class SearchNetwork : nn.Module<Tensor, Tensor>
{
    private readonly Sequential _stem;
    private readonly ModuleList<nn.Module<Tensor, Tensor>> _layers;
    private readonly Linear _head;

    internal SearchNetwork(SearchSpace space, IReadOnlyList<nn.Module<Tensor, Tensor>> layers, Generator generator)
        : base(nameof(SearchNetwork))
    {
        Space = space;
        _stem = nn.Sequential(nn.Conv2d(space.Planes, space.Channels, 3, padding: 1, bias: false), nn.BatchNorm2d(space.Channels));
        _layers = nn.ModuleList<nn.Module<Tensor, Tensor>>([.. layers]);
        _head = nn.Linear(4 * space.Channels, space.Classes);
        RegisterComponents();
        using IDisposable off = no_grad();
        foreach (Parameter parameter in _stem.parameters().Concat(_head.parameters()).Where(p => p.dim() > 1))
        {
            using DisposeScope scope = NewDisposeScope();
            double bound = 1 / Math.Sqrt(parameter.numel() / (double)parameter.shape[0]);
            parameter.copy_(rand(parameter.shape, generator: generator).mul(2 * bound).sub(bound));
        }

        _head.bias!.zero_();
    }

    /// <summary>The space.</summary>
    public SearchSpace Space { get; }

    /// <summary>The layers.</summary>
    public IReadOnlyList<nn.Module<Tensor, Tensor>> Layers => [.. _layers];

    /// <summary>The layers that are mixtures; none in a network of chosen operations.</summary>
    public IReadOnlyList<MixedOperation> Mixtures => [.. _layers.OfType<MixedOperation>()];

    /// <summary>The layers with learned masks, in the order of the network.</summary>
    public IReadOnlyList<ScoredLayer> Scored => [.. modules().OfType<ScoredLayer>()];

    /// <summary>Weights that the masks keep, together.</summary>
    public int Kept => Scored.Sum(layer => layer.Kept);

    /// <summary>The strongest operation of each mixture.</summary>
    /// <exception cref="InvalidOperationException">The layers are no mixtures.</exception>
    public Genotype Derive() => Mixtures.Count == Space.Layers ? new([.. Mixtures.Select(m => m.Names[m.Strongest])]) : throw new InvalidOperationException("Only a network of mixtures can be derived from.");

    /// <inheritdoc/>
    /// <param name="input">[images, planes, rows, columns].</param>
    /// <returns>[images, classes].</returns>
    public override Tensor forward(Tensor input)
    {
        ArgumentNullException.ThrowIfNull(input);
        if (input.dim() != 4 || input.shape[1] != Space.Planes) throw new ArgumentException($"input must be [images, {Space.Planes}, rows, columns], but is [{string.Join(", ", input.shape)}].", nameof(input));
        using DisposeScope scope = NewDisposeScope();
        Tensor x = ChannelsLast.Of(_stem.call(input));
        for (int i = 0; i < _layers.Count; i++)
        {
            x = _layers[i].call(x);
            if (i < _layers.Count - 1) x = nn.functional.max_pool2d(x, 2);
        }

        return _head.call(nn.functional.adaptive_avg_pool2d(x.relu(), 2).flatten(1)).MoveToOuterDisposeScope();
    }
}
