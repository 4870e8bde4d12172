using System.Numerics;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.X86;

namespace Sparseland.Kernels;

/// <summary>
/// Tiles of 64 numbers of which some are zero: a 64-bit map (number 0 is its highest bit), the others in their order, filled up with zeros to a multiple of 8, and where they begin.
/// Tiles are added at the end; one product serves both halves of attention: 64 sums += scalar * tile, over many tiles. A zero is not multiplied, be the scalar infinite.
/// </summary>
public sealed unsafe class BitmapTiles
{
    /// <summary>Numbers of a tile.</summary>
    public const int Width = 64;

    private const int Pad = 8;

    // Of each byte of a map where its numbers stand among the stored ones; the sign says that there is one.
    private static readonly int[] s_places = Places();
    private ulong[] _maps = [];
    private int[] _starts = [];
    private float[] _values = [];
    private int _length;

    /// <summary>Tiles.</summary>
    public int Count { get; private set; }

    /// <summary>Numbers whose bit is set.</summary>
    public long NonZeros { get; private set; }

    /// <summary>Numbers that are stored, those that fill up included.</summary>
    public long Stored => _length;

    /// <summary>Bytes of maps, starts and stored numbers: 8 + 4 + 4 * (non-zeros rounded up to 8) a tile.</summary>
    public long Bytes => BytesAt(sizeof(float));

