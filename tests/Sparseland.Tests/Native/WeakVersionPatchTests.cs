using FsCheck;
using FsCheck.Fluent;
using Sparseland.Native;

namespace Sparseland.Tests.Native;

public class WeakVersionPatchTests
{
    private const string Marker = WeakVersionPatch.MarkerVersion;

    private static byte[] File(params (string Version, ushort Flags)[] standard) =>
        SyntheticElf.Build(("libm.so.6", [("GLIBC_2.2.5", 0)]), ("libstdc++.so.6", standard), ("libc.so.6", [("GLIBC_2.14", 0), ("GLIBC_2.2.5", 0)]));

    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    [InlineData(2)]
    public void Only_the_flag_of_the_marker_changes_wherever_it_stands(int position)
    {
        var versions = new List<(string, ushort)> { ("GLIBCXX_3.4", 0), ("CXXABI_1.3", 4) };
        versions.Insert(position, (Marker, 4));
        byte[] file = File([.. versions]);
        byte[] before = [.. file];

        byte[] patched = WeakVersionPatch.Apply(file, Marker)!;

        Assert.Equal(before, file);
        int changed = Assert.Single(Enumerable.Range(0, file.Length), i => file[i] != patched[i]);
        VersionNeed need = ElfVersions.Read(file).Needs.Single(n => n.Version == Marker);
        Assert.Equal(need.FlagsOffset, changed);
        Assert.Equal(4 | ElfVersions.WeakFlag, patched[changed]);
        Assert.All(ElfVersions.Read(patched).Needs, n => Assert.Equal(n.Version == Marker, n.Weak));
    }

    [Fact]
    public void Needs_are_read_in_order_with_their_library() =>
        Assert.Equal(
            [("libm.so.6", "GLIBC_2.2.5", false), ("libstdc++.so.6", "A", true), ("libstdc++.so.6", "B", false), ("libc.so.6", "GLIBC_2.14", false), ("libc.so.6", "GLIBC_2.2.5", false)],
            ElfVersions.Read(File(("A", 2), ("B", 0))).Needs.Select(n => (n.Library, n.Version, n.Weak)));

    [Fact]
    public void A_patched_file_and_one_without_the_version_are_left_alone()
    {
        Assert.Null(WeakVersionPatch.Apply(WeakVersionPatch.Apply(File((Marker, 0)), Marker), Marker));
        Assert.Null(WeakVersionPatch.Apply(File(("GLIBCXX_3.4.31", 0), (Marker + "1", 0)), Marker));
        Assert.Null(WeakVersionPatch.Apply(SyntheticElf.Build(), Marker));
    }

    [Fact]
    public void Other_kinds_of_files_are_refused_with_the_reason()
    {
        byte[] file = File((Marker, 0));
        byte[] bits32 = [.. file], bigEndian = [.. file];
        bits32[4] = 1;
        bigEndian[5] = 2;
        Assert.Contains("64-bit", Assert.Throws<InvalidDataException>(() => WeakVersionPatch.Apply(bits32, Marker)).Message);
        Assert.Contains("little-endian", Assert.Throws<InvalidDataException>(() => WeakVersionPatch.Apply(bigEndian, Marker)).Message);
        Assert.Contains("Not an ELF", Assert.Throws<InvalidDataException>(() => WeakVersionPatch.Apply("MZ, a program of another system"u8, Marker)).Message);
        Assert.Contains("truncated", Assert.Throws<InvalidDataException>(() => WeakVersionPatch.Apply([], Marker)).Message);
    }

    [Fact]
    public void A_truncated_file_is_refused_at_every_length()
    {
        byte[] file = File((Marker, 0), ("GLIBCXX_3.4", 0));
        for (int length = 0; length < file.Length; length++)
        {
            Assert.Throws<InvalidDataException>(() => WeakVersionPatch.Apply(file.AsSpan(0, length), Marker));
        }
    }

    [Fact]
    public void Damage_never_gives_another_exception()
    {
        byte[] file = File((Marker, 0), ("GLIBCXX_3.4", 0));
        Gen<(int Place, byte Value)> damage = Gen.Choose(0, file.Length - 1).SelectMany(place => Gen.Choose(0, 255).Select(v => (place, (byte)v)));
        Prop.ForAll(Arb.From(Gen.ListOf(damage)), changes =>
        {
            byte[] damaged = [.. file];
            foreach ((int place, byte value) in changes)
            {
                damaged[place] = value;
            }
            try
            {
                byte[]? patched = WeakVersionPatch.Apply(damaged, Marker);
                return patched is null || patched.Length == damaged.Length;
            }
            catch (InvalidDataException)
            {
                return true;
            }
        }).QuickCheckThrowOnFailure();
    }

    [Fact]
    public void The_real_library_changes_in_its_marker_alone()
    {
        string? path = new NativeSearch(typeof(NativeLibraries).Assembly).Find("LibTorchSharp");
        Assert.NotNull(path);
        if (!OperatingSystem.IsLinux())
        {
            Assert.Throws<InvalidDataException>(() => ElfVersions.Read(System.IO.File.ReadAllBytes(path)));
            return;
        }
        byte[] original = System.IO.File.ReadAllBytes(path);
        byte[] patched = WeakVersionPatch.Apply(original, Marker)!;
        int[] changed = [.. Enumerable.Range(0, original.Length).Where(i => original[i] != patched[i])];
        Assert.InRange(changed.Length, 1, 2);
        Assert.Equal(ElfVersions.Read(original).Needs.Single(n => n.Version == Marker).FlagsOffset, changed[0]);
        foreach (int length in new[] { 0, 3, 63, 64, 200, 4096, 250_000, original.Length / 2 })
        {
            Assert.Throws<InvalidDataException>(() => ElfVersions.Read(original.AsSpan(0, length)));
        }
    }

    [Fact]
    public void Missing_versions_are_those_needed_not_weak_and_not_offered()
    {
        ElfVersions library = ElfVersions.Read(File((Marker, 0), ("GLIBCXX_3.4.33", 2), ("GLIBCXX_3.4.31", 0)));
        ElfVersions offersNothing = ElfVersions.Read(SyntheticElf.Build());
        Assert.Equal([Marker, "GLIBCXX_3.4.31"], WeakVersionPatch.Missing(library, "libstdc++.so.6", offersNothing));
    }
}
