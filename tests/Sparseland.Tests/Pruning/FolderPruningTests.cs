using Sparseland.IO;
using Sparseland.Models.Language;
using Sparseland.Models.Tokenizers;
using Sparseland.Pruning;
using Sparseland.Training;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Tests.Pruning;

public sealed class FolderPruningTests : IDisposable
{
    private readonly string _root = Directory.CreateTempSubdirectory("sparseland-prune-").FullName;
    private readonly LlamaConfig _small = new() { Vocabulary = 50, Width = 16, Layers = 3, Heads = 4, KeyValueHeads = 2, MlpWidth = 24, Context = 12 };

    public void Dispose() => Directory.Delete(_root, recursive: true);

    [Theory]
    [InlineData("wanda")]
    [InlineData("sparsegpt")]
    public void AFolderIsWhatPruningInMemoryGives(string kind)
    {
        using DisposeScope scope = NewDisposeScope();
        ILayerPruner method = kind == "wanda" ? new WandaPruner() : new SparseGptPruner();
        string source = Source(), target = Path.Combine(_root, "pruned");
        Tensor calibration = Ids(6, 10, 1), evaluation = Ids(4, 9, 2);
        using LanguageModel model = LanguageModelFolder.LoadModel(source);
        WindowedLoss dense = Losses(model, evaluation);
        using BlockwiseResult memory = BlockwisePruning.Run(model, calibration, method, PruningPattern.NofM(2, 4), new() { Batch = 4 });
        WindowedLoss sparse = Losses(model, evaluation);

        FolderPruningResult result = FolderPruning.Run(source, target, Options(method, calibration, evaluation));
        using LanguageModel read = LanguageModelFolder.LoadModel(target);
        foreach ((string name, var parameter) in model.named_parameters()) Assert.True(parameter.equal(read.get_parameter(name)!).all().item<bool>(), name);
        Assert.Equal(dense.Loss, result.Before!.Loss, 1e-6);
        Assert.Equal(sparse.Loss, result.After!.Loss, 1e-6);
        Assert.Equal(4, result.After.Losses.Count);
        Assert.Equal(21, result.ZerosSaved.Count);
        Assert.All(result.ZerosSaved.Values, zeros => Assert.InRange(zeros, 0.5, 0.51));
        using MaskSet masks = MaskSet.LoadFolder(target, read);
        Assert.Equal(memory.Masks.Active, masks.Overlap(memory.Masks).Both);
        Assert.True(File.Exists(Path.Combine(target, "tokenizer_config.json")));
        Assert.True(File.Exists(Path.Combine(target, FolderPruning.ReportName)));
        Assert.DoesNotContain(Directory.EnumerateFiles(target), f => Path.GetFileName(f).StartsWith("pruning-state", StringComparison.Ordinal));
    }

    [Fact]
    public void AStoppedCallGoesOnAndGivesTheSame()
    {
        using DisposeScope scope = NewDisposeScope();
        string source = Source(), whole = Path.Combine(_root, "whole"), parts = Path.Combine(_root, "parts");
        FolderPruningOptions options = Options(new WandaPruner(), Ids(6, 10, 1), Ids(4, 9, 2));
        FolderPruningResult expected = FolderPruning.Run(source, whole, options);
        for (int stop = 1; stop <= 2; stop++)
        {
            using var cancel = new CancellationTokenSource();
            int after = stop;
            var progress = new Immediate(p =>
            {
                if (p.Done == after) cancel.Cancel();
            });
            Assert.Throws<OperationCanceledException>(() => FolderPruning.Run(source, parts, options with { Resume = stop > 1 }, progress, cancel.Token));
            Assert.False(File.Exists(Path.Combine(parts, "config.json")));
        }

        // Without the word, and with other options, the state is not taken up.
        Assert.Throws<ArgumentException>(() => FolderPruning.Run(source, parts, options));
        Assert.Throws<InvalidDataException>(() => FolderPruning.Run(source, parts, options with { Resume = true, Pattern = PruningPattern.PerRow(0.3) }));
        FolderPruningResult result = FolderPruning.Run(source, parts, options with { Resume = true });
        Assert.Equal(expected.After!.Losses, result.After!.Losses);
        Assert.Equal(expected.Layers.Select(l => l.Kept), result.Layers.Select(l => l.Kept));
        foreach (string file in Directory.EnumerateFiles(whole, "*.safetensors", SearchOption.AllDirectories))
            Assert.Equal(File.ReadAllBytes(file), File.ReadAllBytes(Path.Combine(parts, Path.GetRelativePath(whole, file))));
    }

