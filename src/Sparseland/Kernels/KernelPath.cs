using System.Runtime.Intrinsics.X86;

namespace Sparseland.Kernels;

/// <summary>Which instructions a product of a sparse matrix takes; the tests run all that the machine has.</summary>
internal enum KernelPath
{
    /// <summary>One number at a time.</summary>
    Scalar,

    /// <summary>Eight at a time: AVX2.</summary>
    Vector256,

    /// <summary>Sixteen at a time: AVX-512 with its foundation instructions alone.</summary>
    Vector512,
}

/// <summary>What the machine has.</summary>
internal static class KernelPaths
{
    /// <summary>The widest path that runs here.</summary>
    public static KernelPath Widest => Avx512F.IsSupported ? KernelPath.Vector512 : Avx2.IsSupported && Fma.IsSupported ? KernelPath.Vector256 : KernelPath.Scalar;

    /// <summary>All paths that run here.</summary>
    public static IEnumerable<KernelPath> All => Enum.GetValues<KernelPath>().Where(path => path <= Widest);
}
