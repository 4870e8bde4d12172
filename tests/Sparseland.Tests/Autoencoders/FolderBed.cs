using Sparseland.IO;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Tests.Autoencoders;

/// <summary>A temporary folder for folders of autoencoders, and a scope for the tensors of a test.</summary>
public abstract class FolderBed : IDisposable
{
    private readonly DisposeScope _scope = NewDisposeScope();

    protected string Folder { get; } = Directory.CreateTempSubdirectory("sparseland-sae-").FullName;

    public void Dispose()
    {
        _scope.Dispose();
        Directory.Delete(Folder, recursive: true);
        GC.SuppressFinalize(this);
    }

    protected string At(string name) => Path.Combine(Folder, name);

    /// <summary>A folder of SAELens by hand.</summary>
    protected string Write(string name, Dictionary<string, Tensor> tensors, string config)
    {
        Directory.CreateDirectory(At(name));
        SafeTensors.Save(Path.Combine(At(name), "sae_weights.safetensors"), tensors);
        File.WriteAllText(Path.Combine(At(name), "cfg.json"), config);
        return At(name);
    }

    protected static void Close(Tensor expected, Tensor actual)
    {
        Assert.Equal(expected.shape, actual.shape);
        Assert.InRange((expected - actual).abs().max().item<float>(), 0, 1e-4f * (1 + expected.abs().max().item<float>()));
    }
}
