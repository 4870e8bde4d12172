using System.Runtime.InteropServices;
using Sparseland.IO;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Models.Language;

/// <summary>
/// Weights of a BERT in an ONNX file that PyTorch wrote. Embeddings, norms and biases have their Hugging Face names in it; a matrix of a linear
/// layer stands as the second factor of a MatMul, turned and without its name, and belongs to the bias that the next Add adds.
/// </summary>
internal static class OnnxBert
{
    /// <summary>Puts every weight of the graph into the encoder. All are found and checked before the first is copied.</summary>
    /// <exception cref="InvalidDataException">The graph is of another model; the message says what does not fit.</exception>
    public static void Fill(BertEncoder encoder, OnnxGraph graph, IProgress<ProgressReport>? progress, CancellationToken cancel)
    {
        Dictionary<string, OnnxNode> makers = graph.Nodes.SelectMany(node => node.Outputs.Select(output => (output, node))).ToDictionary(p => p.output, p => p.node, StringComparer.Ordinal);
        var plan = encoder.named_parameters().Select(p => (p.name, p.parameter, Source: Find(graph, makers, p.name, p.parameter.shape))).ToArray();
        HashSet<string> used = [.. plan.Select(p => p.Source.Tensor.Name)];
        if (graph.Tensors.Values.FirstOrDefault(t => t.Shape.Length > 0 && t.DataType == OnnxTensor.Float32 && !used.Contains(t.Name)) is { } left)
            throw Misfit(graph, $"it holds a tensor '{left.Name}' [{string.Join(", ", left.Shape)}] that such an encoder does not have");
        long done = 0, total = plan.Sum(p => (long)p.Source.Tensor.Data.Length);
        using IDisposable off = no_grad();
        foreach ((string name, var parameter, (OnnxTensor source, bool turned)) in plan)
        {
            cancel.ThrowIfCancellationRequested();
            using var scope = NewDisposeScope();
            Tensor read = tensor(MemoryMarshal.Cast<byte, float>(source.Data.Span).ToArray(), source.Shape);
            parameter.copy_(turned ? read.t() : read);
            progress?.Report(new(done += source.Data.Length, total, name));
        }
    }

    private static (OnnxTensor Tensor, bool Turned) Find(OnnxGraph graph, Dictionary<string, OnnxNode> makers, string name, long[] shape)
    {
        bool turned = false;
        if (!graph.Tensors.TryGetValue(name, out OnnxTensor? tensor))
        {
            string bias = name[..(name.LastIndexOf('.') + 1)] + "bias";
            OnnxNode? product = graph.Nodes.Where(node => node.Operation == "Add" && node.Inputs.Contains(bias))
                .SelectMany(node => node.Inputs).Select(makers.GetValueOrDefault).FirstOrDefault(node => node?.Operation == "MatMul");
            tensor = product?.Inputs.Select(graph.Tensors.GetValueOrDefault).FirstOrDefault(t => t is not null)
                ?? throw Misfit(graph, $"it has neither a tensor '{name}' nor a MatMul before the Add of '{bias}'");
            turned = true;
        }

        long[] found = turned ? [.. tensor.Shape.Reverse()] : tensor.Shape;
        if (!found.SequenceEqual(shape)) throw Misfit(graph, $"its '{name}' is [{string.Join(", ", found)}], not [{string.Join(", ", shape)}]");
        if (tensor.DataType != OnnxTensor.Float32) throw Misfit(graph, $"its '{name}' has the element type {tensor.DataType}, not float32 ({OnnxTensor.Float32})");
        if (tensor.Data.Length != 4 * shape.Aggregate(1L, (a, b) => a * b)) throw Misfit(graph, $"its '{name}' has {tensor.Data.Length} bytes for [{string.Join(", ", shape)}]; the values may stand in another file");
        return (tensor, turned);
    }

    private static InvalidDataException Misfit(OnnxGraph graph, string reason) => new(
        $"{graph.Source} is not the encoder that was asked for: {reason}. Its operations are {string.Join(", ", graph.Nodes.Select(node => node.Operation).Distinct().Order(StringComparer.Ordinal))}.");
}
