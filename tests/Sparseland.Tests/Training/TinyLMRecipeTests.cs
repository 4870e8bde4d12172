using Sparseland.Data.Documentation;
using Sparseland.IO;
using Sparseland.Models.Language;
using Sparseland.Models.Tokenizers;
using Sparseland.Training;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Tests.Training;

public class TinyLMRecipeTests
{
    private static readonly TinyLMRecipeOptions Tiny = new()
    {
        Config = new() { Vocabulary = 300, Width = 16, MlpWidth = 32, Layers = 1, Heads = 2, KeyValueHeads = 1, Context = 16 },
        Corpus = new() { HeldOut = 0.2 }, Batch = 4, EvaluationTokens = 64, CurveLines = 3, SampleTokens = 8,
        Training = new() { Steps = 30, LearningRate = 0.01, WarmUp = 3, EvaluateEvery = 10 },
    };

    [Fact]
    public void The_whole_recipe_gives_a_folder_and_a_sheet_that_says_how_good_the_model_is()
    {
        using var scope = NewDisposeScope();
        string folder = Path.Combine(Directory.CreateTempSubdirectory("sparseland-recipe-").FullName, "new");
        TinyLMText text = TinyLMRecipe.Prepare(Members(), Tiny);
        Assert.Equal(300, text.Tokenizer.Vocabulary);
        using var model = new TinyLM(Tiny.Config);
        using TrainingLoop loop = TinyLMRecipe.Loop(model, text, Tiny);
        TrainingResult result = loop.Run();
        Assert.Equal([10, 20, 30], result.History.Where(s => s.Evaluation is not null).Select(s => s.Step));
        Assert.True(result.LastEvaluation < result.History[9].Evaluation);

        TinyLMFigures figures = TinyLMFigures.Measure(model, text);
        Assert.Equal(figures.Model.Tokens, figures.Ngram.Tokens);
        Assert.Equal(Math.Log(300), figures.Uniform, 1e-12);
        Assert.True(figures.Model.Loss < figures.Uniform);
        LanguageModelFolder.Save(folder, model, text.Tokenizer);
        Assert.Equal(["config.json", "model.safetensors", "tokenizer.json"], Directory.GetFiles(folder).Select(Path.GetFileName).Order(StringComparer.Ordinal));
        Assert.Equal(Tiny.Config, LlamaConfig.FromJson(File.ReadAllText(Path.Combine(folder, "config.json"))) with { HeadWidth = null });
        Assert.Equal(text.Tokenizer.Model.Tokens, TokenizerFile.Load(folder).Model.Tokens);
        Dictionary<string, Tensor> weights = SafeTensors.Load(Path.Combine(folder, "model.safetensors"));
        Assert.Equal(model.named_parameters().Select(p => p.name).Order(StringComparer.Ordinal), weights.Keys.Order(StringComparer.Ordinal));
        Assert.All(model.named_parameters(), p => Assert.True(weights[p.name].equal(p.parameter).all().item<bool>()));

        string sheet = TinyLMSheet.Of(model, text, Tiny, result, figures, "sparseland train tinylm --out new");
        Assert.Contains("sparseland train tinylm --out new", sheet, StringComparison.Ordinal);
        Assert.Contains(FormattableString.Invariant($"| this model | {figures.Model.Loss:F4} | {figures.Model.Perplexity:F2} |"), sheet, StringComparison.Ordinal);
        Assert.Contains("| 10 |", sheet, StringComparison.Ordinal);
        Assert.Contains("\n[]", sheet, StringComparison.Ordinal);
        Assert.Contains("[Gets or sets a value that indicates whether ]", sheet, StringComparison.Ordinal);
        Assert.Equal(sheet, TinyLMSheet.Of(model, text, Tiny, result, figures, "sparseland train tinylm --out new"));
        Directory.Delete(Path.GetDirectoryName(folder)!, recursive: true);
    }

    [Fact]
    public void A_time_gives_a_number_of_steps_that_grows_with_it()
    {
        TinyLMText text = TinyLMRecipe.Prepare(Members(), Tiny);
        Assert.Equal(4, TinyLMRecipe.StepsIn(text, Tiny, TimeSpan.FromTicks(1), 2));
        Assert.True(TinyLMRecipe.StepsIn(text, Tiny with { Bfloat16 = true }, TimeSpan.FromHours(10), 2) > 1000);
        Assert.Throws<ArgumentOutOfRangeException>("time", () => TinyLMRecipe.StepsIn(text, Tiny, TimeSpan.Zero));
        using var stop = new CancellationTokenSource();
        stop.Cancel();
        Assert.Throws<OperationCanceledException>(() => TinyLMRecipe.StepsIn(text, Tiny, TimeSpan.FromMinutes(1), cancel: stop.Token));
    }

    [Fact]
    public void The_curve_has_every_step_in_one_of_its_lines()
    {
        StepReport[] history = [.. Enumerable.Range(1, 10).Select(s => new StepReport(s, s, 1.0 / s, 1, s == 4 ? 0.5 : null))];
        Assert.Equal([(4, 2.5, 0.5, 0.25), (8, 6.5, null, 0.125), (10, 9.5, null, 0.1)], TinyLMSheet.Curve(history, 3));
        Assert.Equal(10, TinyLMSheet.Curve(history, 50).Count);
    }

    [Fact]
    public void What_does_not_fit_is_refused()
    {
        var other = new TextTokenizer(BpeTrainer.Train(["a text"], new() { Vocabulary = 258 }));
        Assert.Contains("300", Assert.Throws<ArgumentException>("tokenizer", () => TinyLMRecipe.Prepare(Members(), Tiny, other)).Message, StringComparison.Ordinal);
        Assert.Throws<ArgumentOutOfRangeException>("Vocabulary", () => TinyLMRecipe.Prepare(Members(), Tiny with { Config = Tiny.Config with { Vocabulary = 200 } }));
        Assert.ThrowsAny<ArgumentException>(() => TinyLMRecipe.Prepare([], Tiny));
        Assert.Throws<ArgumentOutOfRangeException>("Batch", () => (Tiny with { Batch = 0 }).Validate());
        Assert.Throws<ArgumentOutOfRangeException>("EvaluationTokens", () => (Tiny with { EvaluationTokens = 5 }).Validate());
    }

    private static DocMember[] Members()
    {
        string[] verbs = ["Gets", "Sets", "Reads", "Writes", "Opens", "Closes", "Parses", "Formats"], nouns = ["stream", "buffer", "value", "culture", "socket", "thread", "list"];
        return [.. Enumerable.Range(0, 60).SelectMany(t => Enumerable.Range(0, 4).Select(m => new DocMember($"M:Test.Kind{t}.Do{m}", DocMemberKind.Method, "Test", $"Kind{t}", $"Kind{t}.Do{m}")
        {
            Summary = $"{verbs[(t + m) % 8]} the {nouns[((3 * t) + m) % 7]} of the {nouns[(t + (2 * m)) % 7]} number {t}.", Returns = $"The {nouns[(t * m) % 7]}.",
        }))];
    }
}
