using System.CommandLine;
using Sparseland.Kernel.Notebooks;

namespace Sparseland.Kernel.Commands;

/// <summary>The command <c>sparseland new</c>.</summary>
internal static class NewCommand
{
    /// <summary>Makes the command.</summary>
    public static Command Create()
    {
        var path = new Argument<string>("path") { Description = "The notebook to make (.ipynb)." };
        var title = new Option<string?>("--title") { Description = "Its title; by default made from the file's name." };
        var command = new Command("new", "Make a notebook from the template; it runs as it is.") { path, title };
        command.SetAction((parsed, _) => Guard.RunAsync("new", () => Task.FromResult(Make(parsed.GetValue(path)!, parsed.GetValue(title)))));
        return command;
    }

    private static int Make(string path, string? title)
    {
        if (Path.GetFileNameWithoutExtension(path).Trim().Length == 0)
            throw new ArgumentException($"'{path}' has no name before its ending; name the notebook to make.");
        if (Path.GetExtension(path) is "")
            path += ".ipynb";
        if (!Path.GetExtension(path).Equals(".ipynb", StringComparison.OrdinalIgnoreCase))
            throw new ArgumentException($"'{path}' must end in .ipynb.");
        if (File.Exists(path) || Directory.Exists(path))
            throw new IOException($"'{path}' exists already; it is left as it is.");
        title ??= TitleOf(Path.GetFileNameWithoutExtension(path));
        AtomicFile.Write(path, NotebookTemplate.Create(path, title).ToText());
        Console.WriteLine($"Made {path}; run it with 'sparseland run' or open it in any notebook front end.");
        return Guard.Good;
    }

    private static string TitleOf(string name)
    {
        var words = name.Replace('-', ' ').Replace('_', ' ').Trim();
        return words.Length == 0 ? "Notebook" : char.ToUpperInvariant(words[0]) + words[1..];
    }
}
