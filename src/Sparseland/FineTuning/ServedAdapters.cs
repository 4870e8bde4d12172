using Sparseland.Models;
using Sparseland.Tensors;
using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Sparseland.FineTuning;

/// <summary>
/// A network that serves several adapters at once: each row of a batch has its own (S2FT, section 3.3). The frozen product is one for all rows; of a slice of inputs each row's columns are gathered, and one batched
/// product adds what its adapter adds.
/// </summary>
public sealed class ServedAdapters : IDisposable
{
    private readonly IReadOnlyList<ReplacedLayer> _replaced;
    private bool _ended;
    private readonly Routes _routes;

    private ServedAdapters(IReadOnlyList<ReplacedLayer> replaced, Routes routes) => (_replaced, _routes) = (replaced, routes);

    /// <summary>Adapter of each row of the next batches, as a number in the list; -1 for none.</summary>
    /// <exception cref="ArgumentException">There is no such adapter.</exception>
    public IReadOnlyList<int> Rows
    {
        get => _routes.Rows;
        set
        {
            ArgumentNullException.ThrowIfNull(value);
            foreach (int adapter in value)
            {
                if (adapter < -1 || adapter >= _routes.Count) throw new ArgumentException($"There is no adapter {adapter}; they run from 0 to {_routes.Count - 1}, and -1 is none.", nameof(value));
            }

            _routes.Rows = [.. value];
        }
    }

    /// <summary>Puts layers into a network that add each row's own update.</summary>
    /// <param name="model">The base of all adapters.</param>
    /// <param name="adapters">The adapters; their values are copied.</param>
    /// <returns>Dispose it to have the network as it was.</returns>
    /// <exception cref="ArgumentException">None, one of another base, or a parameter that is no linear layer's weight.</exception>
    public static ServedAdapters Attach(nn.Module model, IReadOnlyList<SliceAdapter> adapters)
    {
        ArgumentNullException.ThrowIfNull(model);
        ArgumentNullException.ThrowIfNull(adapters);
        if (adapters.Count == 0) throw new ArgumentException("There is no adapter to serve.", nameof(adapters));
        foreach (SliceAdapter adapter in adapters) adapter.File.ParametersIn(model);
        var routes = new Routes(adapters.Count);
        HashSet<string> wanted = [.. adapters.SelectMany(a => a.Updates).Select(u => u.Parameter)];
        HashSet<string> linear = [.. LinearSlots.Of(model).Where(s => s.Module is Linear).Select(s => s.Name + ".weight")];
        if (wanted.FirstOrDefault(name => !linear.Contains(name)) is { } strange) throw new ArgumentException($"{strange} is not the weight of a linear layer that can be replaced.", nameof(adapters));
        foreach (string name in wanted)
        {
            if (adapters.SelectMany(a => a.Updates).Where(u => u.Parameter == name).Select(u => u.Form).Distinct().Count() > 1) throw new ArgumentException($"{name}: one adapter has rows, another columns.", nameof(adapters));
        }

        return new(LinearSlots.Replace(model, (name, layer) => wanted.Contains(name + ".weight") ? new ServedLinear(layer, [.. adapters.Select(a => a.Updates.FirstOrDefault(u => u.Parameter == name + ".weight"))], routes) : null), routes);
    }

    /// <summary>Puts the layers of before back.</summary>
    public void Dispose()
    {
        if (_ended) return;
        _ended = true;
        LinearSlots.Restore(_replaced);
        foreach (ReplacedLayer one in _replaced) ((ServedLinear)one.After).Forget();
    }

    private sealed class Routes(int count)
    {
        public int Count { get; } = count;

        public int[] Rows { get; set; } = [];
    }

    private sealed class ServedLinear : nn.Module<Tensor, Tensor>
    {
        // Under the names of the layer that this one stands for, which goes on holding them.
        private readonly (Parameter Weight, Parameter? Bias)[] _shared;
        private readonly Routes _routes;
        private readonly Tensor _places;
        private readonly Tensor _values;
        private readonly bool _columns;

        public ServedLinear(Linear layer, SparseUpdate?[] updates, Routes routes)
            : base(nameof(ServedLinear))
        {
            (_shared, _routes) = ([(layer.weight, layer.bias)], routes);
            using DisposeScope scope = NewDisposeScope();
            using IDisposable off = no_grad();
            SparseUpdate[] present = [.. updates.OfType<SparseUpdate>()];
            _columns = present[0].Form == UpdateForm.Columns;
            int most = present.Max(u => u.Indices.Count), all = updates.Length;
            long length = layer.weight.shape[_columns ? 0 : 1];

            // Shorter slices are filled up with zeros at place 0; the last of the list is no adapter.
            Tensor places = zeros([all + 1, most], dtype: ScalarType.Int64), values = zeros([all + 1, most, length], dtype: layer.weight.dtype);
            for (int i = 0; i < all; i++)
            {
                if (updates[i] is not { } update) continue;
                places[i].narrow(0, 0, update.Indices.Count).copy_(tensor((long[])[.. update.Indices]));
                values[i].narrow(0, 0, update.Indices.Count).copy_(_columns ? update.Values.t() : update.Values);
            }

            (_places, _values) = (places.to(layer.weight.device).DetachFromDisposeScope(), values.to(layer.weight.device).DetachFromDisposeScope());
            register_parameter("weight", layer.weight);
            if (layer.bias is not null) register_parameter("bias", layer.bias);
        }

        public override Tensor forward(Tensor input)
        {
            using DisposeScope scope = NewDisposeScope();
            (Parameter weight, Parameter? bias) = _shared[0];
            int[] rows = _routes.Rows;
            if (input.dim() != 3 || input.shape[0] != rows.Length) throw new ArgumentException($"The batch is [{string.Join(", ", input.shape)}]; it must be [rows, tokens, in] with the {rows.Length} rows that have adapters.", nameof(input));
            Tensor which = tensor(Array.ConvertAll(rows, r => r < 0 ? (long)_routes.Count : r), device: weight.device);
            Tensor output = nn.functional.linear(input, weight, bias);
            Tensor values = _values.index_select(0, which);
            Tensor places = _places.index_select(0, which).unsqueeze(1).expand(-1, input.shape[1], -1);
            Tensor served = _columns ? output + input.gather(2, places).bmm(values) : output.scatter_add(2, places, input.bmm(values.transpose(1, 2)));
            return served.MoveToOuterDisposeScope();
        }

        public void Forget()
        {
            _places.Dispose();
            _values.Dispose();
        }
    }
}
