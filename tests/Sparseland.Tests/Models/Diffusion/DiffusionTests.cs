using Sparseland.Models;
using Sparseland.Models.Diffusion;
using Sparseland.Training;
using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Sparseland.Tests.Models.Diffusion;

public class DiffusionTests
{
    /// <summary>numpy: cumprod(1 - linspace(1e-3, 0.15, 100)) at 0, 50 and 99.</summary>
    [Fact]
    public void Noise_comes_in_as_the_schedule_says()
    {
        using var scope = NewDisposeScope();
        var schedule = new DiffusionSchedule();
        Assert.Equal([0.999, 0.132318744, 3.48853202e-4], [schedule.SignalShares[0], Math.Round(schedule.SignalShares[50], 9), Math.Round(schedule.SignalShares[99], 12)], (a, b) => Math.Abs(a - b) < 1e-8);
        Tensor x = ones(2, 3, dtype: ScalarType.Float64), noise = arange(6, dtype: ScalarType.Float64).view(2, 3), mixed = schedule.AddNoise(x, [0, 99], noise);
        Assert.Equal(Math.Sqrt(0.999) + (Math.Sqrt(0.001) * 2), mixed[0, 2].item<double>(), 1e-12);
        Assert.Equal(Math.Sqrt(schedule.SignalShares[99]) + (Math.Sqrt(1 - schedule.SignalShares[99]) * 4), mixed[1, 1].item<double>(), 1e-12);
        Assert.Throws<ArgumentException>(() => schedule.AddNoise(x, [0, 100], noise));
        Assert.Throws<ArgumentException>(() => schedule.AddNoise(x, [0], noise));
        Assert.Throws<ArgumentOutOfRangeException>(() => new DiffusionSchedule(1));
        Assert.Throws<ArgumentOutOfRangeException>(() => new DiffusionSchedule(10, double.NaN));
        Assert.Throws<ArgumentOutOfRangeException>(() => new DiffusionSchedule(10, 0.1, 0.05));
    }

    [Fact]
    public void Sampling_without_a_prediction_scales_noise()
    {
        using var scope = NewDisposeScope();
        var schedule = new DiffusionSchedule(20, 0.01, 0.3);
        using var predictor = new NoisePredictor(2, 1, width: 8, timeWidth: 4);
        Tensor samples = schedule.Sample(predictor, 3, 5);

        // The last layer begins at zero: nothing is predicted, and what comes out is noise that was scaled up.
        Assert.Equal([3L, 2L], samples.shape);
        double scale = 1;
        double variance = 1;
        for (int t = 19; t >= 0; t--)
        {
            scale = 1 / (1 - schedule.Betas[t]);
            variance = (variance * scale) + (t > 0 ? schedule.Betas[t] : 0);
        }

        using Tensor many = schedule.Sample(predictor, 4_000, 6);
        Assert.InRange(many.var().item<float>(), 0.93 * variance, 1.07 * variance);
        Assert.True(schedule.Sample(predictor, 3, 5).eq(samples).all().item<bool>());
        using var cancelled = new CancellationTokenSource();
        cancelled.Cancel();
        Assert.Throws<OperationCanceledException>(() => schedule.Sample(predictor, 3, 5, cancel: cancelled.Token));
    }

    [Fact]
    public void Small_data_are_learned_and_sampled()
    {
        using var scope = NewDisposeScope();
        var schedule = new DiffusionSchedule(30, 0.01, 0.4);
        using var predictor = new NoisePredictor(2, 1, width: 48, timeWidth: 8);
        Tensor x = tensor(new float[] { 1, 1, -1, -1, 1, 1, -1, -1 }, [4, 2]);
        double before = schedule.Loss(predictor, x, 3, 8);
        var batches = new DiffusionBatches(x, schedule, 64, 2);
        using (var loop = new TrainingLoop(predictor, batches, Losses.SquaredError(predictor), new() { Steps = 250, LearningRate = 5e-3, WeightDecay = 0 })) loop.Run();
        Assert.InRange(schedule.Loss(predictor, x, 3, 8), 0, 0.5 * before);

        // Both coordinates have one sign, as the data's have.
        Tensor samples = schedule.Sample(predictor, 200, 4);
        Assert.InRange(samples.select(1, 0).sign().eq(samples.select(1, 1).sign()).sum().item<long>(), 180, 200);
        Assert.True(batches.At(3).Input.eq(batches.At(3).Input).all().item<bool>());
        Assert.False(batches.At(3).Input.eq(batches.At(4).Input).all().item<bool>());
    }

    /// <summary>On the device without numbers, where one tensor that stays on the CPU is an error as on any other.</summary>
    [Fact]
    public void It_predicts_on_the_device_it_was_moved_to()
    {
        using var scope = NewDisposeScope();
        using var predictor = new NoisePredictor(6, 1, width: 8, timeWidth: 4);
        Assert.ThrowsAny<Exception>(() => zeros([2, 1], device: META).mul(ones(3)));
        predictor.to(DeviceType.META);
        Tensor noise = predictor.Predict(zeros([2, 6], device: META), [0, 5]);
        Assert.Equal((DeviceType.META, 2, 6), (noise.device_type, noise.shape[0], noise.shape[1]));
    }

    [Fact]
    public void Its_layers_may_be_replaced()
    {
        using var scope = NewDisposeScope();
        using var predictor = new NoisePredictor(64, 1);
        IReadOnlyList<LinearSlot> slots = LinearSlots.Of(predictor);
        Assert.Equal(["hidden0", "hidden1", "hidden2", "out"], slots.Select(s => s.Name));
        Assert.Equal(276_480, slots.Sum(s => ((Linear)s.Module).weight.numel()));
        using var other = nn.Linear(320, 64);
        ReplacedLayer[] replaced = [.. LinearSlots.Replace(predictor, (name, _) => name == "out" ? other : null)];
        Assert.True(predictor.Predict(randn(2, 64), [0, 5]).abs().sum().item<float>() > 0);
        LinearSlots.Restore(replaced);
        Assert.Equal(0, predictor.Predict(randn(2, 64), [0, 5]).abs().sum().item<float>());
        Assert.Throws<ArgumentException>(() => predictor.Predict(randn(2, 63), [0, 5]));
        Assert.Throws<ArgumentException>(() => predictor.Predict(randn(2, 64), [0]));
        Assert.Throws<ArgumentOutOfRangeException>(() => new NoisePredictor(64, 1, timeWidth: 3));
    }
}
