using System.IO.MemoryMappedFiles;
using Microsoft.Win32.SafeHandles;
using Sparseland.Tensors;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.IO;

/// <summary>
/// A safetensors file open for reading. The header is read and checked at once, the data only when a tensor is asked
/// for: it is mapped, and copied once, straight into the tensor's memory.
/// </summary>
/// <remarks>Calls from several threads are safe, <see cref="Dispose"/> during a load included.</remarks>
public sealed unsafe class SafeTensorsFile : IDisposable
{
    private readonly MemoryMappedFile _map;
    private readonly MemoryMappedViewAccessor _view;
    private readonly SafeTensorsHeader _header;
    private readonly Dictionary<string, SafeTensorInfo> _byName;

    private SafeTensorsFile(string path, MemoryMappedFile map, MemoryMappedViewAccessor view, SafeTensorsHeader header)
    {
        Path = path;
        _map = map;
        _view = view;
        _header = header;
        _byName = header.Tensors.ToDictionary(tensor => tensor.Name, StringComparer.Ordinal);
    }

    /// <summary>The file's path, as given.</summary>
    public string Path { get; }

    /// <summary>Names of the tensors, in the order of their data.</summary>
    public IEnumerable<string> Names => _header.Tensors.Select(tensor => tensor.Name);

    /// <summary>What the header says of each tensor, in the order of their data.</summary>
    public IReadOnlyList<SafeTensorInfo> Tensors => _header.Tensors;

    /// <summary>The file's own notes (<c>__metadata__</c>); empty when it has none.</summary>
    public IReadOnlyDictionary<string, string> Metadata => _header.Metadata;

    private SafeMemoryMappedViewHandle Memory => _view.SafeMemoryMappedViewHandle;

    /// <summary>Opens a file and checks its header in full; no tensor is read.</summary>
    /// <param name="path">The file.</param>
    /// <exception cref="InvalidDataException">The file breaks a rule of the format; the message names file and reason.</exception>
    /// <exception cref="IOException">The file cannot be opened.</exception>
    public static SafeTensorsFile Open(string path)
    {
        ArgumentException.ThrowIfNullOrEmpty(path);
        var stream = new FileStream(path, FileMode.Open, FileAccess.Read, FileShare.Read, bufferSize: 0);
        MemoryMappedFile? map = null;
        MemoryMappedViewAccessor? view = null;
        try
        {
            long length = stream.Length;
            if (length < SafeTensorsHeader.PrefixLength)
                throw SafeTensorsHeader.Bad(path, $"it has {length} bytes; the format starts with {SafeTensorsHeader.PrefixLength} bytes of header length");
            map = MemoryMappedFile.CreateFromFile(stream, null, 0, MemoryMappedFileAccess.Read, HandleInheritability.None, leaveOpen: false);
            view = map.CreateViewAccessor(0, length, MemoryMappedFileAccess.Read);
            return new SafeTensorsFile(path, map, view, ReadHeader(view, length, path));
        }
        catch
        {
            view?.Dispose();
            map?.Dispose();
            stream.Dispose();
            throw;
        }
    }

    /// <summary>What the header says of one tensor.</summary>
    /// <param name="name">Its name.</param>
    /// <exception cref="KeyNotFoundException">The file has no tensor of that name.</exception>
    public SafeTensorInfo Info(string name)
    {
        ArgumentNullException.ThrowIfNull(name);
        return _byName.TryGetValue(name, out SafeTensorInfo? info)
            ? info
            : throw new KeyNotFoundException($"{Path} has no tensor '{name}'; it has {_byName.Count}, among them {string.Join(", ", Names.Take(5))}.");
    }

    /// <summary>Reads one tensor.</summary>
    /// <param name="name">Its name.</param>
    /// <param name="device">Where it goes; CPU when null.</param>
    /// <returns>A tensor of the file's shape and type, owned by the caller (or by the current dispose scope).</returns>
    /// <exception cref="KeyNotFoundException">The file has no tensor of that name.</exception>
    /// <exception cref="NotSupportedException">TorchSharp has no such element type; <see cref="ReadBytes"/> reads it raw.</exception>
    /// <exception cref="InvalidDataException">A BOOL tensor has bytes other than 0 and 1.</exception>
    /// <exception cref="ObjectDisposedException">The file has been closed.</exception>
    public Tensor Load(string name, Device? device = null)
    {
        SafeTensorInfo info = Info(name);
        if (SafeTensorTypes.TorchOf(info.Type) is not { } type)
            throw new NotSupportedException($"{Path}: tensor '{name}' is of {SafeTensorTypes.NameOf(info.Type)}, for which TorchSharp has no element type; ReadBytes reads it raw.");
        ObjectDisposedException.ThrowIf(Memory.IsClosed, this);

        Tensor tensor = empty([.. info.Shape], dtype: type);
        try
        {
            Copy(info, TensorMemory.Address(tensor));
            if (type == ScalarType.Bool)
                CheckBooleans(tensor, name);
            if (device is null || device.type == DeviceType.CPU)
                return tensor;
            Tensor moved = tensor.to(device);
            tensor.Dispose();
            return moved;
        }
        catch
        {
            tensor.Dispose();
            throw;
        }
    }

