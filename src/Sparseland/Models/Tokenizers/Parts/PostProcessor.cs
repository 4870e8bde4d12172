using System.Text.Json;

namespace Sparseland.Models.Tokenizers.Parts;

/// <summary>The special tokens around one text or two, from a post_processor. Microsoft.ML.Tokenizers 2.0.1 has those of BERT alone.</summary>
internal sealed class PostProcessor
{
    private readonly List<Slot> _single;
    private readonly List<Slot> _pair;

    private PostProcessor(List<Slot> single, List<Slot> pair) => (_single, _pair) = (single, pair);

    /// <summary>Without special tokens; a second text has type 1.</summary>
    public static PostProcessor None { get; } = new([Slot.A(0)], [Slot.A(0), Slot.B(1)]);

    /// <summary>Reads a post-processor.</summary>
    /// <exception cref="FormatException">It is not known.</exception>
    public static PostProcessor Read(Part part)
    {
        switch (part.Type)
        {
            case "ByteLevel":
                // Only offsets, which are not kept here.
                return None;
            case "Sequence":
                PostProcessor[] parts = [.. part.Parts("processors").Select(Read).Where(p => p != None)];
                return parts.Length switch { 0 => None, 1 => parts[0], _ => throw part.Wrong("more than one of its parts adds tokens") };
            case "BertProcessing":
                Slot cls = Named(part, "cls"), sep = Named(part, "sep");
                return new([cls, Slot.A(0), sep], [cls, Slot.A(0), sep, Slot.B(1), sep with { Type = 1 }]);
            case "RobertaProcessing":
                (Slot begin, Slot end) = (Named(part, "cls"), Named(part, "sep"));
                return new([begin, Slot.A(0), end], [begin, Slot.A(0), end, end, Slot.B(0), end]);
            case "TemplateProcessing":
                return new(Template(part, "single"), Template(part, "pair"));
            default:
                throw part.Unknown();
        }
    }

    /// <summary>Largest id that is added; -1 for none.</summary>
    public int LargestId => _single.Concat(_pair).SelectMany(s => s.Ids).DefaultIfEmpty(-1).Max();

    /// <summary>Puts the special tokens in.</summary>
    public TokenSequence Apply(IReadOnlyList<int> first, IReadOnlyList<int>? second)
    {
        var ids = new List<int>();
        var types = new List<int>();
        foreach (Slot slot in second is null ? _single : _pair)
        {
            IReadOnlyList<int> some = slot.Text switch { 'A' => first, 'B' => second ?? [], _ => slot.Ids };
            ids.AddRange(some);
            types.AddRange(Enumerable.Repeat(slot.Type, some.Count));
        }

        return new([.. ids], [.. types]);
    }

    private static Slot Named(Part part, string name)
    {
        JsonElement pair = part.Get(name);
        return pair.ValueKind == JsonValueKind.Array && pair.GetArrayLength() == 2 ? new(' ', [pair[1].GetInt32()], 0) : throw part.Wrong($"'{name}' is not a token and its id");
    }

    private static List<Slot> Template(Part part, string name)
    {
        var slots = new List<Slot>();
        foreach (JsonElement piece in part.Get(name).EnumerateArray())
        {
            if (piece.TryGetProperty("Sequence", out JsonElement text))
            {
                slots.Add(text.GetProperty("id").GetString() == "B" ? Slot.B(text.GetProperty("type_id").GetInt32()) : Slot.A(text.GetProperty("type_id").GetInt32()));
                continue;
            }

            JsonElement token = new Part(piece, part.Name).Get("SpecialToken");
            string id = token.GetProperty("id").GetString() ?? "";
            JsonElement known = part.Get("special_tokens");
            if (!known.TryGetProperty(id, out JsonElement special)) throw part.Wrong($"the token '{id}' of its template is not among its special_tokens");
            slots.Add(new(' ', [.. special.GetProperty("ids").EnumerateArray().Select(i => i.GetInt32())], token.GetProperty("type_id").GetInt32()));
        }

        return slots;
    }

    private sealed record Slot(char Text, IReadOnlyList<int> Ids, int Type)
    {
        public static Slot A(int type) => new('A', [], type);

        public static Slot B(int type) => new('B', [], type);
    }
}
