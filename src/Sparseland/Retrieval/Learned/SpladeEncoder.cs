using Sparseland.Models.Language;
using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Sparseland.Retrieval.Learned;

/// <summary>How <see cref="SpladeEncoder"/> makes vectors.</summary>
public sealed record SpladeOptions
{
    /// <summary>Whether the logarithm is taken twice (arXiv 2504.14839); such models say so on their card. Default false.</summary>
    public bool LogTwice { get; init; }

    /// <summary>Most tokens of texts that are computed together. Default 1024.</summary>
    public int BatchTokens { get; init; } = 1024;
}

/// <summary>
/// SPLADE (Formal, Piwowarski and Clinchant 2021): an encoder with the head of masked words writes a text as weights of all terms of its
/// vocabulary, log(1 + ReLU(max over tokens)), so words that are not in the text can stand in its vector. Special tokens get no weight.
/// </summary>
public sealed class SpladeEncoder : nn.Module, ITextScorer
{
    private readonly SpladeOptions _options;
    private readonly int[] _special;

    // What modules.json of sentence-transformers names for SPLADE models; the pooling is this class.
    private static readonly string[] s_modules = ["Transformer", "MLMTransformer", "Pooling", "SpladePooling", "Normalize"];

    /// <summary>An encoder of both parts; they become its own, and it disposes them.</summary>
    /// <param name="body">The encoder.</param>
    /// <param name="head">The head over it.</param>
    /// <param name="options">How; null, the default, for the defaults of the record.</param>
    public SpladeEncoder(BertEncoder body, VocabularyHead head, SpladeOptions? options = null)
        : base(nameof(SpladeEncoder))
    {
        ArgumentNullException.ThrowIfNull(body);
        ArgumentNullException.ThrowIfNull(head);
        (Body, Head, _options) = (body, head, options ?? new());
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(_options.BatchTokens, nameof(options));
        register_module("bert", body);
        register_module("cls", new NamedModules(("predictions", head)));
        _special = body.SpecialIds;
    }

    /// <summary>The encoder.</summary>
    public BertEncoder Body { get; }

    /// <summary>The head over it.</summary>
    public VocabularyHead Head { get; }

    /// <inheritdoc/>
    public nn.Module Module => this;

    /// <inheritdoc/>
    public double Scale => 1;

    /// <inheritdoc/>
    public bool Sparse => true;

    /// <summary>
    /// Reads a folder of Hugging Face that holds a BERT with its head for masked words (BertForMaskedLM), as SPLADE models are published: config.json,
    /// safetensors, and the tokenizer's files.
    /// </summary>
    /// <param name="folder">The folder.</param>
    /// <param name="options">How vectors are made; null, the default, for SPLADE's own way.</param>
    /// <param name="progress">Told in bytes. Default none.</param>
    /// <param name="cancel">Checked between tensors. Never by default.</param>
    /// <returns>The encoder, in evaluation mode, float32; dispose it.</returns>
    /// <exception cref="IOException">The folder or one of its files is missing.</exception>
    /// <exception cref="InvalidDataException">Another architecture, a head that is missing or of another shape, or a broken file; the message names it.</exception>
    public static SpladeEncoder Load(string folder, SpladeOptions? options = null, IProgress<ProgressReport>? progress = null, CancellationToken cancel = default)
    {
        BertEncoder body = BertEncoder.LoadWith(folder, s_modules, progress, cancel);
        try
        {
            var head = new VocabularyHead(body);
            VocabularyHeadFile.Read(folder, head, body.Embeddings);
            var encoder = new SpladeEncoder(body, head, options);
            encoder.eval();
            return encoder;
        }
        catch
        {
            body.Dispose();
            throw;
        }
    }

    /// <summary>Writes a folder that <see cref="Load"/> and Hugging Face's transformers (BertForMaskedLM) read.</summary>
    /// <param name="folder">The folder; made where it is missing.</param>
    /// <param name="notes">Kept in the safetensors file; null, the default, for none.</param>
    /// <param name="half">Whether weights are stored in half precision. Default false.</param>
    /// <exception cref="IOException">A file cannot be written.</exception>
    public void Save(string folder, IReadOnlyDictionary<string, string>? notes = null, bool half = false) =>
        Body.Save(folder, notes, VocabularyHeadFile.Tensors(Head), half);

