using System.Numerics.Tensors;
using System.Runtime.CompilerServices;
using Tensor = TorchSharp.torch.Tensor;
using Sparseland.Coding;
using Sparseland.Tensors;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.LowRank;

/// <summary>A dense-sparse factorisation while it is made: everything in float64 and in arrays, block after block.</summary>
internal sealed class DenseSparseWork
{
    // Share of the mean diagonal that is added to the Gram matrix of the codes.
    private const double Ridge = 1e-8;

    private readonly DenseSparseShape _shape;
    private readonly double[] _rows, _basis, _values, _fit, _errors;
    private readonly long[] _indices;
    private readonly double _squares;
    private bool _coded;

    /// <summary>Work on a matrix [out, in], Float64.</summary>
    public DenseSparseWork(DenseSparseShape shape, Tensor wide)
    {
        _shape = shape;
        (int K, int o, int b, int r, int s) = (shape.Blocks, shape.Outputs, shape.Block, shape.Atoms, shape.NonZeros);
        using (DisposeScope scope = NewDisposeScope()) _rows = wide.view(o, K, b).permute(1, 0, 2).contiguous().data<double>().ToArray();
        (_basis, _values, _indices, _fit, _errors) = (new double[K * r * b], new double[K * o * s], new long[K * o * s], new double[_rows.Length], new double[K * o]);
        _squares = TensorPrimitives.SumOfSquares<double>(_rows);
    }

    /// <summary>Squared error over the squares of the matrix; 0 of a matrix of zeros.</summary>
    public double Error => _squares == 0 ? 0 : TensorPrimitives.Sum<double>(_errors) / _squares;

    /// <summary>Rows, over all blocks, whose atoms the last coding changed.</summary>
    public int Changed { get; private set; }

    /// <summary>Bases of unit rows of the matrix, other ones for each block.</summary>
    public void BasisFromRows(int seed)
    {
        using DisposeScope scope = NewDisposeScope();
        Tensor rows = tensor(_rows, [_shape.Blocks, _shape.Outputs, _shape.Block]);
        for (int k = 0; k < _shape.Blocks; k++) Atoms.FromSamples(rows[k], _shape.Atoms, seed + (k * 7919)).contiguous().data<double>().CopyTo(Basis(k));
    }

    /// <summary>Bases [K, r, b] from elsewhere.</summary>
    public void TakeBasis(Tensor basis)
    {
        using DisposeScope scope = NewDisposeScope();
        basis.detach().cpu().to(ScalarType.Float64).contiguous().data<double>().CopyTo(_basis);
    }

    /// <summary>Atoms [K, out, s] from elsewhere, ascending, and coefficients; null for coefficients that are not known.</summary>
    public void TakeCodes(Tensor indices, Tensor? values)
    {
        using DisposeScope scope = NewDisposeScope();
        indices.detach().cpu().contiguous().data<long>().CopyTo(_indices);
        _coded = true;
        if (values is null)
        {
            Array.Fill(_errors, double.PositiveInfinity);
            return;
        }

        values.detach().cpu().to(ScalarType.Float64).contiguous().data<double>().CopyTo(_values);
        for (int k = 0; k < _shape.Blocks; k++) Measure(k);
    }

    /// <summary>Truncated decompositions of the blocks, where every row takes every atom.</summary>
    public void Decompose(CancellationToken cancel)
    {
        using DisposeScope scope = NewDisposeScope();
        Tensor rows = tensor(_rows, [_shape.Blocks, _shape.Outputs, _shape.Block]);
        int r = _shape.Atoms;
        for (int k = 0; k < _shape.Blocks; k++)
        {
            cancel.ThrowIfCancellationRequested();
            using DisposeScope inner = NewDisposeScope();
            (Tensor u, Tensor s, Tensor vt) = Decomposition.Svd(rows[k], "W");
            vt.narrow(0, 0, r).contiguous().data<double>().CopyTo(Basis(k));
            (u.narrow(1, 0, r) * s.narrow(0, 0, r)).contiguous().data<double>().CopyTo(Values(k));
            Span<long> indices = Indices(k);
            for (int i = 0; i < indices.Length; i++) indices[i] = i % r;
            Measure(k);
        }

        _coded = true;
    }

