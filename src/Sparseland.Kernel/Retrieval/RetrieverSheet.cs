using System.Globalization;
using System.Text;
using Sparseland.Retrieval.Collections;
using Sparseland.Retrieval.Learned;

namespace Sparseland.Kernel.Retrieval;

/// <summary>The data sheet of the shipped retrievers.</summary>
internal static class RetrieverSheet
{
    /// <summary>Writes it.</summary>
    public static string Of(RetrieverRecipe recipe, string command, DotNetDocCollection documentation, RetrieverBed bed, IReadOnlyDictionary<string, RetrieverFigures> figures)
    {
        var sheet = new StringBuilder();
        void Line(FormattableString line) => sheet.Append(line.ToString(CultureInfo.InvariantCulture)).Append('\n');
        string F(double value, string format) => double.IsNaN(value) ? "" : value.ToString(format, CultureInfo.InvariantCulture);
        void Row(string name, RetrieverFigures f, bool baseline = false) =>
            Line($"| {name} | {F(f.Ndcg, "F3")} | {F(f.Recall, "F3")} | {string.Join(" / ", f.ByStratum.Select(s => F(s, "F2")))} | {(baseline ? "" : F(f.Hybrid, "F3"))} | {F(f.Active, "F0")} | {F(f.Flops, "F2")} |");
        Line($"# Small retrievers");
        Line($"");
        Line($"Made by `{command}`");
        Line($"");
        Line($"| | |");
        Line($"| --- | --- |");
        Line($"| encoders | BERT, {recipe.Layers} blocks, width {recipe.Width}, {recipe.Heads} heads, {recipe.Context} tokens at most, mean pooling where dense; half precision |");
        Line($"| vocabulary | {recipe.Vocabulary:N0} WordPiece tokens, learned on the cards of training types, names split at camel case |");
        Line($"| start | {recipe.MaskedSteps:N0} steps of 64 cards on masked words |");
        Line($"| training | {recipe.Steps:N0} steps of {recipe.Batch} pairs of a summary's first line and a signature of its member ({documentation.Of(DocQueryKind.Summary, DocSplit.Train).Count:N0} training queries), AdamW without decay, rate {recipe.LearningRate:G2} to zero, seed {recipe.Seed} |");
        Line($"| losses | labels (InfoNCE over the batch) and FLOPS with lambda {recipe.Lambda:G3}; distilled: KL to the scaled average of dense and siamese, times 30, lambda {recipe.DistilledLambda:G3} |");
        Line($"| queries | siamese: by the encoder; binary, idf, distilled: by a table, idf over its mean on training queries |");
        Line($"");
        Line($"## Held-out queries");
        Line($"");
        Line($"{bed.Collection}. No training query is of a type that is asked for here, and no card of the start answers one of these queries.");
        Line($"");
        Line($"| | nDCG@10 | R@100 | nDCG@10 by stratum: mismatch / partial / lexical | with BM25, min-max sum | active terms | FLOPS |");
        Line($"| --- | --- | --- | --- | --- | --- | --- |");
        Row("BM25, camel case, Porter", bed.Bm25, baseline: true);
        foreach (string name in RetrieverRecipe.Names.Where(figures.ContainsKey)) Row(name, figures[name]);
        Line($"");
        Line($"Figures on this part of the collection are higher than on the whole: compare within the table. One seed.");
        return sheet.ToString();
    }
}
