using Sparseland.Data;
using Sparseland.Pruning;
using Sparseland.Pruning.Unlearning;
using Sparseland.Training;
using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Sparseland.Tests.Pruning.Unlearning;

public class UnlearningTests
{
    private static readonly IUnlearner[] Quick =
    [
        new Retrain { Training = SmallShapes.TwoEpochs }, new FineTune { Epochs = 2, BatchSize = 40 }, new GradientAscent { Epochs = 2 }, new L1Sparse { Epochs = 2, BatchSize = 40 },
        new FisherForgetting { Samples = 3, Alpha = 1e-6 }, new InfluenceUnlearning { Samples = 5 },
    ];

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void Masked_weights_stay_zero_and_retraining_sees_nothing_that_is_forgotten(bool byClass)
    {
        using LabelledImages train = SmallShapes.Images(), test = SmallShapes.Images(120, 2);
        using UnlearnData data = UnlearnData.Of(train, byClass ? ForgetSplit.ByClass(train.Labels, 3) : ForgetSplit.Random(train.Count, 0.2), test);
        using SparseSnapshot original = Sparse();
        foreach (IUnlearner unlearner in Quick)
        {
            using Unlearned result = unlearner.Run(SmallShapes.Network, original, data, 3), again = unlearner.Run(SmallShapes.Network, original, data, 3);
            Assert.Equal((0L, original.Density), (result.Network.Leaks(), result.Network.Density));
            Assert.True(SmallShapes.Same(result.Network, again.Network), unlearner.Name);
            Assert.False(SmallShapes.Same(result.Network, original), unlearner.Name);
            int[] forgotten = [.. result.Seen.Intersect(data.Split.Forget)];
            if (unlearner is GradientAscent) Assert.Equal(data.Split.Forget.Order(), result.Seen.Order());
            else if (unlearner is not InfluenceUnlearning) Assert.Empty(forgotten);
            if (unlearner is Retrain) Assert.Equal(data.Split.Retain, [.. result.Seen.Order()]);
        }
    }

    [Fact]
    public void With_no_strength_nothing_changes()
    {
        using LabelledImages train = SmallShapes.Images(60), test = SmallShapes.Images(60, 2);
        using UnlearnData data = UnlearnData.Of(train, ForgetSplit.ByClass(train.Labels, 3), test);
        using SparseSnapshot original = Sparse();
        foreach (IUnlearner unlearner in new IUnlearner[] { new FisherForgetting { Alpha = 0, Samples = 2 }, new InfluenceUnlearning { Alpha = 0, Samples = 2 } })
        {
            using Unlearned result = unlearner.Run(SmallShapes.Network, original, data);
            Assert.True(SmallShapes.Same(result.Network, original));
        }

        using Unlearned l1 = new L1Sparse { Gamma = 0, Epochs = 1 }.Run(SmallShapes.Network, original, data), ft = new FineTune { Epochs = 1 }.Run(SmallShapes.Network, original, data);
        Assert.True(SmallShapes.Same(l1.Network, ft.Network));
        Assert.Equal(0, InfluenceUnlearning.SampleWeights(data.Split).Sum(), 1e-12);
        Assert.Equal([3, 2, 1], [.. Enumerable.Range(0, 3).Select(t => Math.Round(new L1Sparse { Gamma = 3, Epochs = 3 }.GammaAt(t), 12))]);
        Assert.Equal([0, 1, 2], [.. Enumerable.Range(0, 3).Select(t => Math.Round(new L1Sparse { Gamma = 3, Epochs = 3, Schedule = PenaltySchedule.Increasing }.GammaAt(t), 12))]);
    }

