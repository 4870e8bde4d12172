using Sparseland.Tensors;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Autoencoders.Dashboards;

/// <summary>
/// Puts the codes of tokens together to whole windows and hands them out latent by latent: surroundings of a token need those after it.
/// </summary>
/// <param name="source">Where the tokens come from.</param>
/// <param name="skip">Tokens at the beginning of each window that the source leaves out.</param>
/// <param name="latent">Is given each active latent with its values in a window.</param>
internal sealed class WindowCodes(IActivationSource source, int skip, WindowCodes.Visitor latent)
{
    private ulong[] _keys = [];
    private float[] _values = [];
    private int[] _sorted = [];
    private int _count;
    private long _window;

    public delegate void Visitor(int latent, WindowRunOfLatent run);

    /// <summary>Takes in some tokens, as <see cref="Metrics.CodeStream.Visitor"/> brings them.</summary>
    /// <exception cref="InvalidDataException">A value is not finite; the message names latent and token.</exception>
    public void Add(Tensor x, SparseCode code, long first)
    {
        using Tensor values = code.Values.to(ScalarType.Float32).contiguous();
        ReadOnlySpan<float> all = TensorMemory.Read<float>(values);
        ReadOnlySpan<int> offsets = code.Support.RowOffsets;
        for (int row = 0; row < code.Tokens; row++)
        {
            long token = first + row, window = token / source.TokensPerWindow;
            if (window != _window) Close();
            _window = window;
            ulong place = (ulong)(skip + (token % source.TokensPerWindow));
            ReadOnlySpan<int> active = code.Support.Row(row);
            Room(active.Length);
            for (int i = 0; i < active.Length; i++)
            {
                float value = all[offsets[row] + i];
                if (!float.IsFinite(value)) throw new InvalidDataException($"The value of latent {active[i]} is not finite: {Metrics.CodeStream.PlaceIn(source)(token)}.");

                // A float64 value may vanish in float32; it is as good as not active.
                if (value > 0) (_keys[_count], _values[_count++]) = (((ulong)active[i] << 32) | place, value);
            }
        }
    }

    /// <summary>Hands out the last window.</summary>
    public void Close()
    {
        Array.Sort(_keys, _values, 0, _count);
        if (_sorted.Length < _count) _sorted = new int[_keys.Length];
        for (int i = 0; i < _count; i++) _sorted[i] = (int)(uint)_keys[i];
        for (int from = 0, to; from < _count; from = to)
        {
            ulong which = _keys[from] >> 32;
            for (to = from + 1; to < _count && _keys[to] >> 32 == which;) to++;
            latent((int)which, new((int)_window, _sorted.AsSpan(from, to - from), _values.AsSpan(from, to - from)));
        }

        _count = 0;
    }

    private void Room(int more)
    {
        if (_count + more <= _keys.Length) return;
        int size = Math.Max(_count + more, 2 * _keys.Length);
        Array.Resize(ref _keys, size);
        Array.Resize(ref _values, size);
    }
}
