using System.Text;
using System.Text.Json.Nodes;
using Sparseland.IO;
using Sparseland.Kernels;
using Sparseland.Models;
using Sparseland.Models.Language;
using Sparseland.Pruning;
using Sparseland.Training;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Tests.Pruning;

/// <summary>Folders as others made them: untied heads, halves, doubles, shards, byte-order marks, links, tensors beside the weights.</summary>
public sealed class FolderPruningTrialTests : IDisposable
{
    private const int Words = 50, Window = 9;
    private readonly string _root = Directory.CreateTempSubdirectory("sparseland-prune-trial-").FullName;
    private readonly DisposeScope _scope = NewDisposeScope();

    public void Dispose()
    {
        _scope.Dispose();
        Directory.Delete(_root, recursive: true);
    }

    public static TheoryData<string, SafeTensorType, int> Sources => new()
    {
        { "llama", SafeTensorType.F32, 1 }, { "llama", SafeTensorType.F16, 3 }, { "llama", SafeTensorType.F64, 1 }, { "llama-tied", SafeTensorType.BF16, 2 },
        { "mistral", SafeTensorType.BF16, 1 }, { "qwen2", SafeTensorType.F16, 1 }, { "qwen3", SafeTensorType.BF16, 2 }, { "gemma2", SafeTensorType.BF16, 1 },
        { "gpt2", SafeTensorType.F16, 2 }, { "gpt2-untied", SafeTensorType.F64, 1 }, { "neox", SafeTensorType.F16, 1 }, { "neox", SafeTensorType.F32, 2 },
    };

    [Theory]
    [MemberData(nameof(Sources))]
    public void What_is_kept_is_kept_bit_for_bit_and_what_is_said_is_so(string kind, SafeTensorType type, int shards)
    {
        string source = Source(kind, type, shards), target = At("pruned");
        Tensor evaluation = Ids(5, Window, 2);
        FolderPruningResult result = FolderPruning.Run(source, target, Options(new WandaPruner(), PruningPattern.NofM(2, 4), Ids(6, 10, 1), evaluation));

        Dictionary<string, (SafeTensorInfo Info, byte[] Bytes)> before = Stored(source), after = Stored(target);
        Assert.Equal(before.Keys.Order(StringComparer.Ordinal), after.Keys.Order(StringComparer.Ordinal));
        Assert.Equal(File.ReadAllBytes(Path.Combine(source, "config.json")), File.ReadAllBytes(Path.Combine(target, "config.json")));
        using LanguageModel dense = LanguageModelFolder.LoadModel(source), read = LanguageModelFolder.LoadModel(target);
        using MaskSet masks = MaskSet.LoadFolder(target, read);
        Assert.Equal(LinearSlots.Of(read).Select(s => $"{s.Name}.weight").Order(StringComparer.Ordinal), masks.Names.Order(StringComparer.Ordinal));
        Assert.Equal(masks.Names.Count, result.ZerosSaved.Count);
        foreach ((string name, (SafeTensorInfo info, byte[] bytes)) in before)
        {
            Assert.Equal(info.Type, after[name].Info.Type);
            Assert.Equal(info.Shape, after[name].Info.Shape);
            if (!result.ZerosSaved.TryGetValue(name, out double zeros))
            {
                Assert.True(bytes.AsSpan().SequenceEqual(after[name].Bytes), name);
                continue;
            }

            // Plain loops over the bytes, without the library's tensors.
            string parameter = masks.Names.Single(n => n.EndsWith(name, StringComparison.Ordinal));
            bool turned = kind.StartsWith("gpt2", StringComparison.Ordinal);
            bool[] mask = [.. (turned ? masks[parameter].t().contiguous() : masks[parameter]).data<bool>()];
            int size = bytes.Length / mask.Length, none = 0;
            for (int i = 0; i < mask.Length; i++)
            {
                Span<byte> now = after[name].Bytes.AsSpan(i * size, size);
                bool zero = !now.ContainsAnyExcept((byte)0) || (!now[..^1].ContainsAnyExcept((byte)0) && now[^1] == 0x80);
                none += zero ? 1 : 0;
                Assert.True(mask[i] ? now.SequenceEqual(bytes.AsSpan(i * size, size)) : zero, $"{name}[{i}]: {(mask[i] ? "kept" : "pruned")}");
            }

            Assert.Equal((double)none / mask.Length, zeros, 1e-12);

            // Two of each four inputs of an output.
            bool[] rows = [.. masks[parameter].data<bool>()];
            for (int i = 0; i < rows.Length; i += 4) Assert.Equal(2, rows[i..(i + 4)].Count(k => k));
        }

        (double[] Before, double[] After) losses = (Losses(dense, evaluation), Losses(read, evaluation));
        for (int i = 0; i < 5; i++)
        {
            Assert.Equal(losses.Before[i], result.Before!.Losses[i], 1e-5);
            Assert.Equal(losses.After[i], result.After!.Losses[i], 1e-5);
        }
    }