    /// <summary>Codes all rows by orthogonal matching pursuit.</summary>
    public void Encode(bool keepBetter, CancellationToken cancel)
    {
        (int o, int s, int b, int r) = (_shape.Outputs, _shape.NonZeros, _shape.Block, _shape.Atoms);
        int changed = 0;
        using DisposeScope scope = NewDisposeScope();
        Tensor rows = tensor(_rows, [_shape.Blocks, o, b]), bases = tensor(_basis, [_shape.Blocks, r, b]);
        for (int k = 0; k < _shape.Blocks; k++)
        {
            cancel.ThrowIfCancellationRequested();
            using DisposeScope inner = NewDisposeScope();
            using PursuitResult found = BatchOmp.Encode(rows[k], bases[k], s, cancel);
            long[] chosen = found.Indices.data<long>().ToArray();
            double[] gram = Gram(k, cancel);
            int block = k;
            ForRows(o, cancel, (from, to) =>
            {
                double[] scratch = new double[(s * s) + (2 * s)], values = new double[s], fit = new double[b], kept = new double[s], keptFit = new double[b];
                for (int row = from; row < to; row++)
                {
                    Span<long> fresh = chosen.AsSpan(row * s, s), own = Indices(block).Slice(row * s, s);
                    Fill(fresh);
                    fresh.Sort();
                    bool same = _coded && fresh.SequenceEqual(own);
                    double error = Fit(block, row, fresh, gram, values, fit, scratch);
                    if (_coded && (keepBetter || same))
                    {
                        // What it had stays in the running, refitted and as it is: a refit by normal equations may lose to it in the last bits.
                        double before = ErrorOf(block, row), refitted = same ? double.PositiveInfinity : Fit(block, row, own, gram, kept, keptFit, scratch);
                        if (Math.Min(before, refitted) <= error)
                        {
                            if (refitted <= before) Put(block, row, own, kept, keptFit, refitted);
                            continue;
                        }
                    }

                    if (!same) Interlocked.Increment(ref changed);
                    Put(block, row, fresh, values, fit, error);
                }
            });
        }

        (Changed, _coded) = (changed, true);
    }

    /// <summary>The best coefficients on the atoms that the rows have.</summary>
    public void Refit(CancellationToken cancel)
    {
        (int o, int s, int b) = (_shape.Outputs, _shape.NonZeros, _shape.Block);
        for (int k = 0; k < _shape.Blocks; k++)
        {
            cancel.ThrowIfCancellationRequested();
            double[] gram = Gram(k, cancel);
            int block = k;
            ForRows(o, cancel, (from, to) =>
            {
                double[] scratch = new double[(s * s) + (2 * s)], values = new double[s], fit = new double[b];
                for (int row = from; row < to; row++)
                {
                    Span<long> own = Indices(block).Slice(row * s, s);
                    double error = Fit(block, row, own, gram, values, fit, scratch);
                    if (error <= ErrorOf(block, row)) Put(block, row, own, values, fit, error);
                }
            });
        }
    }

    /// <summary>The bases that fit the codes best.</summary>
    public void UpdateBasis(CancellationToken cancel) =>
        Pieces.Each(_shape.Blocks, k => UpdateBasis((int)k, cancel), cancel);

    /// <summary>The factors, coefficients times a scale.</summary>
    public DenseSparseFactors ToFactors(double scale, double[] errors, ScalarType type)
    {
        using DisposeScope scope = NewDisposeScope();
        ScalarType kept = type == ScalarType.Float64 ? type : ScalarType.Float32;
        (Tensor basis, Tensor indices) = ToState();
        Tensor values = tensor(_values, [_shape.Blocks, _shape.Outputs, _shape.NonZeros]).mul_(scale).to(kept);
        return new(_shape, basis.to(kept).MoveToOuterDisposeScope(), indices.MoveToOuterDisposeScope(), values.MoveToOuterDisposeScope(), errors);
    }

    /// <summary>Bases [K, r, b] and atoms [K, out, s]. In the caller's dispose scope.</summary>
    public (Tensor Basis, Tensor Indices) ToState() =>
        (tensor(_basis, [_shape.Blocks, _shape.Atoms, _shape.Block]), tensor(_indices, [_shape.Blocks, _shape.Outputs, _shape.NonZeros]));

    /// <summary>What [out, in], Float64. In the caller's dispose scope.</summary>
    public Tensor Product() => tensor(_fit, [_shape.Blocks, _shape.Outputs, _shape.Block]).permute(1, 0, 2).reshape(_shape.Outputs, _shape.Inputs);

    private static void ForRows(int rows, CancellationToken cancel, Action<int, int> part) => Pieces.For(rows, 128, (from, count) => part((int)from, (int)from + count), cancel);

    private Span<double> Basis(int k) => _basis.AsSpan(k * _shape.Atoms * _shape.Block, _shape.Atoms * _shape.Block);

    private Span<double> Atom(int k, long atom) => Basis(k).Slice((int)atom * _shape.Block, _shape.Block);

    private Span<double> Row(int k, int row) => _rows.AsSpan(((k * _shape.Outputs) + row) * _shape.Block, _shape.Block);

    private Span<double> FitOf(int k, int row) => _fit.AsSpan(((k * _shape.Outputs) + row) * _shape.Block, _shape.Block);

