using System.Globalization;
using Sparseland.IO;
using Sparseland.Models;
using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Sparseland.FineTuning;

/// <summary>How the values of an adapter meet the weights.</summary>
public enum AdapterMeaning
{
    /// <summary>They are added (S2FT).</summary>
    Added,

    /// <summary>They take the weights' place (SaRA).</summary>
    Replacing,
}

/// <summary>
/// The one file of all sparse fine-tunings: safetensors with "NAME.indices" (int64) and "NAME.values" for each parameter, and in the notes the method, whether values are added or take the place of weights, and of each
/// parameter its form, shape and the SHA-256 of the frozen base, so that an adapter never meets another base unseen.
/// </summary>
public sealed class SparseAdapterFile : IDisposable
{
    private const string Key = "sparseland.adapter", Version = "1";

    /// <summary>An adapter that takes updates over.</summary>
    /// <param name="method">Who made it: "s2ft", "sara".</param>
    /// <param name="meaning">Added or replacing.</param>
    /// <param name="updates">One per parameter; they belong to the adapter from now on.</param>
    /// <exception cref="ArgumentException">None, or two of one parameter.</exception>
    public SparseAdapterFile(string method, AdapterMeaning meaning, IReadOnlyList<SparseUpdate> updates)
    {
        ArgumentException.ThrowIfNullOrEmpty(method);
        ArgumentNullException.ThrowIfNull(updates);
        if (!Enum.IsDefined(meaning)) throw new ArgumentOutOfRangeException(nameof(meaning), meaning, "meaning is Added or Replacing.");
        if (updates.Count == 0) throw new ArgumentException("There is no update.", nameof(updates));
        if (updates.GroupBy(u => u.Parameter).FirstOrDefault(g => g.Count() > 1) is { } twice) throw new ArgumentException($"{twice.Key} has two updates; fuse them first.", nameof(updates));
        (Method, Meaning, Updates) = (method, meaning, [.. updates]);
    }

    /// <summary>Who made it.</summary>
    public string Method { get; }

    /// <summary>Whether values are added or take the weights' place.</summary>
    public AdapterMeaning Meaning { get; }

    /// <summary>The updates; they belong to the adapter.</summary>
    public IReadOnlyList<SparseUpdate> Updates { get; }

    /// <summary>Writes it.</summary>
    /// <param name="path">The file.</param>
    /// <exception cref="IOException">The file cannot be written.</exception>
    public void Save(string path)
    {
        ArgumentException.ThrowIfNullOrEmpty(path);
        using DisposeScope scope = NewDisposeScope();
        var tensors = new Dictionary<string, Tensor>();
        var notes = new Dictionary<string, string> { [Key] = Version, ["method"] = Method, ["meaning"] = Meaning.ToString() };
        foreach (SparseUpdate update in Updates)
        {
            tensors[update.Parameter + ".indices"] = tensor((long[])[.. update.Indices]);
            tensors[update.Parameter + ".values"] = update.Values;
            notes[update.Parameter] = $"{update.Form} {string.Join("x", update.Shape.Select(s => s.ToString(CultureInfo.InvariantCulture)))} {update.BaseHash}";
        }

        SafeTensors.Save(path, tensors, notes);
    }

