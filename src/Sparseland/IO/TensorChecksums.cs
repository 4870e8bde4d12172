using System.Globalization;
using System.Text;

namespace Sparseland.IO;

/// <summary>
/// The note "sparseland.checksum" of files that this library writes: "crc32c", the header's checksum and one of each tensor in the order
/// of the data, as eight hexadecimal digits each. The header's own is taken over the file's bytes before the data, with zeros in its place.
/// </summary>
internal sealed class TensorChecksums
{
    internal const string Key = "sparseland.checksum";
    private const string Method = "crc32c";
    private const int Digits = 8;
    private const string Advice = "the file is damaged, or another program changed it and kept the note '" + Key + "', which then must go";

    private readonly uint[] _tensors;

    private TensorChecksums(uint[] tensors) => _tensors = tensors;

    /// <summary>The note with zeros for digits, to be filled in when the data are written.</summary>
    internal static string Empty(int tensors) => Method + string.Concat(Enumerable.Repeat(" " + new string('0', Digits), tensors + 1));

    /// <summary>Writes the tensors' checksums and then the header's into a header with the empty note.</summary>
    internal static void Fill(Span<byte> header, ReadOnlySpan<uint> tensors)
    {
        int place = header.IndexOf(Encoding.ASCII.GetBytes($"\"{Key}\":\"{Method} ")) + Key.Length + Method.Length + 5;
        for (int i = 0; i < tensors.Length; i++) Put(header, place + ((i + 1) * (Digits + 1)), tensors[i]);
        Put(header, place, Crc32C.Of(header));
    }

    /// <summary>Reads a note and checks the header with it.</summary>
    /// <param name="note">The note.</param>
    /// <param name="place">Where it stands in <paramref name="header"/>; -1 where it does not stand there as it is.</param>
    /// <param name="header">The bytes before the data.</param>
    /// <param name="tensors">Number of tensors.</param>
    /// <param name="path">The file.</param>
    internal static TensorChecksums Read(string note, int place, ReadOnlySpan<byte> header, int tensors, string path)
    {
        string[] parts = note.Split(' ');
        if (parts[0] != Method)
            throw SafeTensorsHeader.Bad(path, $"its checksums are '{parts[0]}', which is not known here; '{Method}' is");
        var values = new uint[parts.Length - 1];
        for (int i = 0; i < values.Length; i++)
        {
            if (!uint.TryParse(parts[i + 1], NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture, out values[i]) || parts[i + 1] != Text(values[i]))
                throw SafeTensorsHeader.Bad(path, $"its note '{Key}' has something else than numbers of {Digits} lower-case hexadecimal digits: {Advice}");
        }

        if (values.Length != tensors + 1)
            throw SafeTensorsHeader.Bad(path, $"it has {values.Length - 1} checksums for {tensors} tensors: {Advice}");
        byte[] cleared = header.ToArray();
        if (place >= 0) cleared.AsSpan(place + Method.Length + 1, Digits).Fill((byte)'0');
        if (place < 0 || Crc32C.Of(cleared) != values[0])
            throw SafeTensorsHeader.Bad(path, $"its header does not match its checksum: {Advice}");
        return new TensorChecksums(values[1..]);
    }

    /// <summary>Compares a tensor with its checksum.</summary>
    internal void Check(int index, uint found, SafeTensorInfo tensor, string path)
    {
        if (found != _tensors[index])
            throw SafeTensorsHeader.Bad(path, $"tensor '{tensor.Name}' has the checksum {Text(found)} instead of {Text(_tensors[index])}: {Advice}");
    }

    private static void Put(Span<byte> header, int place, uint value) => Encoding.ASCII.GetBytes(Text(value), header.Slice(place, Digits));

    private static string Text(uint value) => value.ToString("x8", CultureInfo.InvariantCulture);
}
