using Sparseland.Models.Language;
using Sparseland.Tensors;
using Sparseland.Training;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Retrieval.Learned;

/// <summary>
/// BERT's first lesson (Devlin et al. 2019): of each text some tokens are hidden, and the head of masked words must name them. An encoder that starts
/// retrieval from it knows words that stand for each other.
/// </summary>
public static class MaskedLanguageTraining
{
    /// <summary>A loop that trains encoder and head on texts.</summary>
    /// <param name="model">Encoder and head.</param>
    /// <param name="texts">Texts; those without a token beside the special ones are left out.</param>
    /// <param name="options">Steps and rates; null, the default, for 1,000 steps at 1e-3.</param>
    /// <param name="batch">Texts a step. Default 64.</param>
    /// <param name="share">Share of tokens that must be named, strictly between 0 and 1: of them 80 % become [MASK], 10 % another token, 10 % stay. Default 0.15.</param>
    /// <returns>The loop; run and dispose it. Its loss is the mean cross-entropy of the hidden tokens.</returns>
    /// <exception cref="ArgumentException">There is no text, the vocabulary has no [MASK], or a setting is out of its range.</exception>
    public static TrainingLoop Loop(SpladeEncoder model, IReadOnlyList<string> texts, TrainingOptions? options = null, int batch = 64, double share = 0.15)
    {
        ArgumentNullException.ThrowIfNull(model);
        ArgumentNullException.ThrowIfNull(texts);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(batch);
        if (!(share is > 0 and < 1)) throw new ArgumentOutOfRangeException(nameof(share), share, "A share lies strictly between 0 and 1.");
        BertEncoder body = model.Body;
        HashSet<int> special = [.. body.SpecialIds];
        int mask = special.FirstOrDefault(id => body.TokenText(id) == "[MASK]", -1);
        if (mask < 0) throw new ArgumentException("The vocabulary has no [MASK].", nameof(model));
        int[][] ids = [.. body.Split(texts, "", CancellationToken.None).Where(t => t.Any(id => !special.Contains(id)))];
        if (ids.Length == 0) throw new ArgumentException("No text has a token to hide.", nameof(texts));
        var source = new Texts(ids, batch, options?.Seed ?? 1);
        return new(model, source, b => Loss(model, ids, source.Rows(b), special, mask, share, b.Target.item<long>()), options ?? new() { WeightDecay = 0.01 });
    }

    private static Tensor Loss(SpladeEncoder model, int[][] ids, int[] rows, HashSet<int> special, int mask, double share, long index)
    {
        var random = new SeededRandom(index, 77);
        (Tensor tokens, Tensor? stands) = model.Body.Pad([.. rows.Select(r => ids[r])]);
        int width = (int)tokens.shape[1], vocabulary = model.Body.Config.Vocabulary;
        long[] shown = tokens.data<long>().ToArray();
        var (places, targets) = (new List<long>(), new List<long>());
        for (int r = 0; r < rows.Length; r++)
        {
            int[] own = ids[rows[r]];
            int[] open = [.. Enumerable.Range(0, own.Length).Where(i => !special.Contains(own[i]))];
            int sure = open[random.NextInt(open.Length)];
            foreach (int i in open)
            {
                // At least one token of each text, so that no batch is without.
                if (i != sure && random.NextDouble() >= share) continue;
                int at = (r * width) + i;
                (long target, double lot) = (shown[at], random.NextDouble());
                places.Add(at);
                targets.Add(target);
                if (lot < 0.8) shown[at] = mask;
                else if (lot < 0.9) shown[at] = random.NextInt(vocabulary);
            }
        }

        Tensor hidden = model.Body.Hidden(tensor(shown, tokens.shape), stands);
        Tensor asked = hidden.view(-1, hidden.shape[2]).index_select(0, tensor(places.ToArray()));
        return nn.functional.cross_entropy(model.Head.call(asked), tensor(targets.ToArray()));
    }

    private sealed class Texts(int[][] ids, int batch, long seed) : IBatchSource
    {
        private readonly EpochOrder _order = new(ids.Length, Math.Min(batch, ids.Length), seed, 900, whole: true);

        public string Description => $"{ids.Length} texts with hidden tokens, {batch} a batch, seed {seed}";

        public Batch At(long index) => new(tensor(_order.At(index)), tensor(index));

        public int[] Rows(Batch b) => [.. b.Input.data<long>().ToArray().Select(n => (int)n)];
    }
}
