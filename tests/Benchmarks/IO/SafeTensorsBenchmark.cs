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
    public void Setup() => Setup(Path.GetTempPath());

    private void Setup(string place)
    {
        _folder = Path.Combine(place, $"sparseland-benchmark-{Environment.ProcessId}");
        Directory.CreateDirectory(_folder);
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

    /// <summary>TorchSharp's format, written and forced to the disk: what ours promises.</summary>
    public void SaveOwnForGood()
    {
        SaveOwn();
        using FileStream file = new(Own, FileMode.Open, FileAccess.ReadWrite);
        file.Flush(flushToDisk: true);
    }

    /// <inheritdoc/>
    public IEnumerable<Comparison> Comparisons()
    {
        Setup();
        try
        {
            yield return new Comparison($"safetensors load [{Rows}, {Columns}]", Load, "TorchSharp load", LoadOwn);
            yield return new Comparison($"safetensors save [{Rows}, {Columns}]", Save, "TorchSharp save, forced to the disk as ours is", SaveOwnForGood, 1);
            yield return new Comparison($"safetensors save [{Rows}, {Columns}]", Save, "TorchSharp save, left to the system", SaveOwn);
        }
        finally
        {
            Cleanup();
        }

        // Without a disk the format and its checksums are all that is measured.
        const string memory = "/dev/shm";
        if (!Directory.Exists(memory)) yield break;
        Setup(memory);
        try
        {
            yield return new Comparison($"safetensors save [{Rows}, {Columns}] to memory", Save, "TorchSharp save", SaveOwn, 1);
        }
        finally
        {
            Cleanup();
        }
    }
}
