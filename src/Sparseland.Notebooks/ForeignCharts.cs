namespace Sparseland.Notebooks;
internal static class ForeignCharts { public static Hosting.MimeBundle Render(System.Text.Json.Nodes.JsonObject f, string w) => Markup.Text(w + f.Count).Render(); }
internal static class XPlotFigure { public static System.Text.Json.Nodes.JsonObject Of(XPlot.Plotly.PlotlyChart c) => []; }
