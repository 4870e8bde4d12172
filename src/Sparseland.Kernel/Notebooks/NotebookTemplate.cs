namespace Sparseland.Kernel.Notebooks;

/// <summary>The notebook that <c>sparseland new</c> makes: every part of a Sparseland notebook, ready to run.</summary>
public static class NotebookTemplate
{
    /// <summary>The setup cell, the same in every notebook and in every host.</summary>
    public const string SetupCell = """
        #r "nuget: Sparseland.Notebooks, 0.1.0"
        using Sparseland.Data;
        using Sparseland.Evaluation;
        using Sparseland.Notebooks;
        using TorchSharp;
        using static TorchSharp.torch;
        torch.InitializeDeviceType(DeviceType.CPU);
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

            **Question.** One paragraph: what the paper asks, and what this notebook lets you see. Picture to expect: a histogram. Running time: a few seconds.
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
            var n = 10_000;
            var lambda = 1.0;
            var z = randn(n, dtype: ScalarType.Float64, generator: new Generator(0));
            var code = z.sign() * (z.abs() - lambda).clamp_min(0);
            var kept = code.count_nonzero().item<long>() / (double)n;
            kept
            """,
            "step-1-code");
        notebook.Add(
            "markdown",
            """
            ## Claims

            Each claim of the paper with its number, what was measured here, and whether it held.
            """,
            "claims");
        notebook.Add(
            "code",
            """"
            var claims = new Claims("Soft thresholding", "this notebook");
            claims.Check("The share that stays is 2(1 - Phi(lambda))", ClaimKind.Statistical, "-", "this notebook",
                measured: kept, Relation.Equal, target: 0.3173, tolerance: 0.02);
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
            var share = (z.abs() > yours).count_nonzero().item<long>() / (double)n;
            Math.Abs(share - 0.01) < 0.003 ? "Right." : $"Not yet: {share:P1} stay. A larger threshold keeps fewer."
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
