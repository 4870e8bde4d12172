using Sparseland.Notebooks;
using Sparseland.Notebooks.Charts;
using TorchSharp;

namespace Sparseland.Kernel.Tests.Charts;

/// <summary>A check says what is wrong, not only that something is.</summary>
public class ExerciseTests
{
    private static readonly double[] Right = [3, -1, 2, 5];

    [Fact]
    public void A_right_answer_is_solved_and_says_so()
    {
        ExerciseResult result = Exercise.Check("sum", 0.3, .1 + .2);
        Assert.Equal((ExerciseState.Solved, 0), (result.State, result.Findings.Count));
        Assert.Equal("sum: solved", result.ToString());
        Assert.Equal(ExerciseState.Solved, Exercise.Check("row", (double[])[3, -1, 2, 5.000001], Right).State);
        Assert.Equal(ExerciseState.Solved, Exercise.Check("infinite", double.PositiveInfinity, double.PositiveInfinity).State);
    }

    [Fact]
    public void A_missing_answer_is_not_a_wrong_one()
    {
        ExerciseResult[] open =
        [
            Exercise.Check("e", double.NaN, 1),
            Exercise.Check("e", (Values?)null, Right),
            Exercise.Check("e", (double[])[double.NaN, double.NaN, double.NaN, double.NaN], Right),
            Exercise.Check("e", (torch.Tensor?)null, torch.ones(2)),
            Exercise.Check("e", (Func<double, double>?)null, x => x, [1]),
            Exercise.Check("e", x => double.NaN, x => x, [1, 2]),
            Exercise.Check("e", x => throw new NotImplementedException(), x => x, [1, 2]),
            Exercise.Check("e", (Func<torch.Tensor, torch.Tensor?>)(t => null), t => t, torch.ones(2)),
        ];
        Assert.All(open, r => Assert.Equal(ExerciseState.NotYet, r.State));
        Assert.All(open, r => Assert.Single(r.Findings));
        Assert.Contains("not written yet", open[6].Findings[0]);
    }

    [Theory]
    [InlineData(new double[] { -3, 1, -2, -5 }, "sign is turned around everywhere")]
    [InlineData(new double[] { 3, 1, 2, 5 }, "sign is lost")]
    [InlineData(new double[] { 0, 0, 0, 0 }, "zero everywhere")]
    [InlineData(new double[] { 6, -2, 4, 10 }, "2 times what is expected")]
    [InlineData(new double[] { 4, 0, 3, 6 }, "off by 1 everywhere")]
    [InlineData(new double[] { 5, 2, -1, 3 }, "order is reversed")]
    [InlineData(new double[] { -1, 2, 3, 5 }, "in another order")]
    [InlineData(new double[] { -1, 2, 5, 7 }, "shifted by one place")]
    [InlineData(new[] { 3, double.NaN, 2, 5 }, "NaN in it")]
    [InlineData(new[] { 3, double.NegativeInfinity, 2, 5 }, "∞ in it")]
    public void Common_mistakes_are_recognised(double[] answer, string says)
    {
        ExerciseResult result = Exercise.Check("row", answer, Right);
        Assert.Equal(ExerciseState.Wrong, result.State);
        Assert.Contains(says, result.Findings[0]);
        Assert.Contains("Expected ", result.Findings[^1]);
    }

    [Theory]
    [InlineData(8, "twice")]
    [InlineData(2, "half of")]
    [InlineData(-8, "minus twice")]
    [InlineData(-2, "minus half of")]
    [InlineData(400, "100 times")]
    [InlineData(.004, "a thousandth of")]
    [InlineData(-4, "sign is turned around")]
    public void Factors_of_a_number_are_recognised(double answer, string says) =>
        Assert.Contains(says, Exercise.Check("number", answer, 4).Findings[0]);

    [Fact]
    public void An_unknown_mistake_shows_the_first_difference_and_how_many_there_are()
    {
        ExerciseResult result = Exercise.Check("row", (double[])[3, -1, 2.5, 4], Right);
        Assert.Equal(["Expected 2 at index 2, but the answer is 2.5 (2 of 4 values differ)."], result.Findings);
        Assert.Contains("1.00001", Exercise.Check("near", 1.00001, 1).Findings[^1]);
    }

    [Fact]
    public void Infinity_is_not_approximated_by_any_number()
    {
        Assert.Equal(ExerciseState.Wrong, Exercise.Check("indicator", 5, double.PositiveInfinity).State);
        Assert.Equal(ExerciseState.Wrong, Exercise.Check("indicator", double.NegativeInfinity, double.PositiveInfinity).State);
        Assert.Equal(ExerciseState.Wrong, Exercise.Check("indicator", (double[])[1, 2], (double[])[1, double.PositiveInfinity]).State);
    }

    [Fact]
    public void A_wrong_length_and_a_wrong_shape_are_told_first()
    {
        Assert.Equal("The answer has 1 value; 4 are expected.", Exercise.Check("row", (double[])[1], Right).Findings[0]);
        Assert.Contains("[3, 2]; [2, 3] is expected. It looks transposed.", Exercise.Check("m", torch.ones(3, 2), torch.ones(2, 3)).Findings[0].Replace("The answer has shape ", "", StringComparison.Ordinal));
        Assert.Contains("squeeze", Exercise.Check("m", torch.ones(3, 1), torch.ones(3)).Findings[0]);
        Assert.EndsWith("[5] is expected.", Exercise.Check("m", torch.ones(4), torch.ones(5)).Findings[0]);
    }

