using System.Numerics.Tensors;
using Sparseland.Tensors;
using TorchSharp;
using static TorchSharp.torch;
using Tensor = TorchSharp.torch.Tensor;

namespace Sparseland.Solvers;

/// <summary>
/// The coordinates a solver works on, with their coefficients a, their Gram matrix G and their correlations c = q - G a. Coordinates
/// are added, never removed; the Gram matrix grows by the new rows only.
/// </summary>
internal sealed class WorkingSet(DenseMap map)
{
    private readonly List<int> _coordinates = [];
    private readonly HashSet<int> _members = [];
    private double[] _atoms = [];
    private double[] _gram = [];
    private int _capacity;

    public int Count => _coordinates.Count;

    public int this[int i] => _coordinates[i];

    public double[] Coefficients { get; private set; } = [];

    /// <summary>M_W^T r.</summary>
    public double[] Correlations { get; private set; } = [];

    public bool Contains(int coordinate) => _members.Contains(coordinate);

    public double Gram(int i, int j) => _gram[(long)i * _capacity + j];

    public void Add(IReadOnlyList<int> coordinates)
    {
        int before = Count, outputs = map.Outputs;
        foreach (int coordinate in coordinates)
        {
            if (_members.Add(coordinate)) _coordinates.Add(coordinate);
        }

        if (Count == before) return;
        Grow(Count);
        for (int i = before; i < Count; i++) map.CopyColumn(_coordinates[i], _atoms.AsSpan(i * outputs));

        int added = Count - before;
        if ((long)added * Count * outputs < 1 << 22)
        {
            // A few rows: their products at once, without a copy of all atoms.
            for (int i = before; i < Count; i++)
            {
                ReadOnlySpan<double> row = Atom(i);
                for (int j = 0; j <= i; j++) _gram[(i * _capacity) + j] = _gram[(j * _capacity) + i] = VectorMath.Dot(row, Atom(j));
            }

            return;
        }

        using var scope = NewDisposeScope();
        Tensor all = tensor(_atoms.AsSpan(0, Count * outputs).ToArray(), [Count, outputs]);
        double[] rows = all.narrow(0, before, added).mm(all.t()).data<double>().ToArray();
        for (int i = before; i < Count; i++)
        {
            rows.AsSpan((i - before) * Count, Count).CopyTo(_gram.AsSpan(i * _capacity));
            for (int j = 0; j < before; j++) _gram[j * _capacity + i] = _gram[i * _capacity + j];
        }

        ReadOnlySpan<double> Atom(int i) => _atoms.AsSpan(i * outputs, outputs);
    }

    /// <summary>Takes the coefficients and correlations of the whole problem.</summary>
    public void Load(ReadOnlySpan<double> a, ReadOnlySpan<double> correlations)
    {
        for (int i = 0; i < Count; i++) (Coefficients[i], Correlations[i]) = (a[_coordinates[i]], correlations[_coordinates[i]]);
    }

    /// <summary>Writes the coefficients back.</summary>
    public void Store(Span<double> a)
    {
        for (int i = 0; i < Count; i++) a[_coordinates[i]] = Coefficients[i];
    }

    /// <summary>a_i += delta, c -= delta G_i.</summary>
    public void Move(int i, double delta)
    {
        Coefficients[i] += delta;
        Span<double> c = Correlations.AsSpan(0, Count);
        VectorMath.AddScaled(_gram.AsSpan(i * _capacity, Count), -delta, c);
    }

    private void Grow(int count)
    {
        if (count <= _capacity) return;
        int capacity = Math.Max(count, Math.Max(64, 2 * _capacity)), used = _capacity;
        (double[] coefficients, double[] correlations, double[] atoms) = (Coefficients, Correlations, _atoms);
        Array.Resize(ref coefficients, capacity);
        Array.Resize(ref correlations, capacity);
        Array.Resize(ref atoms, checked(capacity * map.Outputs));
        (Coefficients, Correlations, _atoms) = (coefficients, correlations, atoms);
        double[] gram = new double[checked(capacity * capacity)];
        for (int i = 0; i < used; i++) _gram.AsSpan(i * used, used).CopyTo(gram.AsSpan(i * capacity));
        (_gram, _capacity) = (gram, capacity);
    }
}
