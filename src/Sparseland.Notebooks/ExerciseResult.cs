using System.Text.Json.Nodes;
using Sparseland.Notebooks.Hosting;

namespace Sparseland.Notebooks;

/// <summary>Where a learner stands with an exercise.</summary>
public enum ExerciseState
{
    /// <summary>Nothing answered yet.</summary>
    NotYet,

    /// <summary>Answered, and not right.</summary>
    Wrong,

    /// <summary>Right.</summary>
    Solved,
}

/// <summary>What a check found; the last line of a checking cell shows it.</summary>
/// <param name="What">The exercise.</param>
/// <param name="State">Where the learner stands.</param>
/// <param name="Findings">What is wrong, the most useful first; empty when solved.</param>
public sealed record ExerciseResult(string What, ExerciseState State, IReadOnlyList<string> Findings) : IMimeRenderable
{
    /// <inheritdoc/>
    public MimeBundle Render()
    {
        // Symbol and word say the state too: colour alone would not reach everybody.
        var (symbol, word, colour, back) = State switch
        {
            ExerciseState.Solved => ("✓", "solved", "#00684a", "#e8f5f0"),
            ExerciseState.Wrong => ("✗", "not right yet", "#a63c00", "#fdf1e9"),
            _ => ("…", "not yet", "#52606d", "#f2f4f6"),
        };
        string list = Findings.Count == 0 ? "" : $"<ul style=\"margin:4px 0 0;padding-left:20px\">{string.Concat(Findings.Select(f => $"<li>{Markup.Escape(f)}</li>"))}</ul>";
        string html = $"<div class=\"sl-exercise\" style=\"background:{back};color:#1f2933;border-left:4px solid {colour};border-radius:4px;padding:8px 12px;max-width:720px\">"
            + $"<span style=\"color:{colour};font-weight:600\">{symbol} {Markup.Escape(What)}: {word}</span>{list}</div>";
        return new MimeBundle(new Dictionary<string, JsonNode>
        {
            ["text/html"] = JsonValue.Create(html),
            ["text/plain"] = JsonValue.Create(ToString()),
        });
    }

    /// <inheritdoc/>
    public override string ToString()
    {
        string word = State switch { ExerciseState.Solved => "solved", ExerciseState.Wrong => "not right yet", _ => "not yet" };
        return string.Join("\n  ", Findings.Prepend($"{What}: {word}"));
    }
}
