using Sparseland.Kernel.Scripting;
using Sparseland.Notebooks.Hosting;

namespace Sparseland.Kernel.Tests.Scripting;

/// <summary>TorchSharp in cells: its native libraries load, and a wrong shape is an error of the cell.</summary>
public class TensorsInCellsTests
{
    [Fact]
    public async Task A_wrong_shape_ends_the_cell_and_not_the_process()
    {
        await using var engine = new ScriptEngine();
        using var cancel = new CancellationTokenSource(TimeSpan.FromMinutes(2)); // a hung cell fails this test, not the whole run
        var output = new Collected();
        CellResult setup = await engine.ExecuteAsync("#r \"nuget: TorchSharp, 0.107.0\"\nusing TorchSharp;\nvar layer = torch.nn.Linear(3, 2);\nvar a = torch.ones(2, 3);", output, cancel.Token);
        Assert.True(setup.Status == CellStatus.Ok, setup.Error?.Message);

        CellResult wrong = await engine.ExecuteAsync("a.matmul(torch.ones(4, 5))", output, cancel.Token);
        Assert.Equal(CellStatus.Error, wrong.Status);
        Assert.Contains("(2x3 and 4x5)", wrong.Error!.Message);

        CellResult right = await engine.ExecuteAsync("Console.Write(layer.call(a).shape[1] + a.matmul(a.t()).sum().item<float>())", output, cancel.Token);
        Assert.True(right.Status == CellStatus.Ok, right.Error?.Message);
        Assert.Contains("14", output.Text);
    }

    private sealed class Collected : ICellOutput
    {
        public string Text { get; private set; } = "";

        public void Stream(string name, string text) => Text += text;

        public void Display(MimeBundle bundle, string displayId)
        {
        }

        public void Update(MimeBundle bundle, string displayId)
        {
        }

        public void Result(MimeBundle bundle)
        {
        }
    }
}
