using System.IO.Enumeration;
using System.Text.Json.Nodes;

namespace Sparseland.Kernel.Jupyter;

/// <summary>The inputs of this session. Earlier sessions are not kept, so there is only session 1 (or 0, the current one).</summary>
internal sealed class SessionHistory
{
    private readonly List<(int Line, string Input, string? Output)> entries = [];

    public void Add(int line, string input, string? output) => entries.Add((line, input, output));

    /// <summary>Content of the answer to a history_request.</summary>
    /// <exception cref="MalformedMessageException">hist_access_type is none of tail, range and search.</exception>
    public JsonObject Answer(Request request)
    {
        var withOutput = request.Flag("output", false);
        IEnumerable<(int Line, string Input, string? Output)> found = request.Text("hist_access_type", "tail") switch
        {
            "tail" => entries.TakeLast(request.Number("n") ?? entries.Count),
            "range" => Range(request.Number("session") ?? 0, request.Number("start") ?? 0, request.Number("stop")),
            "search" => Search(request.Text("pattern", "*"), request.Flag("unique", false)).TakeLast(request.Number("n") ?? entries.Count),
            var other => throw new MalformedMessageException($"history_request: hist_access_type '{other}' is none of tail, range, search"),
        };

        var rows = new JsonArray();
        foreach (var (line, input, output) in found)
            rows.Add((JsonNode)new JsonArray(1, line, withOutput ? new JsonArray(input, output) : input));
        return new JsonObject { ["status"] = "ok", ["history"] = rows };
    }

    private IEnumerable<(int Line, string Input, string? Output)> Range(int session, int start, int? stop) =>
        session is 0 or 1 ? entries.Where(e => e.Line >= start && (stop is null || e.Line < stop)) : [];

    private IEnumerable<(int Line, string Input, string? Output)> Search(string pattern, bool unique)
    {
        var hits = entries.Where(e => FileSystemName.MatchesSimpleExpression(pattern, e.Input, ignoreCase: false));
        return unique ? hits.Reverse().DistinctBy(e => e.Input).Reverse() : hits;
    }
}
