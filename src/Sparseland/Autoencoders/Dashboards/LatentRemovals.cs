using Sparseland.Autoencoders.Metrics;
using Sparseland.Models.Language;
using Sparseland.Tensors;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Autoencoders.Dashboards;

/// <summary>
/// What a model says without a latent, at the tokens of its strongest examples: its part, value times decoder row, is taken out of the activations of all tokens of the
/// window up to there. What the autoencoder does not rebuild stays.
/// </summary>
/// <param name="Examples">Examples that it was removed on.</param>
/// <param name="Divergence">Mean KL(clean || without) of the model's next token there, in nats.</param>
/// <param name="LossIncrease">By how much the loss of the text's own next token rises there, mean, in nats.</param>
/// <param name="Lowered">The token whose probability falls most without it at the strongest example, with the change of its probability.</param>
/// <param name="Raised">The token whose probability rises most there, with the change of its probability.</param>
public sealed record LatentRemoval(int Examples, double Divergence, double LossIncrease, TokenChange Lowered, TokenChange Raised)
{
    /// <inheritdoc/>
    public override string ToString() => Readable.Of(this);
}

/// <summary>How a token's probability changes.</summary>
/// <param name="Token">Id of the token.</param>
/// <param name="Change">Probability afterwards minus probability before.</param>
public readonly record struct TokenChange(int Token, double Change);

/// <summary>Takes latents out of a running model, each on its own examples. Windows that end at one place go through the model together.</summary>
internal sealed class LatentRemovals(LanguageModel model, ActivationSite site, SparseAutoencoder autoencoder, int[] ids, int length, LatentDashboardOptions options)
{
    /// <summary>The effect for each latent; null for those without an example.</summary>
    public LatentRemoval?[] Of(KeptExamples examples, IProgress<ProgressReport>? progress, CancellationToken cancel)
    {
        var found = new LatentRemoval?[autoencoder.Latents];
        var pieces = new List<Piece>();
        for (int latent = 0; latent < autoencoder.Latents; latent++)
        {
            int rank = 0;
            foreach (LatentExample example in examples.Top(latent).Take(options.RemovalExamples)) pieces.Add(new(latent, rank++, example.Window, example.Place));
        }

        int done = 0;
        foreach (IGrouping<int, Piece> place in pieces.GroupBy(piece => piece.Place).OrderBy(group => group.Key))
        {
            foreach (Piece[] some in place.Chunk(options.Batch))
            {
                cancel.ThrowIfCancellationRequested();
                Measure(some, place.Key, found);
                progress?.Report(new(done += some.Length, pieces.Count, "removing latents"));
            }
        }

        return [.. found.Select(one => one is null ? null : one with { Divergence = one.Divergence / one.Examples, LossIncrease = one.LossIncrease / one.Examples })];
    }

    private void Measure(Piece[] pieces, int place, LatentRemoval?[] found)
    {
        using DisposeScope scope = NewDisposeScope();
        Tensor read = tensor(pieces.SelectMany(piece => ids[(piece.Window * length)..((piece.Window * length) + place + 1)]).Select(id => (long)id).ToArray(), [pieces.Length, place + 1]);
        Tensor clean = Probabilities(read, null), without = Probabilities(read, ActivationHook.Replace(site, value => Splice.Changed(site, value, options.SkipFirst, rest => Without(rest, pieces))));
        double[] divergences = (clean.exp() * (clean - without)).sum([1L]).data<double>().ToArray();
        Tensor change = without.exp() - clean.exp();
        (Tensor fall, Tensor falls) = change.min(1);
        (Tensor rise, Tensor rises) = change.max(1);
        for (int i = 0; i < pieces.Length; i++)
        {
            Piece piece = pieces[i];
            int next = ids[(piece.Window * length) + place + 1];
            double loss = clean[i, next].item<double>() - without[i, next].item<double>();
            LatentRemoval? before = found[piece.Latent];
            var (lowered, raised) = piece.Rank == 0 || before is null
                ? (new TokenChange((int)falls[i].item<long>(), fall[i].item<double>()), new TokenChange((int)rises[i].item<long>(), rise[i].item<double>()))
                : (before.Lowered, before.Raised);
            found[piece.Latent] = new((before?.Examples ?? 0) + 1, (before?.Divergence ?? 0) + divergences[i], (before?.LossIncrease ?? 0) + loss, lowered, raised);
        }
    }

    // Float64: a small divergence is a difference of nearly equal numbers.
    private Tensor Probabilities(Tensor read, IActivationHook? hook) => model.Logits(read, hook, lastOnly: true).squeeze(1).to(CPU).to(ScalarType.Float64).log_softmax(1);

    private Tensor Without(Tensor rest, Piece[] pieces)
    {
        int tokens = (int)rest.shape[1];
        int[] latents = [.. pieces.SelectMany(piece => Enumerable.Repeat(piece.Latent, tokens))];
        using SparseCode code = autoencoder.Encode(rest.reshape(-1, rest.shape[2]).to(CPU).to(autoencoder.Encoder.dtype));
        return rest - autoencoder.PartOf(code, latents).reshape(rest.shape).to(rest.dtype).to(rest.device);
    }

    private sealed record Piece(int Latent, int Rank, int Window, int Place);
}