    /// <summary>Bytes if a number took so many: 2 for half precision.</summary>
    /// <param name="bytes">Bytes of a number, positive.</param>
    public long BytesAt(int bytes)
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(bytes);
        return ((long)Count * (sizeof(ulong) + sizeof(int))) + ((long)bytes * _length);
    }

    /// <summary>Which instructions the product takes.</summary>
    internal KernelPath Path { get; set; } = KernelPaths.Widest;

    /// <summary>Adds tiles. A number is left out where all of its bits are zero, so that -0.0 is kept.</summary>
    /// <param name="numbers">Whole tiles one behind the other.</param>
    /// <exception cref="ArgumentException">No multiple of 64.</exception>
    public void Append(ReadOnlySpan<float> numbers)
    {
        if (numbers.Length % Width != 0) throw new ArgumentException($"{numbers.Length} numbers are no whole tiles of {Width}.", nameof(numbers));
        int added = numbers.Length / Width;
        Grow(ref _maps, Count + added);
        Grow(ref _starts, Count + added);
        Grow(ref _values, _length + numbers.Length + (2 * Pad));
        for (int t = 0; t < added; t++)
        {
            ReadOnlySpan<float> tile = numbers.Slice(t * Width, Width);
            ReadOnlySpan<uint> bits = MemoryMarshal.Cast<float, uint>(tile);
            ulong map = 0;
            int at = _length;
            for (int i = 0; i < Width; i++)
            {
                if (bits[i] == 0) continue;
                map |= 1UL << (Width - 1 - i);
                _values[at++] = tile[i];
            }

            (_maps[Count], _starts[Count]) = (map, _length);
            NonZeros += at - _length;
            for (; (at - _length) % Pad != 0; at++) _values[at] = 0;
            _length = at;
            Count++;
        }
    }

    /// <summary>Forgets all tiles; the memory stays.</summary>
    public void Clear() => (Count, NonZeros, _length) = (0, 0, 0);

    /// <summary>Writes a tile as it was added.</summary>
    /// <param name="tile">From 0 to <see cref="Count"/> - 1.</param>
    /// <param name="numbers">At least 64 places.</param>
    /// <exception cref="ArgumentException">No such tile, or too few places.</exception>
    public void Unpack(int tile, Span<float> numbers)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(tile);
        ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual(tile, Count);
        if (numbers.Length < Width) throw new ArgumentException($"A tile has {Width} numbers; there are {numbers.Length} places.", nameof(numbers));
        ulong map = _maps[tile];
        int at = _starts[tile];
        for (int i = 0; i < Width; i++) numbers[i] = (map >> (Width - 1 - i) & 1) != 0 ? _values[at++] : 0;
    }

    /// <summary>sums += scalars[i] * tile(first + i * step) for i from 0 on.</summary>
    /// <param name="first">First tile.</param>
    /// <param name="step">From one tile to the next.</param>
    /// <param name="scalars">A factor for each tile.</param>
    /// <param name="sums">64 sums.</param>
    /// <exception cref="ArgumentException">Tiles that there are not, or too few sums.</exception>
    public void AddTo(int first, int step, ReadOnlySpan<float> scalars, Span<float> sums)
    {
        if (scalars.IsEmpty) return;
        ArgumentOutOfRangeException.ThrowIfNegative(first);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(step);
        if (first + ((long)step * (scalars.Length - 1)) >= Count) throw new ArgumentException($"Tiles {first}, {first + step}, ... for {scalars.Length} factors are more than the {Count} there are.", nameof(scalars));
        if (sums.Length < Width) throw new ArgumentException($"There are {sums.Length} sums; a tile has {Width} numbers.", nameof(sums));
        fixed (ulong* maps = _maps)
        fixed (int* starts = _starts, places = s_places)
        fixed (float* values = _values, factors = scalars, to = sums)
        {
            switch (Path)
            {
                case KernelPath.Vector512: Wide(maps + first, starts + first, step, values, factors, scalars.Length, to); break;
                case KernelPath.Vector256: Narrow(maps + first, starts + first, step, values, factors, scalars.Length, to, places); break;
                default: OneByOne(maps + first, starts + first, step, values, factors, scalars.Length, to); break;
            }
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Wide(ulong* maps, int* starts, int step, float* values, float* factors, int n, float* sums)
    {
        Vector512<int> lanes = Vector512.Create(32768, 16384, 8192, 4096, 2048, 1024, 512, 256, 128, 64, 32, 16, 8, 4, 2, 1);
        Vector512<float> a = Vector512.Load(sums), b = Vector512.Load(sums + 16), c = Vector512.Load(sums + 32), d = Vector512.Load(sums + 48);
        for (int i = 0; i < n; i++, maps += step, starts += step)
        {
            ulong map = *maps;
            float* from = values + *starts;
            Vector512<float> factor = Vector512.Create(factors[i]);
            Add(ref a, (int)(map >> 48), factor, ref from, lanes);
            Add(ref b, (int)(map >> 32 & 0xFFFF), factor, ref from, lanes);
            Add(ref c, (int)(map >> 16 & 0xFFFF), factor, ref from, lanes);
            Add(ref d, (int)(map & 0xFFFF), factor, ref from, lanes);
        }

        a.Store(sums);
        b.Store(sums + 16);
        c.Store(sums + 32);
        d.Store(sums + 48);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Add(ref Vector512<float> sum, int slice, Vector512<float> factor, ref float* from, Vector512<int> lanes)
    {
        Vector512<float> mask = Vector512.Equals(Vector512.Create(slice) & lanes, lanes).AsSingle();
        sum = Vector512.ConditionalSelect(mask, Vector512.FusedMultiplyAdd(Avx512F.Expand(Vector512<float>.Zero, mask, Vector512.Load(from)), factor, sum), sum);
        from += BitOperations.PopCount((uint)slice);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Narrow(ulong* maps, int* starts, int step, float* values, float* factors, int n, float* sums, int* places)
    {
        Vector256<float> a = Vector256.Load(sums), b = Vector256.Load(sums + 8), c = Vector256.Load(sums + 16), d = Vector256.Load(sums + 24);
        Vector256<float> e = Vector256.Load(sums + 32), f = Vector256.Load(sums + 40), g = Vector256.Load(sums + 48), h = Vector256.Load(sums + 56);
        for (int i = 0; i < n; i++, maps += step, starts += step)
        {
            ulong map = *maps;
            float* from = values + *starts;
            Vector256<float> factor = Vector256.Create(factors[i]);
            Add(ref a, (byte)(map >> 56), factor, ref from, places);
            Add(ref b, (byte)(map >> 48), factor, ref from, places);
            Add(ref c, (byte)(map >> 40), factor, ref from, places);
            Add(ref d, (byte)(map >> 32), factor, ref from, places);
            Add(ref e, (byte)(map >> 24), factor, ref from, places);
            Add(ref f, (byte)(map >> 16), factor, ref from, places);
            Add(ref g, (byte)(map >> 8), factor, ref from, places);
            Add(ref h, (byte)map, factor, ref from, places);
        }

        a.Store(sums);
        b.Store(sums + 8);
        c.Store(sums + 16);
        d.Store(sums + 24);
        e.Store(sums + 32);
        f.Store(sums + 40);
        g.Store(sums + 48);
        h.Store(sums + 56);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Add(ref Vector256<float> sum, byte slice, Vector256<float> factor, ref float* from, int* places)
    {
        Vector256<int> place = Vector256.Load(places + (slice * 8));
        sum = Avx.BlendVariable(sum, Fma.MultiplyAdd(Avx2.PermuteVar8x32(Vector256.Load(from), place), factor, sum), place.AsSingle());
        from += BitOperations.PopCount(slice);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void OneByOne(ulong* maps, int* starts, int step, float* values, float* factors, int n, float* sums)
    {
        for (int i = 0; i < n; i++, maps += step, starts += step)
        {
            float* from = values + *starts;
            for (ulong map = *maps; map != 0;)
            {
                int lane = BitOperations.LeadingZeroCount(map);
                sums[lane] = MathF.FusedMultiplyAdd(*from++, factors[i], sums[lane]);
                map &= ~(1UL << (Width - 1 - lane));
            }
        }
    }

    private static int[] Places()
    {
        int[] places = new int[256 * 8];
        for (int slice = 0; slice < 256; slice++)
        {
            int at = 0;
            for (int lane = 0; lane < 8; lane++)
            {
                if ((slice >> (7 - lane) & 1) != 0) places[(slice * 8) + lane] = int.MinValue | at++;
            }
        }

        return places;
    }

    private static void Grow<T>(ref T[] array, int length)
    {
        if (array.Length < length) Array.Resize(ref array, Math.Max(length, 2 * array.Length));
    }
}
