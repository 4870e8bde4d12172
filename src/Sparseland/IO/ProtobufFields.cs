using System.Text;

namespace Sparseland.IO;

/// <summary>
/// The fields of one protobuf message in their order (https://protobuf.dev/programming-guides/encoding): a number, and a value that is a
/// whole number, four or eight bytes, or a run of bytes (text, numbers packed together, or a message of its own). Nothing is copied.
/// </summary>
internal sealed class ProtobufFields(ReadOnlyMemory<byte> message, string source)
{
    private const int Varint = 0, EightBytes = 1, Run = 2, FourBytes = 5;
    private int _position;

    /// <summary>Number of the present field.</summary>
    public int Field { get; private set; }

    /// <summary>The value, where it is a whole number.</summary>
    public long Number { get; private set; }

    /// <summary>The value's bytes, where it is none.</summary>
    public ReadOnlyMemory<byte> Bytes { get; private set; }

    /// <summary>The value as text.</summary>
    public string Text => Encoding.UTF8.GetString(Bytes.Span);

    /// <summary>The value as a message.</summary>
    public ProtobufFields Message => new(Bytes, source);

    /// <summary>Goes to the next field; false behind the last.</summary>
    /// <exception cref="InvalidDataException">The message is cut or is no protobuf.</exception>
    public bool Next()
    {
        if (_position == message.Length) return false;
        ulong key = ReadVarint();
        (Field, Number, Bytes) = ((int)(key >> 3), 0, default);
        if (Field == 0) throw Bad("a field has the number 0");
        switch ((int)(key & 7))
        {
            case Varint:
                Number = unchecked((long)ReadVarint());
                break;
            case Run:
                Bytes = Take(ReadVarint());
                break;
            case FourBytes:
                Bytes = Take(4);
                break;
            case EightBytes:
                Bytes = Take(8);
                break;
            default:
                throw Bad($"field {Field} is of the unknown kind {key & 7}");
        }

        return true;
    }

    /// <summary>The whole numbers of a repeated field: one, or many packed together.</summary>
    public IEnumerable<long> Numbers()
    {
        if (Bytes.IsEmpty) return [Number];
        var packed = new ProtobufFields(Bytes, source);
        var numbers = new List<long>();
        while (packed._position < Bytes.Length) numbers.Add(unchecked((long)packed.ReadVarint()));
        return numbers;
    }

    private ulong ReadVarint()
    {
        ulong value = 0;
        for (int shift = 0; shift < 64; shift += 7)
        {
            if (_position == message.Length) throw Bad("a number is cut");
            byte part = message.Span[_position++];
            value |= (ulong)(part & 0x7F) << shift;
            if (part < 0x80) return value;
        }

        throw Bad("a number has more than ten bytes");
    }

    private ReadOnlyMemory<byte> Take(ulong length)
    {
        if (length > (ulong)(message.Length - _position)) throw Bad($"field {Field} has {length} bytes, but {message.Length - _position} are left");
        ReadOnlyMemory<byte> bytes = message.Slice(_position, (int)length);
        _position += (int)length;
        return bytes;
    }

    private InvalidDataException Bad(string reason) => new($"{source} is no ONNX model, or is damaged: {reason}.");
}