    private Span<double> Values(int k) => _values.AsSpan(k * _shape.Outputs * _shape.NonZeros, _shape.Outputs * _shape.NonZeros);

    private Span<long> Indices(int k) => _indices.AsSpan(k * _shape.Outputs * _shape.NonZeros, _shape.Outputs * _shape.NonZeros);

    private ref double ErrorOf(int k, int row) => ref _errors[(k * _shape.Outputs) + row];

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private double[] Gram(int k, CancellationToken cancel)
    {
        int r = _shape.Atoms;
        double[] gram = new double[r * r];
        for (int i = 0; i < r; i++)
        {
            cancel.ThrowIfCancellationRequested();
            for (int j = 0; j <= i; j++) gram[(i * r) + j] = gram[(j * r) + i] = TensorPrimitives.Dot<double>(Atom(k, i), Atom(k, j));
        }

        return gram;
    }

    private void Put(int k, int row, ReadOnlySpan<long> atoms, ReadOnlySpan<double> values, ReadOnlySpan<double> fit, double error)
    {
        int s = _shape.NonZeros;
        atoms.CopyTo(Indices(k).Slice(row * s, s));
        values.CopyTo(Values(k).Slice(row * s, s));
        fit.CopyTo(FitOf(k, row));
        ErrorOf(k, row) = error;
    }

    /// <summary>A pursuit that ended early left -1: the lowest atoms that the row has not, whose coefficients come out 0.</summary>
    private static void Fill(Span<long> atoms)
    {
        int taken = atoms.IndexOf(-1);
        if (taken < 0) return;
        for (long atom = 0; taken < atoms.Length; atom++)
        {
            if (!atoms[..taken].Contains(atom)) atoms[taken++] = atom;
        }
    }

    /// <summary>Least squares of a row on some atoms by Cholesky's factor; an atom that depends on those before it gets 0. Gives the squared error of the fit.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private double Fit(int k, int row, ReadOnlySpan<long> atoms, double[] gram, Span<double> values, Span<double> fit, Span<double> scratch)
    {
        (int s, int r) = (_shape.NonZeros, _shape.Atoms);
        Span<double> x = Row(k, row), L = scratch[..(s * s)], y = scratch.Slice(s * s, s);
        for (int i = 0; i < s; i++)
        {
            int line = (int)atoms[i] * r;
            double pivot = gram[line + (int)atoms[i]], own = pivot;
            for (int j = 0; j < i; j++)
            {
                double entry = gram[line + (int)atoms[j]];
                for (int l = 0; l < j; l++) entry -= L[(i * s) + l] * L[(j * s) + l];
                entry = L[(j * s) + j] == 0 ? 0 : entry / L[(j * s) + j];
                L[(i * s) + j] = entry;
                pivot -= entry * entry;
            }

            L[(i * s) + i] = pivot > 1e-14 * own ? Math.Sqrt(pivot) : 0;
            double right = TensorPrimitives.Dot<double>(x, Atom(k, atoms[i]));
            for (int j = 0; j < i; j++) right -= L[(i * s) + j] * y[j];
            y[i] = L[(i * s) + i] == 0 ? 0 : right / L[(i * s) + i];
        }

        for (int i = s - 1; i >= 0; i--)
        {
            double sum = y[i];
            for (int j = i + 1; j < s; j++) sum -= L[(j * s) + i] * values[j];
            values[i] = L[(i * s) + i] == 0 ? 0 : sum / L[(i * s) + i];
        }

        return Evaluate(k, row, atoms, values, fit);
    }

    /// <summary>The row as its atoms give it, and the squared error.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private double Evaluate(int k, int row, ReadOnlySpan<long> atoms, ReadOnlySpan<double> values, Span<double> fit)
    {
        fit.Clear();
        for (int i = 0; i < atoms.Length; i++)
        {
            if (values[i] != 0) TensorPrimitives.MultiplyAdd<double>(Atom(k, atoms[i]), values[i], fit, fit);
        }

        double distance = TensorPrimitives.Distance<double>(Row(k, row), fit);
        return distance * distance;
    }

    private void Measure(int k)
    {
        int s = _shape.NonZeros;
        for (int row = 0; row < _shape.Outputs; row++) ErrorOf(k, row) = Evaluate(k, row, Indices(k).Slice(row * s, s), Values(k).Slice(row * s, s), FitOf(k, row));
    }

