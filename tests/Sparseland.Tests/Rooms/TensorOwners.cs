using System.Reflection;
using Sparseland.Tensors;
using TorchSharp;

namespace Sparseland.Tests.Rooms;

/// <summary>Which public types of the library hold tensors, directly or in something they hold, and how they let go of them.</summary>
internal static class TensorOwners
{
    private static readonly Assembly Library = typeof(ProgressReport).Assembly;

    /// <summary>Public classes and structs whose fields hold a tensor, networks left out: TorchSharp registers and frees their parameters.</summary>
    public static IEnumerable<Type> All => Library.GetExportedTypes()
        .Where(type => !type.IsInterface && !type.IsEnum && !typeof(Delegate).IsAssignableFrom(type) && !typeof(torch.nn.Module).IsAssignableFrom(type))
        .Where(type => Holds(type, []));

    /// <summary>Whether a field of its own is a tensor or a collection of tensors.</summary>
    public static bool HoldsItself(Type type) => Fields(type).Any(field => Parts(field.FieldType).Any(IsTensor));

    /// <summary>Whether it tells the collector how much native memory it keeps.</summary>
    public static bool TellsItsSize(Type type) => Fields(type).Any(field => field.FieldType == typeof(NativeSize));

    private static bool Holds(Type type, HashSet<Type> seen) =>
        seen.Add(type) && Fields(type).SelectMany(field => Parts(field.FieldType)).Any(part => IsTensor(part) || (part.Assembly == Library && !part.IsInterface && Holds(part, seen)));

    private static bool IsTensor(Type type) => type == typeof(torch.Tensor) || type.IsSubclassOf(typeof(torch.Tensor));

    /// <summary>A type, the element of an array and the arguments of a generic; a function only makes or takes.</summary>
    private static IEnumerable<Type> Parts(Type type)
    {
        if (typeof(Delegate).IsAssignableFrom(type) || typeof(torch.nn.Module).IsAssignableFrom(type)) return [];
        if (type.IsArray) return Parts(type.GetElementType()!);
        return type.IsGenericType ? type.GetGenericArguments().SelectMany(Parts).Append(type) : [type];
    }

    private static IEnumerable<FieldInfo> Fields(Type? type)
    {
        for (; type is not null && type.Assembly == Library; type = type.BaseType)
        {
            foreach (FieldInfo field in type.GetFields(BindingFlags.Instance | BindingFlags.Public | BindingFlags.NonPublic | BindingFlags.DeclaredOnly))
                yield return field;
        }
    }
}
