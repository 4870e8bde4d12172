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
                Console.SetIn(new RefusedInput(Console.In));
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

    private sealed class RefusedInput(TextReader process) : TextReader
    {
        public override int Read() => Source().Read();

        public override int Peek() => Source().Peek();

        public override string? ReadLine() => Source().ReadLine();

        public override int Read(char[] buffer, int index, int count) => Source().Read(buffer, index, count);

        private TextReader Source() => Flow.Value is null
            ? process
            : throw new NotSupportedException("A notebook cell cannot read from standard input. Put the value in a variable of the cell instead.");
    }
}
