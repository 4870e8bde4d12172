using Sparseland.AssociativeMemory;
using Sparseland.IO;
using Sparseland.Tests.IO;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Tests.AssociativeMemory;

public class MacrocolumnFileTests
{
    private static readonly MacOptions Rich = new()
    {
        Inputs = 70, Q = 7, K = 11, TopDownCells = 9, MinActive = 2, MaxActive = 30, Normalizer = InputNormalizer.Static, Exponents = new(1, 0.5, 2),
        G0 = 0.1, Gamma = 1.5, Chi = 33, Sigmoid = new GeneralizedSigmoid(2, 20, 0.4, 1.5), FreezeFraction = 0.5, Noise = LearningNoise.Familiarity,
        Permanence = new() { Window = 4, Growth = 2, Levels = 2 }, Backoff = new() { Full = 0.7, Pair = 0.3 }, Hypotheses = new() { Cap = 4 }, Seed = -77,
    };

    [Fact]
    public void A_loaded_memory_goes_on_as_the_saved_one()
    {
        using var folder = new TemporaryFolder();
        string path = folder.File("mac.safetensors");
        int[][] items = BinaryPatterns.GradedFamilies(70, 10, 4, 10, 1);
        var mac = new Macrocolumn(Rich);
        var readout = new LabelReadout(77, 11, 3, 0.5);
        int[]? previous = null;
        for (int i = 0; i < 20; i++)
        {
            previous = mac.Store(new MacInput(items[i], previous, [i % 9])).Winners;
            readout.Learn(previous, i % 3);
        }

        MacrocolumnFile.Save(path, mac, readout);
        (Macrocolumn loaded, LabelReadout? labels) = MacrocolumnFile.Load(path);
        Assert.Equal(mac.Options, loaded.Options);
        Assert.Equal(readout.Scores(previous!), labels!.Scores(previous!));
        int[]? left = previous, right = previous;
        for (int i = 20; i < 40; i++)
        {
            left = mac.Store(new MacInput(items[i], left, [i % 9])).Winners;
            right = loaded.Store(new MacInput(items[i], right, [i % 9])).Winners;
            Assert.Equal(left, right);
        }

        Assert.Equal(mac.Steps, loaded.Steps);
        foreach ((Projection a, Projection b) in new[] { (mac.BottomUp, loaded.BottomUp), (mac.Horizontal!, loaded.Horizontal!), (mac.TopDown!, loaded.TopDown!), (mac.Generative, loaded.Generative) })
        {
            Assert.Equal(a.Weights.ColumnCounts(), b.Weights.ColumnCounts());
            Assert.Equal(Enumerable.Range(0, a.Cells).Select(a.Increased), Enumerable.Range(0, b.Cells).Select(b.Increased));
            Assert.InRange(b.Density, 0.01, 1);
        }
    }

    [Fact]
    public void A_plain_memory_needs_no_labels()
    {
        using var folder = new TemporaryFolder();
        string path = folder.File("mac.safetensors");
        var mac = new Macrocolumn(new() { Inputs = 30, Q = 3, K = 4 });
        int[] code = mac.Store(new[] { 1, 2, 3 }).Winners;
        MacrocolumnFile.Save(path, mac);
        (Macrocolumn loaded, LabelReadout? labels) = MacrocolumnFile.Load(path);
        Assert.Null(labels);
        Assert.Null(loaded.Horizontal);
        Assert.Equal(code, loaded.Recall(new[] { 1, 2, 3 }).Winners);
        Assert.Throws<ArgumentException>(() => MacrocolumnFile.Save(path, mac, new LabelReadout(12, 3, 2)));
    }

    [Fact]
    public void A_damaged_file_says_what_is_wrong()
    {
        using var folder = new TemporaryFolder();
        string path = folder.File("mac.safetensors");
        MacrocolumnFile.Save(path, new Macrocolumn(new() { Inputs = 5, Q = 3, K = 4 }));
        using var scope = NewDisposeScope();
        Dictionary<string, Tensor> tensors = SafeTensors.Load(path);
        Dictionary<string, string> notes;
        using (SafeTensorsFile file = SafeTensors.Open(path)) notes = new(file.Metadata);

        void Says(string what, Action<Dictionary<string, Tensor>, Dictionary<string, string>> damage)
        {
            Dictionary<string, Tensor> t = new(tensors);
            Dictionary<string, string> n = new(notes);
            damage(t, n);
            string bad = folder.File("bad.safetensors");
            SafeTensors.Save(bad, t, n);
            string message = Assert.Throws<InvalidDataException>(() => MacrocolumnFile.Load(bad)).Message;
            Assert.Contains(what, message, StringComparison.Ordinal);
            Assert.Contains("bad.safetensors", message, StringComparison.Ordinal);
        }

        Says("format", (_, n) => n.Remove("format"));
        Says("options", (_, n) => n.Remove("options"));
        Says("options", (_, n) => n["options"] = "{");
        Says("options", (_, n) => n["options"] = "null");
        Says("G0", (_, n) => n["options"] = n["options"].Replace("\"G0\":0.2", "\"G0\":2", StringComparison.Ordinal));
        Says("steps", (_, n) => n["steps"] = "-1");
        Says("u.weights", (t, _) => t.Remove("u.weights"));
        Says("[5, 1]", (t, _) => t["u.weights"] = zeros([4, 1], ScalarType.Int64));
        Says("Int64", (t, _) => t["u.weights"] = zeros([5, 1], ScalarType.Int32));
        Says("beyond column 12", (t, _) => t["u.weights"] = full([5, 1], 1 << 12, ScalarType.Int64));
        Says("readout.classes", (_, n) => n["readout"] = "0.1");
    }
}
