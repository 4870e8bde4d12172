using System.Diagnostics;
using Sparseland.Kernel.Gallery;
using Sparseland.Kernel.Notebooks;
using Sparseland.Kernel.Running;

namespace Sparseland.Kernel.Workshops;

/// <summary>Everything that a room without a network needs, in one folder: the clone, a feed of all packages, the reading copies, the instructor's pages and a start script.</summary>
/// <param name="Root">Root of the clone.</param>
/// <param name="Target">The folder to make; it must not exist.</param>
/// <param name="Systems">Runtime identifiers of the laptops, such as "linux-x64".</param>
internal sealed record WorkshopFolder(string Root, string Target, IReadOnlyList<string> Systems)
{
    /// <summary>Systems for which libtorch has a package.</summary>
    public static IReadOnlyList<string> Known { get; } = ["linux-x64", "win-x64", "osx-arm64"];

    /// <summary>Refuses what cannot be made, before anything is done.</summary>
    /// <exception cref="ArgumentException">No system, or one without a package.</exception>
    /// <exception cref="IOException">The folder exists already, or is inside the clone.</exception>
    public void Check()
    {
        if (Systems.Count == 0)
            throw new ArgumentException("--systems: name at least one system.");
        if (Systems.FirstOrDefault(s => !Known.Contains(s)) is { } unknown)
            throw new ArgumentException($"--systems: '{unknown}' has no libtorch package; there are {string.Join(", ", Known)}.");
        if (Directory.Exists(Target) || File.Exists(Target))
            throw new IOException($"'{Target}' exists already; name a folder that is to be made.");
        if (Path.GetFullPath(Target).StartsWith(Path.GetFullPath(Root) + Path.DirectorySeparatorChar, StringComparison.Ordinal))
            throw new IOException($"'{Target}' is inside the clone, which would be copied into itself; name a folder outside.");
    }

    /// <summary>Makes the folder beside its place and moves it there when it is complete; what was begun is removed where it fails.</summary>
    /// <param name="say">Takes a line about each step.</param>
    /// <param name="cancel">Ends the step that runs.</param>
    /// <exception cref="InvalidOperationException">A step failed; its message names it.</exception>
    public async Task MakeAsync(Action<string> say, CancellationToken cancel)
    {
        Check();
        string part = Target.TrimEnd(Path.DirectorySeparatorChar) + ".part", clone = Path.Combine(part, "sparseland"), feed = Path.Combine(part, "feed");
        if (Directory.Exists(part))
        {
            if (Directory.EnumerateFileSystemEntries(part).Any() && !Directory.Exists(clone))
                throw new IOException($"'{part}' exists and was not begun by this command; move it away.");
            Directory.Delete(part, recursive: true);
        }

        try
        {
            Directory.CreateDirectory(part);
            say("copying the files of the clone");
            CopyTracked(await TrackedAsync(cancel).ConfigureAwait(false), clone, cancel);
            foreach (string system in Systems)
            {
                say($"packages for {system} into the feed (libtorch is some hundred megabytes)");
                await RunAsync("dotnet", ["restore", "Notebooks.sln", "--packages", feed, $"-p:LibTorchPackage=libtorch-cpu-{system}", $"-p:CrossgenSystem={system}"], clone, cancel).ConfigureAwait(false);
            }

            foreach (string made in Directory.EnumerateDirectories(clone, "obj", SearchOption.AllDirectories).ToList().Where(Directory.Exists))
                Directory.Delete(made, recursive: true);
            say("reading copies and the instructor's pages");
            string notebooks = Path.Combine(clone, "notebooks");
            List<Card> cards = [.. NotebookFiles.Expand([notebooks]).Select(p => new Card(Notebook.Load(p), Path.GetRelativePath(notebooks, p).Replace('\\', '/')))];
            Gallery.GalleryFolder.Write(Path.Combine(part, "gallery"), cards);
            AtomicFile.Write(Path.Combine(part, "instructor.html"), InstructorPage.Render(cards));
            AtomicFile.Write(Path.Combine(part, "solutions.html"), InstructorPage.Solutions(cards));
            Script(Path.Combine(part, "start.sh"), StartUnix);
            Script(Path.Combine(part, "start.cmd"), StartWindows.ReplaceLineEndings("\r\n"));
            cancel.ThrowIfCancellationRequested();
            Directory.Move(part, Target);
        }
        catch
        {
            // What cannot be removed must not hide why it failed.
            try
            {
                if (Directory.Exists(part))
                    Directory.Delete(part, recursive: true);
            }
            catch (Exception e) when (e is IOException or UnauthorizedAccessException)
            {
                say($"'{part}' could not be removed: {e.Message}");
            }

            throw;
        }
    }

    private const string StartUnix = """
        #!/bin/sh
        # On a laptop without a network: copies the notebooks, restores from the feed beside this file, builds, and looks whether all is well.
        set -e
        here=$(cd "$(dirname "$0")" && pwd)
        target=${1:-$HOME/sparseland}
        mkdir -p "$target"
        # A second start keeps what was written in the notebooks.
        if [ ! -e "$target/.copied" ]; then
            cp -R "$here/sparseland/." "$target"
            : > "$target/.copied"
        fi
        cd "$target"
        export DOTNET_NOLOGO=1 DOTNET_CLI_TELEMETRY_OPTOUT=1
        case "$(uname -s)-$(uname -m)" in
            Darwin-arm64) system=osx-arm64 ;;
            Darwin-*) system=osx-x64 ;;
            *-aarch64 | *-arm64) system=linux-arm64 ;;
            *) system=linux-x64 ;;
        esac
        # A feed without the tool that compiles ahead for this laptop only makes the kernel start later.
        ahead=true
        [ -d "$here/feed/microsoft.netcore.app.crossgen2.$system" ] || ahead=false
        dotnet restore Notebooks.sln --source "$here/feed" -p:CompileAhead=$ahead
        dotnet build Notebooks.sln --no-restore -v q
        dotnet run --no-build --project src/Sparseland.Kernel -- doctor || echo "doctor has something to say: see above."
        dotnet run --no-build --project src/Sparseland.Kernel -- run notebooks/00-start-here.ipynb --scale quick --no-save
        echo "Ready in $target. The kernel for Jupyter and VS Code: dotnet run --no-build --project src/Sparseland.Kernel -- kernel install --user"

        """;

