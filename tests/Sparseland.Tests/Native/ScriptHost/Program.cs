using Microsoft.CodeAnalysis.CSharp.Scripting;
using Microsoft.CodeAnalysis.Scripting;

// The plainest script host there is: cells from standard input, each after a line of //---; prints the last value. Cells
// see the framework and nothing else.
string framework = Path.GetDirectoryName(typeof(object).Assembly.Location)!;
ScriptOptions options = ScriptOptions.Default.WithReferences(
    Directory.GetFiles(framework, "*.dll").Where(file => Path.GetFileName(file) is "netstandard.dll" or "mscorlib.dll" || Path.GetFileName(file).StartsWith("System.", StringComparison.Ordinal))
        .Where(file => !Path.GetFileName(file).Contains(".Native.", StringComparison.Ordinal)));
ScriptState? state = null;
foreach (string cell in (await Console.In.ReadToEndAsync()).Split("\n//---\n"))
    state = state is null ? await CSharpScript.RunAsync(cell, options) : await state.ContinueWithAsync(cell);
Console.WriteLine(state?.ReturnValue);
