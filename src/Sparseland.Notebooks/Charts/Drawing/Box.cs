namespace Sparseland.Notebooks.Charts.Drawing;

/// <summary>A rectangle in SVG units, y downwards.</summary>
internal readonly record struct Box(double X, double Y, double Width, double Height)
{
    public double Right => X + Width;

    public double Bottom => Y + Height;

    public double CentreX => X + (Width / 2);

    public double CentreY => Y + (Height / 2);

    public Box Inset(double left, double top, double right, double bottom) => new(X + left, Y + top, Width - left - right, Height - top - bottom);
}
