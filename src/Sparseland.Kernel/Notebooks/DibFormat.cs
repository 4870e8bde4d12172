using System.Text.Json.Nodes;
using Microsoft.DotNet.Interactive.Documents;

namespace Sparseland.Kernel.Notebooks;

/// <summary>
/// The .dib files of Polyglot Notebooks: cells one after another, each opened by a line such as <c>#!csharp</c> or <c>#!markdown</c>, read
/// and written by the format's own library.
/// </summary>
internal static class DibFormat
{
    /// <summary>The file as a notebook. Cells of other languages are kept under their opening line, so that running them names it.</summary>
    /// <exception cref="InvalidDataException">The file's #!meta cell is damaged.</exception>
    public static Notebook Parse(string text, string name)
    {
        InteractiveDocument document;
        try
        {
            document = CodeSubmission.Parse(text.TrimStart('\uFEFF').ReplaceLineEndings("\n"), Known());
        }
        catch (System.Text.Json.JsonException e)
        {
            throw new InvalidDataException($"{name}: the #!meta cell is not valid JSON: {e.Message}", e);
        }

        var notebook = Notebook.Create(name);
        foreach (InteractiveDocumentElement element in document.Elements)
        {
            // Blank lines around a cell belong to the format; the first line's indent belongs to the cell.
            string source = element.Contents.ReplaceLineEndings("\n").TrimEnd('\n', ' ').TrimStart('\n'), language = element.KernelName ?? CellLanguage.CSharp;
            if (source.Length == 0) continue;
            if (language == "markdown")
            {
                notebook.Add("markdown", source);
                continue;
            }

            NotebookCell cell = notebook.Add("code", language == CellLanguage.CSharp ? source : $"#!{language}\n{source}");
            if (language != CellLanguage.CSharp) cell.Metadata["polyglot_notebook"] = new JsonObject { ["kernelName"] = language };
        }

        return notebook;
    }

    /// <summary>The notebook as the text of a .dib file; outputs have no place there.</summary>
    public static string Write(Notebook notebook)
    {
        var elements = new List<InteractiveDocumentElement>();
        foreach (NotebookCell cell in notebook.Cells)
        {
            string language = LanguageOf(cell), source = cell.Source;
            if (cell.IsCode && source.StartsWith($"#!{language}\n", StringComparison.Ordinal)) source = source[(source.IndexOf('\n', StringComparison.Ordinal) + 1)..];
            elements.Add(new InteractiveDocumentElement(source, language));
        }

        string text = new InteractiveDocument(elements) { Metadata = { ["kernelInfo"] = Known() } }.ToCodeSubmissionContent("\n");
        return text.EndsWith('\n') ? text : text + "\n";
    }

    /// <summary>The language of a cell: csharp, markdown, or the kernel of .NET Interactive that its metadata or its opening line names.</summary>
    public static string LanguageOf(NotebookCell cell)
    {
        if (!cell.IsCode) return "markdown";
        foreach (string place in (string[])["polyglot_notebook", "dotnet_interactive"])
        {
            JsonNode? metadata = cell.Metadata[place];
            string? named = (metadata as JsonObject)?["kernelName"]?.ToString() ?? (metadata as JsonObject)?["language"]?.ToString();
            if (named is not null) return Canonical(named);
        }

        string first = cell.Source.Split('\n')[0].Trim();
        return first.StartsWith("#!", StringComparison.Ordinal) && CellLanguage.Find(first[2..]) is { } opened ? opened.Name : CellLanguage.CSharp;
    }

    private static string Canonical(string name) => CellLanguage.Find(name)?.Name ?? name;

    private static KernelInfoCollection Known()
    {
        var kernels = new KernelInfoCollection { DefaultKernelName = CellLanguage.CSharp };
        foreach (CellLanguage language in CellLanguage.All) kernels.Add(new KernelInfo(language.Name, language.Title, language.Aliases));
        return kernels;
    }
}
