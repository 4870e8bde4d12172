using System.Numerics.Tensors;
using Sparseland.Kernels;

namespace Sparseland.Attention.Caching;

/// <summary>Keys and values of one head: old ones pruned and packed, new ones dense.</summary>
internal sealed class PrunedHead(int headDim, PrunedCacheOptions options)
{
    private const int Width = BitmapTiles.Width;
    private readonly int _tilesOfToken = (headDim + Width - 1) / Width;
    private readonly List<float> _keys = [], _values = [];

    /// <summary>Of 64 tokens each channel's 64 keys: scores then come 64 at a time.</summary>
    public BitmapTiles Keys { get; } = new();

    /// <summary>Of each token 64 channels at a time.</summary>
    public BitmapTiles Values { get; } = new();

    /// <summary>Tokens that are packed.</summary>
    public int Packed { get; private set; }

    /// <summary>Tokens that are dense.</summary>
    public int Dense => _keys.Count / headDim;

    /// <summary>Bytes held.</summary>
    public long Bytes => Keys.Bytes + Values.Bytes + (sizeof(float) * (long)(_keys.Count + _values.Count));

    /// <summary>Takes tokens in, dense.</summary>
    public void Append(ReadOnlySpan<float> keys, ReadOnlySpan<float> values)
    {
        _keys.AddRange(keys);
        _values.AddRange(values);
    }

    /// <summary>Packs whole groups of the oldest dense tokens, as long as the residual stays.</summary>
    public void Pack()
    {
        int groups = Math.Max(0, Dense - options.Residual) / options.Group;
        if (groups == 0) return;
        int tokens = groups * options.Group, kept = CachePruning.KeptOf(headDim, options.KeySparsity), keptValues = CachePruning.KeptOf(headDim, options.ValueSparsity);
        Span<float> keys = System.Runtime.InteropServices.CollectionsMarshal.AsSpan(_keys)[..(tokens * headDim)], values = System.Runtime.InteropServices.CollectionsMarshal.AsSpan(_values)[..(tokens * headDim)];
        float[] tile = new float[Width * Math.Max(headDim, _tilesOfToken)], magnitudes = new float[headDim];
        for (int from = 0; from < tokens; from += Width)
        {
            Array.Clear(tile);
            for (int t = 0; t < Width; t++)
            {
                ReadOnlySpan<float> key = keys.Slice((from + t) * headDim, headDim);
                foreach (int c in Largest(key, magnitudes, kept)) tile[(c * Width) + t] = key[c];
            }

            Keys.Append(tile.AsSpan(0, headDim * Width));
            for (int t = 0; t < Width; t++)
            {
                Span<float> wide = tile.AsSpan(0, _tilesOfToken * Width);
                wide.Clear();
                ReadOnlySpan<float> value = values.Slice((from + t) * headDim, headDim);
                foreach (int c in Largest(value, magnitudes, keptValues)) wide[c] = value[c];
                Values.Append(wide);
            }
        }

        Packed += tokens;
        _keys.RemoveRange(0, tokens * headDim);
        _values.RemoveRange(0, tokens * headDim);
    }

    public void Clear()
    {
        Keys.Clear();
        Values.Clear();
        _keys.Clear();
        _values.Clear();
        Packed = 0;
    }

    /// <summary>Cuts dense tokens off the end.</summary>
    public void Cut(int tokens)
    {
        _keys.RemoveRange(_keys.Count - (tokens * headDim), tokens * headDim);
        _values.RemoveRange(_values.Count - (tokens * headDim), tokens * headDim);
    }

    /// <summary>softmax over packed and dense keys together, for one query.</summary>
    /// <returns>Whether all scores were finite; the output means nothing where not.</returns>
    public bool Attend(ReadOnlySpan<float> query, float scale, Span<float> output, float[] scratch)
    {
        int all = Packed + Dense;
        Span<float> scaled = scratch.AsSpan(0, headDim), scores = scratch.AsSpan(headDim, all), wide = scratch.AsSpan(headDim + all, Width);
        ReadOnlySpan<float> keys = System.Runtime.InteropServices.CollectionsMarshal.AsSpan(_keys), values = System.Runtime.InteropServices.CollectionsMarshal.AsSpan(_values);
        TensorPrimitives.Multiply(query, scale, scaled);
        scores[..Packed].Clear();
        for (int b = 0; b < Packed / Width; b++) Keys.AddTo(b * headDim, 1, scaled, scores.Slice(b * Width, Width));
        for (int t = 0; t < Dense; t++) scores[Packed + t] = TensorPrimitives.Dot<float>(scaled, keys.Slice(t * headDim, headDim));
        float most = TensorPrimitives.Max<float>(scores);
        if (!float.IsFinite(most) || !float.IsFinite(TensorPrimitives.Min<float>(scores))) return false;
        TensorPrimitives.Subtract(scores, most, scores);
        TensorPrimitives.Exp<float>(scores, scores);
        TensorPrimitives.Divide(scores, TensorPrimitives.Sum<float>(scores), scores);
        for (int j = 0; j < _tilesOfToken; j++)
        {
            wide.Clear();
            if (Packed > 0) Values.AddTo(j, _tilesOfToken, scores[..Packed], wide);
            int width = Math.Min(Width, headDim - (j * Width));
            wide[..width].CopyTo(output.Slice(j * Width, width));
        }

        for (int t = 0; t < Dense; t++) TensorPrimitives.MultiplyAdd(values.Slice(t * headDim, headDim), scores[Packed + t], output, output);
        return true;
    }

    /// <summary>Floats that <see cref="Attend"/> needs.</summary>
    public int Scratch => headDim + Packed + Dense + Width;

    /// <summary>Writes keys or values of all tokens as they are now, pruned where they were packed.</summary>
    public void Unpack(Span<float> to, bool keys)
    {
        float[] tile = new float[Width];
        for (int b = 0; b < Packed / Width && keys; b++)
        {
            for (int c = 0; c < headDim; c++)
            {
                Keys.Unpack((b * headDim) + c, tile);
                for (int t = 0; t < Width; t++) to[(((b * Width) + t) * headDim) + c] = tile[t];
            }
        }

        for (int t = 0; t < Packed && !keys; t++)
        {
            for (int j = 0; j < _tilesOfToken; j++)
            {
                Values.Unpack((t * _tilesOfToken) + j, tile);
                tile.AsSpan(0, Math.Min(Width, headDim - (j * Width))).CopyTo(to[((t * headDim) + (j * Width))..]);
            }
        }

        System.Runtime.InteropServices.CollectionsMarshal.AsSpan(keys ? _keys : _values).CopyTo(to[(Packed * headDim)..]);
    }

    private static ReadOnlySpan<int> Largest(ReadOnlySpan<float> x, float[] magnitudes, int kept)
    {
        TensorPrimitives.Abs(x, magnitudes);
        return Selection.Select.TopK(magnitudes, Selection.Budget.Global(kept)).ColumnIndices;
    }
}
