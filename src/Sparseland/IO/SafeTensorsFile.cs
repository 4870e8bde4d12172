using System.Buffers;
using System.Runtime.ExceptionServices;
using Microsoft.Win32.SafeHandles;
using Sparseland.Tensors;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.IO;

/// <summary>
/// A safetensors file open for reading. The header is read and checked at once, the data only when a tensor is asked
/// for: they are read once, straight into the tensor's own memory.
/// </summary>
/// <remarks>
/// <para>The file is read through its handle and not mapped: a file that is cut or lost after it was opened gives an exception, where a
/// map would end the process.</para>
/// <para>Files that <see cref="SafeTensors.Save"/> wrote carry checksums (the note "sparseland.checksum"): the header is checked when the
/// file is opened, each tensor when it is read. Files of others have none and are taken as they are.</para>
/// <para>Calls from several threads are safe; a load that another thread's <see cref="Dispose"/> meets ends, or throws
/// <see cref="ObjectDisposedException"/>.</para>
/// </remarks>
public sealed unsafe class SafeTensorsFile : IDisposable
{
    // Small enough to stay in the cache between the reading and the checksum, and for a cancellation to come soon.
    private const int Piece = 1 << 19;
    private static readonly uint s_piece = Crc32C.Power(Piece);

    private readonly SafeFileHandle _file;
    private readonly SafeTensorsHeader _header;
    private readonly Dictionary<string, int> _byName = new(StringComparer.Ordinal);

    private SafeTensorsFile(string path, SafeFileHandle file, SafeTensorsHeader header)
    {
        Path = path;
        _file = file;
        _header = header;
        for (int i = 0; i < header.Tensors.Count; i++)
            _byName.Add(header.Tensors[i].Name, i);
    }

    /// <summary>The file's path, as given.</summary>
    public string Path { get; }

    /// <summary>Names of the tensors, in the order of their data.</summary>
    public IEnumerable<string> Names => _header.Tensors.Select(tensor => tensor.Name);

    /// <summary>What the header says of each tensor, in the order of their data.</summary>
    public IReadOnlyList<SafeTensorInfo> Tensors => _header.Tensors;

    /// <summary>The file's own notes (<c>__metadata__</c>); empty when it has none.</summary>
    public IReadOnlyDictionary<string, string> Metadata => _header.Metadata;

    /// <summary>Whether the file carries checksums, so that damage is found when a tensor is read.</summary>
    public bool HasChecksums => _header.Checksums is not null;

    /// <summary>Opens a file and checks its header in full; no tensor is read.</summary>
    /// <param name="path">The file.</param>
    /// <exception cref="InvalidDataException">The file breaks a rule of the format; the message names file and reason.</exception>
    /// <exception cref="IOException">The file cannot be opened.</exception>
    public static SafeTensorsFile Open(string path)
    {
        ArgumentException.ThrowIfNullOrEmpty(path);
        SafeFileHandle file = File.OpenHandle(path, FileMode.Open, FileAccess.Read, FileShare.Read);
        try
        {
            return new SafeTensorsFile(path, file, ReadHeader(file, path));
        }
        catch
        {
            file.Dispose();
            throw;
        }
    }

    /// <summary>What the header says of one tensor.</summary>
    /// <param name="name">Its name.</param>
    /// <exception cref="KeyNotFoundException">The file has no tensor of that name.</exception>
    public SafeTensorInfo Info(string name)
    {
        ArgumentNullException.ThrowIfNull(name);
        return _byName.TryGetValue(name, out int index)
            ? _header.Tensors[index]
            : throw new KeyNotFoundException($"{Path} has no tensor '{name}'; it has {_byName.Count}, among them {string.Join(", ", Names.Take(5))}.");
    }

    /// <summary>Reads one tensor.</summary>
    /// <param name="name">Its name.</param>
    /// <param name="device">Where it goes; CPU when null.</param>
    /// <returns>A tensor of the file's shape and type, owned by the caller (or by the current dispose scope).</returns>
    /// <exception cref="KeyNotFoundException">The file has no tensor of that name.</exception>
    /// <exception cref="NotSupportedException">TorchSharp has no such element type; <see cref="ReadBytes"/> reads it raw.</exception>
    /// <exception cref="InvalidDataException">
    /// The bytes do not match their checksum, the file has been cut since it was opened, or a BOOL tensor has bytes other than 0 and 1.
    /// </exception>
    /// <exception cref="ObjectDisposedException">The file has been closed.</exception>
    public Tensor Load(string name, Device? device = null) => Load(name, device, CancellationToken.None);

