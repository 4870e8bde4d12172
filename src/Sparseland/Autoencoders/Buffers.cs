using static TorchSharp.torch;

namespace Sparseland.Autoencoders;

/// <summary>Numbers that belong to no weight, held in buffers so that checkpoints keep them: Float64 at first, and whatever type the module is given later.</summary>
internal static class Buffers
{
    /// <summary>A copy of a buffer's numbers.</summary>
    public static double[] Doubles(Tensor buffer)
    {
        using Tensor wide = buffer.to(ScalarType.Float64, copy: true), here = wide.cpu();
        return [.. here.data<double>()];
    }

    /// <summary>Puts numbers into a buffer.</summary>
    public static void Fill(Tensor buffer, double[] values)
    {
        using IDisposable off = no_grad();
        using Tensor all = tensor(values);
        buffer.copy_(all);
    }
}
