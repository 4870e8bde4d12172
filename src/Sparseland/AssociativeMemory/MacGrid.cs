using Sparseland.Tensors;

namespace Sparseland.AssociativeMemory;

/// <summary>Shape of a <see cref="MacGrid"/>.</summary>
public sealed record MacGridOptions
{
    /// <summary>Rows of the picture.</summary>
    public required int Height { get; init; }

    /// <summary>Columns of the picture.</summary>
    public required int Width { get; init; }

    /// <summary>Rows of macrocolumns, dividing the height. Default 2.</summary>
    public int Rows { get; init; } = 2;

    /// <summary>Columns of macrocolumns, dividing the width. Default 2.</summary>
    public int Columns { get; init; } = 2;

    /// <summary>Template of the lower macrocolumns; the grid sets Inputs, TopDownCells and Seed of each. Default: the defaults of <see cref="MacOptions"/>.</summary>
    public MacOptions Lower { get; init; } = new() { Inputs = 1 };

    /// <summary>Template of the top macrocolumn; the grid sets Inputs, TopDownCells and Seed. Default: the defaults of <see cref="MacOptions"/>.</summary>
    public MacOptions Top { get; init; } = new() { Inputs = 1 };

    /// <summary>Frames that a code of the top lasts, at least 1. Default 2: it then stands for two codes below it.</summary>
    public int TopPersistence { get; init; } = 2;

    /// <summary>Same seed and frames, same codes. Default 1.</summary>
    public long Seed { get; init; } = 1;

    /// <summary>Throws when a value is outside its range.</summary>
    /// <exception cref="ArgumentException">A value is outside its range; the message says which and why.</exception>
    public void Validate()
    {
        Require(Height >= 1, nameof(Height), Height, "at least 1");
        Require(Width >= 1, nameof(Width), Width, "at least 1");
        Require((long)Height * Width <= int.MaxValue, nameof(Width), Width, $"such that the picture has fewer than 2^31 pixels, but Height is {Height}");
        Require(Rows >= 1 && Height % Rows == 0, nameof(Rows), Rows, $"at least 1 and divide Height = {Height}");
        Require(Columns >= 1 && Width % Columns == 0, nameof(Columns), Columns, $"at least 1 and divide Width = {Width}");
        Require(TopPersistence >= 1, nameof(TopPersistence), TopPersistence, "at least 1");
        ArgumentNullException.ThrowIfNull(Lower);
        ArgumentNullException.ThrowIfNull(Top);
        Lower.Validate();
        Top.Validate();
    }

    private static void Require(bool holds, string name, object value, string rule)
    {
        if (!holds) throw new ArgumentOutOfRangeException(name, value, $"{name} must be {rule}.");
    }
}

/// <summary>Codes of one step of a grid.</summary>
/// <param name="Lower">[rows * columns], row-major.</param>
/// <param name="Top">Code of the top; the one kept from an earlier step while it lasts; not active when nothing below is.</param>
public sealed record MacGridResult(CodeResult[] Lower, CodeResult Top)
{
    /// <inheritdoc/>
    public override string ToString() => Readable.Of(this);
}

/// <summary>
/// Two levels: a grid of macrocolumns, each over its own patch of a picture, and one macrocolumn over the cells of all of them. Codes of
/// the top last longer, and reach the grid as top-down signals one step later (Rinkus 2014).
/// </summary>
public sealed class MacGrid
{
    private readonly CodeResult?[] previous;
    private readonly int patchHeight, patchWidth;
    private CodeResult? top;
    private int topAge;

    /// <summary>An empty hierarchy.</summary>
    /// <param name="options">Shape.</param>
    /// <exception cref="ArgumentException">An option is outside its range.</exception>
    public MacGrid(MacGridOptions options)
    {
        ArgumentNullException.ThrowIfNull(options);
        options.Validate();
        Options = options;
        (patchHeight, patchWidth) = (options.Height / options.Rows, options.Width / options.Columns);
        int macs = options.Rows * options.Columns;
        Lower = [.. Enumerable.Range(0, macs).Select(m => new Macrocolumn(options.Lower with
        {
            Inputs = patchHeight * patchWidth,
            TopDownCells = options.Top.Cells,
            Seed = SeedOf(m),
        }))];
        Top = new(options.Top with { Inputs = macs * options.Lower.Cells, TopDownCells = 0, Seed = SeedOf(macs) });
        previous = new CodeResult?[macs];
    }