    [Fact]
    public void The_direction_of_influence_is_the_weighted_sum_of_sample_gradients()
    {
        using DisposeScope scope = NewDisposeScope();
        using LabelledImages train = SmallShapes.Images(12), test = SmallShapes.Images(60, 2);
        using UnlearnData data = UnlearnData.Of(train, ForgetSplit.Of(12, [2, 7, 9]), test);
        using Sequential network = SmallShapes.Network();
        SampleGradients gradients = new(network);
        Tensor v = InfluenceUnlearning.Direction(gradients, data), planes = train.Planes(), sum = zeros_like(v);
        double[] weights = InfluenceUnlearning.SampleWeights(data.Split);
        for (int i = 0; i < 12; i++) sum.add_(gradients.Of(planes.narrow(0, i, 1), train.Labels.narrow(0, i, 1)), alpha: weights[i]);
        Assert.True((v - sum).norm().item<float>() < 1e-5 * v.norm().item<float>());
        network.train();
        Assert.Throws<InvalidOperationException>(() => gradients.Of(planes, train.Labels));
    }

    [Fact]
    public void The_exact_inverse_is_numpys_and_the_recursion_its_formula()
    {
        using DisposeScope scope = NewDisposeScope();
        // numpy: G = [[1,2,0],[0,1,-1]], solve(0.5 I + G.T G / 2, [0,1,3]).
        Tensor g = tensor(new double[,] { { 1, 2, 0 }, { 0, 1, -1 } }), v = tensor(new double[] { 1, 0, 2 });
        double[] solved = WoodFisher.Solve(tensor(new double[] { 0, 1, 3 }), g, 0.5).data<double>().ToArray(), expected = [-1.4285714285714286, 1.4285714285714286, 3.7142857142857144];
        for (int i = 0; i < 3; i++) Assert.Equal(expected[i], solved[i], 1e-12);

        // By hand: o = (1,2,0), t = o.g = 2, k.g = -2: k = v + 2/(2 + 2) o.
        double[] recursion = WoodFisher.AsPublished(v, [g[0].clone(), g[1].clone()], 2).data<double>().ToArray();
        Assert.Equal([1.5, 1, 2], recursion);
        Assert.Throws<ArgumentException>(() => WoodFisher.AsPublished(v, [], 2));
        Assert.Throws<ArgumentException>(() => WoodFisher.Solve(v, v, 0.5));
        Assert.Throws<ArgumentOutOfRangeException>(() => WoodFisher.Solve(v, g, 0));
    }

    [Fact]
    public void The_classifier_decides_as_scikit_learn()
    {
        // scikit-learn 1.2.1: SVC(C=3, gamma="auto").fit on the same 120 numbers, decision_function at 0, 0.1, ..., 1.
        double[] expected = [-2.555667, -2.521364, -2.389667, -2.157078, -1.828106, -1.415585, -0.940016, -0.427922, 0.090587, 0.584746, 1.026154];
        double[] a = [.. Enumerable.Range(0, 60).Select(i => ((i * i * 7) + (3 * i) + 1) % 101 / 101.0)];
        double[] members = [.. a.Select(u => Math.Round(1 - (0.3 * Math.Pow(u, 3)), 6))], others = [.. a.Select(u => Math.Round(1 - (0.9 * Math.Pow(u, 1.5)), 6)).Reverse()];
        RbfSvc svc = RbfSvc.Fit([.. members, .. others], [.. members.Select(_ => true), .. others.Select(_ => false)]);
        Assert.True(svc.Converged);
        for (int i = 0; i < expected.Length; i++) Assert.Equal(expected[i], svc.Decision(i / 10.0), 2e-3);
        Assert.Equal(76, svc.SupportVectors);
        AttackResult attack = MembershipAttack.On(members, others, [0, 0.5, 0.9, 1]);
        Assert.Equal(0.5, attack.Efficacy);
        Assert.Equal(0.7166666666666667, attack.Accuracy, 12);

        // Separated: 20 numbers from 0.8 to 1 against 15 from 0 to 0.3, tol=1e-6.
        double[] apart = [-1.64215, -1.475805, -1.235481, -0.929543, -0.572055, -0.181745, 0.219606, 0.609179, 0.965263, 1.269258, 1.507273];
        double[] x = [.. Enumerable.Range(0, 20).Select(i => 0.8 + (0.2 * i / 19)), .. Enumerable.Range(0, 15).Select(i => 0.3 * i / 14)];
        RbfSvc separated = RbfSvc.Fit(x, [.. x.Select(u => u > 0.5)], tolerance: 1e-6);
        for (int i = 0; i < apart.Length; i++) Assert.Equal(apart[i], separated.Decision(i / 10.0), 1e-4);
    }

