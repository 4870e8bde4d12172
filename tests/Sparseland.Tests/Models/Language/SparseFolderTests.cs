using Sparseland.IO;
using Sparseland.Kernels;
using Sparseland.Models;
using Sparseland.Models.Language;
using Sparseland.Selection;
using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Sparseland.Tests.Models.Language;

/// <summary>Folders of models with compressed layers.</summary>
public sealed class SparseFolderTests : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("sparse").FullName;
    private readonly TinyLM _model = new(new LlamaConfig { Vocabulary = 30, Width = 32, Layers = 1, Heads = 2, KeyValueHeads = 1, MlpWidth = 64, Context = 12, Family = LlamaFamily.Qwen2, QueryKeyValueBias = true }, seed: 2);
    private readonly IDisposable _off = no_grad();

    private string Weights => Path.Combine(_folder, "model.safetensors");

    private string Config => Path.Combine(_folder, "config.json");

    public void Dispose()
    {
        _off.Dispose();
        _model.Dispose();
        Directory.Delete(_folder, true);
    }

    [Fact]
    public void Every_format_is_written_and_read()
    {
        using var scope = NewDisposeScope();
        Save();
        using LanguageModel again = LanguageModelFolder.LoadModel(_folder);
        Tensor ids = arange(0, 10, dtype: ScalarType.Int64).unsqueeze(0);
        Assert.True(_model.Logits(ids).eq(again.Logits(ids)).all().item<bool>());
        string[] formats = [.. LinearSlots.Of(again).Select(slot => slot.Module is SparseLinear sparse ? sparse.Matrix.Format : "dense")];
        Assert.Equal(["csr", "bitmap", "nofm", "blocks", "gqsa", "dense", "csr"], formats);
        Assert.NotNull(((SparseLinear)LinearSlots.Of(again)[0].Module).Bias);
        foreach ((LinearSlot a, LinearSlot b) in LinearSlots.Of(_model).Zip(LinearSlots.Of(again)))
            Assert.True(DenseOf(a).eq(DenseOf(b)).all().item<bool>(), a.Name);

        // Dense again, it is a folder that anybody reads.
        LinearSlots.Merge(again, (_, layer) => ((SparseLinear)layer).ToLinear());
        LanguageModelFolder.SaveModel(_folder, again);
        using LanguageModel dense = LanguageModelFolder.LoadModel(_folder);
        Assert.All(LinearSlots.Of(dense), slot => Assert.IsType<Linear>(slot.Module));
        Assert.True((_model.Logits(ids) - dense.Logits(ids)).abs().max().item<float>() < 1e-4);
    }

    [Theory]
    [InlineData("\"csr\"", "\"coo\"", "coo")]
    [InlineData("\"rows\": 32", "\"rows\": 16", "q_proj")]
    [InlineData("\"bits\": 4", "\"bits\": 5", "values")]
    [InlineData("\"bits\": 4", "\"bats\": 4", "bits")]
    [InlineData("self_attn.q_proj", "self_attn.z_proj", "z_proj")]
    [InlineData("\"n\": 4", "\"n\": 5", "values")]
    [InlineData("\"n\": 4", "\"n\": 9", "n must be")]
    public void A_description_that_does_not_fit_is_named(string find, string replace, string says)
    {
        using var scope = NewDisposeScope();
        Save();
        string json = File.ReadAllText(Config);
        Assert.Contains(find, json, StringComparison.Ordinal);
        int at = json.IndexOf(find, StringComparison.Ordinal);
        File.WriteAllText(Config, json[..at] + replace + json[(at + find.Length)..]);
        Assert.Contains(says, Assert.Throws<InvalidDataException>(() => LanguageModelFolder.LoadModel(_folder)).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Arrays_that_contradict_each_other_are_named()
    {
        using var scope = NewDisposeScope();
        Save();
        string gqsa = LinearSlots.Of(_model)[4].Name, csr = LinearSlots.Of(_model)[0].Name;
        Broken($"{csr}.row_offsets", t => t.index_fill_(0, tensor(3L), 100_000), csr);
        Broken($"{csr}.column_indices", t => t.fill_(5), csr);
        Broken($"{gqsa}.group_index", t => t.flip(0), gqsa);
        Broken($"{gqsa}.values", t => t.narrow(0, 0, 8), $"{gqsa}.values");
        Broken($"{gqsa}.scale", t => t.mul(-1), gqsa);
        Broken($"{gqsa}.scale", t => t.to(ScalarType.Float32), "F16");
        Broken($"{gqsa}.zero", null, $"{gqsa}.zero");
        Broken($"{LinearSlots.Of(_model)[2].Name}.positions", t => t.fill_(0), "ascend");
    }

    [Fact]
    public void A_layer_is_for_inference_and_says_so()
    {
        using var scope = NewDisposeScope();
        using Linear linear = nn.Linear(8, 4);
        using SparseLinear sparse = SparseLinear.Of(linear, CsrMatrix.FromDense);
        Tensor x = randn(3, 8);
        Assert.True((sparse.call(x) - linear.call(x)).abs().max().item<float>() < 1e-5);
        Assert.Empty(sparse.parameters());
        using (enable_grad())
            Assert.Throws<InvalidOperationException>(() => sparse.call(x.alias().requires_grad_()));
        Assert.Throws<ArgumentException>(() => new SparseLinear(sparse.Matrix, ones(5)));
        Assert.Throws<ArgumentException>(() => sparse.call(ones(3, 7)));
    }

    private static Tensor DenseOf(LinearSlot slot) => slot.Module is SparseLinear sparse ? sparse.Matrix.ToDense() : ((Linear)slot.Module).weight;

    private void Broken(string name, Func<Tensor, Tensor>? change, string says)
    {
        Dictionary<string, Tensor> tensors = SafeTensors.Load(Weights);
        Dictionary<string, Tensor> changed = tensors.ToDictionary(t => t.Key, t => t.Key == name && change is not null ? change(t.Value.clone()) : t.Value);
        if (change is null) changed.Remove(name);
        SafeTensors.Save(Weights, changed);
        Assert.Contains(says, Assert.Throws<InvalidDataException>(() => LanguageModelFolder.LoadModel(_folder)).Message, StringComparison.Ordinal);
        SafeTensors.Save(Weights, tensors);
    }

    private void Save()
    {
        int n = 0;
        LinearSlots.Replace(_model, (_, linear) =>
        {
            using var scope = NewDisposeScope();
            Tensor W = linear.weight.detach();
            SparseMatrix? matrix = n++ switch
            {
                1 => BitmapMatrix.FromDense(W * W.gt(0)),
                2 => NofMMatrix.FromDense(W * Select.TopK(W.abs(), Budget.NofM(4, 8)).ToMask(), 4, 8),
                3 => BlockMatrix.FromDense(W * W[0].gt(0), 4, 1),
                4 => GroupSparseQuantMatrix.From(W, Support.FromMask(rand([W.shape[0], W.shape[1] / 16]).lt(0.7))),
                5 => null,
                _ => CsrMatrix.FromDense(W * W.lt(0.01)),
            };
            return matrix is null ? null : new SparseLinear(matrix, linear.bias);
        });
        LanguageModelFolder.SaveModel(_folder, _model);
    }
}
