using TorchSharp;

namespace Sparseland.Coding;

/// <summary>Finds codes of many samples against one dictionary. Dictionary learners take any of these.</summary>
public interface ISparseCoder
{
    /// <summary>Name as the field knows it.</summary>
    string Name { get; }

    /// <summary>The codes [samples, atoms], with exact zeros; a new tensor.</summary>
    /// <param name="X">[samples, features].</param>
    /// <param name="dictionary">D [atoms, features] of the same type.</param>
    /// <param name="initial">Codes to start from, for coders that iterate; the others ignore it. Null, the default, for zeros.</param>
    /// <param name="cancel">Checked now and then.</param>
    /// <exception cref="ArgumentException">Shapes, types or values do not fit.</exception>
    torch.Tensor Codes(torch.Tensor X, torch.Tensor dictionary, torch.Tensor? initial = null, CancellationToken cancel = default);

    /// <summary>The penalty part of the objective at some codes, summed; 0 for coders that constrain instead of penalizing.</summary>
    /// <param name="codes">[samples, atoms].</param>
    double PenaltyOf(torch.Tensor codes);
}
