using System.Text.Json.Nodes;
using Sparseland.Kernel.Jupyter;
using Sparseland.Kernel.Scripting;

namespace Sparseland.Kernel.Tests.Jupyter;

/// <summary>The whole kernel over real sockets in this process, with an engine that only pretends.</summary>
public sealed class KernelProtocolTests : IAsyncLifetime
{
    private readonly KernelClient client = new();
    private readonly CancellationTokenSource stop = new();
    private readonly FakeEngine engine = new();
    private Task kernel = Task.CompletedTask;
    private Received info = null!;

    public Task InitializeAsync()
    {
        kernel = JupyterKernel.RunAsync(client.ConnectionFile, () => engine, stop.Token);
        info = client.WaitUntilReady();
        return Task.CompletedTask;
    }

    public async Task DisposeAsync()
    {
        await stop.CancelAsync();
        await kernel.WaitAsync(KernelClient.Patience);
        client.Dispose();
    }

    [Fact]
    public void Kernel_info_names_the_language()
    {
        Assert.Equal("kernel_info_reply", info.Type);
        var language = info.Content["language_info"]!;
        Assert.Equal("C#", (string?)language["name"]);
        Assert.Equal(".cs", (string?)language["file_extension"]);
        Assert.Equal("text/x-csharp", (string?)language["mimetype"]);
        Assert.Equal("5.3", (string?)info.Content["protocol_version"]);
        Assert.True(client.HeartBeats());
    }

    [Fact]
    public void A_cell_asks_its_user_and_goes_on_with_the_answer()
    {
        var cell = client.Execute("ask name?", allowStdin: true);
        var question = client.Question();
        Assert.Equal(("input_request", "name?", false, cell), (question.Type, (string?)question.Content["prompt"], (bool)question.Content["password"]!, question.ParentId));
        client.Answer("Grace ü");
        Assert.Equal("ok", (string?)client.Reply(cell).Content["status"]);
        Assert.Equal(["before", "Grace ü"], client.BroadcastsOf(cell).Where(m => m.Type is "stream" or "execute_result").Select(m => (string?)m.Content["text"] ?? (string?)m.Content["data"]!["text/plain"]));

        cell = client.Execute("ask secret word", allowStdin: true);
        Assert.True((bool)client.Question().Content["password"]!);
        client.Send("interrupt_request", [], onControl: true);
        Assert.Equal("error", (string?)client.Reply(cell).Content["status"]);

        // An answer that comes too late disturbs nobody.
        client.Answer("too late");
        Assert.Equal("ok", (string?)client.Run("value 1").Reply.Content["status"]);
    }

    [Fact]
    public void Where_the_front_end_allows_no_input_a_question_is_an_error()
    {
        var (reply, _) = client.Run("ask name?");
        Assert.Equal("error", (string?)reply.Content["status"]);
        Assert.Contains("does not allow it", (string?)reply.Content["evalue"]);
    }

    [Fact]
    public void Control_answers_kernel_info_while_a_cell_runs()
    {
        var cell = client.Execute("forever");

        // An interrupt before the cell has begun would stop nothing.
        while (client.Broadcast(KernelClient.Patience)!.Type != "stream")
            continue;
        var id = client.Send("kernel_info_request", [], onControl: true);
        Assert.Equal("kernel_info_reply", client.Reply(id, onControl: true).Type);
        Interrupt();
        Assert.Equal("error", (string?)client.Reply(cell).Content["status"]);
    }

    [Fact]
    public void A_cell_is_framed_by_busy_and_idle()
    {
        var id = client.Execute("value 42");
        var reply = client.Reply(id);
        Assert.Equal("execute_reply", reply.Type);
        Assert.Equal("ok", (string?)reply.Content["status"]);
        Assert.Equal(1, (int)reply.Content["execution_count"]!);
        Assert.Empty(reply.Content["payload"]!.AsArray());
        var messages = client.BroadcastsOf(id);
        Assert.Equal(["status", "execute_input", "execute_result", "status"], messages.Select(m => m.Type));
        Assert.Equal("busy", (string?)messages[0].Content["execution_state"]);
        Assert.Equal("value 42", (string?)messages[1].Content["code"]);
        Assert.Equal("42", (string?)messages[2].Content["data"]!["text/plain"]);
        Assert.Equal(1, (int)messages[2].Content["execution_count"]!);
    }

