using System.Collections;
using System.Globalization;
using System.Numerics;
using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Text;
using TorchSharp;

namespace Sparseland.Notebooks.Hosting;

/// <summary>
/// Arrays of every rank, jagged ones, memory, vector registers, complex numbers and tensors as a reader expects them: type and shape, then
/// rows and columns with an ellipsis where there are many. Numbers have six significant digits, the same in every culture.
/// </summary>
internal static class NumberForms
{
    // What is shown of an axis: all of it up to Most, else the first and last Edge.
    private const int Most = 12, Edge = 5, MostSlices = 4;

    // A sparse tensor of more entries is not made dense to show some of them.
    private const int MostDense = 10_000_000;

    /// <summary>Types of which other hosts are told; in our own engine every value is asked.</summary>
    public static IReadOnlyList<Type> Registered { get; } =
    [
        typeof(torch.Tensor), typeof(double[,]), typeof(float[,]), typeof(int[,]), typeof(long[,]), typeof(bool[,]), typeof(byte[,]), typeof(decimal[,]), typeof(string[,]), typeof(object[,]), typeof(Complex[,]), typeof(double[,,]), typeof(float[,,]),
        typeof(double[][]), typeof(float[][]), typeof(int[][]), typeof(Memory<double>), typeof(Memory<float>), typeof(Memory<int>),
        typeof(ReadOnlyMemory<double>), typeof(ReadOnlyMemory<float>), typeof(ReadOnlyMemory<int>), typeof(Complex), typeof(Complex[]), typeof(BigInteger),
    ];

    /// <summary>The forms of a value, or null where it is none of these.</summary>
    public static MimeBundle? TryRender(object? value) => value switch
    {
        null or string => null,
        torch.Tensor tensor => Tensor(tensor),
        Complex or BigInteger => ValueFormatting.Text(Number(value)!),
        Array { Rank: > 1 } array when IsNumber(array.GetType().GetElementType()!) =>
            Grid(Title(array), Shape(array), at => Number(array.GetValue(Placed(array, at)))!),
        Array { Rank: > 1 } array =>
            Grid(Title(array), Shape(array), at => Item(array.GetValue(Placed(array, at)))),
        Array { Rank: 1 } array when array.GetLowerBound(0) != 0 =>
            ValueFormatting.Text($"{Title(array)} {List(array.Length, i => Item(array.GetValue(i + array.GetLowerBound(0))))}, from index {array.GetLowerBound(0)}"),
        Array { Rank: 1 } rows when Jagged(rows) is { } longest =>
            Grid($"{TypeNames.CSharp(rows.GetType().GetElementType()!.GetElementType()!)}[{rows.Length}][]", [rows.Length, longest], at => rows.GetValue(at[0]) is Array row ? at[1] < row.Length ? Number(row.GetValue(at[1]))! : "" : at[1] == 0 ? "null" : ""),
        Complex[] numbers => ValueFormatting.Text(List(numbers)),
        _ when Elements(value) is var (count, at) => ValueFormatting.Text($"{TypeNames.CSharp(value.GetType())}[{count}] {List(count, i => Number(at(i))!)}"),
        ITuple => ValueFormatting.Text(Tuple((ITuple)value)),
        _ => null,
    };

    private static MimeBundle Tensor(torch.Tensor tensor)
    {
        if (tensor.IsInvalid) return ValueFormatting.Text("Tensor, disposed");
        long[] shape = tensor.shape;
        string title = $"Tensor [{string.Join(", ", shape)}] {tensor.dtype}{(tensor.device_type == DeviceType.CPU ? "" : $" on {tensor.device}")}{(tensor.requires_grad ? ", requires grad" : "")}";
        if (tensor.device_type == DeviceType.META) return ValueFormatting.Text(title);
        using IDisposable off = torch.no_grad();
        using DisposeScope scope = torch.NewDisposeScope();
        if (tensor.is_sparse && tensor.numel() > MostDense)
            return ValueFormatting.Text($"{title}, sparse; too large to be shown as rows");
        torch.Tensor plain = tensor.is_sparse ? tensor.to_dense() : tensor;
        bool isComplex = plain.is_complex(), isBool = plain.dtype == torch.ScalarType.Bool, isWhole = plain.is_integral() && !isBool;
        string At(int[] at)
        {
            // A few dozen numbers are shown of any tensor.
            using DisposeScope inner = torch.NewDisposeScope();
            torch.Tensor x = plain;
            foreach (int i in at) x = x.select(0, i);
            x = x.cpu();
            if (isComplex) return Number(new Complex(x.real.to(torch.ScalarType.Float64).item<double>(), x.imag.to(torch.ScalarType.Float64).item<double>()))!;
            if (isBool) return x.item<bool>() ? "true" : "false";
            return isWhole ? Number(x.to(torch.ScalarType.Int64).item<long>())! : Number(x.to(torch.ScalarType.Float64).item<double>())!;
        }

        if (shape.Length == 0) return ValueFormatting.Text($"{title} {At([])}");
        int[] sizes = [.. shape.Select(n => (int)Math.Min(n, int.MaxValue))];
        return sizes.Length == 1 ? ValueFormatting.Text($"{title} {List(sizes[0], i => At([i]))}") : Grid(title, sizes, At);
    }

