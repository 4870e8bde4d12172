using System.Globalization;
using System.Runtime.CompilerServices;
using Sparseland.Notebooks.Charts;
using Sparseland.Notebooks.Charts.Drawing;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Notebooks;

/// <summary>
/// Checks of exercises that say what is wrong, not only that something is. A wrong answer, a missing one (null, NaN) and an
/// answer that throws are all results to show, never exceptions, so a notebook runs through with its exercises open.
/// </summary>
/// <remarks>
/// The typical mistakes of an exercise are given with it, each as the wrong answer itself:
/// <code>
/// double Soft(double x, double t) => double.NaN;                 // your turn
///
/// Exercise.Check("soft threshold", x => Soft(x, 1), x => Math.Sign(x) * Math.Max(Math.Abs(x) - 1, 0), at: [-3, -1, -0.5, 0, 0.5, 1, 3],
///     mistakes: [("this is the hard threshold: it keeps the size of what survives", x => Math.Abs(x) > 1 ? x : 0)])
/// </code>
/// A lost or turned sign, a factor, a constant offset, a wrong order, a transposed matrix, a wrong shape and NaN are found
/// without being listed. Solutions stand in the notebook's text, folded by the HTML element details.
/// </remarks>
public static class Exercise
{
    /// <summary>Checks a number.</summary>
    /// <param name="what">Name of the exercise.</param>
    /// <param name="answer">The learner's; NaN where there is none yet.</param>
    /// <param name="expected">The right one.</param>
    /// <param name="tolerance">Largest difference allowed, relative to max(1, |expected|).</param>
    /// <param name="mistakes">("what went wrong", the number it gives) each.</param>
    public static ExerciseResult Check(string what, double answer, double expected, double tolerance = 1e-6, IReadOnlyList<(string Says, double Wrong)>? mistakes = null)
    {
        Require(what, tolerance);
        if (double.IsNaN(answer))
            return NotYet(what, "There is no answer yet (it is NaN).");
        return Compare(what, [answer], [expected], tolerance, _ => "", mistakes?.Select(m => (m.Says, new[] { m.Wrong })));
    }

    /// <summary>Checks a sequence of numbers: array, list or tensor.</summary>
    /// <param name="what">Name of the exercise.</param>
    /// <param name="answer">The learner's; null where there is none yet.</param>
    /// <param name="expected">The right one.</param>
    /// <param name="tolerance">Largest difference allowed, relative to max(1, |expected|).</param>
    /// <param name="mistakes">("what went wrong", the numbers it gives) each.</param>
    public static ExerciseResult Check(string what, Values? answer, Values expected, double tolerance = 1e-6, IReadOnlyList<(string Says, Values Wrong)>? mistakes = null)
    {
        Require(what, tolerance);
        ArgumentNullException.ThrowIfNull(expected);
        if (answer is null)
            return NotYet(what, "There is no answer yet (it is null).");
        if (answer.Count != expected.Count)
            return Wrong(what, $"The answer has {Count(answer.Count)}; {expected.Count} are expected.");
        return Compare(what, answer.Array, expected.Array, tolerance, i => $" at index {i}", mistakes?.Select(m => (m.Says, m.Wrong.Array)));
    }

    /// <summary>Checks a tensor: shape first, then values.</summary>
    /// <param name="what">Name of the exercise.</param>
    /// <param name="answer">The learner's tensor; null where there is none yet.</param>
    /// <param name="expected">The right one.</param>
    /// <param name="tolerance">Largest difference allowed, relative to max(1, |expected|).</param>
    /// <param name="mistakes">("what went wrong", the tensor it gives) each.</param>
    /// <remarks>A tensor could also be taken as a sequence, which has no shape to check; hence the priority.</remarks>
    [OverloadResolutionPriority(1)]
    public static ExerciseResult Check(string what, TensorValues answer, TensorValues expected, double tolerance = 1e-5, IReadOnlyList<(string Says, TensorValues Wrong)>? mistakes = null)
    {
        Require(what, tolerance);
        if (expected.Values is null)
            throw new ArgumentNullException(nameof(expected));
        if (answer.Values is null)
            return NotYet(what, "There is no answer yet (it is null).");
        long[] shape = [.. answer.Shape], right = [.. expected.Shape];
        if (!shape.SequenceEqual(right))
        {
            string hint = shape.Length == 2 && right.Length == 2 && shape[0] == right[1] && shape[1] == right[0] ? " It looks transposed." :
                shape.Where(s => s != 1).SequenceEqual(right.Where(s => s != 1)) ? " Only dimensions of size 1 differ: see squeeze, unsqueeze and keepdim." : "";
            return Wrong(what, $"The answer has shape [{string.Join(", ", shape)}]; [{string.Join(", ", right)}] is expected.{hint}");
        }
        var listed = (mistakes ?? []).Where(m => m.Wrong.Values is not null && m.Wrong.Shape.SequenceEqual(right)).Select(m => (m.Says, m.Wrong.Values!.Array)).ToList();
        if (right.Length == 2 && right[0] == right[1] && right[0] > 1)
            listed.Add(("The answer is the transpose of what is expected.", Transposed(expected.Values.Array, (int)right[0])));
        return Compare(what, answer.Values.Array, expected.Values.Array, tolerance, i => " at " + Place(i, right), listed);
    }

