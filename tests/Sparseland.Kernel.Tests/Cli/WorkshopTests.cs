using Sparseland.Kernel.Gallery;
using Sparseland.Kernel.Notebooks;
using Sparseland.Kernel.Tests.Running;
using Sparseland.Kernel.Workshops;

namespace Sparseland.Kernel.Tests.Cli;

public class WorkshopTests
{
    [Fact]
    public void Solutions_stand_apart_in_their_order()
    {
        Notebook notebook = Notebook.Create("a.ipynb");
        notebook.Add("markdown", "# A title\n\n1. First?");
        notebook.Add("markdown", "<details><summary>Solution</summary>\n\nIt is $2$.\n\n```csharp\nint a = 2;\n```\n\n</details>\n\n2. Second?");
        notebook.Add("markdown", "<details><summary>Solution</summary>\n\nThree.\n\n</details>");
        Assert.Equal(["It is $2$.\n\n```csharp\nint a = 2;\n```", "Three."], InstructorPage.SolutionsOf(notebook));
        string page = InstructorPage.Solutions([new Card(notebook, "a.ipynb")]);
        Assert.Contains("A title", page, StringComparison.Ordinal);
        Assert.Contains("Exercise 2", page, StringComparison.Ordinal);
        Assert.Contains("thirty", InstructorPage.Render([new Card(notebook, "a.ipynb")]), StringComparison.Ordinal);
    }

    [Fact]
    public void What_cannot_be_made_is_refused_before_anything_is_done()
    {
        string root = Notes.Folder(), free = Path.Combine(Notes.Folder(), "stick");
        Assert.Contains("solaris", Assert.Throws<ArgumentException>(() => new WorkshopFolder(root, free, ["solaris"]).Check()).Message, StringComparison.Ordinal);
        Assert.Throws<ArgumentException>(() => new WorkshopFolder(root, free, []).Check());
        Assert.Contains("exists already", Assert.Throws<IOException>(() => new WorkshopFolder(root, Notes.Folder(), ["linux-x64"]).Check()).Message, StringComparison.Ordinal);
        Assert.Contains("inside the clone", Assert.Throws<IOException>(() => new WorkshopFolder(root, Path.Combine(root, "stick"), ["linux-x64"]).Check()).Message, StringComparison.Ordinal);
        new WorkshopFolder(root, free, ["linux-x64"]).Check();
    }

    [Fact]
    public async Task A_folder_that_fails_leaves_nothing()
    {
        string root = Notes.Folder(), target = Path.Combine(Notes.Folder(), "stick");
        await Assert.ThrowsAsync<InvalidOperationException>(() => new WorkshopFolder(root, target, ["linux-x64"]).MakeAsync(_ => { }, CancellationToken.None));
        Assert.False(Directory.Exists(target) || Directory.Exists(target + ".part"));
    }
}
