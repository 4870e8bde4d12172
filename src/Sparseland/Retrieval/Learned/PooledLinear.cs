using TensorPrimitives = System.Numerics.Tensors.TensorPrimitives;
using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using Sparseland.Tensors;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Retrieval.Learned;

/// <summary>
/// max(0, max_i (E h_i + b)) over the tokens of a text, the largest part of the work of a sparse encoder, with a backward pass of its own: one token alone gives a term its weight, so the gradient of the scores
/// has one entry for each weight above zero, and no matrix of all scores is made, kept or multiplied for it.
/// </summary>
internal static unsafe class PooledLinear
{
    // Scores that are computed at once: they are read again from the cache.
    private const long Most = 1 << 20;

    // Terms that a thread takes at a time, and of those the ones whose maxima stand in registers together.
    private const int Block = 1024, Strip = 64;

    /// <summary>Whether the pass is for these: Float32 on the CPU.</summary>
    public static bool Takes(params ReadOnlySpan<Tensor> tensors)
    {
        foreach (Tensor t in tensors)
            if (t.dtype != ScalarType.Float32 || t.device_type != DeviceType.CPU) return false;
        return true;
    }

    /// <summary>The pooled scores.</summary>
    /// <param name="states">h [texts, tokens, width].</param>
    /// <param name="mask">True where a token stands [texts, tokens]; null where all do.</param>
    /// <param name="embeddings">E [terms, width].</param>
    /// <param name="bias">b [terms].</param>
    /// <param name="cancel">Checked between parts.</param>
    /// <returns>[texts, terms], at least 0; NaN where a score is.</returns>
    public static Tensor Of(Tensor states, Tensor? mask, Tensor embeddings, Tensor bias, CancellationToken cancel)
    {
        using DisposeScope scope = NewDisposeScope();
        bool[]? stands = mask?.to(ScalarType.Bool).cpu().contiguous().data<bool>().ToArray();
        if (is_grad_enabled() && (states.requires_grad || embeddings.requires_grad || bias.requires_grad))
            return Function.apply(states, embeddings, bias, new Plan(stands, cancel)).MoveToOuterDisposeScope();
        return Pool(states, embeddings, bias, new(stands, cancel), null).MoveToOuterDisposeScope();
    }

    private static Tensor Pool(Tensor states, Tensor embeddings, Tensor bias, Plan plan, int[]? places)
    {
        using IDisposable off = no_grad();
        using DisposeScope scope = NewDisposeScope();
        (long texts, int tokens, int terms) = (states.shape[0], (int)states.shape[1], (int)embeddings.shape[0]);
        Tensor pooled = empty(texts, terms);
        nint target = TensorMemory.StartOf(pooled);
        long step = Math.Max(1, Most / Math.Max(1, (long)tokens * terms)), blocks = (terms + Block - 1) / Block;
        for (long first = 0; first < texts; first += step)
        {
            plan.Cancel.ThrowIfCancellationRequested();
            using DisposeScope inner = NewDisposeScope();
            (long from, long count) = (first, Math.Min(step, texts - first));
            Tensor scores = nn.functional.linear(states.narrow(0, from, count), embeddings, bias).contiguous();
            nint source = TensorMemory.StartOf(scores);
            Pieces.Each(count * blocks, piece =>
            {
                (long text, int begin) = (piece / blocks, (int)(piece % blocks) * Block);
                long row = (from + text) * terms;
                ReadOnlySpan<bool> stands = plan.Stands is null ? default : plan.Stands.AsSpan((int)((from + text) * tokens), tokens);
                Span<int> kept = places is null ? default : places.AsSpan((int)row, terms);
                Largest((float*)source + (text * tokens * terms), stands, tokens, terms, begin, Math.Min(terms, begin + Block), (float*)target + row, kept);
            });
        }

        return pooled.MoveToOuterDisposeScope();
    }