    [Fact]
    public void Display_and_update_carry_the_display_id()
    {
        var output = client.Run("display a").Output;
        Assert.Equal(["display_data", "update_display_data"], output.Select(m => m.Type));
        Assert.All(output, m => Assert.Equal("id", (string?)m.Content["transient"]!["display_id"]));
        Assert.Equal("a later", (string?)output[1].Content["data"]!["text/plain"]);
    }

    [Fact]
    public void A_flood_of_text_arrives_whole_and_in_few_messages()
    {
        var output = client.Run("flood 100000").Output;
        var text = string.Concat(output.Select(m => (string?)m.Content["text"]));
        Assert.Equal(string.Concat(Enumerable.Range(0, 100_000).Select(i => $"line {i}\n")), text);
        Assert.InRange(output.Count, 1, 200);
    }

    [Fact]
    public void Outputs_of_different_kinds_keep_their_order()
    {
        var output = client.Run("mixed 500").Output;
        Assert.Equal(1000, output.Count);
        for (var i = 0; i < 500; i++)
        {
            Assert.Equal($"{i}\n", (string?)output[2 * i].Content["text"]);
            Assert.Equal($"{i}", (string?)output[2 * i + 1].Content["data"]!["text/plain"]);
        }
    }

    [Fact]
    public void Updates_that_nobody_could_see_are_not_sent_but_the_last_one_is()
    {
        var output = client.Run("updates 50000").Output;
        Assert.InRange(output.Count, 2, 5000);
        Assert.Equal("50000", (string?)output[^1].Content["data"]!["text/plain"]);
    }

    [Fact]
    public void Text_written_in_halves_of_surrogate_pairs_arrives_whole()
    {
        var smileys = string.Concat(Enumerable.Repeat("😀", 300_000));
        var output = client.Run("chars " + smileys).Output;
        Assert.Equal(smileys, string.Concat(output.Select(m => (string?)m.Content["text"])));
    }

    [Fact]
    public void Output_of_a_background_thread_goes_to_its_own_cell()
    {
        var id = client.Execute("later 300");
        client.Reply(id);
        client.BroadcastsOf(id);
        client.Run("print next");
        var late = client.Broadcast(KernelClient.Patience)!;
        Assert.Equal("stream", late.Type);
        Assert.Equal(id, late.ParentId);
        Assert.Equal("from the background\n", (string?)late.Content["text"]);
    }

    [Fact]
    public void An_error_is_broadcast_and_aborts_what_is_queued()
    {
        var ids = new[] { client.Execute("sleep 300"), client.Execute("fail it"), client.Execute("value 1"), client.Send("history_request", HistoryOf("tail")), client.Execute("value 2") };
        Assert.Equal("ok", (string?)client.Reply(ids[0]).Content["status"]);
        var failed = client.Reply(ids[1]).Content;
        Assert.Equal("error", (string?)failed["status"]);
        Assert.Equal("TestException", (string?)failed["ename"]);
        Assert.Equal("it", (string?)failed["evalue"]);
        Assert.Equal("aborted", (string?)client.Reply(ids[2]).Content["status"]);
        Assert.Equal("ok", (string?)client.Reply(ids[3]).Content["status"]);
        Assert.Equal("aborted", (string?)client.Reply(ids[4]).Content["status"]);
        Assert.Contains(client.BroadcastsOf(ids[1]), m => m.Type == "error" && m.Content["traceback"]!.AsArray().Count == 2);
        Assert.Equal("ok", (string?)client.Run("value 3").Reply.Content["status"]);
    }

