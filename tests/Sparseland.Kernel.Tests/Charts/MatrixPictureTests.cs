using Sparseland.Notebooks.Charts;
using Sparseland.Notebooks.Charts.Drawing;
using Sparseland.Selection;
using TorchSharp;

namespace Sparseland.Kernel.Tests.Charts;

/// <summary>Charts whose content is a picture of pixels.</summary>
public class MatrixPictureTests
{
    [Fact]
    public void A_heat_map_has_the_ends_of_its_scale_at_minimum_and_maximum_and_row_0_on_top()
    {
        Pixmap pixels = SvgPicture.Of(Chart.HeatMap(new double[,] { { 0, 5, 10 }, { 2.5, 7.5, double.NaN } })).Image("2 x 3 cells");
        Assert.Equal((3, 2), (pixels.Width, pixels.Height));
        Assert.Equal(ColourMap.Sequential.At(0), pixels[0, 0]);
        Assert.Equal(ColourMap.Sequential.At(1), pixels[0, 2]);
        Assert.Equal(Theme.Missing, Hex(pixels[1, 2]));
        Assert.Equal(ColourMap.Sequential.At(.5).G, pixels[0, 1].G, 2.0);
        Assert.Equal(ColourMap.Sequential.At(.25).G, pixels[1, 0].G, 2.0);
    }

    [Fact]
    public void Signed_numbers_have_zero_in_the_middle_of_the_scale()
    {
        Pixmap pixels = SvgPicture.Of(Chart.HeatMap(new double[,] { { -1, 0, 4 } })).Image("1 x 3 cells");
        Assert.Equal(ColourMap.Diverging.At(1), pixels[0, 2]);
        Assert.True(pixels[0, 0].B > pixels[0, 0].R, "a negative number is blue");
        Assert.All(new[] { pixels[0, 1].R, pixels[0, 1].G, pixels[0, 1].B }, c => Assert.InRange(c, 240, 255));
    }

    [Fact]
    public void Zero_is_never_beside_the_middle_of_a_diverging_scale()
    {
        HeatMapChart chart = Chart.HeatMap(new double[,] { { -1, 0, 3 } }, range: (-1, 3));
        Assert.Equal(ColourMap.Sequential.At(0), SvgPicture.Of(chart).Image("1 x 3 cells")[0, 0]);
        chart = Chart.HeatMap(new double[,] { { -1, 0, 2 } }, range: (-2, 2));
        Assert.Equal(ColourMap.Diverging.At(1), SvgPicture.Of(chart).Image("1 x 3 cells")[0, 2]);
    }

    [Fact]
    public void A_large_matrix_is_averaged_in_blocks_and_says_so()
    {
        var matrix = new double[400, 200];
        matrix[399, 199] = 9;
        SvgPicture picture = SvgPicture.Of(Chart.HeatMap(matrix));
        Pixmap pixels = picture.Image("400 x 200 cells");
        Assert.Equal((67, 134), (pixels.Width, pixels.Height));
        Assert.Equal(ColourMap.Sequential.At(1), pixels[133, 66]);
        Assert.Equal(ColourMap.Sequential.At(0), pixels[0, 0]);
        Assert.Contains("Each pixel is the mean of 3 x 3 cells.", picture.Description);
    }

    [Fact]
    public void Numbers_in_the_cells_read_on_their_colours()
    {
        SvgPicture picture = SvgPicture.Of(Chart.HeatMap(new double[,] { { 0, 1 }, { .25, .123456 } }));
        Assert.Contains("0.12", picture.Texts);
        foreach (var text in picture.Root.Descendants().Where(e => e.Name.LocalName == "text" && (string?)e.Attribute("font-size") == "11"))
        {
            Pixmap pixels = picture.Image("2 x 2 cells");
            double x = (double)text.Attribute("x")! - pixels.Box.X, y = (double)text.Attribute("y")! - 4 - pixels.Box.Y;
            var (r, g, b) = pixels[(int)(2 * y / pixels.Box.Height), (int)(2 * x / pixels.Box.Width)];
            var ink = Theme.Parse((string?)text.Attribute("fill") is "#fff" ? "#ffffff" : Theme.Ink);
            double one = Theme.Luminance(r, g, b) + .05, other = Theme.Luminance(ink.R, ink.G, ink.B) + .05;
            Assert.True(Math.Max(one, other) / Math.Min(one, other) >= 3, $"{text.Value}: contrast {Math.Max(one, other) / Math.Min(one, other):0.0}");
        }
    }

    [Fact]
    public void Numbers_in_the_cells_have_the_decimals_of_the_largest()
    {
        Assert.Equal(["1.25", "0.00", "0", "−0.5"], CellTexts(new[,] { { 1.25, .001234567 }, { 0, -.5 } }));
        Assert.Equal(["12,346", "3"], CellTexts(new[,] { { 12345.6, 3.2 } }));
        Assert.Equal(["10⁻⁹", "2×10⁻⁹"], CellTexts(new[,] { { 1e-9, 2e-9 } }));
    }

    private static IEnumerable<string> CellTexts(double[,] matrix) =>
        SvgPicture.Of(Chart.HeatMap(matrix)).Root.Descendants().Where(e => e.Name.LocalName == "text" && (string?)e.Attribute("font-size") == "11").Select(e => e.Value);