    /// <summary>Reads one.</summary>
    /// <param name="path">The file.</param>
    /// <exception cref="InvalidDataException">It is no such file, or damaged; the message says where.</exception>
    /// <exception cref="IOException">It cannot be read.</exception>
    public static SparseAdapterFile Load(string path)
    {
        using SafeTensorsFile file = SafeTensors.Open(path);
        if (!file.Metadata.TryGetValue(Key, out string? version) || version != Version) throw new InvalidDataException($"{path} is no adapter of version {Version}: the note \"{Key}\" is {(version is null ? "missing" : $"\"{version}\"")}.");
        if (!file.Metadata.TryGetValue("method", out string? method) || !Enum.TryParse(file.Metadata.GetValueOrDefault("meaning"), out AdapterMeaning meaning) || !Enum.IsDefined(meaning))
            throw new InvalidDataException($"{path} does not say its method and whether its values are {AdapterMeaning.Added} or {AdapterMeaning.Replacing}.");
        var updates = new List<SparseUpdate>();
        try
        {
            string[] parameters = [.. file.Names.Where(n => n.EndsWith(".values", StringComparison.Ordinal)).Select(n => n[..^".values".Length]).Order(StringComparer.Ordinal)];
            HashSet<string> known = [.. parameters.SelectMany(n => new[] { n + ".values", n + ".indices" })];
            if (file.Names.FirstOrDefault(n => !known.Contains(n)) is { } stray) throw new InvalidDataException($"{path} holds {stray}, which belongs to no values: the update of a parameter would be lost.");
            foreach (string name in parameters) updates.Add(Read(file, name));
            return new(method, meaning, updates);
        }
        catch (Exception e)
        {
            foreach (SparseUpdate update in updates) update.Dispose();
            if (e is ArgumentException or KeyNotFoundException) throw new InvalidDataException($"{path}: {e.Message}", e);
            throw;
        }
    }

    /// <summary>The parameters of a network that it is about, after checking that they are its base.</summary>
    /// <param name="model">The network.</param>
    /// <returns>In the order of <see cref="Updates"/>.</returns>
    /// <exception cref="ArgumentException">A parameter is missing, of another shape, tied, or not the one that the adapter was trained on; it is named.</exception>
    public IReadOnlyList<Parameter> ParametersIn(nn.Module model)
    {
        ArgumentNullException.ThrowIfNull(model);
        Dictionary<string, Parameter> all = model.named_parameters().ToDictionary(p => p.name, p => p.parameter);
        var owners = new WeightOwners(model);
        return [.. Updates.Select(update =>
        {
            if (!all.TryGetValue(update.Parameter, out Parameter? parameter)) throw new ArgumentException($"The network has no parameter {update.Parameter}.", nameof(model));
            if (!parameter.shape.SequenceEqual(update.Shape)) throw new ArgumentException($"{update.Parameter} is [{string.Join(", ", parameter.shape)}] in the network and [{string.Join(", ", update.Shape)}] in the adapter.", nameof(model));
            if (parameter.dtype != update.Values.dtype) throw new ArgumentException($"{update.Parameter} is {parameter.dtype} in the network and {update.Values.dtype} in the adapter.", nameof(model));
            if (owners.Others(parameter, update.Parameter) is { Count: > 0 } others) throw new ArgumentException($"{update.Parameter} is tied: it is also {string.Join(" and ", others)}.", nameof(model));
            if (SparseUpdate.HashOf(parameter) != update.BaseHash)
                throw new ArgumentException($"{update.Parameter} is not the weight that the adapter was trained on (another hash): the network is another one, was fine-tuned since, or has an adapter applied already.", nameof(model));
            return parameter;
        })];
    }

    /// <summary>Frees the updates.</summary>
    public void Dispose()
    {
        foreach (SparseUpdate update in Updates) update.Dispose();
    }

    /// <inheritdoc/>
    public override string ToString() => $"adapter of {Method}: {Updates.Count} parameters, {Updates.Sum(u => u.Values.numel())} values {(Meaning == AdapterMeaning.Added ? "added" : "replacing")}";

    private static SparseUpdate Read(SafeTensorsFile file, string name)
    {
        using DisposeScope scope = NewDisposeScope();
        if (!file.Metadata.TryGetValue(name, out string? note) || note.Split(' ') is not [var form, var shape, var hash] || !Enum.TryParse(form, out UpdateForm kind))
            throw new InvalidDataException($"{file.Path}: {name} has no note of form, shape and hash.");
        long[] sizes = [.. shape.Split('x').Select(s => long.TryParse(s, NumberStyles.None, CultureInfo.InvariantCulture, out long size) ? size : throw new InvalidDataException($"{file.Path}: \"{shape}\" is no shape of {name}."))];
        Tensor indices = file.Load(name + ".indices"), values = file.Load(name + ".values");
        if (indices.dtype != ScalarType.Int64 || indices.dim() != 1) throw new InvalidDataException($"{file.Path}: the indices of {name} are {indices.dtype} [{string.Join(", ", indices.shape)}]; int64 [k] was expected.");
        return new(name, sizes, kind, indices.data<long>().ToArray(), values, hash);
    }
}
