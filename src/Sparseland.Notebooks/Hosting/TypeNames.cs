namespace Sparseland.Notebooks.Hosting;

/// <summary>Types as C# writes them.</summary>
internal static class TypeNames
{
    /// <summary>"double[,]", "Dictionary&lt;string, int&gt;", "(int, string)"; without namespaces.</summary>
    public static string CSharp(Type type)
    {
        if (type.IsArray) return $"{CSharp(type.GetElementType()!)}[{new string(',', type.GetArrayRank() - 1)}]";
        if (type.IsByRef || type.IsPointer) return CSharp(type.GetElementType()!);
        if (Nullable.GetUnderlyingType(type) is { } value) return CSharp(value) + "?";
        if (type.Name.StartsWith("<>f__AnonymousType", StringComparison.Ordinal)) return $"{{ {string.Join(", ", type.GetProperties().Select(p => p.Name))} }}";
        if (type.IsGenericType)
        {
            string arguments = string.Join(", ", type.GetGenericArguments().Select(CSharp));
            string name = type.Name.Split('`')[0];
            return name == "ValueTuple" ? $"({arguments})" : name.StartsWith('<') ? "sequence" : $"{name}<{arguments}>";
        }

        return type == typeof(object) ? "object" : !type.IsEnum && Keywords.TryGetValue(Type.GetTypeCode(type), out string? keyword) ? keyword : type.Name;
    }

    private static readonly Dictionary<TypeCode, string> Keywords = new()
    {
        [TypeCode.Boolean] = "bool", [TypeCode.Byte] = "byte", [TypeCode.Char] = "char", [TypeCode.Decimal] = "decimal", [TypeCode.Double] = "double",
        [TypeCode.Int16] = "short", [TypeCode.Int32] = "int", [TypeCode.Int64] = "long", [TypeCode.SByte] = "sbyte", [TypeCode.Single] = "float",
        [TypeCode.String] = "string", [TypeCode.UInt16] = "ushort", [TypeCode.UInt32] = "uint", [TypeCode.UInt64] = "ulong",
    };
}
