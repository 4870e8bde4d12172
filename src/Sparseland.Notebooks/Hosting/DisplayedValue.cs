namespace Sparseland.Notebooks.Hosting;

/// <summary>A value on display that can be replaced in place.</summary>
public sealed class DisplayedValue
{
    private readonly string displayId;

    internal DisplayedValue(string displayId) => this.displayId = displayId;

    /// <summary>Shows <paramref name="updatedValue"/> where the value was shown first.</summary>
    public void Update(object? updatedValue) => NotebookHost.Require().Update(ValueFormatting.Format(updatedValue), displayId);
}
