using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using F = System.Runtime.Intrinsics.Vector512<float>;

namespace Sparseland.Kernels;

/// <summary>
/// One thread's memory for transforms of a plan. A part of the sequence that fits the first cache goes all the way to the spectrum, is multiplied and comes back before the next part is touched.
/// </summary>
internal sealed unsafe class FftWork
{
    private const int Tile = 16;
    private const int Cached = 4096;
    private const int RowsAtOnce = 16;
    private readonly FftPlan _plan;
    private readonly float[] _re, _im, _scratch;

    public FftWork(FftPlan plan)
    {
        _plan = plan;
        (_re, _im) = (Memory(plan.Length), Memory(plan.Length));
        int products = plan.Stages.Length == 0 ? 0 : plan.Stages.Max(s => FftProducts.Scratch(s.Factor));
        _scratch = Memory(plan.Kernel == FftKernel.Butterflies ? 2 * Tile * Tile : Math.Max(products, 2 * RowsAtOnce * plan.LastFactor));
    }

    private enum Way
    {
        ToSpectrum,
        ThereAndBack,
        FromSpectrum,
    }

    /// <summary>Real part of the sequence [N].</summary>
    public float* Re => (float*)Unsafe.AsPointer(ref _re[0]);

    /// <summary>Imaginary part.</summary>
    public float* Im => (float*)Unsafe.AsPointer(ref _im[0]);

    private float* Scratch => (float*)Unsafe.AsPointer(ref _scratch[0]);

    /// <summary>Convolves what stands in <see cref="Re"/> and <see cref="Im"/>.</summary>
    /// <param name="rows">Rows of the first stage that hold something; those behind need not be set.</param>
    /// <param name="wanted">Rows that are wanted.</param>
    /// <param name="kernel">Spectrum, 1/N in it.</param>
    /// <param name="channel">Which of its channels.</param>
    /// <param name="conjugate">Its conjugate: correlation in place of convolution.</param>
    public void Convolve(int rows, int wanted, KernelSpectrum kernel, int channel, bool conjugate)
    {
        fixed (float* kr = kernel.RePart, ki = kernel.ImPart)
        {
            long at = (long)channel * kernel.Stored;
            if (_plan.Kernel == FftKernel.Butterflies) Go(Re, Im, kr + at, ki + at, 0, _plan.Length, rows, Way.ThereAndBack, conjugate);
            else Products(kernel, kr + at, ki + at, rows, wanted, conjugate);
        }
    }

    /// <summary>Leaves the spectrum in place.</summary>
    public void ToSpectrum(int rows)
    {
        if (_plan.Kernel == FftKernel.Butterflies)
        {
            Go(Re, Im, null, null, 0, _plan.Length, rows, Way.ToSpectrum, false);
            return;
        }

        Down(rows);
        LastStage(_plan.Last, swapped: false);
    }

    /// <summary>From a spectrum to N times the sequence.</summary>
    public void FromSpectrum()
    {
        if (_plan.Kernel == FftKernel.Butterflies)
        {
            Go(Re, Im, null, null, 0, _plan.Length, 0, Way.FromSpectrum, false);
            return;
        }

        LastStage(_plan.Last, swapped: true);
        Up(_plan.Factors[0]);
    }

    private static float[] Memory(int length) => GC.AllocateArray<float>(Math.Max(1, length), pinned: true);

    private void Go(float* re, float* im, float* kr, float* ki, int first, int length, int rows, Way way, bool conjugate)
    {
        FftStage[] stages = _plan.Stages;
        if (length > Cached)
        {
            FftStage stage = stages[first];
            if (way != Way.FromSpectrum) FftButterflies.Forward(re, im, stage, first == 0 ? rows : stage.Factor);
            for (int k = 0; k < stage.Factor; k++)
            {
                int at = k * stage.Columns;
                Go(re + at, im + at, kr == null ? null : kr + at, ki == null ? null : ki + at, first + 1, stage.Columns, rows, way, conjugate);
            }

            if (way != Way.ToSpectrum) FftButterflies.Backward(im, re, stage);
            return;
        }

        for (int s = first; way != Way.FromSpectrum && s < stages.Length; s++)
        {
            for (int at = 0, step = stages[s].Factor * stages[s].Columns; at < length; at += step) FftButterflies.Forward(re + at, im + at, stages[s], s == 0 ? rows : stages[s].Factor);
        }

        for (int at = 0; at < length; at += Tile * Tile) OneTile(re + at, im + at, kr == null ? null : kr + at, ki == null ? null : ki + at, way, conjugate);
        for (int s = stages.Length - 1; way != Way.ToSpectrum && s >= first; s--)
        {
            for (int at = 0, step = stages[s].Factor * stages[s].Columns; at < length; at += step) FftButterflies.Backward(im + at, re + at, stages[s]);
        }
    }

