using Sparseland.Kernels;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Tests.Kernels;

public class LoadAsSparseTests
{
    /// <summary>Unpacking one by one, and what the loops of a textbook give.</summary>
    private static float[] Loop(Tensor W, Tensor B)
    {
        float[] w = W.contiguous().data<float>().ToArray(), b = B.contiguous().data<float>().ToArray();
        (int m, int k, int n) = ((int)W.shape[0], (int)W.shape[1], (int)B.shape[1]);
        float[] c = new float[m * n];
        for (int i = 0; i < m; i++)
        {
            for (int j = 0; j < n; j++)
            {
                for (int l = 0; l < k; l++) c[(i * n) + j] = MathF.FusedMultiplyAdd(w[(i * k) + l], b[(l * n) + j], c[(i * n) + j]);
            }
        }

        return c;
    }

    private static Tensor Rounded(int rows, int columns, double density, ulong seed)
    {
        using Generator generator = new(seed);
        Tensor W = randn([rows, columns], generator: generator) * rand([rows, columns], generator: generator).lt(density);
        return W.to(ScalarType.Float16).to(ScalarType.Float32);
    }

    [Theory]
    [InlineData(128, 64, 16, 0.3)]
    [InlineData(200, 300, 5, 0.1)]
    [InlineData(70, 500, 32, 0.5)]
    [InlineData(9, 65, 48, 1)]
    [InlineData(300, 130, 1, 0.02)]
    [InlineData(65, 640, 80, 0.2)]
    [InlineData(67, 129, 8, 0.4)]
    public void Scattered_spread_skipped_and_dense_sums_have_the_same_bits(int rows, int columns, int n, double density)
    {
        using var scope = NewDisposeScope();
        Tensor W = Rounded(rows, columns, density, (ulong)rows);
        using Generator generator = new(2);
        Tensor B = randn([columns, n], generator: generator);
        float[] expected = Loop(W, B);
        TileMatrix[] tiled = [TiledCslMatrix.FromDense(W), TiledCslMatrix.FromDense(W, new() { Reorder = false, TileRows = 8, TileColumns = 256 }), BitmapTileMatrix.FromDense(W), BitmapTileMatrix.FromDense(W, StoredValue.Half, 24)];
        foreach (TileMatrix matrix in tiled)
        {
            foreach (KernelPath path in KernelPaths.All)
            {
                matrix.Path = path;
                Assert.Equal(expected, LoadAsSparse.Multiply(matrix, B).data<float>().ToArray());
                Assert.Equal(expected, LoadAsSparse.Multiply(matrix, B.t().contiguous().t(), new() { Threads = 1 }).data<float>().ToArray());
                Assert.Equal(expected, matrix.Times(B).data<float>().ToArray());
            }
        }

        Assert.Equal(expected, CsrMatrix.FromDense(W).Times(B).data<float>().ToArray());
        Assert.Equal(expected, BitmapMatrix.FromDense(W).Times(B).data<float>().ToArray());
    }

    [Fact]
    public void Parts_of_a_split_are_added_in_order_whatever_the_threads()
    {
        using var scope = NewDisposeScope();
        Tensor W = Rounded(40, 640, 0.4, 3);
        using Generator generator = new(4);
        Tensor B = randn([640, 8], generator: generator);
        foreach (TileMatrix matrix in (TileMatrix[])[TiledCslMatrix.FromDense(W), BitmapTileMatrix.FromDense(W)])
        {
            // Ten tiles in three parts: 3, 3 and 4.
            float[] expected = [.. Loop(W.narrow(1, 0, 192), B.narrow(0, 0, 192)).Zip(Loop(W.narrow(1, 192, 192), B.narrow(0, 192, 192)), (a, b) => a + b).Zip(Loop(W.narrow(1, 384, 256), B.narrow(0, 384, 256)), (a, b) => a + b)];
            foreach (int threads in new[] { 1, 2, 5 }) Assert.Equal(expected, LoadAsSparse.Multiply(matrix, B, new() { SplitK = 3, Threads = threads }).data<float>().ToArray());
            Assert.Throws<ArgumentOutOfRangeException>(() => LoadAsSparse.Multiply(matrix, B, new() { SplitK = 11 }));
            Assert.Throws<ArgumentOutOfRangeException>(() => LoadAsSparse.Multiply(matrix, B, new() { SplitK = 0 }));
            Assert.Throws<ArgumentOutOfRangeException>(() => LoadAsSparse.Multiply(matrix, B, new() { Threads = -1 }));
            Assert.Throws<ArgumentException>(() => LoadAsSparse.Multiply(matrix, B.narrow(0, 0, 639)));
            Assert.Equal([40L, 0], LoadAsSparse.Multiply(matrix, B.narrow(1, 0, 0)).shape);
        }
    }