    /// <summary>Two axes as a table; of more axes the first slices, each with its place.</summary>
    private static MimeBundle Grid(string title, int[] shape, Func<int[], string> at)
    {
        var (text, html) = (new StringBuilder(title), new StringBuilder($"<div>{Markup.Escape(title)}"));
        if (shape.Contains(0)) return ValueFormatting.Html(html.Append(": empty</div>").ToString(), text.Append(": empty").ToString());
        int[] outer = shape[..^2];
        long slices = outer.Aggregate(1L, (n, size) => n * size);
        for (int s = 0; s < Math.Min(slices, MostSlices); s++)
        {
            int[] place = Unravel(s, outer);
            if (outer.Length > 0)
            {
                string label = $"[{string.Join(", ", place)}, :, :]";
                text.Append('\n').Append(label);
                html.Append($"<div>{label}</div>");
            }

            AppendMatrix(text, html, shape[^2], shape[^1], (i, j) => at([.. place, i, j]));
        }

        if (slices > MostSlices)
        {
            string more = $"... {(slices - MostSlices).ToString("N0", CultureInfo.InvariantCulture)} more slices";
            text.Append('\n').Append(more);
            html.Append($"<div>{more}</div>");
        }

        return ValueFormatting.Html(html.Append("</div>").ToString(), text.ToString());
    }

    private static void AppendMatrix(StringBuilder text, StringBuilder html, int rows, int columns, Func<int, int, string> at)
    {
        int[] shownRows = Shown(rows), shownColumns = Shown(columns);
        string[][] cells = [.. shownRows.Select(i => shownColumns.Select(j => i < 0 || j < 0 ? "..." : at(i, j)).ToArray())];
        int[] widths = [.. shownColumns.Select((_, c) => cells.Max(row => row[c].Length))];
        html.Append("<table style=\"font-variant-numeric:tabular-nums\">");
        foreach (string[] row in cells)
        {
            text.Append('\n').Append(string.Join("  ", row.Select((cell, c) => cell.PadLeft(widths[c]))));
            html.Append("<tr>").Append(string.Concat(row.Select(cell => $"<td style=\"text-align:right\">{Markup.Escape(cell)}</td>"))).Append("</tr>");
        }

        html.Append("</table>");
    }

    /// <summary>Indices that are shown; -1 for the ellipsis.</summary>
    private static int[] Shown(int count) =>
        count <= Most ? [.. Enumerable.Range(0, count)] : [.. Enumerable.Range(0, Edge), -1, .. Enumerable.Range(count - Edge, Edge)];

    private static int[] Unravel(int index, int[] sizes)
    {
        int[] place = new int[sizes.Length];
        for (int d = sizes.Length - 1; d >= 0; d--) (index, place[d]) = Math.DivRem(index, sizes[d]);
        return place;
    }

    private static string Title(Array array) => $"{TypeNames.CSharp(array.GetType().GetElementType()!)}[{string.Join(", ", Shape(array))}]";

    /// <summary>An index that counts from 0 as the array counts: other languages' arrays may begin at 1.</summary>
    private static int[] Placed(Array array, int[] at) => [.. at.Select((i, d) => i + array.GetLowerBound(d))];

    private static int[] Shape(Array array) => [.. Enumerable.Range(0, array.Rank).Select(array.GetLength)];

