namespace Sparseland.Data;

/// <summary>Where a patch was cut.</summary>
/// <param name="Image">Index of the image.</param>
/// <param name="Row">Its uppermost row.</param>
/// <param name="Column">Its leftmost column.</param>
public readonly record struct PatchPosition(int Image, int Row, int Column);
