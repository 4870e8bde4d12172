using System.Text.Json.Nodes;
using Sparseland.Kernel.Scripting;
using Sparseland.Notebooks.Hosting;

namespace Sparseland.Kernel.Jupyter;

/// <summary>
/// Output of one execute_request. It keeps its request, so what a background thread writes after the cell ended
/// still appears under that cell. A silent request shows nothing.
/// </summary>
internal sealed class CellOutput(OutputPublisher publisher, InputRequests input, Request request, int executionCount, bool silent) : ICellOutput
{
    /// <summary>The text form of the result, for the history.</summary>
    public string? ResultText { get; private set; }

    public void Stream(string name, string text)
    {
        if (!silent)
            publisher.Stream(request, name, text);
    }

    public void Display(MimeBundle bundle, string displayId)
    {
        if (!silent)
            publisher.Output(request, "display_data", Shown(bundle, displayId));
    }

    public void Update(MimeBundle bundle, string displayId)
    {
        if (!silent)
            publisher.Output(request, "update_display_data", Shown(bundle, displayId), replaces: displayId);
    }

    public string Ask(string prompt, bool isPassword, CancellationToken cancel)
    {
        if (!request.Flag("allow_stdin", false))
            throw new NotSupportedException("The cell asks for input, but the front end does not allow it (nbconvert never does). Put the value in a variable of the cell instead.");

        // What the cell wrote before its question is to be read first.
        publisher.Flush(final: true);
        return input.Ask(request, prompt, isPassword, cancel);
    }

    public void Result(MimeBundle bundle)
    {
        ResultText = bundle.Data.TryGetValue("text/plain", out var text) ? text.ToString() : null;
        if (silent)
            return;
        var content = Json(bundle);
        content["execution_count"] = executionCount;
        publisher.Output(request, "execute_result", content);
    }

    /// <summary>data and metadata as the protocol names them; copies, because the nodes stay the cell's.</summary>
    public static JsonObject Json(MimeBundle bundle) => new()
    {
        ["data"] = Copy(bundle.Data),
        ["metadata"] = bundle.Metadata is null ? new JsonObject() : Copy(bundle.Metadata),
    };

    private static JsonObject Shown(MimeBundle bundle, string displayId)
    {
        var content = Json(bundle);
        content["transient"] = new JsonObject { ["display_id"] = displayId };
        return content;
    }

    private static JsonObject Copy(IReadOnlyDictionary<string, JsonNode> nodes)
    {
        var copy = new JsonObject();
        foreach (var (type, node) in nodes)
            copy[type] = node.DeepClone();
        return copy;
    }
}

/// <summary>Keeps the result of an expression instead of showing it.</summary>
internal sealed class CapturedResult : ICellOutput
{
    public MimeBundle? Bundle { get; private set; }

    public void Stream(string name, string text)
    {
    }

    public void Display(MimeBundle bundle, string displayId)
    {
    }

    public void Update(MimeBundle bundle, string displayId)
    {
    }

    public void Result(MimeBundle bundle) => Bundle = bundle;
}
