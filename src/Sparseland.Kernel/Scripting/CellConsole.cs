using System.Text;

namespace Sparseland.Kernel.Scripting;

/// <summary>
/// Gives each running cell its own standard streams: what a cell writes through <see cref="Console"/> goes to the
/// <see cref="ICellOutput"/> of its own flow of execution, everything else to the process's streams.
/// </summary>
internal sealed class CellConsole : TextWriter
{
    private static readonly AsyncLocal<StoppableOutput?> Flow = new();
    private static readonly Lock Installation = new();
    private static volatile bool installed;

    private readonly string name;
    private readonly TextWriter process;

    private CellConsole(string name, TextWriter process)
    {
        this.name = name;
        this.process = process;
    }

    public override Encoding Encoding => Encoding.UTF8;

    /// <summary>Where this flow of execution writes; null for the process's own streams.</summary>
    public static StoppableOutput? Current => Flow.Value;

    /// <summary>Sends the console of this flow of execution, and of what it starts, to <paramref name="output"/>.</summary>
    public static void Enter(StoppableOutput? output)
    {
        if (!installed)
        {
            Install();
        }

        Flow.Value = output;
    }

    /// <summary>Writes to the process's own error stream, for what no cell can show. Throws nothing: there is nobody left to tell.</summary>
    public static void WriteToProcess(string text)
    {
        try
        {
            using var stream = Console.OpenStandardError();
            stream.Write(System.Text.Encoding.UTF8.GetBytes(text));
        }
        catch (IOException)
        {
            // The stream is closed.
        }
    }

    private static void Install()
    {
        lock (Installation)
        {
            if (!installed)
            {
                Console.SetOut(new CellConsole("stdout", Console.Out));
                Console.SetError(new CellConsole("stderr", Console.Error));
                Console.SetIn(new CellInput(Console.In));
                installed = true;
            }
        }
    }

    public override void Write(char value) => Write(value.ToString());

    public override void Write(char[] buffer, int index, int count) => Write(new string(buffer, index, count));

    public override void Write(ReadOnlySpan<char> buffer) => Write(new string(buffer));

    public override void Write(string? value)
    {
        Flow.Value?.ThrowIfStopped();
        if (string.IsNullOrEmpty(value))
        {
            return;
        }

        if (Flow.Value is { } output)
        {
            output.Stream(name, value);
        }
        else
        {
            process.Write(value);
        }
    }

    // One call, one piece: a line must not be torn apart by another thread's.
    public override void WriteLine(string? value) => Write(value + CoreNewLine[^1]);

    public override void WriteLine() => Write("\n");

    public override void Flush()
    {
        Flow.Value?.ThrowIfStopped();
        if (Flow.Value is null)
        {
            process.Flush();
        }
    }

    /// <summary>Reads what the user of the cell answers, a line at a time; outside cells the process's own input.</summary>
    private sealed class CellInput(TextReader process) : TextReader
    {
        // What is left of the last answer: Read takes characters, ReadLine the rest.
        private string rest = "";

        public override string? ReadLine()
        {
            if (Flow.Value is null) return process.ReadLine();
            string line = Line().TrimEnd('\n');
            rest = "";
            return line;
        }

        public override int Peek() => Flow.Value is null ? process.Peek() : Line()[0];

        public override int Read()
        {
            if (Flow.Value is null) return process.Read();
            char first = Line()[0];
            rest = rest[1..];
            return first;
        }

        public override int Read(char[] buffer, int index, int count)
        {
            if (Flow.Value is null) return process.Read(buffer, index, count);
            if (count == 0) return 0;
            string line = Line();
            int taken = Math.Min(count, line.Length);
            line.CopyTo(0, buffer, index, taken);
            rest = line[taken..];
            return taken;
        }

        private string Line() => rest.Length > 0 ? rest : rest = Flow.Value!.Ask("", isPassword: false, CancellationToken.None) + "\n";
    }
}