    private Tensor Load(string name, Device? device, CancellationToken cancellationToken)
    {
        SafeTensorInfo info = Info(name);
        if (SafeTensorTypes.TorchOf(info.Type) is not { } type)
            throw new NotSupportedException($"{Path}: tensor '{name}' is of {SafeTensorTypes.NameOf(info.Type)}, for which TorchSharp has no element type; ReadBytes reads it raw.");
        ObjectDisposedException.ThrowIf(_file.IsClosed, this);

        Tensor tensor = empty([.. info.Shape], dtype: type);
        try
        {
            Read(info, TensorMemory.Address(tensor), cancellationToken);
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

    /// <summary>Reads some rows of one tensor, which is seen as a matrix whose rows are its last dimension: of a long list, without the rest.</summary>
    /// <param name="name">Its name.</param>
    /// <param name="first">First row, from 0.</param>
    /// <param name="count">Rows.</param>
    /// <returns>[count, last dimension], on the CPU, owned by the caller (or by the current dispose scope).</returns>
    /// <remarks>A part has no checksum of its own: damage is found by <see cref="Load(string, Device)"/> alone.</remarks>
    /// <exception cref="KeyNotFoundException">The file has no tensor of that name.</exception>
    /// <exception cref="ArgumentOutOfRangeException">The tensor is a single number or has no such rows.</exception>
    /// <exception cref="NotSupportedException">TorchSharp has no such element type.</exception>
    /// <exception cref="InvalidDataException">The file has been cut since it was opened.</exception>
    /// <exception cref="ObjectDisposedException">The file has been closed.</exception>
    public Tensor LoadRows(string name, long first, long count)
    {
        SafeTensorInfo info = Info(name);
        long width = info.Shape.Count == 0 ? 0 : info.Shape[^1], rows = width == 0 ? 0 : info.Shape.SkipLast(1).Aggregate(1L, (product, length) => product * length);
        if (first < 0 || count < 0 || first > rows - count) throw new ArgumentOutOfRangeException(nameof(first), first, $"{Path}: {count} rows from {first} on do not lie in the {rows} of {info}.");
        if (SafeTensorTypes.TorchOf(info.Type) is not { } type || type == ScalarType.Bool)
            throw new NotSupportedException($"{Path}: tensor '{name}' is of {SafeTensorTypes.NameOf(info.Type)}, of which no rows are read.");
        ObjectDisposedException.ThrowIf(_file.IsClosed, this);
        Tensor tensor = empty([count, width], dtype: type);
        try
        {
            byte* target = TensorMemory.Address(tensor);
            long size = SafeTensorTypes.SizeOf(info.Type), start = _header.DataStart + info.Offset + (first * width * size), total = count * width * size;
            for (long from = 0; from < total; from += Piece) ReadFully(_file, new Span<byte>(target + from, (int)Math.Min(Piece, total - from)), start + from, Path, name);
            return tensor;
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
    /// <param name="cancellationToken">Stops within a tensor.</param>
    /// <returns>Tensors by name; ready for <c>Module.load_state_dict</c>.</returns>
    /// <exception cref="NotSupportedException">TorchSharp has no element type for a tensor; nothing has been read.</exception>
    /// <exception cref="InvalidDataException">
    /// The bytes do not match their checksum, the file has been cut since it was opened, or a BOOL tensor has bytes other than 0 and 1.
    /// </exception>
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
                loaded.Add(info.Name, Load(info.Name, device, cancellationToken));
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
    /// <exception cref="InvalidDataException">The bytes do not match their checksum, or the file has been cut since it was opened.</exception>
    /// <exception cref="ObjectDisposedException">The file has been closed.</exception>
    public byte[] ReadBytes(string name)
    {
        SafeTensorInfo info = Info(name);
        if (info.ByteLength > Array.MaxLength)
            throw new NotSupportedException($"{Path}: tensor '{name}' has {info.ByteLength} bytes, more than an array holds.");
        byte[] bytes = GC.AllocateUninitializedArray<byte>((int)info.ByteLength);
        fixed (byte* target = bytes)
            Read(info, target, CancellationToken.None);
        return bytes;
    }

    /// <summary>Closes the file. Tensors that were loaded stay.</summary>
    public void Dispose() => _file.Dispose();

    private static SafeTensorsHeader ReadHeader(SafeFileHandle file, string path)
    {
        long length = RandomAccess.GetLength(file);
        if (length < SafeTensorsHeader.PrefixLength)
            throw SafeTensorsHeader.Bad(path, $"it has {length} bytes; the format starts with {SafeTensorsHeader.PrefixLength} bytes of header length");
        Span<byte> prefix = stackalloc byte[SafeTensorsHeader.PrefixLength];
        ReadFully(file, prefix, 0, path, "header");
        int total = SafeTensorsHeader.PrefixLength + SafeTensorsHeader.LengthOf(prefix, length, path);
        byte[] header = ArrayPool<byte>.Shared.Rent(total);
        try
        {
            ReadFully(file, header.AsSpan(0, total), 0, path, "header");
            return SafeTensorsHeader.Parse(header.AsSpan(0, total), length, path);
        }
        finally
        {
            ArrayPool<byte>.Shared.Return(header);
        }
    }

    /// <summary>Reads a tensor piece by piece, on several threads where it is long, and compares its checksum.</summary>
    private void Read(SafeTensorInfo info, byte* target, CancellationToken cancellationToken)
    {
        ObjectDisposedException.ThrowIf(_file.IsClosed, this);
        long start = _header.DataStart + info.Offset;
        int pieces = checked((int)((info.ByteLength + Piece - 1) / Piece));
        uint[] sums = HasChecksums ? new uint[pieces] : [];
        void ReadPiece(int piece)
        {
            long from = (long)piece * Piece;
            var bytes = new Span<byte>(target + from, (int)Math.Min(Piece, info.ByteLength - from));
            ReadFully(_file, bytes, start + from, Path, info.Name);
            if (HasChecksums) sums[piece] = Crc32C.Of(bytes);
        }

        if (pieces > 1)
            InParallel(pieces, ReadPiece, cancellationToken);
        else if (pieces == 1)
            ReadPiece(0);
        if (_header.Checksums is not { } checksums)
            return;
        uint found = 0;
        for (int piece = 0; piece < pieces; piece++)
            found = Crc32C.Combine(found, sums[piece], piece < pieces - 1 ? s_piece : Crc32C.Power(info.ByteLength - ((long)piece * Piece)));
        checksums.Check(_byName[info.Name], found, info, Path);
    }

    private static void InParallel(int pieces, Action<int> body, CancellationToken cancellationToken)
    {
        try
        {
            Parallel.For(0, pieces, new ParallelOptions { CancellationToken = cancellationToken }, body);
        }
        catch (AggregateException e)
        {
            // What one reader would have thrown.
            ExceptionDispatchInfo.Throw(e.InnerExceptions[0]);
        }
    }

    private static void ReadFully(SafeFileHandle file, Span<byte> target, long offset, string path, string what)
    {
        while (!target.IsEmpty)
        {
            int read = RandomAccess.Read(file, target, offset);
            if (read == 0)
                throw SafeTensorsHeader.Bad(path, $"it ends at byte {offset}, within '{what}': it has been cut since it was opened");
            target = target[read..];
            offset += read;
        }
    }

    private void CheckBooleans(Tensor tensor, string name)
    {
        // Any other byte is undefined behaviour in libtorch.
        byte* source = TensorMemory.Address(tensor);
        const int Long = 1 << 30;
        for (long start = 0; start < tensor.NumberOfElements; start += Long)
        {
            var bytes = new ReadOnlySpan<byte>(source + start, (int)Math.Min(Long, tensor.NumberOfElements - start));
            if (bytes.ContainsAnyExceptInRange((byte)0, (byte)1))
                throw SafeTensorsHeader.Bad(Path, $"tensor '{name}' is of BOOL but has bytes other than 0 and 1");
        }
    }
}
