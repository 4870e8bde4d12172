using System.Runtime.CompilerServices;
using System.Text.Json.Nodes;
using Microsoft.Data.Analysis;
using Microsoft.DotNet.Interactive.Formatting;
using Sparseland.Evaluation;
using Sparseland.Notebooks.Charts;
using Sparseland.Notebooks.Dashboards;
using Sparseland.Notebooks.Hosting;
using Sparseland.Retrieval.Indexing;

namespace Sparseland.Notebooks;

/// <summary>
/// Registers how hosts built on Microsoft.DotNet.Interactive.Formatting show charts, claims, explanations of a search, tables, progress, data frames and
/// the charts of Plotly.NET and XPlot. <see cref="Lesson.Start"/> calls it.
/// </summary>
public static class NotebookFormatters
{
    private static readonly Lock Gate = new();
    private static readonly HashSet<ITypeFormatter> Own = [];
    private static bool registered, numbersRegistered;

    /// <summary>What could not be registered in this host and why, in one line each; empty where all is well.</summary>
    public static IReadOnlyList<string> Missing { get; private set; } = [];

    /// <summary>Registers all formatters; a second call does nothing.</summary>
    public static void Register()
    {
        lock (Gate)
        {
            if (registered)
                return;
            Show<IMimeRenderable>(value => value.Render());
            Show<Chart>(value => value.Render());
            RegisterNumbers();
            Show<Claims>(ClaimsTable.Render, Claims.MimeType);
            Show<Explanation>(explanation => new ExplanationCard(explanation, null, null, 12).Render());
            var missing = new List<string>();
            Try(RegisterDataFrame, "data frames", missing);
            Try(RegisterPlotlyNet, "charts of Plotly.NET", missing);
            Try(RegisterXPlot, "charts of XPlot.Plotly", missing);
            Missing = missing;
            registered = true;
        }
    }

    /// <summary>Registers the forms of arrays and numbers alone, which needs no other library: also where they are parts of another value.</summary>
    internal static void RegisterNumbers()
    {
        lock (Gate)
        {
            if (numbersRegistered)
                return;
            ShowNumbers();
            numbersRegistered = true;
        }
    }

    /// <summary>Whether a formatter of numbers is ours, not one that a user has registered since.</summary>
    internal static bool IsOwn(ITypeFormatter formatter) => Own.Contains(formatter);

    /// <summary>Makes <paramref name="render"/> the way that values of a type, and of types derived from it, are shown.</summary>
    internal static void Show<T>(Func<T, MimeBundle> render, params string[] furtherTypes)
    {
        string[] types = [HtmlFormatter.MimeType, PlainTextFormatter.MimeType, .. furtherTypes];
        foreach (string type in types)
        {
            Formatter.Register<T>((value, writer) => writer.Write(FormOf(render(value), type)), type);
        }
        Formatter.SetPreferredMimeTypesFor(typeof(T), types);
    }

    private static void ShowNumbers()
    {
        string[] types = [HtmlFormatter.MimeType, PlainTextFormatter.MimeType];
        foreach (Type shown in NumberForms.Registered)
        {
            foreach (string type in types)
            {
                Formatter.Register(
                    shown, (value, writer) => writer.Write(NumberForms.TryRender(value) is { } bundle ? FormOf(bundle, type) : value?.ToString()), type);
            }

            Formatter.SetPreferredMimeTypesFor(shown, types);
        }

        Own.UnionWith(Formatter.RegisteredFormatters(includeDefaults: false).Where(f => NumberForms.Registered.Contains(f.Type)));
    }

    // What has no HTML of its own is shown as its text.
    private static string FormOf(MimeBundle bundle, string type) =>
        bundle.Data.TryGetValue(type, out JsonNode? content) ? AsText(content)
        : type == HtmlFormatter.MimeType ? $"<pre>{Markup.Escape(AsText(bundle.Data[PlainTextFormatter.MimeType]))}</pre>" : "";

    private static string AsText(JsonNode content) => content is JsonValue value && value.TryGetValue(out string? text) ? text : content.ToJsonString();

    // Each in a method of its own that is compiled only when called: a host that lacks the library, or has another FSharp.Core
    // (.NET Interactive has 10.0 where Plotly.NET 6 needs 10.1), fails there and nowhere else.
    private static void Try(Action register, string what, List<string> missing)
    {
        try
        {
            register();
        }
        catch (Exception e) when (e is IOException or BadImageFormatException or TypeLoadException or TypeInitializationException or MissingMethodException)
        {
            missing.Add($"{what} show as the host's own formatter has it: {e.GetBaseException().Message}");
        }
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static void RegisterDataFrame() => Show<DataFrame>(DataFrameDisplay.Render);

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static void RegisterPlotlyNet() =>
        Show<Plotly.NET.GenericChart>(chart => ForeignCharts.Render(PlotlyConversion.FigureOf(chart), "Plotly.NET chart"), InteractiveCharts.MimeType);

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static void RegisterXPlot() =>
        Show<XPlot.Plotly.PlotlyChart>(chart => ForeignCharts.Render(XPlotFigure.Of(chart), "XPlot chart"), InteractiveCharts.MimeType);
}
