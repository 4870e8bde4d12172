using Sparseland.Autoencoders;
using Sparseland.Bayes;
using Sparseland.Retrieval.Learned;
using Sparseland.Solvers;
using Sparseland.Tensors;
using Sparseland.Training;
using Sparseland.Unmixing;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Tests.Rooms;

/// <summary>Whoever owns tensors lets go of them when disposed, and tells the collector how much there is to gain until then.</summary>
public class TensorOwnerTests
{
    // These hold tensors of others: an argument's, a caller's samples, the parameters of a network.
    private static readonly Type[] Borrowers =
        [typeof(UnmixingOptions), typeof(UnmixingSweep), typeof(Batch), typeof(SampleBatches), typeof(DiffusionBatches), typeof(GroupSlice), typeof(GroupSpec), typeof(RegularizedGroups),
            typeof(CodeContext), typeof(TopologyContext), typeof(ActivationRows), typeof(TensorActivations), typeof(FrozenTermScorer),
            typeof(Sparseland.Retrieval.Feedback.FeedbackPipeline), typeof(Sparseland.Pruning.LayerContext), typeof(Sparseland.Pruning.FolderPruningOptions), typeof(Sparseland.Pruning.Unlearning.SampleGradients), typeof(Sparseland.Pruning.UntrainedLoss), typeof(Sparseland.Pruning.ShortTraining), typeof(Sparseland.Pruning.BlockContext), typeof(Sparseland.Pruning.BlockTraining), typeof(Sparseland.ActivationSparsity.RankAwareInputs), typeof(Sparseland.ActivationSparsity.CorrectedGenerator),
            typeof(Sparseland.Models.Language.AttentionCall), typeof(Sparseland.Attention.PatternCall)];

    // These own something, but no tensor of their own that the collector does not see: parameters of a network, moments of an optimizer inside,
    // a caller's dictionary in place or managed memory (DenseMap).
    private static readonly Type[] OwnersOfOthers =
        [typeof(Bfloat16Copy<>), typeof(ProximalSgd), typeof(TrainingLoop), typeof(AutoencoderTrainer), typeof(DenseMap), typeof(Sparseland.Data.GlyphDigitSet)];

    // They grow and shrink while they are used; their memory is the caller's to bound.
    private static readonly Type[] Growing = [typeof(Sparseland.Models.Language.ActivationRecorder), typeof(Sparseland.Models.Language.KeyValueCache), typeof(Sparseland.Pruning.StatisticsCollector), typeof(GradualMagnitude), typeof(Sparseland.Training.Continual.TaskOwnership),
        typeof(Sparseland.Attention.OnlineSoftmax), typeof(Sparseland.Attention.Caching.PrunedKeyValueCache), typeof(Sparseland.Attention.Caching.SelectedKeyValueCache)];

    [Fact]
    public void Every_owner_of_tensors_is_disposable()
    {
        Assert.Contains(typeof(SblResult), TensorOwners.All);
        Assert.All(Borrowers, type => Assert.Contains(type, TensorOwners.All));
        string[] wrong = [.. TensorOwners.All.Except(Borrowers).Where(type => !typeof(IDisposable).IsAssignableFrom(type)).Select(type => type.Name)];
        Assert.Empty(wrong);
    }

    [Fact]
    public void Every_owner_of_tensors_tells_the_collector_their_size()
    {
        Assert.All(OwnersOfOthers.Concat(Growing), type => Assert.Contains(type, TensorOwners.All));
        Type[] free = [.. Borrowers, .. OwnersOfOthers, .. Growing];
        string[] wrong = [.. TensorOwners.All.Except(free).Where(type => TensorOwners.HoldsItself(type) && !TensorOwners.TellsItsSize(type)).Select(type => type.Name)];
        Assert.Empty(wrong);
    }

    [Fact]
    public void A_size_is_told_once_and_taken_back_once()
    {
        using Tensor large = zeros([3, 5], dtype: ScalarType.Float64), small = zeros([7], dtype: ScalarType.Float32);
        NativeSize size = NativeSize.Of(large, null, small);
        Assert.Equal((15 * 8) + (7 * 4), size.Bytes);
        Assert.Equal(size, NativeSize.Of());
        size.Dispose();
        size.Dispose();
        Assert.Equal(0, size.Bytes);
        Assert.Equal(0, NativeSize.Of().Bytes);
    }
}
