using System.Reflection;
using System.Runtime.CompilerServices;
using System.Xml.Linq;
using Sparseland.Solvers;

namespace Sparseland.Tests.Rooms;

/// <summary>Whoever writes "new() { }" sees in the tooltip what the setting is otherwise.</summary>
public class OptionDocsTests
{
    [Fact]
    public void Every_setting_states_its_default()
    {
        Dictionary<string, string> docs = XDocument.Load(Path.ChangeExtension(typeof(SolverOptions).Assembly.Location, ".xml"))
            .Descendants("member").ToDictionary(member => member.Attribute("name")!.Value, member => member.Value);
        string[] silent =
        [
            .. from type in typeof(SolverOptions).Assembly.GetExportedTypes()
               where type.Name.EndsWith("Options", StringComparison.Ordinal) && !type.IsAbstract
               let id = type.FullName!.Replace('+', '.')
               from property in type.GetProperties(BindingFlags.Public | BindingFlags.Instance | BindingFlags.DeclaredOnly)
               where property.SetMethod is { IsPublic: true } && property.GetCustomAttribute<RequiredMemberAttribute>() is null
               let name = $"{id}.{property.Name}"
               where !(docs.TryGetValue($"P:{name}", out string? text) && text.Contains("default", StringComparison.OrdinalIgnoreCase))
                   && !docs[$"T:{id}"].Contains("Defaults:", StringComparison.Ordinal)
               select name,
        ];
        Assert.True(silent.Length == 0, string.Join("\n", silent));
    }
}