    [Theory]
    [InlineData("2:4")]
    [InlineData("4:8")]
    [InlineData("row 0")]
    [InlineData("row 0.3")]
    [InlineData("row 0.999")]
    [InlineData("layer 0.5")]
    [InlineData("layer 0.999")]
    public void Every_method_removes_what_the_pattern_says(string pattern)
    {
        string source = Source("llama", SafeTensorType.F32, 1);
        string[] parts = pattern.Split(' ');
        PruningPattern asked = parts.Length == 1 ? PruningPattern.Parse(pattern) : parts[0] == "row" ? PruningPattern.PerRow(double.Parse(parts[1], System.Globalization.CultureInfo.InvariantCulture)) : PruningPattern.PerLayer(double.Parse(parts[1], System.Globalization.CultureInfo.InvariantCulture));
        foreach (ILayerPruner method in new ILayerPruner[] { new MagnitudePruner(), new WandaPruner(), new SparseGptPruner(), new RandomPruner(3), new DSnoTPruner() })
        {
            string target = At(method.GetType().Name);
            FolderPruningResult result = FolderPruning.Run(source, target, Options(method, asked, method.Needs == InputKnowledge.None ? null : Ids(6, 10, 1), null));
            using LanguageModel read = LanguageModelFolder.LoadModel(target);
            using MaskSet masks = MaskSet.LoadFolder(target, read);
            foreach (PrunedLayer layer in result.Layers)
            {
                Tensor mask = masks[$"{layer.Name}.weight"];
                long rows = mask.shape[0], columns = mask.shape[1];
                long gone = parts.Length == 1 ? rows * columns / 2
                    : parts[0] == "row" ? rows * (long)Math.Floor((asked.Sparsity * columns) + 1e-6) : (long)Math.Floor((asked.Sparsity * rows * columns) + 1e-6);
                Assert.Equal(rows * columns - gone, layer.Kept);
                Assert.Equal(layer.Kept, mask.count_nonzero().item<long>());
                Assert.True(read.get_parameter($"{layer.Name}.weight")!.isfinite().all().item<bool>(), layer.Name);
            }
        }
    }

    [Theory]
    [InlineData("groups")]
    [InlineData("blocks")]
    [InlineData("rows")]
    public void Blocks_are_removed_whole_or_refused(string kind)
    {
        string source = Source("gpt2", SafeTensorType.F16, 1);
        (PruningPattern pattern, int down, int across) = kind switch
        {
            "groups" => (PruningPattern.Groups(4, 0.5), 1, 4),
            "blocks" => (PruningPattern.Blocks(2, 8, 0.25), 2, 8),
            _ => (PruningPattern.Rows(0.5), 1, 0),
        };
        foreach (ILayerPruner method in new ILayerPruner[] { new MagnitudePruner(), new WandaPruner(), new SparseGptPruner(), new RandomPruner(3), new DSnoTPruner() })
        {
            string target = At(method.GetType().Name);
            try
            {
                FolderPruning.Run(source, target, Options(method, pattern, method.Needs == InputKnowledge.None ? null : Ids(6, 10, 1), Ids(2, Window, 1)));
            }
            catch (ArgumentException error)
            {
                Assert.True(method is SparseGptPruner or DSnoTPruner, $"{method.Name}: {error.Message}");
                Assert.False(File.Exists(Path.Combine(target, "config.json")));
                continue;
            }

            using LanguageModel read = LanguageModelFolder.LoadModel(target);
            using MaskSet masks = MaskSet.LoadFolder(target, read);
            Assert.Equal(1 - pattern.Sparsity, masks.Density, 1e-9);
            foreach (string name in masks.Names)
            {
                Tensor mask = masks[name];
                long width = across == 0 ? mask.shape[1] : across;
                Tensor blocks = mask.to(ScalarType.Int64).view(mask.shape[0] / down, down, mask.shape[1] / width, width).sum([1L, 3L]);
                Assert.True(blocks.eq(0).logical_or(blocks.eq(down * width)).all().item<bool>(), name);
                Assert.Equal(0, read.get_parameter(name)!.masked_select(mask.logical_not()).count_nonzero().item<long>());
            }
        }
    }

