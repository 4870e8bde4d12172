using System.Globalization;
using System.Reflection;
using Sparseland.Evaluation;
using Sparseland.Native;
using Sparseland.Notebooks.Charts;
using Sparseland.Notebooks.Hosting;
using TorchSharp;

namespace Sparseland.Notebooks;

/// <summary>What a notebook's setup cell gives: <c>var lesson = Lesson.Start();</c></summary>
/// <remarks>
/// The scale comes from the environment variable SPARSELAND_SCALE (quick, lesson or full; lesson when not set). A notebook
/// asks <see cref="Pick{T}"/> for its sizes and never branches its text on the scale.
/// </remarks>
public sealed class Lesson
{
    /// <summary>Environment variable that names the scale.</summary>
    public const string ScaleVariable = "SPARSELAND_SCALE";

    private static int toldMissing;
    private static long banners;

    private Lesson(LessonScale scale, int seed) => (Scale, Seed) = (scale, seed);

    /// <summary>How much work this run does.</summary>
    public LessonScale Scale { get; }

    /// <summary>The seed that all randomness of the notebook starts from.</summary>
    public int Seed { get; }

    /// <summary>Signalled when the running cell is interrupted.</summary>
    public CancellationToken Cancel => NotebookHost.Current?.CellCancelled ?? CancellationToken.None;

    /// <summary>
    /// Makes this process ready for a notebook: registers the displays of charts, tables, claims and data frames, loads
    /// TorchSharp's native libraries, sets the invariant culture, and shows one line with version, scale and threads. May be
    /// called again without harm.
    /// </summary>
    /// <param name="seed">Seed of the notebook.</param>
    /// <exception cref="ArgumentException">SPARSELAND_SCALE is none of quick, lesson, full.</exception>
    /// <exception cref="InvalidOperationException">TorchSharp's native libraries do not load; the message says why and what to do.</exception>
    public static Lesson Start(int seed = 1)
    {
        LessonScale scale = ParseScale(Environment.GetEnvironmentVariable(ScaleVariable));
        NotebookFormatters.Register();
        UseInvariantCulture();
        LoadTorch();
        var lesson = new Lesson(scale, seed);
        lesson.ShowBanner();
        return lesson;
    }

    /// <summary>The value for this run's scale.</summary>
    /// <param name="quick">For seconds.</param>
    /// <param name="lesson">For a minute or two.</param>
    /// <param name="full">For hours or a graphics processor.</param>
    public T Pick<T>(T quick, T lesson, T full) => Scale switch
    {
        LessonScale.Quick => quick,
        LessonScale.Full => full,
        _ => lesson,
    };

    /// <summary>
    /// The list of this notebook's claims. At quick scale only exact claims are judged: sizes are too small there for a measured
    /// figure to say anything about a claim.
    /// </summary>
    /// <param name="title">What the notebook is about.</param>
    /// <param name="paper">The paper: authors, title, year.</param>
    /// <param name="read">How much of the paper could be read. DEFAULT: the whole.</param>
    /// <exception cref="ArgumentException">Title or paper is empty.</exception>
    public Claims Claims(string title, string paper, PaperRead read = PaperRead.Whole) => new(title, paper)
    {
        Read = read,
        Scale = Scale.ToString().ToLowerInvariant(),
        JudgesOnlyExact = Scale == LessonScale.Quick,
    };

    /// <summary>A progress bar for a long call; dispose it (<c>using</c>) when the call is done.</summary>
    /// <param name="what">What is being done: "Learning dictionaries".</param>
    public LiveProgress Progress(string what) => new(what);

    /// <summary>Walks through items under a progress bar and stops when the cell is interrupted.</summary>
    /// <param name="items">The items; a collection of known size shows time left.</param>
    /// <param name="what">What is being done.</param>
    /// <exception cref="OperationCanceledException">The cell was interrupted.</exception>
    public IEnumerable<T> Track<T>(IEnumerable<T> items, string what)
    {
        ArgumentNullException.ThrowIfNull(items);
        ArgumentException.ThrowIfNullOrWhiteSpace(what);
        return Walk(items, what);
    }

    /// <summary>Counts from 0 to <paramref name="count"/> - 1 under a progress bar.</summary>
    /// <param name="count">How many, not negative.</param>
    /// <param name="what">What is being done.</param>
    /// <exception cref="OperationCanceledException">The cell was interrupted.</exception>
    public IEnumerable<int> Track(int count, string what)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(count);
        return Track(Enumerable.Range(0, count), what);
    }

    /// <summary>Makes charts zoomable in classic Notebook and JupyterLab; show the result. See <see cref="InteractiveCharts"/>.</summary>
    public Markup Interactive() => InteractiveCharts.Enable();

    internal static LessonScale ParseScale(string? text) => text?.Trim().ToLowerInvariant() switch
    {
        null or "" or "lesson" => LessonScale.Lesson,
        "quick" => LessonScale.Quick,
        "full" => LessonScale.Full,
        _ => throw new ArgumentException($"{ScaleVariable} is \"{text}\"; it must be quick, lesson or full (or not set, which means lesson)."),
    };

    private static IEnumerable<T> Walk<T>(IEnumerable<T> items, string what)
    {
        using var progress = new LiveProgress(what);
        long total = items.TryGetNonEnumeratedCount(out int count) ? count : 0;
        long done = 0;
        foreach (T item in items)
        {
            progress.Cancel.ThrowIfCancellationRequested();
            progress.Report(new ProgressReport(done, total));
            yield return item;
            done++;
        }
        progress.Report(new ProgressReport(done, total));
    }

    private static void UseInvariantCulture()
    {
        // A decimal comma in one reader's output and a point in another's would make stored outputs differ.
        CultureInfo.DefaultThreadCurrentCulture = CultureInfo.DefaultThreadCurrentUICulture = CultureInfo.InvariantCulture;
        CultureInfo.CurrentCulture = CultureInfo.CurrentUICulture = CultureInfo.InvariantCulture;
    }

    private static void LoadTorch()
    {
        NativeLibraryReport report = NativeLibraries.Describe();
        if (!report.Loads)
            throw new InvalidOperationException($"TorchSharp's native libraries do not load: {report.Reason} {report.Remedy}");
        // An nn.Module made before any tensor would otherwise fail to find its libraries.
        torch.InitializeDeviceType(DeviceType.CPU);
    }

    private void ShowBanner()
    {
        string version = typeof(Lesson).Assembly.GetCustomAttribute<AssemblyInformationalVersionAttribute>()?.InformationalVersion.Split('+')[0] ?? "";
        int threads = torch.get_num_threads();
        string text = $"Sparseland {version}, scale {Scale.ToString().ToLowerInvariant()}, {threads} {(threads == 1 ? "thread" : "threads")}";
        if (NotebookHost.Current is { } host)
            host.Display(Markup.Text(text).Render(), $"sparseland-banner-{Interlocked.Increment(ref banners)}");
        else
            Console.WriteLine(text);
        if (Interlocked.Exchange(ref toldMissing, 1) == 0)
        {
            foreach (string line in NotebookFormatters.Missing)
                Console.WriteLine(line);
        }
    }
}