    // Of each term the largest score and its token, the first of equal ones; -1 where it is not above zero. A NaN stays.
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Largest(float* scores, ReadOnlySpan<bool> stands, int tokens, int terms, int begin, int end, float* pooled, Span<int> places)
    {
        int term = begin;
        Vector512<float> low = Vector512.Create(float.NegativeInfinity);
        for (; term + Strip <= end; term += Strip)
        {
            Vector512<float> a = low, b = low, c = low, d = low;
            Vector512<int> pa = default, pb = default, pc = default, pd = default;
            for (int i = 0; i < tokens; i++)
            {
                if (!stands.IsEmpty && !stands[i]) continue;
                float* x = scores + ((long)i * terms) + term;
                Vector512<int> here = Vector512.Create(i);
                Take(Vector512.Load(x), here, ref a, ref pa);
                Take(Vector512.Load(x + 16), here, ref b, ref pb);
                Take(Vector512.Load(x + 32), here, ref c, ref pc);
                Take(Vector512.Load(x + 48), here, ref d, ref pd);
            }

            Put(a, pa, pooled + term, places, term);
            Put(b, pb, pooled + term + 16, places, term + 16);
            Put(c, pc, pooled + term + 32, places, term + 32);
            Put(d, pd, pooled + term + 48, places, term + 48);
        }

        for (; term < end; term++)
        {
            (float best, int place) = (float.NegativeInfinity, 0);
            for (int i = 0; i < tokens; i++)
            {
                if (!stands.IsEmpty && !stands[i]) continue;
                float x = scores[((long)i * terms) + term];
                if (!(x <= best) && !float.IsNaN(best)) (best, place) = (x, i);
            }

            pooled[term] = best <= 0 ? 0 : best;
            if (!places.IsEmpty) places[term] = best > 0 ? place : -1;
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Take(Vector512<float> x, Vector512<int> here, ref Vector512<float> best, ref Vector512<int> place)
    {
        Vector512<float> larger = Vector512.AndNot(Vector512.Equals(best, best), Vector512.LessThanOrEqual(x, best));
        best = Vector512.ConditionalSelect(larger, x, best);
        place = Vector512.ConditionalSelect(larger.AsInt32(), here, place);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Put(Vector512<float> best, Vector512<int> place, float* pooled, Span<int> places, int at)
    {
        Vector512.ConditionalSelect(Vector512.LessThanOrEqual(best, default), default, best).Store(pooled);
        if (!places.IsEmpty) Vector512.ConditionalSelect(Vector512.GreaterThan(best, default).AsInt32(), place, Vector512.Create(-1)).CopyTo(places[at..]);
    }

    /// <summary>Which tokens stand, null for all.</summary>
    private sealed record Plan(bool[]? Stands, CancellationToken Cancel);

    /// <summary>The token of each weight, and which gradients are asked for.</summary>
    private sealed record Made(int[] Places, bool States, bool Embeddings, bool Bias);

    private sealed class Function : GuardedFunction<Function>
    {
        public override string Name => nameof(PooledLinear);

        protected override Tensor Forward(autograd.AutogradContext ctx, object[] vars)
        {
            (Tensor states, Tensor embeddings, Tensor bias, var plan) = ((Tensor)vars[0], (Tensor)vars[1], (Tensor)vars[2], (Plan)vars[3]);
            int[] places = new int[states.shape[0] * embeddings.shape[0]];
            Tensor pooled = Pool(states, embeddings, bias, plan, places);
            ctx.save_for_backward([states, embeddings]);
            ctx.save_data("made", new Made(places, states.requires_grad, embeddings.requires_grad, bias.requires_grad));
            return pooled;
        }

        protected override List<Tensor> Backward(autograd.AutogradContext ctx, Tensor grad_output)
        {
            List<Tensor> saved = ctx.get_saved_variables();
            var made = (Made)ctx.get_data("made");
            using DisposeScope scope = NewDisposeScope();
            Tensor states = Plain(saved[0]), embeddings = Plain(saved[1]), given = Plain(grad_output);
            (long texts, long tokens, int width, int terms) = (states.shape[0], states.shape[1], (int)states.shape[2], (int)embeddings.shape[0]);
            (nint h, nint e, nint g) = (TensorMemory.StartOf(states), TensorMemory.StartOf(embeddings), TensorMemory.StartOf(given));
            int[] places = made.Places;
            Tensor? ofStates = made.States ? zeros_like(states) : null, ofEmbeddings = made.Embeddings ? zeros_like(embeddings) : null, ofBias = made.Bias ? zeros(terms) : null;
            if (ofStates is not null)
            {
                nint target = TensorMemory.StartOf(ofStates);
                Pieces.Each(texts, text =>
                {
                    long row = text * terms;
                    for (int term = 0; term < terms; term++)
                    {
                        (int token, float weight) = (places[row + term], ((float*)g)[row + term]);
                        if (token >= 0 && weight != 0) Add((float*)e + ((long)term * width), weight, (float*)target + (((text * tokens) + token) * width), width);
                    }
                });
            }

            if (ofEmbeddings is not null || ofBias is not null)
            {
                (nint target, nint sums) = (ofEmbeddings is null ? 0 : TensorMemory.StartOf(ofEmbeddings), ofBias is null ? 0 : TensorMemory.StartOf(ofBias));
                Pieces.Each((terms + Strip - 1) / Strip, strip =>
                {
                    for (long text = 0; text < texts; text++)
                    {
                        for (int term = (int)strip * Strip, end = Math.Min(terms, term + Strip); term < end; term++)
                        {
                            (int token, float weight) = (places[(text * terms) + term], ((float*)g)[(text * terms) + term]);
                            if (token < 0 || weight == 0) continue;
                            if (target != 0) Add((float*)h + (((text * tokens) + token) * width), weight, (float*)target + ((long)term * width), width);
                            if (sums != 0) ((float*)sums)[term] += weight;
                        }
                    }
                });
            }

            GC.KeepAlive(saved);
            return [ofStates?.MoveToOuterDisposeScope()!, ofEmbeddings?.MoveToOuterDisposeScope()!, ofBias?.MoveToOuterDisposeScope()!, null!];
        }

        // A view that negates what is read is not yet the numbers that stand in memory.
        private static Tensor Plain(Tensor tensor) => tensor.detach().resolve_neg().contiguous();

        private static void Add(float* vector, float factor, float* target, int width) =>
            TensorPrimitives.MultiplyAdd(new ReadOnlySpan<float>(vector, width), factor, new ReadOnlySpan<float>(target, width), new Span<float>(target, width));
    }
}