    private const string StartWindows = """
        @echo off
        rem On a laptop without a network: copies the notebooks, restores from the feed beside this file, builds, and looks whether all is well.
        setlocal
        set "here=%~dp0"
        set "target=%~1"
        if "%target%"=="" set "target=%USERPROFILE%\sparseland"
        rem A second start keeps what was written in the notebooks.
        if exist "%target%\.copied" goto copied
        xcopy /e /i /q /y "%here%sparseland" "%target%" || exit /b 1
        type nul > "%target%\.copied"
        :copied
        cd /d "%target%" || exit /b 1
        set DOTNET_NOLOGO=1
        set DOTNET_CLI_TELEMETRY_OPTOUT=1
        rem A feed without the tool that compiles ahead for this laptop only makes the kernel start later.
        set ahead=true
        if not exist "%here%feed\microsoft.netcore.app.crossgen2.win-x64" set ahead=false
        dotnet restore Notebooks.sln --source "%here%feed" -p:LibTorchPackage=libtorch-cpu-win-x64 -p:CompileAhead=%ahead% || exit /b 1
        dotnet build Notebooks.sln --no-restore -v q -p:LibTorchPackage=libtorch-cpu-win-x64 || exit /b 1
        dotnet run --no-build --project src\Sparseland.Kernel -- doctor
        dotnet run --no-build --project src\Sparseland.Kernel -- run notebooks\00-start-here.ipynb --scale quick --no-save || exit /b 1
        echo Ready in "%target%". The kernel for Jupyter and VS Code: dotnet run --no-build --project src\Sparseland.Kernel -- kernel install --user

        """;

    private async Task<IReadOnlyList<string>> TrackedAsync(CancellationToken cancel)
    {
        string list = await RunAsync("git", ["ls-files", "-z"], Root, cancel, read: true).ConfigureAwait(false);
        string[] files = list.Split('\0', StringSplitOptions.RemoveEmptyEntries);
        return files.Length > 0 ? files : throw new InvalidOperationException($"git knows no files of '{Root}'; the folder must be a clone, not an unpacked archive.");
    }

    private void CopyTracked(IReadOnlyList<string> files, string clone, CancellationToken cancel)
    {
        foreach (string file in files)
        {
            cancel.ThrowIfCancellationRequested();
            string from = Path.Combine(Root, file), to = Path.Combine(clone, file);
            if (!File.Exists(from))
                continue;
            Directory.CreateDirectory(Path.GetDirectoryName(to)!);
            File.Copy(from, to);
        }
    }

    private static void Script(string path, string text)
    {
        AtomicFile.Write(path, text);
        if (OperatingSystem.IsWindows())
            return;
        try
        {
            File.SetUnixFileMode(path, UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute | UnixFileMode.GroupRead | UnixFileMode.GroupExecute | UnixFileMode.OtherRead | UnixFileMode.OtherExecute);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            // Some sticks keep no permissions; 'sh start.sh' needs none.
        }
    }

    private static async Task<string> RunAsync(string file, IReadOnlyList<string> arguments, string folder, CancellationToken cancel, bool read = false)
    {
        ProcessStartInfo start = new(file) { WorkingDirectory = folder, RedirectStandardOutput = true, RedirectStandardError = true, StandardOutputEncoding = read ? System.Text.Encoding.UTF8 : null };
        foreach (string argument in arguments)
            start.ArgumentList.Add(argument);
        Process process;
        try
        {
            process = Process.Start(start) ?? throw new InvalidOperationException($"'{file}' did not start.");
        }
        catch (System.ComponentModel.Win32Exception e)
        {
            throw new InvalidOperationException($"'{file}' cannot be started: {e.Message}", e);
        }

        using (process)
        {
            Task<string> output = process.StandardOutput.ReadToEndAsync(CancellationToken.None), errors = process.StandardError.ReadToEndAsync(CancellationToken.None);
            try
            {
                await process.WaitForExitAsync(cancel).ConfigureAwait(false);
            }
            catch (OperationCanceledException)
            {
                process.Kill(entireProcessTree: true);
                await process.WaitForExitAsync(CancellationToken.None).ConfigureAwait(false);
                throw;
            }

            string text = await output.ConfigureAwait(false), bad = await errors.ConfigureAwait(false);
            if (process.ExitCode != 0)
            {
                await Interruption.RuleOutAsync(cancel).ConfigureAwait(false);
                throw new InvalidOperationException($"'{file} {arguments[0]}' ended with {process.ExitCode}: {Last(bad.Trim().Length > 0 ? bad : text)}");
            }

            return read ? text : "";
        }
    }

    private static string Last(string text) => string.Join(" / ", text.Split('\n', StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries).TakeLast(3));
}