    [Fact]
    public void Magnitude_per_layer_is_what_plain_loops_keep()
    {
        string source = Source("gpt2", SafeTensorType.F32, 1), target = At("pruned");
        FolderPruning.Run(source, target, Options(new MagnitudePruner(), PruningPattern.PerLayer(0.6), null, null));
        Dictionary<string, (SafeTensorInfo Info, byte[] Bytes)> before = Stored(source), after = Stored(target);
        foreach (string name in before.Keys.Where(n => n.Contains(".c_", StringComparison.Ordinal) && n.EndsWith(".weight", StringComparison.Ordinal)))
        {
            float[] was = Floats(before[name].Bytes), now = Floats(after[name].Bytes);
            int gone = (int)Math.Floor((0.6 * was.Length) + 1e-6);
            double limit = was.Select(w => Math.Abs((double)w)).Order().ElementAt(gone);
            for (int i = 0; i < was.Length; i++) Assert.Equal(Math.Abs((double)was[i]) >= limit ? was[i] : 0, now[i]);
        }
    }

    [Theory]
    [InlineData("llama")]
    [InlineData("neox")]
    public void A_stopped_call_goes_on_in_the_last_block_and_after_it(string kind)
    {
        string source = Source(kind, SafeTensorType.F16, 2), whole = At("whole"), parts = At("parts");
        FolderPruningOptions options = Options(new WandaPruner(), PruningPattern.PerRow(0.5), Ids(6, 10, 1), Ids(4, Window, 2));
        FolderPruning.Run(source, whole, options);
        for (int after = 1; after <= 2; after++)
        {
            using var cancel = new CancellationTokenSource();
            int last = after;
            Assert.Throws<OperationCanceledException>(() => FolderPruning.Run(source, parts, options with { Resume = last > 1 }, new Immediate(p =>
            {
                if (p.Done == last) cancel.Cancel();
            }), cancel.Token));
            Assert.False(File.Exists(Path.Combine(parts, "config.json")));
            Assert.True(FolderPruning.CanResume(parts));
        }

        FolderPruning.Run(source, parts, options with { Resume = true });
        string[] files = [.. Directory.EnumerateFiles(whole, "*", SearchOption.AllDirectories).Select(f => Path.GetRelativePath(whole, f)).Order(StringComparer.Ordinal)];
        Assert.Equal(files, Directory.EnumerateFiles(parts, "*", SearchOption.AllDirectories).Select(f => Path.GetRelativePath(parts, f)).Order(StringComparer.Ordinal));
        foreach (string file in files) Assert.Equal(File.ReadAllBytes(Path.Combine(whole, file)), File.ReadAllBytes(Path.Combine(parts, file)));
    }

    [Fact]
    public void Frequencies_masks_and_a_second_copy_of_tied_embeddings_go_through_as_they_are()
    {
        string source = Source("llama-tied", SafeTensorType.BF16, 1);
        Change(source, tensors =>
        {
            tensors["lm_head.weight"] = tensors["model.embed_tokens.weight"].clone();
            for (int l = 0; l < 2; l++) tensors[$"model.layers.{l}.self_attn.rotary_emb.inv_freq"] = rand(2);
        });
        string target = At("pruned");
        FolderPruning.Run(source, target, Options(new MagnitudePruner(), PruningPattern.PerRow(0.5), null, Ids(2, Window, 1)));
        Dictionary<string, (SafeTensorInfo Info, byte[] Bytes)> before = Stored(source), after = Stored(target);
        foreach (string name in before.Keys.Where(n => !n.Contains("_proj", StringComparison.Ordinal))) Assert.Equal(before[name].Bytes, after[name].Bytes);
        Assert.Equal(before.Count, after.Count);

        Change(source, tensors => tensors["model.value_head.weight"] = rand(2, 2));
        string refused = At("refused");
        InvalidDataException error = Assert.Throws<InvalidDataException>(() => FolderPruning.Run(source, refused, Options(new MagnitudePruner(), PruningPattern.PerRow(0.5), null, null)));
        Assert.Contains("model.value_head.weight", error.Message, StringComparison.Ordinal);
        Assert.False(Directory.Exists(refused));
    }

