using Sparseland.IO;
using static TorchSharp.torch;

namespace Sparseland.Data;

/// <summary>
/// Reads MNIST from the four files that its authors publish, and every set that comes in the same files (Fashion-MNIST, KMNIST,
/// QMNIST): train-images-idx3-ubyte, train-labels-idx1-ubyte, t10k-images-idx3-ubyte, t10k-labels-idx1-ubyte, packed (.gz) or not.
/// </summary>
public static class MnistFolder
{
    /// <summary>Reads the training or the test images.</summary>
    /// <param name="folder">Where the files are; they are also found in its MNIST/raw, raw, MNIST and mnist.</param>
    /// <param name="train">Training images, or else test images.</param>
    /// <param name="classNames">Names of the classes; null for "0" to "9".</param>
    /// <returns>Images [samples, rows, columns], 0 to 1.</returns>
    /// <exception cref="DirectoryNotFoundException">There is no such folder.</exception>
    /// <exception cref="FileNotFoundException">A file is missing; the message says which and where it was looked for.</exception>
    /// <exception cref="InvalidDataException">A file is malformed or truncated, or images and labels do not fit.</exception>
    public static LabelledImages Load(string folder, bool train, IReadOnlyList<string>? classNames = null)
    {
        ArgumentException.ThrowIfNullOrWhiteSpace(folder);
        if (!Directory.Exists(folder)) throw new DirectoryNotFoundException($"There is no folder {folder}.");
        string part = train ? "train" : "t10k", images = Find(folder, $"{part}-images", 3), labels = Find(folder, $"{part}-labels", 1);
        IdxFile pixels = IdxFile.Read(images), classes = IdxFile.Read(labels);
        classNames ??= GlyphDigits.ClassNames;
        if (pixels.Shape.Count != 3) throw new InvalidDataException($"{images}: images have three dimensions, these have {pixels.Shape.Count}.");
        if (classes.Shape.Count != 1 || classes.Shape[0] != pixels.Shape[0])
            throw new InvalidDataException($"{labels}: [{string.Join(", ", classes.Shape)}] labels do not fit the {pixels.Shape[0]} images of {images}.");
        int largest = classes.Values.Max();
        if (largest >= classNames.Count) throw new InvalidDataException($"{labels}: there is a label {largest}, but there are only {classNames.Count} classes.");

        Tensor all = ByteImages.ToUnit(pixels.Values, [.. pixels.Shape]);
        return new(all, tensor(Array.ConvertAll(classes.Values, b => (long)b)), classNames);
    }

    private static string Find(string folder, string stem, int dimensions)
    {
        // The second spelling is what some unpackers make of the first.
        string[] names = [$"{stem}-idx{dimensions}-ubyte", $"{stem}.idx{dimensions}-ubyte"];
        string[] places = [folder, Path.Combine(folder, "MNIST", "raw"), Path.Combine(folder, "raw"), Path.Combine(folder, "MNIST"), Path.Combine(folder, "mnist")];
        return places.SelectMany(place => names.SelectMany(name => new[] { Path.Combine(place, name), Path.Combine(place, name + ".gz") })).FirstOrDefault(File.Exists)
            ?? throw new FileNotFoundException($"There is no {names[0]} or {names[0]}.gz in {folder} or in its MNIST/raw, raw, MNIST or mnist.", names[0]);
    }
}
