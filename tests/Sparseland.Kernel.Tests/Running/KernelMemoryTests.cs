using System.Runtime.InteropServices;

namespace Sparseland.Kernel.Tests.Running;

public unsafe class KernelMemoryTests
{
    private const int Block = 64 << 10, Page = 4096;

    /// <summary>Blocks too small to be mapped one by one, the last of which stays: the C library keeps the others' pages until it is asked.</summary>
    [Fact]
    public void What_was_freed_goes_back_after_a_long_cell()
    {
        if (!OperatingSystem.IsLinux() || RuntimeInformation.RuntimeIdentifier.Contains("musl", StringComparison.Ordinal))
            return;
        nint[] blocks = [.. Enumerable.Range(0, 1000).Select(_ => (nint)NativeMemory.Alloc(Block))];
        foreach (nint block in blocks)
            new Span<byte>((void*)block, Block).Fill(1);
        foreach (nint block in blocks[..^1])
            NativeMemory.Free((void*)block);
        KernelMemory.GiveBack(TimeSpan.FromSeconds(0.1));
        int before = blocks[..^1].Count(Resident);
        KernelMemory.GiveBack(TimeSpan.FromMinutes(1));
        int after = blocks[..^1].Count(Resident);
        NativeMemory.Free((void*)blocks[^1]);
        Assert.True(before > 500 && after < 200, $"{before} of 999 blocks were in memory after a short cell, {after} after a long one");
    }

    /// <summary>Whether a page in the middle of a block is in memory.</summary>
    private static bool Resident(nint block)
    {
        byte state = 0;
        nint page = ((block + (Block / 2)) / Page) * Page;
        return MinCore(page, Page, &state) == 0 && (state & 1) == 1;
    }

    [DllImport("libc", EntryPoint = "mincore")]
    [DefaultDllImportSearchPaths(DllImportSearchPath.SafeDirectories)]
    private static extern int MinCore(nint start, nuint length, byte* states);
}
