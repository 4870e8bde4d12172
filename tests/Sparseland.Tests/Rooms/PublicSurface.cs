using System.Globalization;
using System.Reflection;
using System.Runtime.CompilerServices;
using System.Text;

namespace Sparseland.Tests.Rooms;

/// <summary>What the library offers, as text: a line for each type and member, in a fixed order.</summary>
internal static class PublicSurface
{
    private static readonly HashSet<string> Compiled = ["Equals", "GetHashCode", "ToString", "Deconstruct", "<Clone>$", "op_Equality", "op_Inequality", "PrintMembers", "EqualityContract", "GetType"];

    /// <summary>The lines of an assembly.</summary>
    public static IReadOnlyList<string> Of(Assembly assembly)
    {
        List<string> lines = [];
        foreach (Type type in assembly.GetExportedTypes().OrderBy(t => t.FullName, StringComparer.Ordinal))
        {
            lines.Add(Heading(type));
            lines.AddRange(Members(type).Distinct(StringComparer.Ordinal).Order(StringComparer.Ordinal).Select(m => "  " + m));
        }

        return lines;
    }

    private static string Heading(Type type)
    {
        string kind = type.IsEnum ? "enum" : type.IsInterface ? "interface" : type.IsValueType ? "struct" : typeof(Delegate).IsAssignableFrom(type) ? "delegate"
            : type.IsAbstract && type.IsSealed ? "static class" : type.IsAbstract ? "abstract class" : type.IsSealed ? "sealed class" : "class";
        Type[] bases = [.. new[] { type.BaseType }.OfType<Type>().Where(b => b != typeof(object) && b != typeof(ValueType) && b != typeof(Enum)), .. type.GetInterfaces().Where(i => i.IsPublic && i.Namespace?.StartsWith("Sparseland", StringComparison.Ordinal) == true || i == typeof(IDisposable))];
        return $"{type.Namespace}.{Name(type)} ({kind}){(bases.Length > 0 ? " : " + string.Join(", ", bases.Select(Name).Order(StringComparer.Ordinal)) : "")}";
    }

    private static IEnumerable<string> Members(Type type)
    {
        if (type.IsEnum)
        {
            foreach (string name in Enum.GetNames(type)) yield return $"{name} = {Convert.ToInt64(Enum.Parse(type, name), CultureInfo.InvariantCulture)}";
            yield break;
        }

        const BindingFlags All = BindingFlags.Public | BindingFlags.NonPublic | BindingFlags.Instance | BindingFlags.Static | BindingFlags.DeclaredOnly;
        foreach (ConstructorInfo made in type.GetConstructors(All).Where(Seen)) yield return $"new({Parameters(made)})";
        foreach (FieldInfo field in type.GetFields(All).Where(f => f.IsPublic || f.IsFamily)) yield return $"{Name(field.FieldType)} {field.Name}{(field.IsLiteral ? $" = {Escaped(Convert.ToString(field.GetRawConstantValue(), CultureInfo.InvariantCulture)!)}" : "")}";
        foreach (PropertyInfo property in type.GetProperties(All).Where(p => !Compiled.Contains(p.Name) && (Seen(p.GetMethod) || Seen(p.SetMethod))))
        {
            bool init = property.SetMethod?.ReturnParameter.GetRequiredCustomModifiers().Contains(typeof(IsExternalInit)) == true;
            string index = property.GetIndexParameters() is { Length: > 0 } by ? $"[{string.Join(", ", by.Select(p => Name(p.ParameterType)))}]" : "";
            yield return $"{(property.GetMethod?.IsStatic == true ? "static " : "")}{Name(property.PropertyType)} {property.Name}{index} {{{(Seen(property.GetMethod) ? " get;" : "")}{(Seen(property.SetMethod) ? init ? " init;" : " set;" : "")} }}";
        }

        foreach (MethodInfo method in type.GetMethods(All).Where(m => Seen(m) && (!m.IsSpecialName || m.Name.StartsWith("op_", StringComparison.Ordinal)) && !Compiled.Contains(m.Name)))
            yield return $"{(method.IsStatic ? "static " : "")}{Name(method.ReturnType)} {method.Name}{(method.IsGenericMethod ? $"<{string.Join(", ", method.GetGenericArguments().Select(Name))}>" : "")}({Parameters(method)})";
    }

    private static bool Seen(MethodBase? method) => method is { IsPublic: true } or { IsFamily: true } or { IsFamilyOrAssembly: true };

    private static string Parameters(MethodBase method) => string.Join(", ", method.GetParameters().Select(p =>
        $"{(p.IsOut ? "out " : p.ParameterType.IsByRef ? "ref " : "")}{Name(p.ParameterType)} {p.Name}{(p.HasDefaultValue ? $" = {Default(p)}" : "")}"));

    private static string Default(ParameterInfo parameter) => parameter.DefaultValue switch
    {
        null => "default",
        string text => $"\"{Escaped(text)}\"",
        bool value => value ? "true" : "false",
        var value => Convert.ToString(value, CultureInfo.InvariantCulture)!,
    };

    /// <summary>A member stays on its line.</summary>
    private static string Escaped(string text) => string.Concat(text.Select(c => c is >= ' ' and <= '~' ? c.ToString() : $"\\u{(int)c:x4}"));

    private static string Name(Type type)
    {
        if (type.IsByRef || type.IsPointer) return Name(type.GetElementType()!);
        if (type.IsArray) return Name(type.GetElementType()!) + "[]";
        if (Nullable.GetUnderlyingType(type) is { } inner) return Name(inner) + "?";
        var text = new StringBuilder(type.Name.Split('`')[0]);
        for (Type? outer = type.IsGenericParameter ? null : type.DeclaringType; outer is not null; outer = outer.DeclaringType) text.Insert(0, outer.Name.Split('`')[0] + ".");
        if (type.IsGenericType) text.Append(CultureInfo.InvariantCulture, $"<{string.Join(", ", type.GetGenericArguments().Select(Name))}>");
        return text.ToString();
    }
}
