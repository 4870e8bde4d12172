using Sparseland.Models;
using Sparseland.Pruning;
using Sparseland.Selection;
using Sparseland.Tests.Training;
using Sparseland.Training;
using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Sparseland.Tests.Pruning;

/// <summary>
/// Figures of PyTorch 1.13 (CPU, float64): the scores by their definitions, with torch.autograd.grad, on a network of a 3 x 3 convolution of two filters, batch norm, ReLU
/// and a linear layer [3, 8]; parameter k is sin((0.7 + k) i + 1 + k), samples cos(0.37 i), six of 1 x 2 x 2, labels 0 1 2 0 1 2.
/// </summary>
public class InitialScoresTests
{
    [Fact]
    public void Snip_is_that_of_pytorch()
    {
        using var scope = NewDisposeScope();
        using Sequential network = Network();
        (Tensor X, Tensor labels) = Samples();
        using ParameterScores scores = SnipScore.Of(network, X, labels);
        Same(scores["conv1.weight"], 0.712963374234, 0.144675912592, 0.0570773075533, 0.114969293894, 0.0051319826025);
        Same(scores["head.weight"], 0.7556336446, 0.000840626895101, 0.0463401571891, 0.0581385619444, 0.0889246780104);
    }

    [Fact]
    public void Grasp_is_that_of_pytorch()
    {
        using var scope = NewDisposeScope();
        using Sequential network = Network();
        (Tensor X, Tensor labels) = Samples();
        using ParameterScores scores = GraspScore.Of(network, X, labels);
        Same(scores["conv1.weight"], -4.58774399398e-06, -7.43944773614e-07, -1.2476795454e-06, -1.93364129785e-07, -2.16458998403e-09);
        Same(scores["head.weight"], 4.5837511559e-06, 6.21014533435e-07, 6.68170166619e-07, 2.41180854696e-07, 3.20939080353e-07);
        Assert.Contains("double backward", scores.ToString(), StringComparison.Ordinal);
    }

    // What such a layer's gradient leaves out would count as a constant, and H g of the layers before it be a part of the truth.
    [Fact]
    public void Grasp_refuses_a_network_with_a_layer_that_has_no_second_derivative()
    {
        using var scope = NewDisposeScope();
        using Sequential network = nn.Sequential(("first", nn.Linear(8, 6)), ("bend", nn.Tanh()), ("head", new FixedSupportLinear(Support.Random(3, 6, 9, 1), randn(9))));
        (Tensor X, Tensor labels) = TrainingData.Blobs(60, 8, 3, 1);
        Assert.Contains(nameof(FixedSupportLinear), Assert.Throws<NotSupportedException>(() => GraspScore.Of(network, X, labels)).Message, StringComparison.Ordinal);
        using ParameterScores snip = SnipScore.Of(network, X, labels);
    }

    [Fact]
    public void Grasps_product_is_the_central_difference_of_gradients()
    {
        using var scope = NewDisposeScope();
        using Sequential network = Network();
        (Tensor X, Tensor labels) = Samples();
        using ParameterScores scores = GraspScore.Of(network, X, labels);
        Tensor[] weights = [.. PrunableWeights.Of(network).Values];
        Tensor[] Gradients()
        {
            network.train();
            return [.. autograd.grad([nn.functional.cross_entropy(network.call(X).div(200), labels)], weights)];
        }

        Tensor[] g = Gradients();
        double size = 1e-3 * Math.Sqrt(weights.Sum(w => w.square().sum().item<double>()) / g.Sum(d => d.square().sum().item<double>()));
        void Move(double by)
        {
            using IDisposable off = no_grad();
            for (int i = 0; i < weights.Length; i++) weights[i].add_(g[i], alpha: by * size);
        }

        Move(1);
        Tensor[] above = Gradients();
        Move(-2);
        Tensor[] below = Gradients();
        Move(1);
        int at = 0;
        foreach (Tensor score in scores.Values)
        {
            Tensor difference = weights[at].detach() * (above[at] - below[at]) / (2 * size);
            Assert.True((difference - score).abs().max().item<double>() < 1e-4 * score.abs().max().item<double>());
            at++;
        }
    }

