namespace Sparseland.Kernel.Notebooks;

/// <summary>The notebook that <c>sparseland new</c> makes: every part of a Sparseland notebook, ready to run.</summary>
public static class NotebookTemplate
{
    /// <summary>The setup cell, the same in every notebook and in every host.</summary>
    public const string SetupCell = """
        #r "nuget: Sparseland.Notebooks, 0.1.0"
        using Sparseland;
        using Sparseland.Data;
        using Sparseland.Evaluation;
        using Sparseland.Notebooks;
        using Sparseland.Notebooks.Charts;
        using Sparseland.Penalties;
        using Sparseland.Selection;
        using TorchSharp;
        using static TorchSharp.torch;
        var lesson = Lesson.Start();
        """;

    /// <summary>A notebook of the template.</summary>
    /// <param name="path">Where it will be; for its messages.</param>
    /// <param name="title">Its title.</param>
    public static Notebook Create(string path, string title)
    {
        ArgumentException.ThrowIfNullOrWhiteSpace(title);
        var notebook = Notebook.Create(path);
        notebook.Add(
            "markdown",
            $"""
            # {title}

            *Authors, "Paper", venue, year.*

            **Question.** One paragraph: what the paper asks, and what this notebook lets you see. Picture to expect: a falling curve. Running time: a few seconds.
            """,
            "title");
        notebook.Add("code", SetupCell, "setup");
        notebook.Add(
            "markdown",
            """
            ## Step 1: a sparse code

            A sentence or two, and the equation that the next cell computes: of $n$ numbers drawn from $\mathcal{N}(0, 1)$, soft thresholding $S_\lambda(z) = \operatorname{sign}(z) \max(|z| - \lambda, 0)$ keeps those with $|z| > \lambda$.
            """,
            "step-1");
        notebook.Add(
            "code",
            """
            var n = lesson.Pick(quick: 2_000, lesson: 100_000, full: 10_000_000);
            int[] seeds = [lesson.Seed, lesson.Seed + 1, lesson.Seed + 2];
            var draws = seeds.Select(s => randn(n, dtype: ScalarType.Float64, generator: new Generator((ulong)s))).ToArray();
            double[] Shares(double lambda) => [.. draws.Select(z => (z.abs() > lambda).count_nonzero().item<long>() / (double)n)];
            double Share(double lambda) => Shares(lambda).Average();

            var lambdas = Enumerable.Range(0, 31).Select(i => i * 0.1).ToArray();
            Chart.Curves([new Series("kept", lambdas, lambdas.Select(Share).ToArray())],
                x: "threshold", y: "share of numbers that stay", title: "Sparsity by thresholding",
                caption: "A threshold of one standard deviation keeps a third.")
            """,
            "step-1-code");
        notebook.Add(
            "markdown",
            """
            ## Claims

            Each claim with its number, what was measured here, and whether it held: what the paper states (`FromPaper`), identities that prove the implementation (`Identity`), and what this notebook found itself (`Finding`).
            """,
            "claims");
        notebook.Add(
            "code",
            """"
            var claims = lesson.Claims("Soft thresholding", "this notebook");
            claims.Finding("The share that stays is 2(1 - Phi(lambda))", Shares(1), seeds, Relation.Equal,
                target: 0.3173, tolerance: 0.03, by: Statistic.Worst);
            claims
            """",
            "claims-code");
        notebook.Add(
            "markdown",
            """
            ## Your turn

            1. Which $\lambda$ keeps one number in a hundred? Set it in the cell below.

            <details><summary>Solution</summary>

            $\lambda = 2.576$, the value with $2(1 - \Phi(\lambda)) = 0.01$.

            </details>
            """,
            "your-turn");
        notebook.Add(
            "code",
            """
            var yours = 1.0;
            Math.Abs(Share(yours) - 0.01) < 0.003 ? "Right." : $"Not yet: {Share(yours):P1} stay. A larger threshold keeps fewer."
            """,
            "your-turn-code");
        notebook.Add(
            "markdown",
            """
            ## What does not carry over

            What the paper measured at a scale that this notebook does not reach.

            ## Sources

            - The paper, its code, data.
            """,
            "sources");
        return notebook;
    }
}
