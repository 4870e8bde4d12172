using System.Globalization;
using System.Runtime.CompilerServices;
using System.Text;

namespace Sparseland.Notebooks.Hosting;

/// <summary>
/// Takes the text of a value while its formatters write it, and stops them where no reader would go on: a list that contains itself, a tree
/// whose nodes know their parents. Formatters limit the depth of objects, but not that of sequences, and a stack that overflows ends the process.
/// </summary>
/// <param name="most">Characters that are taken.</param>
internal sealed class BoundedText(int most) : StringWriter(CultureInfo.InvariantCulture)
{
    // Objects end at a depth of 6; sequences within them add a level or two.
    private const int Deepest = 20;
    private Func<int> depth = () => 0;

    /// <summary>The text came to its end, or the value is nested deeper than the stack bears.</summary>
    internal sealed class EndOfTextException(string message) : Exception(message);

    /// <summary>Looks at how deeply nested the value is that is being written.</summary>
    public void Follow(Func<int> nesting) => depth = nesting;

    public override void Write(char value)
    {
        MakeRoom(1);
        GetStringBuilder().Append(value);
    }

    public override void Write(string? value) => Write(value.AsSpan());

    public override void Write(char[] buffer, int index, int count) => Write(buffer.AsSpan(index, count));

    public override void Write(ReadOnlySpan<char> buffer)
    {
        MakeRoom(buffer.Length);
        GetStringBuilder().Append(buffer);
    }

    public override void Write(StringBuilder? value) => Write(value?.ToString());

    private void MakeRoom(int count)
    {
        if (GetStringBuilder().Length + count > most) throw new EndOfTextException("its text is too long; a value that contains itself has no end");
        if (depth() > Deepest) throw new EndOfTextException("it is nested too deeply; a value that contains itself has no end");
        if (!RuntimeHelpers.TryEnsureSufficientExecutionStack()) throw new EndOfTextException("it is nested too deeply; a value that contains itself has no end");
    }
}
