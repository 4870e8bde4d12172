using Sparseland.Data;
using Sparseland.Models;
using Sparseland.Pruning;
using Sparseland.Pruning.Soups;
using Sparseland.Training;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Sparseland.Tests.Pruning.Soups;

public class SparseSoupTests
{
    [Fact]
    public void An_average_is_that_of_the_weights_with_the_zeros_of_the_mask()
    {
        using Sequential network = SmallShapes.Network();
        using MaskSet masks = MaskSet.Random(network, 0.1, 4);
        SparseSnapshot[] networks = [.. Enumerable.Range(1, 3).Select(seed => Masked(seed, masks))];
        using SparseSnapshot soup = SparseSoup.Average(networks), weighted = SparseSoup.Average(networks, [0.5, 0.5, 0]);
        Assert.Equal(0, soup.Leaks());
        Assert.Equal(masks.Density, soup.Density, 15);
        foreach (string name in soup.Parameters)
        {
            using Tensor mean = stack([.. networks.Select(n => n.State[name].to(ScalarType.Float64))]).mean([0]).to(ScalarType.Float32);
            Assert.True((soup.State[name] - mean).abs().max().item<float>() <= 1e-7);
            Assert.True((weighted.State[name] - ((networks[0].State[name] + networks[1].State[name]) / 2)).abs().max().item<float>() <= 1e-7);
        }

        foreach (SparseSnapshot n in networks) n.Dispose();
    }

    [Fact]
    public void Different_masks_are_refused_or_united()
    {
        using Sequential network = SmallShapes.Network();
        SparseSnapshot[] networks = [.. Enumerable.Range(1, 3).Select(seed =>
        {
            using MaskSet masks = MaskSet.Random(network, 0.1, seed);
            return Masked(seed, masks);
        })];
        ArgumentException error = Assert.Throws<ArgumentException>(() => SparseSoup.Average(networks));
        Assert.Contains("conv1.weight", error.Message, StringComparison.Ordinal);
        using SparseSnapshot union = SparseSoup.Average(networks, allowUnion: true);

        // 1 - 0.9^3 = 0.271 within four standard deviations of 1,196 draws.
        Assert.InRange(union.Density, 0.271 - (4 * Math.Sqrt(0.271 * 0.729 / 1196)), 0.271 + (4 * Math.Sqrt(0.271 * 0.729 / 1196)));
        Assert.Equal(union.Density, SparseSoup.UnionDensity(networks), 15);
        Assert.Throws<ArgumentException>(() => SparseSoup.Greedy(networks, _ => 1));
        foreach (SparseSnapshot n in networks) n.Dispose();
    }

    [Fact]
    public void Bad_averages_are_refused()
    {
        using Sequential network = SmallShapes.Network(), wide = WideCnn.Of(16, 8, 10, 1);
        using MaskSet masks = MaskSet.Random(network, 0.1, 4);
        using SparseSnapshot a = Masked(1, masks), b = Masked(2, masks), c = SparseSnapshot.Of(wide), dense = SparseSnapshot.Of(network);
        Assert.Throws<ArgumentException>(() => SparseSoup.Average([a]));
        Assert.Throws<ArgumentException>(() => SparseSoup.Average([a, c]));
        Assert.Throws<ArgumentException>(() => SparseSoup.Average([a, dense]));
        Assert.Throws<ArgumentException>(() => SparseSoup.Average([a, b], [0.5, 0.6]));
        Assert.Throws<ArgumentException>(() => SparseSoup.Average([a, b], [1.5, -0.5]));
        Assert.Throws<ArgumentException>(() => SparseSoup.Average([a, b], [double.NaN, 1]));
        Assert.Throws<ArgumentException>(() => SparseSoup.Average([a, b], [1]));
        Assert.Throws<ArgumentNullException>(() => SparseSoup.Greedy([a, b], null!));
        Assert.Throws<ArgumentException>(() => SparseSoup.Greedy([a, b], _ => double.NaN));
    }

