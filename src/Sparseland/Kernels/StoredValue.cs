namespace Sparseland.Kernels;

/// <summary>How a compressed matrix keeps its values; sums are float32 always.</summary>
public enum StoredValue
{
    /// <summary>float32: as they are.</summary>
    Single,

    /// <summary>float16: 11 bits of precision, magnitudes up to 65,504.</summary>
    Half,

    /// <summary>bfloat16: 8 bits of precision, the range of float32.</summary>
    BFloat16,
}