    [Fact]
    public void Infinite_activations_meet_the_zeros_of_a_tile()
    {
        using var scope = NewDisposeScope();
        Tensor W = zeros(8, 64), B = ones(64, 2);
        W[0, 0] = 1;
        B[5, 1] = float.PositiveInfinity;
        Assert.Equal([1f, 1f], CsrMatrix.FromDense(W).Times(B)[0].data<float>().ToArray());
        foreach (TileMatrix matrix in (TileMatrix[])[TiledCslMatrix.FromDense(W), BitmapTileMatrix.FromDense(W)])
            Assert.Equal([1f, float.NaN], LoadAsSparse.Multiply(matrix, B)[0].data<float>().ToArray());
    }

    [Theory]
    [InlineData(300, 200, 0.02)]
    [InlineData(300, 200, 0.3)]
    [InlineData(256, 128, 1)]
    [InlineData(256, 128, 0)]
    [InlineData(128, 64, 0.999)]
    public void A_tile_is_padded_with_zeros_at_zero_places_and_no_place_comes_twice(int rows, int columns, double density)
    {
        using var scope = NewDisposeScope();
        Tensor W = Rounded(rows, columns, density, 5);
        if (density == 0.999)
        {
            // One, two and three places are free.
            W = ones(128, 64);
            W[127, 63] = 0;
            W[3, 3] = 0;
        }

        foreach (bool reorder in new[] { true, false })
        {
            TiledCslMatrix matrix = TiledCslMatrix.FromDense(W, new() { Reorder = reorder });
            int[] occupancy = matrix.Occupancy();
            Assert.Equal(W.ne(0).sum().item<long>(), occupancy.Sum());
            Assert.Equal((4L * occupancy.Sum(n => (n + 3) / 4 * 4)) + (4 * (matrix.TileCount + 2)), matrix.Bytes);
            Assert.Equal(matrix.TileOffsets[^1], matrix.TileOffsets[^2]);
            for (int tile = 0; tile < matrix.TileCount; tile++)
            {
                int[] positions = [.. matrix.Tile(tile).ToArray().Select(entry => (int)(entry >> 16))];
                Assert.Equal(positions.Length, positions.Distinct().Count());
            }

            Assert.True(matrix.Tile(matrix.TileCount).IsEmpty);
        }

        foreach (StoredValue kind in Enum.GetValues<StoredValue>())
        {
            BitmapTileMatrix tiles = BitmapTileMatrix.FromDense(W, kind);
            long padded = (rows + 63L) / 64 * 64 * ((columns + 63) / 64);
            Assert.Equal((W.ne(0).sum().item<long>() * (kind == StoredValue.Single ? 4 : 2)) + (8 * padded), tiles.Bytes);
        }
    }

