using System.Text;

namespace Sparseland.Tests.IO;

/// <summary>Writes protobuf messages, as small ONNX files are made of.</summary>
internal sealed class Protobuf
{
    private readonly MemoryStream _bytes = new();

    public byte[] Bytes => _bytes.ToArray();

    public Protobuf Number(int field, long value)
    {
        Varint((ulong)field << 3);
        Varint(unchecked((ulong)value));
        return this;
    }

    public Protobuf Run(int field, ReadOnlySpan<byte> value)
    {
        Varint(((ulong)field << 3) | 2);
        Varint((ulong)value.Length);
        _bytes.Write(value);
        return this;
    }

    public Protobuf Text(int field, string value) => Run(field, Encoding.UTF8.GetBytes(value));

    public Protobuf Message(int field, Protobuf value) => Run(field, value.Bytes);

    public Protobuf FourBytes(int field, float value)
    {
        Varint(((ulong)field << 3) | 5);
        _bytes.Write(BitConverter.GetBytes(value));
        return this;
    }

    private void Varint(ulong value)
    {
        for (; value > 0x7F; value >>= 7) _bytes.WriteByte((byte)(value | 0x80));
        _bytes.WriteByte((byte)value);
    }
}
