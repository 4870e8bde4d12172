using System.IO.MemoryMappedFiles;

namespace Sparseland.Retrieval.Indexing;

/// <summary>Postings: an array, or a stretch of a mapped file, which stays mapped until it is disposed and no search holds it.</summary>
internal sealed unsafe class IndexBytes : IDisposable
{
    private readonly ReadOnlyMemory<byte> _array;
    private readonly MemoryMappedViewAccessor? _view;
    private readonly byte* _start;
    private readonly int _length;
    private readonly bool _own;
    private int _disposed;

    internal IndexBytes(ReadOnlyMemory<byte> array) => (_array, _length) = (array, array.Length);

    /// <summary>A stretch of a mapped file.</summary>
    /// <param name="view">The file.</param>
    /// <param name="offset">Its start.</param>
    /// <param name="length">Its length.</param>
    /// <param name="own">Whether the file is closed with it.</param>
    internal IndexBytes(MemoryMappedViewAccessor view, long offset, int length, bool own)
    {
        byte* pointer = null;
        view.SafeMemoryMappedViewHandle.AcquirePointer(ref pointer);
        _start = pointer + view.PointerOffset + offset;
        (_view, _length, _own) = (view, length, own);
    }

    internal int Length => _length;

    internal bool Mapped => _view is not null;

    /// <summary>The bytes. Where a mapped file may be disposed meanwhile, hold <see cref="Hold"/> around it.</summary>
    internal ReadOnlySpan<byte> Span => _view is null ? _array.Span : new(_start, _length);

    /// <summary>Keeps the file mapped until it is disposed.</summary>
    /// <exception cref="ObjectDisposedException">The index is disposed.</exception>
    internal Lease Hold() => new(_view);

    public void Dispose()
    {
        if (_view is null || Interlocked.Exchange(ref _disposed, 1) != 0) return;
        _view.SafeMemoryMappedViewHandle.ReleasePointer();
        if (_own) _view.Dispose();
    }

    /// <summary>A hold on a mapped file.</summary>
    internal readonly ref struct Lease
    {
        private readonly MemoryMappedViewAccessor? _view;

        internal Lease(MemoryMappedViewAccessor? view)
        {
            bool held = false;
            view?.SafeMemoryMappedViewHandle.DangerousAddRef(ref held);
            _view = view;
        }

        public void Dispose() => _view?.SafeMemoryMappedViewHandle.DangerousRelease();
    }
}
