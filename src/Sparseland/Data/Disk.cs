namespace Sparseland.Data;

/// <summary>One leaf of a dead-leaves image. Lengths are in pixels; the image covers [0, width] x [0, height].</summary>
/// <param name="X">Column of the centre, possibly outside the image.</param>
/// <param name="Y">Row of the centre, possibly outside the image.</param>
/// <param name="Radius">Radius.</param>
/// <param name="Grey">Intensity, in [0, 1).</param>
/// <param name="Texture">What the disk's texture is drawn from; disks with different numbers have unrelated textures.</param>
public readonly record struct Disk(double X, double Y, double Radius, double Grey, ulong Texture);
