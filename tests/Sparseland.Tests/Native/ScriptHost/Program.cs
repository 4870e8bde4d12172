using Microsoft.CodeAnalysis.CSharp.Scripting;

Console.WriteLine(await CSharpScript.EvaluateAsync(await Console.In.ReadToEndAsync()));
