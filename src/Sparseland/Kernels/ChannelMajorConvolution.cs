using System.Runtime.InteropServices;
using Sparseland.Tensors;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Kernels;

/// <summary>
/// A convolution for inference whose activations lie channel after channel, [channels, height, width], or with several images side by side inside each channel,
/// [channels, images, height, width]. That is the layout in which a sparse weight reads neighbouring numbers (Elsen et al. 2020). Immutable.
/// </summary>
/// <remarks>
/// Sums are float32, begin with the bias and go on in the order of the stored weights, one rounding for each: results depend neither on the number of threads nor on the instructions of the machine. A weight
/// that is not stored does not multiply, whatever stands there; NaN and infinities meet stored weights alone, and the border of zeros.
/// </remarks>
public abstract unsafe class ChannelMajorConvolution
{
    private protected ChannelMajorConvolution(int inputs, int outputs, int kernelHeight, int kernelWidth, int stride, int padding, ConvolutionClamp clamp)
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(stride);
        ArgumentOutOfRangeException.ThrowIfNegative(padding);
        clamp.Validate(nameof(clamp));
        (Inputs, Outputs, KernelHeight, KernelWidth, Stride, Padding, Clamp) = (inputs, outputs, kernelHeight, kernelWidth, stride, padding, clamp);
    }

    /// <summary>Input channels.</summary>
    public int Inputs { get; }

    /// <summary>Output channels.</summary>
    public int Outputs { get; }

    /// <summary>Rows of the kernel.</summary>
    public int KernelHeight { get; }

    /// <summary>Columns of the kernel.</summary>
    public int KernelWidth { get; }

    /// <summary>Step of the outputs through rows and columns.</summary>
    public int Stride { get; }

    /// <summary>Zeros around an image, on each side.</summary>
    public int Padding { get; }

    /// <summary>Where outputs are cut.</summary>
    public ConvolutionClamp Clamp { get; }

    /// <summary>Weights that are multiplied, padding of short blocks included; biases do not count.</summary>
    public abstract long StoredWeights { get; }

    /// <summary>Bytes of weights, biases and indices that one pass reads.</summary>
    public abstract long Bytes { get; }

    /// <summary>Which instructions are used; the widest by default.</summary>
    internal KernelPath Path { get; set; } = KernelPaths.Widest;

    /// <summary>Whether input and output may have any shape, as positions do not see each other.</summary>
    private protected bool IsPointwise => KernelHeight == 1 && KernelWidth == 1 && Stride == 1 && Padding == 0;

    /// <summary>Operations of a pass: two for each stored weight and position.</summary>
    /// <param name="height">Rows of the input.</param>
    /// <param name="width">Columns of the input.</param>
    /// <param name="images">Images. Default 1.</param>
    public long Operations(int height, int width, int images = 1) => 2 * StoredWeights * images
        * PaddedPlanes.Outputs(height, KernelHeight, Stride, Padding) * PaddedPlanes.Outputs(width, KernelWidth, Stride, Padding);

    /// <summary>Runs the convolution.</summary>
    /// <param name="input">[inputs, height, width] or [inputs, images, height, width], for 1 x 1 kernels also [inputs, positions]; Float32, on the CPU. A view is copied first.</param>
    /// <param name="threads">Threads; 0, the default, for as many as libtorch has.</param>
    /// <returns>The outputs, with as many dimensions.</returns>
    /// <exception cref="ArgumentException">Another shape, type or device, or an image smaller than the kernel.</exception>
    public Tensor Run(Tensor input, int threads = 0)
    {
        (int images, int height, int width) = Sizes(input);
        using DisposeScope scope = NewDisposeScope();
        using IDisposable off = no_grad();
        (int rows, int columns) = OutputSize(height, width);
        long[] shape = input.dim() switch { 2 => [Outputs, columns], 3 => [Outputs, rows, columns], _ => [Outputs, images, rows, columns] };
        Tensor output = empty(shape, dtype: ScalarType.Float32);
        Run(input.contiguous(), output, threads);
        return output.MoveToOuterDisposeScope();
    }

    /// <summary>Runs the convolution into memory that is there.</summary>
    /// <param name="input">As for the other form, contiguous.</param>
    /// <param name="output">The outputs, contiguous; overwritten, and apart from the input.</param>
    /// <param name="threads">Threads; 0, the default, for as many as libtorch has.</param>
    /// <exception cref="ArgumentException">Another shape, type, device or layout, or the two overlap.</exception>
    public void Run(Tensor input, Tensor output, int threads = 0)
    {
        (int images, int height, int width) = Sizes(input);
        ArgumentOutOfRangeException.ThrowIfNegative(threads);
        (int rows, int columns) = OutputSize(height, width);
        long[] shape = input.dim() switch { 2 => [Outputs, columns], 3 => [Outputs, rows, columns], _ => [Outputs, images, rows, columns] };
        RequireFloats(output, nameof(output));
        if (!output.shape.SequenceEqual(shape)) throw new ArgumentException($"output is [{string.Join(", ", output.shape)}]; it must be [{string.Join(", ", shape)}].", nameof(output));
        foreach ((Tensor tensor, string name) in new[] { (input, nameof(input)), (output, nameof(output)) })
        {
            if (!tensor.is_contiguous()) throw new ArgumentException($"{name} is not contiguous; channels must lie one after the other.", name);
        }

        if (output.numel() == 0) return;
        (nint x, nint y) = (TensorMemory.StartOf(input), TensorMemory.StartOf(output));
        if (x < y + (nint)(output.numel() * sizeof(float)) && y < x + (nint)(input.numel() * sizeof(float)))
            throw new ArgumentException("output overlaps input; a convolution reads numbers again after it has written others.", nameof(output));
        var from = new Planes(x, Inputs, images, height, width, (long)images * height * width);
        var to = new Planes(y, Outputs, images, rows, columns, (long)images * rows * columns);
        long scratch = ScratchLength(images, height, width);
        float* spare = scratch == 0 ? null : (float*)NativeMemory.AlignedAlloc((nuint)scratch * sizeof(float), 64);
        try
        {
            Run(from, to, (nint)spare, threads == 0 ? get_num_threads() : threads);
        }
        finally
        {
            NativeMemory.AlignedFree(spare);
        }

        GC.KeepAlive(input);
        GC.KeepAlive(output);
    }

    /// <summary>Numbers of working memory.</summary>
    internal virtual long ScratchLength(int images, int height, int width) => 0;

    /// <summary>Runs on memory that is known to fit.</summary>
    internal abstract void Run(Planes input, Planes output, nint scratch, int threads);

    /// <summary>Rows and columns of the outputs.</summary>
    internal (int Rows, int Columns) OutputSize(int height, int width)
    {
        (int rows, int columns) = (PaddedPlanes.Outputs(height, KernelHeight, Stride, Padding), PaddedPlanes.Outputs(width, KernelWidth, Stride, Padding));
        if (!IsPointwise && (rows <= 0 || columns <= 0))
            throw new ArgumentException($"The image has {height} x {width} places and a border of {Padding}, fewer than the kernel's {KernelHeight} x {KernelWidth}.", "input");
        return (rows, columns);
    }

    private (int Images, int Height, int Width) Sizes(Tensor input)
    {
        RequireFloats(input, nameof(input));
        long[] shape = input.shape;
        bool fits = shape.Length is 3 or 4 || (shape.Length == 2 && IsPointwise);
        if (!fits || shape[0] != Inputs)
        {
            throw new ArgumentException(
                $"input is [{string.Join(", ", shape)}]; it must be [{Inputs}, height, width] or [{Inputs}, images, height, width]{(IsPointwise ? $" or [{Inputs}, positions]" : "")}, channels first.", nameof(input));
        }

        _ = checked((int)(input.numel() / Math.Max(1, Inputs)));
        return shape.Length switch { 2 => (1, 1, (int)shape[1]), 3 => (1, (int)shape[1], (int)shape[2]), _ => ((int)shape[1], (int)shape[2], (int)shape[3]) };
    }

    /// <summary>A weight or bias as an array, finite.</summary>
    private protected static float[] Numbers(Tensor tensor, string name)
    {
        RequireFloats(tensor, name);
        using DisposeScope scope = NewDisposeScope();
        using IDisposable off = no_grad();
        float[] numbers = TensorMemory.Read<float>(tensor.detach().contiguous()).ToArray();
        int broken = Array.FindIndex(numbers, number => !float.IsFinite(number));
        return broken < 0 ? numbers : throw new ArgumentException($"Number {broken} of {name} is {numbers[broken]}; weights and biases must be finite.", name);
    }

    /// <summary>Biases; zeros where there are none.</summary>
    private protected static float[] Biases(Tensor? bias, int outputs)
    {
        if (bias is null) return new float[outputs];
        if (bias.dim() != 1 || bias.shape[0] != outputs) throw new ArgumentException($"bias is [{string.Join(", ", bias.shape)}]; it must be [{outputs}], one for each output.", nameof(bias));
        return Numbers(bias, nameof(bias));
    }

    private protected static void RequireFloats(Tensor tensor, string name)
    {
        ArgumentNullException.ThrowIfNull(tensor, name);
        if (tensor.dtype != ScalarType.Float32) throw new ArgumentException($"{name} is {tensor.dtype}; it must be Float32.", name);
        if (tensor.device_type != DeviceType.CPU) throw new ArgumentException($"{name} is on {tensor.device_type}; move it to the CPU first.", name);
    }
}
