using Microsoft.DotNet.Interactive;
using Microsoft.DotNet.Interactive.CSharp;
using Microsoft.DotNet.Interactive.Directives;
using Sparseland.Notebooks;
using Sparseland.Notebooks.Hosting;

namespace Sparseland.Interactive;

/// <summary>
/// Found by .NET Interactive in the package's folder interactive-extensions/dotnet as soon as <c>#r "nuget: Sparseland.Notebooks"</c> has
/// run: registers the displays, makes progress update in place, and adds the magic commands <c>#!claims</c> and <c>#!scale</c>.
/// </summary>
public sealed class SparselandExtension : IKernelExtension
{
    /// <summary>Called by the host.</summary>
    /// <param name="kernel">The kernel, or the composite of all.</param>
    public Task OnLoadAsync(Kernel kernel)
    {
        ArgumentNullException.ThrowIfNull(kernel);
        Load(kernel);
        return Task.CompletedTask;
    }

    /// <summary>The same for a host of one's own.</summary>
    /// <param name="kernel">A C# kernel, or a composite that has one.</param>
    public static void Load(Kernel kernel)
    {
        ArgumentNullException.ThrowIfNull(kernel);
        NotebookFormatters.Register();
        NotebookHost.SetProcessHost(new InteractiveHost());
        foreach (CSharpKernel csharp in kernel.FindKernels(k => k is CSharpKernel).Cast<CSharpKernel>())
        {
            csharp.AddDirective(new KernelActionDirective("#!claims") { Description = "The table of claims so far" }, (_, context) =>
            {
                Show(context, SessionCommands.ClaimsSoFar(Variables(csharp)));
                return Task.CompletedTask;
            });
            var scale = new KernelActionDirective("#!scale") { Description = "Shows the scale of the series' notebooks, or sets it: quick, lesson, full" };
            scale.Parameters.Add(new KernelDirectiveParameter("--to", "quick, lesson or full") { AllowImplicitName = true });
            scale.KernelCommandType = typeof(ScaleCommand);
            csharp.AddDirective<ScaleCommand>(scale, (command, context) =>
            {
                try
                {
                    Show(context, SessionCommands.Scale(command.To ?? ""));
                }
                catch (ArgumentException e)
                {
                    context.Fail(context.Command, message: e.Message);
                }

                return Task.CompletedTask;
            });
        }
    }

    private static IEnumerable<SessionVariable> Variables(CSharpKernel kernel) =>
        kernel.ScriptState is { } state ? state.Variables.Select(v => new SessionVariable(v.Name, v.Type, v.Value)) : [];

    private static void Show(KernelInvocationContext context, MimeBundle bundle) => context.Display(new Shown(bundle));

    /// <summary>A bundle in a type that the formatters know.</summary>
    private sealed record Shown(MimeBundle Bundle) : IMimeRenderable
    {
        public MimeBundle Render() => Bundle;
    }
}
