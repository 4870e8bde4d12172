using Sparseland.Models;
using Sparseland.Tensors;
using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;
using static TorchSharp.torch.nn;

namespace Sparseland.Training.IsoFlop;

/// <summary>A network whose hidden layers are sparse iso-FLOP transformations of those of a dense one, with masks drawn uniformly at random.</summary>
public sealed partial class IsoFlopNetwork : IDisposable
{
    private IsoFlopNetwork(Module<Tensor, Tensor> model, MaskSet? masks, IReadOnlyList<LayerShape> layers, long denseCost, IReadOnlyDictionary<string, double> densities) =>
        (Model, Masks, Layers, DenseCost, Densities) = (model, masks, layers, denseCost, densities);

    /// <summary>The network: a Sequential, or a <see cref="Models.Vision.ResNet"/>.</summary>
    public Module<Tensor, Tensor> Model { get; }

    /// <summary>Masks of its sparse weights; null where all are dense.</summary>
    public MaskSet? Masks { get; }

    /// <summary>Every matrix that is multiplied, by the name of its parameter.</summary>
    public IReadOnlyList<LayerShape> Layers { get; }

    /// <summary>Multiply-adds of a forward pass of the dense network it replaces, for one sample.</summary>
    public long DenseCost { get; }

    /// <summary>Density of each matrix.</summary>
    public IReadOnlyDictionary<string, double> Densities { get; }

    /// <summary>Multiply-adds of a forward pass over active weights. Norms and activations are not counted.</summary>
    public long Cost => TrainingCost.Forward(Layers, Masks);

    /// <summary>Multiply-adds where all its weights were active: those of a dense gradient.</summary>
    public long FullCost => TrainingCost.Forward(Layers);

    /// <summary><see cref="Cost"/> over <see cref="DenseCost"/>.</summary>
    public double Ratio => (double)Cost / DenseCost;

    /// <summary>log10 of the number of masks there are for its layers together.</summary>
    public double Log10Masks => Masks is null ? 0 : Masks.Names.Sum(name => SearchSpace.Log10Masks(Masks[name].numel(), Masks.ActiveOf(name)));

    /// <summary>
    /// A perceptron with batch norm and ReLU behind each hidden layer, which has no bias; the head is dense and has one. A wide network's density is solved so that the whole has the multiply-adds of the
    /// dense one (<see cref="IsoFlopSolver"/>); the others follow their layers' formulas. Weights are normal with variance 2/inputs over the density.
    /// </summary>
    /// <param name="widths">Inputs, hidden widths of the dense network, classes; at least three numbers.</param>
    /// <param name="member">The transformation; null for the dense network.</param>
    /// <param name="seed">Seed of weights and masks.</param>
    /// <exception cref="ArgumentException">Fewer than three widths, one that is not positive, or the transformation does not fit: a factor or mask would be empty, or the budget cannot be met.</exception>
    public static IsoFlopNetwork Mlp(IReadOnlyList<int> widths, IsoFlopMember? member, long seed)
    {
        ArgumentNullException.ThrowIfNull(widths);
        if (widths.Count < 3 || widths.Any(w => w < 1)) throw new ArgumentException($"widths are [{string.Join(", ", widths)}]; they must be three or more positive numbers.", nameof(widths));
        using DisposeScope scope = NewDisposeScope();
        int[] real = [.. widths.Select((w, i) => member is SparseWide wide && i > 0 && i < widths.Count - 1 ? wide.WidthOf(w) : w)];
        List<(string Name, Module<Tensor, Tensor> Module)> modules = [];
        HashSet<string> sparse = [];
        for (int i = 1; i < real.Length - 1; i++) AddHidden(modules, sparse, member, $"{i}", real[i - 1], real[i]);
        modules.Add(("head", Linear(real[^2], real[^1])));
        Sequential model = Sequential(modules);
        long dense = widths.Zip(widths.Skip(1), (a, b) => (long)a * b).Sum();
        LayerShape[] layers = [.. model.named_parameters().Where(p => p.parameter.dim() == 2).Select(p => new LayerShape(p.name, [.. p.parameter.shape]))];
        double density = member switch
        {
            null or { Sparsity: 0 } => 1,
            SparseWide => IsoFlopSolver.Density(layers, dense, ["head.weight"]),
            _ => member.Density,
        };
        return Made(model, sparse, layers, dense, density, seed, scope);
    }

    /// <summary>Frees network and masks.</summary>
    public void Dispose()
    {
        Masks?.Dispose();
        Model.Dispose();
    }

    /// <inheritdoc/>
    public override string ToString() => Readable.Of(this);

    private static void AddHidden(List<(string Name, Module<Tensor, Tensor> Module)> modules, HashSet<string> sparse, IsoFlopMember? member, string number, int inputs, int outputs)
    {
        string name = "fc" + number;
        bool norm = true;
        switch (member)
        {
            case SparseParallel parallel:
                modules.Add((name, new ParallelLinear(inputs, outputs, parallel.Branches, parallel.Inner)));
                sparse.UnionWith(Enumerable.Range(1, parallel.Branches).Select(j => $"{name}.branch{j}"));
                // A sum of outputs of ReLU is not negative: the ReLU behind it changes nothing.
                norm = parallel.Inner == InnerActivation.None;
                break;
            case SparseFactorized factorized:
                int rank = factorized.SizeFor(inputs, outputs).Size;
                modules.Add((name + "u", Linear(inputs, rank, hasBias: false)));
                if (factorized.Inner != InnerActivation.None) modules.Add(("inner" + number, BatchNorm1d(rank)));
                if (factorized.Inner == InnerActivation.NormAndRelu) modules.Add(("innerrelu" + number, ReLU()));
                modules.Add((name + "v", Linear(rank, outputs, hasBias: false)));
                sparse.UnionWith([name + "u.weight", name + "v.weight"]);
                break;
            case SparseDoped doped when doped.SizeFor(inputs, outputs).Size is > 0 and var factors:
                modules.Add((name, new DopedLinear(inputs, outputs, factors)));
                sparse.Add(name + ".weight");
                break;
            default:
                modules.Add((name, Linear(inputs, outputs, hasBias: false)));
                if (member is not null) sparse.Add(name + ".weight");
                break;
        }

        if (norm) modules.Add(("bn" + number, BatchNorm1d(outputs)));
        modules.Add(("relu" + number, ReLU()));
    }

    private static IsoFlopNetwork Made(Module<Tensor, Tensor> model, HashSet<string> sparse, LayerShape[] layers, long denseCost, double density, long seed, DisposeScope scope)
    {
        var densities = layers.ToDictionary(l => l.Name, l => sparse.Contains(l.Name) ? density : 1);
        MaskSet? masks = density < 1 ? MaskSet.Random(model, densities.Where(d => sparse.Contains(d.Key)).ToDictionary(), seed) : null;
        Start(model, densities, seed);
        masks?.Apply();
        scope.Detach(model.parameters().Cast<Tensor>().Concat(model.buffers()));
        return new(model, masks, layers, denseCost, densities);
    }

    private static void Start(Module<Tensor, Tensor> model, Dictionary<string, double> densities, long seed)
    {
        SmallClassifiers.Start(model, seed);
        using IDisposable off = no_grad();
        foreach ((string name, Parameter parameter) in model.named_parameters())
        {
            if (densities.TryGetValue(name, out double density) && density < 1) parameter.mul_(1 / Math.Sqrt(density));
        }
    }
}