    [Fact]
    public void The_greedy_soup_keeps_what_does_not_lower_the_score()
    {
        using Sequential network = SmallShapes.Network();
        using MaskSet masks = MaskSet.Random(network, 0.1, 4);
        SparseSnapshot[] networks = [.. Enumerable.Range(1, 4).Select(seed => Masked(seed, masks))];

        // A score of the first weight of the head alone: highest where it is near 0.
        double Weight(SparseSnapshot s) => s.State["head.bias"][0].item<float>();
        double[] biases = [-0.2, 0.3, -0.25, 2];
        for (int i = 0; i < 4; i++) networks[i].State["head.bias"].fill_(biases[i]);
        using GreedySoup soup = SparseSoup.Greedy(networks, s => -Math.Abs(Weight(s)));
        // -0.2 first; with -0.25: -0.225, worse; with 0.3: 0.05, better; with 2: worse.
        Assert.Equal([0, 1], soup.Chosen);
        Assert.Equal(-0.05, soup.Score, 6);
        Assert.Equal([-0.2, -0.3, -0.25, -2], [.. soup.Scores.Select(s => Math.Round(s, 6))]);
        foreach (SparseSnapshot n in networks) n.Dispose();
    }

    [Fact]
    public void Distances_and_angles_are_those_of_the_parameters()
    {
        using Sequential network = SmallShapes.Network();
        using SparseSnapshot a = SparseSnapshot.Of(network), b = a.Copy(), c = a.Copy();
        foreach (SparseSnapshot s in new[] { a, b, c })
            foreach (string name in s.Parameters) s.State[name].zero_();
        a.State["head.bias"][0] = 3;
        b.State["head.bias"][1] = 4;
        b.State["bn1.running_mean"].fill_(100);
        Assert.Equal(5, ModelDistance.L2(a, b), 12);
        Assert.Equal(90, ModelDistance.Angle(a, b), 10);
        Assert.Equal(Math.Acos(9 / 15.0) * 180 / Math.PI, ModelDistance.Angle(b, c, a), 10);
        Assert.Equal(1, ModelDistance.RelativeBarycentre([a, b]), 12);
        Assert.Throws<ArgumentException>(() => ModelDistance.Angle(a, c));
        Assert.Throws<ArgumentException>(() => ModelDistance.RelativeBarycentre([a]));
    }

    [Fact]
    public void Children_share_the_mask_in_every_phase_and_threads_do_not_matter()
    {
        using LabelledImages images = SmallShapes.Images(), validation = SmallShapes.Images(80, 2);
        using SparseSnapshot dense = SmallShapes.Dense();
        SmsOptions options = new() { Children = 2, Pruning = new() { Sparsity = 0.8, Rounds = 2, Retrain = SmallShapes.TwoEpochs, DenseEpochs = 2 } };
        using SmsResult result = SparseModelSoups.Run(SmallShapes.Network, dense, images, validation, options, 5);
        int threads = get_num_threads();
        set_num_threads(1);
        using SmsResult alone = SparseModelSoups.Run(SmallShapes.Network, dense, images, validation, options, 5);
        set_num_threads(threads);
        Assert.True(SmallShapes.Same(result.Final, alone.Final));
        foreach (SmsPhase phase in result.Phases)
        {
            long kept = PruningPattern.Kept(1196, phase.Phase == 2 ? 0.8 : 1 - Math.Sqrt(0.2));
            Assert.All(phase.Children.Append(phase.Soup), s => Assert.Equal((0L, kept), (s.Leaks(), (long)Math.Round(s.Density * 1196))));
            Assert.True(phase.Distances[0, 1] > 0 && phase.Distances[0, 1] == phase.Distances[1, 0]);
            Assert.Equal(2, phase.ChildScores.Count);
        }

        // Child 0 of the first phase is iterative magnitude pruning with the same seed.
        using ImpResult imp = IterativeMagnitudePruning.Run(SmallShapes.Network, dense, images, options.Pruning, 5);
        Assert.True(SmallShapes.Same(imp.Rounds[0].Network, result.Phases[0].Children[0]));
        (double union, SparseSnapshot again) = SparseModelSoups.RePrune([imp.Final, result.Final], SmallShapes.Network(), images, 0.8);
        Assert.InRange(union, 0.2, 0.4);
        Assert.Equal((0L, 240.0), (again.Leaks(), Math.Round(again.Density * 1196)));
        again.Dispose();
    }

