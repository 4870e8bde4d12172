using Sparseland.Kernel.Notebooks;
using Sparseland.Kernel.Running;

namespace Notebooks.Tests;

/// <summary>What a notebook reaches, and what makes its outputs stale, tried on a small clone of its own.</summary>
public sealed class LibrarySourcesTests : IDisposable
{
    private readonly string root = Directory.CreateTempSubdirectory("clone ").FullName;

    public void Dispose() => Directory.Delete(root, recursive: true);

    [Fact]
    public void Only_what_is_reached_counts_and_comments_do_not()
    {
        File.WriteAllText(Path.Combine(root, "Notebooks.sln"), "");
        Write("Coding/Coder.cs", "public class Coder { Step step; } // old remark");
        Write("Solvers/Step.cs", "public class Step { public int Length = 1; }");
        Write("Data/Other.cs", "public class Other { }");
        Write("Tensors/Extra.cs", "public static class Extra { public static int Twice(this int x) => 2 * x; }");
        string code = "var c = new Coder(); 1.Twice()";
        Assert.Equal(["Coding/Coder.cs", "Solvers/Step.cs", "Tensors/Extra.cs"], Sources().Reach(One(code)));
        string before = Sources().HashFor(One(code));

        Write("Coding/Coder.cs", "public class Coder\n{\n    Step step; // new remark\n}");
        Write("Data/Other.cs", "public class Other { int more; }");
        Assert.NotEqual(before, Sources().HashFor(One(code + "; new Other()")));
        string laidOut = Sources().HashFor(One(code));
        Write("Solvers/Step.cs", "public class Step { public int Length = 2; }");
        Assert.NotEqual(laidOut, Sources().HashFor(One(code)));
    }

    /// <summary>A word such as Run is a type's name in one room and a method's in many others.</summary>
    [Fact]
    public void A_name_leads_only_where_its_namespace_is_seen()
    {
        File.WriteAllText(Path.Combine(root, "Notebooks.sln"), "");
        Write("Retrieval/Run.cs", "namespace Sparseland.Retrieval; public class Run { Measure m; Feedback.Fusion f; }");
        Write("Retrieval/Measures/Measure.cs", "namespace Sparseland.Retrieval.Measures; public class Measure { Run run; }");
        Write("Retrieval/Feedback/Fusion.cs", "namespace Sparseland.Retrieval.Feedback; public class Fusion { }");
        Write("Coding/Coder.cs", "using Sparseland.Solvers; namespace Sparseland.Coding; public class Coder { void Run() { new Step(); } }");
        Write("Solvers/Step.cs", "namespace Sparseland.Solvers; public class Step { }");
        Assert.Equal(["Coding/Coder.cs", "Solvers/Step.cs"], Sources().Reach(One("using Sparseland.Coding; new Coder().Run()")));
        Assert.Equal(["Retrieval/Feedback/Fusion.cs", "Retrieval/Run.cs"], Sources().Reach(One("using Sparseland.Retrieval; new Run()")));
        Assert.Equal(["Retrieval/Feedback/Fusion.cs", "Retrieval/Measures/Measure.cs", "Retrieval/Run.cs"], Sources().Reach(One("new Sparseland.Retrieval.Measures.Measure()")));
        Assert.Equal(["Coding/Coder.cs", "Solvers/Step.cs"], Sources().Reach(One("using C = Sparseland.Coding.Coder; new C()")));
    }

    [Fact]
    public void A_private_type_is_nobody_elses()
    {
        File.WriteAllText(Path.Combine(root, "Notebooks.sln"), "");
        Write("Coding/Coder.cs", "public class Coder { State state; private sealed class State { } }");
        Write("Training/Loop.cs", "public class Loop { private sealed record State(int Step); private static partial class Inner { } }");
        Write("Training/Shared.cs", "internal sealed class Shared { } public class Uses { Shared shared; }");
        Assert.Equal(["Coding/Coder.cs"], Sources().Reach(One("new Coder()")));
        Assert.Equal(["Training/Shared.cs"], Sources().Reach(One("new Uses()")));
    }

    [Fact]
    public void The_series_reaches_its_methods()
    {
        LibrarySources library = LibrarySources.Of(Series.Root)!;
        IReadOnlyList<string> reach = library.Reach(Series.Load("02-bayesian-recovery/kronecker-sbl.ipynb"));
        Assert.Contains("Bayes/KroneckerSbl.cs", reach);
        Assert.Contains("Solvers/NonNegativeLeastSquares.cs", reach);
        Assert.DoesNotContain("AssociativeMemory/Macrocolumn.cs", reach);
    }

    private void Write(string file, string text)
    {
        string path = Path.Combine(root, "src", "Sparseland", file);
        Directory.CreateDirectory(Path.GetDirectoryName(path)!);
        File.WriteAllText(path, text);
    }

    // A clone's sources are read once; each look here is at another clone.
    private LibrarySources Sources()
    {
        string copy = Path.Combine(root, Guid.NewGuid().ToString("N"));
        foreach (string file in Directory.EnumerateFiles(Path.Combine(root, "src"), "*.cs", SearchOption.AllDirectories))
        {
            string target = Path.Combine(copy, Path.GetRelativePath(root, file));
            Directory.CreateDirectory(Path.GetDirectoryName(target)!);
            File.Copy(file, target);
        }

        File.WriteAllText(Path.Combine(copy, "Notebooks.sln"), "");
        return LibrarySources.Of(copy)!;
    }

    private Notebook One(string code)
    {
        string path = Path.Combine(root, "one.ipynb");
        File.WriteAllText(path, """{"cells":[{"cell_type":"code","execution_count":null,"id":"a","metadata":{},"outputs":[],"source":["CODE"]}],"metadata":{"kernelspec":{"display_name":".NET (C#)","language":"C#","name":".net-csharp"}},"nbformat":4,"nbformat_minor":5}""".Replace("CODE", code, StringComparison.Ordinal));
        return Notebook.Load(path);
    }
}
