using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;
using Sparseland.Solvers;
using Sparseland.Tensors;

namespace Sparseland.Coding;

/// <summary>What all samples of a batch share. <paramref name="Width"/> is the atoms rounded up to whole vectors.</summary>
internal sealed record SampleSettings(int Atoms, int Width, double Strength, double Ridge, bool HasGap, bool IsPositive, double Tolerance, int MaxIterations);

/// <summary>One thread's memory for coordinate descent on one sample after another.</summary>
internal sealed unsafe class CoordinateSample<TPenalty> : IDisposable
    where TPenalty : struct, ICoordinatePenalty
{
    // The first working set holds what violates at least this share of the worst violation; smaller shares mean fewer, larger sets.
    private const double Share = 0.4;

    // The gap of the working set, as a share of the whole one, at which the other atoms are looked at again; sweeps between two looks at it; and
    // most sweeps of a set that can still grow.
    private const double InnerShare = 0.3;
    private const int CheckEvery = 10;
    private const int MostSweeps = 100;
    private readonly TPenalty _penalty;
    private readonly SampleSettings _settings;
    private readonly double* _gram;
    private readonly double* _correlations;
    private readonly double* _violations;
    private readonly double* _negated;
    private readonly double* _a;
    private readonly double* _c;
    private readonly double* _norm;
    private readonly int* _set;
    private readonly bool* _member;
    private readonly Extrapolation _extrapolation = new();
    private double* _compact;
    private int _capacity;
    private int _count;

    public CoordinateSample(TPenalty penalty, SampleSettings settings, double* gram)
    {
        (_penalty, _settings) = (penalty, settings);
        _gram = gram;
        int width = settings.Width;
        _correlations = New(width);
        _violations = New(width);
        _negated = New(width);
        _a = New(width);
        _c = New(width);
        _norm = New(width);
        _set = (int*)New(width);
        _member = (bool*)New(width);
        Reserve(Math.Min(width, 32));
    }

    /// <summary>Gap over ||x||^2, or residual over the largest correlation.</summary>
    public double Certificate { get; private set; }

    public int Sweeps { get; private set; }

    public void Dispose()
    {
        foreach (nint block in (ReadOnlySpan<nint>)[(nint)_correlations, (nint)_violations, (nint)_negated, (nint)_a, (nint)_c, (nint)_norm, (nint)_set, (nint)_member, (nint)_compact])
            NativeMemory.AlignedFree((void*)block);
    }

    /// <summary>Solves one sample. False where the iteration limit came first.</summary>
    /// <param name="q">D x [width].</param>
    /// <param name="squaredNorm">||x||^2.</param>
    /// <param name="code">Where to start, receives the code [atoms].</param>
    /// <param name="warm">Whether the start is not zero.</param>
    /// <param name="cancel">Checked in every sweep.</param>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    public bool Solve(double* q, double squaredNorm, double* code, bool warm, CancellationToken cancel)
    {
        int atoms = _settings.Atoms, width = _settings.Width;
        new Span<bool>(_member, width).Clear();
        (_count, Sweeps) = (0, 0);
        double largest = 0;
        for (int j = 0; j < atoms; j++) largest = Math.Max(largest, Math.Abs(q[j]));
        if (largest == 0)
        {
            // No atom sees the sample: zero is the optimum of every penalty, whatever the start.
            new Span<double>(code, atoms).Clear();
            Certificate = 0;
            return true;
        }

        if (warm)
        {
            for (int j = 0; j < atoms; j++)
            {
                if (code[j] != 0) Include(j, code[j]);
            }
        }

        while (true)
        {
            cancel.ThrowIfCancellationRequested();
            Correlate(q);
            double worst = Violations(code);

            // No violation at all is an optimum also of a sample whose squares are too small for a gap.
            Certificate = worst == 0 ? 0 : _settings.HasGap ? Gap(q, _correlations, null, squaredNorm) / squaredNorm : worst / largest;
            if (!double.IsFinite(Certificate)) throw Lost(squaredNorm);
            bool done = Certificate <= _settings.Tolerance || worst == 0;
            if (done || Sweeps >= _settings.MaxIterations)
            {
                new Span<double>(code, atoms).Clear();
                for (int i = 0; i < _count; i++) code[_set[i]] = _a[i];
                return done;
            }

            int before = _count;
            for (int j = 0; j < atoms; j++)
            {
                if (_violations[j] >= Share * worst && !_member[j]) Include(j, 0);
            }

            for (int i = 0; i < _count; i++) _c[i] = _correlations[_set[i]];
            double target = Math.Max(0.01 * worst, 1e-15 * largest);
            bool grown = _count > before;
            double wanted = Math.Max(grown ? InnerShare * Certificate : 0, 0.5 * _settings.Tolerance) * squaredNorm;
            _extrapolation.Restart(_count);
            for (int sweep = 1; Sweeps < _settings.MaxIterations && (!grown || sweep <= MostSweeps); sweep++)
            {
                cancel.ThrowIfCancellationRequested();
                Sweeps++;
                if (Sweep() <= target) break;

                // The first sweeps of most samples are enough: only those that need more pay for looking at their gap.
                if (!_settings.HasGap || sweep <= CheckEvery) continue;
                Accelerate();
                if (sweep % CheckEvery == 0 && Gap(q, _c, _set, squaredNorm) <= wanted) break;
            }
        }
    }

    private static Exception Lost(double squaredNorm) => squaredNorm < PowerOfTwoScale.SmallestSafe * PowerOfTwoScale.SmallestSafe
        ? new ArgumentException(
            $"A sample has a norm of {Math.Sqrt(squaredNorm):G3}, whose square leaves the range of double, and its code is not zero; scale X, and the penalty with it.")
        : new DivergenceException("A code left the finite numbers.");

    /// <summary>Now and then moves to a combination of the last iterates, where that lowers the objective.</summary>
    private void Accelerate()
    {
        Span<double> a = new(_a, _count), c = new(_c, _count);
        if (!_extrapolation.Take(a, c, out Span<double> point, out Span<double> correlations)) return;
        double change = 0;
        for (int i = 0; i < a.Length; i++)
        {
            if (_settings.IsPositive && point[i] < 0) return;
            change += _penalty.Value(_set[i], point[i]) - _penalty.Value(_set[i], a[i]) - ((point[i] - a[i]) * (c[i] + correlations[i]) / 2);
        }

        if (!(change < 0)) return;
        point.CopyTo(a);
        correlations.CopyTo(c);
    }

    private static double* New(int count)
    {
        var memory = (double*)NativeMemory.AlignedAlloc((nuint)count * sizeof(double), 64);
        new Span<double>(memory, count).Clear();
        return memory;
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private double Sweep()
    {
        double largest = 0;
        for (int i = 0; i < _count; i++)
        {
            double a = _a[i], norm = _norm[i];
            double moved = _penalty.Prox(_set[i], a + _c[i] / norm, 1 / norm), delta = moved - a;
            if (delta == 0) continue;
            _a[i] = moved;
            Vector512<double> factor = Vector512.Create(-delta);
            double* row = _compact + (long)i * _capacity;
            for (int j = 0; j < _count; j += 8)
                Vector512.FusedMultiplyAdd(factor, Vector512.Load(row + j), Vector512.Load(_c + j)).Store(_c + j);
            largest = Math.Max(largest, Math.Abs(delta) * norm);
        }

        return largest;
    }

    /// <summary>All correlations, c = q - a G, from scratch.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private void Correlate(double* q)
    {
        for (int i = 0; i < _count; i++) _negated[_set[i]] = -_a[i];
        SparseRows.Accumulate(_negated, q, _gram, _correlations, _settings.Width);
        for (int i = 0; i < _count; i++) _negated[_set[i]] = 0;
    }

    /// <summary>Fixed-point residual of every atom. Borrows the code's memory for the coefficients.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private double Violations(double* code)
    {
        int atoms = _settings.Atoms, stride = _settings.Width + 1;
        new Span<double>(code, atoms).Clear();
        for (int i = 0; i < _count; i++) code[_set[i]] = _a[i];
        double worst = 0;
        for (int j = 0; j < atoms; j++)
        {
            double norm = _gram[(long)j * stride];
            double violation = Math.Abs(_penalty.Prox(j, code[j] + _correlations[j] / norm, 1 / norm) - code[j]) * norm;
            _violations[j] = violation;
            worst = Math.Max(worst, violation);
        }

        return worst;
    }

    /// <summary>
    /// The gap of Solvers.Certificate, from the Gram form: ||r||^2 = ||x||^2 - a^T q - a^T c. Of the whole problem with all correlations, or of the
    /// working set's own with those of its atoms.
    /// </summary>
    /// <param name="q">D x [width].</param>
    /// <param name="correlations">c of all atoms, or of the set.</param>
    /// <param name="set">Null for all atoms; otherwise which ones the correlations belong to.</param>
    /// <param name="squaredNorm">||x||^2.</param>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private double Gap(double* q, double* correlations, int* set, double squaredNorm)
    {
        double aq = 0, ac = 0, aa = 0, value = 0;
        for (int i = 0; i < _count; i++)
        {
            int j = _set[i];
            double a = _a[i];
            aq += a * q[j];
            ac += a * correlations[set is null ? j : i];
            aa += a * a;
            value += _penalty.Value(j, a);
        }

        double needed = 0, ridge = _settings.Ridge;
        if (set is not null)
        {
            for (int i = 0; i < _count; i++) needed = Math.Max(needed, _penalty.Needed(set[i], correlations[i] - (ridge * _a[i])));
        }
        else
        {
            for (int i = 0; i < _count; i++) correlations[_set[i]] -= ridge * _a[i];
            for (int j = 0; j < _settings.Atoms; j++) needed = Math.Max(needed, _penalty.Needed(j, correlations[j]));
            for (int i = 0; i < _count; i++) correlations[_set[i]] += ridge * _a[i];
        }

        double residual = Math.Max(0, squaredNorm - aq - ac), scale = needed <= _settings.Strength ? 1 : _settings.Strength / needed;
        return residual / 2 + value - scale * (squaredNorm - aq - scale * (residual + ridge * aa) / 2);
    }

    /// <summary>Adds an atom to the working set.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private void Include(int atom, double value)
    {
        if (_count == _capacity) Reserve(Math.Min(_settings.Width, 2 * _capacity));
        int at = _count++, width = _settings.Width;
        (_set[at], _member[atom], _a[at]) = (atom, true, value);
        double* gramRow = _gram + (long)atom * width, row = _compact + (long)at * _capacity;
        for (int i = 0; i <= at; i++)
        {
            double g = gramRow[_set[i]];
            row[i] = g;
            _compact[(long)i * _capacity + at] = g;
        }

        _norm[at] = gramRow[atom];
    }

    private void Reserve(int capacity)
    {
        capacity = (capacity + 7) / 8 * 8;
        double* grown = New(capacity * capacity);
        for (int i = 0; i < _count; i++) new Span<double>(_compact + (long)i * _capacity, _count).CopyTo(new Span<double>(grown + (long)i * capacity, _count));
        if (_compact is not null) NativeMemory.AlignedFree(_compact);
        _compact = grown;
        _capacity = capacity;
    }
}
