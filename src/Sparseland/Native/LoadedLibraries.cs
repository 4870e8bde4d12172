namespace Sparseland.Native;

/// <summary>The shared libraries that the process has mapped, as Linux tells in /proc/self/maps.</summary>
internal static class LoadedLibraries
{
    /// <summary>Path of the first mapped file whose name starts so, or null (also where the system does not tell).</summary>
    /// <param name="namePrefix">File name or its beginning; libstdc++.so.6 also means libstdc++.so.6.0.30.</param>
    public static string? Find(string namePrefix)
    {
        const string maps = "/proc/self/maps";
        if (!OperatingSystem.IsLinux() || !File.Exists(maps))
        {
            return null;
        }
        foreach (string line in File.ReadLines(maps))
        {
            int start = line.IndexOf('/');
            if (start >= 0 && Path.GetFileName(line.AsSpan(start)).StartsWith(namePrefix, StringComparison.Ordinal) && File.Exists(line[start..]))
            {
                return line[start..];
            }
        }
        return null;
    }
}
