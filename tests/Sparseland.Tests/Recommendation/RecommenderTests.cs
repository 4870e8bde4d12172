using Sparseland.Recommendation;
using Sparseland.Training;
using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Sparseland.Tests.Recommendation;

/// <summary>Values recorded from a plain restatement of the three models in torch 1.13.0a0 (Debian's python3-torch), float64, with the weights below.</summary>
public class RecommenderTests
{
    private static readonly Interactions Small = Interactions.Of(3, 4, [(0, 0), (0, 1), (1, 1), (1, 2), (2, 0), (2, 2), (2, 3)]);

    [Fact]
    public void LightGcn_propagates_and_differentiates_as_the_peer()
    {
        using var scope = NewDisposeScope();
        using LightGcn model = new(Small, width: 2, layers: 2, penalty: 0.1);
        using (no_grad()) model.Table.copy_(tensor(Enumerable.Range(0, 14).Select(i => (float)(0.5 * Math.Sin((3 * (i / 2)) + (2 * (i % 2)) + 1))).ToArray(), [7, 2]));
        Close(
            [0.190864274, 0.0471344887, -0.1207662181, -0.0583449358, 0.1431934116, 0.1026723026, 0.0017728074, -0.0477882087, 0.0774339489, 0.0973989957, -0.0780587754,
                -0.127502486, 0.0638435335, 0.1749994548],
            model.Propagate(model.Table), 1e-6);
        Batch batch = new(tensor(new long[] { 0, 1, 2, 0 }), tensor(new long[] { 0, 2, 2, 0, 3, 1, 1, 3 }, [4, 2]));
        Assert.Equal(0.7128026964144232, model.Gradients(batch, 1), 1e-6);
        double[] gradient =
        [
            0.00874491, 0.0025827852, 7.60273e-05, 0.0041116778, 0.0101988115, -0.0008872581, -0.0314208117, -0.0201735702, 0.007212084, 0.0213288635, 0.0107468568,
            -0.0129602925, 0.0067508519, 0.0159883658,
        ];
        Close(gradient, model.Table.grad!, 1e-7);

        // A second mini-batch adds, with its weight.
        model.Gradients(batch, 0.5);
        Close([.. gradient.Select(g => 1.5 * g)], model.Table.grad!, 1e-7);
    }

    [Fact]
    public void The_scores_of_LightGcn_are_products_of_propagated_rows()
    {
        using var scope = NewDisposeScope();
        using LightGcn model = new(Small, width: 8, layers: 3);
        Tensor final = model.Propagate(model.Table), scores = model.Scores([2, 0]);
        Assert.Equal([2L, 4], scores.shape);
        Assert.Equal(final[2].dot(final[3 + 1]).item<float>(), scores[0, 1].item<float>(), 1e-6);
        Assert.Equal(final[0].dot(final[3 + 3]).item<float>(), scores[1, 3].item<float>(), 1e-6);

        // Without layers the table itself.
        using LightGcn flat = new(Small, width: 8, layers: 0);
        Assert.True(flat.Propagate(flat.Table).allclose(flat.Table));
    }

    [Fact]
    public void MultVae_has_the_loss_and_gradients_of_the_peer()
    {
        using var scope = NewDisposeScope();
        Interactions histories = Interactions.Of(3, 5, [(0, 0), (0, 2), (1, 1), (1, 2), (1, 3), (2, 4)]);
        using MultVae model = new(histories, hidden: 4, latent: 3, dropout: 0);
        SetToSines(model, ["_first.weight", "_first.bias", "_second.weight", "_second.bias", "_third.weight", "_third.bias", "_last.weight", "_last.bias"]);
        Tensor history = tensor(new float[] { 1, 0, 1, 0, 0, 0, 1, 1, 1, 0, 0, 0, 0, 0, 1 }, [3, 5]);
        Tensor Noise(long[] shape) => tensor(Enumerable.Range(0, 9).Select(i => (float)Math.Cos(i)).ToArray(), shape);
        Tensor loss = model.Loss(history, nn.functional.normalize(history), Noise, 0.2);
        loss.backward();
        Assert.Equal(3.476886504378698, loss.item<float>(), 2e-6);
        Assert.Equal(3.4509626172385395, model.Loss(history, nn.functional.normalize(history), Noise, 0).item<float>(), 2e-6);
        double[] squares = [0.00017161978280034242, 0.00019050650514878024, 0.00101915386245121, 0.008668654578309431, 0.3881737232285265, 0.04056553770139636, 0.18383083414261808, 0.23324138049406035];
        double[] own = [.. Named(model, ["_first.weight", "_first.bias", "_second.weight", "_second.bias", "_third.weight", "_third.bias", "_last.weight", "_last.bias"]).Select(p => (double)p.grad!.square().sum().item<float>())];
        for (int i = 0; i < squares.Length; i++) Assert.Equal(squares[i], own[i], 1e-5 * Math.Max(0.01, squares[i]) * 10);
    }

