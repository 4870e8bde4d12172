using System.Runtime.InteropServices;
using Sparseland.IO;
using Sparseland.Models.Language;
using Sparseland.Tests.IO;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Tests.Models.Language;

/// <summary>Small ONNX files with the weights of a small encoder, as PyTorch writes them.</summary>
public class OnnxBertTests
{
    [Fact]
    public void Weights_are_found_by_name_and_matrices_through_the_graph()
    {
        using var scope = NewDisposeScope();
        using BertEncoder model = TinyBert.New(1), other = TinyBert.New(2);
        OnnxBert.Fill(other, OnnxGraph.Read(new File(model).Bytes, "small"), null, default);
        foreach ((string name, var parameter) in model.named_parameters()) Assert.Equal(TinyModels.Numbers(parameter), TinyModels.Numbers(other.get_parameter(name)!));
    }

    [Fact]
    public void Every_way_of_writing_numbers_is_read()
    {
        Protobuf tensor = new Protobuf().Run(1, [2, 3]).Number(2, 1).Text(8, "x").Run(4, MemoryMarshal.AsBytes<float>([1, 2, 3, 4, 5, 6]));
        Protobuf graph = new Protobuf().Message(1, new Protobuf().Text(4, "Relu").Text(1, "x").Text(2, "y").FourBytes(99, 1)).Message(5, tensor);
        OnnxGraph read = OnnxGraph.Read(new Protobuf().Number(1, -1).Message(7, graph).Bytes, "small");
        Assert.Equal([2L, 3L], read.Tensors["x"].Shape);
        Assert.Equal([1f, 2, 3, 4, 5, 6], MemoryMarshal.Cast<byte, float>(read.Tensors["x"].Data.Span).ToArray());
        Assert.Equal(["x"], Assert.Single(read.Nodes).Inputs);
    }

    public static TheoryData<string, string> Others => new()
    {
        { "no matrix", "neither a tensor 'encoder.layer.1.intermediate.dense.weight' nor a MatMul" },
        { "fused", "Its operations are Add, Attention" },
        { "other shape", "'encoder.layer.0.output.dense.weight' is [16, 23], not [16, 24]" },
        { "whole numbers", "'embeddings.LayerNorm.weight' has the element type 7" },
        { "no values", "'embeddings.LayerNorm.bias' has 0 bytes" },
        { "one more", "tensor 'encoder.layer.2.output.dense.bias' [16]" },
    };

    [Theory]
    [MemberData(nameof(Others))]
    public void Another_model_is_refused_with_the_reason_and_nothing_is_changed(string kind, string reason)
    {
        using var scope = NewDisposeScope();
        using BertEncoder model = TinyBert.New(1), target = TinyBert.New(2);
        Tensor before = target.Hidden(TinyBert.Ids());
        OnnxGraph graph = OnnxGraph.Read(new File(model, kind).Bytes, "small");
        InvalidDataException error = Assert.Throws<InvalidDataException>(() => OnnxBert.Fill(target, graph, null, default));
        Assert.Contains(reason, error.Message, StringComparison.Ordinal);
        Assert.StartsWith("small is not the encoder", error.Message, StringComparison.Ordinal);
        Assert.Equal(TinyModels.Numbers(before), TinyModels.Numbers(target.Hidden(TinyBert.Ids())));
    }

    /// <summary>A file that is cut anywhere, or is none, is refused; nothing else is thrown.</summary>
    [Fact]
    public void A_damaged_file_is_refused()
    {
        using BertEncoder model = TinyBert.New();
        byte[] whole = new File(model).Bytes;
        for (int length = 0; length < whole.Length; length += 37)
            Assert.Throws<InvalidDataException>(() => OnnxGraph.Read(whole.AsMemory(0, length), "small"));
        Assert.Throws<InvalidDataException>(() => OnnxGraph.Read("no model at all"u8.ToArray(), "small"));
        Assert.Throws<InvalidDataException>(() => OnnxGraph.Read(new Protobuf().Message(7, new Protobuf().Number(0, 1)).Bytes, "small"));
        Protobuf twice = new Protobuf().Message(5, new Protobuf().Text(8, "x")).Message(5, new Protobuf().Text(8, "x"));
        Assert.Contains("two tensors 'x'", Assert.Throws<InvalidDataException>(() => OnnxGraph.Read(new Protobuf().Message(7, twice).Bytes, "small")).Message, StringComparison.Ordinal);
    }

    private sealed class File
    {
        private readonly Protobuf _graph = new();
        private int _matrices;

        public File(BertEncoder model, string kind = "")
        {
            foreach ((string name, var parameter) in model.named_parameters())
            {
                if (name.EndsWith("weight", StringComparison.Ordinal) && parameter.dim() == 2 && !name.StartsWith("embeddings", StringComparison.Ordinal)) Matrix(name, parameter, kind);
                else Add(name, parameter.shape, Values(parameter), kind == "whole numbers" && name == "embeddings.LayerNorm.weight" ? 7 : 1, kind == "no values" && name == "embeddings.LayerNorm.bias");
            }

            if (kind == "one more") Add("encoder.layer.2.output.dense.bias", [16], new float[16]);
        }

        public byte[] Bytes => new Protobuf().Number(1, 6).Text(2, "pytorch").Message(7, _graph).Message(8, new Protobuf().Number(2, 11)).Bytes;

        private void Matrix(string name, Tensor weight, string kind)
        {
            string matrix = $"onnx::MatMul_{++_matrices}", product = $"product{_matrices}", bias = name.Replace(".weight", ".bias", StringComparison.Ordinal);
            bool first = _matrices % 2 == 0, wrong = kind == "other shape" && name == "encoder.layer.0.output.dense.weight";
            long[] shape = [weight.shape[1] - (wrong ? 1 : 0), weight.shape[0]];
            Add(matrix, shape, Values(weight.t().contiguous())[..(int)(shape[0] * shape[1])]);
            if (kind == "no matrix" && name == "encoder.layer.1.intermediate.dense.weight") return;
            Node(kind == "fused" ? "Attention" : "MatMul", ["x", matrix], product);
            Node("Add", first ? [bias, product] : [product, bias], $"sum{_matrices}");
        }

        private void Node(string operation, string[] inputs, string output)
        {
            var node = new Protobuf();
            foreach (string input in inputs) node.Text(1, input);
            _graph.Message(1, node.Text(2, output).Text(3, operation + output).Text(4, operation));
        }

        private void Add(string name, long[] shape, float[] values, int type = 1, bool elsewhere = false)
        {
            var tensor = new Protobuf();
            foreach (long size in shape) tensor.Number(1, size);
            tensor.Number(2, type).Text(8, name);
            _graph.Message(5, elsewhere ? tensor.Number(14, 1) : tensor.Run(9, MemoryMarshal.AsBytes<float>(values)));
        }

        private static float[] Values(Tensor x)
        {
            using Tensor detached = x.detach();
            return detached.data<float>().ToArray();
        }
    }
}
