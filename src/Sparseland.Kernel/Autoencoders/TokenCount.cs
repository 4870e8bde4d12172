using System.Globalization;

namespace Sparseland.Kernel.Autoencoders;

/// <summary>Numbers of tokens as people write them: 2000000, 2_000_000, 500k, 2M, 1.5M, 1B.</summary>
internal static class TokenCount
{
    /// <summary>The most that a number may be: windows of it can still be counted.</summary>
    public const long Most = 1_000_000_000_000_000;

    /// <summary>Reads a number.</summary>
    /// <exception cref="FormatException">It is none, or not a whole positive number of tokens.</exception>
    public static long Parse(string text)
    {
        string digits = text.Trim().Replace("_", "", StringComparison.Ordinal);
        decimal unit = digits.Length == 0 ? 1 : digits[^1] switch
        {
            'k' or 'K' => 1_000,
            'm' or 'M' => 1_000_000,
            'b' or 'B' or 'g' or 'G' => 1_000_000_000,
            _ => 1,
        };
        if (unit != 1) digits = digits[..^1];
        return decimal.TryParse(digits, NumberStyles.AllowDecimalPoint, CultureInfo.InvariantCulture, out decimal number) && number * unit is >= 1 and <= Most && number * unit % 1 == 0
            ? (long)(number * unit)
            : throw new FormatException($"'{text}' is no number of tokens; write it as 2000000, 500k, 2M or 1.5M.");
    }
}