    /// <summary>
    /// D + (S^T S + e)^-1 S^T (W - S D): least squares with a pull to where the basis is, so that directions the codes do not decide stay as they are and the error cannot rise. Then unit length, the coefficients
    /// taking the other's place.
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private void UpdateBasis(int k, CancellationToken cancel)
    {
        (int o, int s, int b, int r) = (_shape.Outputs, _shape.NonZeros, _shape.Block, _shape.Atoms);
        Span<long> indices = Indices(k);
        Span<double> values = Values(k);
        double[] gram = new double[r * r], step = new double[r * b], residual = new double[b];
        for (int row = 0; row < o; row++)
        {
            cancel.ThrowIfCancellationRequested();
            TensorPrimitives.Subtract<double>(Row(k, row), FitOf(k, row), residual);
            for (int i = row * s; i < (row + 1) * s; i++)
            {
                if (values[i] == 0) continue;
                Span<double> line = step.AsSpan((int)indices[i] * b, b);
                TensorPrimitives.MultiplyAdd<double>(residual, values[i], line, line);
                for (int j = row * s; j <= i; j++) gram[((int)indices[i] * r) + (int)indices[j]] += values[i] * values[j];
            }
        }

        Solve(gram, step, r, b, cancel);
        TensorPrimitives.Add<double>(Basis(k), step, Basis(k));
        double[] lengths = new double[r];
        bool[] used = new bool[r];
        for (int i = 0; i < values.Length; i++) used[indices[i]] |= values[i] != 0;
        for (int j = 0; j < r; j++)
        {
            lengths[j] = TensorPrimitives.Norm<double>(Atom(k, j));
            if (lengths[j] > 0) TensorPrimitives.Divide<double>(Atom(k, j), lengths[j], Atom(k, j));
            else used[j] = false;
        }

        for (int i = 0; i < values.Length; i++) values[i] *= lengths[indices[i]];
        Measure(k);
        Replace(k, used);
    }

    /// <summary>Atoms without a user become the rows that are reproduced worst.</summary>
    private void Replace(int k, bool[] used)
    {
        if (Array.TrueForAll(used, u => u)) return;
        double[] errors = _errors.AsSpan(k * _shape.Outputs, _shape.Outputs).ToArray();
        int[] worst = [.. Enumerable.Range(0, errors.Length).Where(row => TensorPrimitives.Norm<double>(Row(k, row)) > 0).OrderByDescending(row => errors[row])];
        int next = 0;
        for (int j = 0; j < used.Length && next < worst.Length && errors[worst[next]] > 0; j++)
        {
            if (used[j]) continue;
            Span<double> row = Row(k, worst[next++]);
            TensorPrimitives.Divide<double>(row, TensorPrimitives.Norm<double>(row), Atom(k, j));
        }

        // An atom that came out zero and found no row: any direction will do, for nothing uses it.
        for (int j = 0; j < used.Length; j++)
        {
            if (!used[j] && TensorPrimitives.Norm<double>(Atom(k, j)) == 0) Atom(k, j)[j % _shape.Block] = 1;
        }
    }

    /// <summary>Solves (G + e) X = B in place of B [r, b], G symmetric with its lower half given.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Solve(double[] gram, double[] right, int r, int b, CancellationToken cancel)
    {
        double mean = 0;
        for (int i = 0; i < r; i++) mean += gram[(i * r) + i] / r;
        if (mean == 0)
        {
            Array.Clear(right);
            return;
        }

        for (int i = 0; i < r; i++)
        {
            cancel.ThrowIfCancellationRequested();
            Span<double> line = gram.AsSpan(i * r, r);
            for (int j = 0; j < i; j++) line[j] = (line[j] - TensorPrimitives.Dot<double>(line[..j], gram.AsSpan(j * r, j))) / gram[(j * r) + j];

            // Rounding may leave less than the ridge of what should be no less.
            line[i] = Math.Sqrt(Math.Max(line[i] + (Ridge * mean) - TensorPrimitives.SumOfSquares<double>(line[..i]), 0.1 * Ridge * mean));
        }

        Span<double> Line(int i) => right.AsSpan(i * b, b);
        for (int i = 0; i < r; i++)
        {
            cancel.ThrowIfCancellationRequested();
            for (int j = 0; j < i; j++)
            {
                if (gram[(i * r) + j] != 0) TensorPrimitives.MultiplyAdd<double>(Line(j), -gram[(i * r) + j], Line(i), Line(i));
            }

            TensorPrimitives.Divide<double>(Line(i), gram[(i * r) + i], Line(i));
        }

        for (int i = r - 1; i >= 0; i--)
        {
            cancel.ThrowIfCancellationRequested();
            for (int j = i + 1; j < r; j++)
            {
                if (gram[(j * r) + i] != 0) TensorPrimitives.MultiplyAdd<double>(Line(j), -gram[(j * r) + i], Line(i), Line(i));
            }

            TensorPrimitives.Divide<double>(Line(i), gram[(i * r) + i], Line(i));
        }
    }
}
