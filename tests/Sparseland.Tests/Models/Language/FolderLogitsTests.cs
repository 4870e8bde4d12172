using Sparseland.Models.Language;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Tests.Models.Language;

/// <summary>Folders of all three architectures against reference_logits.py, which shares no line with the library.</summary>
public class FolderLogitsTests
{
    // Float64 there, float32 here: logits of a few units differ by rounding alone.
    private const double Tolerance = 2e-5;

    public static TheoryData<string, ScalarType, int> Folders
    {
        get
        {
            var data = new TheoryData<string, ScalarType, int>();
            foreach (string architecture in TinyModels.Architectures.Append("gpt_neox sequential"))
            {
                foreach (ScalarType type in new[] { ScalarType.Float32, ScalarType.Float16, ScalarType.BFloat16 })
                {
                    data.Add(architecture, type, 1);
                    data.Add(architecture, type, 3);
                }
            }

            return data;
        }
    }

    [Theory]
    [MemberData(nameof(Folders))]
    public void Logits_are_those_of_an_independent_implementation(string architecture, ScalarType type, int files)
    {
        using var scope = NewDisposeScope();
        using ModelFolder folder = ModelFolder.Of(architecture, parallel: architecture == TinyModels.NeoX);
        folder.Type = type;
        using LanguageModel model = LanguageModelFolder.LoadModel(folder.Write(files).Path);
        Assert.False(model.training);
        Assert.All(model.parameters(), p => Assert.Equal((ScalarType.Float32, DeviceType.CPU), (p.dtype, p.device_type)));
        double[] expected = Expected(architecture, type);
        Tensor ids = tensor(new long[] { 3, 1, 4, 1, 5, 9, 2, 6, 5, 28, 5, 8, 9, 7, 9, 0 }, [2, 8]);
        AssertRows(expected, model.Logits(ids));

        using KeyValueCache cache = model.NewCache(2);
        var parts = new List<Tensor> { model.Logits(ids.narrow(1, 0, 3), cache: cache) };
        for (int i = 3; i < 8; i++) parts.Add(model.Logits(ids.narrow(1, i, 1), cache: cache));
        AssertRows(expected, cat(parts, 1));

        // The road through a visible attention pattern.
        AssertRows(expected, model.Logits(ids, ActivationHook.Read(s => s.Activation == Activation.AttentionPattern, (_, _) => { })));
    }

    private static void AssertRows(double[] expected, Tensor logits)
    {
        Assert.Equal([2, 8, 29], logits.shape);
        double[] actual = [.. TinyModels.Numbers(logits[0, 7]), .. TinyModels.Numbers(logits[1, 4])];
        for (int i = 0; i < expected.Length; i++) Assert.Equal(expected[i], actual[i], Tolerance);
    }

    private static double[] Expected(string architecture, ScalarType type) => (architecture, type) switch
    {
        (TinyModels.Llama, ScalarType.Float32) => ReferenceLogits.LlamaFloat32,
        (TinyModels.Llama, ScalarType.Float16) => ReferenceLogits.LlamaFloat16,
        (TinyModels.Llama, _) => ReferenceLogits.LlamaBFloat16,
        (TinyModels.Gpt2, ScalarType.Float32) => ReferenceLogits.Gpt2Float32,
        (TinyModels.Gpt2, ScalarType.Float16) => ReferenceLogits.Gpt2Float16,
        (TinyModels.Gpt2, _) => ReferenceLogits.Gpt2BFloat16,
        (TinyModels.NeoX, ScalarType.Float32) => ReferenceLogits.NeoXFloat32,
        (TinyModels.NeoX, ScalarType.Float16) => ReferenceLogits.NeoXFloat16,
        (TinyModels.NeoX, _) => ReferenceLogits.NeoXBFloat16,
        (_, ScalarType.Float32) => ReferenceLogits.NeoXSequentialFloat32,
        (_, ScalarType.Float16) => ReferenceLogits.NeoXSequentialFloat16,
        _ => ReferenceLogits.NeoXSequentialBFloat16,
    };
}
