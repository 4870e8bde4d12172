using System.CommandLine;
using System.CommandLine.Parsing;

namespace Sparseland.Kernel.Commands;

/// <summary>Finds options that a command does not have: the parser takes them for paths, and a mistyped one would be ignored.</summary>
internal static class UnknownOptions
{
    /// <summary>What is wrong, or null. Words after "--" are never options.</summary>
    public static string? Find(ParseResult parsed)
    {
        var words = parsed.Tokens.TakeWhile(t => t.Type != TokenType.DoubleDash).ToList();
        for (var i = 0; i < words.Count; i++)
        {
            var word = words[i];

            // A single dash may begin an option's value: a negative number.
            var isValue = i > 0 && words[i - 1].Type == TokenType.Option && !word.Value.StartsWith("--", StringComparison.Ordinal);
            if (word.Type != TokenType.Argument || isValue || word.Value.Length < 2 || word.Value[0] != '-')
                continue;
            var known = parsed.CommandResult.Command.Options.Where(o => !o.Hidden).Select(o => o.Name).Order(StringComparer.Ordinal);
            return $"there is no option '{word.Value}'. Options of '{parsed.CommandResult.Command.Name}': {string.Join(", ", known)}. A path that begins with a dash goes after '--'.";
        }

        return null;
    }
}
