using Sparseland.Selection;
using Sparseland.Tensors;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Autoencoders;

/// <summary>What a rule may know besides the pre-activations.</summary>
/// <param name="Training">True during training, where rules that choose across a batch do so; false where the code of a token must not depend on its neighbours.</param>
/// <param name="Gradients">Gradients of the model's loss at the tokens [tokens, d]; null where there are none.</param>
/// <param name="Decoder">Rows of the decoder [latents, d]; rules that weigh by it read it.</param>
/// <param name="EncoderBias">b_e [latents], which the pre-activations hold; null, the default, where it is not known.</param>
public readonly record struct CodeContext(bool Training, Tensor? Gradients, Tensor Decoder, Tensor? EncoderBias = null);

/// <summary>
/// How an architecture turns pre-activations into a code: which latents are active, with which values, and how gradients go back. A rule is
/// a module: thresholds and running figures are its buffers or parameters, so that a checkpoint keeps them.
/// </summary>
public abstract class CodeRule : nn.Module
{
    /// <summary>Names the rule.</summary>
    /// <param name="name">Short name of the architecture, such as "topk".</param>
    protected CodeRule(string name)
        : base(name) => Architecture = name;

    /// <summary>Short name of the architecture.</summary>
    public string Architecture { get; }

    /// <summary>The architecture with the settings that matter; a checkpoint is not taken up under another.</summary>
    public virtual string Description => Architecture;

    /// <summary>Whether the code of a token in training depends on the other tokens of its batch; such rules need a threshold at inference.</summary>
    public virtual bool ChoosesAcrossBatch => false;

    /// <summary>Whether the code of a token in training is that of its own pre-activations alone, so that those of many tokens need not be held together.</summary>
    internal virtual bool IsByTokens => false;

    /// <summary>Whether a training must have gradients of the model's loss beside the activations.</summary>
    internal virtual bool NeedsGradients => false;

    /// <summary>The code of some tokens.</summary>
    /// <param name="pre">Pre-activations z [tokens, latents], Float32 or Float64, on the CPU.</param>
    /// <param name="context">What else is known.</param>
    /// <returns>Entries with positive values only.</returns>
    /// <exception cref="ArgumentException">Another shape, type or number of latents, the budget does not fit, or a pre-activation is NaN.</exception>
    /// <exception cref="InvalidOperationException">The rule needs what has not been learned yet, such as a threshold.</exception>
    public abstract SparseCode Select(Tensor pre, CodeContext context);

    /// <summary>Throws where the rule cannot serve so many latents.</summary>
    /// <param name="latents">M.</param>
    /// <exception cref="ArgumentException">The rule asks for more, or for another number.</exception>
    public virtual void Check(int latents)
    {
    }

    /// <summary>
    /// From gradients of the values to those of the pre-activations, on the same places. Where a value is its pre-activation they are the same.
    /// Rules with parameters of their own add to their gradients here.
    /// </summary>
    /// <param name="pass">The pass through the autoencoder.</param>
    /// <param name="part">Some entries of the code and what they rebuild.</param>
    /// <param name="values">dL/df [Count] of the part.</param>
    internal virtual Tensor Back(AutoencoderPass pass, CodePart part, Tensor values) => values;

    /// <summary>Called once after a step: running thresholds and frequencies are brought up to date here.</summary>
    /// <param name="codes">Codes of the step's batches.</param>
    /// <param name="progress">Where the training stands, this step counted.</param>
    internal virtual void Learn(IReadOnlyList<SparseCode> codes, TrainingProgress progress)
    {
    }

    /// <summary>Called at the end of a forward pass in training: a rule whose loss is not that of the reconstruction puts its own there.</summary>
    /// <param name="pass">The pass.</param>
    internal virtual void PutLoss(AutoencoderPass pass)
    {
    }

    /// <summary>Whether latents compete to be active, so that their scales decide who is: such rules need a decoder of unit rows.</summary>
    internal virtual bool ComparesLatents => true;

    /// <summary>Whether batches must be mixtures of many texts, because a latent's share of a batch is fixed.</summary>
    internal virtual bool NeedsMixtures => false;

    /// <summary>Throws where a training would go wrong without a loss that it does not have.</summary>
    internal virtual void CheckLosses(IReadOnlyList<AuxiliaryLoss> losses)
    {
    }

    /// <summary>The rule that codes at inference with what was learned: this one, unless it chooses across a batch.</summary>
    internal virtual CodeRule Frozen(int latents) => this;

    /// <summary>Thresholds above which a latent is active at inference, [latents] or [1] of Float64; null where there are none.</summary>
    internal virtual Tensor? AtInference() => null;

    /// <summary>Multiplies the thresholds that <see cref="AtInference"/> gave.</summary>
    internal virtual void ScaleThresholds(double factor) => throw new InvalidOperationException($"{Architecture} has no thresholds.");

    /// <summary>Takes in that pre-activations of each latent are multiplied [latents]; codes are then to be so too.</summary>
    internal virtual void ScaleLatents(Tensor factors) =>
        throw new InvalidOperationException($"{Architecture} compares latents with one another: scaling them would change which are active.{(ChoosesAcrossBatch ? " Freeze the autoencoder first." : "")}");

    /// <summary>The entries above their thresholds [latents], all positive; null for zero.</summary>
    internal static SparseCode Above(Tensor pre, Tensor? thresholds)
    {
        using DisposeScope scope = NewDisposeScope();
        using IDisposable off = no_grad();

        // NaN is above nothing and would go unseen.
        if (pre.numel() > 0 && double.IsNaN(TensorInput.LargestMagnitude(pre)))
            throw new ArgumentException($"A pre-activation is NaN, first of token {pre.isnan().any(1).nonzero()[0, 0].item<long>()}.", nameof(pre));
        Support support = Support.FromMask(thresholds is null ? pre.gt(0) : pre.gt(thresholds.to(pre.dtype)));
        return new(support, support.Gather(pre).MoveToOuterDisposeScope());
    }

    /// <summary>Throws where pre-activations are not what <see cref="Select"/> takes: a list or a batch of matrices would be chosen from all the same, with another budget.</summary>
    private protected void CheckPre(Tensor pre)
    {
        ArgumentNullException.ThrowIfNull(pre);
        if (pre.dim() != 2) throw new ArgumentException($"pre must be [tokens, latents], but is [{string.Join(", ", pre.shape)}].", nameof(pre));
        if (pre.dtype is not (ScalarType.Float32 or ScalarType.Float64)) throw new ArgumentException($"pre is {pre.dtype}; it must be Float32 or Float64.", nameof(pre));
        if (pre.device_type != DeviceType.CPU) throw new ArgumentException($"pre is on {pre.device_type}; move it to the CPU first.", nameof(pre));
        Check((int)pre.shape[1]);
    }

    /// <summary>Throws where a training lacks a loss.</summary>
    private protected void Need(bool there, string what)
    {
        if (!there) throw new ArgumentException($"A training of the rule {Architecture} needs {what}: add it to {nameof(AutoencoderTrainingOptions.Losses)}.", nameof(AutoencoderTrainingOptions.Losses));
    }

    /// <summary>The entries of a choice whose pre-activation is above zero, with these as values.</summary>
    internal static SparseCode Positive(Support chosen, Tensor pre)
    {
        using DisposeScope scope = NewDisposeScope();
        using IDisposable off = no_grad();
        Tensor values = chosen.Gather(pre), positive = values.gt(0);
        return positive.all().item<bool>()
            ? new(chosen, values.MoveToOuterDisposeScope())
            : new(chosen.Where(positive), values.masked_select(positive).MoveToOuterDisposeScope());
    }
}