    [Fact]
    public void Every_atom_is_scaled_to_its_own_largest_weight_with_zero_in_mid_grey()
    {
        var atoms = new double[,] { { 0, 1, -1, .5 }, { 0, 100, -100, 50 }, { 0, 0, 0, 0 } };
        SvgPicture picture = SvgPicture.Of(Chart.Atoms(atoms, patchSize: 2, columns: 2));
        Pixmap pixels = picture.Image("3 atoms");
        // A frame of one white pixel around each tile of 2 x 2.
        Assert.Equal((7, 7), (pixels.Width, pixels.Height));
        Assert.Equal((255, 255, 255), pixels[0, 0]);
        for (int tile = 0; tile < 2; tile++)
        {
            Assert.Equal((255, 255, 255), pixels[1, 2 + (3 * tile)]);
            Assert.Equal((0, 0, 0), pixels[2, 1 + (3 * tile)]);
            Assert.Equal(128, pixels[1, 1 + (3 * tile)].R, 1.0);
            Assert.Equal(191, pixels[2, 2 + (3 * tile)].R, 2.0);
        }
        Assert.Equal(128, pixels[4, 1].R, 1.0);
        Assert.Contains("1 atom is zero: flat grey.", picture.Description);
    }

    [Fact]
    public void Atoms_are_sorted_and_limited_as_asked()
    {
        AtomsChart chart = Chart.Atoms(Samples.Matrix(5, 4), patchSize: 2, sortBy: (double[])[3, 9, double.NaN, 7, 1], most: 4);
        Assert.Equal([1, 3, 0, 4], chart.Order);
        Assert.Contains("4 of 5 atoms shown.", chart.ToString());
    }

    [Fact]
    public void Pictures_keep_their_pixels_grey_and_colour()
    {
        var colour = torch.tensor(new[] { 1f, 0, 0, .5f, 0, 1, 0, .5f, 0, 0, 1, .5f }).reshape(3, 2, 2);
        SvgPicture picture = SvgPicture.Of(Chart.Images([("grey", new double[,] { { 1, 3 }, { 2, 1 } }), ("colour", colour), ("bytes", colour * 255)]));
        Pixmap grey = picture.Image("grey");
        Assert.Equal((0, 0, 0), grey[0, 0]);
        Assert.Equal((255, 255, 255), grey[0, 1]);
        Assert.Equal(128, grey[1, 0].R, 1.0);
        foreach (string name in new[] { "colour", "bytes" })
        {
            Pixmap pixels = picture.Image(name);
            Assert.Equal([(255, 0, 0), (0, 255, 0), (0, 0, 255), (128, 128, 128)], pixels.Pixels.Select(p => ((int)p.R, (int)p.G, (int)p.B)));
        }
    }

    [Fact]
    public void A_range_gives_all_pictures_one_scale()
    {
        SvgPicture picture = SvgPicture.Of(Chart.Images([("a", new double[,] { { 0, 1 } }), ("b", new double[,] { { 0, 2 } })], range: (0, 2)));
        Assert.Equal(128, picture.Image("a")[0, 1].R, 1.0);
        Assert.Equal(255, picture.Image("b")[0, 1].R);
        Assert.DoesNotContain("scaled to its own", picture.Description);
    }

    [Fact]
    public void A_support_is_dark_where_kept_and_its_bars_count_rows_and_columns()
    {
        using var scope = torch.NewDisposeScope();
        SupportChart chart = Chart.Support(Select.TopK(torch.tensor(new double[,] { { 3, 1, 2 }, { 1, 5, 4 } }), Budget.PerRow(2)));
        SvgPicture picture = SvgPicture.Of(chart);
        Pixmap pixels = picture.Image("support");
        bool[] dark = [.. pixels.Pixels.Select(p => p.G < 100)];
        Assert.Equal([true, false, true, false, true, true], dark);
        Assert.Contains("66.67 % of all; bars: kept per row, 2, and per column, 1 to 2.", picture.Description);
        // The bar over the last column, kept twice, is twice as high as those over the others.
        var above = picture.Root.Descendants().Last(e => e.Name.LocalName == "path" && (string?)e.Attribute("fill") == Theme.Colour(1));
        double[] y = [.. SvgPicture.CornersOf(above).Select(c => c.Y)];
        double[] heights = [.. y.Distinct().Order()];
        Assert.Equal(3, heights.Length);
        Assert.Equal(2 * (heights[2] - heights[1]), heights[2] - heights[0], .21);
    }

    [Fact]
    public void A_large_support_shows_shares()
    {
        var mask = new int[360, 10];
        mask[0, 0] = mask[1, 0] = 1;
        SvgPicture picture = SvgPicture.Of(Chart.Support(mask));
        Pixmap pixels = picture.Image("support");
        Assert.Equal((5, 180), (pixels.Width, pixels.Height));
        Assert.Equal(ColourMap.Ink.At(1), pixels[0, 0]);
        Assert.Equal((255, 255, 255), pixels[1, 0]);
        Assert.Contains("to darkest, 50 %", picture.Description);
    }

    private static string Hex((byte R, byte G, byte B) p) => Theme.Hex(p.R, p.G, p.B);
}
