namespace Sparseland.IO;

/// <summary>A stored tensor of an ONNX graph.</summary>
/// <param name="Name">Its name.</param>
/// <param name="Shape">Its sizes.</param>
/// <param name="DataType">Element type by ONNX's numbers; 1 is float32.</param>
/// <param name="Data">Little-endian, row-major; empty where the values stand in another file or in a form that is not read.</param>
internal sealed record OnnxTensor(string Name, long[] Shape, int DataType, ReadOnlyMemory<byte> Data)
{
    public const int Float32 = 1;
}

/// <summary>An operation of an ONNX graph.</summary>
/// <param name="Operation">Its kind, such as MatMul.</param>
/// <param name="Inputs">Names of what it reads.</param>
/// <param name="Outputs">Names of what it makes.</param>
internal sealed record OnnxNode(string Operation, IReadOnlyList<string> Inputs, IReadOnlyList<string> Outputs);

/// <summary>
/// Operations and stored tensors of an ONNX file (https://github.com/onnx/onnx/blob/main/onnx/onnx.proto): as much of ModelProto, GraphProto,
/// NodeProto and TensorProto as finding a network's weights takes. Attributes of operations and graphs inside graphs are passed over.
/// </summary>
internal sealed class OnnxGraph
{
    private readonly Dictionary<string, OnnxTensor> _tensors = new(StringComparer.Ordinal);
    private readonly List<OnnxNode> _nodes = [];

    private OnnxGraph(string source) => Source = source;

    /// <summary>Where the graph comes from, for messages.</summary>
    public string Source { get; }

    /// <summary>Stored tensors by name.</summary>
    public IReadOnlyDictionary<string, OnnxTensor> Tensors => _tensors;

    /// <summary>Operations in the order in which they run.</summary>
    public IReadOnlyList<OnnxNode> Nodes => _nodes;

    /// <summary>Reads a model.</summary>
    /// <param name="model">The file's bytes; the tensors go on pointing into them.</param>
    /// <param name="source">Its name, for messages.</param>
    /// <exception cref="InvalidDataException">No ONNX model, or cut.</exception>
    public static OnnxGraph Read(ReadOnlyMemory<byte> model, string source)
    {
        var graph = new OnnxGraph(source);
        var fields = new ProtobufFields(model, source);
        while (fields.Next())
        {
            if (fields.Field == 7) graph.ReadGraph(fields.Message);
        }

        return graph._nodes.Count > 0 ? graph : throw new InvalidDataException($"{source} is no ONNX model: it has no graph.");
    }

    private void ReadGraph(ProtobufFields fields)
    {
        while (fields.Next())
        {
            if (fields.Field == 1) _nodes.Add(ReadNode(fields.Message));
            if (fields.Field != 5) continue;
            OnnxTensor tensor = ReadTensor(fields.Message);
            if (!_tensors.TryAdd(tensor.Name, tensor)) throw new InvalidDataException($"{Source} has two tensors '{tensor.Name}'.");
        }
    }

    private static OnnxNode ReadNode(ProtobufFields fields)
    {
        List<string> inputs = [], outputs = [];
        string operation = "";
        while (fields.Next())
        {
            if (fields.Field == 1) inputs.Add(fields.Text);
            if (fields.Field == 2) outputs.Add(fields.Text);
            if (fields.Field == 4) operation = fields.Text;
        }

        return new OnnxNode(operation, inputs, outputs);
    }

    private static OnnxTensor ReadTensor(ProtobufFields fields)
    {
        var shape = new List<long>();
        string name = "";
        int type = 0;
        ReadOnlyMemory<byte> data = default;
        while (fields.Next())
        {
            switch (fields.Field)
            {
                case 1:
                    shape.AddRange(fields.Numbers());
                    break;
                case 2:
                    type = (int)fields.Number;
                    break;
                // float_data is one run of packed float32, the same bytes that raw_data has.
                case 4 or 9:
                    data = fields.Bytes;
                    break;
                case 8:
                    name = fields.Text;
                    break;
            }
        }

        return new OnnxTensor(name, [.. shape], type, data);
    }
}
