using System.Globalization;
using System.Net;
using System.Text;

namespace Sparseland.Kernel.Gallery;

/// <summary>
/// Turns the TeX formulas of the notebooks into MathML, which browsers show without any script or network.
/// A formula with a command outside of the known ones is shown as its TeX source.
/// </summary>
internal sealed class TexMath
{
    private readonly string tex;
    private int at;

    private TexMath(string tex) => this.tex = tex;

    /// <summary>A formula as HTML.</summary>
    /// <param name="tex">TeX without its dollar signs.</param>
    /// <param name="display">Whether it stands on a line of its own.</param>
    public static string ToHtml(string tex, bool display)
    {
        try
        {
            var parser = new TexMath(tex);
            var body = parser.Row(_ => false);
            return $"<math{(display ? " display=\"block\"" : "")}><semantics><mrow>{body}</mrow><annotation encoding=\"application/x-tex\">{WebUtility.HtmlEncode(tex.Trim())}</annotation></semantics></math>";
        }
        catch (FormatException)
        {
            var shown = WebUtility.HtmlEncode(tex.Trim());
            return display ? $"<pre class=\"tex\">{shown}</pre>" : $"<code class=\"tex\">{shown}</code>";
        }
    }

    /// <summary>Atoms with their scripts up to the end or to a token that <paramref name="stop"/> names; that token is not taken.</summary>
    private string Row(Func<string, bool> stop)
    {
        var row = new StringBuilder();
        while (Peek() is { } token && !stop(token))
            row.Append(Scripted(stop));
        return row.ToString();
    }

    private string Scripted(Func<string, bool> stop)
    {
        var token = Peek()!;
        var limits = token[0] == '\\' && TexSymbols.Large.ContainsKey(token[1..]) && token is not "\\int" and not "\\oint" || token is "\\overbrace" or "\\underbrace" or "\\operatorname";
        if (token == "\\operatorname")
            limits = tex.AsSpan(at).TrimStart().StartsWith("\\operatorname*");
        var atom = token is "^" or "_" ? "<mrow></mrow>" : Atom();
        string? below = null, above = null;
        while (Peek() is { } next && !stop(next))
        {
            if (next == "_" && below is null)
            {
                Next();
                below = Argument();
            }
            else if (next == "^" && above is null)
            {
                Next();
                above = Argument();
            }
            else if (next == "'" && above is null)
            {
                Next();
                above = "<mo>′</mo>";
            }
            else if (next is "\\limits" or "\\nolimits")
            {
                Next();
                limits = next == "\\limits";
            }
            else
            {
                break;
            }
        }

        var (one, other, both) = limits ? ("munder", "mover", "munderover") : ("msub", "msup", "msubsup");
        return (below, above) switch
        {
            (null, null) => atom,
            (not null, null) => $"<{one}>{atom}{below}</{one}>",
            (null, not null) => $"<{other}>{atom}{above}</{other}>",
            _ => $"<{both}>{atom}{below}{above}</{both}>",
        };
    }

    /// <summary>One atom or one group, as one element.</summary>
    private string Argument()
    {
        if (Peek() is null)
            throw new FormatException("An argument is missing.");
        return Peek() is "^" or "_" or "}" or "&" ? throw new FormatException("An argument is missing.") : Atom();
    }

    private string Atom()
    {
        var token = Next();
        if (token == "{")
        {
            var row = Row(t => t == "}");
            Expect("}");
            return $"<mrow>{row}</mrow>";
        }

        if (token[0] == '\\' && token.Length > 1)
            return Command(token[1..]);
        if (char.IsAsciiDigit(token[0]))
            return $"<mn>{token}</mn>";
        return token switch
        {
            "}" or "&" => throw new FormatException($"Unexpected '{token}'."),
            "-" => "<mo>−</mo>",
            "*" => "<mo>∗</mo>",
            "~" => Space("0.25"),
            _ when char.IsLetter(token, 0) => $"<mi>{token}</mi>",
            "|" => Bar("|"),
            "/" or "(" or ")" or "[" or "]" => $"<mo stretchy=\"false\">{token}</mo>",
            _ => $"<mo>{WebUtility.HtmlEncode(token)}</mo>",
        };
    }

    private string Command(string name)
    {
        if (TexSymbols.Letters.TryGetValue(name, out var letter))
            return $"<mi>{letter}</mi>";
        if (TexSymbols.Operators.TryGetValue(name, out var sign))
            return sign is "|" or "‖" ? Bar(sign) : $"<mo stretchy=\"false\">{sign}</mo>";
        if (TexSymbols.Large.TryGetValue(name, out var large))
            return char.IsLetter(large[0]) ? $"<mo movablelimits=\"true\" lspace=\"0.17em\" rspace=\"0.17em\">{large}</mo>" : $"<mo movablelimits=\"true\">{large}</mo>";
        if (TexSymbols.Functions.Contains(name))
            return $"<mrow><mi>{name}</mi><mo>&#x2061;</mo></mrow>";
        if (TexSymbols.Accents.TryGetValue(name, out var accent))
            return $"<mover accent=\"true\">{Argument()}<mo stretchy=\"{(name.Length > 5 ? "true" : "false")}\">{accent}</mo></mover>";
        if (TexSymbols.Spaces.TryGetValue(name, out var space))
            return Space(space);
        switch (name)
        {
            case "frac" or "dfrac" or "tfrac" or "cfrac":
                return $"<mfrac>{Argument()}{Argument()}</mfrac>";
            case "binom":
                return $"<mrow><mo>(</mo><mfrac linethickness=\"0\">{Argument()}{Argument()}</mfrac><mo>)</mo></mrow>";
            case "sqrt":
                return Root();
            case "underline":
                return $"<munder>{Argument()}<mo>_</mo></munder>";
            case "underbrace":
                return $"<munder>{Argument()}<mo stretchy=\"true\">⏟</mo></munder>";
            case "underset":
                var below = Argument();
                return $"<munder>{Argument()}{below}</munder>";
            case "overset" or "stackrel":
                var above = Argument();
                return $"<mover>{Argument()}{above}</mover>";
            case "mathbf" or "boldsymbol" or "bm" or "mathbb" or "mathcal" or "mathscr" or "mathfrak" or "mathrm" or "mathit" or "mathsf" or "mathtt":
                return Styled(name);
            case "text" or "mbox" or "textrm" or "textit" or "textbf" or "textsf" or "texttt":
                return $"<mtext>{WebUtility.HtmlEncode(RawGroup()).Replace(" ", "&#xa0;", StringComparison.Ordinal)}</mtext>";
            case "operatorname":
                if (Peek() == "*")
                    Next();
                return $"<mrow><mi>{WebUtility.HtmlEncode(RawGroup().Replace("\\,", "\u2009", StringComparison.Ordinal))}</mi><mo>&#x2061;</mo></mrow>";
            case "left":
                return Fenced();
            case "big" or "Big" or "bigg" or "Bigg" or "bigl" or "bigr" or "Bigl" or "Bigr" or "biggl" or "biggr" or "bigm" or "Bigm":
                return Delimiter(stretchy: false);
            case "middle":
                return Delimiter(stretchy: true);
            case "begin":
                return Environment(RawGroup());
            case "displaystyle" or "textstyle" or "limits" or "nolimits" or "nonumber" or "notag":
                return "";
            case "label" or "tag":
                RawGroup();
                return "";
            case "|":
                return Bar("‖");
            case "{" or "}" or "%" or "#" or "$" or "&" or "_":
                return $"<mo stretchy=\"false\">{WebUtility.HtmlEncode(name)}</mo>";
            case " ":
                return Space("0.25");
            case "\\":
                return "<mspace linebreak=\"newline\"></mspace>";
            default:
                throw new FormatException($"The command \\{name} is not known.");
        }
    }

    private string Root()
    {
        if (Peek() != "[")
            return $"<msqrt>{Argument()}</msqrt>";
        Next();
        var degree = Row(t => t == "]");
        Expect("]");
        return $"<mroot>{Argument()}<mrow>{degree}</mrow></mroot>";
    }

    private string Fenced()
    {
        var open = Delimiter(stretchy: true);
        var row = Row(t => t == "\\right");
        Expect("\\right");
        return $"<mrow>{open}{row}{Delimiter(stretchy: true)}</mrow>";
    }

    private string Delimiter(bool stretchy)
    {
        var token = Next();
        var sign = token switch
        {
            "." => "",
            "\\|" => "‖",
            "\\{" or "\\}" => token[1..],
            ['\\', ..] => TexSymbols.Operators.TryGetValue(token[1..], out var known) ? known : throw new FormatException($"{token} is no delimiter."),
            _ => WebUtility.HtmlEncode(token),
        };
        return sign.Length == 0 ? "" : $"<mo fence=\"true\" stretchy=\"{(stretchy ? "true" : "false")}\">{sign}</mo>";
    }

    private string Environment(string name)
    {
        var (open, close, align) = name.TrimEnd('*') switch
        {
            "cases" => ("{", "", "left"),
            "matrix" or "smallmatrix" => ("", "", "center"),
            "pmatrix" => ("(", ")", "center"),
            "bmatrix" => ("[", "]", "center"),
            "vmatrix" => ("|", "|", "center"),
            "aligned" or "align" or "split" or "eqnarray" => ("", "", "aligned"),
            "gathered" or "gather" or "equation" => ("", "", "center"),
            "array" => ("", "", "center"),
            _ => throw new FormatException($"The environment {name} is not known."),
        };
        if (name == "array")
            RawGroup();
        var table = new StringBuilder("<mtable>");
        while (true)
        {
            table.Append("<mtr>");
            for (var column = 0; ; column++)
            {
                var side = align == "aligned" ? (column % 2 == 0 ? "right" : "left") : align;
                var cell = Row(t => t is "&" or "\\\\" or "\\end");
                table.Append(CultureInfo.InvariantCulture, $"<mtd style=\"text-align:{side}\">{cell}</mtd>");
                if (Peek() != "&")
                    break;
                Next();
            }

            table.Append("</mtr>");
            if (Peek() != "\\\\")
                break;
            Next();
            if (Peek() == "\\end")
                break;
        }

        Expect("\\end");
        if (RawGroup() != name)
            throw new FormatException($"\\begin{{{name}}} has another \\end.");
        table.Append("</mtable>");
        return $"<mrow>{(open.Length > 0 ? $"<mo fence=\"true\" stretchy=\"true\">{open}</mo>" : "")}{table}{(close.Length > 0 ? $"<mo fence=\"true\" stretchy=\"true\">{close}</mo>" : "")}</mrow>";
    }

    /// <summary>Letters of another alphabet; an argument that is more than letters keeps its parts.</summary>
    private string Styled(string name)
    {
        var argument = Peek() == "{" ? RawGroup() : Next();
        var plain = argument.All(c => char.IsAsciiLetterOrDigit(c) || c == ' ');
        if (!plain)
            return $"<mrow{(name is "mathbf" or "boldsymbol" or "bm" ? " style=\"font-weight:bold\"" : "")}>{new TexMath(argument).Row(_ => false)}</mrow>";
        if (name is "mathrm" or "mathsf" or "mathtt" or "mathit")
            return $"<mi mathvariant=\"{(name == "mathit" ? "italic" : "normal")}\">{argument}</mi>";
        return $"<mi mathvariant=\"normal\">{string.Concat(argument.Select(c => Letter(name, c)))}</mi>";
    }

    /// <summary>A letter of Unicode's mathematical alphabets, with the ones that stand elsewhere for historical reasons.</summary>
    private static string Letter(string alphabet, char c)
    {
        var (capital, small, exceptions) = alphabet switch
        {
            "mathbb" => (0x1D538, 0x1D552, "CℂHℍNℕPℙQℚRℝZℤ"),
            "mathcal" or "mathscr" => (0x1D49C, 0x1D4B6, "BℬEℰFℱHℋIℐLℒMℳRℛeℯgℊoℴ"),
            "mathfrak" => (0x1D504, 0x1D51E, "CℭHℌIℑRℜZℨ"),
            _ => (0x1D400, 0x1D41A, ""),
        };
        var exception = exceptions.IndexOf(c, StringComparison.Ordinal);
        if (exception >= 0 && exception % 2 == 0)
            return exceptions[exception + 1].ToString();
        return char.IsAsciiLetterUpper(c) ? char.ConvertFromUtf32(capital + c - 'A')
            : char.IsAsciiLetterLower(c) ? char.ConvertFromUtf32(small + c - 'a')
            : char.IsAsciiDigit(c) && capital == 0x1D400 ? char.ConvertFromUtf32(0x1D7CE + c - '0')
            : char.IsAsciiDigit(c) && alphabet == "mathbb" ? char.ConvertFromUtf32(0x1D7D8 + c - '0')
            : c.ToString();
    }

    // Nothing says whether a bar opens or closes; without space on either side it reads right both ways.
    private static string Bar(string sign) => $"<mo stretchy=\"false\" lspace=\"0\" rspace=\"0\">{sign}</mo>";

    private static string Space(string em) => $"<mspace width=\"{em}em\"></mspace>";

    private string RawGroup()
    {
        Expect("{");
        var start = at;
        for (var depth = 1; at < tex.Length; at++)
        {
            depth += tex[at] == '{' ? 1 : tex[at] == '}' ? -1 : 0;
            if (depth == 0)
                return tex[start..at++];
        }

        throw new FormatException("A brace is not closed.");
    }

    private void Expect(string token)
    {
        if (Peek() != token)
            throw new FormatException($"'{token}' is missing.");
        Next();
    }

    private string? Peek()
    {
        var before = at;
        var token = Read();
        at = before;
        return token;
    }

    private string Next() => Read() ?? throw new FormatException("The formula ends too early.");

    private string? Read()
    {
        while (at < tex.Length && char.IsWhiteSpace(tex[at]))
            at++;
        if (at == tex.Length)
            return null;
        var start = at++;
        if (tex[start] == '\\')
        {
            if (at == tex.Length)
                throw new FormatException("A backslash ends the formula.");
            if (!char.IsAsciiLetter(tex[at++]))
                return tex[start..at];
            while (at < tex.Length && char.IsAsciiLetter(tex[at]))
                at++;
        }
        else if (char.IsAsciiDigit(tex[start]))
        {
            while (at < tex.Length && (char.IsAsciiDigit(tex[at]) || tex[at] is '.' && at + 1 < tex.Length && char.IsAsciiDigit(tex[at + 1])))
                at++;
        }
        else if (char.IsHighSurrogate(tex[start]) && at < tex.Length)
        {
            at++;
        }

        return tex[start..at];
    }
}