    [Fact]
    public void Marks_line_ends_and_links_of_a_cache_are_read()
    {
        string source = Source("llama", SafeTensorType.F16, 3), cache = At("cache"), blobs = At("blobs"), target = At("pruned");
        foreach (string json in Directory.EnumerateFiles(source, "*.json"))
            File.WriteAllText(json, File.ReadAllText(json).ReplaceLineEndings("\r\n"), new UTF8Encoding(encoderShouldEmitUTF8Identifier: true));
        Directory.CreateDirectory(cache);
        Directory.CreateDirectory(blobs);
        int n = 0;
        foreach (string file in Directory.EnumerateFiles(source))
        {
            string blob = Path.Combine(blobs, $"blob{n++}");
            File.Move(file, blob);
            File.CreateSymbolicLink(Path.Combine(cache, Path.GetFileName(file)), Path.GetRelativePath(cache, blob));
        }

        FolderPruning.Run(cache, target, Options(new WandaPruner(), PruningPattern.PerRow(0.5), Ids(6, 10, 1), Ids(4, Window, 2)));
        Assert.Null(new FileInfo(Path.Combine(target, "config.json")).LinkTarget);
        Assert.Equal(File.ReadAllBytes(Path.Combine(cache, "config.json")), File.ReadAllBytes(Path.Combine(target, "config.json")));
        Assert.Equal(n, Directory.EnumerateFiles(blobs).Count());
        using LanguageModel read = LanguageModelFolder.LoadModel(target);
    }

    [Fact]
    public void A_file_beside_the_weights_that_cannot_be_read_is_named_before_any_work()
    {
        string source = Source("llama-tied", SafeTensorType.F32, 1), target = At("pruned");
        File.CreateSymbolicLink(Path.Combine(source, "special_tokens_map.json"), At("gone"));
        int blocks = 0;
        IOException error = Assert.ThrowsAny<IOException>(() => FolderPruning.Run(source, target, Options(new MagnitudePruner(), PruningPattern.PerRow(0.5), null, null), new Immediate(_ => blocks++)));
        Assert.Contains("special_tokens_map.json", error.Message, StringComparison.Ordinal);
        Assert.Equal(0, blocks);
    }

    [Fact]
    public void An_index_of_other_weights_is_not_taken_along()
    {
        string source = Source("llama-tied", SafeTensorType.F32, 1), target = At("pruned");
        string[] foreign = ["pytorch_model.bin.index.json", "flax_model.msgpack.index.json", "tf_model.h5.index.json", "model.safetensors.index.fp32.json", "model.fp16.safetensors.index.json"];
        foreach (string name in foreign) File.WriteAllText(Path.Combine(source, name), "{}");
        File.WriteAllText(Path.Combine(source, "generation_config.json"), "{\"a\": 1}");
        FolderPruning.Run(source, target, Options(new MagnitudePruner(), PruningPattern.PerRow(0.5), null, null));
        Assert.True(File.Exists(Path.Combine(target, "generation_config.json")));
        Assert.All(foreign, name => Assert.False(File.Exists(Path.Combine(target, name)), name));
    }

    [Fact]
    public void Targets_that_cannot_be_are_refused()
    {
        string source = Source("llama-tied", SafeTensorType.F32, 1);
        FolderPruningOptions options = Options(new MagnitudePruner(), PruningPattern.PerRow(0.5), null, null);
        string file = At("file"), link = At("link");
        File.WriteAllText(file, "");
        Directory.CreateSymbolicLink(link, source);
        Dictionary<string, (SafeTensorInfo Info, byte[] Bytes)> before = Stored(source);
        Assert.ThrowsAny<IOException>(() => FolderPruning.Run(source, file, options));
        foreach (string same in new[] { source, source + "/", Path.Combine(source, "..", Path.GetFileName(source)), link, _root })
            Assert.ThrowsAny<ArgumentException>(() => FolderPruning.Run(source, same, options));
        Assert.Throws<ArgumentException>(() => FolderPruning.Run(source, "", options));

        // Inside the source is a folder of its own.
        string inside = Path.Combine(source, "pruned");
        FolderPruning.Run(source, inside, options);
        using LanguageModel read = LanguageModelFolder.LoadModel(inside);
        Assert.All(Stored(source), t => Assert.Equal(before[t.Key].Bytes, t.Value.Bytes));
    }

