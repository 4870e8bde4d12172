using System.Runtime.InteropServices;
using Sparseland.IO;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Kernels;

/// <summary>Arrays of one matrix in a safetensors file, under a common prefix; every misfit is an error of the file, named.</summary>
internal sealed class ArrayReader(SafeTensorsFile file, string prefix)
{
    /// <summary>An array of one dimension.</summary>
    /// <typeparam name="T">byte, ushort (kept as I16), int, Half or float.</typeparam>
    /// <param name="name">Its name behind the prefix.</param>
    /// <param name="length">How long it must be; null for any length.</param>
    /// <exception cref="InvalidDataException">It is missing, of another type or of another length.</exception>
    public T[] Get<T>(string name, long? length = null)
        where T : unmanaged
    {
        string whole = prefix + name;
        if (!file.Names.Contains(whole)) throw new InvalidDataException($"{file.Path}: '{whole}' is missing.");
        SafeTensorInfo info = file.Info(whole);
        SafeTensorType wanted = default(T) switch { byte => SafeTensorType.U8, ushort => SafeTensorType.I16, int => SafeTensorType.I32, Half => SafeTensorType.F16, _ => SafeTensorType.F32 };
        if (info.Type != wanted || info.Shape.Count != 1) throw new InvalidDataException($"{file.Path}: '{info}' must be one row of {wanted}.");
        if (length is { } fit && info.Shape[0] != fit) throw new InvalidDataException($"{file.Path}: '{whole}' has {info.Shape[0]} numbers, but {fit} are needed.");
        return MemoryMarshal.Cast<byte, T>(file.ReadBytes(whole)).ToArray();
    }

    /// <summary>What does not fit in the arrays, said of the file.</summary>
    public InvalidDataException Misfit(string text, Exception? error = null) => new($"{file.Path}: '{prefix}': {text}", error);

    /// <summary>Runs a check that speaks of arguments, and says its refusal of the file.</summary>
    public T Checked<T>(Func<T> make)
    {
        try
        {
            return make();
        }
        catch (ArgumentException error)
        {
            throw Misfit(error.Message, error);
        }
    }
}

/// <summary>Tensors of arrays that libtorch has no type for.</summary>
internal static class ArrayTensors
{
    /// <summary>Unsigned 16-bit numbers in the bits of signed ones.</summary>
    public static Tensor Of(ushort[] values) => tensor(MemoryMarshal.Cast<ushort, short>(values).ToArray());
}
