using Sparseland.Autoencoders.Dashboards;
using Sparseland.Models.Tokenizers;

namespace Sparseland.Tests.Autoencoders.Dashboards;

public class TokenPartTests
{
    private const TokenPartKind Text = TokenPartKind.Text, Byte = TokenPartKind.Byte, Special = TokenPartKind.Special;

    [Fact]
    public void Text_cut_characters_and_special_tokens_are_told_apart()
    {
        string euro = Encode("x€")[..], cut = euro[..^1];
        TextTokenizer tokenizer = new(new BpeModel(
            [.. Enumerable.Range(0, 256).Select(b => ByteAlphabet.Of((byte)b).ToString()), euro, cut, Encode(" \n\t"), "<|end|>"], [], ["<|end|>"], BpeModel.Gpt2Pattern));
        Assert.Equal([new(Text, "x€")], TokenPart.Of(tokenizer, 256));
        Assert.Equal([new(Text, "x"), new(Byte, "E2"), new(Byte, "82")], TokenPart.Of(tokenizer, 257));
        Assert.Equal([new(Text, " \n\t")], TokenPart.Of(tokenizer, 258));
        Assert.Equal([new(Special, "<|end|>")], TokenPart.Of(tokenizer, 259));
        Assert.Equal([new(Text, "<")], TokenPart.Of(tokenizer, '<'));
        Assert.Equal([new(Text, "\0")], TokenPart.Of(tokenizer, 0));
        Assert.Equal([new(Byte, "FF")], TokenPart.Of(tokenizer, 255));
        Assert.Equal([new(Special, "#260")], TokenPart.Of(tokenizer, 260));
        Assert.Throws<ArgumentOutOfRangeException>(() => TokenPart.Of(tokenizer, -1));
    }

    private static string Encode(string text) => string.Concat(System.Text.Encoding.UTF8.GetBytes(text).Select(ByteAlphabet.Of));
}
