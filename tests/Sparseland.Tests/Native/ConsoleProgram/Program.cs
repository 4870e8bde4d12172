using Sparseland.Models.Tokenizers;
using Sparseland.Native;
using TorchSharp;

switch (args[0])
{
    case "module": // a module before any static of torch
        using (var linear = torch.nn.Linear(3, 2))
        {
            Console.WriteLine(string.Join("x", linear.weight!.shape));
        }
        break;
    case "none": // no tensor: libtorch must not be in the process
        Console.WriteLine(File.ReadAllText("/proc/self/maps").Contains("libtorch", StringComparison.Ordinal) ? "loaded" : "not loaded");
        break;
    case "tokenizers": // which normalizers can be had here
        foreach (string normalizer in new[] { "NFC", "NFKD", "BertNormalizer", "Lowercase" })
        {
            string file = Path.GetTempFileName();
            File.WriteAllText(file, """{"normalizer":{"type":"NAME"},"model":{"type":"WordLevel","unk_token":"?","vocab":{"?":0}}}""".Replace("NAME", normalizer, StringComparison.Ordinal));
            try
            {
                TokenizerFile.Load(file);
                Console.WriteLine($"{normalizer} read");
            }
            catch (PlatformNotSupportedException error)
            {
                Console.WriteLine(error.Message);
            }

            File.Delete(file);
        }
        break;
    case "describe":
        NativeLibraryReport report = NativeLibraries.Describe();
        Console.WriteLine($"{report.Loads}|{report.CachePath}|{report.Reason}|{report.Remedy}");
        break;
}