    /// <inheritdoc/>
    public int[] TokenizeDocument(string text) => Body.Tokenize(text);

    /// <inheritdoc/>
    public int[] TokenizeQuery(string text) => Body.Tokenize(Body.QueryPrefix + text);

    /// <summary>Weights of all terms.</summary>
    /// <param name="ids">Token ids of each text.</param>
    /// <returns>w [texts, vocabulary], at least 0, 0 for special tokens.</returns>
    public Tensor Documents(IReadOnlyList<int[]> ids) => Weigh(ids, CancellationToken.None);

    private Tensor Weigh(IReadOnlyList<int[]> ids, CancellationToken cancel)
    {
        ArgumentNullException.ThrowIfNull(ids);
        using DisposeScope scope = NewDisposeScope();
        (Tensor tokens, Tensor? mask) = Body.Pad([.. ids]);
        Tensor states = Head.Transform(Body.HiddenOf(tokens, mask, cancel));

        // Special tokens are terms without a weight; as places of a text they speak like the others.
        Tensor weights = SparsePooling.OfLinear(states, mask, Body.Embeddings, Head.Bias, _options.LogTwice, is_grad_enabled() ? SparsePooling.Most : SparsePooling.MostAtAStep, cancel);
        return (weights * Open().to(weights.device)).MoveToOuterDisposeScope();
    }

    /// <inheritdoc/>
    public Tensor Queries(IReadOnlyList<int[]> ids) => Documents(ids);

    /// <summary>Sparse vectors of documents; terms are token ids. No gradient is kept.</summary>
    /// <param name="texts">Texts, perhaps empty ones.</param>
    /// <param name="progress">Told in texts. Default none.</param>
    /// <param name="cancel">Checked all the time. Never by default.</param>
    /// <exception cref="ArgumentException">A text is null.</exception>
    public SparseVector[] Encode(IReadOnlyList<string> texts, IProgress<ProgressReport>? progress = null, CancellationToken cancel = default) => Encode(texts, "", progress, cancel);

    /// <summary>Sparse vectors of queries: the encoder's prefix of queries stands before each, where it has one.</summary>
    /// <param name="queries">Queries, perhaps empty ones.</param>
    /// <param name="progress">Told in queries. Default none.</param>
    /// <param name="cancel">Checked all the time. Never by default.</param>
    /// <exception cref="ArgumentException">A query is null.</exception>
    public SparseVector[] EncodeQueries(IReadOnlyList<string> queries, IProgress<ProgressReport>? progress = null, CancellationToken cancel = default) => Encode(queries, Body.QueryPrefix, progress, cancel);

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

    private SparseVector[] Encode(IReadOnlyList<string> texts, string prefix, IProgress<ProgressReport>? progress, CancellationToken cancel)
    {
        ArgumentNullException.ThrowIfNull(texts);
        for (int i = 0; i < texts.Count; i++)
        {
            if (texts[i] is null) throw new ArgumentException($"Text {i} is null.", nameof(texts));
        }

        int[][] ids = Body.Split(texts, prefix, cancel);
        var vectors = new SparseVector[ids.Length];
        using IDisposable off = no_grad();
        int done = 0;
        foreach (int[] batch in BertEncoder.Batches(ids, _options.BatchTokens))
        {
            cancel.ThrowIfCancellationRequested();
            using DisposeScope scope = NewDisposeScope();
            SparseVector[] part = SparsePooling.ToVectors(Weigh([.. batch.Select(i => ids[i])], cancel));
            for (int i = 0; i < batch.Length; i++) vectors[batch[i]] = texts[batch[i]].Length == 0 ? SparseVector.Empty : part[i];
            progress?.Report(new(done += batch.Length, texts.Count));
        }

        return vectors;
    }

    private Tensor Open()
    {
        Tensor open = ones(Body.Config.Vocabulary);
        foreach (int token in _special) open[token] = 0;
        return open;
    }
}
