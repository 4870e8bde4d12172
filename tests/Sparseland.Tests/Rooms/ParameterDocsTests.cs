using System.Reflection;
using System.Xml.Linq;

namespace Sparseland.Tests.Rooms;

/// <summary>Whoever leaves an argument out reads in the tooltip what is taken in its place.</summary>
public class ParameterDocsTests
{
    // What everybody knows of a progress report and a token is that null and none are the defaults.
    private static readonly Type[] Plain = [typeof(CancellationToken), typeof(IProgress<ProgressReport>)];

    [Fact]
    public void Every_optional_argument_states_its_default()
    {
        Assembly library = typeof(ProgressReport).Assembly;
        XElement[] members = [.. XDocument.Load(Path.ChangeExtension(library.Location, ".xml")).Descendants("member")];
        ILookup<string, XElement> docs = members.ToLookup(member => NameOf(member.Attribute("name")!.Value));
        string[] silent =
        [
            .. from type in library.GetExportedTypes()
               where !typeof(Delegate).IsAssignableFrom(type)
               from method in Members(type)
               from parameter in method.GetParameters()
               where parameter.HasDefaultValue && !Plain.Contains(parameter.ParameterType) && !IsProgress(parameter.ParameterType)
               where !NamesOf(type, method).SelectMany(name => docs[name]).Any(member => States(member, parameter))
               select $"{NamesOf(type, method)[^1]}: {parameter.Name} = {parameter.DefaultValue ?? "null"}",
        ];
        Assert.True(silent.Length == 0, $"{silent.Length} arguments\n" + string.Join("\n", silent.Distinct()));
    }

    /// <summary>Methods, constructors and the primary constructors of records, whose parameters are documented on the type.</summary>
    private static IEnumerable<MethodBase> Members(Type type)
    {
        const BindingFlags flags = BindingFlags.Public | BindingFlags.Instance | BindingFlags.Static | BindingFlags.DeclaredOnly;
        return type.GetMethods(flags).Cast<MethodBase>().Concat(type.GetConstructors(flags));
    }

    private static bool IsProgress(Type type) => type.IsGenericType && type.GetGenericTypeDefinition() == typeof(IProgress<>);

    /// <summary>The text of the argument says "default" or, where that is null, what null stands for; inherited docs are read where they stand.</summary>
    private static bool States(XElement member, ParameterInfo parameter) =>
        member.Elements("inheritdoc").Any() || member.Elements("param").Any(param => param.Attribute("name")!.Value == parameter.Name
            && (param.Value.Contains("default", StringComparison.OrdinalIgnoreCase)
                || (parameter.DefaultValue is null && param.Value.Contains("null", StringComparison.OrdinalIgnoreCase))));

    // Overloads and generics share a name here: an argument counts as documented where one of them documents it.
    private static string NameOf(string id)
    {
        string name = id[2..].Split('(')[0];
        int generic = name.IndexOf("``", StringComparison.Ordinal);
        return generic < 0 ? name : name[..generic];
    }

    private static string[] NamesOf(Type type, MethodBase method)
    {
        string owner = type.FullName!.Replace('+', '.');

        // The docs of a primary constructor stand on its type.
        return method is ConstructorInfo ? [owner, $"{owner}.#ctor"] : [$"{owner}.{method.Name}"];
    }
}
