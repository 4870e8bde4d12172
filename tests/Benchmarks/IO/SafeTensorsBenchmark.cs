using BenchmarkDotNet.Attributes;
using Sparseland.IO;
using TorchSharp;
using static TorchSharp.torch;

namespace Benchmarks.IO;

/// <summary>Reading and writing 64 MiB of float32 weights, cached by the system, against TorchSharp's own format.</summary>
public class SafeTensorsBenchmark : IQuickBenchmark
{
    private const int Rows = 4096, Columns = 4096;
    private string _folder = "";
    private Tensor _weights = null!;

    private string Safe => Path.Combine(_folder, "weights.safetensors");

    private string Own => Path.Combine(_folder, "weights.dat");

    /// <summary>Writes both files.</summary>
    [GlobalSetup]
    public void Setup()
    {
        _folder = Directory.CreateTempSubdirectory("sparseland-benchmark-").FullName;
        _weights = ones(Rows, Columns);
        Save();
        SaveOwn();
    }

    /// <summary>Removes them.</summary>
    [GlobalCleanup]
    public void Cleanup()
    {
        _weights.Dispose();
        Directory.Delete(_folder, recursive: true);
    }

    /// <summary>safetensors, read.</summary>
    [Benchmark]
    public void Load() => SafeTensors.Load(Safe)["weights"].Dispose();

    /// <summary>TorchSharp's format, read.</summary>
    [Benchmark(Baseline = true)]
    public void LoadOwn() => torch.load(Own).Dispose();

    /// <summary>safetensors, written.</summary>
    [Benchmark]
    public void Save() => SafeTensors.Save(Safe, new Dictionary<string, Tensor> { ["weights"] = _weights });

    /// <summary>TorchSharp's format, written (not forced to the disk, as ours is).</summary>
    [Benchmark]
    public void SaveOwn() => _weights.save(Own);

    /// <inheritdoc/>
    public IEnumerable<Comparison> Comparisons()
    {
        Setup();
        try
        {
            yield return new Comparison($"safetensors load [{Rows}, {Columns}]", Load, "TorchSharp load", LoadOwn);
            yield return new Comparison($"safetensors save [{Rows}, {Columns}]", Save, "TorchSharp save", SaveOwn);
        }
        finally
        {
            Cleanup();
        }
    }
}
