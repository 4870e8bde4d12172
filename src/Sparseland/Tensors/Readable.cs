using System.Collections;
using System.Collections.Concurrent;
using System.Globalization;
using System.Reflection;
using TorchSharp;

namespace Sparseland.Tensors;

/// <summary>Results as one line a person can read: a record prints an array as "System.Double[]" by itself.</summary>
internal static class Readable
{
    private const int Shown = 4;
    private static readonly ConcurrentDictionary<Type, PropertyInfo[]> s_properties = new();

    /// <summary>Type and public members; long lists by their length and first values, tensors by type and shape.</summary>
    public static string Of(object result)
    {
        PropertyInfo[] members = s_properties.GetOrAdd(result.GetType(), static type =>
            [.. type.GetProperties(BindingFlags.Public | BindingFlags.Instance).Where(p => p.GetIndexParameters().Length == 0 && p.GetMethod!.IsPublic)]);
        return $"{Name(result.GetType())} {{ {string.Join(", ", members.Select(p => $"{p.Name} = {Member(p, result)}"))} }}";
    }

    private static string Member(PropertyInfo member, object owner)
    {
        try
        {
            return Text(member.GetValue(owner));
        }
        catch (TargetInvocationException e)
        {
            // A derived value that this result does not have; printing must not fail for it.
            return $"({e.InnerException!.GetType().Name})";
        }
    }

    private static string Text(object? value) => value switch
    {
        null => "none",
        string text => text,
        double number => number.ToString("G6", CultureInfo.InvariantCulture),
        float number => number.ToString("G6", CultureInfo.InvariantCulture),
        torch.Tensor { IsInvalid: true } => "disposed tensor",
        torch.Tensor tensor => $"{tensor.dtype} [{string.Join(", ", tensor.shape)}]",
        Array { Rank: > 1 } array => $"{Name(array.GetType().GetElementType()!)} [{string.Join(", ", Enumerable.Range(0, array.Rank).Select(array.GetLength))}]",
        IEnumerable list => List([.. list.Cast<object?>()]),
        IFormattable formattable => formattable.ToString(null, CultureInfo.InvariantCulture),
        _ => value.ToString() ?? "",
    };

    private static string List(object?[] items)
    {
        string first = string.Join(", ", items.Take(Shown).Select(item => item is IEnumerable and not string ? $"[{string.Join(", ", ((IEnumerable)item).Cast<object?>().Take(Shown).Select(Text))}...]" : Text(item)));
        return items.Length <= Shown ? $"[{first}]" : $"[{first}, ... {items.Length} in all]";
    }

    private static string Name(Type type) => type.IsGenericType ? type.Name[..type.Name.IndexOf('`', StringComparison.Ordinal)] : type.Name;
}
