namespace Sparseland.Bayes;

/// <summary>Sizes of <see cref="IrsMimoChannel"/>; the defaults are those of the paper's code.</summary>
public sealed record IrsMimoOptions
{
    /// <summary>Points of each angular grid, R. Default 18.</summary>
    public int Grid { get; init; } = 18;

    /// <summary>Antennas of the mobile station. Default 6.</summary>
    public int MobileAntennas { get; init; } = 6;

    /// <summary>Antennas of the base station. Default 16.</summary>
    public int BaseAntennas { get; init; } = 16;

    /// <summary>Elements of the reflecting surface. Default 256.</summary>
    public int Elements { get; init; } = 256;

    /// <summary>Reflection patterns, K_I. Default 6.</summary>
    public int Patterns { get; init; } = 6;

    /// <summary>Pilot vectors for each pattern, K_P. Default 3.</summary>
    public int Pilots { get; init; } = 3;

    /// <summary>Adjacent grid points that a path arrives from, P: at the surface and at the base station. Default 3.</summary>
    public int Spread { get; init; } = 3;

    /// <summary>Throws when a value is outside its range.</summary>
    /// <exception cref="ArgumentException">A size is below 1, the grid below 2, or the spread larger than the grid.</exception>
    public void Validate()
    {
        foreach ((string name, int size) in new[]
        {
            (nameof(MobileAntennas), MobileAntennas), (nameof(BaseAntennas), BaseAntennas), (nameof(Elements), Elements),
            (nameof(Patterns), Patterns), (nameof(Pilots), Pilots), (nameof(Spread), Spread),
        })
        {
            if (size < 1) throw new ArgumentOutOfRangeException(name, size, $"{name} must be at least 1.");
        }

        if (Grid < 2) throw new ArgumentOutOfRangeException(nameof(Grid), Grid, "Grid must be at least 2.");
        if (Spread > Grid) throw new ArgumentOutOfRangeException(nameof(Spread), Spread, $"Spread must be at most Grid = {Grid}.");
    }
}
