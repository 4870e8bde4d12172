using Sparseland.Notebooks.Hosting;

namespace Sparseland.Kernel.Scripting;

/// <summary>The host that one running cell sees: its displays go to that cell's output.</summary>
internal sealed class EngineHost(ICellOutput output, CancellationToken cancel) : INotebookHost
{
    public CancellationToken CellCancelled => cancel;

    public void Display(MimeBundle bundle, string displayId) => output.Display(bundle, displayId);

    public string Ask(string prompt, bool isPassword) => output.Ask(prompt, isPassword, cancel);

    public void Update(MimeBundle bundle, string displayId) => output.Update(bundle, displayId);
}
