using Sparseland.FineTuning;
using Sparseland.Models;
using Sparseland.Models.Language;
using Sparseland.Selection;
using Sparseland.Training;
using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Sparseland.Tests.FineTuning;

public sealed class S2FTTests : IDisposable
{
    private readonly string _file = Path.Combine(Path.GetTempPath(), $"sparseland-{Guid.NewGuid():N}.safetensors");

    public void Dispose() => File.Delete(_file);

    private static StructureSelection Chosen(SlicedMatrix matrix, long seed = 1, double share = 0.25) => StructureSelection.Random(TuneData.Config, matrix, share, seed);

    private static SliceAdapter Trained(TinyLM model, params StructureSelection[] selections)
    {
        using S2FTModel tuned = S2FT.Attach(model, selections);
        using (var loop = new TrainingLoop(model, TuneData.Windows(), Losses.CrossEntropy(model), new() { Steps = 6, LearningRate = 0.01, WeightDecay = 0.1 })) loop.Run();
        return tuned.Adapter();
    }

    private static Dictionary<string, Tensor> Copy(TinyLM model) => model.named_parameters().ToDictionary(p => p.name, p => p.parameter.detach().clone());

    private static bool Same(TinyLM model, Dictionary<string, Tensor> copy) => model.named_parameters().All(p => TuneData.Same(p.parameter, copy[p.name]));

    [Fact]
    public void Nothing_outside_the_slices_changes_and_the_base_comes_back_bit_for_bit()
    {
        using var scope = NewDisposeScope();
        TinyLM model = TuneData.Decoder();
        Dictionary<string, Tensor> before = Copy(model);
        Tensor ids = TuneData.Ids(), logits = model.Logits(ids);
        StructureSelection[] all = [.. Enum.GetValues<SlicedMatrix>().Select(m => Chosen(m, share: 0.5))];
        using SliceAdapter adapter = Trained(model, all);
        Assert.True(Same(model, before));
        Assert.All(model.parameters(), p => Assert.True(p.requires_grad));
        Assert.Equal(all.Sum(s => s.ParametersIn(TuneData.Config)), adapter.ParameterCount);
        adapter.Apply(model);
        Assert.True(TuneData.Farthest(logits, model.Logits(ids)) > 0.1);
        foreach ((string name, Parameter parameter) in model.named_parameters())
        {
            using Tensor changed = parameter.ne(before[name]);
            SparseUpdate? update = adapter.Updates.FirstOrDefault(u => u.Parameter == name);
            if (update is not null) changed.index_fill_(update.Form == UpdateForm.Columns ? 1 : 0, tensor((long[])[.. update.Indices]), false);
            Assert.False(changed.any().item<bool>());
        }

        Assert.Throws<ArgumentException>(() => adapter.Apply(model));
        adapter.Remove(model);
        Assert.True(Same(model, before));
        Assert.Throws<ArgumentException>(() => adapter.Remove(model));
    }

    [Fact]
    public void A_merged_network_is_the_trained_one_once()
    {
        using var scope = NewDisposeScope();
        TinyLM model = TuneData.Decoder();
        S2FTModel tuned = S2FT.Attach(model, Chosen(SlicedMatrix.Down), Chosen(SlicedMatrix.Output));
        using (var loop = new TrainingLoop(model, TuneData.Windows(), Losses.CrossEntropy(model), new() { Steps = 4, LearningRate = 0.01 })) loop.Run();
        Assert.Equal(tuned.TrainableParameters, model.parameters().Where(p => p.requires_grad).Sum(p => p.numel()));
        Tensor ids = TuneData.Ids(), logits = model.Logits(ids);
        tuned.Merge();
        Assert.InRange(TuneData.Farthest(logits, model.Logits(ids)), 0, 1e-4);
        Assert.All(LinearSlots.Of(model), s => Assert.IsType<Linear>(s.Module));
        Assert.Throws<ObjectDisposedException>(tuned.Merge);
        Assert.Throws<ObjectDisposedException>(tuned.Adapter);
        tuned.Dispose();
    }

    [Fact]
    public void Adapters_fuse_in_either_order_and_stand_in_a_file()
    {
        using var scope = NewDisposeScope();
        TinyLM model = TuneData.Decoder();
        var first = new StructureSelection(SlicedMatrix.Down, new Support(2, 20, [0, 2, 4], [1, 5, 0, 9]));
        var second = new StructureSelection(SlicedMatrix.Down, new Support(2, 20, [0, 1, 3], [2, 4, 19]));
        using SliceAdapter one = Trained(model, first), two = Trained(model, second, Chosen(SlicedMatrix.Up)), overlapping = Trained(model, new StructureSelection(SlicedMatrix.Down, new Support(2, 20, [0, 1, 1], [5])));
        using SliceAdapter there = SliceAdapter.Fuse(one, two), back = SliceAdapter.Fuse(two, one);
        Assert.Equal(0, SliceAdapter.Overlap(one, two));
        Assert.Equal(1.0 / 4, SliceAdapter.Overlap(one, overlapping));
        there.Apply(model);
        Dictionary<string, Tensor> fused = Copy(model);
        there.Remove(model);
        back.Save(_file);
        using (SliceAdapter loaded = SliceAdapter.Load(_file))
        {
            loaded.Apply(model);
            Assert.True(Same(model, fused));
            Assert.Contains("hash", Assert.Throws<ArgumentException>(() => one.Apply(model)).Message, StringComparison.Ordinal);
            loaded.Remove(model);
        }

        // Where slices overlap values add.
        using SliceAdapter sum = SliceAdapter.Fuse(one, overlapping);
        SparseUpdate a = one.Updates[0], b = overlapping.Updates[0], both = sum.Updates[0];
        Assert.Equal([1L, 5L], both.Indices);
        Assert.True(TuneData.Same(both.Values[TensorIndex.Colon, 1], a.Values[TensorIndex.Colon, 1] + b.Values[TensorIndex.Colon, 0]));

        using TinyLM other = new(TuneData.Config, 9);
        Assert.Throws<ArgumentException>(() => one.Apply(other));
        using SliceAdapter foreign = Trained(other, first);
        Assert.Throws<ArgumentException>(() => SliceAdapter.Fuse(one, foreign));
    }

