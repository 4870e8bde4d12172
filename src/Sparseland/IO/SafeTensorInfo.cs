using static TorchSharp.torch;

namespace Sparseland.IO;

/// <summary>Element types of safetensors files, by increasing alignment as the format's own writer orders them.</summary>
public enum SafeTensorType
{
    /// <summary>BOOL: one byte, 0 or 1.</summary>
    Bool,

    /// <summary>U8.</summary>
    U8,

    /// <summary>I8.</summary>
    I8,

    /// <summary>F8_E5M2; raw bytes only.</summary>
    F8E5M2,

    /// <summary>F8_E4M3; raw bytes only.</summary>
    F8E4M3,

    /// <summary>F8_E8M0; raw bytes only.</summary>
    F8E8M0,

    /// <summary>I16.</summary>
    I16,

    /// <summary>U16; raw bytes only.</summary>
    U16,

    /// <summary>F16.</summary>
    F16,

    /// <summary>BF16.</summary>
    BF16,

    /// <summary>I32.</summary>
    I32,

    /// <summary>U32; raw bytes only.</summary>
    U32,

    /// <summary>F32.</summary>
    F32,

    /// <summary>C64: two float32.</summary>
    C64,

    /// <summary>F64.</summary>
    F64,

    /// <summary>I64.</summary>
    I64,

    /// <summary>U64; raw bytes only.</summary>
    U64,
}

/// <summary>What a safetensors file says about one tensor.</summary>
/// <param name="Name">Its name.</param>
/// <param name="Type">Its element type.</param>
/// <param name="Shape">Its shape; empty for a scalar.</param>
/// <param name="Offset">First byte in the file's data section.</param>
/// <param name="ByteLength">Length in bytes: elements times the element's size.</param>
public sealed record SafeTensorInfo(string Name, SafeTensorType Type, IReadOnlyList<long> Shape, long Offset, long ByteLength)
{
    /// <summary>Name, type and shape in one line.</summary>
    public override string ToString() => $"{Name}: {SafeTensorTypes.NameOf(Type)} [{string.Join(", ", Shape)}]";
}

/// <summary>Names and sizes of the element types, and what TorchSharp calls them.</summary>
internal static class SafeTensorTypes
{
    private static readonly (SafeTensorType Type, string Name, int Size, ScalarType? Torch)[] s_all =
    [
        (SafeTensorType.Bool, "BOOL", 1, ScalarType.Bool),
        (SafeTensorType.U8, "U8", 1, ScalarType.Byte),
        (SafeTensorType.I8, "I8", 1, ScalarType.Int8),
        (SafeTensorType.F8E5M2, "F8_E5M2", 1, null),
        (SafeTensorType.F8E4M3, "F8_E4M3", 1, null),
        (SafeTensorType.F8E8M0, "F8_E8M0", 1, null),
        (SafeTensorType.I16, "I16", 2, ScalarType.Int16),
        (SafeTensorType.U16, "U16", 2, null),
        (SafeTensorType.F16, "F16", 2, ScalarType.Float16),
        (SafeTensorType.BF16, "BF16", 2, ScalarType.BFloat16),
        (SafeTensorType.I32, "I32", 4, ScalarType.Int32),
        (SafeTensorType.U32, "U32", 4, null),
        (SafeTensorType.F32, "F32", 4, ScalarType.Float32),
        (SafeTensorType.C64, "C64", 8, ScalarType.ComplexFloat32),
        (SafeTensorType.F64, "F64", 8, ScalarType.Float64),
        (SafeTensorType.I64, "I64", 8, ScalarType.Int64),
        (SafeTensorType.U64, "U64", 8, null),
    ];

    internal static string NameOf(SafeTensorType type) => s_all[(int)type].Name;

    internal static int SizeOf(SafeTensorType type) => s_all[(int)type].Size;

    /// <summary>TorchSharp's type, or null where it has none.</summary>
    internal static ScalarType? TorchOf(SafeTensorType type) => s_all[(int)type].Torch;

    internal static SafeTensorType? Parse(string name)
    {
        int i = Array.FindIndex(s_all, row => row.Name == name);
        return i < 0 ? null : s_all[i].Type;
    }

    internal static SafeTensorType? Of(ScalarType type)
    {
        int i = Array.FindIndex(s_all, row => row.Torch == type);
        return i < 0 ? null : s_all[i].Type;
    }
}
