using System.CommandLine;
using Sparseland.Kernel.Notebooks;

namespace Sparseland.Kernel.Commands;

/// <summary>The command <c>sparseland convert</c>.</summary>
internal static class ConvertCommand
{
    /// <summary>Makes the command.</summary>
    public static Command Create()
    {
        var path = new Argument<string>("path") { Description = "A .dib file, to become a .ipynb file, or the other way round." };
        var output = new Option<string?>("--output") { Description = "The file to write; by default beside the first, with the other ending." };
        var command = new Command("convert", "Convert between .dib files (Polyglot Notebooks) and .ipynb files.") { path, output };
        command.SetAction((parsed, _) => Guard.RunAsync("convert", () => Task.FromResult(Convert(parsed.GetValue(path)!, parsed.GetValue(output)))));
        return command;
    }

    private static int Convert(string path, string? output)
    {
        bool fromDib = HasEnding(path, ".dib");
        if (!fromDib && !HasEnding(path, ".ipynb")) throw new ArgumentException($"'{path}' must end in .dib or .ipynb.");
        string wanted = fromDib ? ".ipynb" : ".dib";
        output ??= Path.ChangeExtension(path, wanted);
        if (!HasEnding(output, wanted)) throw new ArgumentException($"--output: '{output}' must end in {wanted}.");
        Notebook notebook = Notebook.Load(path);
        if (File.Exists(output) || Directory.Exists(output)) throw new IOException($"'{output}' exists already; it is left as it is. Name another file with --output.");
        AtomicFile.Write(output, fromDib ? notebook.ToText() : DibFormat.Write(notebook));
        Console.WriteLine($"Made {output}: {notebook.Cells.Count} cells{Kept(notebook, fromDib)}.");
        return Guard.Good;
    }

    private static string Kept(Notebook notebook, bool fromDib)
    {
        IEnumerable<string> others = notebook.Cells.Where(c => c.IsCode).Select(DibFormat.LanguageOf).Where(l => CellLanguage.Find(l) is not { Runs: true })
            .GroupBy(l => l).Select(g => $"{g.Key} ({g.Count()})");
        string languages = string.Join(", ", others);
        int outputs = fromDib ? 0 : notebook.Cells.Count(c => c.Outputs.Count > 0), raw = fromDib ? 0 : notebook.Cells.Count(c => c.Type == "raw");
        return (languages.Length > 0 ? $"; kept, but not run here: {languages}" : "")
            + (outputs > 0 ? $"; the outputs of {outputs} cells have no place in a .dib file" : "")
            + (raw > 0 ? $"; {raw} raw cells became Markdown" : "");
    }

    private static bool HasEnding(string path, string ending) => Path.GetExtension(path).Equals(ending, StringComparison.OrdinalIgnoreCase);
}
