using Sparseland.LowRank;
using Sparseland.Models;
using Sparseland.Models.Language;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Tests.LowRank;

public class AccountTests
{
    // Width, MLP, layers, heads, r; then parameters in M and bytes in 10^9 as the papers print them: full, low rank, SLTrain with delta 0.03, GaLore.
    [Theory]
    [InlineData(512, 1376, 8, 128, 58.07, 0.348, 42.77, 0.257, 43.53, 0.267, 0.280)]
    [InlineData(768, 2048, 12, 256, 134.11, 0.805, 94.00, 0.564, 96.55, 0.600, 0.611)]
    [InlineData(1024, 2736, 24, 256, 367.97, 2.208, 185.22, 1.111, 194.29, 1.238, 1.389)]
    [InlineData(2048, 5461, 24, 512, 1339.08, 8.034, 609.31, 3.656, 645.55, 4.163, 4.763)]
    public void The_tables_of_the_papers(int width, int mlp, int layers, int rank, double full, double fullBytes, double low, double lowBytes, double sparse, double sparseBytes, double galore)
    {
        LlamaConfig config = new() { Vocabulary = 32_000, Width = width, MlpWidth = mlp, Layers = layers, Heads = 8, KeyValueHeads = 8, TiedEmbeddings = false };
        MemoryAccount dense = MemoryAccount.Of(config, MemoryGroup.Dense), thin = MemoryAccount.Of(config, (o, i) => MemoryGroup.LowRank(o, i, rank));
        MemoryAccount both = MemoryAccount.Of(config, (o, i) => MemoryGroup.LowRankSparse(o, i, rank, 0.03)), projected = MemoryAccount.Of(config, (o, i) => MemoryGroup.GaLore(o, i, rank));
        Assert.Equal(full, dense.Parameters / 1e6, 0.006);
        Assert.Equal(fullBytes, dense.Gigabytes, 0.0006);
        Assert.Equal(low, thin.Parameters / 1e6, 0.006);
        Assert.Equal(lowBytes, thin.Gigabytes, 0.0006);
        Assert.Equal(sparse, both.Parameters / 1e6, 0.006);
        Assert.Equal(sparseBytes, both.Gigabytes, 0.0006);
        Assert.Equal(galore, projected.Gigabytes, 0.0006);
        Assert.Equal(dense.Bytes, dense.ByKind.Sum(k => k.Bytes));
    }

    [Fact]
    public void Gradients_adapters_and_spectral_layers_are_counted_as_the_formulas_say()
    {
        NumberSizes kept = new(Gradient: 2);
        Assert.Equal(8 * 600, MemoryGroup.Dense(30, 20).Bytes(kept));
        Assert.Equal((2 * 600) + (6 * 4 * 50), MemoryGroup.Lora(30, 20, 4).Bytes(new()));
        Assert.Equal((2 * 600) + (6 * 4 * 50) + (2 * 4 * 50), MemoryGroup.Lora(30, 20, 4).Bytes(kept));
        Assert.Equal((2 * 20 * 51) + (4 * ((4 * 50) + 20)), MemoryGroup.Spectral(30, 20, 4).Bytes(new()));
        Assert.Equal(6 * ((4 * 50) + (3 * 30)) + (8 * 3), MemoryGroup.LowRankChannel(30, 20, 4, 3).Bytes(new()));
        Assert.Throws<ArgumentOutOfRangeException>(() => MemoryGroup.LowRank(30, 20, 21));
        Assert.Throws<ArgumentOutOfRangeException>(() => MemoryGroup.LowRankSparse(30, 20, 2, 1.5));
        Assert.Throws<ArgumentOutOfRangeException>(() => MemoryGroup.Dense(0, 20));
    }

    [Fact]
    public void The_account_has_the_parameters_of_the_model_that_it_is_of()
    {
        using var scope = NewDisposeScope();
        foreach (LlamaConfig config in new[]
        {
            PretrainingTrial.Config, PretrainingTrial.Config with { TiedEmbeddings = false, KeyValueHeads = 2, MlpBias = true },
            PretrainingTrial.Config with { Family = LlamaFamily.Qwen2, QueryKeyValueBias = true, HeadNorms = true, OutputNorms = true, OutputBias = true },
        })
        {
            using var model = new TinyLM(config);
            Assert.Equal(model.parameters().Sum(p => p.numel()), MemoryAccount.Of(config, MemoryGroup.Dense).Parameters);
        }
    }

    [Fact]
    public void Multiply_adds_by_formula_and_of_a_network()
    {
        using var scope = NewDisposeScope();
        Assert.Equal(600, FlopAccount.Dense(30, 20));
        Assert.Equal(200, FlopAccount.LowRank(30, 20, 4));
        Assert.Equal(800, FlopAccount.Lora(30, 20, 4));
        Assert.Equal(600 + 240, FlopAccount.FormedLowRankSparse(30, 20, 4, 10));
        Assert.Equal(218, FlopAccount.FactoredLowRankSparse(30, 20, 4, 18));
        Assert.Equal(200 + 90, FlopAccount.LowRankChannel(30, 20, 4, 3));
        Assert.Equal(600 + 1200, FlopAccount.FormedSpectral(30, 20, 10));
        using TinyLM model = PretrainingTrial.Start(1);
        Assert.Equal(221_184, FlopAccount.Of(model));
        LinearSlots.Replace(model, (name, l) => new LowRankLinear(l.weight!.shape[1], l.weight.shape[0], 12, 1));
        Assert.Equal(43_776, FlopAccount.Of(model));
    }
}
