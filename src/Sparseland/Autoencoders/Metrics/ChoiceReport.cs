using Sparseland.Tensors;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Autoencoders.Metrics;

/// <summary>
/// What an autoencoder does with tokens where its rule chooses as in training, among the tokens of a batch: error and active latents of each token, and
/// on how many tokens each latent is active.
/// </summary>
/// <remarks>
/// For what a user will see, codes of single tokens, there are <see cref="ReconstructionReport"/> and <see cref="LatentDensity"/>; the two differ only for rules that choose across
/// a batch. Counts of feature choice grow with the batch.
/// </remarks>
public sealed record ChoiceReport
{
    private ChoiceReport()
    {
    }

    /// <summary>Tokens of a batch.</summary>
    public required int Batch { get; init; }

    /// <summary>Fraction of variance unexplained over all tokens.</summary>
    public required double Fvu { get; init; }

    /// <summary>sum over d of (x - xhat)^2 of each token [tokens].</summary>
    public required double[] SquaredErrors { get; init; }

    /// <summary>Active latents of each token [tokens].</summary>
    public required int[] ActiveLatents { get; init; }

    /// <summary>Tokens on which each latent is active [latents].</summary>
    public required long[] Active { get; init; }

    /// <summary>Tokens measured.</summary>
    public int Tokens => SquaredErrors.Length;

    /// <summary>Mean number of active latents of a token.</summary>
    public double L0 => ActiveLatents.Average();

    /// <summary>Share of tokens on which each latent is active [latents].</summary>
    public double[] Density => [.. Active.Select(n => (double)n / Tokens)];

    /// <summary>Share of latents that are never active.</summary>
    public double DeadShare => (double)Active.Count(n => n == 0) / Active.Length;

    /// <summary>Share of latents that are active, but on less than <see cref="LatentDensity.RareBelow"/> of the tokens.</summary>
    public double RareShare => (double)Density.Count(p => p is > 0 and < LatentDensity.RareBelow) / Active.Length;

    /// <summary>Measures on a matrix of activations, batch after batch in its order.</summary>
    /// <param name="autoencoder">The autoencoder.</param>
    /// <param name="activations">[tokens, d], held out; the order matters: a batch of neighbours is no mixture.</param>
    /// <param name="batch">Tokens of a batch, which divide all tokens; null, the default, for all of them.</param>
    /// <param name="cancel">Looked at before each batch. Never by default.</param>
    /// <exception cref="ArgumentException">The activations do not fit or have no variance, the batch does not divide them, or the rule cannot serve such a batch.</exception>
    /// <exception cref="OperationCanceledException">Cancelled.</exception>
    public static ChoiceReport Of(SparseAutoencoder autoencoder, Tensor activations, int? batch = null, CancellationToken cancel = default)
    {
        ArgumentNullException.ThrowIfNull(autoencoder);
        autoencoder.CheckActivations(activations);
        int tokens = (int)activations.shape[0], size = batch ?? tokens;
        if (tokens == 0) throw new ArgumentException("There are no activations to measure on.", nameof(activations));
        if (size < 1 || tokens % size != 0) throw new ArgumentException($"batch is {size}; it must be positive and divide the {tokens} tokens, for what is left over would be chosen in a smaller batch.", nameof(batch));
        using DisposeScope scope = NewDisposeScope();
        using IDisposable off = no_grad();
        Tensor mean = activations.mean([0L], type: ScalarType.Float64);
        double[] errors = new double[tokens];
        int[] latents = new int[tokens];
        long[] active = new long[autoencoder.Latents];
        double scatter = 0;
        for (int from = 0; from < tokens; from += size)
        {
            cancel.ThrowIfCancellationRequested();
            using DisposeScope inner = NewDisposeScope();
            Tensor x = activations.narrow(0, from, size), wide = x.to(ScalarType.Float64);
            using SparseCode code = autoencoder.EncodeBatch(x);
            autoencoder.Decode(code).to(ScalarType.Float64).sub_(wide).square().sum([1L]).data<double>().ToArray().CopyTo(errors, from);
            scatter += (wide - mean).square().sum().item<double>();
            code.Support.CountsPerRow().CopyTo(latents, from);
            int[] counts = code.Support.CountsPerColumn();
            for (int i = 0; i < counts.Length; i++) active[i] += counts[i];
        }

        if (!(scatter > 0)) throw new ArgumentException("The activations have no variance, so no share of it can be unexplained.", nameof(activations));
        return new() { Batch = size, Fvu = errors.Sum() / scatter, SquaredErrors = errors, ActiveLatents = latents, Active = active };
    }

    /// <inheritdoc/>
    public override string ToString() => Readable.Of(this);
}