    [Fact]
    public void Tensors_are_compared_place_by_place()
    {
        torch.Tensor right = torch.tensor(new double[,] { { 1, 2 }, { 3, 4 } });
        Assert.Equal(ExerciseState.Solved, Exercise.Check("m", right.clone(), right).State);
        Assert.Equal("The answer is the transpose of what is expected.", Exercise.Check("m", right.t(), right).Findings[0]);
        torch.Tensor wrong = right.clone();
        wrong[1, 0] = 9;
        Assert.Equal("Expected 3 at [1, 0], but the answer is 9 (1 of 4 values differ).", Exercise.Check("m", wrong, right).Findings[^1]);
        Assert.Equal("the rows were added", Exercise.Check("m", torch.ones(2, 2), right, mistakes: [("the rows were added", torch.ones(2, 2))]).Findings[0].TrimEnd('.'));
    }

    [Fact]
    public void The_mistakes_of_the_exercise_come_before_the_common_ones()
    {
        static double Soft(double x) => Math.Sign(x) * Math.Max(Math.Abs(x) - 1, 0);
        ExerciseResult result = Exercise.Check("soft", x => Math.Abs(x) > 1 ? x : 0, Soft, at: [-3, -.5, 2], mistakes: [("this is the hard threshold", x => Math.Abs(x) > 1 ? x : 0)]);
        Assert.Equal("this is the hard threshold.", result.Findings[0]);
        Assert.Equal("Expected −2 for x = −3, but the answer is −3 (2 of 3 values differ).", result.Findings[1]);
        Assert.Equal(ExerciseState.Solved, Exercise.Check("soft", Soft, Soft, at: [-3, -.5, 2]).State);
    }

    [Fact]
    public void A_function_of_two_numbers_is_checked_on_pairs()
    {
        ExerciseResult result = Exercise.Check("product", (a, b) => a + b, (a, b) => a * b, at: [(2, 2), (2, 3)], mistakes: [("added instead", (a, b) => a + b)]);
        Assert.Equal("added instead.", result.Findings[0]);
        Assert.Contains("for (2, 3)", result.Findings[1]);
    }

    [Fact]
    public void An_answer_that_throws_is_a_finding_that_names_the_exception()
    {
        Assert.Equal("The answer throws InvalidOperationException for x = 2: no luck", Exercise.Check("f", x => x > 1 ? throw new InvalidOperationException("no luck\nmore") : x, x => x, at: [1, 2]).Findings[0]);
        ExerciseResult shapes = Exercise.Check("g", t => t.mm(t), t => t, torch.ones(2, 3));
        Assert.Equal(ExerciseState.Wrong, shapes.State);
        Assert.StartsWith("The answer throws ", shapes.Findings[0]);
        Assert.Throws<OperationCanceledException>(() => Exercise.Check("h", x => throw new OperationCanceledException(), x => x, at: [1]));
    }

    [Fact]
    public void An_answer_that_works_in_place_changes_only_its_copy()
    {
        torch.Tensor input = torch.ones(3);
        Assert.Equal(ExerciseState.Solved, Exercise.Check("f", t => t.add_(1), t => t + 1, input).State);
        Assert.Equal(3, input.sum().item<float>());
    }

    [Fact]
    public void A_statement_has_its_hint()
    {
        Assert.Equal(ExerciseState.Solved, Exercise.Check("s", true, "look again").State);
        Assert.Equal(["look again"], Exercise.Check("s", false, "look again").Findings);
    }

    [Fact]
    public void A_check_that_is_badly_stated_is_the_authors_fault_and_throws()
    {
        Assert.Throws<ArgumentException>(() => Exercise.Check(" ", 1, 1));
        Assert.Throws<ArgumentOutOfRangeException>(() => Exercise.Check("e", 1, 1, tolerance: -1));
        Assert.Throws<ArgumentOutOfRangeException>(() => Exercise.Check("e", 1, 1, tolerance: double.NaN));
        Assert.Throws<ArgumentException>(() => Exercise.Check("e", x => x, x => x, at: []));
        Assert.Throws<ArgumentException>(() => Exercise.Check("e", false, " "));
    }

    [Theory]
    [InlineData(1, "✓ e: solved")]
    [InlineData(2, "✗ e: not right yet")]
    [InlineData(double.NaN, "… e: not yet")]
    public void The_result_shows_its_state_in_words_and_escapes_what_it_quotes(double answer, string says)
    {
        var data = Exercise.Check("e", answer, 1, mistakes: [("<b>twice</b>", 2)]).Render().Data;
        string html = data["text/html"].GetValue<string>();
        Assert.Contains(System.Net.WebUtility.HtmlEncode(says), html.Replace("✓", System.Net.WebUtility.HtmlEncode("✓"), StringComparison.Ordinal), StringComparison.Ordinal);
        Assert.DoesNotContain("<b>", html, StringComparison.Ordinal);
        Assert.StartsWith(says[2..], data["text/plain"].GetValue<string>());
    }
}
