using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Training;

/// <summary>Losses for <see cref="TrainingLoop"/>, each from a mini-batch to one number with a gradient.</summary>
public static class Losses
{
    /// <summary>
    /// Mean cross entropy: of class numbers [batch] with logits [batch, classes], or of next tokens [batch, tokens] with logits
    /// [batch, tokens, vocabulary].
    /// </summary>
    /// <param name="model">From inputs to logits.</param>
    public static Func<Batch, Tensor> CrossEntropy(nn.Module<Tensor, Tensor> model)
    {
        ArgumentNullException.ThrowIfNull(model);
        return batch =>
        {
            Tensor logits = model.call(batch.Input);
            return nn.functional.cross_entropy(logits.reshape(-1, logits.shape[^1]), batch.Target.reshape(-1));
        };
    }

    /// <summary>Mean squared error of all numbers.</summary>
    /// <param name="model">From inputs to the targets' shape.</param>
    public static Func<Batch, Tensor> SquaredError(nn.Module<Tensor, Tensor> model)
    {
        ArgumentNullException.ThrowIfNull(model);
        return batch => nn.functional.mse_loss(model.call(batch.Input), batch.Target);
    }
}
