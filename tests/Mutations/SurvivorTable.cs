using System.Globalization;
using System.Text;

namespace Mutations;

/// <summary>All that is known of the faults on one page: a line for each notebook, then what survived.</summary>
internal static class SurvivorTable
{
    public static void Write(string path, IReadOnlyList<Fault> faults, IReadOnlyDictionary<string, Verdict> known)
    {
        var page = new StringBuilder("""
            # Which faults do the claims notice?

            Written by `dotnet run --project tests/Mutations`. Each fault is a deliberate mistake in a method; the notebook that teaches it runs with it, and a claim must break. First at quick scale, where
            identities alone are judged; what they do not notice runs at lesson scale, where all claims are. Noticed: a claim broke, or the run ended with an exception.


            """);
        Fault[] tried = [.. faults.Where(f => known.ContainsKey(f.Key))];
        Verdict[] verdicts = [.. tried.Select(f => known[f.Key])];
        Verdict[] survivors = [.. verdicts.Where(v => v.IsSurvivor && v.Scale != "quick")], open = [.. verdicts.Where(v => v.IsSurvivor && v.Scale == "quick")];
        page.Append(CultureInfo.InvariantCulture, $"**{faults.Count} faults: {tried.Length - survivors.Length - open.Length} noticed, {survivors.Length} survived, {open.Length} unnoticed at quick scale and not yet run at lesson scale, {faults.Count - tried.Length} not yet tried.**\n\n");
        page.Append("| notebook | faults | noticed by identities | by claims at lesson scale | survived | open | not tried |\n| --- | ---: | ---: | ---: | ---: | ---: | ---: |\n");
        foreach (IGrouping<string, Fault> notebook in faults.GroupBy(f => f.Notebook).OrderBy(g => g.Key, StringComparer.Ordinal))
        {
            Verdict[] of = [.. notebook.Where(f => known.ContainsKey(f.Key)).Select(f => known[f.Key])];
            int Count(bool survived, bool quick) => of.Count(v => v.IsSurvivor == survived && v.Scale == "quick" == quick);
            page.Append(CultureInfo.InvariantCulture, $"| {notebook.Key["notebooks/".Length..^".ipynb".Length]} | {notebook.Count()} | {Count(false, true)} | {Count(false, false)} | {Count(true, false)} | {Count(true, true)} | {notebook.Count() - of.Length} |\n");
        }

        Append(page, "Survived", survivors);
        Append(page, "Unnoticed at quick scale, not yet run at lesson scale", open);
        File.WriteAllText(path, page.ToString());
    }

    private static void Append(StringBuilder page, string title, Verdict[] verdicts)
    {
        if (verdicts.Length == 0) return;
        page.Append(CultureInfo.InvariantCulture, $"\n## {title}\n\n");
        foreach (Verdict v in verdicts.OrderBy(v => v.Notebook, StringComparer.Ordinal)) page.Append(CultureInfo.InvariantCulture, $"- {Path.GetFileNameWithoutExtension(v.Notebook)}: {v.Fault}{(v.Outcome == Verdict.Survived ? "" : $" ({v.Outcome})")}\n");
    }
}