    [Fact]
    public void Dealing_from_the_fullest_bin_keeps_lanes_off_each_others_banks()
    {
        // By hand: row 0 has columns 0 to 63 on banks 0 to 31, two each; row 1 begins eight columns later.
        Assert.Equal(64 + 8, TiledCslMatrix.Position(1, 0));
        Assert.Equal((9 * 64) + 8, TiledCslMatrix.Position(9, 0));
        Assert.Equal(7 * 64, TiledCslMatrix.Position(7, 56));
        uint[] entries = [.. Enumerable.Range(0, 128).Select(i => (uint)(i % 2 * 64) << 16)];
        Assert.Equal([32, 32, 32, 32], BankModel.Steps(entries));
        entries = [.. Enumerable.Range(0, 128).Select(i => (uint)(i / 4 * 2) << 16)];
        Assert.Equal([1, 1, 1, 1], BankModel.Steps(entries));
        entries = [.. Enumerable.Range(0, 8).Select(i => (uint)i << 16)];
        Assert.Equal([1, 1, 1, 1], BankModel.Steps(entries));

        // The same rule in Python on uniform matrices, steps of 32 lanes: 1.18, 1.22 and 1.34.
        foreach ((double density, double most) in new[] { (0.3, 1.25), (0.2, 1.3), (0.1, 1.45) })
        {
            using var scope = NewDisposeScope();
            Tensor W = Rounded(512, 512, density, 9);
            BankConflicts dealt = BankModel.Conflicts(TiledCslMatrix.FromDense(W)), plain = BankModel.Conflicts(TiledCslMatrix.FromDense(W, new() { Reorder = false }));
            Assert.InRange(dealt.Mean, 1, most);
            Assert.InRange(plain.Mean, 2.9, 4);
        }

        Assert.Equal(new BankConflicts(0, 0, 0, 0), BankModel.Conflicts(TiledCslMatrix.FromDense(zeros(8, 8))));
    }

    [Fact]
    public void What_float16_cannot_hold_is_refused_where_it_stands_and_lost_zeros_are_counted()
    {
        using var scope = NewDisposeScope();
        Tensor W = zeros(140, 70);
        (W[130, 65], W[2, 3], W[2, 4]) = (tensor(1f), tensor(1e-9f), tensor(-1e-8f));
        TiledCslMatrix matrix = TiledCslMatrix.FromDense(W);
        Assert.Equal((2, 1), (matrix.LostZeros, matrix.Occupancy().Sum()));
        Assert.Equal(1, CsrMatrix.FromDense(matrix.ToDense()).Count);
        foreach (float value in new[] { 65520f, float.NaN, float.NegativeInfinity })
        {
            W[130, 65] = value;
            ArgumentException error = Assert.Throws<ArgumentException>(() => TiledCslMatrix.FromDense(W));
            Assert.Contains("row 130, column 65", error.Message, StringComparison.Ordinal);
            Assert.Equal(value == 65520 ? float.PositiveInfinity : value, TiledCslMatrix.FromDense(W, new() { AllowNonFinite = true }).ToDense()[130, 65].item<float>());
        }

        W[130, 65] = 65519f;
        Assert.Equal(65504, TiledCslMatrix.FromDense(W).ToDense()[130, 65].item<float>());
        W[130, 65] = 1e6f;
        Assert.Contains("row 130, column 65", Assert.Throws<ArgumentException>(() => BitmapTileMatrix.FromDense(W, StoredValue.Half)).Message, StringComparison.Ordinal);
        Assert.Equal(999_424, BitmapTileMatrix.FromDense(W, StoredValue.BFloat16).ToDense()[130, 65].item<float>());
        foreach ((int rows, int columns) in new[] { (0, 64), (12, 64), (128, 63), (128, 1024), (2048, 64) })
            Assert.Throws<ArgumentOutOfRangeException>(() => TiledCslMatrix.FromDense(W, new() { TileRows = rows, TileColumns = columns }));
        Assert.Throws<ArgumentOutOfRangeException>(() => BitmapTileMatrix.FromDense(W, tileRows: 10));
        Assert.Throws<ArgumentOutOfRangeException>(() => BitmapTileMatrix.FromDense(W, (StoredValue)7));
    }

    [Fact]
    public void The_reference_is_full_at_half_a_tile_and_says_so()
    {
        using var scope = NewDisposeScope();
        Tensor W = zeros(256, 64);
        W.narrow(0, 128, 64).fill_(1);
        Assert.Equal(TiledCslMatrix.ReferenceCapacity, TiledCslMatrix.FromDense(W, new() { Reference = true }).Occupancy()[1]);
        W[200, 7] = 1;
        ArgumentException error = Assert.Throws<ArgumentException>(() => TiledCslMatrix.FromDense(W, new() { Reference = true }));
        Assert.Contains("Tile (1, 0) has 4097 entries", error.Message, StringComparison.Ordinal);
        Assert.True(SparseMatrixTests.Same(TiledCslMatrix.FromDense(W).ToDense(), W));
    }

