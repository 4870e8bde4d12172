using Sparseland.Tensors;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Attention;

/// <summary>The kernels of sparse attention with their gradients.</summary>
internal static class SparseSoftmax
{
    /// <summary>Computes with gradients where they are wanted.</summary>
    public static (Tensor Output, Tensor LogSumExp) Attend(Tensor q, Tensor k, Tensor v, Plan plan)
    {
        if (q.device_type != DeviceType.CPU) throw new ArgumentException($"q is on {q.device_type}; sparse attention runs on the CPU.", nameof(q));
        (Tensor output, Tensor logSumExp) result;
        if (is_grad_enabled() && (q.requires_grad || k.requires_grad || v.requires_grad))
        {
            var sums = new Sums();
            result = (Function.apply(q, k, v, plan, sums), sums.LogSumExp!);
        }
        else
        {
            using IDisposable off = no_grad();
            result = plan.Forward(q, k, v);
        }

        using DisposeScope scope = NewDisposeScope();
        if (TensorInput.IsFinite(result.output) && !result.logSumExp.isnan().any().item<bool>() && !plan.Lost(result.logSumExp)) return result;
        result.output.Dispose();
        result.logSumExp.Dispose();
        throw NotFinite(q, k, v);
    }

    /// <summary>Why an output is not finite: an argument, or products that are too large.</summary>
    /// <exception cref="ArgumentException">An argument is not finite; it is named.</exception>
    internal static ArgumentException NotFinite(Tensor q, Tensor k, Tensor v)
    {
        AttentionShape.CheckFinite(q, k, v);
        return new ArgumentException("The scores leave the range of numbers: q and k are too large for this scale.", nameof(q));
    }

    /// <summary>What is computed.</summary>
    /// <param name="Shape">Sizes.</param>
    /// <param name="Scale">Factor of the products.</param>
    internal abstract record Plan(AttentionShape Shape, double Scale)
    {
        public abstract (Tensor Output, Tensor LogSumExp) Forward(Tensor q, Tensor k, Tensor v);

        public abstract (Tensor Queries, Tensor Keys, Tensor Values) Backward(Tensor q, Tensor k, Tensor v, Tensor output, Tensor logSumExp, Tensor gradient);

        /// <summary>Whether a query that has keys came out as one without: all of its scores are -infinity, which is out of range and no mask.</summary>
        public virtual bool Lost(Tensor logSumExp) => false;
    }

    /// <summary>Cell by cell.</summary>
    internal sealed record Cells(AttentionShape Shape, AttentionSupport Support, double Scale) : Plan(Shape, Scale)
    {
        public override (Tensor Output, Tensor LogSumExp) Forward(Tensor q, Tensor k, Tensor v) =>
            q.dtype == ScalarType.Float64 ? RowKernel<double>.Forward(q, k, v, Shape, Support, Scale) : RowKernel<float>.Forward(q, k, v, Shape, Support, Scale);

        public override (Tensor Queries, Tensor Keys, Tensor Values) Backward(Tensor q, Tensor k, Tensor v, Tensor output, Tensor logSumExp, Tensor gradient) =>
            q.dtype == ScalarType.Float64
                ? RowKernel<double>.Backward(q, k, v, output, gradient, Shape, Support, Scale)
                : RowKernel<float>.Backward(q, k, v, output, gradient, Shape, Support, Scale);
    }

    /// <summary>In blocks of queries.</summary>
    internal sealed record Tiles(AttentionShape Shape, IReadOnlyList<BlockSupport> Blocks, double Scale, bool Causal) : Plan(Shape, Scale)
    {
        public override (Tensor Output, Tensor LogSumExp) Forward(Tensor q, Tensor k, Tensor v) => BlockKernel.Forward(q, k, v, Shape, Blocks, Scale, Causal);

        public override (Tensor Queries, Tensor Keys, Tensor Values) Backward(Tensor q, Tensor k, Tensor v, Tensor output, Tensor logSumExp, Tensor gradient) =>
            BlockKernel.Backward(q, k, v, output, logSumExp, gradient, Shape, Blocks, Scale, Causal);

        public override bool Lost(Tensor logSumExp)
        {
            Tensor none = logSumExp.eq(double.NegativeInfinity);
            if (!none.any().item<bool>()) return false;
            foreach (long row in none.flatten().nonzero().data<long>())
            {
                (long head, int i) = (row / Shape.Tokens, (int)(row % Shape.Tokens));
                BlockSupport blocks = Blocks[Blocks.Count == 1 ? 0 : (int)(Blocks.Count == Shape.Heads ? head % Shape.Heads : head)];
                int b = i / blocks.Block, last = Causal ? i + blocks.Offset : int.MaxValue;
                ReadOnlySpan<KeyRange> ranges = blocks.Ranges(b);
                ReadOnlySpan<int> columns = blocks.Columns(b);
                if ((ranges.Length > 0 && ranges[0].From <= last) || (columns.Length > 0 && columns[0] <= last)) return true;
            }

            return false;
        }
    }

    /// <summary>Takes the second result out of a function of one.</summary>
    private sealed class Sums
    {
        public Tensor? LogSumExp { get; set; }
    }

    private sealed class Function : GuardedFunction<Function>
    {
        public override string Name => nameof(SparseAttention);

        protected override Tensor Forward(autograd.AutogradContext ctx, object[] vars)
        {
            (Tensor q, Tensor k, Tensor v, Plan plan, Sums sums) = ((Tensor)vars[0], (Tensor)vars[1], (Tensor)vars[2], (Plan)vars[3], (Sums)vars[4]);
            using DisposeScope scope = NewDisposeScope();
            (Tensor output, Tensor logSumExp) = plan.Forward(q.detach(), k.detach(), v.detach());
            ctx.save_for_backward([q, k, v, output, logSumExp]);
            ctx.save_data("plan", plan);
            sums.LogSumExp = scope.MoveToOuter(logSumExp);
            return scope.MoveToOuter(output);
        }

        protected override List<Tensor> Backward(autograd.AutogradContext ctx, Tensor grad_output)
        {
            // Handles of what was saved would keep the output until the collector comes.
            using DisposeScope scope = NewDisposeScope();
            List<Tensor> saved = ctx.get_saved_variables();
            var plan = (Plan)ctx.get_data("plan");
            (Tensor queries, Tensor keys, Tensor values) = plan.Backward(saved[0].detach(), saved[1].detach(), saved[2].detach(), saved[3].detach(), saved[4].detach(), grad_output);
            return [scope.MoveToOuter(queries), scope.MoveToOuter(keys), scope.MoveToOuter(values), null!, null!];
        }
    }
}
