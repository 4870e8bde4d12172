using Sparseland.Tensors;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Sketching;

/// <summary>
/// A sketch of independent entries. Column j has a stream of its own, so any column can be drawn without the others; S is never stored:
/// a product draws it again in chunks of columns and costs O(n m) draws besides O(n m columns) multiplications.
/// </summary>
public abstract unsafe class DenseSketch : Sketch
{
    private const int ChunkNumbers = 1 << 21;

    private protected DenseSketch(int rows, int inputs)
        : base(rows, inputs)
    {
    }

    private protected override void Multiply(Tensor X, Tensor result)
    {
        EachChunk((columns, from, count) =>
        {
            using var scope = NewDisposeScope();
            result.addmm_(columns.t(), X.narrow(0, from, count));
        });
    }

    private protected override void Transposed(ReadOnlySpan<double> r, Span<double> q)
    {
        using Tensor right = tensor(r.ToArray());
        double[] all = new double[Inputs];
        EachChunk((columns, from, count) =>
        {
            using Tensor product = columns.mv(right);
            TensorMemory.Read<double>(product).CopyTo(all.AsSpan(from, count));
        });
        all.CopyTo(q);
    }

    // Chunks in a fixed order, so the sums have one too.
    private void EachChunk(Action<Tensor, int, int> action)
    {
        int size = Math.Clamp(ChunkNumbers / Outputs, 1, Inputs);
        using Tensor chunk = empty([size, Outputs], dtype: ScalarType.Float64);
        nint start = (nint)TensorMemory.Address(chunk);
        for (int from = 0; from < Inputs; from += size)
        {
            int count = Math.Min(size, Inputs - from), first = from;
            Pieces.Each(count, k => Column(first + (int)k, new Span<double>((double*)start + (k * Outputs), Outputs)));
            using Tensor part = chunk.narrow(0, 0, count);
            action(part, from, count);
        }
    }
}

/// <summary>S_ij independent N(0, 1/m): the sketch whose errors have an exact law.</summary>
public sealed class GaussianSketch : DenseSketch
{
    private readonly long _seed;

    /// <summary>Fixes the draw.</summary>
    /// <param name="rows">m, at least 1.</param>
    /// <param name="inputs">n, at least 1.</param>
    /// <param name="seed">Seed.</param>
    /// <exception cref="ArgumentOutOfRangeException">A size below 1.</exception>
    public GaussianSketch(int rows, int inputs, long seed)
        : base(rows, inputs) => _seed = seed;

    /// <inheritdoc/>
    public override string Name => "Gaussian";

    private protected override void Column(int j, Span<double> column)
    {
        var random = new SeededRandom(_seed, SketchDraws.Dense + j);
        double scale = 1 / Math.Sqrt(Outputs);
        for (int i = 0; i < column.Length; i++) column[i] = scale * random.NextGaussian();
    }
}

/// <summary>S_ij independent and +-1/sqrt(m) with equal probability (AMS; Alon, Matias, Szegedy 1999).</summary>
public sealed class SignSketch : DenseSketch
{
    private readonly long _seed;

    /// <summary>Fixes the draw.</summary>
    /// <param name="rows">m, at least 1.</param>
    /// <param name="inputs">n, at least 1.</param>
    /// <param name="seed">Seed.</param>
    /// <exception cref="ArgumentOutOfRangeException">A size below 1.</exception>
    public SignSketch(int rows, int inputs, long seed)
        : base(rows, inputs) => _seed = seed;

    /// <inheritdoc/>
    public override string Name => "sign";

    private protected override void Column(int j, Span<double> column)
    {
        ulong[] bits = SketchDraws.SignBits(Outputs, _seed, SketchDraws.Dense + j);
        double scale = 1 / Math.Sqrt(Outputs);
        for (int i = 0; i < column.Length; i++) column[i] = scale * SketchDraws.Sign(bits, i);
    }
}
