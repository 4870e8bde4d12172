using Sparseland.Models;
using Sparseland.Models.Language;
using Sparseland.Pruning;
using Sparseland.Training;
using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Sparseland.Tests.Pruning;

public class PstTests
{
    private static Tensor Sines(double shift, double scale, params long[] shape)
    {
        long size = shape.Aggregate(1L, (a, b) => a * b);
        return tensor([.. Enumerable.Range(0, (int)size).Select(i => scale * Math.Sin((1.7 * i) + shift))], shape);
    }

    private static Tensor Normal(ulong seed, params long[] shape)
    {
        using var generator = new Generator(seed);
        return randn(shape, generator: generator);
    }

    private static void Fill(Parameter parameter, Tensor values)
    {
        using IDisposable off = no_grad();
        parameter.copy_(values);
    }

    private static double Apart(Tensor a, Tensor b)
    {
        using DisposeScope scope = NewDisposeScope();
        return ((a - b).norm() / (b.norm() + 1e-30)).to(ScalarType.Float64).item<double>();
    }

    [Fact]
    public void Gradients_are_those_of_plain_PyTorch()
    {
        // PyTorch 1.13, float64: W' = W + beta U @ V, S = |W'| + a1 A @ B + a2 (R[:, None] + C[None, :]), the mask an autograd function that keeps the 5 highest of 12 and
        // whose backward returns the gradient; loss = mean((linear(X, M * W', b) - T)^2); all numbers scale * sin(1.7 i + shift), i counted row-major.
        using var scope = NewDisposeScope();
        using var layer = new PstLinear(
            Sines(0.3, 1, 3, 4), Sines(9, 1, 3), new() { WeightRank = 2, ScoreRank = 2, Beta = 0.7, AlphaLowRank = 1.3, AlphaStructured = 0.6 });
        Fill(layer.U, Sines(1, 1, 3, 2));
        Fill(layer.V, Sines(2, 0.3, 2, 4));
        Fill(layer.A!, Sines(3, 1, 3, 2));
        Fill(layer.B!, Sines(4, 0.2, 2, 4));
        Fill(layer.R!, Sines(5, 0.1, 3));
        Fill(layer.C!, Sines(6, 0.1, 4));
        layer.SetSparsity(7.0 / 12);
        Tensor loss = (layer.call(Sines(7, 1, 5, 4)) - Sines(8, 1, 5, 3)).square().mean();
        loss.backward();
        Assert.Equal(1.4823806943589444, loss.item<double>(), 1e-12);
        Assert.Equal(new bool[] { false, true, false, false, false, true, true, false, true, false, true, false }, layer.Mask().data<bool>().ToArray());
        void Same(Parameter parameter, double[] expected) => Assert.True(Apart(parameter.grad!.flatten(), tensor(expected)) < 1e-9);
        Same(layer.U, [0.065574400894, 0.066151401172, -0.202115333124, -0.179138140335, 0.642698553252, 0.359424122302]);
        Same(layer.V, [1.423782113684, -0.373626858573, -1.746056319223, 0.16784831124, -0.039517034089, -0.103319669463, -0.004833187441, 0.044721133337]);
        Same(layer.A!, [0.01121124067, 0.00978177998, -0.024469920669, -0.019940195472, 0.049333387062, 0.019279094403]);
        Same(layer.B!, [-0.46459109784, 0.012264511724, -0.494342759426, 0.008375619201, -1.452081347545, 0.309909889922, -1.577743458426, 0.310224994907]);
        Same(layer.R!, [0.031503343242, -0.051404613835, 1.177456487064]);
        Same(layer.C!, [0.500591030183, 0.062682887603, 0.529636094473, 0.064645204211]);
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void Gradients_are_the_formulas_and_reach_the_weight_through_pruned_entries(bool magnitude)
    {
        using var scope = NewDisposeScope();
        using var layer = new PstLinear(
            Normal(1, 12, 9).to(ScalarType.Float64), null, new() { WeightRank = 3, ScoreRank = 4, Beta = 0.5, AlphaLowRank = 0.8, AlphaStructured = 1.5, MagnitudeGradient = magnitude });
        Fill(layer.V, Normal(2, 3, 9));
        Fill(layer.B!, Normal(3, 4, 9) * 0.1);
        layer.SetSparsity(0.7);
        Tensor X = Normal(4, 20, 9).to(ScalarType.Float64), T = Normal(5, 20, 12).to(ScalarType.Float64), w = layer.EffectiveWeight().detach(), mask = layer.Mask().to(ScalarType.Float64);
        (layer.call(X) - T).square().mean().backward();

        // G in closed form: of the mean over 20 x 12 squared errors.
        Tensor G = (X.mm((mask * w).t()) - T).t().mm(X) * (2.0 / 240), S = G * w, dW = (mask * G) + (magnitude ? w.sign() * S : zeros_like(w));
        Assert.True(Apart(layer.A!.grad!, 0.8 * S.mm(layer.B!.t())) < 1e-10);
        Assert.True(Apart(layer.B!.grad!, 0.8 * layer.A!.t().mm(S)) < 1e-10);
        Assert.True(Apart(layer.R!.grad!, 1.5 * S.sum([1L])) < 1e-10);
        Assert.True(Apart(layer.C!.grad!, 1.5 * S.sum([0L])) < 1e-10);
        Assert.True(Apart(layer.U.grad!, 0.5 * dW.mm(layer.V.t())) < 1e-10);
        Assert.True(Apart(layer.V.grad!, 0.5 * layer.U.t().mm(dW)) < 1e-10);

        // A row of W' that is pruned whole still moves through |W'|, and only through it.
        Fill(layer.R!, tensor(new[] { -100.0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0 }));
        layer.zero_grad();
        Assert.False(layer.Mask()[0].any().item<bool>());
        (layer.call(X) - T).square().mean().backward();
        Assert.Equal(magnitude, layer.U.grad![0].abs().max().item<double>() > 0);
    }

    [Fact]
    public void The_first_mask_is_the_magnitude_mask_of_the_layer()
    {
        using var scope = NewDisposeScope();
        Tensor W = Normal(6, 24, 16);
        using var layer = new PstLinear(W);
        foreach (double sparsity in new[] { 0, 0.1, 0.5, 0.9, 0.99 })
        {
            Tensor mask = layer.Mask(sparsity);
            Assert.True(mask.eq(MaskSet.Keep("W", W.abs(), PruningPattern.PerLayer(sparsity))).all().item<bool>());
            Assert.Equal((long)Math.Floor((sparsity * 384) + 1e-6), mask.logical_not().sum().item<long>());
        }

        Assert.True(layer.EffectiveWeight().eq(W).all().item<bool>());
    }

    [Fact]
    public void Equal_importances_keep_the_lower_index()
    {
        using var scope = NewDisposeScope();
        using var layer = new PstLinear(ones(4, 6), options: new() { WeightRank = 1, ScoreRank = 1 });
        Assert.Equal([.. Enumerable.Range(0, 24).Select(i => i < 12)], layer.Mask(0.5).flatten().data<bool>().ToArray());
        using var movement = new MovementLinear(ones(4, 6));
        Assert.Equal([.. Enumerable.Range(0, 24).Select(i => i < 6)], movement.Mask(0.75).flatten().data<bool>().ToArray());
    }

    [Fact]
    public void The_exported_layer_gives_the_same_and_has_hard_zeros()
    {
        using var scope = NewDisposeScope();
        using var layer = new PstLinear(Normal(7, 20, 30), Normal(8, 20));
        Fill(layer.V, Normal(9, 8, 30));
        Fill(layer.B!, Normal(10, 8, 30) * 0.2);
        Fill(layer.R!, Normal(11, 20));
        layer.SetSparsity(0.77);
        using Linear linear = layer.ToLinear();
        Tensor X = Normal(12, 50, 30), exported = layer.Export();
        Assert.True((layer.call(X) - linear.call(X)).abs().max().item<float>() < 1e-6 * layer.call(X).abs().max().item<float>());
        Assert.Equal(462, exported.eq(0).sum().item<long>());
        Assert.All(exported.masked_select(exported.eq(0)).data<float>().ToArray(), v => Assert.False(float.IsNegative(v)));
        Assert.True(linear.weight!.eq(exported).all().item<bool>());
        Assert.Equal(["weight", "bias"], linear.named_parameters().Select(p => p.name));
    }

    [Fact]
    public void R_and_C_are_the_row_and_column_sums_of_the_movement()
    {
        using var scope = NewDisposeScope();
        const double eta = 0.05, alpha = 0.7;
        using var layer = new PstLinear(Normal(13, 10, 14).to(ScalarType.Float64), null, new() { WeightRank = 2, AlphaLowRank = 0, AlphaStructured = alpha });
        layer.SetSparsity(0.6);
        using var sgd = new SgdOptimizer(layer);
        Tensor rows = zeros(10, dtype: ScalarType.Float64), columns = zeros(14, dtype: ScalarType.Float64);
        for (int t = 0; t < 25; t++)
        {
            Tensor X = Normal(20 + (ulong)t, 8, 14).to(ScalarType.Float64), Y = Normal(60 + (ulong)t, 8, 10).to(ScalarType.Float64);
            Tensor w = layer.EffectiveWeight().detach(), G = (X.mm((layer.Mask() * w).t()) - Y).t().mm(X) * (2.0 / 80);
            rows += (G * w).sum([1L]);
            columns += (G * w).sum([0L]);
            layer.zero_grad();
            (layer.call(X) - Y).square().mean().backward();
            sgd.Step(eta);
        }

        Assert.True(Apart(layer.R!, rows * (-eta * alpha)) < 1e-10);
        Assert.True(Apart(layer.C!, columns * (-eta * alpha)) < 1e-10);
    }

    [Fact]
    public void With_A_the_identity_A_B_is_the_full_movement_score_in_lock_step()
    {
        using var scope = NewDisposeScope();
        Tensor W = Normal(14, 8, 12).to(ScalarType.Float64);

        // The weights stay (beta 0 here, no gradient there), and movement begins at the magnitude: then both choose the same masks, which change as scores accumulate.
        using var pst = new PstLinear(W, null, new() { WeightRank = 1, ScoreRank = 8, Beta = 0, AlphaStructured = 0 });
        Fill(pst.A!, eye(8, dtype: ScalarType.Float64));
        pst.A!.requires_grad = false;
        using var movement = new MovementLinear(W);
        movement.Weight.requires_grad = false;
        Fill(movement.Scores, W.abs());
        using SgdOptimizer one = new(pst), other = new(movement);
        pst.SetSparsity(0.5);
        movement.SetSparsity(0.5);
        Tensor first = pst.Mask();
        for (int t = 0; t < 30; t++)
        {
            Tensor X = Normal(100 + (ulong)t, 6, 12).to(ScalarType.Float64), Y = Normal(200 + (ulong)t, 6, 8).to(ScalarType.Float64);
            foreach ((LearnedMaskLinear layer, SgdOptimizer sgd) in new (LearnedMaskLinear, SgdOptimizer)[] { (pst, one), (movement, other) })
            {
                layer.zero_grad();
                (layer.call(X) - Y).square().mean().backward();
                sgd.Step(0.2);
            }

            Assert.True(pst.Mask().eq(movement.Mask()).all().item<bool>());
        }

        Assert.False(first.eq(pst.Mask()).all().item<bool>());
        Assert.True(Apart(pst.A!.mm(pst.B!), movement.Scores - W.abs()) < 1e-10);
    }

    [Fact]
    public void Parts_that_are_off_have_no_parameters_and_lora_is_plain()
    {
        using var scope = NewDisposeScope();
        using var layer = new PstLinear(Normal(15, 9, 7).to(ScalarType.Float64), null, PstOptions.Magnitude with { WeightRank = 3 });
        Assert.Equal(["u", "v"], layer.named_parameters().Select(p => p.name));
        Fill(layer.V, Normal(16, 3, 7));
        Tensor X = Normal(17, 5, 7).to(ScalarType.Float64);
        layer.call(X).square().sum().backward();

        // LoRA by hand.
        Tensor U = layer.U.detach().clone().requires_grad_(), V = layer.V.detach().clone().requires_grad_();
        nn.functional.linear(X, layer.Weight + U.mm(V)).square().sum().backward();
        Assert.True(Apart(layer.U.grad!, U.grad!) < 1e-12);
        Assert.True(Apart(layer.V.grad!, V.grad!) < 1e-12);
    }

    [Fact]
    public void Trained_parameters_are_counted_by_the_formula()
    {
        PstOptions options = new();
        Assert.Equal(17 * 512, options.Parameters(256, 256));
        Assert.Equal(9 * 512, (options with { AlphaLowRank = 0 }).Parameters(256, 256));
        Assert.Equal(16 * 512, (options with { AlphaStructured = 0 }).Parameters(256, 256));
        Assert.Equal(8 * 512, PstOptions.Magnitude.Parameters(256, 256));

        // 72 layers of BERT-base: per block four of 768 x 768 and two of 768 x 3072, 85 million weights.
        long bert = 12 * ((4 * options.Parameters(768, 768)) + (2 * options.Parameters(3072, 768)));
        Assert.Equal(2_820_096, bert);
        Assert.Throws<ArgumentOutOfRangeException>(() => options.Parameters(0, 4));
    }

    [Fact]
    public void A_mask_that_stays_some_steps_lags_and_evaluation_has_the_newest()
    {
        using var scope = NewDisposeScope();
        using var layer = new PstLinear(Normal(18, 6, 6), null, new() { WeightRank = 1, ScoreRank = 1, MaskEvery = 3 });
        layer.train();
        Tensor Zeros() => layer.MaskedWeight().eq(0).sum();
        Assert.Equal(0, Zeros().item<long>());
        layer.SetSparsity(0.5);
        Assert.Equal(0, Zeros().item<long>());
        Assert.Equal(0, Zeros().item<long>());
        Assert.Equal(18, Zeros().item<long>());
        layer.SetSparsity(0.75);
        Assert.Equal(18, Zeros().item<long>());
        layer.eval();
        Assert.Equal(27, Zeros().item<long>());
    }

    [Fact]
    public void Bad_input_is_refused()
    {
        using var scope = NewDisposeScope();
        Tensor W = Normal(19, 6, 4);
        PstOptions small = new() { WeightRank = 2, ScoreRank = 2 };
        Assert.Throws<ArgumentOutOfRangeException>(() => new PstLinear(W, options: small with { WeightRank = 0 }));
        Assert.Throws<ArgumentOutOfRangeException>(() => new PstLinear(W, options: small with { ScoreRank = -1 }));
        Assert.Contains("from 1 to 4", Assert.Throws<ArgumentOutOfRangeException>(() => new PstLinear(W, options: small with { WeightRank = 5 }, name: "q")).Message, StringComparison.Ordinal);
        Assert.Throws<ArgumentOutOfRangeException>(() => new PstLinear(W, options: small with { ScoreRank = 5 }));
        Assert.Throws<ArgumentOutOfRangeException>(() => new PstLinear(W, options: small with { MaskEvery = 0 }));
        Assert.Throws<ArgumentOutOfRangeException>(() => new PstLinear(W, options: small with { Beta = double.NaN }));
        Assert.Throws<ArgumentOutOfRangeException>(() => new PstLinear(W, options: small with { AlphaStructured = double.PositiveInfinity }));
        Assert.Throws<ArgumentNullException>(() => new PstLinear(null!, options: small));
        Assert.Throws<ArgumentException>(() => new PstLinear(zeros(3), options: small));
        Assert.Throws<ArgumentException>(() => new PstLinear(zeros(4, 4, dtype: ScalarType.Int64), options: small));
        Assert.Throws<ArgumentException>(() => new PstLinear(W / 0, options: small));
        Assert.Throws<ArgumentException>(() => new PstLinear(W, zeros(4), small));
        Assert.Throws<ArgumentOutOfRangeException>(() => new MovementLinear(W, options: new() { MaskEvery = 0 }));
        Assert.Throws<ArgumentException>(() => new MovementLinear(W * double.NaN));

        using var layer = new PstLinear(W, options: small, name: "q_proj");
        layer.train();
        Assert.Throws<ArgumentOutOfRangeException>(() => layer.SetSparsity(1));
        Assert.Throws<ArgumentOutOfRangeException>(() => layer.SetSparsity(-0.1));
        Assert.Throws<ArgumentOutOfRangeException>(() => layer.SetSparsity(double.NaN));
        Assert.Throws<ArgumentOutOfRangeException>(() => layer.SetSparsity(1 - 1e-12));
        Assert.Throws<ArgumentOutOfRangeException>(() => layer.Mask(1.5));
        layer.SetSparsity(0.5);
        Assert.Contains("q_proj", Assert.Throws<ArgumentOutOfRangeException>(() => layer.SetSparsity(0.4)).Message, StringComparison.Ordinal);
        layer.eval();
        layer.SetSparsity(0.4);
        Fill(layer.R!, tensor(new[] { float.NaN, 0, 0, 0, 0, 0 }));
        Assert.Contains("q_proj", Assert.Throws<ArgumentException>(() => layer.call(ones(2, 4))).Message, StringComparison.Ordinal);
        Assert.Throws<ArgumentException>(layer.Export);
        Assert.Throws<ArgumentException>(() => StraightThrough.Mask(ones(2, 2), ones(2, 2)));
        Assert.Throws<ArgumentException>(() => StraightThrough.Mask(ones(2, 2, dtype: ScalarType.Bool), ones(2, 3)));
        Assert.Throws<ArgumentException>(() => StraightThrough.TopK(tensor(new[] { 1, float.NaN }).view(1, 2), PruningPattern.PerLayer(0.5)));
    }

    [Fact]
    public void A_straight_through_choice_is_exact_and_passes_all_gradients()
    {
        using var scope = NewDisposeScope();
        Tensor S = (Normal(21, 5, 8) * 1e6).requires_grad_(), mask = StraightThrough.TopK(S, PruningPattern.PerRow(0.5)), factors = Normal(22, 5, 8);
        Assert.True(mask.eq(0).logical_or(mask.eq(1)).all().item<bool>());
        Assert.True(mask.sum(1).eq(4).all().item<bool>());
        (mask * factors).sum().backward();
        Assert.True(S.grad!.eq(factors).all().item<bool>());
    }
}