    [Fact]
    public void Without_stop_on_error_the_queue_goes_on()
    {
        var ids = new[] { client.Execute("sleep 300"), client.Execute("fail it", stopOnError: false), client.Execute("value 1") };
        Assert.Equal(["ok", "error", "ok"], ids.Select(id => (string?)client.Reply(id).Content["status"]));
    }

    [Fact]
    public void A_silent_cell_shows_nothing_and_counts_nothing()
    {
        var id = client.Execute("print hidden", silent: true);
        Assert.Equal(0, (int)client.Reply(id).Content["execution_count"]!);
        Assert.Equal(["status", "status"], client.BroadcastsOf(id).Select(m => m.Type));
        Assert.Equal(1, (int)client.Run("value 1").Reply.Content["execution_count"]!);
    }

    [Fact]
    public void User_expressions_have_a_value_or_an_error_each()
    {
        var id = client.Execute("print x", expressions: new JsonObject { ["good"] = "value 7", ["bad"] = "fail no", ["none"] = "print y" });
        var values = client.Reply(id).Content["user_expressions"]!;
        Assert.Equal("7", (string?)values["good"]!["data"]!["text/plain"]);
        Assert.Equal("TestException", (string?)values["bad"]!["ename"]);
        Assert.Equal("error", (string?)values["none"]!["status"]);
    }

    [Fact]
    public void Positions_are_code_points()
    {
        var code = "😀😀 abc";
        var reply = Ask("complete_request", new JsonObject { ["code"] = code, ["cursor_pos"] = 6 });
        Assert.Equal("abcCompleted", (string?)reply["matches"]![0]);
        Assert.Equal(3, (int)reply["cursor_start"]!);
        Assert.Equal(6, (int)reply["cursor_end"]!);
        var inspected = Ask("inspect_request", new JsonObject { ["code"] = code, ["cursor_pos"] = 2, ["detail_level"] = 0 });
        Assert.True((bool)inspected["found"]!);
        Assert.Equal("before the cursor: 😀😀", (string?)inspected["data"]!["text/plain"]);
        Assert.False((bool)Ask("inspect_request", new JsonObject { ["code"] = "", ["cursor_pos"] = 0 })["found"]!);
    }

    [Theory]
    [InlineData("if (x) {", "incomplete", "    ")]
    [InlineData("  if (x)\n  {", "incomplete", "      ")]
    [InlineData("{}", "complete", null)]
    [InlineData(")", "invalid", null)]
    public void Completeness_and_indentation(string code, string status, string? indent)
    {
        var reply = Ask("is_complete_request", new JsonObject { ["code"] = code });
        Assert.Equal(status, (string?)reply["status"]);
        Assert.Equal(indent, (string?)reply["indent"]);
    }

    [Fact]
    public void History_has_tail_range_and_search()
    {
        foreach (var code in new[] { "value 1", "print two", "value 1", "value 3" })
            client.Run(code);
        var tail = HistoryOf("tail");
        tail["n"] = 2;
        tail["output"] = true;
        Assert.Equal("""[[1,3,["value 1","1"]],[1,4,["value 3","3"]]]""", Ask("history_request", tail)["history"]!.ToJsonString());
        var range = HistoryOf("range");
        (range["session"], range["start"], range["stop"]) = (0, 2, 4);
        Assert.Equal("""[[1,2,"print two"],[1,3,"value 1"]]""", Ask("history_request", range)["history"]!.ToJsonString());
        var search = HistoryOf("search");
        (search["pattern"], search["unique"]) = ("value*", true);
        Assert.Equal("""[[1,3,"value 1"],[1,4,"value 3"]]""", Ask("history_request", search)["history"]!.ToJsonString());
        Assert.Equal("error", (string?)Ask("history_request", HistoryOf("everything"))["status"]);
    }

