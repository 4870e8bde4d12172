namespace Sparseland.Kernel.Jupyter;

/// <summary>Console.In of a kernel: front ends offer no terminal, so reading says that at once instead of waiting for ever.</summary>
internal sealed class RefusingReader : TextReader
{
    private const string Reason =
        "This kernel does not read input: Console.ReadLine and the like have no terminal in a notebook. Put the value in a variable instead.";

    public override int Peek() => throw new NotSupportedException(Reason);

    public override int Read() => throw new NotSupportedException(Reason);

    public override int Read(char[] buffer, int index, int count) => throw new NotSupportedException(Reason);

    public override string ReadLine() => throw new NotSupportedException(Reason);

    public override string ReadToEnd() => throw new NotSupportedException(Reason);
}
