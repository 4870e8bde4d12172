using System.Text.Json.Nodes;
using Sparseland.Autoencoders;
using Sparseland.IO;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Tests.Autoencoders;

/// <summary>Activations from files that people have and from those written here: every row once, in order, and what is wrong named.</summary>
public sealed class ActivationFilesTests : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("sparseland-activations-").FullName;
    private readonly DisposeScope _scope = NewDisposeScope();
    private readonly Generator _generator = new(5);

    public void Dispose()
    {
        _scope.Dispose();
        Directory.Delete(_folder, recursive: true);
    }

    [Fact]
    public void Shards_are_one_list_whatever_their_lengths_and_types()
    {
        Tensor a = Draw(7, 4), b = Draw(3, 5, 4), c = Draw(1, 4);
        Save("acts-1.safetensors", "x", a);
        Save("acts-2.safetensors", "x", b.to(ScalarType.Float16));
        Save("acts-3.safetensors", "x", c.to(ScalarType.BFloat16));
        Tensor all = cat([a, b.to(ScalarType.Float16).to(ScalarType.Float32).view(15, 4), c.to(ScalarType.BFloat16).to(ScalarType.Float32)]);
        using (var files = ActivationFiles.Open(_folder, new() { TokensPerWindow = 5 }))
        {
            Assert.Equal((23L, 4, 5, 4, false), (files.Tokens, files.Windows, files.TokensPerWindow, files.Width, files.HasGradients));
            Tensor rows = files.Read([1, 3, 0, 1], default).Activations;
            Assert.True(rows.eq(cat([all.narrow(0, 5, 5), all.narrow(0, 15, 5), all.narrow(0, 0, 5), all.narrow(0, 5, 5)])).all().item<bool>());
            Assert.Throws<ArgumentOutOfRangeException>(() => files.Read([4], default));
            Assert.Throws<OperationCanceledException>(() => files.Read([0], new CancellationToken(canceled: true)));
        }

        using (var files = ActivationFiles.Open(_folder)) Assert.True(files.Read([0], default).Activations.eq(all).all().item<bool>());
        using (var one = ActivationFiles.Open(Path.Combine(_folder, "acts-1.safetensors"), new() { TokensPerWindow = 1 })) Assert.Equal(7, one.Windows);
    }

    [Theory]
    [InlineData(ScalarType.Float32)]
    [InlineData(ScalarType.Float16)]
    [InlineData(ScalarType.BFloat16)]
    public void What_is_written_comes_back_with_its_gradients(ScalarType type)
    {
        Tensor x = Draw(50, 6), g = Draw(50, 6);
        ActivationFiles.Write(new TensorActivations(x, g, "a test"), _folder, new() { TokensPerFile = 20, Type = type });
        Assert.Equal(["activations-00001.safetensors", "activations-00002.safetensors", "activations-00003.safetensors", "activations.json"], Directory.GetFiles(_folder).Select(Path.GetFileName).Order(StringComparer.Ordinal));
        using (var files = ActivationFiles.Open(_folder))
        {
            Assert.Equal((50, 1, true), (files.Windows, files.TokensPerWindow, files.HasGradients));
            Assert.Contains("a test [50, 6]; 50 tokens in 3 files", files.Description, StringComparison.Ordinal);
            ActivationRows rows = files.Read([.. Enumerable.Range(0, 50).Reverse()], default);
            Assert.True(rows.Activations.eq(x.to(type).to(ScalarType.Float32).flip(0)).all().item<bool>());
            Assert.True(rows.Gradients!.eq(g.to(type).to(ScalarType.Float32).flip(0)).all().item<bool>());
        }

        // A shorter set takes the place of the longer one.
        ActivationFiles.Write(new TensorActivations(x.narrow(0, 0, 10)), _folder);
        using (var files = ActivationFiles.Open(_folder)) Assert.Equal((10, false), (files.Windows, files.HasGradients));
    }

    [Fact]
    public void Training_from_files_is_training_from_the_source()
    {
        Tensor x = Draw(600, 6);
        ActivationFiles.Write(new TensorActivations(x), _folder, new() { TokensPerFile = 100 });
        using var files = ActivationFiles.Open(_folder);
        double[] Losses(IActivationSource source)
        {
            using var buffer = new ActivationBuffer(source, 10, new() { Capacity = 500, Repeat = true });
            using var trainer = new AutoencoderTrainer(new SparseAutoencoder(6, 12, new TopKRule(2)), buffer, new() { Steps = 8, WarmUp = 0 });
            return [.. trainer.Run().History.Select(step => step.Loss)];
        }

        Assert.Equal(Losses(new TensorActivations(x)), Losses(files));
    }

    [Fact]
    public void What_is_wrong_with_files_is_named()
    {
        Assert.Contains("nowhere", Assert.Throws<FileNotFoundException>(() => ActivationFiles.Open(Path.Combine(_folder, "nowhere"))).Message, StringComparison.Ordinal);
        Assert.Contains("no .safetensors file", Assert.Throws<FileNotFoundException>(() => ActivationFiles.Open(_folder)).Message, StringComparison.Ordinal);
        string a = Save("a.safetensors", "x", Draw(7, 4)), b = Save("b.safetensors", "x", Draw(7, 5));
        Refused<InvalidDataException>("b.safetensors': 'x' has width 5, but that of", null, "a.safetensors' 4");
        Refused<InvalidDataException>("has no tensor 'y'; it has x: F32 [7, 4]", new() { Tensor = "y" });
        Refused<InvalidDataException>("has no tensor 'g'", new() { Gradients = "g" });
        SafeTensors.Save(b, new Dictionary<string, Tensor> { ["x"] = Draw(7, 4), ["y"] = Draw(7, 4) });
        Refused<InvalidDataException>("not just one that could be meant", null);
        SafeTensors.Save(b, new Dictionary<string, Tensor> { ["x"] = Draw(7, 4), ["g"] = Draw(6, 4) });
        Assert.Contains("'g' is [6, 4], but 'x' [7, 4]", Assert.Throws<InvalidDataException>(() => ActivationFiles.Open(b, new() { Tensor = "x", Gradients = "g" })).Message, StringComparison.Ordinal);
        Save("b.safetensors", "x", zeros(7, 4, dtype: ScalarType.Int64));
        Refused<InvalidDataException>("x: I64 [7, 4]; activations are", new() { Tensor = "x" });
        Tensor bad = Draw(7, 4);
        bad[2, 3] = float.NaN;
        Save("b.safetensors", "x", bad);
        using (var files = ActivationFiles.Open(_folder, new() { TokensPerWindow = 7 }))
            Assert.Contains("b.safetensors': 'x' holds a value that is not finite, in row 2", Assert.Throws<InvalidDataException>(() => files.Read([1], default)).Message, StringComparison.Ordinal);
        Refused<ArgumentException>("A window of 15 rows is longer than the 14", new() { TokensPerWindow = 15 });
        byte[] whole = File.ReadAllBytes(a);
        File.WriteAllBytes(a, whole[..^5]);
        Refused<InvalidDataException>("a.safetensors", null);

        void Refused<T>(string text, ActivationFilesOptions? options, string more = "")
            where T : Exception
        {
            string said = Assert.ThrowsAny<T>(() => ActivationFiles.Open(_folder, options)).Message;
            Assert.Contains(text, said, StringComparison.Ordinal);
            Assert.Contains(more, said, StringComparison.Ordinal);
        }
    }

    [Fact]
    public void A_set_that_is_not_whole_is_refused()
    {
        Tensor x = Draw(50, 6);
        ActivationFiles.Write(new TensorActivations(x), _folder, new() { TokensPerFile = 20 });
        string second = Path.Combine(_folder, "activations-00002.safetensors"), manifest = Path.Combine(_folder, "activations.json"), text = File.ReadAllText(manifest);
        byte[] whole = File.ReadAllBytes(second);
        File.Delete(second);
        Assert.Contains("activations-00002.safetensors' is missing", Assert.Throws<FileNotFoundException>(() => ActivationFiles.Open(_folder)).Message, StringComparison.Ordinal);
        Save("activations-00002.safetensors", "activations", Draw(19, 6));
        Assert.Contains("has 19 rows of width 6, but the manifest says 20", Assert.Throws<InvalidDataException>(() => ActivationFiles.Open(_folder)).Message, StringComparison.Ordinal);
        File.WriteAllBytes(second, whole);
        JsonObject changed = JsonNode.Parse(text)!.AsObject();
        changed["format"] = "other";
        File.WriteAllText(manifest, changed.ToJsonString());
        Assert.Contains("format is 'other'", Assert.Throws<InvalidDataException>(() => ActivationFiles.Open(_folder)).Message, StringComparison.Ordinal);
        File.WriteAllText(manifest, text);
        using (var files = ActivationFiles.Open(_folder)) Assert.Equal(50, files.Windows);

        Assert.Contains("largest of Float16: token 0 of window 3", Assert.Throws<InvalidDataException>(() =>
        {
            x[3, 1] = 1e5f;
            ActivationFiles.Write(new TensorActivations(x), _folder, new() { Type = ScalarType.Float16 });
        }).Message, StringComparison.Ordinal);
        Assert.Contains("not whole", Assert.Throws<InvalidDataException>(() => ActivationFiles.Open(_folder)).Message, StringComparison.Ordinal);
        Assert.Throws<OperationCanceledException>(() => ActivationFiles.Write(new TensorActivations(x), _folder, cancel: new CancellationToken(canceled: true)));
        Assert.Throws<ArgumentException>(() => ActivationFiles.Write(new TensorActivations(x), _folder, new() { Type = ScalarType.Int64 }));
    }

    private Tensor Draw(params long[] shape) => randn(shape, generator: _generator);

    private string Save(string file, string name, Tensor tensor)
    {
        string path = Path.Combine(_folder, file);
        SafeTensors.Save(path, new Dictionary<string, Tensor> { [name] = tensor });
        return path;
    }
}
