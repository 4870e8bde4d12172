using Sparseland.Attention.Caching;
using Sparseland.Models.Language;
using Sparseland.Selection;
using Sparseland.Tensors;
using TorchSharp;
using static TorchSharp.torch;
using Tensor = TorchSharp.torch.Tensor;

namespace Sparseland.Attention.Frontier;

/// <summary>
/// A decode method at an exact budget, in one pass over a text: the prompt is read exactly, and every later query reads n tokens of its choice and as many as came after the prompt, itself included.
/// So every method reads the same number of tokens for each query (<see cref="FrontierMethod.AdaSnapKv"/> in the sum over its heads). Quest's last page is cut to what is left.
/// </summary>
/// <remarks>On the CPU only: other devices are refused.</remarks>
/// <param name="method">A method of the decode phase.</param>
/// <param name="sparsity">Share of the cache that is left out over all later queries, from 0 to below 1.</param>
/// <param name="prompt">Tokens of the prompt, positive.</param>
/// <param name="options">Pages and forced tokens; null for the defaults.</param>
public sealed class DecodeFrontier(FrontierMethod method, double sparsity, int prompt, FrontierOptions? options = null) : IAttentionMethod
{
    private readonly FrontierOptions _options = FrontierMethods.Checked(method, FrontierPhase.Decode, sparsity, prompt, nameof(prompt), options);

    /// <summary>The method.</summary>
    public FrontierMethod Method => method;

    /// <summary>Whether outputs never know later tokens: all but those that judge tokens by the questions at the end.</summary>
    public bool Causal => method is not (FrontierMethod.SnapKv or FrontierMethod.AdaSnapKv);

    /// <summary>Tokens read by all queries behind the prompt in all calls so far, over sequences and query heads.</summary>
    public long Cells { get; private set; }

    /// <summary>Tokens that there were.</summary>
    public long Allowed { get; private set; }

    /// <inheritdoc/>
    public Tensor? Attend(AttentionCall call, Tensor q, Tensor k, Tensor v)
    {
        AttentionShape shape = AttentionShape.Of(q, k, v, causal: true);
        if (!call.Causal || call.Stands is not null || shape.Offset != 0) throw new NotSupportedException("Decoding is simulated on whole texts without padding, in a decoder.");
        HeadInput.OnCpu(q, "a frontier method");
        if (shape.Tokens <= prompt) throw new ArgumentException($"The text of {shape.Tokens} tokens ends within the prompt of {prompt}.", nameof(q));
        using DisposeScope scope = NewDisposeScope();
        using IDisposable off = no_grad();
        long later = shape.Tokens - prompt;
        Tensor body = ExactAttention.Attend(q.narrow(2, 0, prompt), k.narrow(2, 0, prompt), v.narrow(2, 0, prompt), scale: call.Scale).Output;

        // [batch * keyValueHeads, group * later, ...]: heads that share keys stand where queries stand.
        Tensor asked = q.narrow(2, prompt, later).reshape(shape.Batch * shape.KeyValueHeads, shape.Group * later, shape.HeadDim), seen = Select(q, k, call.Scale);
        Cells += seen.sum().item<long>();
        Allowed += (long)shape.Batch * shape.Heads * AttentionCost.Cells(later, prompt);
        Tensor scores = asked.mul(call.Scale).bmm(k.flatten(0, 1).transpose(1, 2)).masked_fill_(seen.view(asked.shape[0], asked.shape[1], shape.Keys).logical_not(), double.NegativeInfinity);
        Tensor tail = scores.softmax(-1).bmm(v.flatten(0, 1)).view(shape.Batch, shape.Heads, later, shape.ValueDim);
        return scope.MoveToOuter(cat([body, tail], 2));
    }

    /// <summary>What each query behind the prompt reads.</summary>
    /// <param name="q">Queries [batch, heads, tokens, headDim].</param>
    /// <param name="k">Keys [batch, keyValueHeads, tokens, headDim].</param>
    /// <param name="scale">Factor of the products; null, the default, for 1 / sqrt(headDim).</param>
    /// <returns>[batch, heads, tokens - prompt, tokens], Bool.</returns>
    /// <exception cref="ArgumentException">Shapes that do not fit, another device than the CPU, or fewer tokens than the method is forced to read.</exception>
    public Tensor Select(Tensor q, Tensor k, double? scale = null)
    {
        AttentionShape shape = AttentionShape.Of(q, k, k, causal: true);
        if (shape.Offset != 0 || shape.Tokens <= prompt) throw new ArgumentException($"q has {shape.Tokens} tokens and k {shape.Keys}; whole texts longer than the prompt of {prompt} are needed.", nameof(q));
        HeadInput.OnCpu(q, "a frontier method");
        int budget = AttentionBudget.ForDecodeSparsity(method, prompt, shape.Tokens, sparsity, _options), later = shape.Tokens - prompt;
        using DisposeScope scope = NewDisposeScope();
        using IDisposable off = no_grad();
        if (method is FrontierMethod.SnapKv or FrontierMethod.AdaSnapKv or FrontierMethod.SnapKvBefore) return scope.MoveToOuter(Evicted(q, k, shape, budget, scale));
        bool[] seen = new bool[(long)shape.Batch * shape.Heads * later * shape.Keys];
        if (method == FrontierMethod.Oracle) Highest(q, k, shape, budget, seen);
        else if (method == FrontierMethod.Quest) Pages(q, k, shape, budget, seen);
        else Each(shape, seen, (_, p, row) => row[(p + 1 - Tokens(budget, p))..(p + 1)].Fill(true));
        return scope.MoveToOuter(tensor(seen, [shape.Batch, shape.Heads, later, shape.Keys]));
    }