    /// <summary>Shape.</summary>
    public MacGridOptions Options { get; }

    /// <summary>[rows * columns], row-major.</summary>
    public IReadOnlyList<Macrocolumn> Lower { get; }

    /// <summary>The macrocolumn over all of them; its inputs are their cells, macrocolumn after macrocolumn.</summary>
    public Macrocolumn Top { get; }

    /// <summary>Forgets the codes of the last step, not the weights: the next frame has no past.</summary>
    public void Reset()
    {
        Array.Clear(previous);
        (top, topAge) = (null, 0);
    }

    /// <summary>Stores the next frame on both levels.</summary>
    /// <param name="active">Active pixels, row * width + column.</param>
    /// <exception cref="ArgumentException">Empty, or a pixel outside the picture or named twice.</exception>
    public MacGridResult Store(int[] active) => Step(active, true);

    /// <summary>Recalls the next frame on both levels, without learning.</summary>
    /// <param name="active">Active pixels, row * width + column.</param>
    /// <exception cref="ArgumentException">Empty, or a pixel outside the picture or named twice.</exception>
    public MacGridResult Recall(int[] active) => Step(active, false);

    private MacGridResult Step(int[] active, bool learn)
    {
        MacGuard.CheckActive(active, Options.Height * Options.Width, nameof(active), "pixel");
        int[][] patches = Patches(active);
        int[]? higher = top is { IsActive: true } ? top.Winners : null;
        var codes = new CodeResult[Lower.Count];
        for (int m = 0; m < codes.Length; m++)
        {
            // An empty patch is a macrocolumn below its band, not a mistake of the caller.
            if (patches[m].Length == 0)
            {
                codes[m] = CodeResult.Inactive(Lower[m].Steps == 0);
                continue;
            }

            var input = new MacInput(patches[m], Past(previous[m]), higher, previous[m]?.Boost ?? 1);
            codes[m] = learn ? Lower[m].Store(input) : Lower[m].Recall(input);
        }

        int[] below = [.. codes.SelectMany((code, m) => code.Winners.Select(cell => (m * Options.Lower.Cells) + cell))];
        top = StepTop(below, learn);
        codes.CopyTo(previous, 0);
        return new(codes, top);
    }

    private CodeResult StepTop(int[] below, bool learn)
    {
        if (top is { IsActive: true } && topAge < Options.TopPersistence)
        {
            topAge++;

            // While it lasts, the code is bound to every code below it: it stands for the whole stretch.
            if (learn && below.Length > 0) Top.Learn(below, top.Winners);
            return top;
        }

        topAge = 1;
        if (below.Length == 0) return CodeResult.Inactive(Top.Steps == 0);
        var input = new MacInput(below, Past(top), PreviousBoost: top?.Boost ?? 1);
        return learn ? Top.Store(input) : Top.Recall(input);
    }

    private int[][] Patches(int[] active)
    {
        var patches = new List<int>[Lower.Count];
        for (int m = 0; m < patches.Length; m++) patches[m] = [];
        foreach (int pixel in active)
        {
            (int row, int column) = Math.DivRem(pixel, Options.Width);
            patches[(row / patchHeight * Options.Columns) + (column / patchWidth)].Add((row % patchHeight * patchWidth) + (column % patchWidth));
        }

        return [.. patches.Select(p => p.ToArray())];
    }

    private static int[]? Past(CodeResult? code) => code is { IsActive: true } ? code.Winners : null;

    private long SeedOf(int mac) => (long)SeededRandom.Mix((ulong)Options.Seed + SeededRandom.Mix((ulong)mac + 1));
}
