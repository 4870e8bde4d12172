using System.Text;

namespace Sparseland.Retrieval.Formats;

/// <summary>Lines of a text file with their numbers: UTF-8 with or without a byte-order mark, any line ends, progress by bytes.</summary>
internal static class TextLines
{
    private static readonly UTF8Encoding s_strict = new(encoderShouldEmitUTF8Identifier: false, throwOnInvalidBytes: true);

    /// <summary>The lines that are not blank, numbered from 1.</summary>
    /// <exception cref="InvalidDataException">The bytes are no UTF-8.</exception>
    public static IEnumerable<(int Number, string Text)> Read(string path, IProgress<ProgressReport>? progress, CancellationToken cancel)
    {
        using FileStream stream = Open(path);
        using var reader = new StreamReader(stream, s_strict, detectEncodingFromByteOrderMarks: true, 1 << 16);
        string name = Path.GetFileName(path);
        for (int number = 1; Next(reader, path, number) is { } line; number++)
        {
            cancel.ThrowIfCancellationRequested();
            if ((number & 4095) == 0) progress?.Report(new(stream.Position, stream.Length, name));
            if (!string.IsNullOrWhiteSpace(line)) yield return (number, line);
        }

        progress?.Report(new(stream.Length, stream.Length, name));
    }

    /// <summary>The whole text of a file.</summary>
    /// <exception cref="InvalidDataException">The bytes are no UTF-8.</exception>
    public static string ReadAll(string path, CancellationToken cancel)
    {
        using FileStream stream = Open(path);
        using var reader = new StreamReader(stream, s_strict, detectEncodingFromByteOrderMarks: true, 1 << 16);
        var text = new StringBuilder((int)Math.Min(stream.Length, 1 << 30));
        char[] part = new char[1 << 16];
        try
        {
            for (int read; (read = reader.Read(part)) > 0;)
            {
                cancel.ThrowIfCancellationRequested();
                text.Append(part, 0, read);
            }
        }
        catch (DecoderFallbackException error)
        {
            throw new InvalidDataException($"'{path}' is no UTF-8 text.", error);
        }

        return text.ToString();
    }

    /// <summary>Writes a file whole or not at all.</summary>
    public static void Write(string path, Action<StreamWriter> write) => IO.ReplacedFile.Write(path, stream =>
    {
        using var writer = new StreamWriter(stream, s_strict, 1 << 16, leaveOpen: true) { NewLine = "\n" };
        write(writer);
    });

    private static FileStream Open(string path) => new(path, FileMode.Open, FileAccess.Read, FileShare.Read, 1 << 16, FileOptions.SequentialScan);

    private static string? Next(StreamReader reader, string path, int number)
    {
        try
        {
            return reader.ReadLine();
        }
        catch (DecoderFallbackException error)
        {
            throw new InvalidDataException($"'{path}' is no UTF-8 text at or behind line {number}.", error);
        }
    }
}
