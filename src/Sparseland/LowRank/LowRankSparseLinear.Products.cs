using Sparseland.Kernels;
using Sparseland.Selection;
using Sparseland.Tensors;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.LowRank;

// Both forms of the product, with their backward passes.
public sealed partial class LowRankSparseLinear
{
    /// <summary>What both products need beside tensors.</summary>
    private sealed record Plan(TurnedSupport Places, double Scale)
    {
        private const int RowsTogether = 32;

        /// <summary>W: the one temporary of its size.</summary>
        public unsafe Tensor Form(Tensor? a, Tensor? b, Tensor values)
        {
            if (a is null || a.numel() == 0) return SparseProduct.ToDense(Places.Rows, values.detach());
            Tensor weight = b!.detach().mm(a.detach());
            if (Scale != 1) weight.mul_(Scale);
            using Tensor own = values.detach().contiguous();
            if (weight.dtype == ScalarType.Float64) Add((double*)TensorMemory.StartOf(weight), (double*)TensorMemory.StartOf(own));
            else Add((float*)TensorMemory.StartOf(weight), (float*)TensorMemory.StartOf(own));
            return weight;
        }

        private unsafe void Add<T>(T* weight, T* values)
            where T : unmanaged, System.Numerics.INumber<T>
        {
            (nint start, nint from, Support rows) = ((nint)weight, (nint)values, Places.Rows);
            Pieces.For(rows.Rows, RowsTogether, (first, count) =>
            {
                for (int row = (int)first; row < first + count; row++)
                {
                    T* line = (T*)start + ((long)row * rows.Columns), value = (T*)from + rows.RowOffsets[row];
                    foreach (int column in rows.Row(row)) line[column] += *value++;
                }
            });
        }
    }

    private sealed class FormedProduct : GuardedFunction<FormedProduct>
    {
        public override string Name => "LowRankSparseFormed";

        protected override Tensor Forward(autograd.AutogradContext ctx, object[] vars)
        {
            (Tensor input, Tensor a, Tensor b, Tensor values, var plan) = ((Tensor)vars[0], (Tensor)vars[1], (Tensor)vars[2], (Tensor)vars[3], (Plan)vars[4]);
            using DisposeScope scope = NewDisposeScope();
            ctx.save_for_backward([input, a, b, values]);
            ctx.save_data("plan", plan);
            return input.detach().mm(plan.Form(a, b, values).t()).MoveToOuterDisposeScope();
        }

        protected override List<Tensor> Backward(autograd.AutogradContext ctx, Tensor grad_output)
        {
            List<Tensor> saved = ctx.get_saved_variables();
            var plan = (Plan)ctx.get_data("plan");
            (Tensor input, Tensor a, Tensor b, Tensor values) = (saved[0].detach(), saved[1].detach(), saved[2].detach(), saved[3]);
            using DisposeScope scope = NewDisposeScope();
            Tensor toInput;
            using (Tensor weight = plan.Form(a, b, values)) toInput = grad_output.mm(weight);

            // G, the second temporary of the weight's size, after the first is gone.
            using Tensor G = grad_output.t().mm(input);
            Tensor toValues = plan.Places.Rows.Gather(G);
            bool thin = a.numel() > 0;
            Tensor? toA = thin ? b.t().mm(G).mul_(plan.Scale) : null, toB = thin ? G.mm(a.t()).mul_(plan.Scale) : null;
            return [toInput.MoveToOuterDisposeScope(), toA?.MoveToOuterDisposeScope()!, toB?.MoveToOuterDisposeScope()!, toValues.MoveToOuterDisposeScope(), null!];
        }
    }

    private sealed class FactoredProduct : GuardedFunction<FactoredProduct>
    {
        public override string Name => "LowRankSparseFactored";

        protected override Tensor Forward(autograd.AutogradContext ctx, object[] vars)
        {
            (Tensor input, Tensor a, Tensor b, Tensor values, var plan) = ((Tensor)vars[0], (Tensor)vars[1], (Tensor)vars[2], (Tensor)vars[3], (Plan)vars[4]);
            using DisposeScope scope = NewDisposeScope();
            ctx.save_for_backward([input, a, b, values]);
            ctx.save_data("plan", plan);
            Tensor x = input.detach(), sparse = SparseProduct.Multiply(plan.Places.Rows, values.detach(), Transposed.Of(x));
            if (a.numel() > 0) sparse.addmm_(b.detach(), x.mm(a.detach().t()).mul_(plan.Scale).t());
            return Transposed.Of(sparse).MoveToOuterDisposeScope();
        }

        protected override List<Tensor> Backward(autograd.AutogradContext ctx, Tensor grad_output)
        {
            List<Tensor> saved = ctx.get_saved_variables();
            var plan = (Plan)ctx.get_data("plan");
            (Tensor input, Tensor a, Tensor b, Tensor values) = (saved[0].detach(), saved[1].detach(), saved[2].detach(), saved[3]);
            using DisposeScope scope = NewDisposeScope();
            Tensor dY = grad_output.contiguous(), turned = Transposed.Of(dY), x = Transposed.Of(input);
            Tensor toInput = SparseProduct.Multiply(plan.Places.Columns, plan.Places.Turn(values), turned);
            Tensor toValues = SparseProduct.Sampled(plan.Places.Rows, turned, x);
            Tensor? toA = null, toB = null;
            if (a.numel() > 0)
            {
                Tensor thin = dY.mm(b).mul_(plan.Scale);
                toInput.addmm_(a.t(), thin.t());
                toA = thin.t().mm(input);
                toB = turned.mm(input.mm(a.t())).mul_(plan.Scale);
            }

            return [Transposed.Of(toInput).MoveToOuterDisposeScope(), toA?.MoveToOuterDisposeScope()!, toB?.MoveToOuterDisposeScope()!, toValues.MoveToOuterDisposeScope(), null!];
        }
    }
}