    /// <summary>Checks a function of one number on sample points.</summary>
    /// <param name="what">Name of the exercise.</param>
    /// <param name="answer">The learner's; null, or NaN everywhere, where there is none yet.</param>
    /// <param name="expected">The right one.</param>
    /// <param name="at">Sample points, in the order in which a difference is to be reported.</param>
    /// <param name="tolerance">Largest difference allowed, relative to max(1, |expected|).</param>
    /// <param name="mistakes">("what went wrong", the function that it is) each.</param>
    public static ExerciseResult Check(
        string what, Func<double, double>? answer, Func<double, double> expected, Values at, double tolerance = 1e-6,
        IReadOnlyList<(string Says, Func<double, double> Wrong)>? mistakes = null)
    {
        Require(what, tolerance);
        ArgumentNullException.ThrowIfNull(expected);
        ArgumentNullException.ThrowIfNull(at);
        if (at.Count == 0)
            throw new ArgumentException("A function is checked on at least one point.", nameof(at));
        if (answer is null)
            return NotYet(what, "There is no answer yet (it is null).");
        return OnSamples(what, at.Array, answer, expected, tolerance, x => $" for x = {Ticks.Short(x)}", mistakes);
    }

    /// <summary>Checks a function of two numbers, such as a value and a threshold, on sample points.</summary>
    /// <param name="what">Name of the exercise.</param>
    /// <param name="answer">The learner's; null, or NaN everywhere, where there is none yet.</param>
    /// <param name="expected">The right one.</param>
    /// <param name="at">Sample points, in the order in which a difference is to be reported.</param>
    /// <param name="tolerance">Largest difference allowed, relative to max(1, |expected|).</param>
    /// <param name="mistakes">("what went wrong", the function that it is) each.</param>
    public static ExerciseResult Check(
        string what, Func<double, double, double>? answer, Func<double, double, double> expected, IReadOnlyList<(double A, double B)> at, double tolerance = 1e-6,
        IReadOnlyList<(string Says, Func<double, double, double> Wrong)>? mistakes = null)
    {
        Require(what, tolerance);
        ArgumentNullException.ThrowIfNull(expected);
        ArgumentNullException.ThrowIfNull(at);
        if (at.Count == 0)
            throw new ArgumentException("A function is checked on at least one point.", nameof(at));
        if (answer is null)
            return NotYet(what, "There is no answer yet (it is null).");
        return OnSamples(
            what, at, p => answer(p.A, p.B), p => expected(p.A, p.B), tolerance, p => $" for ({Ticks.Short(p.A)}, {Ticks.Short(p.B)})",
            mistakes?.Select(m => (m.Says, (Func<(double A, double B), double>)(p => m.Wrong(p.A, p.B)))));
    }

    /// <summary>Checks a function of tensors on one input: shape first, then values.</summary>
    /// <param name="what">Name of the exercise.</param>
    /// <param name="answer">The learner's; null where there is none yet.</param>
    /// <param name="expected">The right one.</param>
    /// <param name="input">The input; each function gets a copy, so one that works in place does no harm.</param>
    /// <param name="tolerance">Largest difference allowed, relative to max(1, |expected|).</param>
    /// <param name="mistakes">("what went wrong", the function that it is) each.</param>
    public static ExerciseResult Check(
        string what, Func<Tensor, Tensor?>? answer, Func<Tensor, Tensor> expected, Tensor input, double tolerance = 1e-5,
        IReadOnlyList<(string Says, Func<Tensor, Tensor> Wrong)>? mistakes = null)
    {
        Require(what, tolerance);
        ArgumentNullException.ThrowIfNull(expected);
        ArgumentNullException.ThrowIfNull(input);
        if (answer is null)
            return NotYet(what, "There is no answer yet (it is null).");
        using var scope = NewDisposeScope();
        Tensor? given;
        try
        {
            given = answer(input.clone());
        }
        catch (Exception e) when (e is not OperationCanceledException)
        {
            return Thrown(what, e, "");
        }
        return Check(what, (TensorValues)given, expected(input.clone()), tolerance, [.. (mistakes ?? []).Select(m => (m.Says, (TensorValues)m.Wrong(input.clone())))]);
    }

