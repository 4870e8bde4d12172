using Sparseland.Training;
using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Sparseland.Tests.Training;

public class GaLoreOptimizerTests
{
    [Fact]
    public void Full_rank_gradient_descent_is_gradient_descent()
    {
        using var scope = NewDisposeScope();
        using Sequential own = Network(), plain = Network();
        using var galore = new GaLoreOptimizer(own, new() { Rank = 4, Gap = 2, Scale = 1, Rule = GaLoreRule.Sgd }, ["wide.weight", "tall.weight"]);
        using var sgd = new SgdOptimizer(plain);
        foreach (Parameter bias in plain.parameters().Concat(own.parameters()).Where(p => p.dim() == 1)) bias.requires_grad = false;
        for (int step = 0; step < 5; step++)
        {
            Gradients(own, step);
            Gradients(plain, step);
            galore.Step(0.001);
            sgd.Step(0.001);
        }

        foreach ((Tensor a, Tensor b) in Matrices(own).Zip(Matrices(plain))) Assert.True((a - b).abs().max().item<double>() < 1e-12);
    }

    [Fact]
    public void One_step_of_Adam_is_the_formula_and_the_update_within_a_gap_has_the_rank()
    {
        using var scope = NewDisposeScope();
        using Sequential network = Network();
        using var galore = new GaLoreOptimizer(network, new() { Rank = 2, Gap = 3, Scale = 0.25 }, ["wide.weight", "tall.weight"]);
        Tensor[] start = [.. Matrices(network).Select(m => m.detach().clone())];
        Gradients(network, 0);
        Tensor wide = ((Linear)network[0]).weight!.grad!.clone(), tall = ((Linear)network[1]).weight!.grad!.clone();
        galore.Step(0.1);

        // wide is [4, 6]: out < in, projected on the left by P [4, 2]; tall is [5, 4]: on the right.
        Tensor P = galore.ProjectorOf("wide.weight"), R = P.t().mm(wide), N = R / (R.abs() + 1e-8);
        Assert.Equal([4, 2], P.shape);
        Assert.True((Matrices(network)[0] - start[0] + (P.mm(N) * (0.1 * 0.25))).abs().max().item<double>() < 1e-9);
        Tensor Q = galore.ProjectorOf("tall.weight"), S = tall.mm(Q), M = S / (S.abs() + 1e-8);
        Assert.Equal([4, 2], Q.shape);
        Assert.True((Matrices(network)[1] - start[1] + (M.mm(Q.t()) * (0.1 * 0.25))).abs().max().item<double>() < 1e-9);

        // The projectors are the leading singular vectors, as projections.
        (Tensor U, _, Tensor Vt) = linalg.svd(wide, fullMatrices: false);
        Assert.True((P.mm(P.t()) - U.narrow(1, 0, 2).mm(U.narrow(1, 0, 2).t())).abs().max().item<double>() < 1e-9);
        for (int step = 1; step < 3; step++)
        {
            Gradients(network, step);
            galore.Step(0.1);
        }

        foreach ((Tensor now, Tensor then) in Matrices(network).Zip(start))
        {
            double[] values = [.. linalg.svdvals(now - then).data<double>()];
            Assert.True(values[2] < 1e-12 * values[0]);
        }

        Assert.Equal([2, 6], galore.State["first.wide.weight"].shape);
        Assert.Equal([2, 5], galore.State["first.tall.weight"].shape);
    }

    [Theory]
    [InlineData(2)]
    [InlineData(3)]
    [InlineData(4)]
    public void Taken_up_anywhere_it_goes_on_bit_for_bit(int stop)
    {
        using var scope = NewDisposeScope();
        using Sequential straight = Network(), halves = Network();
        GaLoreOptions options = new() { Rank = 2, Gap = 3 };
        using var whole = new GaLoreOptimizer(straight, options);
        using var first = new GaLoreOptimizer(halves, options);
        using var second = new GaLoreOptimizer(halves, options);
        for (int step = 0; step < 8; step++)
        {
            Gradients(straight, step);
            whole.Step(0.05);
            if (step == stop) second.Load(first.State, first.Count);
            Gradients(halves, step);
            (step < stop ? first : second).Step(0.05);
        }

        foreach ((Parameter a, Parameter b) in straight.parameters().Zip(halves.parameters())) Assert.True(a.equal(b).all().item<bool>());
    }

