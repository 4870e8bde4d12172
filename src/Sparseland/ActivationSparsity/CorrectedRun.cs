using Sparseland.Models.Language;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.ActivationSparsity;

/// <summary>A text that is being written by <see cref="CorrectedGenerator"/>, check by check. Between checks the cache is that of the full model over all tokens but the last.</summary>
public sealed class CorrectedRun : IDisposable
{
    private readonly SparseNeurons _sparse;
    private readonly CorrectionOptions _options;
    private readonly List<WrittenToken> _tokens = [];
    private readonly List<CorrectionCheck> _checks = [];

    internal CorrectedRun(SparseNeurons sparse, CorrectionOptions options, IReadOnlyList<int> prompt)
    {
        (_sparse, _options, Cache) = (sparse, options, sparse.Model.NewCache());
        try
        {
            using DisposeScope scope = NewDisposeScope();
            LogitRows rows = new(sparse.Prefill(tensor(prompt.Select(t => (long)t).ToArray(), [1, prompt.Count]), Cache));
            int first = rows.Best(0);
            _tokens.Add(new(first, BySparse: false, Math.Exp(rows.LogLikelihood(0, first, options.Temperature)), InPlaceOf: null));
        }
        catch
        {
            Cache.Dispose();
            throw;
        }
    }

    /// <summary>Keys and values of the prompt and of the tokens so far, the last one excepted: it is the full model's choice and will be read with the next draft.</summary>
    public KeyValueCache Cache { get; }

    /// <summary>Tokens that stay.</summary>
    public IReadOnlyList<WrittenToken> Tokens => _tokens;

    /// <summary>Checks so far.</summary>
    public IReadOnlyList<CorrectionCheck> Checks => _checks;

    /// <summary>What the drafts have read.</summary>
    public PassReads DraftReads { get; private set; }

    /// <summary>What the checks have read.</summary>
    public PassReads CheckReads { get; private set; }

    /// <summary>Drafts up to K - 1 tokens, checks them and corrects.</summary>
    /// <param name="cancel">Looked at before each token; then the run stands where the last check left it.</param>
    /// <exception cref="InvalidOperationException">The context is full.</exception>
    /// <exception cref="OperationCanceledException">It was cancelled.</exception>
    public CorrectionCheck Step(CancellationToken cancel = default)
    {
        int start = Cache.Count, depth = Math.Min(_options.KernelSize, Cache.Context - start) - 1;
        if (depth < 0) throw new InvalidOperationException($"The context of {Cache.Context} tokens is full.");
        var tree = new TokenTree(start, _tokens[^1].Id);
        (PassReads drafts, PassReads checks) = (_sparse.Drafts, _sparse.Checks);
        CorrectionCheck check;
        try
        {
            int[] greedy = Draft(tree, depth, cancel);
            cancel.ThrowIfCancellationRequested();

            // The full model writes its own keys and values over those of the sparse one.
            Cache.Truncate(start);
            check = Check(tree, depth, greedy);
        }
        catch
        {
            Cache.Truncate(start);
            throw;
        }

        DraftReads = Since(DraftReads, _sparse.Drafts, drafts);
        CheckReads = Since(CheckReads, _sparse.Checks, checks);
        Cache.Keep(start, check.Path);
        foreach (int node in check.Path.Skip(1)) _tokens.Add(new(tree.Ids[node], BySparse: true, check.Likelihoods[node], InPlaceOf: null));
        _tokens.Add(new(check.Next, BySparse: false, check.NextLikelihood, check.Rejected?.Id));
        _checks.Add(check);
        return check;
    }

    /// <inheritdoc/>
    public void Dispose() => Cache.Dispose();

    private static PassReads Since(PassReads sum, PassReads now, PassReads before) =>
        new(sum.Passes + now.Passes - before.Passes, sum.Tokens + now.Tokens - before.Tokens, sum.Weights + now.Weights - before.Weights);

    private Tensor Read(TokenTree tree, bool sparse)
    {
        if (_options.TreeWidth > 1) return sparse ? _sparse.DraftTree(tree, Cache) : _sparse.CheckTree(tree, Cache);
        Tensor ids = tensor(tree.Ids.Skip(Cache.Count - tree.Start).Select(t => (long)t).ToArray()).unsqueeze(0);
        return sparse ? _sparse.Draft(ids, Cache) : _sparse.Check(ids, Cache);
    }

    /// <summary>Lets the sparse model write into the tree.</summary>
    /// <returns>The nodes of its greedy branch, the root first.</returns>
    private int[] Draft(TokenTree tree, int depth, CancellationToken cancel)
    {
        List<int> greedy = [0];
        List<(int Node, double Log)> front = [(0, 0)];
        for (int level = 0; level < depth; level++)
        {
            cancel.ThrowIfCancellationRequested();
            using DisposeScope scope = NewDisposeScope();
            LogitRows rows = new(Read(tree, sparse: true));
            List<(int Parent, int Token, double Log)> candidates = [];
            for (int row = 0; row < front.Count; row++)
            {
                foreach (int token in _options.TreeWidth == 1 ? [rows.Best(row)] : rows.Best(row, _options.TreeWidth))
                    candidates.Add((front[row].Node, token, _options.TreeWidth == 1 ? 0 : front[row].Log + rows.LogLikelihood(row, token, 1)));
            }

            int own = rows.Best(front.FindIndex(f => f.Node == greedy[^1])), parent = greedy[^1];
            var kept = candidates.OrderByDescending(c => c.Parent == parent && c.Token == own).ThenByDescending(c => c.Log).ThenBy(c => c.Parent).ThenBy(c => c.Token).Take(_options.TreeWidth).ToList();
            front = [.. kept.Select(c => (tree.Add(c.Token, c.Parent), c.Log))];
            greedy.Add(front[0].Node);
        }

        return [.. greedy];
    }

    /// <summary>The full model's word on all nodes: the longest accepted branch, of equally long ones the likeliest.</summary>
    private CorrectionCheck Check(TokenTree tree, int depth, int[] greedy)
    {
        using DisposeScope scope = NewDisposeScope();
        LogitRows rows = new(Read(tree, sparse: false));
        double[] likelihoods = new double[tree.Count], path = new double[tree.Count];
        bool[] stays = new bool[tree.Count];
        (likelihoods[0], stays[0]) = (1, true);
        int last = 0;
        for (int node = 1; node < tree.Count; node++)
        {
            int parent = tree.Parents[node], token = tree.Ids[node];
            double log = rows.LogLikelihood(parent, token, _options.Temperature);
            (likelihoods[node], path[node]) = (Math.Exp(log), path[parent] + log);
            stays[node] = stays[parent] && (_options.Accept == Acceptance.Argmax ? token == rows.Best(parent) : likelihoods[node] >= _options.MinLikelihood);
            if (stays[node] && (tree.Depths[node], path[node]).CompareTo((tree.Depths[last], path[last])) > 0) last = node;
        }

        int next = rows.Best(last);
        (int, double)? rejected = null;
        if (tree.Depths[last] < depth)
        {
            // Of several children the sparse model's own choice is the greedy branch's, or else the first.
            int child = Enumerable.Range(0, tree.Count).Where(n => tree.Parents[n] == last).OrderByDescending(n => Array.IndexOf(greedy, n) >= 0).FirstOrDefault(-1);
            if (child >= 0) rejected = (tree.Ids[child], likelihoods[child]);
        }

        return new(tree.Start, tree, likelihoods, tree.Path(last), rejected, next, Math.Exp(rows.LogLikelihood(last, next, _options.Temperature)), depth);
    }
}
