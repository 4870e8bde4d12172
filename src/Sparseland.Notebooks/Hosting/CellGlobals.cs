using Microsoft.AspNetCore.Html;

namespace Sparseland.Notebooks.Hosting;

/// <summary>
/// What a cell can call without a using, under the names that .NET Interactive gave them. Only Sparseland's own engine
/// imports this class: elsewhere the host's own functions win.
/// </summary>
public static class CellGlobals
{
    private static long displays;

    /// <summary>Shows a value now, before the cell ends.</summary>
    /// <param name="value">Any value.</param>
    /// <param name="mimeTypes">The forms to show; none for the type's preferred ones.</param>
    /// <returns>A handle whose <see cref="DisplayedValue.Update"/> replaces what is shown.</returns>
    public static DisplayedValue display(object? value, params string[] mimeTypes)
    {
        var id = "display-" + Interlocked.Increment(ref displays).ToString(System.Globalization.CultureInfo.InvariantCulture);
        NotebookHost.Require().Display(ValueFormatting.Format(value, mimeTypes), id);
        return new DisplayedValue(id);
    }

    /// <summary>Asks the user for a line of text and waits for it.</summary>
    /// <param name="prompt">What to ask.</param>
    /// <exception cref="NotSupportedException">Nobody can answer: a headless run, or a front end that does not allow input.</exception>
    public static string input(string prompt = "") => NotebookHost.Require().Ask(prompt, isPassword: false);

    /// <summary>Asks the user for a password, which the front end hides while it is typed. It is not stored in the notebook.</summary>
    /// <param name="prompt">What to ask.</param>
    /// <exception cref="NotSupportedException">Nobody can answer: a headless run, or a front end that does not allow input.</exception>
    public static string password(string prompt = "Password: ") => NotebookHost.Require().Ask(prompt, isPassword: true);

    /// <summary>Text that is HTML already.</summary>
    public static IHtmlContent HTML(string content) => new HtmlString(content);
}