    [Fact]
    public void What_varies_varies_alone()
    {
        using LabelledImages images = SmallShapes.Images(80);
        using SparseSnapshot dense = SmallShapes.Dense();
        SmsOptions options = new() { Children = 2, Factors = [1, 1], Pruning = new() { Sparsity = 0.5, Rounds = 1, Retrain = SmallShapes.TwoEpochs with { Epochs = 1 } } };
        foreach (SoupVariation vary in Enum.GetValues<SoupVariation>())
        {
            IReadOnlyList<SparseSnapshot> alike = SparseModelSoups.Children(SmallShapes.Network, dense, images, options with { Vary = vary }, 0.1);
            IReadOnlyList<SparseSnapshot> apart = SparseModelSoups.Children(SmallShapes.Network, dense, images, options with { Vary = vary, Factors = [1, 2] }, 0.1);
            Assert.Equal(vary == SoupVariation.Seed, !SmallShapes.Same(alike[0], alike[1]));
            Assert.False(SmallShapes.Same(apart[0], apart[1]));
            foreach (SparseSnapshot s in alike.Concat(apart)) s.Dispose();
        }

        Assert.ThrowsAny<ArgumentException>(() => (options with { Factors = [1] }).Validate());
        Assert.ThrowsAny<ArgumentException>(() => (options with { Factors = [1, -1] }).Validate());
        Assert.ThrowsAny<ArgumentException>(() => (options with { Children = 1, Factors = null }).Validate());
        Assert.ThrowsAny<ArgumentException>(() => SparseModelSoups.Run(SmallShapes.Network, dense, images, null, options with { Averaging = SoupAveraging.Greedy }));
        Assert.ThrowsAny<ArgumentException>(() => SparseModelSoups.Run(SmallShapes.Network, dense, images, images, options));
    }

    [Fact]
    public void A_plane_has_its_networks_at_its_corners_and_a_line_its_ends()
    {
        using LabelledImages images = SmallShapes.Images(60);
        SparseSnapshot[] networks = [.. Enumerable.Range(1, 3).Select(seed =>
        {
            using Sequential network = WideCnn.Of(16, 4, 10, seed);
            return SparseSnapshot.Of(network);
        })];
        using Sequential workbench = SmallShapes.Network();
        LossLine line = LossLine.Between(networks[0], networks[1], workbench, images, images, 3);
        using SparseSnapshot end = networks[1].Recalibrated(workbench, images), middle = SparseSoup.Average(networks[..2]), ready = middle.Recalibrated(workbench, images);
        Assert.Equal(end.Loss(workbench, images), line.Loss[2], 6);
        Assert.Equal(ready.Loss(workbench, images), line.Loss[1], 5);
        Assert.Equal(Math.Max(0, line.Loss[1] - ((line.Loss[0] + line.Loss[2]) / 2)), line.Barrier, 12);
        LossPlane plane = LossPlane.Of(networks, workbench, images, images, 2, 0);
        Assert.Equal(line.Loss[0], plane.Loss[0, plane.X[0] == 0 ? 0 : 1], 5);
        Assert.Equal(ModelDistance.L2(networks[0], networks[2]), Math.Sqrt((plane.Corners[2].X * plane.Corners[2].X) + (plane.Corners[2].Y * plane.Corners[2].Y)), 8);
        Assert.Equal(ModelDistance.L2(networks[1], networks[2]), Math.Sqrt(Math.Pow(plane.Corners[2].X - plane.Corners[1].X, 2) + Math.Pow(plane.Corners[2].Y, 2)), 8);
        Assert.Throws<ArgumentException>(() => LossPlane.Of([networks[0], networks[1], networks[1]], workbench, images, images));
        Assert.Throws<ArgumentException>(() => LossPlane.Of(networks[..2], workbench, images, images));
        foreach (SparseSnapshot n in networks) n.Dispose();
    }

    private static SparseSnapshot Masked(int seed, MaskSet like)
    {
        using Sequential network = WideCnn.Of(16, 4, 10, seed);
        using MaskSet masks = MaskSet.Of(network, like.Names.ToDictionary(name => name, name => like[name]));
        masks.Apply();
        return SparseSnapshot.Of(network, masks);
    }
}
