using Sparseland.Attention;
using Sparseland.Attention.Caching;
using Sparseland.Autoencoders;
using Sparseland.Kernels;
using Sparseland.LowRank;
using Sparseland.Models;
using Sparseland.Models.Language;
using Sparseland.Native;
using Sparseland.Selection;
using Sparseland.Tests.Autoencoders;
using TorchSharp;
using TorchSharp.Modules;
using static Sparseland.Tests.Attention.AttentionInputs;
using static TorchSharp.torch;

namespace Sparseland.Tests.Rooms;

/// <summary>What many rounds leave behind. Alone, since the working set and the count of tensors are those of the whole process.</summary>
[Collection(nameof(ForgottenResultTests))]
public sealed class ResidentMemoryTests : FolderBed
{
    [Fact]
    public void Hundreds_of_caches_leave_no_memory_behind()
    {
        using var model = new TinyLM(new() { Vocabulary = 50, Width = 32, MlpWidth = 48, Layers = 2, Heads = 4, KeyValueHeads = 2, HeadWidth = 24, Context = 700 });
        using IDisposable off = no_grad();
        Tensor prompt = randint(0, 50, [1, 300], dtype: ScalarType.Int64), next = prompt[TensorIndex.Colon, ..1];
        CacheSelection some = new(2, 300, [[0, 5, 299], [7, 299]]);
        void Round()
        {
            using DisposeScope scope = NewDisposeScope();
            using KeyValueCache filled = model.NewCache();
            model.Logits(prompt, cache: filled, lastOnly: true).Dispose();
            using var evicted = SelectedKeyValueCache.Of(filled, [some, some]);
            using PrunedKeyValueCache packed = PrunedKeyValueCache.For(model, new() { Group = 64, Residual = 0 });
            model.Logits(prompt, cache: packed, lastOnly: true).Dispose();
            foreach (KeyValueCache cache in new[] { filled, evicted, packed }) model.Logits(next, cache: cache).Dispose();
        }

        for (int i = 0; i < 100; i++) Round();
        long before = Resident();
        for (int i = 0; i < 200; i++) Round();

        // The tensors of one cache of a round are 400 kB.
        Assert.True(Resident() - before < 60_000_000, $"{(Resident() - before) / 1e6:0} MB more");
    }

    [Fact]
    public void Hundreds_of_passes_leave_no_memory_behind()
    {
        (Tensor q, Tensor k, Tensor v) = Draw(5, 1, 4, 2, 256, 64);
        foreach (Tensor x in new[] { q, k, v }) x.requires_grad_(true);
        void Round()
        {
            using DisposeScope scope = NewDisposeScope();
            ExactAttention.Attend(q, k, v).Output.sum().backward();
            SparseAttention.Attend(q, k, v, AttentionSupport.Full(1, 256, 0)).Output.sum().backward();
            SparseAttention.Attend(q, k, v, [BlockSupport.Full(256, 0, 16)]).Output.sum().backward();
        }

        for (int i = 0; i < 20; i++) Round();
        long before = Resident();
        for (int i = 0; i < 170; i++) Round();

        // A pass makes about 1 MB of tensors; 510 of them left behind would show.
        Assert.True(Resident() - before < 120_000_000, $"{(Resident() - before) / 1e6:0} MB more");
    }

    [Fact]
    public void Memory_of_many_buffers_and_files_is_given_back()
    {
        ActivationFiles.Write(new TensorActivations(randn(4000, 128)), At("set"), new() { TokensPerFile = 1000 });
        long before = 0;
        for (int i = 0; i < 80; i++)
        {
            using var files = ActivationFiles.Open(At("set"));
            using var buffer = new ActivationBuffer(files, 50, new() { Capacity = 4000 });
            buffer.At(3).Input.Dispose();
            if (i == 20) before = Resident();
        }

        // Sixty times two megabytes that stayed would be above a hundred.
        Assert.InRange(Resident() - before, long.MinValue, 60L << 20);
    }

    [Fact]
    public void Decompositions_give_their_native_memory_back()
    {
        using var scope = NewDisposeScope();
        using Linear linear = nn.Linear(192, 256);
        using Tensor W = randn([256, 192], dtype: ScalarType.Float64, generator: new Generator(2));
        MonarchShape monarch = new(192, 256, 4, 4, 2);
        void Round()
        {
            using FactorPair pair = TruncatedSvd.Of(W, 4), random = RandomizedSvd.Of(W, 4, 1);
            using MonarchProjection nearest = Monarch.Project(W, monarch);
            using DenseSparseFactors factors = DenseSparse.Factorize(W, new(256, 192, 32, 8, 1), new() { Sweeps = 0 });
            using LowRankChannelLinear channels = new(linear, new());
            using LowRankSparseLinear sparse = new(192, 256, new() { Rank = 4 });
            using Tensor weight = sparse.EffectiveWeight();
        }

        for (int i = 0; i < 5; i++) Round();
        long before = Resident();
        for (int i = 0; i < 150; i++) Round();

        // A round takes some 10 MB: a tenth of them left behind would show.
        Assert.True(Resident() - before < 150_000_000, $"{(Resident() - before) / 1e6:0} MB more");
    }

    [Fact]
    public void Five_hundred_matrices_leave_no_tensors_behind()
    {
        using Tensor drawn = randn(20, 30, generator: new Generator(1)), kept = drawn * (drawn > 0.5f);
        (Support support, float[] values) = (Support.FromMask(kept != 0), [.. kept.data<float>().Where(v => v != 0)]);
        IEnumerable<SparseMatrix> Every(Tensor of) => [CsrMatrix.From(support, of), CscMatrix.From(support, of), SellMatrix.From(support, of), BitmapMatrix.From(support, of)];
        using Tensor X = randn(40, 30), B = randn(30, 20);
        using (var warm = NewDisposeScope())
        {
            foreach (SparseMatrix matrix in Every(tensor(values))) matrix.Multiply(X);
        }

        Resident();
        long before = Tensor.TotalCount;
        for (int i = 0; i < 100; i++)
        {
            using Tensor v = tensor(values);
            foreach (SparseMatrix matrix in Every(v))
            {
                matrix.Multiply(X).Dispose();
                matrix.Times(B).Dispose();
                matrix.ToDense().Dispose();
            }
        }

        // What earlier tests left to the collector may go meanwhile.
        Assert.InRange(Tensor.TotalCount - before, long.MinValue, 200);
    }

    private static long Resident()
    {
        // What is free but still the process's is no memory that was left behind.
        GC.Collect();
        GC.WaitForPendingFinalizers();
        GC.Collect(GC.MaxGeneration, GCCollectionMode.Aggressive, blocking: true, compacting: true);
        FreedMemory.GiveBack();
        return Environment.WorkingSet;
    }
}
