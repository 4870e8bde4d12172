using System.Globalization;
using Sparseland.IO;
using Sparseland.Models.Language;
using TorchSharp;
using static TorchSharp.torch;

namespace Benchmarks.Models;

/// <summary>
/// A folder of about 500 MB into a model, against reading its file from beginning to end into one small buffer, which is as fast as the
/// disk goes. Cold: the file's pages are thrown out of memory first, where Python can do it. Warm: they are all in memory.
/// </summary>
public class ModelFolderBenchmark : IQuickBenchmark
{
    private long _managed;

    /// <inheritdoc/>
    public IEnumerable<Comparison> Comparisons()
    {
        string folder = Directory.CreateTempSubdirectory("sparseland-benchmark-").FullName;
        string file = Path.Combine(folder, "model.safetensors");
        using PythonPeer? python = PythonPeer.Start("import os; os.posix_fadvise");
        try
        {
            // 125 million parameters in float32.
            var config = new LlamaConfig { Vocabulary = 16_000, Width = 1024, MlpWidth = 4096, Layers = 6, Heads = 16, KeyValueHeads = 16, Context = 1024 };
            Write(folder, config);
            string size = string.Create(CultureInfo.InvariantCulture, $"{new FileInfo(file).Length / 1e6:F0} MB");
            string drop = $"f = os.open({System.Text.Json.JsonSerializer.Serialize(file)}, os.O_RDONLY); os.posix_fadvise(f, 0, 0, os.POSIX_FADV_DONTNEED); os.close(f)";
            if (python is not null)
            {
                yield return new($"model folder load, cold {size}", () => { python.Run(drop); Load(folder); }, "sequential read", () => { python.Run(drop); Read(file); }, 0.5, Note);
            }

            yield return new($"model folder load, warm {size}", () => Load(folder), "sequential read into one buffer", () => Read(file), 0, Note);
            yield return new($"model folder load, warm {size}", () => Load(folder), "File.ReadAllBytes", () => File.ReadAllBytes(file), 0, Note);
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }

    private static void Write(string folder, LlamaConfig config)
    {
        using var model = new TinyLM(config);
        SafeTensors.Save(Path.Combine(folder, "model.safetensors"), model.named_parameters().ToDictionary(p => p.name, p => (Tensor)p.parameter));
        File.WriteAllText(Path.Combine(folder, "config.json"), config.ToJson());
    }

    private static void Read(string file)
    {
        using var stream = new FileStream(file, FileMode.Open, FileAccess.Read, FileShare.Read, 0, FileOptions.SequentialScan);
        byte[] buffer = new byte[1 << 20];
        while (stream.Read(buffer) > 0)
        {
        }
    }

    private void Load(string folder)
    {
        long before = GC.GetAllocatedBytesForCurrentThread();
        LanguageModelFolder.LoadModel(folder).Dispose();
        _managed = GC.GetAllocatedBytesForCurrentThread() - before;
    }

    private string Note() => string.Create(CultureInfo.InvariantCulture, $"managed memory allocated by a load: {_managed / 1024.0:F0} KiB");
}
