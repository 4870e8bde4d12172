using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Sparseland.Training.ArchitectureSearch;

/// <summary>A layer that is a mixture of operations, sum_i p_i o_i(x) with p = softmax(alpha); alpha is learned (DARTS). Its gradient is dL/dalpha_i = p_i (&lt;g, o_i> - sum_j p_j &lt;g, o_j>), g the gradient at the mixture.</summary>
public sealed class MixedOperation : nn.Module<Tensor, Tensor>
{
    private readonly ModuleList<nn.Module<Tensor, Tensor>> _operations;
    private readonly Parameter _alpha;
    private readonly string[] _names;

    /// <summary>A mixture with equal shares.</summary>
    /// <param name="operations">Names and operations, at least one.</param>
    /// <param name="type">Type of alpha. Default Float32.</param>
    /// <exception cref="ArgumentException">No operation, or two of one name.</exception>
    public MixedOperation(IReadOnlyList<(string Name, nn.Module<Tensor, Tensor> Operation)> operations, ScalarType type = ScalarType.Float32)
        : base(nameof(MixedOperation))
    {
        ArgumentNullException.ThrowIfNull(operations);
        _names = [.. operations.Select(o => o.Name)];
        if (_names.Length == 0) throw new ArgumentException("A mixture needs an operation.", nameof(operations));
        if (_names.Distinct().Count() != _names.Length) throw new ArgumentException($"Two operations have one name: {string.Join(", ", _names)}.", nameof(operations));
        _operations = nn.ModuleList<nn.Module<Tensor, Tensor>>([.. operations.Select(o => o.Operation)]);
        _alpha = nn.Parameter(zeros(_names.Length, dtype: type).DetachFromDisposeScope());
        RegisterComponents();
    }

    /// <summary>alpha [operations].</summary>
    public Parameter Alpha => _alpha;

    /// <summary>Names of the operations.</summary>
    public IReadOnlyList<string> Names => _names;

    /// <summary>The operations.</summary>
    public IReadOnlyList<nn.Module<Tensor, Tensor>> Operations => [.. _operations];

    /// <summary>softmax(alpha).</summary>
    public double[] Probabilities
    {
        get
        {
            using IDisposable off = no_grad();
            using DisposeScope scope = NewDisposeScope();
            return _alpha.detach().to(ScalarType.Float64).softmax(0).cpu().data<double>().ToArray();
        }
    }

    /// <summary>The strongest operation; of equals the first.</summary>
    public int Strongest
    {
        get
        {
            double[] p = Probabilities;
            return Array.IndexOf(p, p.Max());
        }
    }

    /// <inheritdoc/>
    /// <exception cref="ArgumentException">Two operations give other shapes.</exception>
    public override Tensor forward(Tensor input)
    {
        using DisposeScope scope = NewDisposeScope();
        Tensor p = _alpha.softmax(0);
        Tensor? sum = null;
        long[] shape = [];
        for (int i = 0; i < _names.Length; i++)
        {
            Tensor output = _operations[i].call(input);
            if (sum is null) shape = output.shape;
            else if (!output.shape.SequenceEqual(shape))
                throw new ArgumentException($"\"{_names[i]}\" gives [{string.Join(", ", output.shape)}], \"{_names[0]}\" [{string.Join(", ", shape)}]: operations of a mixture give one shape.", nameof(input));
            Tensor part = p[i] * output;
            sum = sum is null ? part : sum + part;
        }

        return sum!.MoveToOuterDisposeScope();
    }
}
