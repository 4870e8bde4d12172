namespace Sparseland.Notebooks.Charts.Drawing;

/// <summary>The area between two axes, and where values lie in it.</summary>
internal sealed record Plot(Box Area, Axis XAxis, Axis YAxis)
{
    public double X(double value) => Area.X + (Area.Width * XAxis.Position(value));

    public double Y(double value) => Area.Bottom - (Area.Height * YAxis.Position(value));
}
