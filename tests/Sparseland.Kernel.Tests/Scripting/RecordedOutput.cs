using System.Text;
using Sparseland.Kernel.Scripting;
using Sparseland.Notebooks.Hosting;

namespace Sparseland.Kernel.Tests.Scripting;

/// <summary>Keeps what a cell puts out, in its order.</summary>
internal sealed class RecordedOutput : ICellOutput
{
    private readonly Lock gate = new();
    private readonly List<(string Kind, string Text, MimeBundle? Bundle, string? Id)> events = [];

    /// <summary>Kind and text/plain of everything, in order.</summary>
    public IReadOnlyList<(string Kind, string Text, MimeBundle? Bundle, string? Id)> Events
    {
        get
        {
            lock (gate)
            {
                return [.. events];
            }
        }
    }

    public string Stdout => Joined("stdout");

    public string Stderr => Joined("stderr");

    /// <summary>The one result, or null.</summary>
    public MimeBundle? ResultBundle => Events.SingleOrDefault(e => e.Kind == "result").Bundle;

    public string? ResultText => (string?)ResultBundle?.Data["text/plain"];

    public IReadOnlyList<MimeBundle> Displays => [.. Events.Where(e => e.Kind == "display").Select(e => e.Bundle!)];

    public void Stream(string name, string text) => Add((name, text, null, null));

    public void Display(MimeBundle bundle, string displayId) => Add(("display", (string)bundle.Data["text/plain"]!, bundle, displayId));

    public void Update(MimeBundle bundle, string displayId) => Add(("update", (string)bundle.Data["text/plain"]!, bundle, displayId));

    public void Result(MimeBundle bundle) => Add(("result", (string)bundle.Data["text/plain"]!, bundle, null));

    private void Add((string Kind, string Text, MimeBundle? Bundle, string? Id) e)
    {
        lock (gate)
        {
            events.Add(e);
        }
    }

    private string Joined(string kind) => Events.Where(e => e.Kind == kind).Aggregate(new StringBuilder(), (b, e) => b.Append(e.Text)).ToString();
}
