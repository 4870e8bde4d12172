using System.Text;
using Microsoft.CodeAnalysis;
using Microsoft.CodeAnalysis.CSharp;
using Microsoft.CodeAnalysis.CSharp.Syntax;
using Microsoft.CodeAnalysis.Text;
using Sparseland.Notebooks.Hosting;

namespace Sparseland.Kernel.Scripting;

/// <summary>
/// Writes a check for an interrupt into every loop, label and function of a cell. Aborting a thread instead is the last
/// resort: the runtime ends the process now and then when the abort strikes in its own code or on the way to native code.
/// </summary>
/// <param name="Code">The cell with its checks, line for line.</param>
/// <param name="Edits">What was put in, in the order of the original text.</param>
internal sealed record StopChecks(string Code, IReadOnlyList<StopChecks.Edit> Edits)
{
    private static readonly string Check = $"{typeof(CellStop).FullName}.{nameof(CellStop.Check)}();";

    /// <summary>Puts the checks into a cell; text that does not parse stays as it is.</summary>
    public static StopChecks Into(string code)
    {
        var root = CSharpSyntaxTree.ParseText(code, CellParser.ParseOptions).GetRoot();
        if (root.ContainsDiagnostics)
        {
            return new StopChecks(code, []);
        }

        var walker = new Walker();
        walker.Visit(root);
        var edits = walker.Edits.OrderBy(e => e.Span.Start).ThenBy(e => e.Order).ToList();
        var text = new StringBuilder();
        var done = 0;
        foreach (var edit in edits)
        {
            text.Append(code, done, edit.Span.Start - done).Append(edit.Text);
            done = edit.Span.End;
        }

        return new StopChecks(text.Append(code, done, code.Length - done).ToString(), edits);
    }

    /// <summary>The column of the original text that a column of <see cref="Code"/> stands for, both from 0.</summary>
    public int OriginalColumn(SourceText original, int line, int column)
    {
        var start = original.Lines[line].Start;
        var shift = 0;
        foreach (var edit in Edits.Where(e => e.Span.Start >= start && e.Span.Start <= original.Lines[line].End))
        {
            var at = edit.Span.Start - start + shift;
            if (column < at)
            {
                break;
            }

            if (column < at + edit.Text.Length)
            {
                return edit.Span.Start - start;
            }

            shift += edit.Text.Length - edit.Span.Length;
        }

        return column - shift;
    }

    /// <summary>A piece of text that replaces another, on one line.</summary>
    /// <param name="Span">What is replaced; empty for an insertion.</param>
    /// <param name="Text">The new text.</param>
    /// <param name="Order">Place among the edits of one position.</param>
    internal sealed record Edit(TextSpan Span, string Text, int Order);

    private sealed class Walker : CSharpSyntaxWalker
    {
        public List<Edit> Edits { get; } = [];

        // What tidies up must come to its end; a static constructor that is left half done spoils its type for good.
        public override void VisitFinallyClause(FinallyClauseSyntax node)
        {
        }

        public override void VisitConstructorDeclaration(ConstructorDeclarationSyntax node)
        {
            if (!node.Modifiers.Any(SyntaxKind.StaticKeyword))
            {
                base.VisitConstructorDeclaration(node);
            }
        }

        public override void VisitWhileStatement(WhileStatementSyntax node)
        {
            Body(node.Statement);
            base.VisitWhileStatement(node);
        }

        public override void VisitDoStatement(DoStatementSyntax node)
        {
            Body(node.Statement);
            base.VisitDoStatement(node);
        }

        public override void VisitForStatement(ForStatementSyntax node)
        {
            Body(node.Statement);
            base.VisitForStatement(node);
        }

        public override void VisitForEachStatement(ForEachStatementSyntax node)
        {
            Body(node.Statement);
            base.VisitForEachStatement(node);
        }

        public override void VisitForEachVariableStatement(ForEachVariableStatementSyntax node)
        {
            Body(node.Statement);
            base.VisitForEachVariableStatement(node);
        }

        public override void VisitLabeledStatement(LabeledStatementSyntax node)
        {
            Insert(node.ColonToken.Span.End, Check);
            base.VisitLabeledStatement(node);
        }

        public override void VisitMethodDeclaration(MethodDeclarationSyntax node)
        {
            Function(node.Body, node.ExpressionBody, node.SemicolonToken, node.ReturnType, node.Modifiers);
            base.VisitMethodDeclaration(node);
        }

        public override void VisitLocalFunctionStatement(LocalFunctionStatementSyntax node)
        {
            Function(node.Body, node.ExpressionBody, node.SemicolonToken, node.ReturnType, node.Modifiers);
            base.VisitLocalFunctionStatement(node);
        }

        public override void VisitParenthesizedLambdaExpression(ParenthesizedLambdaExpressionSyntax node)
        {
            Block(node.Block);
            base.VisitParenthesizedLambdaExpression(node);
        }

        public override void VisitSimpleLambdaExpression(SimpleLambdaExpressionSyntax node)
        {
            Block(node.Block);
            base.VisitSimpleLambdaExpression(node);
        }

        public override void VisitAnonymousMethodExpression(AnonymousMethodExpressionSyntax node)
        {
            Block(node.Block);
            base.VisitAnonymousMethodExpression(node);
        }

        private void Body(StatementSyntax body)
        {
            if (body is BlockSyntax block)
            {
                Block(block);
                return;
            }

            Insert(body.SpanStart, "{" + Check);
            Insert(body.Span.End, "}", closing: true);
        }

        private void Block(BlockSyntax? block)
        {
            if (block is not null)
            {
                Insert(block.OpenBraceToken.Span.End, Check);
            }
        }

        private void Function(BlockSyntax? body, ArrowExpressionClauseSyntax? arrow, SyntaxToken semicolon, TypeSyntax type, SyntaxTokenList modifiers)
        {
            Block(body);
            if (arrow is null)
            {
                return;
            }

            var returns = arrow.Expression is not ThrowExpressionSyntax
                && type is not PredefinedTypeSyntax { Keyword.RawKind: (int)SyntaxKind.VoidKeyword }
                && !(modifiers.Any(SyntaxKind.AsyncKeyword) && type is not GenericNameSyntax and not QualifiedNameSyntax { Right: GenericNameSyntax });
            Edits.Add(new Edit(arrow.ArrowToken.Span, "{" + Check + (returns ? "return" : ""), 0));
            Insert(semicolon.Span.End, "}", closing: true);
        }

        // Of two bodies that end at one place the inner one, found later, ends first; both end before anything begins.
        private void Insert(int at, string text, bool closing = false) =>
            Edits.Add(new Edit(new TextSpan(at, 0), text, closing ? int.MinValue + (int.MaxValue - Edits.Count) : Edits.Count + 1));
    }
}
