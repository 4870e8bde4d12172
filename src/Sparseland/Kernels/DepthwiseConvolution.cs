using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Runtime.Intrinsics;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Kernels;

/// <summary>A k x k convolution of each channel with a kernel of its own: dense, as it is a small share of a network's work. Channel after channel, in a padded copy that stays in the first cache.</summary>
public sealed unsafe class DepthwiseConvolution : ChannelMajorConvolution
{
    private readonly float[] _weights;
    private readonly float[] _biases;

    private DepthwiseConvolution(float[] weights, float[] biases, int kernelHeight, int kernelWidth, int stride, int padding, ConvolutionClamp clamp)
        : base(biases.Length, biases.Length, kernelHeight, kernelWidth, stride, padding, clamp) => (_weights, _biases) = (weights, biases);

    /// <inheritdoc/>
    public override long StoredWeights => _weights.Length;

    /// <inheritdoc/>
    public override long Bytes => sizeof(float) * ((long)_weights.Length + _biases.Length);

    /// <summary>Takes the weights of a layer.</summary>
    /// <param name="weight">[channels, 1, rows, columns], Float32, on the CPU, finite.</param>
    /// <param name="bias">[channels]; null for zeros.</param>
    /// <param name="stride">Step. Default 1.</param>
    /// <param name="padding">Zeros on each side. Default 1.</param>
    /// <param name="clamp">Where outputs are cut; null, the default, for nowhere.</param>
    /// <exception cref="ArgumentException">A shape, type, device or number does not fit.</exception>
    public static DepthwiseConvolution FromDense(Tensor weight, Tensor? bias = null, int stride = 1, int padding = 1, ConvolutionClamp? clamp = null)
    {
        RequireFloats(weight, nameof(weight));
        if (weight.dim() != 4 || weight.shape[1] != 1) throw new ArgumentException($"weight is [{string.Join(", ", weight.shape)}]; it must be [channels, 1, rows, columns].", nameof(weight));
        int channels = checked((int)weight.shape[0]);
        return new(Numbers(weight, nameof(weight)), Biases(bias, channels), (int)weight.shape[2], (int)weight.shape[3], stride, padding, clamp ?? ConvolutionClamp.None);
    }

    internal override void Run(Planes input, Planes output, nint scratch, int threads)
    {
        var padded = new PaddedPlanes(1, input.Height, input.Width, KernelHeight, KernelWidth, Stride, Padding);
        int taps = KernelHeight * KernelWidth, images = input.Images;
        int[] offsets = [.. Enumerable.Range(0, taps).Select(tap => padded.Tap(tap / KernelWidth, tap % KernelWidth))];
        ConvolutionWork.Run(Inputs * images, 1, StoredWeights * output.Width * output.Height * images, threads, (item, _, _) =>
        {
            int channel = item / images, image = item % images;
            float* plane = (float*)NativeMemory.AlignedAlloc((nuint)padded.Plane * sizeof(float), 64);
            try
            {
                padded.Fill(input.Of(channel) + ((long)image * input.Height * input.Width), plane);
                fixed (float* weights = _weights)
                fixed (int* at = offsets)
                    Plane(padded, plane, weights + (channel * taps), at, taps, _biases[channel], output.Of(channel) + ((long)image * output.Height * output.Width));
            }
            finally
            {
                NativeMemory.AlignedFree(plane);
            }
        });
    }

    private void Plane(in PaddedPlanes padded, float* plane, float* weights, int* offsets, int taps, float bias, float* y)
    {
        for (int row = 0; row < padded.OutputHeight; row++)
        {
            float* x = plane + padded.OutputRow(row), to = y + ((long)row * padded.OutputWidth);
            if (Path == KernelPath.Vector512 && padded.OutputWidth > Lanes8.Count) Row<Vector512<float>, Lanes16>(x, to, padded.OutputWidth, weights, offsets, taps, bias, Clamp);
            else if (Path >= KernelPath.Vector256) Row<Vector256<float>, Lanes8>(x, to, padded.OutputWidth, weights, offsets, taps, bias, Clamp);
            else Row<float, Lanes1>(x, to, padded.OutputWidth, weights, offsets, taps, bias, Clamp);
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Row<V, L>(float* x, float* y, int width, float* weights, int* offsets, int taps, float bias, ConvolutionClamp clamp)
        where V : unmanaged
        where L : struct, ILanes<V>
    {
        V low = L.Broadcast(clamp.Min), high = L.Broadcast(clamp.Max), start = L.Broadcast(bias);
        int at = 0, step = L.Count;
        for (; at + step <= width; at += step)
        {
            V sum = start;
            for (int tap = 0; tap < taps; tap++) sum = L.MultiplyAdd(L.Broadcast(weights[tap]), L.Load(x + at + offsets[tap]), sum);
            L.Store(y + at, L.Clamp(sum, low, high));
        }

        if (at == width) return;
        V mask = L.Mask(width - at), rest = start;
        for (int tap = 0; tap < taps; tap++) rest = L.MultiplyAdd(L.Broadcast(weights[tap]), L.Load(x + at + offsets[tap], mask), rest);
        L.Store(y + at, mask, L.Clamp(rest, low, high));
    }
}
