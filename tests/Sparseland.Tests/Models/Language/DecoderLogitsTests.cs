using Sparseland.Models.Language;
using TorchSharp;
using Xunit.Abstractions;
using static TorchSharp.torch;

namespace Sparseland.Tests.Models.Language;

/// <summary>Llama with its options, Mistral, Qwen2, Qwen3 and Gemma 2 against reference_decoders.py, which shares no line with the library.</summary>
public class DecoderLogitsTests(ITestOutputHelper output)
{
    // Float64 there, float32 here: logits of a few units differ by rounding alone.
    private const double Tolerance = 1e-5;

    public static TheoryData<string> Cases => [.. ReferenceDecoders.All.Keys];

    [Theory]
    [MemberData(nameof(Cases))]
    public void Logits_are_those_of_an_independent_implementation(string name)
    {
        using var scope = NewDisposeScope();
        ReferenceDecoder reference = ReferenceDecoders.All[name];
        using ModelFolder folder = ModelFolder.Of(reference);
        using LanguageModel model = LanguageModelFolder.LoadModel(folder.Write(2).Path);
        Tensor ids = Ids;
        output.WriteLine($"{name}: largest difference {Check(reference, model.Logits(ids)):E1}");
        Check(reference, model.Logits(ids, ActivationHook.Read(s => s.Activation == Activation.AttentionPattern, (_, _) => { })));
        using KeyValueCache whole = model.NewCache(2), dealt = model.NewCache(2);
        Check(reference, model.Logits(ids, cache: whole));

        // Dynamic scaling turns each key for the length at which it came, as transformers do: beyond the trained length its pieces differ.
        if (name == "llama, dynamic") return;
        var parts = new List<Tensor> { model.Logits(ids.narrow(1, 0, 3), cache: dealt), model.Logits(ids.narrow(1, 3, 2), cache: dealt) };
        for (int i = 5; i < 8; i++) parts.Add(model.Logits(ids.narrow(1, i, 1), cache: dealt));
        Check(reference, cat(parts, 1));
    }

    [Theory]
    [MemberData(nameof(Cases))]
    public void A_saved_folder_loads_again_bit_for_bit(string name)
    {
        using var scope = NewDisposeScope();
        using ModelFolder folder = ModelFolder.Of(ReferenceDecoders.All[name]);
        using var first = (TinyLM)LanguageModelFolder.LoadModel(folder.Write().Path);
        LanguageModelFolder.SaveModel(folder.File("again"), first);
        using var second = (TinyLM)LanguageModelFolder.LoadModel(folder.File("again"));
        Assert.Equal(first.Config, second.Config);
        Assert.Equal(0, TinyModels.Largest(first.Logits(Ids), second.Logits(Ids)));
        string type = folder.Config["model_type"]!.ToString(), json = File.ReadAllText(folder.File("again/config.json"));
        Assert.Contains($"\"model_type\": \"{type}\"", json, StringComparison.Ordinal);
        Assert.Contains($"{type}ForCausalLM", json, StringComparison.OrdinalIgnoreCase);
    }

    private static Tensor Ids => tensor(new long[] { 3, 1, 4, 1, 5, 9, 2, 6, 5, 28, 5, 8, 9, 7, 9, 0 }, [2, 8]);

    private static double Check(ReferenceDecoder reference, Tensor logits)
    {
        Assert.Equal([2, 8, 29], logits.shape);
        double[] actual = [.. TinyModels.Numbers(logits[0, 7]), .. TinyModels.Numbers(logits[1, 4])];
        double largest = actual.Zip(reference.Logits, (a, b) => Math.Abs(a - b)).Max();
        Assert.True(largest <= Tolerance, $"Logits differ by {largest}.");
        return largest;
    }
}