    [Fact]
    public void AStateIsNotTakenUpForAModelThatWasTrainedFurther()
    {
        using DisposeScope scope = NewDisposeScope();
        string source = Source(), target = Path.Combine(_root, "parts"), other = Path.Combine(_root, "further");
        FolderPruningOptions options = Options(new WandaPruner(), Ids(6, 10, 1), Ids(4, 9, 2));
        using var cancel = new CancellationTokenSource();
        Assert.False(FolderPruning.CanResume(target));
        Assert.Throws<OperationCanceledException>(() => FolderPruning.Run(source, target, options, new Immediate(_ => cancel.Cancel()), cancel.Token));
        Assert.True(FolderPruning.CanResume(target));

        // The same config, names and shapes; one number is another.
        Directory.CreateDirectory(other);
        foreach (string file in Directory.EnumerateFiles(source)) File.Copy(file, Path.Combine(other, Path.GetFileName(file)));
        string weights = Path.Combine(other, "model.safetensors");
        byte[] bytes = File.ReadAllBytes(weights);
        bytes[^3] ^= 1;
        File.WriteAllBytes(weights, bytes);
        Assert.Throws<InvalidDataException>(() => FolderPruning.Run(other, target, options with { Resume = true }));
        FolderPruning.Run(source, target, options with { Resume = true });
        Assert.False(FolderPruning.CanResume(target));
    }

    [Fact]
    public void HalfPrecisionStaysAndGpt2KeepsItsOrientation()
    {
        using DisposeScope scope = NewDisposeScope();
        string source = Path.Combine(_root, "gpt2");
        using (var model = new Gpt2(new Gpt2Config { Vocabulary = 50, Width = 16, Layers = 2, Heads = 4, Context = 12 }, 1)) LanguageModelFolder.SaveModel(source, model);
        string weights = Path.Combine(source, "model.safetensors");
        SafeTensors.Save(weights, SafeTensors.Load(weights).ToDictionary(t => t.Key, t => t.Value.to(ScalarType.BFloat16)));
        string target = Path.Combine(_root, "gpt2-pruned");
        FolderPruningResult result = FolderPruning.Run(source, target, Options(new SparseGptPruner(), Ids(6, 10, 1), Ids(4, 9, 2)));
        using LanguageModel read = LanguageModelFolder.LoadModel(target);
        using MaskSet masks = MaskSet.LoadFolder(target, read);
        foreach (string name in masks.Names) Assert.Equal(0, read.get_parameter(name)!.masked_select(masks[name].logical_not()).count_nonzero().item<long>());
        Assert.Equal(result.After!.Loss, Losses(read, Ids(4, 9, 2)).Loss, 1e-6);
        using SafeTensorsFile shard = SafeTensors.Open(Path.Combine(target, "model-00002-of-00003.safetensors"));
        SafeTensorInfo info = shard.Info(shard.Names.Single(n => n.EndsWith("h.0.attn.c_attn.weight", StringComparison.Ordinal)));
        Assert.Equal(SafeTensorType.BF16, info.Type);
        Assert.Equal([16L, 48], info.Shape);
    }

    [Fact]
    public void RefusesBeforeAnythingIsWritten()
    {
        using DisposeScope scope = NewDisposeScope();
        string source = Source(), target = Path.Combine(_root, "refused");
        Tensor calibration = Ids(6, 10, 1);
        Assert.Throws<ArgumentException>(() => FolderPruning.Run(source, source, Options(new WandaPruner(), calibration, null)));
        Assert.Throws<ArgumentException>(() => FolderPruning.Run(source, target, Options(new WandaPruner(), null, null)));
        Assert.Throws<ArgumentException>(() => FolderPruning.Run(source, target, Options(new WandaPruner(), Ids(2, 13, 1), null)));
        Assert.Throws<ArgumentException>(() => FolderPruning.Run(source, target, Options(new WandaPruner(), calibration, null) with { Pattern = PruningPattern.Global(0.5) }));
        Assert.Throws<DirectoryNotFoundException>(() => FolderPruning.Run(Path.Combine(_root, "nowhere"), target, Options(new MagnitudePruner(), null, null)));
        Assert.False(Directory.Exists(target));
        Directory.CreateDirectory(target);
        File.WriteAllText(Path.Combine(target, "mine.txt"), "");
        Assert.Throws<ArgumentException>(() => FolderPruning.Run(source, target, Options(new MagnitudePruner(), null, null)));
        Assert.Single(Directory.EnumerateFileSystemEntries(target));
    }

    private static FolderPruningOptions Options(ILayerPruner method, Tensor? calibration, Tensor? evaluation) => new()
    {
        Method = method, Pattern = PruningPattern.NofM(2, 4), Calibration = calibration, Evaluation = evaluation, Blockwise = new() { Batch = 4 },
    };

    private static Tensor Ids(long rows, long tokens, ulong seed) => randint(0, 50, [rows, tokens], dtype: ScalarType.Int64, generator: new Generator(seed));

    private static WindowedLoss Losses(LanguageModel model, Tensor windows)
    {
        using IDisposable off = no_grad();
        int length = (int)windows.shape[1] - 1;
        (double[] losses, double right) = WindowedLoss.OfLogits(model.Logits(windows.narrow(1, 0, length)), windows.narrow(1, 1, length));
        return new(losses, length, right / windows.numel());
    }

    private string Source()
    {
        string source = Path.Combine(_root, "source");
        using var model = new TinyLM(_small, 3);
        LanguageModelFolder.SaveModel(source, model);
        File.WriteAllText(Path.Combine(source, "tokenizer_config.json"), "{}");
        return source;
    }

    private sealed class Immediate(Action<ProgressReport> report) : IProgress<ProgressReport>
    {
        public void Report(ProgressReport value) => report(value);
    }
}