    [Fact]
    public void Without_its_projectors_a_state_is_refused_and_so_is_what_cannot_be_projected()
    {
        using var scope = NewDisposeScope();
        using Sequential network = Network();
        using var galore = new GaLoreOptimizer(network, new() { Rank = 2 });
        Gradients(network, 0);
        galore.Step(0.1);
        Dictionary<string, Tensor> state = galore.State.ToDictionary(s => s.Key, s => s.Value.clone());
        Dictionary<string, Tensor> without = state.Where(s => !s.Key.StartsWith("projector", StringComparison.Ordinal)).ToDictionary();
        Assert.Contains("projector.wide.weight", Assert.Throws<ArgumentException>(() => galore.Load(without, 1)).Message, StringComparison.Ordinal);
        state["projector.tall.weight"].zero_();
        Assert.Contains("tall.weight", Assert.Throws<ArgumentException>(() => galore.Load(state, 1)).Message, StringComparison.Ordinal);

        Assert.Contains("wide.weight is [4, 6]", Assert.Throws<ArgumentOutOfRangeException>(() => new GaLoreOptimizer(network, new() { Rank = 5 })).Message, StringComparison.Ordinal);
        Assert.Contains("only matrices", Assert.Throws<ArgumentException>(() => new GaLoreOptimizer(network, new() { Rank = 1 }, ["wide.bias"])).Message, StringComparison.Ordinal);
        Assert.Throws<ArgumentException>(() => new GaLoreOptimizer(network, new() { Rank = 1 }, ["nothing"]));
        Assert.Throws<ArgumentOutOfRangeException>(() => new GaLoreOptimizer(network, new() { Rank = 1, Gap = 0 }));
        Assert.Throws<ArgumentOutOfRangeException>(() => new GaLoreOptimizer(network, new() { Rank = 1, Scale = 0 }));
    }

    [Fact]
    public void A_reset_forgets_moments_and_counts_anew_and_other_parameters_take_Adam()
    {
        using var scope = NewDisposeScope();
        using Sequential network = Network(), plain = Network();
        using var galore = new GaLoreOptimizer(network, new() { Rank = 2 });
        using var adam = new AdamWOptimizer(plain, 0);
        Gradients(network, 0);
        Gradients(plain, 0);
        galore.Step(0.1);
        adam.Step(0.1);
        Assert.Equal(((Linear)plain[1]).bias!.data<double>().ToArray(), ((Linear)network[1]).bias!.data<double>().ToArray());
        galore.Reset("wide.weight");
        galore.Reset("wide.bias");
        Assert.Equal(0, galore.State["second.wide.weight"].abs().max().item<double>());
        Assert.Throws<ArgumentException>(() => galore.Reset("nothing"));
    }

    private static Sequential Network()
    {
        Sequential network = nn.Sequential(("wide", nn.Linear(6, 4, dtype: ScalarType.Float64)), ("tall", nn.Linear(4, 5, dtype: ScalarType.Float64)));
        using IDisposable off = no_grad();
        var generator = new Generator(9);
        foreach (Parameter parameter in network.parameters()) parameter.copy_(randn(parameter.shape, dtype: ScalarType.Float64, generator: generator));
        return network;
    }

    private static Tensor[] Matrices(Sequential network) => [((Linear)network[0]).weight!, ((Linear)network[1]).weight!];

    private static void Gradients(Sequential network, int step)
    {
        var generator = new Generator((ulong)(100 + step));
        network.zero_grad();
        (network.call(randn([7, 6], dtype: ScalarType.Float64, generator: generator)) - randn([7, 5], dtype: ScalarType.Float64, generator: generator)).square().sum().backward();
    }
}
