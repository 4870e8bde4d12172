using System.CommandLine;

namespace Sparseland.Kernel.Commands;

/// <summary>Options whose value is one of some names: the parser takes any number for one too, which would be none of them.</summary>
internal static class NamedValues
{
    /// <summary>Refuses numbers in all options of a command and of those below it.</summary>
    public static void Require(Command command)
    {
        foreach (var option in command.Options.Where(o => o.ValueType.IsEnum))
        {
            var names = Enum.GetNames(option.ValueType);
            option.Validators.Add(result =>
            {
                foreach (var token in result.Tokens.Where(t => !names.Contains(t.Value, StringComparer.OrdinalIgnoreCase)))
                    result.AddError($"{option.Name} is '{token.Value}', but must be one of {string.Join(", ", names)}.");
            });
        }

        foreach (var below in command.Subcommands)
            Require(below);
    }
}
