namespace Sparseland.Notebooks.Hosting;

/// <summary>A value on display that can be replaced in place.</summary>
public sealed class DisplayedValue
{
    internal DisplayedValue(string displayId) => DisplayId = displayId;

    /// <summary>What the host knows the shown value by.</summary>
    public string DisplayId { get; }

    /// <summary>Shows <paramref name="updatedValue"/> where the value was shown first.</summary>
    public void Update(object? updatedValue) => NotebookHost.Require().Update(ValueFormatting.Format(updatedValue), DisplayId);
}
