using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using Sparseland.Tensors;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Training;

/// <summary>
/// One step of Adam with decoupled decay over a float32 tensor, in one pass over its memory: the operations of libtorch take eight, and for large
/// matrices memory is all that a step costs.
/// </summary>
internal static unsafe class AdamStep
{
    private const int Chunk = 1 << 15;

    /// <summary>Whether the pass can be taken: everything float32, on the CPU and contiguous.</summary>
    public static bool Serves(Tensor parameter, Tensor gradient) =>
        parameter.dtype == ScalarType.Float32 && gradient.dtype == ScalarType.Float32 && parameter.device_type == DeviceType.CPU
        && parameter.is_contiguous() && gradient.is_contiguous();

    /// <summary>Updates moments and parameter in place.</summary>
    /// <param name="parameter">theta.</param>
    /// <param name="gradient">g.</param>
    /// <param name="first">m.</param>
    /// <param name="second">v.</param>
    /// <param name="keep">What the decay leaves, 1 - rate lambda.</param>
    /// <param name="beta1">Decay of m.</param>
    /// <param name="beta2">Decay of v.</param>
    /// <param name="size">Rate over the bias correction of m.</param>
    /// <param name="root">Root of the bias correction of v.</param>
    /// <param name="epsilon">eps.</param>
    public static void Run(Tensor parameter, Tensor gradient, Tensor first, Tensor second, double keep, double beta1, double beta2, double size, double root, double epsilon)
    {
        (nint p, nint g, nint m, nint v) = (TensorMemory.StartOf(parameter), TensorMemory.StartOf(gradient), TensorMemory.StartOf(first), TensorMemory.StartOf(second));
        long length = parameter.numel();
        var rule = new Rule((float)keep, (float)beta1, (float)(1 - beta1), (float)beta2, (float)(1 - beta2), (float)size, (float)(1 / root), (float)epsilon);
        Pieces.For(length, Chunk, (from, count) => rule.Apply((float*)p + from, (float*)g + from, (float*)m + from, (float*)v + from, count));
    }

    private readonly record struct Rule(float Keep, float Beta1, float Rest1, float Beta2, float Rest2, float Size, float Unroot, float Epsilon)
    {
        [MethodImpl(MethodImplOptions.AggressiveOptimization)]
        public void Apply(float* p, float* g, float* m, float* v, int n)
        {
            int step = Vector512<float>.Count, i = 0;
            Vector512<float> keep = Vector512.Create(Keep), beta1 = Vector512.Create(Beta1), rest1 = Vector512.Create(Rest1), beta2 = Vector512.Create(Beta2);
            Vector512<float> rest2 = Vector512.Create(Rest2), size = Vector512.Create(Size), unroot = Vector512.Create(Unroot), epsilon = Vector512.Create(Epsilon);
            for (; i + step <= n; i += step)
            {
                Vector512<float> gradient = Vector512.Load(g + i);
                Vector512<float> mean = (Vector512.Load(m + i) * beta1) + (gradient * rest1);
                Vector512<float> square = (Vector512.Load(v + i) * beta2) + (gradient * gradient * rest2);
                mean.Store(m + i);
                square.Store(v + i);
                ((Vector512.Load(p + i) * keep) - (size * mean / ((Vector512.Sqrt(square) * unroot) + epsilon))).Store(p + i);
            }

            for (; i < n; i++)
            {
                m[i] = (m[i] * Beta1) + (g[i] * Rest1);
                v[i] = (v[i] * Beta2) + (g[i] * g[i] * Rest2);
                p[i] = (p[i] * Keep) - (Size * m[i] / ((MathF.Sqrt(v[i]) * Unroot) + Epsilon));
            }
        }
    }
}