    [Fact]
    public void SynFlow_is_that_of_pytorch_in_one_round_and_in_a_hundred()
    {
        using var scope = NewDisposeScope();
        using Sequential network = Network();
        double[] before = TrainingData.Parameters(network);
        using ParameterScores scores = SynFlowScore.Of(network, [1, 2, 2]);
        Same(scores["conv1.weight"], 28.4223008294, 1.6215328317, 3.78135706512, 1.27400368962, 0.16241145733);
        Same(scores["head.weight"], 33.5525144612, 1.67221939746, 1.85634265607, 2.8519839965, 1.37209733878);
        using MaskSet masks = SynFlowScore.Prune(network, [1, 2, 2], 0.3);
        bool[] kept = [.. masks.Names.SelectMany(name => masks[name].flatten().data<bool>().ToArray())];
        Assert.Equal([0, 1, 4, 5, 10, 20, 21, 24, 25, 26, 29, 36, 37], Enumerable.Range(0, 42).Where(i => kept[i]));
        Assert.Equal(before, TrainingData.Parameters(network));
    }

    [Fact]
    public void SynFlow_is_conserved_from_layer_to_layer_without_biases()
    {
        using var scope = NewDisposeScope();
        using Sequential network = SmallClassifiers.Mlp([6, 9, 7, 3], 4);
        using ParameterScores scores = SynFlowScore.Of(network, [6]);
        double[] sums = [.. scores.Values.Select(s => (double)s.sum().item<float>())];
        Assert.All(sums, sum => Assert.InRange(sum / sums[0], 1 - 1e-5, 1 + 1e-5));
    }

    [Fact]
    public void Scores_leave_the_network_as_it_was()
    {
        using var scope = NewDisposeScope();
        using Sequential network = Network();
        network.eval();
        (Tensor X, Tensor labels) = Samples();
        double[] parameters = TrainingData.Parameters(network), buffers = [.. network.buffers().SelectMany(TrainingData.Numbers)];
        using ParameterScores snip = SnipScore.Of(network, X, labels), grasp = GraspScore.Of(network, X, labels), flow = SynFlowScore.Of(network, [1, 2, 2]);
        Assert.Equal(parameters, TrainingData.Parameters(network));
        Assert.Equal(buffers, network.buffers().SelectMany(TrainingData.Numbers));
        Assert.All(network.parameters(), p => Assert.Null(p.grad));
        Assert.False(network.training);
    }

    [Fact]
    public void Lamp_is_that_of_its_definition_and_blind_to_scale()
    {
        using var scope = NewDisposeScope();
        Tensor weight = tensor(new[,] { { 3.0, -1, 2 }, { 0.5, -2, 0 } });

        // 9/9, 1/(9 + 4 + 4 + 1), 4/(9 + 4 + 4), 0.25/18.25; the two of size 2 stand in each other's sum; 0.
        double[] expected = [1, 1 / 18.0, 4 / 17.0, 0.25 / 18.25, 4 / 17.0, 0];
        Assert.Equal(expected, TrainingData.Numbers(LampScore.Of(weight)), (a, b) => Math.Abs(a - b) < 1e-12);
        Assert.Equal(expected, TrainingData.Numbers(LampScore.Of(weight * 1e-200)), (a, b) => Math.Abs(a - b) < 1e-12);
        Assert.Equal(expected, TrainingData.Numbers(LampScore.Of(weight * 1e200)), (a, b) => Math.Abs(a - b) < 1e-12);
        Assert.Equal(new double[4], TrainingData.Numbers(LampScore.Of(zeros(2, 2))));
        Assert.Throws<ArgumentException>(() => LampScore.Of(tensor(new[] { 1, double.NaN })));
    }

    [Fact]
    public void A_global_ranking_by_lamp_empties_no_layer_where_magnitude_does()
    {
        using var scope = NewDisposeScope();
        using Sequential network = SmallClassifiers.Mlp([10, 20, 5], 1);
        using (no_grad()) network.Layer<Linear>("head").weight!.mul_(1e-6);
        using ParameterScores lamp = LampScore.Of(network);
        using MaskSet masks = MaskSet.FromScores(network, lamp, PruningPattern.Global(0.99));
        Assert.Equal(3, masks.Active);
        Dictionary<string, Tensor> magnitudes = PrunableWeights.Of(network).ToDictionary(pair => pair.Key, pair => pair.Value.detach().abs());
        Assert.Throws<ArgumentException>(() => MaskSet.FromScores(network, magnitudes, PruningPattern.Global(0.99)));
    }