    [Fact]
    public void Comms_are_closed_at_once()
    {
        Assert.Empty(Ask("comm_info_request", [])["comms"]!.AsObject());
        var id = client.Send("comm_open", new JsonObject { ["comm_id"] = "c", ["target_name"] = "t", ["data"] = new JsonObject() });
        Assert.Contains(client.BroadcastsOf(id), m => m.Type == "comm_close" && (string?)m.Content["comm_id"] == "c");
    }

    [Fact]
    public void An_interrupt_stops_the_cell_and_aborts_the_queue()
    {
        var cell = client.Execute("forever");
        var next = client.Execute("value 1");
        while (client.Broadcast(KernelClient.Patience)!.Type != "stream")
            continue;
        Assert.Equal("ok", (string?)Interrupt().Content["status"]);
        Assert.Equal("Interrupted", (string?)client.Reply(cell).Content["ename"]);
        Assert.Equal("aborted", (string?)client.Reply(next).Content["status"]);
        Assert.Equal("ok", (string?)client.Run("value 2").Reply.Content["status"]);
    }

    [Fact]
    public void An_engine_that_breaks_is_an_error_of_the_cell()
    {
        Assert.Equal("InvalidTimeZoneException", (string?)client.Run("throw").Reply.Content["ename"]);
        Assert.Equal("ok", (string?)client.Run("value 2").Reply.Content["status"]);
    }

    [Fact]
    public void Bad_messages_are_dropped_and_the_kernel_lives()
    {
        var good = client.Frames("execute_request", "wrong", new JsonObject { ["code"] = "print never" });
        client.Send("execute_request", new JsonObject { ["code"] = "print never" }, signature: new byte[64]);
        client.Send("execute_request", new JsonObject { ["code"] = "print never" }, signature: []);
        client.SendFrames(["nothing"u8.ToArray()]);
        client.SendFrames([[]]);
        client.SendFrames(good.Take(4));
        client.SendFrames(["<IDS|MSG>"u8.ToArray(), [], "["u8.ToArray(), [], [], [0xff]]);
        client.Send("no_such_request", []);
        Assert.Equal("error", (string?)Ask("complete_request", new JsonObject { ["code"] = 5 })["status"]);
        Assert.Equal("error", (string?)Ask("execute_request", [])["status"]);
        var (reply, output) = client.Run("value 1");
        Assert.Equal(1, (int)reply.Content["execution_count"]!);
        Assert.Equal(["execute_result"], output.Select(m => m.Type));
    }

    [Fact]
    public void A_replayed_message_is_dropped()
    {
        var frames = client.Frames("execute_request", "first", new JsonObject { ["code"] = "value 1" });
        client.SendFrames(frames);
        client.SendFrames(frames);
        Assert.Equal(1, (int)client.Reply("first").Content["execution_count"]!);
        Assert.Equal(2, (int)client.Run("value 1").Reply.Content["execution_count"]!);
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task Shutdown_ends_the_kernel_even_in_a_running_cell(bool onControl)
    {
        client.Execute("forever");
        var id = client.Send("shutdown_request", new JsonObject { ["restart"] = true }, onControl: onControl);
        Assert.True((bool)client.Reply(id, onControl).Content["restart"]!);
        await kernel.WaitAsync(KernelClient.Patience);
        Assert.True(engine.Disposed);
    }

    [Fact]
    public async Task A_second_kernel_on_the_same_ports_says_which_port_is_taken()
    {
        var error = await Assert.ThrowsAsync<IOException>(() => JupyterKernel.RunAsync(client.ConnectionFile, () => new FakeEngine()));
        Assert.Contains("shell port 127.0.0.1:", error.Message, StringComparison.Ordinal);
    }

    private static JsonObject HistoryOf(string type) => new() { ["hist_access_type"] = type, ["output"] = false, ["raw"] = true };

    private JsonObject Ask(string type, JsonObject content) => client.Reply(client.Send(type, content)).Content;

    private Received Interrupt() => client.Reply(client.Send("interrupt_request", [], onControl: true), onControl: true);
}
