using System.Net;
using System.Text;
using Microsoft.CodeAnalysis;
using Microsoft.CodeAnalysis.CSharp;

namespace Sparseland.Kernel.Gallery;

/// <summary>C# code as HTML with its words coloured by kind, from the compiler's own tokens.</summary>
internal static class CodeHtml
{
    private static readonly CSharpParseOptions Options = new(LanguageVersion.Latest, kind: SourceCodeKind.Script);

    /// <summary>The code inside of a pre element.</summary>
    public static string Render(string code)
    {
        var html = new StringBuilder();
        var root = CSharpSyntaxTree.ParseText(code, Options).GetRoot();
        foreach (var token in root.DescendantTokens(_ => true))
        {
            foreach (var trivia in token.LeadingTrivia)
                Append(html, TriviaKind(trivia), trivia.ToFullString());
            Append(html, TokenKind(token), token.Text);
            foreach (var trivia in token.TrailingTrivia)
                Append(html, TriviaKind(trivia), trivia.ToFullString());
        }

        return html.ToString();
    }

    private static string? TokenKind(SyntaxToken token) => token.Kind() switch
    {
        SyntaxKind.StringLiteralToken or SyntaxKind.CharacterLiteralToken or SyntaxKind.SingleLineRawStringLiteralToken or SyntaxKind.MultiLineRawStringLiteralToken
            or SyntaxKind.InterpolatedStringStartToken or SyntaxKind.InterpolatedStringEndToken or SyntaxKind.InterpolatedStringTextToken
            or SyntaxKind.InterpolatedVerbatimStringStartToken or SyntaxKind.InterpolatedSingleLineRawStringStartToken or SyntaxKind.InterpolatedRawStringEndToken => "s",
        SyntaxKind.NumericLiteralToken => "n",
        var kind when SyntaxFacts.IsKeywordKind(kind) || token.IsContextualKeyword() => "k",
        SyntaxKind.IdentifierToken when token.Text is "var" or "await" or "record" or "nint" => "k",
        _ => null,
    };

    private static string? TriviaKind(SyntaxTrivia trivia) => trivia.Kind() switch
    {
        SyntaxKind.SingleLineCommentTrivia or SyntaxKind.MultiLineCommentTrivia or SyntaxKind.SingleLineDocumentationCommentTrivia => "c",
        _ when trivia.IsDirective || trivia.IsKind(SyntaxKind.BadDirectiveTrivia) => "d",
        _ => null,
    };

    private static void Append(StringBuilder html, string? kind, string text)
    {
        if (text.Length == 0)
            return;
        var encoded = WebUtility.HtmlEncode(text);
        html.Append(kind is null ? encoded : $"<span class=\"{kind}\">{encoded}</span>");
    }
}
