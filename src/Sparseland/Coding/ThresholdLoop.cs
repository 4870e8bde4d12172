using System.Numerics;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;
using Sparseland.Penalties;
using Sparseland.Tensors;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Coding;

/// <summary>
/// The inner loop of <see cref="ThresholdCoder"/> on a batch: R &lt;- prox(eta X D^T + R H), H = I - eta D D^T, with both products
/// made once. While codes are dense this is one matrix product per iteration; once they are sparse, each row is the sum of the few
/// rows of H that its active units select, which costs a tenth of it. Where there are far more atoms than features the product goes by way
/// of the residual X - R D: both halves dense, the first sparse, or none of it, whichever is least work.
/// </summary>
/// <remarks>
/// A row that has come to rest is left alone from then on: its code is the one it would have without the other rows, to rounding.
/// Rows are padded to whole vectors. Rows are taken in fixed chunks whose sums are added in order, so any number of threads gives
/// the same result.
/// </remarks>
internal sealed unsafe class ThresholdLoop<T> : IDisposable
    where T : unmanaged, IFloatingPointIeee754<T>
{
    private const int Padding = 16;
    private const int RowsPerChunk = 32;

    // What a multiplication of a sparse product costs in multiplications of a dense one, which runs from the registers.
    private const double SparseCost = 2;

    private readonly IPenalty _penalty;
    private readonly double _step;
    private readonly int _rows, _atoms, _width, _features, _chunks;
    private readonly Tensor _drive, _map;
    // -D [width, features], eta D^T and X, features padded too.
    private readonly Tensor? _forward, _backward, _target, _residual;
    private readonly ChunkSums[] _sums;
    private readonly double[] _drives, _changes;
    private readonly bool[] _atRest;
    private readonly T[] _changeVector, _codeVector;
    private readonly T[][] _changeBack, _codeBack;
    private Tensor _codes, _previous;
    private readonly bool _isParallel, _bounds;
    private long _nonZero;

    /// <param name="penalty">The penalty.</param>
    /// <param name="X">Samples [samples, features].</param>
    /// <param name="dictionary">[atoms, features].</param>
    /// <param name="initial">Codes to start from [samples, atoms], or null for zeros.</param>
    /// <param name="step">eta.</param>
    /// <param name="bounds">Whether <see cref="RelativeChangeBelow"/> will be asked.</param>
    public ThresholdLoop(IPenalty penalty, Tensor X, Tensor dictionary, Tensor? initial, double step, bool bounds)
    {
        using var scope = NewDisposeScope();
        (_penalty, _step, _bounds) = (penalty, step, bounds);
        _rows = (int)X.shape[0];
        _atoms = (int)dictionary.shape[0];
        _width = (_atoms + Padding - 1) / Padding * Padding;
        Tensor padded = zeros([_width, dictionary.shape[1]], dtype: X.dtype);
        padded.narrow(0, 0, _atoms).copy_(dictionary);
        Tensor transposed = padded.t();
        _drive = X.mm(transposed).mul_(step).DetachFromDisposeScope();
        _map = eye(_width, dtype: X.dtype).sub_(padded.mm(transposed).mul_(step)).DetachFromDisposeScope();

        // Far more atoms than features: two thin products are then cheaper than one with the Gram matrix.
        if (_width > 2 * dictionary.shape[1])
        {
            _features = (int)(X.shape[1] + Padding - 1) / Padding * Padding;
            Tensor wide = nn.functional.pad(padded, [0, _features - X.shape[1]]);
            _forward = wide.neg().DetachFromDisposeScope();
            _backward = wide.mul(step).t().DetachFromDisposeScope();
            _target = nn.functional.pad(X, [0, _features - X.shape[1]]).DetachFromDisposeScope();
            _residual = zeros_like(_target).DetachFromDisposeScope();
        }

        _codes = zeros([_rows, _width], dtype: X.dtype);
        if (initial is not null) _codes.narrow(1, 0, _atoms).copy_(initial);
        _codes.DetachFromDisposeScope();
        _nonZero = initial is null ? 0 : _codes.count_nonzero().item<long>();
        _previous = zeros_like(_codes).DetachFromDisposeScope();
        _drives = Drives();
        _changes = new double[_rows];
        _atRest = new bool[_rows];
        Open = _rows;

        _chunks = (_rows + RowsPerChunk - 1) / RowsPerChunk;
        _sums = new ChunkSums[_chunks];
        _changeVector = StartVector();
        _codeVector = StartVector();
        _changeBack = new T[_chunks][];
        _codeBack = new T[_chunks][];
        for (int c = 0; c < _chunks; c++) (_changeBack[c], _codeBack[c]) = (new T[_width], new T[_width]);
        _isParallel = (long)_rows * _width >= 1 << 13 && _chunks > 1;
    }

    /// <summary>max |dR| of the last iteration.</summary>
    public double MaxChange { get; private set; }

    /// <summary>Rows that are not yet at rest.</summary>
    public int Open { get; private set; }

    public bool IsFinite { get; private set; } = true;

    /// <summary>Lower bounds of ||dR||_2 and ||R||_2, one warm power step per iteration.</summary>
    private double _changeBound, _codeBound;

    public Tensor Codes() => _codes.narrow(1, 0, _atoms).contiguous();

    public void Iterate()
    {
        (_codes, _previous) = (_previous, _codes);
        double active = SparseCost * _nonZero / _rows, sparse = active * _width;
        double half = _forward is null ? double.PositiveInfinity : (active + _width) * _features;
        double dense = _forward is null ? (double)_width * _width : 2.0 * _width * _features;
        if (sparse <= Math.Min(half, dense)) Each(SparseChunk);
        else
        {
            if (_forward is null)
            {
                _codes.copy_(_drive);
                _codes.addmm_(_previous, _map);
            }
            else
            {
                if (half <= dense) Each(ResidualChunk);
                else _residual!.copy_(_target!).addmm_(_previous, _forward);
                _codes.copy_(_previous);
                _codes.addmm_(_residual!, _backward!);
            }

            Each(DenseChunk);
        }

        Collect();
    }

    /// <summary>Leaves alone from now on the rows whose last change, max |dR|, is at most tolerance * max |eta X D^T| of the same row.</summary>
    public void Rest(double tolerance)
    {
        for (int row = 0; row < _rows; row++)
        {
            if (_atRest[row] || !(_changes[row] <= tolerance * _drives[row])) continue;
            _atRest[row] = true;
            Open--;
        }
    }

    /// <summary>
    /// ||dR||_2 &lt; tolerance (1e-2 + ||R||_2). One warm power step per iteration settles most of them; near the end more steps
    /// are done until both norms have settled to a thousandth.
    /// </summary>
    public bool RelativeChangeBelow(double tolerance)
    {
        for (int step = 0; step < 100; step++)
        {
            (double change, double code) = (_changeBound, _codeBound);
            if (change >= 1.25 * tolerance * (1e-2 + code)) return false;
            Each(RefineChunk);
            Collect();
            if (_changeBound - change <= 1e-3 * _changeBound && _codeBound - code <= 1e-3 * _codeBound) break;
        }

        return _changeBound < tolerance * (1e-2 + _codeBound);
    }

    public void Dispose()
    {
        foreach (Tensor? tensor in (Tensor?[])[_drive, _map, _forward, _backward, _target, _residual, _codes, _previous]) tensor?.Dispose();
    }

    private void Each(Action<int> work)
    {
        if (_isParallel) Pieces.Each(_chunks, c => work((int)c));
        else
        {
            for (int c = 0; c < _chunks; c++) work(c);
        }
    }

    private void ResidualChunk(int chunk)
    {
        (int from, int to) = Rows(chunk);
        long at = (long)from * _features;
        SparseRows.Accumulate(Data(_previous) + ((long)from * _width), Data(_target!) + at, Data(_forward!), Data(_residual!) + at, _atRest.AsSpan(from, to - from), _width, _features);
    }

    private void SparseChunk(int chunk)
    {
        (int from, int to) = Rows(chunk);
        long at = (long)from * _width;
        SparseRows.Accumulate(Data(_previous) + at, Data(_drive) + at, Data(_map), Data(_codes) + at, _atRest.AsSpan(from, to - from), _width, _width);
        DenseChunk(chunk);
    }

    private void DenseChunk(int chunk)
    {
        (int from, int to) = Rows(chunk);
        var part = new Span<T>(Data(_codes) + (long)from * _width, (to - from) * _width);
        bool isOpen = !_atRest.AsSpan(from, to - from).Contains(true);
        if (isOpen && _penalty.Length is null) _penalty.Prox<T>(part, _step, part);
        else
        {
            int length = _penalty.Length is null ? _width : _atoms;
            for (int row = from; row < to; row++)
            {
                long at = (long)row * _width;
                if (_atRest[row]) new ReadOnlySpan<T>(Data(_previous) + at, _width).CopyTo(new Span<T>(Data(_codes) + at, _width));
                else _penalty.Prox<T>(new Span<T>(Data(_codes) + at, length), _step, new Span<T>(Data(_codes) + at, length));
            }
        }

        RefineChunk(chunk);
    }

    private void RefineChunk(int chunk)
    {
        (int from, int to) = Rows(chunk);
        _sums[chunk] = _bounds
            ? Measure(Data(_codes), Data(_previous), from, to, _changeBack[chunk], _codeBack[chunk])
            : Measure(Data(_codes), Data(_previous), from, to);
    }

    private (int From, int To) Rows(int chunk) => (chunk * RowsPerChunk, Math.Min(_rows, (chunk + 1) * RowsPerChunk));

    // Tensor memory does not move; the tensors live as long as the loop.
    private static T* Data(Tensor tensor) => (T*)Unsafe.AsPointer(ref MemoryMarshal.GetReference(tensor.bytes));

    /// <summary>The largest change of a chunk and its non-zero entries.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private ChunkSums Measure(T* codes, T* previous, int from, int to)
    {
        double max = 0;
        long nonZero = 0;
        int step = Vector512<T>.Count;
        for (int row = from; row < to; row++)
        {
            if (_atRest[row]) continue;
            T* now = codes + ((long)row * _width), before = previous + ((long)row * _width);
            Vector512<T> largest = Vector512<T>.Zero;
            for (int i = 0; i < _width; i += step)
            {
                Vector512<T> x = Vector512.Load(now + i);
                largest = Vector512.Max(largest, Vector512.Abs(x - Vector512.Load(before + i)));
                nonZero += step - BitOperations.PopCount(Vector512.Equals(x, Vector512<T>.Zero).ExtractMostSignificantBits());
            }

            _changes[row] = double.CreateTruncating(Largest(largest));
            max = Math.Max(max, _changes[row]);
        }

        return new ChunkSums(max, 0, 0, nonZero);
    }

    /// <summary>Sums over a chunk, and its share of one power step for dR and for R, while the rows are in the cache.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private ChunkSums Measure(T* codes, T* previous, int from, int to, T[] changeBack, T[] codeBack)
    {
        Array.Clear(changeBack);
        Array.Clear(codeBack);
        double max = 0, changeImage = 0, codeImage = 0;
        long nonZero = 0;
        int step = Vector512<T>.Count;
        fixed (T* cv = _changeVector, rv = _codeVector, cb = changeBack, rb = codeBack)
        {
            for (int row = from; row < to; row++)
            {
                if (_atRest[row]) continue;
                T* now = codes + (long)row * _width, before = previous + (long)row * _width;
                Vector512<T> c = Vector512<T>.Zero, r = Vector512<T>.Zero, largest = Vector512<T>.Zero;
                for (int i = 0; i < _width; i += step)
                {
                    Vector512<T> x = Vector512.Load(now + i), d = x - Vector512.Load(before + i);
                    largest = Vector512.Max(largest, Vector512.Abs(d));
                    c += d * Vector512.Load(cv + i);
                    r += x * Vector512.Load(rv + i);
                    nonZero += step - BitOperations.PopCount(Vector512.Equals(x, Vector512<T>.Zero).ExtractMostSignificantBits());
                }

                _changes[row] = double.CreateTruncating(Largest(largest));
                max = Math.Max(max, _changes[row]);
                T cy = Vector512.Sum(c), ry = Vector512.Sum(r);
                changeImage += double.CreateTruncating(cy * cy);
                codeImage += double.CreateTruncating(ry * ry);
                for (int i = 0; i < _width; i += step)
                {
                    Vector512<T> x = Vector512.Load(now + i), d = x - Vector512.Load(before + i);
                    (Vector512.Load(cb + i) + d * cy).Store(cb + i);
                    (Vector512.Load(rb + i) + x * ry).Store(rb + i);
                }
            }
        }

        return new ChunkSums(max, changeImage, codeImage, nonZero);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static T Largest(Vector512<T> values)
    {
        Vector256<T> half = Vector256.Max(values.GetLower(), values.GetUpper());
        Vector128<T> quarter = Vector128.Max(half.GetLower(), half.GetUpper());
        T max = quarter[0];
        for (int i = 1; i < Vector128<T>.Count; i++) max = T.Max(max, quarter[i]);
        return max;
    }

    private void Collect()
    {
        double max = 0, change = 0, code = 0;
        _nonZero = 0;
        foreach (ChunkSums sum in _sums)
        {
            max = Math.Max(max, sum.MaxChange);
            change += sum.ChangeImage;
            code += sum.CodeImage;
            _nonZero += sum.NonZero;
        }

        MaxChange = max;
        IsFinite = double.IsFinite(max) && double.IsFinite(change) && double.IsFinite(code);
        (_changeBound, _codeBound) = (Math.Sqrt(change), Math.Sqrt(code));
        if (!IsFinite || !_bounds) return;
        Renew(_changeVector, _changeBack);
        Renew(_codeVector, _codeBack);
    }

    private static void Renew(T[] vector, T[][] parts)
    {
        Span<T> sum = parts[0];
        for (int c = 1; c < parts.Length; c++) System.Numerics.Tensors.TensorPrimitives.Add(sum, parts[c], sum);
        double norm = double.CreateTruncating(System.Numerics.Tensors.TensorPrimitives.Norm<T>(sum));

        // No change at all: keep the old direction, its bound of 0 is right.
        if (norm > 0) System.Numerics.Tensors.TensorPrimitives.Divide(sum, T.CreateTruncating(norm), vector);
    }

    // max |eta X D^T| of each row. A sample that no atom sees has none; its start then says how large a change is: |eta R D D^T|.
    private double[] Drives()
    {
        using var scope = NewDisposeScope();
        Tensor drives = _drive.abs().amax([1]);
        if (_nonZero > 0 && drives.eq(0).any().item<bool>())
            drives = where(drives.eq(0), _codes.sub(_codes.mm(_map)).abs().amax([1]), drives);
        return drives.to(ScalarType.Float64).data<double>().ToArray();
    }

    private T[] StartVector()
    {
        T[] vector = new T[_width];
        for (int i = 0; i < _atoms; i++) vector[i] = T.CreateTruncating(1 / Math.Sqrt(_atoms));
        return vector;
    }

    private readonly record struct ChunkSums(double MaxChange, double ChangeImage, double CodeImage, long NonZero);
}