    [Fact]
    public void Every_value_of_16_bits_comes_back()
    {
        using var scope = NewDisposeScope();
        float[] unpacked = new float[1 << 16];
        foreach (StoredValue kind in new[] { StoredValue.Half, StoredValue.BFloat16 })
        {
            ushort[] bits = [.. Enumerable.Range(0, 1 << 16).Select(i => (ushort)i)];
            unsafe
            {
                fixed (ushort* from = bits)
                fixed (float* to = unpacked) HalfValues.Unpack(from, to, bits.Length, kind);
            }

            for (int i = 0; i < bits.Length; i++)
            {
                float expected = kind == StoredValue.Half ? (float)BitConverter.UInt16BitsToHalf(bits[i]) : BitConverter.Int32BitsToSingle(i << 16);
                Assert.True(BitConverter.SingleToInt32Bits(expected) == BitConverter.SingleToInt32Bits(unpacked[i]) || (float.IsNaN(expected) && float.IsNaN(unpacked[i])), $"{kind} {i:x4}: {unpacked[i]}, not {expected}");
                if (!float.IsNaN(expected)) Assert.Equal(bits[i], HalfValues.Pack(expected, kind));
            }
        }

        // Ties go to even, as libtorch has it.
        using Generator generator = new(1);
        Tensor x = cat([randn(1000, generator: generator), tensor([1 + (1f / 256), 1 + (3f / 256), float.MaxValue, 1e-40f])]);
        float[] ours = Array.ConvertAll(x.data<float>().ToArray(), v => HalfValues.Unpack(HalfValues.Pack(v, StoredValue.BFloat16), StoredValue.BFloat16));
        Assert.Equal(x.to(ScalarType.BFloat16).to(ScalarType.Float32).data<float>().ToArray(), ours);
    }

    [Fact]
    public void Times_follow_the_three_laws()
    {
        var limits = new MachineLimits(2, 1e10, 1e11, 1e11, 1e9);
        double weights = 4096.0 * 4096;
        Assert.Equal(4 * weights / 1e10, SkinnyProductModel.Predict(limits, 4096, 4096, 1, 0.8).Dense, 12);
        Assert.Equal(2 * weights * 64 / 1e11, SkinnyProductModel.Predict(limits, 4096, 4096, 64, 0.8).Dense, 12);
        SkinnyProductTimes few = SkinnyProductModel.Predict(limits, 4096, 4096, 8, 0.9);
        Assert.Equal(weights * ((4 * 0.1) + 0.125) / 1e10, few.ComputeAsSparse, 9);
        Assert.Equal((2 * weights * 8 / 1e11) + (4 * weights / 1e11), few.LoadAsSparse, 9);
        Assert.Equal(2 * weights * 64 * 0.1 / 1e11, SkinnyProductModel.Predict(limits, 4096, 4096, 64, 0.9).ComputeAsSparse, 9);

        // Dense is bound by reading up to N = 2 P / bandwidth = 20; loading as sparse, with its unpacking, is bound by arithmetic from 16 to 32 vectors on.
        Assert.Equal(17, SkinnyProductModel.Crossing(limits, 4096, 4096, 0.8));
        Assert.Equal(1, SkinnyProductModel.Crossing(limits, 4096, 4096, 0));
        Assert.Equal(8.0 * 4096 / 4104, SkinnyProductModel.Intensity(4096, 8), 12);
        Assert.Equal(8.0 * 4096 / ((4096 * 0.2) + 8), SkinnyProductModel.Intensity(4096, 8, 0.8), 9);
        Assert.Equal(0.4, SkinnyProductModel.PairRatio(0.8), 12);
        Assert.Throws<ArgumentOutOfRangeException>(() => SkinnyProductModel.Predict(limits, 0, 1, 1, 0.5));
        Assert.Throws<ArgumentOutOfRangeException>(() => SkinnyProductModel.Predict(limits, 1, 1, 1, 1.5));
        Assert.Throws<ArgumentOutOfRangeException>(() => SkinnyProductModel.Predict(limits, 1, 1, 1, double.NaN));
        Assert.Throws<ArgumentOutOfRangeException>(() => SkinnyProductModel.Predict(limits, 1, 1, 1, 0.5, 3));
    }
}