    /// <summary>Reads all tensors.</summary>
    /// <param name="device">Where they go; CPU when null.</param>
    /// <param name="progress">Told after each tensor, in bytes.</param>
    /// <param name="cancellationToken">Stops between two tensors.</param>
    /// <returns>Tensors by name; ready for <c>Module.load_state_dict</c>.</returns>
    /// <exception cref="NotSupportedException">TorchSharp has no element type for a tensor; nothing has been read.</exception>
    /// <exception cref="InvalidDataException">A BOOL tensor has bytes other than 0 and 1.</exception>
    /// <exception cref="OperationCanceledException">Cancelled; what was read has been freed.</exception>
    /// <exception cref="ObjectDisposedException">The file has been closed.</exception>
    public Dictionary<string, Tensor> LoadAll(Device? device = null, IProgress<ProgressReport>? progress = null, CancellationToken cancellationToken = default)
    {
        if (Tensors.FirstOrDefault(tensor => SafeTensorTypes.TorchOf(tensor.Type) is null) is { } odd)
            throw new NotSupportedException($"{Path}: {odd} has an element type that TorchSharp lacks; load the others by name.");
        var loaded = new Dictionary<string, Tensor>(StringComparer.Ordinal);
        long done = 0, total = Tensors.Sum(tensor => tensor.ByteLength);
        try
        {
            foreach (SafeTensorInfo info in Tensors)
            {
                cancellationToken.ThrowIfCancellationRequested();
                loaded.Add(info.Name, Load(info.Name, device));
                done += info.ByteLength;
                progress?.Report(new ProgressReport(done, total, info.Name));
            }
            return loaded;
        }
        catch
        {
            foreach (Tensor tensor in loaded.Values)
                tensor.Dispose();
            throw;
        }
    }

    /// <summary>The bytes of a tensor as they stand in the file, for element types that TorchSharp lacks.</summary>
    /// <param name="name">Its name.</param>
    /// <exception cref="KeyNotFoundException">The file has no tensor of that name.</exception>
    /// <exception cref="NotSupportedException">The tensor is longer than an array can be.</exception>
    /// <exception cref="ObjectDisposedException">The file has been closed.</exception>
    public byte[] ReadBytes(string name)
    {
        SafeTensorInfo info = Info(name);
        if (info.ByteLength > Array.MaxLength)
            throw new NotSupportedException($"{Path}: tensor '{name}' has {info.ByteLength} bytes, more than an array holds.");
        byte[] bytes = GC.AllocateUninitializedArray<byte>((int)info.ByteLength);
        fixed (byte* target = bytes)
            Copy(info, target);
        return bytes;
    }

    /// <summary>Closes the file. Tensors that were loaded stay.</summary>
    public void Dispose()
    {
        _view.Dispose();
        _map.Dispose();
    }

    private static SafeTensorsHeader ReadHeader(MemoryMappedViewAccessor view, long length, string path)
    {
        byte* start = null;
        view.SafeMemoryMappedViewHandle.AcquirePointer(ref start);
        try
        {
            int json = SafeTensorsHeader.LengthOf(new ReadOnlySpan<byte>(start, SafeTensorsHeader.PrefixLength), length, path);
            return SafeTensorsHeader.Parse(new ReadOnlySpan<byte>(start + SafeTensorsHeader.PrefixLength, json), length, path);
        }
        finally
        {
            view.SafeMemoryMappedViewHandle.ReleasePointer();
        }
    }

    private void Copy(SafeTensorInfo info, byte* target)
    {
        ObjectDisposedException.ThrowIf(Memory.IsClosed, this);
        byte* start = null;
        // The handle counts this use: the map stays until the copy is done, even if another thread disposes the file.
        Memory.AcquirePointer(ref start);
        try
        {
            if (info.ByteLength > 0)
                Buffer.MemoryCopy(start + _header.DataStart + info.Offset, target, info.ByteLength, info.ByteLength);
        }
        finally
        {
            Memory.ReleasePointer();
        }
    }

    private void CheckBooleans(Tensor tensor, string name)
    {
        // Any other byte is undefined behaviour in libtorch.
        byte* source = TensorMemory.Address(tensor);
        const int Piece = 1 << 30;
        for (long start = 0; start < tensor.NumberOfElements; start += Piece)
        {
            var bytes = new ReadOnlySpan<byte>(source + start, (int)Math.Min(Piece, tensor.NumberOfElements - start));
            if (bytes.ContainsAnyExceptInRange((byte)0, (byte)1))
                throw SafeTensorsHeader.Bad(Path, $"tensor '{name}' is of BOOL but has bytes other than 0 and 1");
        }
    }
}