    [Fact]
    public void Random_scores_know_their_seed_alone()
    {
        using Sequential network = Network();
        using ParameterScores first = RandomScore.Of(network, 1), again = RandomScore.Of(network, 1), other = RandomScore.Of(network, 2);
        Assert.Equal(TrainingData.Numbers(first["head.weight"]), TrainingData.Numbers(again["head.weight"]));
        Assert.NotEqual(TrainingData.Numbers(first["head.weight"]), TrainingData.Numbers(other["head.weight"]));

        // torch.nn.utils.prune (PyTorch 1.13) rounds the number to go to the nearest even, and keeps 17 of 35 at 0.5 and 3 at 0.9; here the number to go is rounded down.
        using Sequential layer = nn.Sequential(("a", nn.Linear(7, 5)));
        using ParameterScores scores = RandomScore.Of(layer, 1);
        Assert.Equal([18L, 7L, 4L], new[] { 0.5, 0.8, 0.9 }.Select(s =>
        {
            using MaskSet masks = MaskSet.FromScores(layer, scores, PruningPattern.PerLayer(s));
            return masks.Active;
        }));
    }

    [Fact]
    public void Bad_input_is_refused()
    {
        using var scope = NewDisposeScope();
        using Sequential network = Network(), plain = nn.Sequential(("relu", nn.ReLU()));
        (Tensor X, Tensor labels) = Samples();
        Assert.Throws<ArgumentException>(() => SnipScore.Of(plain, X, labels));
        Assert.Throws<ArgumentException>("labels", () => SnipScore.Of(network, X, labels[..5]));
        Assert.Throws<ArgumentException>("X", () => SnipScore.Of(network, X * double.NaN, labels));
        Assert.Contains("class 2", Assert.Throws<ArgumentException>("labels", () => GraspScore.Of(network, X[..5], tensor(new long[] { 0, 1, 0, 1, 0 }))).Message, StringComparison.Ordinal);
        Assert.Throws<ArgumentOutOfRangeException>("temperature", () => GraspScore.Of(network, X, labels, 0));
        Assert.Throws<ArgumentException>("labels", () => GraspScore.Balanced(labels, 3));
        Assert.Equal([0L, 0, 1, 1, 2, 2], labels.index_select(0, GraspScore.Balanced(labels, 2)).data<long>().ToArray());
        Assert.Throws<ArgumentException>("sampleShape", () => SynFlowScore.Of(network, []));
        Assert.Throws<ArgumentOutOfRangeException>("density", () => SynFlowScore.Prune(network, [1, 2, 2], 0));
        Assert.Throws<OperationCanceledException>(() => SynFlowScore.Prune(network, [1, 2, 2], 0.5, cancel: new CancellationToken(true)));
    }

    private static Sequential Network()
    {
        Sequential network = nn.Sequential(("conv1", nn.Conv2d(1, 2, 3, padding: 1, bias: false)), ("bn1", nn.BatchNorm2d(2)), ("relu1", nn.ReLU()), ("flatten", nn.Flatten()), ("head", nn.Linear(8, 3)));
        network.to(ScalarType.Float64);
        using var scope = NewDisposeScope();
        using IDisposable off = no_grad();
        int k = 0;
        foreach (Parameter parameter in network.parameters())
        {
            parameter.copy_((arange(parameter.numel(), dtype: ScalarType.Float64) * (0.7 + k) + 1 + k).sin().view(parameter.shape));
            k++;
        }

        return network;
    }

    private static (Tensor X, Tensor Labels) Samples() => ((arange(24, dtype: ScalarType.Float64) * 0.37).cos().view(6, 1, 2, 2), tensor(new long[] { 0, 1, 2, 0, 1, 2 }));

    private static void Same(Tensor scores, double sum, params double[] first)
    {
        double scale = scores.abs().max().item<double>();
        Assert.Equal(sum, scores.sum().item<double>(), scale * 1e-9);
        Assert.Equal(first, TrainingData.Numbers(scores)[..first.Length], (a, b) => Math.Abs(a - b) < scale * 1e-9);
    }
}
