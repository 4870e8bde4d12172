#:property PublishAot=false
// dotnet run PublicDocs.cs ASSEMBLY.dll DOCS.xml
// Takes the members that users of the assembly cannot see out of a documentation file: the compiler writes internal ones too.
// Overloads count by name.
using System.Reflection;
using System.Runtime.Loader;
using System.Xml.Linq;

string assembly = Path.GetFullPath(args[0]);
var context = new AssemblyLoadContext("documented");
context.Resolving += (_, name) => File.Exists(Path.Combine(Path.GetDirectoryName(assembly)!, name.Name + ".dll"))
    ? context.LoadFromAssemblyPath(Path.Combine(Path.GetDirectoryName(assembly)!, name.Name + ".dll")) : null;
var visible = new HashSet<string>(StringComparer.Ordinal);
foreach (Type type in context.LoadFromAssemblyPath(assembly).GetTypes().Where(IsVisible))
{
    string name = type.FullName!.Replace('+', '.');
    visible.Add($"T:{name}");
    foreach (MemberInfo member in type.GetMembers(BindingFlags.Public | BindingFlags.NonPublic | BindingFlags.Instance | BindingFlags.Static | BindingFlags.DeclaredOnly))
    {
        if (!IsShown(member)) continue;
        (char kind, string end) = member switch
        {
            ConstructorInfo c => ('M', c.IsStatic ? "#cctor" : "#ctor"),
            MethodInfo { IsGenericMethod: true } m => ('M', $"{m.Name}``{m.GetGenericArguments().Length}"),
            MethodInfo => ('M', member.Name),
            PropertyInfo => ('P', member.Name),
            EventInfo => ('E', member.Name),
            _ => ('F', member.Name),
        };
        visible.Add($"{kind}:{name}.{end}");
    }
}

XDocument docs = XDocument.Load(args[1], LoadOptions.PreserveWhitespace);
XElement[] all = [.. docs.Descendants("member")];
XElement[] hidden = [.. all.Where(member => !visible.Contains(member.Attribute("name")!.Value.Split('(', '~')[0]))];
foreach (XElement member in hidden)
{
    // With the line break before it.
    if (member.PreviousNode is XText space) space.Remove();
    member.Remove();
}

// A new file: the old one may be a hard link into other folders.
File.Delete(args[1]);
docs.Save(args[1]);
Console.WriteLine($"{Path.GetFileName(args[1])}: {all.Length - hidden.Length} of {all.Length} members are public.");

static bool IsVisible(Type type) => type.IsNested ? (type.IsNestedPublic || type.IsNestedFamily || type.IsNestedFamORAssem) && IsVisible(type.DeclaringType!) : type.IsPublic;

static bool IsShown(MemberInfo member) => member switch
{
    MethodBase m => m.IsPublic || m.IsFamily || m.IsFamilyOrAssembly,
    PropertyInfo p => p.GetAccessors(nonPublic: true).Any(IsShown),
    EventInfo e => IsShown(e.AddMethod!),
    FieldInfo f => f.IsPublic || f.IsFamily || f.IsFamilyOrAssembly,
    _ => false,
};