    [Theory]
    [InlineData(SlicedMatrix.Down)]
    [InlineData(SlicedMatrix.Up)]
    public void Two_adapters_in_one_batch_are_two_runs(SlicedMatrix matrix)
    {
        using var scope = NewDisposeScope();
        using IDisposable off = no_grad();
        TinyLM model = TuneData.Decoder();
        SliceAdapter[] adapters;
        using (enable_grad()) adapters = [Trained(model, Chosen(matrix, 1)), Trained(model, Chosen(matrix, 2, 0.4))];
        Tensor ids = TuneData.Ids();
        var alone = new List<Tensor>();
        foreach (SliceAdapter adapter in adapters)
        {
            adapter.Apply(model);
            alone.Add(model.Logits(ids));
            adapter.Remove(model);
        }

        Tensor plain = model.Logits(ids);
        using (ServedAdapters served = ServedAdapters.Attach(model, adapters))
        {
            served.Rows = [1, -1, 0];
            Tensor together = model.Logits(ids);
            Assert.InRange(TuneData.Farthest(together[0], alone[1][0]), 0, 1e-4);
            Assert.InRange(TuneData.Farthest(together[1], plain[1]), 0, 1e-4);
            Assert.InRange(TuneData.Farthest(together[2], alone[0][2]), 0, 1e-4);
            Assert.True(TuneData.Farthest(together[0], plain[0]) > 0.05);
            Assert.Throws<ArgumentException>(() => served.Rows = [2]);
            served.Rows = [0, 0];
            Assert.Throws<ArgumentException>(() => model.Logits(ids));
        }

        Assert.True(TuneData.Same(plain, model.Logits(ids)));
        foreach (SliceAdapter adapter in adapters) adapter.Dispose();
    }

    [Fact]
    public void Bad_selections_and_files_are_refused_and_leave_the_network()
    {
        using TinyLM model = TuneData.Decoder();
        Assert.Throws<ArgumentException>(() => S2FT.Attach(model));
        Assert.Throws<ArgumentException>(() => S2FT.Attach(model, Chosen(SlicedMatrix.Down), Chosen(SlicedMatrix.Down, 2)));
        Assert.Throws<ArgumentException>(() => S2FT.Attach(model, Chosen(SlicedMatrix.Up), StructureSelection.Random(TuneData.Config with { MlpWidth = 32 }, SlicedMatrix.Down, 0.5, 1)));
        Assert.All(LinearSlots.Of(model), s => Assert.IsType<Linear>(s.Module));
        Assert.All(model.parameters(), p => Assert.True(p.requires_grad));
        using (S2FT.Attach(model, Chosen(SlicedMatrix.Down, share: 1))) Assert.Throws<ArgumentException>(() => S2FT.Attach(model, Chosen(SlicedMatrix.Down, 2)));
        Sparseland.IO.SafeTensors.Save(_file, new Dictionary<string, Tensor> { ["a.values"] = zeros(2) });
        Assert.Throws<InvalidDataException>(() => SliceAdapter.Load(_file));
        Assert.Throws<InvalidDataException>(() => SparseAdapterFile.Load(_file));
        Sparseland.IO.SafeTensors.Save(_file, new Dictionary<string, Tensor> { ["a.values"] = zeros(2) }, new Dictionary<string, string> { ["sparseland.adapter"] = "1", ["method"] = "s2ft", ["meaning"] = "Added", ["a"] = "Rows 4x0x1 ab" });
        Assert.Throws<InvalidDataException>(() => SparseAdapterFile.Load(_file));
        Assert.Throws<ArgumentException>(() => new SparseUpdate("a", [4, 3], UpdateForm.Rows, [1, 1], zeros(2, 3), "ab"));
        Assert.Throws<ArgumentException>(() => new SparseUpdate("a", [4, 3], UpdateForm.Rows, [4], zeros(1, 3), "ab"));
        Assert.Throws<ArgumentException>(() => new SparseUpdate("a", [4, 3], UpdateForm.Columns, [2], zeros(1, 3), "ab"));
    }

    [Fact]
    public void A_report_compares_at_equal_target()
    {
        var report = new FineTuningReport("a", 3, [new(0, 6, 1), new(10, 4, 1.4), new(20, 3, 2)]);
        Assert.Equal(1.2, report.RetentionAt(5), 1e-12);
        Assert.Equal(1.7, report.RetentionAt(3.5), 1e-12);
        Assert.Equal(1, report.RetentionAt(7));
        Assert.True(double.IsNaN(report.RetentionAt(2.9)));
        Assert.Equal((3.0, 1.0), (report.Learned, report.Forgotten));
        double at = 0;
        var recorder = new FineTuningRecorder("b", 1, () => at, () => -at);
        TrainingHooks hooks = recorder.After(2, 4);
        for (int step = 1; step <= 4; step++)
        {
            at = step;
            hooks.OnStep!(null!, new(step, 0, 0, 0));
        }

        Assert.Equal([new(0, 0, 0), new(2, 2, -2), new(4, 4, -4)], recorder.Report.Points);
        Assert.Throws<ArgumentOutOfRangeException>(() => recorder.Measure(4));
    }
}