    [Fact]
    public void MultVae_draws_from_its_seed_and_the_number_of_the_batch()
    {
        using var scope = NewDisposeScope();
        Interactions training = InteractionGenerator.Draw(new() { Users = 40, Items = 60, Longest = 40 }).Interactions;
        using MultVae model = new(training, 16, 4);
        HistoryBatches batches = new(training, 8);
        double Loss(long at) => model.Loss(batches.At(at)).item<float>();
        manual_seed(1);
        double first = Loss(3);
        manual_seed(2);
        Assert.Equal(first, Loss(3));
        using MultVae other = new(training, 16, 4, seed: 2);
        Assert.NotEqual(first, other.Loss(batches.At(3)).item<float>());
    }

    [Fact]
    public void NeuMf_has_the_logits_and_loss_of_the_peer()
    {
        using var scope = NewDisposeScope();
        using NeuMf model = new(2, 3, 2, [3]);
        SetToSines(model, ["_productUsers.weight", "_productItems.weight", "_networkUsers.weight", "_networkItems.weight", "layer1.weight", "layer1.bias", "_output.weight", "_output.bias"]);
        Tensor pairs = tensor(new long[] { 0, 0, 0, 2, 1, 1, 1, 0 }, [4, 2]);
        Close([0.29197438368959994, 0.2756374311828809, 0.27608168607772254, 0.31440269735674287], model.Logits(pairs), 1e-6);
        Assert.Equal(0.7063673589129389, model.Loss(new(pairs, tensor(new float[] { 1, 0, 1, 0 }))).item<float>(), 1e-6);
        Close([0.31440269735674287, 0.27608168607772254], model.Scores([1]).flatten().narrow(0, 0, 2), 1e-6);
    }

    [Fact]
    public void Batches_are_what_they_say_and_the_same_by_number()
    {
        using var scope = NewDisposeScope();
        Interactions training = InteractionGenerator.Draw(new() { Users = 40, Items = 60, Longest = 40 }).Interactions;
        Batch triples = new TripleBatches(training, 200, 5).At(7);
        long[] users = triples.Input.data<long>().ToArray(), items = triples.Target.data<long>().ToArray();
        for (int i = 0; i < 200; i++)
        {
            Assert.True(training.Pairs.Contains((int)users[i], (int)items[2 * i]));
            Assert.False(training.Pairs.Contains((int)users[i], (int)items[(2 * i) + 1]));
        }

        Assert.Equal(items, new TripleBatches(training, 200, 5).At(7).Target.data<long>().ToArray());
        Assert.NotEqual(items, new TripleBatches(training, 200, 5).At(8).Target.data<long>().ToArray());
        Batch labelled = new LabelledPairBatches(training, 50, 3).At(0);
        Assert.Equal([200L, 2], labelled.Input.shape);
        Assert.Equal(50, labelled.Target.sum().item<float>());
        HistoryBatches histories = new(training, 10);
        Tensor epoch = cat([.. Enumerable.Range(0, 4).Select(i => histories.At(i).Input)]);
        Assert.Equal(training.Count, epoch.sum().item<float>());
        Assert.Throws<ArgumentException>("training", () => new TripleBatches(Interactions.Of(1, 2, [(0, 0), (0, 1)]), 5));
        Assert.Throws<ArgumentException>("training", () => new TripleBatches(Interactions.Of(1, 2, []), 5));
        Assert.Throws<ArgumentException>("batch", () => new HistoryBatches(training, 41));
    }

    private static void Close(double[] expected, Tensor values, double tolerance)
    {
        float[] actual = values.detach().contiguous().data<float>().ToArray();
        Assert.Equal(expected.Length, actual.Length);
        for (int i = 0; i < expected.Length; i++) Assert.Equal(expected[i], actual[i], tolerance);
    }

    private static Parameter[] Named(nn.Module model, string[] names)
    {
        Dictionary<string, Parameter> all = model.named_parameters().ToDictionary(p => p.name, p => p.parameter);
        Assert.Equal(names.Order(), all.Keys.Order());
        return [.. names.Select(name => all[name])];
    }

    /// <summary>Entry t of parameter k, both counted from 1, is 0.3 sin(k t).</summary>
    private static void SetToSines(nn.Module model, string[] names)
    {
        using IDisposable off = no_grad();
        foreach ((Parameter parameter, int k) in Named(model, names).Select((p, i) => (p, i + 1)))
            parameter.copy_(tensor(Enumerable.Range(1, (int)parameter.numel()).Select(t => (float)(0.3 * Math.Sin(k * t))).ToArray(), parameter.shape));
    }
}
