namespace Sparseland.Notebooks.Hosting;

/// <summary>A value that knows its own displayed forms (charts, tables, progress).</summary>
public interface IMimeRenderable
{
    /// <summary>The value in every form that a front end may choose from; text/plain included.</summary>
    MimeBundle Render();
}