    /// <summary>Checks a statement about the learner's answer that has only right and wrong.</summary>
    /// <param name="what">Name of the exercise.</param>
    /// <param name="isRight">Whether it holds.</param>
    /// <param name="hint">What to look at where it does not.</param>
    public static ExerciseResult Check(string what, bool isRight, string hint)
    {
        Require(what, 0);
        ArgumentException.ThrowIfNullOrWhiteSpace(hint);
        return isRight ? Solved(what) : Wrong(what, hint);
    }

    private static ExerciseResult OnSamples<T>(
        string what, IReadOnlyList<T> at, Func<T, double> answer, Func<T, double> expected, double tolerance, Func<T, string> place,
        IEnumerable<(string Says, Func<T, double> Wrong)>? mistakes)
    {
        var given = new double[at.Count];
        for (int i = 0; i < at.Count; i++)
        {
            try
            {
                given[i] = answer(at[i]);
            }
            catch (Exception e) when (e is not OperationCanceledException)
            {
                return Thrown(what, e, place(at[i]));
            }
        }
        if (given.All(double.IsNaN))
            return NotYet(what, "The function has no answer yet (it gives NaN everywhere).");
        return Compare(what, given, [.. at.Select(expected)], tolerance, i => place(at[i]), mistakes?.Select(m => (m.Says, at.Select(m.Wrong).ToArray())));
    }

    private static ExerciseResult Compare(
        string what, double[] answer, double[] expected, double tolerance, Func<int, string> place, IEnumerable<(string Says, double[] Wrong)>? mistakes)
    {
        bool Same(double[] a, double[] b) => a.Length == b.Length && Enumerable.Range(0, a.Length).All(i => Near(a[i], b[i], tolerance));
        if (Same(answer, expected))
            return Solved(what);
        if (answer.Length > 0 && answer.All(double.IsNaN))
            return NotYet(what, "There is no answer yet (all of it is NaN).");
        var findings = new List<string>();
        foreach (var (says, wrong) in mistakes ?? [])
        {
            if (Same(answer, wrong))
                findings.Add(Sentence(says));
        }
        if (findings.Count == 0 && CommonMistakes.Find(answer, expected, tolerance) is { } common)
            findings.Add(common);
        int first = Enumerable.Range(0, answer.Length).First(i => !Near(answer[i], expected[i], tolerance));
        int differing = Enumerable.Range(0, answer.Length).Count(i => !Near(answer[i], expected[i], tolerance));
        string many = answer.Length > 1 ? string.Create(CultureInfo.InvariantCulture, $" ({differing} of {answer.Length} values differ)") : "";
        findings.Add($"Expected {Exactly(expected[first], answer[first])}{place(first)}, but the answer is {Exactly(answer[first], expected[first])}{many}.");
        return new ExerciseResult(what, ExerciseState.Wrong, findings);
    }

    // Beside ∞ every finite number is within any relative tolerance, so only ∞ itself will do there.
    internal static bool Near(double a, double b, double tolerance) =>
        a.Equals(b) || (double.IsFinite(b) && Math.Abs(a - b) <= tolerance * Math.Max(1, Math.Abs(b)));

    // Two different numbers must not look alike in the message.
    private static string Exactly(double value, double other) =>
        Ticks.Short(value) != Ticks.Short(other) ? Ticks.Short(value) : value.ToString("R", CultureInfo.InvariantCulture);

    private static string Place(int index, long[] shape)
    {
        var places = new long[shape.Length];
        long rest = index;
        for (int d = shape.Length - 1; d >= 0; d--)
            (places[d], rest) = (rest % shape[d], rest / shape[d]);
        return $"[{string.Join(", ", places)}]";
    }

    private static double[] Transposed(double[] square, int side) =>
        [.. Enumerable.Range(0, square.Length).Select(i => square[(i % side * side) + (i / side)])];

    private static ExerciseResult Thrown(string what, Exception e, string place) => e is NotImplementedException
        ? NotYet(what, "The function is not written yet.")
        : Wrong(what, $"The answer throws {e.GetType().Name}{place}: {e.Message.Split('\n')[0].Trim()}");

    private static string Sentence(string says) => says.TrimEnd().EndsWith('.') ? says : says.TrimEnd() + ".";

    private static string Count(int count) => count == 1 ? "1 value" : string.Create(CultureInfo.InvariantCulture, $"{count} values");

    private static ExerciseResult Solved(string what) => new(what, ExerciseState.Solved, []);

    private static ExerciseResult Wrong(string what, string finding) => new(what, ExerciseState.Wrong, [finding]);

    private static ExerciseResult NotYet(string what, string finding) => new(what, ExerciseState.NotYet, [finding]);

    private static void Require(string what, double tolerance)
    {
        ArgumentException.ThrowIfNullOrWhiteSpace(what);
        if (!double.IsFinite(tolerance) || tolerance < 0)
            throw new ArgumentOutOfRangeException(nameof(tolerance), tolerance, "A tolerance must be finite and not negative.");
    }
}