    [Fact]
    public void Bad_attacks_are_refused()
    {
        double[] many = [.. Enumerable.Repeat(0.5, 60)], few = many[..49];
        Assert.Throws<ArgumentException>(() => MembershipAttack.On(many, few, many));
        Assert.Throws<ArgumentException>(() => MembershipAttack.On(few, many, many));
        Assert.Throws<ArgumentException>(() => MembershipAttack.On(many, many, []));
        Assert.Throws<ArgumentException>(() => MembershipAttack.On(many, many, [double.NaN]));
        Assert.Throws<ArgumentException>(() => RbfSvc.Fit([1, 2], [true, true]));
        Assert.Throws<ArgumentException>(() => RbfSvc.Fit([1, double.PositiveInfinity], [true, false]));
        Assert.Throws<ArgumentException>(() => RbfSvc.Fit([1], [true, false]));
        Assert.Throws<ArgumentOutOfRangeException>(() => RbfSvc.Fit([1, 2], [true, false], c: 0));
        Assert.True(RbfSvc.Fit([.. many, .. many], [.. many.Select(_ => true), .. many.Select(_ => false)]).Converged);
    }

    [Fact]
    public void A_split_is_a_partition_and_bad_ones_are_refused()
    {
        using LabelledImages train = SmallShapes.Images(), test = SmallShapes.Images(60, 2);
        foreach (ForgetSplit split in new[] { ForgetSplit.ByClass(train.Labels, 0), ForgetSplit.Random(120, 0.1, 4), ForgetSplit.Of(120, [5, 1]) })
            Assert.Equal(Enumerable.Range(0, 120), split.Retain.Concat(split.Forget).Order());
        Assert.Equal(12, ForgetSplit.Random(120, 0.1, 4).Forget.Count);
        Assert.NotEqual(ForgetSplit.Random(120, 0.1, 4).Key, ForgetSplit.Random(120, 0.1, 5).Key);
        using UnlearnData data = UnlearnData.Of(train, ForgetSplit.ByClass(train.Labels, 0), test);
        Assert.DoesNotContain(0L, data.Test.Labels.data<long>().ToArray());
        Assert.All(data.Forget.Labels.data<long>().ToArray(), label => Assert.Equal(0, label));
        Assert.ThrowsAny<ArgumentException>(() => ForgetSplit.ByClass(train.Labels, 10));
        Assert.ThrowsAny<ArgumentException>(() => ForgetSplit.Of(3, []));
        Assert.ThrowsAny<ArgumentException>(() => ForgetSplit.Of(3, [0, 1, 2]));
        Assert.ThrowsAny<ArgumentException>(() => ForgetSplit.Of(3, [1, 1]));
        Assert.ThrowsAny<ArgumentException>(() => ForgetSplit.Of(3, [3]));
        Assert.ThrowsAny<ArgumentException>(() => ForgetSplit.Random(10, double.NaN));
        Assert.ThrowsAny<ArgumentException>(() => UnlearnData.Of(train, ForgetSplit.Random(99), test));
        using SparseSnapshot original = Sparse();
        foreach (IUnlearner bad in new IUnlearner[]
        {
            new L1Sparse { Gamma = -1 }, new FisherForgetting { Alpha = -1 }, new FisherForgetting { Samples = 0 }, new InfluenceUnlearning { Alpha = double.NaN }, new FineTune { Rate = 0 },
            new InfluenceUnlearning { Damping = 0 }, new GradientAscent { Epochs = 0 },
        })
            Assert.ThrowsAny<ArgumentException>(() => bad.Run(SmallShapes.Network, original, data));
        foreach (IUnlearner unlearner in Quick)
            Assert.ThrowsAny<OperationCanceledException>(() => unlearner.Run(SmallShapes.Network, original, data, cancel: new CancellationToken(true)));
    }