    /// <summary>Length of the longest row of an array of number arrays; null for anything else.</summary>
    private static int? Jagged(Array rows) =>
        rows.GetType().GetElementType() is { IsArray: true } row && row.GetArrayRank() == 1 && IsNumber(row.GetElementType()!)
            ? rows.Cast<Array?>().Select(r => r?.Length ?? 1).DefaultIfEmpty(0).Max() : null;

    /// <summary>Memory, array segments and vector registers of numbers: how many, and each. Only those that are shown are read.</summary>
    private static (int Count, Func<int, object> At)? Elements(object value)
    {
        Type type = value.GetType();
        if (!type.IsValueType || !type.IsGenericType || !IsNumber(type.GetGenericArguments()[0])) return null;
        Type open = type.GetGenericTypeDefinition();
        if (open == typeof(Memory<>) || open == typeof(ReadOnlyMemory<>))
        {
            var (slice, toArray) = (type.GetMethod("Slice", [typeof(int), typeof(int)])!, type.GetMethod("ToArray")!);
            return ((int)type.GetProperty("Length")!.GetValue(value)!, i => ((Array)toArray.Invoke(slice.Invoke(value, [i, 1]), null)!).GetValue(0)!);
        }

        if (open == typeof(ArraySegment<>)) return ((int)type.GetProperty("Count")!.GetValue(value)!, i => type.GetProperty("Item")!.GetValue(value, [i])!);
        if (open != typeof(Vector<>) && open != typeof(Vector64<>) && open != typeof(Vector128<>) && open != typeof(Vector256<>) && open != typeof(Vector512<>)) return null;
        int count = (int)type.GetProperty("Count")!.GetValue(null)!;
        return (count, i => type.GetProperty("Item")!.GetValue(value, [i])!);
    }

    private static string Tuple(ITuple tuple) => $"({string.Join(", ", Enumerable.Range(0, tuple.Length).Select(i => Item(tuple[i])))})";

    // A value within a value within a value: what holds itself ends here.
    private const int Deepest = 6;

    [ThreadStatic]
    private static int s_depth;

    private static string Item(object? value)
    {
        if (s_depth >= Deepest) return value is null ? "null" : TypeNames.CSharp(value.GetType());
        s_depth++;
        try
        {
            return ItemOf(value);
        }
        finally
        {
            s_depth--;
        }
    }

    private static string ItemOf(object? value) => value switch
    {
        null => "null",
        string text => $"\"{text}\"",
        ITuple inner => Tuple(inner),
        Array { Rank: 1 } array when IsNumber(array.GetType().GetElementType()!) => List([.. array.Cast<object>()]),
        _ when Number(value) is { } number => number,
        _ => ((ValueFormatting.Format(value).Data["text/plain"] as System.Text.Json.Nodes.JsonValue)?.ToString() ?? "").ReplaceLineEndings("; "),
    };

    private static string List<T>(IReadOnlyList<T> values) => List(values.Count, i => Number(values[i])!);

    private static string List(int count, Func<int, string> at) =>
        count == 0 ? "[]" : $"[ {string.Join(", ", (count <= 20 ? Enumerable.Range(0, count) : [.. Enumerable.Range(0, 16), -1, .. Enumerable.Range(count - 4, 4)]).Select(i => i < 0 ? "..." : at(i)))} ]";

    private static bool IsNumber(Type type) =>
        type.IsPrimitive || type == typeof(decimal) || type == typeof(Complex) || type == typeof(BigInteger) || type == typeof(Half) || type == typeof(Int128) || type == typeof(UInt128);

    /// <summary>A number as a cell shows it; null for what is none.</summary>
    private static string? Number<T>(T value) => value switch
    {
        double x => Real(x),
        float x => Real(x),
        Half x => Real((double)x),
        Complex z => $"{Real(z.Real)} {(z.Imaginary < 0 || (z.Imaginary == 0 && double.IsNegative(z.Imaginary)) ? "-" : "+")} {Real(Math.Abs(z.Imaginary))}i",
        bool b => b ? "true" : "false",
        char c => $"'{c}'",
        IFormattable number when IsNumber(value.GetType()) => number.ToString(null, CultureInfo.InvariantCulture),
        _ => null,
    };

    private static string Real(double x) => x.ToString("G6", CultureInfo.InvariantCulture);
}