    /// <summary>The last stage for sixteen rows of sixteen: across the rows, so that the rows are the lanes.</summary>
    private void OneTile(float* re, float* im, float* kr, float* ki, Way way, bool conjugate)
    {
        float* r = Scratch, i = Scratch + (Tile * Tile);
        if (way != Way.FromSpectrum)
        {
            FftButterflies.Transpose(re, r);
            FftButterflies.Transpose(im, i);
            FftButterflies.Sixteen(r, i);
        }
        else
        {
            Copy(re, r);
            Copy(im, i);
        }

        if (way == Way.ToSpectrum)
        {
            Copy(r, re);
            Copy(i, im);
            return;
        }

        if (way == Way.ThereAndBack) Times(r, i, kr, ki, Tile * Tile, conjugate);
        FftButterflies.Sixteen(i, r);
        FftButterflies.Transpose(r, re);
        FftButterflies.Transpose(i, im);
    }

    private static void Copy(float* from, float* to) => new ReadOnlySpan<float>(from, Tile * Tile).CopyTo(new(to, Tile * Tile));

    /// <summary>Complex numbers times others or their conjugates.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Times(float* r, float* i, float* kr, float* ki, int count, bool conjugate)
    {
        F sign = Vector512.Create(conjugate ? -1f : 1f);
        int at = 0;
        for (; at + Tile <= count; at += Tile)
        {
            F x = Vector512.Load(r + at), y = Vector512.Load(i + at), c = Vector512.Load(kr + at), s = Vector512.Load(ki + at) * sign;
            Vector512.FusedMultiplyAdd(-y, s, x * c).Store(r + at);
            Vector512.FusedMultiplyAdd(x, s, y * c).Store(i + at);
        }

        for (; at < count; at++)
        {
            float s = conjugate ? -ki[at] : ki[at];
            (r[at], i[at]) = (MathF.FusedMultiplyAdd(-i[at], s, r[at] * kr[at]), MathF.FusedMultiplyAdd(r[at], s, i[at] * kr[at]));
        }
    }

    private void Products(KernelSpectrum kernel, float* kr, float* ki, int rows, int wanted, bool conjugate)
    {
        Down(rows);
        int n = _plan.LastFactor, kept = kernel.Columns.Count, lines = _plan.Length / n;
        float* r = Scratch, i = Scratch + (RowsAtOnce * n);
        for (int line = 0; line < lines; line += RowsAtOnce)
        {
            int some = Math.Min(RowsAtOnce, lines - line);
            float* re = Re + ((long)line * n), im = Im + ((long)line * n);
            FftProducts.Rows(re, im, some, n, kernel.Into, kept, r, i);
            Times(r, i, kr + ((long)line * kept), ki + ((long)line * kept), some * kept, conjugate);
            FftProducts.Rows(i, r, some, kept, kernel.OutOf, n, im, re);
        }

        Up(wanted);
    }

    private void Down(int rows)
    {
        for (int s = 0; s < _plan.Stages.Length; s++)
        {
            FftStage stage = _plan.Stages[s];
            for (int at = 0, step = stage.Factor * stage.Columns; at < _plan.Length; at += step)
                FftProducts.Stage(Re + at, Im + at, stage, s == 0 ? rows : stage.Factor, stage.Factor, before: false, Scratch);
        }
    }

    private void Up(int wanted)
    {
        for (int s = _plan.Stages.Length - 1; s >= 0; s--)
        {
            FftStage stage = _plan.Stages[s];
            for (int at = 0, step = stage.Factor * stage.Columns; at < _plan.Length; at += step)
                FftProducts.Stage(Im + at, Re + at, stage, stage.Factor, s == 0 ? wanted : stage.Factor, before: true, Scratch);
        }
    }

    private void LastStage(FftMatrix matrix, bool swapped)
    {
        int n = _plan.LastFactor;
        float* r = Scratch, i = Scratch + (RowsAtOnce * n);
        for (int line = 0; line < _plan.Length / n; line++)
        {
            float* re = (swapped ? Im : Re) + ((long)line * n), im = (swapped ? Re : Im) + ((long)line * n);
            FftProducts.Rows(re, im, 1, n, matrix, n, r, i);
            new ReadOnlySpan<float>(r, n).CopyTo(new(re, n));
            new ReadOnlySpan<float>(i, n).CopyTo(new(im, n));
        }
    }
}
