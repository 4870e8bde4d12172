using Sparseland.Models.Tokenizers;
using Sparseland.Tests.IO;

namespace Sparseland.Tests.Models.Tokenizers;

public class WordPieceTrainerTests
{
    /// <summary>
    /// By hand: hug 10, pug 5, pun 12, bun 4, hugs 5. Pairs at first: u##g 20, u##n 16, h##u 15, p##u 17, b##u 4, g##s 5. "##ug" comes first (20), then
    /// "##un" (16), "hug" (15, from h and ##ug), "pun" (12).
    /// </summary>
    [Fact]
    public void The_most_frequent_pair_becomes_a_piece()
    {
        string[] texts = [.. Repeat("hug", 10), .. Repeat("pug", 5), .. Repeat("pun", 12), .. Repeat("bun", 4), .. Repeat("hugs", 5)];
        IReadOnlyList<string> tokens = WordPieceTrainer.Train(texts, vocabulary: 16);
        Assert.Equal(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "##g", "##n", "##s", "##u", "b", "h", "p", "##ug", "##un", "hug", "pun"], tokens);
    }

    [Fact]
    public void Case_accents_and_signs_are_as_the_uncased_tokenizer_has_them()
    {
        IReadOnlyList<string> tokens = WordPieceTrainer.Train(["Caf\u00e9 CAFE cafe\u0301, cafe (cafe)"], vocabulary: 100);
        Assert.Contains("cafe", tokens);
        Assert.Contains(tokens, t => t == "##e");
        Assert.DoesNotContain(tokens, t => t.Contains('\u00e9', StringComparison.Ordinal) || t.Any(char.IsUpper) && t[0] != '[');
        using var folder = new TemporaryFolder();
        File.WriteAllText(folder.File("vocab.txt"), string.Concat(tokens.Select(t => t + "\n")));
        TextTokenizer tokenizer = TextTokenizer.FromWordPieceVocabulary(folder.File("vocab.txt"));
        Assert.Equal(["cafe"], tokenizer.Encode("Caf\u00e9").Select(id => tokens[id]));
    }

    [Fact]
    public void A_sign_that_is_rare_is_unknown_and_too_small_a_vocabulary_is_refused()
    {
        Assert.DoesNotContain(WordPieceTrainer.Train(["aa aa aa z"], 50), t => t.Contains('z', StringComparison.Ordinal));
        Assert.Contains(WordPieceTrainer.Train(["aa aa aa z"], 50, leastCount: 1), t => t == "z");
        Assert.Throws<ArgumentOutOfRangeException>("vocabulary", () => WordPieceTrainer.Train(["abc abc"], 6));
        Assert.Throws<ArgumentException>("texts", () => WordPieceTrainer.Train(["", " "]));
        Assert.ThrowsAny<OperationCanceledException>(() => WordPieceTrainer.Train(["a b"], 50, cancel: new CancellationToken(true)));
    }

    private static IEnumerable<string> Repeat(string word, int count) => Enumerable.Repeat(word, count);
}
