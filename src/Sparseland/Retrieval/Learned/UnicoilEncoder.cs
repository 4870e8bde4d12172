using Sparseland.Models.Language;
using Sparseland.Tensors;
using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Sparseland.Retrieval.Learned;

/// <summary>
/// uniCOIL (Lin and Ma 2021): every token of a text gets the weight ReLU(w . h_i + b) from its own state, the largest where a token stands several
/// times, and no other term gets any; what is not in the text cannot match. A query's weights are multiplied with how often the token stands in it.
/// </summary>
public sealed class UnicoilEncoder : nn.Module, ITextScorer
{
    private readonly int[] _special;

    /// <summary>An encoder with a head that gives every token the weight 1 or so; the body becomes its own, and it disposes it.</summary>
    /// <param name="body">The encoder.</param>
    /// <param name="seed">Seed of the head. Default 1.</param>
    public UnicoilEncoder(BertEncoder body, long seed = 1)
        : base(nameof(UnicoilEncoder))
    {
        ArgumentNullException.ThrowIfNull(body);
        (Body, Head) = (body, nn.Linear(body.Config.Width, 1));
        WeightStart.Normal(Head, seed, 0.02, _ => 1);

        // A head around 0 would be half dead: ReLU has no gradient there.
        using (no_grad()) Head.bias!.fill_(1);
        register_module("bert", body);
        register_module("tok_proj", Head);
        _special = body.SpecialIds;
    }

    /// <summary>The encoder.</summary>
    public BertEncoder Body { get; }

    /// <summary>w and b [1, dModel].</summary>
    public Linear Head { get; }

    /// <inheritdoc/>
    public nn.Module Module => this;

    /// <inheritdoc/>
    public double Scale => 1;

    /// <inheritdoc/>
    public bool Sparse => true;

    /// <inheritdoc/>
    public int[] TokenizeDocument(string text) => Body.Tokenize(text);

    /// <inheritdoc/>
    public int[] TokenizeQuery(string text) => Body.Tokenize(text);

    /// <inheritdoc/>
    public Tensor Documents(IReadOnlyList<int[]> ids) => Weigh(ids, counted: false);

    /// <inheritdoc/>
    public Tensor Queries(IReadOnlyList<int[]> ids) => Weigh(ids, counted: true);

    /// <summary>Sparse vectors of documents; terms are token ids. No gradient is kept.</summary>
    /// <param name="texts">Texts.</param>
    /// <param name="progress">Told in texts. Default none.</param>
    /// <param name="cancel">Checked all the time. Never by default.</param>
    public SparseVector[] Encode(IReadOnlyList<string> texts, IProgress<ProgressReport>? progress = null, CancellationToken cancel = default) => Encode(texts, false, progress, cancel);

    /// <summary>Sparse vectors of queries.</summary>
    /// <param name="queries">Queries.</param>
    /// <param name="progress">Told in queries. Default none.</param>
    /// <param name="cancel">Checked all the time. Never by default.</param>
    public SparseVector[] EncodeQueries(IReadOnlyList<string> queries, IProgress<ProgressReport>? progress = null, CancellationToken cancel = default) => Encode(queries, true, progress, cancel);

    /// <summary>Frees both parts.</summary>
    /// <param name="disposing">Whether it is disposed.</param>
    protected override void Dispose(bool disposing)
    {
        if (disposing)
        {
            Body.Dispose();
            Head.Dispose();
        }

        base.Dispose(disposing);
    }

    private SparseVector[] Encode(IReadOnlyList<string> texts, bool counted, IProgress<ProgressReport>? progress, CancellationToken cancel)
    {
        ArgumentNullException.ThrowIfNull(texts);
        int[][] ids = Body.Split(texts, "", cancel);
        var vectors = new SparseVector[ids.Length];
        using IDisposable off = no_grad();
        int done = 0;
        foreach (int[] batch in BertEncoder.Batches(ids, 1024))
        {
            cancel.ThrowIfCancellationRequested();
            using DisposeScope scope = NewDisposeScope();
            SparseVector[] part = SparsePooling.ToVectors(Weigh([.. batch.Select(i => ids[i])], counted, cancel));
            for (int i = 0; i < batch.Length; i++) vectors[batch[i]] = part[i];
            progress?.Report(new(done += batch.Length, texts.Count));
        }

        return vectors;
    }

    private Tensor Weigh(IReadOnlyList<int[]> ids, bool counted, CancellationToken cancel = default)
    {
        ArgumentNullException.ThrowIfNull(ids);
        using DisposeScope scope = NewDisposeScope();
        (Tensor tokens, Tensor? mask) = Body.Pad([.. ids]);
        Tensor own = Head.call(Body.HiddenOf(tokens, mask, cancel)).squeeze(2).relu();
        using Tensor plain = own.detach().cpu().contiguous();
        Tensor counts = Counts(ids, tokens.shape, TensorMemory.Read<float>(plain), counted);
        return zeros(ids.Count, Body.Config.Vocabulary).scatter_add(1, tokens, own * counts).MoveToOuterDisposeScope();
    }

    // 0 where a special token or nothing stands, and where the same token has a larger weight elsewhere; else 1, or how often it stands in the text.
    private Tensor Counts(IReadOnlyList<int[]> ids, long[] shape, ReadOnlySpan<float> weights, bool counted)
    {
        float[] counts = new float[shape[0] * shape[1]];
        var best = new Dictionary<int, (int Place, int Count)>();
        for (int text = 0; text < ids.Count; text++)
        {
            best.Clear();
            int first = checked((int)(text * shape[1]));
            for (int i = 0; i < ids[text].Length; i++)
            {
                int token = ids[text][i], place = first + i;
                if (_special.Contains(token)) continue;
                (int Place, int Count) old = best.TryGetValue(token, out (int Place, int Count) known) ? known : (place, 0);
                best[token] = (weights[place] > weights[old.Place] ? place : old.Place, old.Count + 1);
            }

            foreach ((int place, int count) in best.Values) counts[place] = counted ? count : 1;
        }

        return tensor(counts, shape);
    }
}