    /// <summary>Tokens that the query at a place reads.</summary>
    private int Tokens(int budget, int place) => budget + place - prompt + 1;

    /// <summary>Tokens left of an eviction, and all behind the prompt up to the query.</summary>
    private Tensor Evicted(Tensor q, Tensor k, AttentionShape shape, int budget, double? scale)
    {
        int later = shape.Tokens - prompt;
        CacheSelection kept;
        if (method == FrontierMethod.SnapKvBefore)
        {
            SnapKvOptions before = new() { Window = Math.Min(prompt, _options.Window), Kernel = _options.Kernel, First = _options.First, Local = _options.Local };
            kept = SnapKv.Compress(q.narrow(2, 0, prompt), k.narrow(2, 0, prompt), budget, before, scale);
        }
        else
        {
            // The questions are the window; they all stay.
            SnapKvOptions after = new() { Window = later, Kernel = _options.Kernel, First = _options.First, Local = later };
            kept = method == FrontierMethod.SnapKv ? SnapKv.Compress(q, k, budget + later, after, scale) : AdaSnapKv.Compress(q, k, budget + later, after, scale);
        }

        Tensor mask = kept.ToMask().narrow(2, 0, prompt).unsqueeze(2).expand(-1, -1, later, -1);
        Tensor behind = ones([later, later], dtype: ScalarType.Bool).tril().expand(shape.Batch, shape.KeyValueHeads, -1, -1);
        return HeadInput.Shared(cat([mask, behind], 3), shape.Group);
    }

    private void Highest(Tensor q, Tensor k, AttentionShape shape, int budget, bool[] seen)
    {
        int later = shape.Tokens - prompt;
        Tensor asked = q.detach().narrow(2, prompt, later).reshape(shape.Batch * shape.KeyValueHeads, shape.Group * later, shape.HeadDim).to(ScalarType.Float32);
        float[] scores = asked.bmm(k.detach().to(ScalarType.Float32).flatten(0, 1).transpose(1, 2)).contiguous().data<float>().ToArray();
        Each(shape, seen, (at, p, row) =>
        {
            foreach (int j in Sparseland.Selection.Select.TopK(scores.AsSpan(at * shape.Keys, p + 1), Budget.Global(Tokens(budget, p))).ColumnIndices) row[j] = true;
        });
    }

    private void Pages(Tensor q, Tensor k, AttentionShape shape, int budget, bool[] seen)
    {
        int later = shape.Tokens - prompt, d = shape.HeadDim, page = _options.Block, group = shape.Group;
        QuestPages pages = QuestPages.Build(k.detach().to(ScalarType.Float32), page);
        float[] asked = q.detach().narrow(2, prompt, later).to(ScalarType.Float32).contiguous().data<float>().ToArray();
        Each(shape, seen, (at, p, row) =>
        {
            // Heads that share keys read the same pages: each finds them for itself here.
            int shared = at / later / group, t = at % later;
            float[] query = new float[2 * d], scores = new float[p / page];
            for (int g = 0; g < group; g++) QuestPages.Split(asked.AsSpan(((((shared * group) + g) * later) + t) * d, d), query);
            pages.Score(shared, shape.KeyValueHeads, query, scores);
            int current = scores.Length * page, left = Tokens(budget, p) - (p + 1 - current);
            row[current..(p + 1)].Fill(true);
            var order = new (float Key, int Page)[scores.Length];
            for (int j = 0; j < order.Length; j++) order[j] = (-scores[j], j);
            Array.Sort(order);
            foreach ((_, int j) in order)
            {
                int taken = Math.Min(page, left);
                if (taken <= 0) break;
                row.Slice(((j + 1) * page) - taken, taken).Fill(true);
                left -= taken;
            }
        });
    }

    /// <summary>Every query behind the prompt, of every query head: its number, its place, its row.</summary>
    private void Each(AttentionShape shape, bool[] seen, RowWriter write)
    {
        int later = shape.Tokens - prompt;
        IndependentWork.For(shape.Batch * shape.Heads, head =>
        {
            for (int t = 0; t < later; t++) write((head * later) + t, prompt + t, seen.AsSpan(((head * later) + t) * shape.Keys, shape.Keys));
        }, CancellationToken.None);
    }

    private delegate void RowWriter(int number, int place, Span<bool> row);
}
