using System.Globalization;
using System.Text.Json.Nodes;
using Sparseland.Kernel.Scripting;

namespace Sparseland.Kernel.Jupyter;

/// <summary>Handles the requests of the shell channel, one after another on one thread.</summary>
internal sealed class ShellHandler(
    Task<IScriptEngine> engine, OutputPublisher output, InputRequests input, RunningCell running, Func<long> received, ConnectionInfo connection, KernelLog log)
{
    private readonly SessionHistory history = new();
    private int executionCount;
    private long abortUpTo;

    /// <summary>The answer to a request, or null when there is none to give.</summary>
    /// <param name="request">The request.</param>
    /// <param name="number">Its place in the order of arrival.</param>
    /// <exception cref="MalformedMessageException">The content is not what the protocol says.</exception>
    public Reply? Handle(Request request, long number)
    {
        switch (request.Type)
        {
            case "execute_request":
                return number <= abortUpTo ? new Reply(new JsonObject { ["status"] = "aborted" }) : Execute(request);
            case "kernel_info_request":
                return new Reply(KernelInfo.Content());
            case "complete_request":
                return Complete(request);
            case "inspect_request":
                return Inspect(request);
            case "is_complete_request":
                return IsComplete(request);
            case "history_request":
                return new Reply(history.Answer(request));
            case "comm_info_request":
                return new Reply(new JsonObject { ["status"] = "ok", ["comms"] = new JsonObject() });
            case "comm_open":
                // There is nobody here to talk to; saying so at once lets a widget show its fallback.
                output.Publish(request, "comm_close", new JsonObject { ["comm_id"] = request.Text("comm_id"), ["data"] = new JsonObject() });
                return null;
            case "connect_request":
                return new Reply(new JsonObject
                {
                    ["shell_port"] = connection.ShellPort,
                    ["control_port"] = connection.ControlPort,
                    ["iopub_port"] = connection.IOPubPort,
                    ["stdin_port"] = connection.StdinPort,
                    ["hb_port"] = connection.HeartbeatPort,
                });
            default:
                return null;
        }
    }

    private Reply Execute(Request request)
    {
        var code = request.Text("code");
        var silent = request.Flag("silent", false);
        var store = !silent && request.Flag("store_history", true);
        var stopOnError = request.Flag("stop_on_error", true);
        var expressions = request.Content["user_expressions"] as JsonObject;
        var metadata = new JsonObject { ["started"] = DateTime.UtcNow.ToString("yyyy-MM-ddTHH:mm:ss.ffffffZ", CultureInfo.InvariantCulture) };

        if (store)
            executionCount++;
        if (!silent)
            output.Publish(request, "execute_input", new JsonObject { ["code"] = code, ["execution_count"] = executionCount });

        var cell = new CellOutput(output, input, request, executionCount, silent);
        var error = Error(Run(code, cell));
        if (store)
            history.Add(executionCount, code, cell.ResultText);

        if (error is null)
        {
            return new Reply(
                new JsonObject
                {
                    ["status"] = "ok",
                    ["execution_count"] = executionCount,
                    ["user_expressions"] = Evaluate(expressions),
                    ["payload"] = new JsonArray(),
                },
                metadata);
        }

        if (!silent)
            output.Output(request, "error", ErrorContent.Broadcast(error.Name, error.Message, error.Traceback));

        // What the user had queued behind the failed cell relied on it; what arrives from now on does not.
        if (stopOnError)
            abortUpTo = received();
        var content = ErrorContent.Of(error.Name, error.Message, error.Traceback);
        content["execution_count"] = executionCount;
        content["user_expressions"] = new JsonObject();
        content["payload"] = new JsonArray();
        return new Reply(content, metadata);
    }

    private CellResult Run(string code, ICellOutput cell)
    {
        try
        {
            var ready = engine.GetAwaiter().GetResult();
            return running.Run(cancel => ready.ExecuteAsync(code, cell, cancel).GetAwaiter().GetResult());
        }
        catch (Exception e)
        {
            log.Write($"the engine failed: {e}");
            return new CellResult(CellStatus.Error, new CellError(e.GetType().Name, e.Message, [$"{e.GetType().Name}: {e.Message}"]), TimeSpan.Zero);
        }
    }

    private static CellError? Error(CellResult result) => result.Status switch
    {
        CellStatus.Ok => null,
        CellStatus.Interrupted => result.Error ?? new CellError("Interrupted", "The cell was interrupted.", ["The cell was interrupted."]),
        _ => result.Error ?? new CellError("Error", "The cell failed.", ["The cell failed."]),
    };

    private JsonObject Evaluate(JsonObject? expressions)
    {
        var values = new JsonObject();
        foreach (var (name, expression) in expressions ?? [])
        {
            if (expression is not JsonValue value || !value.TryGetValue<string>(out var code))
            {
                values[name] = ErrorContent.Of("MalformedMessage", $"The expression '{name}' is not a string.", []);
                continue;
            }

            var captured = new CapturedResult();
            var error = Error(Run(code, captured));
            if (error is not null)
            {
                values[name] = ErrorContent.Of(error.Name, error.Message, error.Traceback);
            }
            else if (captured.Bundle is null)
            {
                values[name] = ErrorContent.Of("NoValue", $"The expression '{name}' has no value.", []);
            }
            else
            {
                var data = CellOutput.Json(captured.Bundle);
                data["status"] = "ok";
                values[name] = data;
            }
        }

        return values;
    }

    private Reply Complete(Request request)
    {
        var code = request.Text("code");
        var position = TextPositions.ToUtf16(code, request.Number("cursor_pos") ?? int.MaxValue);
        var ready = engine.GetAwaiter().GetResult();
        var found = running.Run(cancel => ready.CompleteAsync(code, position, cancel).GetAwaiter().GetResult());
        return new Reply(new JsonObject
        {
            ["status"] = "ok",
            ["matches"] = new JsonArray([.. found.Matches.Select(match => (JsonNode)match)]),
            ["cursor_start"] = TextPositions.ToCodePoints(code, found.Start),
            ["cursor_end"] = TextPositions.ToCodePoints(code, found.End),
            ["metadata"] = new JsonObject(),
        });
    }

    private Reply Inspect(Request request)
    {
        var code = request.Text("code");
        var position = TextPositions.ToUtf16(code, request.Number("cursor_pos") ?? int.MaxValue);
        var ready = engine.GetAwaiter().GetResult();
        var found = running.Run(cancel => ready.InspectAsync(code, position, cancel).GetAwaiter().GetResult());
        var content = found is null
            ? new JsonObject { ["data"] = new JsonObject(), ["metadata"] = new JsonObject() }
            : CellOutput.Json(found);
        content["status"] = "ok";
        content["found"] = found is not null;
        return new Reply(content);
    }

    private Reply IsComplete(Request request)
    {
        var code = request.Text("code");
        var status = engine.GetAwaiter().GetResult().IsComplete(code);
        var content = new JsonObject { ["status"] = status.ToString().ToLowerInvariant() };
        if (status == Completeness.Incomplete)
            content["indent"] = Indent(code);
        return new Reply(content);
    }

    /// <summary>Indentation of the next line: that of the last one, one step further behind an opening bracket.</summary>
    private static string Indent(string code)
    {
        var last = code[(code.LastIndexOf('\n') + 1)..];
        var indent = last[..^last.TrimStart().Length];
        return last.TrimEnd() is [.., '{' or '(' or '['] ? indent + "    " : indent;
    }
}
