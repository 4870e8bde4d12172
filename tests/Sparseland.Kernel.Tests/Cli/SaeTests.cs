using System.Text.Json.Nodes;
using Sparseland.Autoencoders;
using Sparseland.Kernel.Autoencoders;
using Sparseland.Kernel.Commands;
using Sparseland.Kernel.Texts;
using Sparseland.Models.Language;
using Sparseland.Models.Tokenizers;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Kernel.Tests.Cli;

/// <summary>From a model's folder to an autoencoder's folder and to its figures, with tiny ones.</summary>
public sealed class SaeTests : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("sparseland-sae-").FullName;
    private readonly DisposeScope _scope = NewDisposeScope();

    public SaeTests()
    {
        string[] verbs = ["gets", "sets", "reads", "writes", "opens"], nouns = ["stream", "buffer", "value", "culture", "socket", "page", "file"];
        string[] texts = [.. Enumerable.Range(0, 300).Select(i => $"Kind {i} {verbs[i % 5]} the {nouns[i % 7]} and {verbs[i * 3 % 5]} the {nouns[i * i % 7]} {i % 13}.")];
        File.WriteAllLines(At("text.jsonl"), texts.Select(text => new JsonObject { ["text"] = text }.ToJsonString()));
        var tokenizer = new TextTokenizer(BpeTrainer.Train(texts, new() { Vocabulary = 300 }));
        using var model = new TinyLM(new LlamaConfig { Vocabulary = 300, Width = 16, Layers = 2, Heads = 2, KeyValueHeads = 1, MlpWidth = 24, Context = 16 });
        LanguageModelFolder.Save(At("model"), model, tokenizer);
    }

    public void Dispose()
    {
        _scope.Dispose();
        Directory.Delete(_folder, recursive: true);
    }

    [Fact]
    public async Task One_is_trained_and_measured_from_the_command_line()
    {
        var (code, text, error) = await Command.RunAsync(_folder, "sae", "train", "model", "--site", "layers.1", "--architecture", "batch-topk", "--latents", "64", "--k", "4.5", "--tokens", "3k", "--batch", "64", "--text", "text.jsonl", "--evaluate-tokens", "250", "--context", "8", "--skip-first", "1", "--threads", "1", "--out", "sae");
        Assert.True(code == 0, error);
        Assert.Contains("46 steps of 64 tokens", text, StringComparison.Ordinal);
        Assert.Contains("step 46 of 46: loss", text, StringComparison.Ordinal);
        Assert.Equal(["README.md", "cfg.json", "sae_weights.safetensors"], Files("sae"));
        string sheet = File.ReadAllText(At("sae", "README.md"));
        Assert.Contains("sae train model --site layers.1 --architecture batch-topk", sheet, StringComparison.Ordinal);
        Assert.Contains("batch-topk, k = 4.5", sheet, StringComparison.Ordinal);
        using SavedAutoencoder saved = AutoencoderFolder.Read(At("sae"));
        AutoencoderFigures figures = saved.Origin.Figures!;
        Assert.Equal(("model", new ActivationSite(1, Activation.ResidualAfter), 46 * 64, 252), (saved.Origin.Model, saved.Origin.Site!.Value, figures.Tokens, figures.HeldOutTokens));
        Assert.Equal((8, 1), (figures.Context, figures.SkipFirst));
        Assert.InRange(figures.Fvu!.Value, 0, 0.95);
        Assert.InRange(figures.L0!.Value, 2, 9);
        Assert.IsType<ThresholdRule>(saved.Autoencoder.Rule);

        Assert.Contains("no checkpoint to go on from", Assert.Throws<IOException>(() => TrainingRun.Run(Request("topk", "sae") with { Resume = true }, default)).Message, StringComparison.Ordinal);

        // Measured again on the same windows it has the same figures; how they were read is taken from the folder.
        (code, text, error) = await Command.RunAsync(_folder, "sae", "eval", "sae", "--model", "model", "--text", "text.jsonl", "--tokens", "250", "--json", "figures.json", "--threads", "1");
        Assert.True(code == 0, error);
        Assert.Contains("KL(clean || spliced)", text, StringComparison.Ordinal);
        JsonNode json = JsonNode.Parse(File.ReadAllText(At("figures.json")))!["figures"]!;
        Assert.Equal(figures.Fvu!.Value, (double)json["fvu"]!["value"]!, 1e-4);
        Assert.Equal(figures.L0!.Value, (double)json["l0"]!["value"]!, 1e-2);
        Assert.Equal(figures.CrossEntropyIncrease!.Value, (double)json["cross_entropy_increase"]!["value"]!, 1e-4);
        Assert.Equal("252 tokens in 36 windows", (string?)json["kl"]!["on"]);
        (code, _, error) = await Command.RunAsync(_folder, "sae", "eval", "sae", "--model", "model", "--site", "mlp_post.1");
        Assert.Equal(2, code);
        Assert.Contains("has width 16, but MlpHidden of block 1 of model has 24", error, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_stopped_training_goes_on_bit_for_bit()
    {
        // A signal is sent by kill, which Windows has not.
        if (OperatingSystem.IsWindows()) return;
        string[] command = ["sae", "train", "model", "--site", "resid_post.0", "--architecture", "mutual-choice", "--latents", "48", "--k", "3", "--steps", "1000", "--batch", "48", "--text", "text.jsonl", "--evaluate-tokens", "128", "--threads", "1"];
        string checkpoint = At("part", TrainingRun.CheckpointFile);
        var (stopped, message) = await Command.InterruptAsync(_folder, Path.Combine("part", TrainingRun.CheckpointFile), [.. command, "--checkpoint-every", "1", "--out", "part"]);
        Assert.True(stopped == Guard.Stopped, $"{stopped}: {message}");
        Assert.Contains("go on with --resume", message, StringComparison.Ordinal);
        Assert.False(File.Exists(At("part", "cfg.json")));

        TrainingRequest request = Request("mutual-choice", "part") with { Steps = 1000, Recipe = Recipe("mutual-choice") with { Latents = 48, K = 3, Batch = 48 }, HeldOutTokens = 128, CheckpointEvery = 1, Site = "resid_post.0" };
        Assert.Contains("--resume", Assert.Throws<IOException>(() => TrainingRun.Run(request, default)).Message, StringComparison.Ordinal);
        request = request with { Resume = true };
        Refused<InvalidDataException>("of another training", request with { Steps = 240 });
        Refused<InvalidDataException>("of another training", request with { Site = "resid_post.1" });
        Refused<InvalidDataException>("mutual-choice, k = 4", request with { Recipe = request.Recipe with { K = 4 } });
        Refused<InvalidDataException>("seed 1", request with { Recipe = request.Recipe with { Seed = 2 } });

        var (code, said, failure) = await Command.RunAsync(_folder, [.. command, "--out", "part", "--resume"]);
        Assert.True(code == 0, failure);
        Assert.Contains("goes on after step", said, StringComparison.Ordinal);
        Assert.False(File.Exists(checkpoint));
        (code, _, failure) = await Command.RunAsync(_folder, [.. command, "--out", "whole"]);
        Assert.True(code == 0, failure);
        foreach (string file in (string[])["sae_weights.safetensors", "cfg.json"]) Assert.Equal(File.ReadAllBytes(At("whole", file)), File.ReadAllBytes(At("part", file)));
    }

    [Fact]
    public void Every_architecture_is_trained_frozen_and_read_back()
    {
        foreach (string architecture in AutoencoderRecipe.Architectures)
        {
            Assert.Equal(Guard.Good, TrainingRun.Run(Request(architecture, architecture) with { MaxNormRatio = architecture == "gradient" ? 1.2 : null }, default));
            using SavedAutoencoder saved = AutoencoderFolder.Read(At(architecture));
            Assert.False(saved.Autoencoder.Rule.ChoosesAcrossBatch);
            Assert.True(saved.Origin.Figures!.Fvu < 1.2 && saved.Origin.Figures.L0 > 0, $"{architecture}: {saved.Origin.Figures}");
        }
    }

    [Fact]
    public void Outputs_of_heads_stand_side_by_side()
    {
        Assert.Equal(Guard.Good, TrainingRun.Run(Request("topk", "z") with { Site = "z.1" }, default));
        using SavedAutoencoder saved = AutoencoderFolder.Read(At("z"));
        Assert.Equal(("blocks.1.attn.hook_z", 16), (saved.Origin.Hook, saved.Autoencoder.Width));
        Assert.InRange(saved.Origin.Figures!.CrossEntropyIncrease!.Value, -0.5, 0.5);
    }

    [Fact]
    public void An_encoder_gives_tokens_or_texts()
    {
        string[] vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "kind", "gets", "sets", "reads", "writes", "opens", "the", "and", "stream", "buffer", "value", "page", "file", ".", .. Enumerable.Range(0, 13).Select(i => $"{i}")];
        using (var encoder = new BertEncoder(new() { Vocabulary = vocabulary.Length, Width = 16, MlpWidth = 24, Layers = 2, Heads = 2, Context = 24 }, vocabulary)) encoder.Save(At("bert"));
        TrainingRequest request = Request("topk", "tokens") with { Model = At("bert"), Site = "resid_post.0", Context = 32 };
        Assert.Equal(Guard.Good, TrainingRun.Run(request, default));
        using (SavedAutoencoder saved = AutoencoderFolder.Read(At("tokens")))
        {
            Assert.Null(saved.Origin.Figures!.CrossEntropyIncrease);
            Assert.InRange(saved.Origin.Figures.HeldOutTokens!.Value, 64, 256);
        }

        Assert.Equal(Guard.Good, TrainingRun.Run(request with { Folder = At("texts"), Pooled = true, HeldOutTokens = 10 }, default));
        using (SavedAutoencoder saved = AutoencoderFolder.Read(At("texts"))) Assert.Equal((10, true), (saved.Origin.Figures!.HeldOutTokens, saved.Origin.Figures.Pooled));
        Refused<ArgumentException>("gradient needs a loss", request with { Recipe = Recipe("gradient") });
        Refused<ArgumentException>("--skip-first is for decoders", request with { SkipFirst = 1 });
        Refused<ArgumentException>("--pooled is for text encoders", Request("topk", "m") with { Pooled = true });
    }

    [Fact]
    public void What_cannot_be_trained_is_refused_before_work()
    {
        TrainingRequest plain = Request("topk", "m");
        Refused<ArgumentException>("--site is 'resid.1'; places are named resid_post.1", plain with { Site = "resid.1" });
        Refused<ArgumentException>("model has blocks 0 to 1", plain with { Site = "resid_post.2" });
        Refused<ArgumentException>("known are relu, topk", plain with { Recipe = plain.Recipe with { Architecture = "crosscoder" } });
        Refused<ArgumentException>("not above the 64 latents", plain with { Recipe = plain.Recipe with { K = 65 } });
        Refused<ArgumentException>("whole number", plain with { Recipe = plain.Recipe with { K = 2.5 } });
        Refused<ArgumentException>("relu has none", plain with { Recipe = plain.Recipe with { Architecture = "relu" } });
        Refused<ArgumentException>("topk has none", plain with { Recipe = plain.Recipe with { Penalty = 1 } });
        Refused<ArgumentException>("would do", plain with { Recipe = plain.Recipe with { Architecture = "feature-choice", Batch = 8 } });
        Refused<FileNotFoundException>("tinylm for the model that is shipped, or arctic", plain with { Model = At("nowhere") });
        Refused<FileNotFoundException>("no file", plain with { Text = At("nowhere.txt") });
        File.WriteAllText(At("bad.jsonl"), "{\"text\": \"a\"}\n{\"body\": 1}\n");
        Refused<InvalidDataException>("line 2: there is no text", plain with { Text = At("bad.jsonl") });
        File.WriteAllText(At("one.txt"), "one line");
        Refused<InvalidDataException>("at least two", plain with { Text = At("one.txt") });
        Assert.False(File.Exists(At("m", "cfg.json")));
    }

    [Fact]
    public void A_line_with_a_key_that_stands_twice_is_refused_by_file_and_line()
    {
        string file = At("twice.jsonl");
        File.WriteAllText(file, "{\"text\": \"one\"}\n{\"text\": \"two\", \"text\": \"three\"}\n");
        Assert.Contains("twice.jsonl', line 2", Assert.Throws<InvalidDataException>(() => HostText.Load(file, null, default)).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void The_usual_mismatches_are_found_and_named()
    {
        using HostModel model = HostModel.Load(At("model"), default);
        using (no_grad())
        {
            // The first block says far more than the embeddings.
            foreach ((string name, TorchSharp.Modules.Parameter weights) in model.Decoder!.named_parameters().Where(p => p.name.Contains("layers.0.", StringComparison.Ordinal))) weights.mul_(8);
        }

        HostText text = HostText.Load(At("text.jsonl"), null, default);
        var reading = new Reading(new(0, Activation.ResidualBefore), null, 0, null, false);
        TokenText tokens = reading.Text(model, text, text.HeldOut, 256, default);
        double Norm(ActivationSite site) => new ModelActivations(model.Decoder, site, tokens).Read([0, 1, 2], default).Activations.norm(1).mean().item<float>();
        double after = Norm(new(1, Activation.ResidualBefore)), before = Norm(reading.Site);
        Assert.True(after > 20 * before);

        // The identity above a threshold that lies between the sizes before and after the first block.
        using var identity = new SparseAutoencoder(16, 32, new ThresholdRule(32, after / 40));
        using (no_grad())
        {
            foreach (var rows in (TorchSharp.Modules.Parameter[])[identity.Encoder, identity.Decoder]) rows.copy_(cat([eye(16), -eye(16)]));
        }

        IReadOnlyList<string> hints = MismatchHints.Of(identity, model, reading, tokens, 1, default);
        Assert.Contains(hints, hint => hint.Contains("give --site resid_pre.1", StringComparison.Ordinal));
        Assert.Contains(hints, hint => hint.Contains("--activation-scale", StringComparison.Ordinal));
        Assert.DoesNotContain(hints, hint => hint.Contains("centred:", StringComparison.Ordinal));
        Assert.Empty(MismatchHints.Of(identity, model, reading, tokens, 0.2, default));

        // Where the figure is bad, not hopeless, only what explains it is said.
        Assert.All(MismatchHints.Of(identity, model, reading, tokens, 0.6, default), hint => Assert.DoesNotContain("the usual reasons", hint, StringComparison.Ordinal));
    }

    [Theory]
    [InlineData("2000000", 2_000_000)]
    [InlineData("2_000_000", 2_000_000)]
    [InlineData("500k", 500_000)]
    [InlineData("1.5M", 1_500_000)]
    [InlineData("3B", 3_000_000_000)]
    public void Numbers_of_tokens_are_read_as_people_write_them(string text, long tokens) => Assert.Equal(tokens, TokenCount.Parse(text));

    [Theory]
    [InlineData("")]
    [InlineData("M")]
    [InlineData("-5")]
    [InlineData("0")]
    [InlineData("1.5")]
    [InlineData("2T")]
    [InlineData("1e6")]
    public void What_is_no_number_of_tokens_is_refused(string text) => Assert.Throws<FormatException>(() => TokenCount.Parse(text));

    [Fact]
    public void Paragraphs_of_a_plain_text_run_on_and_its_end_is_held_out()
    {
        File.WriteAllText(At("plain.txt"), string.Join("\r\n\r\n", Enumerable.Range(0, 40).Select(i => $"paragraph {i}\r\nsecond line")));
        HostText text = HostText.Load(At("plain.txt"), null, default);
        Assert.True(text.Running);
        Assert.Equal(["paragraph 38\nsecond line\n\n", "paragraph 39\nsecond line\n\n"], text.HeldOut);
        using HostModel model = HostModel.Load(At("model"), default);
        TokenText tokens = text.Tokens(text.HeldOut, model.Tokenizer!, 1000, default);
        Assert.Equal(string.Concat(text.HeldOut), model.Tokenizer!.Decode(tokens.Ids.ToArray()));
        Assert.Equal(7, text.Tokens(text.HeldOut, model.Tokenizer!, 7, default).Count);
    }

    private static AutoencoderRecipe Recipe(string architecture) => new AutoencoderRecipe { Architecture = architecture, Latents = 64, Batch = 64, LearningRate = 4e-3 } is var recipe && recipe.HasK ? recipe with { K = 4 } : recipe with { Penalty = 1 };

    private TrainingRequest Request(string architecture, string folder) => new()
    {
        Model = At("model"), Site = "resid_post.1", Recipe = Recipe(architecture), Folder = At(folder), Steps = 40, HeldOutTokens = 128, CheckpointEvery = 0, Command = "test", Text = At("text.jsonl"),
    };

    private static void Refused<T>(string text, TrainingRequest request)
        where T : Exception =>
        Assert.Contains(text, Assert.ThrowsAny<T>(() => TrainingRun.Run(request, default)).Message, StringComparison.Ordinal);

    private string At(params string[] names) => Path.Combine([_folder, .. names]);

    private string[] Files(string folder) => [.. Directory.GetFiles(At(folder)).Select(file => Path.GetFileName(file)).Order(StringComparer.Ordinal)];
}