    [Fact]
    public void Reports_of_other_splits_and_masks_are_not_compared()
    {
        using LabelledImages train = SmallShapes.Images(300), test = SmallShapes.Images(80, 2);
        using UnlearnData one = UnlearnData.Of(train, ForgetSplit.Random(300, 0.2, 1), test), two = UnlearnData.Of(train, ForgetSplit.Random(300, 0.2, 2), test);
        using SparseSnapshot original = Sparse(), dense = SmallShapes.Dense();
        using Sequential workbench = SmallShapes.Network();
        UnlearningReport a = UnlearningReport.Of("a", original, 1, workbench, one), b = UnlearningReport.Of("b", original, 1, workbench, two), c = UnlearningReport.Of("c", dense, 1, workbench, one);
        Assert.Equal(0, a.GapsTo(a).Average);
        Assert.Throws<ArgumentException>(() => a.GapsTo(b));
        Assert.Throws<ArgumentException>(() => a.GapsTo(c));
        UnlearningReport d = a with { UnlearningAccuracy = a.UnlearningAccuracy + 4, TestAccuracy = a.TestAccuracy - 2 };
        Assert.Equal(1.5, d.GapsTo(a).Average, 12);
    }

    [Fact]
    public void A_trigger_is_set_and_labels_of_the_poisoned_alone_change()
    {
        using LabelledImages train = SmallShapes.Images();
        (LabelledImages poisoned, int[] numbers) = Backdoor.Poison(train, 2, 0.25, 3);
        Assert.Equal(30, numbers.Length);
        for (int i = 0; i < train.Count; i++)
        {
            bool same = poisoned.Images[i].equal(train.Images[i]).all().item<bool>();
            Assert.Equal(!numbers.Contains(i), same);
            long label = poisoned.Labels[i].item<long>(), before = train.Labels[i].item<long>();
            Assert.True(numbers.Contains(i) ? label == 2 && before != 2 : label == before);
        }

        Assert.Equal(27, poisoned.Images[numbers[0]].narrow(-1, 13, 3).narrow(-2, 13, 3).sum().item<float>());
        using Sequential network = SmallShapes.Network();
        using (no_grad()) network.parameters().Last().copy_(tensor(new float[] { 0, 0, 99, 0, 0, 0, 0, 0, 0, 0 }));
        Assert.Equal(1, Backdoor.Success(network, train, 2));
        Assert.Equal(0, Backdoor.Success(network, train, 4));
        Assert.ThrowsAny<ArgumentException>(() => Backdoor.Poison(train, 10));
        Assert.ThrowsAny<ArgumentException>(() => Backdoor.Poison(train, 2, 0.99));
        Assert.ThrowsAny<ArgumentException>(() => Backdoor.Stamp(train, 17));
        poisoned.Dispose();
    }

    [Fact]
    public void The_fisher_information_is_the_expected_square_of_the_gradient_and_the_curvature_that_of_the_loss()
    {
        using DisposeScope scope = NewDisposeScope();
        using LabelledImages images = SmallShapes.Images(60);
        using Sequential network = SmallShapes.Network();
        SampleGradients gradients = new(network);
        Tensor planes = images.Planes(), x = planes.narrow(0, 0, 1), sum = zeros_like(gradients.Mean(images));
        float[] p = SnapshotEvaluation.Probabilities(network, images)[0].data<float>().ToArray();
        for (int y = 0; y < 10; y++) sum.add_(gradients.Of(x, tensor([(long)y])).square(), alpha: p[y]);
        Assert.True((gradients.FisherOf(x) - sum).norm().item<float>() < 1e-4 * sum.norm().item<float>());

        // More products come nearer, from below.
        using SparseSnapshot dense = SparseSnapshot.Of(network);
        double few = LossCurvature.LargestEigenvalue(dense, SmallShapes.Network, images, 3), many = LossCurvature.LargestEigenvalue(dense, SmallShapes.Network, images, 40);
        Assert.True(many > 0 && many >= few * 0.999, $"{few} {many}");
    }

    private static SparseSnapshot Sparse()
    {
        using Sequential network = SmallShapes.Network();
        using MaskSet masks = MaskSet.Random(network, 0.3, 8);
        masks.Apply();
        return SparseSnapshot.Of(network, masks);
    }
}