    [Fact]
    public void Compressed_layers_are_named_as_such()
    {
        string source = At("source"), target = At("pruned");
        using (LanguageModel model = Model("llama-tied"))
        {
            LinearSlots.Replace(model, (_, linear) => SparseLinear.Of(linear, W => CsrMatrix.FromDense(W * W.gt(0))));
            LanguageModelFolder.SaveModel(source, model);
        }

        InvalidDataException error = Assert.Throws<InvalidDataException>(() => FolderPruning.Run(source, target, Options(new MagnitudePruner(), PruningPattern.PerRow(0.5), null, null)));
        Assert.Contains("sparse_layers", error.Message, StringComparison.Ordinal);
        Assert.False(Directory.Exists(target));

        // The field without a layer says nothing.
        Directory.Delete(source, recursive: true);
        Source("llama-tied", SafeTensorType.F32, 1);
        string config = Path.Combine(source, "config.json");
        File.WriteAllText(config, string.Concat("{ \"sparse_layers\": {},", File.ReadAllText(config).AsSpan(1)));
        FolderPruning.Run(source, target, Options(new MagnitudePruner(), PruningPattern.PerRow(0.5), null, null));
    }

    [Theory]
    [InlineData("\"strange\": 1, \"strange\": 2")]
    [InlineData("\"hidden_size\": 32")]
    public void A_key_that_stands_twice_is_refused_with_the_files_name(string twice)
    {
        string source = Source("llama-tied", SafeTensorType.F32, 1), config = Path.Combine(source, "config.json");
        File.WriteAllText(config, string.Concat("{", twice, ",", File.ReadAllText(config).AsSpan(1)));
        Assert.Contains("config.json", Assert.Throws<InvalidDataException>(() => LanguageModelFolder.LoadModel(source)).Message, StringComparison.Ordinal);
        Assert.Contains("config.json", Assert.Throws<InvalidDataException>(() => FolderPruning.Run(source, At("pruned"), Options(new MagnitudePruner(), PruningPattern.PerRow(0.5), null, null))).Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("{\"weight_map\": {\"a\": \"nowhere.safetensors\"}}")]
    [InlineData("{\"weight_map\": {\"a\": \"../model.safetensors\"}}")]
    [InlineData("{\"weight_map\": {\"a\": 3}}")]
    [InlineData("{\"weight_map\": []}")]
    [InlineData("{\"weight_map\": {}}")]
    [InlineData("[]")]
    [InlineData("{}")]
    [InlineData("")]
    public void A_broken_index_is_refused_by_name(string json)
    {
        string source = Source("llama-tied", SafeTensorType.F32, 2);
        File.WriteAllText(Path.Combine(source, "model.safetensors.index.json"), json);
        Exception error = Assert.ThrowsAny<Exception>(() => LanguageModelFolder.LoadModel(source));
        Assert.True(error is InvalidDataException or IOException, $"{error.GetType()}: {error.Message}");
        Assert.Contains(Path.GetFileName(source), error.Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(double.NaN)]
    [InlineData(double.PositiveInfinity)]
    public void A_weight_that_is_not_finite_is_named_by_its_layer(double bad)
    {
        string source = Source("llama-tied", SafeTensorType.F16, 1);
        Change(source, tensors => tensors["model.layers.1.mlp.up_proj.weight"][3, 2] = (float)bad);
        foreach (ILayerPruner method in new ILayerPruner[] { new MagnitudePruner(), new WandaPruner(), new SparseGptPruner(), new DSnoTPruner() })
        {
            ArgumentException error = Assert.ThrowsAny<ArgumentException>(() => FolderPruning.Run(source, At(method.Name), Options(method, PruningPattern.PerRow(0.5), Ids(6, 10, 1), null)));

            // Where inputs are looked at, the first layer that sees the damage is named.
            Assert.Contains(method.Needs == InputKnowledge.None ? "layers.1.mlp.up_proj" : "layers.1.mlp.", error.Message, StringComparison.Ordinal);
        }
    }

    [Fact]
    public void An_update_past_the_range_of_the_files_type_is_refused_with_its_layer()
    {
        // Two inputs that are always the same: SparseGPT gives the one that stays the weights of both, 2 x 40,000, more than a float16 can be.
        string source = Source("llama-tied", SafeTensorType.F16, 1);
        Change(source, tensors =>
        {
            Tensor embeddings = tensors["model.embed_tokens.weight"], query = tensors["model.layers.0.self_attn.v_proj.weight"];
            embeddings.narrow(1, 1, 1).copy_(embeddings.narrow(1, 0, 1));
            query.narrow(1, 0, 2).fill_(40_000);
        });
        ArgumentException error = Assert.Throws<ArgumentException>(() => FolderPruning.Run(source, At("pruned"), Options(new SparseGptPruner(), PruningPattern.NofM(1, 2), Ids(6, 10, 1), null)));
        Assert.Contains("layers.0.self_attn.v_proj", error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_state_that_was_damaged_is_refused_by_name()
    {
        string source = Source("llama-tied", SafeTensorType.F32, 1), target = At("parts");
        FolderPruningOptions options = Options(new WandaPruner(), PruningPattern.PerRow(0.5), Ids(6, 10, 1), Ids(2, Window, 1));
        using (var cancel = new CancellationTokenSource())
            Assert.Throws<OperationCanceledException>(() => FolderPruning.Run(source, target, options, new Immediate(_ => cancel.Cancel()), cancel.Token));
        string state = Path.Combine(target, "pruning-state.safetensors");
        byte[] whole = File.ReadAllBytes(state);
        foreach (byte[] bad in new[] { whole[..^5], [], [.. whole[..^1], (byte)(whole[^1] ^ 1)], [.. whole, 0] })
        {
            File.WriteAllBytes(state, bad);
            Assert.Contains("pruning-state", Assert.Throws<InvalidDataException>(() => FolderPruning.Run(source, target, options with { Resume = true })).Message, StringComparison.Ordinal);
        }

        // A file of a block that is done, gone since.
        File.WriteAllBytes(state, whole);
        File.Delete(Path.Combine(target, "masks", "block-00000.safetensors"));
        Assert.Contains("block-00000", Assert.Throws<InvalidDataException>(() => FolderPruning.Run(source, target, options with { Resume = true })).Message, StringComparison.Ordinal);
    }

    private static FolderPruningOptions Options(ILayerPruner method, PruningPattern pattern, Tensor? calibration, Tensor? evaluation) => new()
    {
        Method = method, Pattern = pattern, Calibration = calibration, Evaluation = evaluation, Blockwise = new() { Batch = 4 },
    };

    private static Tensor Ids(long rows, long tokens, ulong seed) => randint(0, Words, [rows, tokens], dtype: ScalarType.Int64, generator: new Generator(seed));

    /// <summary>Mean of -log softmax of each token after the first, window by window, in doubles.</summary>
    private static double[] Losses(LanguageModel model, Tensor windows)
    {
        using IDisposable off = no_grad();
        int length = (int)windows.shape[1] - 1;
        double[] losses = new double[windows.shape[0]];
        for (int w = 0; w < losses.Length; w++)
        {
            float[] logits = [.. model.Logits(windows.narrow(0, w, 1).narrow(1, 0, length)).contiguous().data<float>()];
            long[] ids = [.. windows[w].contiguous().data<long>()];
            for (int t = 0; t < length; t++)
            {
                float[] row = logits[(t * Words)..((t + 1) * Words)];
                double most = row.Max(), sum = row.Sum(z => Math.Exp(z - most));
                losses[w] += (most + Math.Log(sum) - row[ids[t + 1]]) / length;
            }
        }

        return losses;
    }

    private static float[] Floats(byte[] bytes) => [.. Enumerable.Range(0, bytes.Length / 4).Select(i => BitConverter.ToSingle(bytes, 4 * i))];

    private static Dictionary<string, (SafeTensorInfo Info, byte[] Bytes)> Stored(string folder)
    {
        var all = new Dictionary<string, (SafeTensorInfo, byte[])>();
        foreach (string path in Directory.EnumerateFiles(folder, "*.safetensors"))
        {
            using SafeTensorsFile file = SafeTensors.Open(path);
            foreach (SafeTensorInfo info in file.Tensors) all.Add(info.Name, (info, file.ReadBytes(info.Name)));
        }

        return all;
    }

    private static LanguageModel Model(string kind)
    {
        var llama = new LlamaConfig { Vocabulary = Words, Width = 16, Layers = 2, Heads = 4, KeyValueHeads = 2, MlpWidth = 24, Context = 12, TiedEmbeddings = false };
        return kind switch
        {
            "llama" => new TinyLM(llama, 3),
            "llama-tied" => new TinyLM(llama with { TiedEmbeddings = true }, 3),
            "mistral" => new TinyLM(llama with { Family = LlamaFamily.Mistral }, 3),
            "qwen2" => new TinyLM(llama with { Family = LlamaFamily.Qwen2, QueryKeyValueBias = true }, 3),
            "qwen3" => new TinyLM(llama with { Family = LlamaFamily.Qwen3, HeadNorms = true, HeadWidth = 8 }, 3),
            "gemma2" => new TinyLM(llama with { Family = LlamaFamily.Gemma2, TiedEmbeddings = true, NormsAddOne = true, OutputNorms = true, ScaledEmbeddings = true, Activation = GateActivation.GeluTanh, QueryScalar = 4, AttentionCap = 50, LogitCap = 30 }, 3),
            "gpt2" => new Gpt2(new Gpt2Config { Vocabulary = Words, Width = 16, Layers = 2, Heads = 4, Context = 12 }, 3),
            "gpt2-untied" => new Gpt2(new Gpt2Config { Vocabulary = Words, Width = 16, Layers = 2, Heads = 4, Context = 12, TiedEmbeddings = false }, 3),
            _ => new GptNeoX(new GptNeoXConfig { Vocabulary = Words, Width = 16, MlpWidth = 24, Layers = 2, Heads = 4, Context = 12, RotaryPart = 0.5 }, 3),
        };
    }

    private static void Change(string folder, Action<Dictionary<string, Tensor>> change)
    {
        string path = Path.Combine(folder, "model.safetensors");
        Dictionary<string, Tensor> tensors = SafeTensors.Load(path);
        change(tensors);
        SafeTensors.Save(path, tensors);
    }

    private string At(string name) => Path.Combine(_root, name);

    /// <summary>A folder of an architecture, in a type, as one file or several with their index; the config has fields that nobody here knows.</summary>
    private string Source(string kind, SafeTensorType type, int shards)
    {
        string source = At("source");
        using (LanguageModel model = Model(kind)) LanguageModelFolder.SaveModel(source, model);
        string single = Path.Combine(source, "model.safetensors"), config = Path.Combine(source, "config.json");
        ScalarType wanted = type switch { SafeTensorType.F16 => ScalarType.Float16, SafeTensorType.BF16 => ScalarType.BFloat16, SafeTensorType.F64 => ScalarType.Float64, _ => ScalarType.Float32 };

        // Doubles that no float32 holds.
        Dictionary<string, Tensor> tensors = SafeTensors.Load(single).ToDictionary(t => t.Key, t => wanted == ScalarType.Float64 ? t.Value.to(wanted) * (1 + 1e-12) : t.Value.to(wanted));
        JsonObject fields = JsonNode.Parse(File.ReadAllText(config))!.AsObject();
        (fields["torch_dtype"], fields["strange_field"]) = (wanted.ToString().ToLowerInvariant(), new JsonObject { ["a"] = new JsonArray(1, null, "\u00e9") });
        File.WriteAllText(config, fields.ToJsonString());
        if (shards == 1)
        {
            SafeTensors.Save(single, tensors);
            return source;
        }

        File.Delete(single);
        var map = new JsonObject();
        string[] names = [.. tensors.Keys];
        for (int s = 0; s < shards; s++)
        {
            string file = $"model-{s + 1:00000}-of-{shards:00000}.safetensors";
            Dictionary<string, Tensor> some = names.Where((_, i) => i % shards == s).ToDictionary(n => n, n => tensors[n]);
            SafeTensors.Save(Path.Combine(source, file), some);
            foreach (string name in some.Keys) map[name] = file;
        }

        File.WriteAllText(Path.Combine(source, "model.safetensors.index.json"), new JsonObject { ["metadata"] = new JsonObject { ["total_size"] = 1 }, ["weight_map"] = map }.ToJsonString());
        return source;
    }

    private sealed class Immediate(Action<ProgressReport> report) : IProgress<ProgressReport>
    {
        public void Report(ProgressReport value) => report(value);
    }
}
