using System.Diagnostics;
using System.Globalization;
using System.Runtime.InteropServices;
using Sparseland.Kernels;
using Sparseland.Tensors;
using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;
using static TorchSharp.torch.nn;
using Modules = TorchSharp.Modules;

namespace Sparseland.Models;

/// <summary>
/// A trained network as a chain of channel-major kernels for inference (Elsen et al. 2020): batch norm is folded into the weights before it, activations into the kernels, and each convolution runs sparse, in groups, depthwise or dense. Activations keep their layout from
/// the first layer to the last.
/// </summary>
/// <remarks>
/// Known layers: convolutions of one group and depthwise ones, batch norm, ReLU and ReLU6, pooling without padding, the mean over all places, flatten of one place, linear layers, residual sums, dropout and identity (which do nothing here). Others
/// are refused by name. One call at a time; the network that was compiled may change or go afterwards.
/// </remarks>
public sealed unsafe class ChannelMajorNetwork : IDisposable
{
    private readonly Lock _gate = new();
    private readonly List<Step> _steps = [];
    private readonly int _inputs;
    private readonly ChannelMajorOptions _options;
    private Buffers? _buffers;
    private bool _disposed;

    private ChannelMajorNetwork(int inputs, ChannelMajorOptions options) => (_inputs, _options) = (inputs, options);

    /// <summary>The layers in order, with times after <see cref="Time"/>.</summary>
    public IReadOnlyList<ChannelMajorLayer> Layers => [.. _steps.Select(step => step.Report)];

    /// <summary>Operations of one image.</summary>
    public long Operations => _steps.Sum(step => step.Report.Operations);

    /// <summary>Operations of one image if no weight were missing.</summary>
    public long DenseOperations => _steps.Sum(step => step.Report.DenseOperations);

    /// <summary>Compiles a network.</summary>
    /// <param name="network">Nested <c>Sequential</c>s, <see cref="Residual"/> or <see cref="Vision.ResNet"/> in evaluation mode; it does not change.</param>
    /// <param name="masks">Bool masks by the names of weights, true where one is kept; other weights count as zero. Null, the default, for the weights that are not zero.</param>
    /// <param name="options">The images; null for the defaults.</param>
    /// <exception cref="ArgumentException">
    /// A layer that is not known, a grouped or dilated convolution, batch norm in training mode or not behind a convolution, a weight that is not finite, a mask of no layer or of another shape: each is named.
    /// </exception>
    public static ChannelMajorNetwork Compile(Module network, IReadOnlyDictionary<string, Tensor>? masks = null, ChannelMajorOptions? options = null)
    {
        ArgumentNullException.ThrowIfNull(network);
        options ??= new();
        options.Validate();
        using DisposeScope scope = NewDisposeScope();
        using IDisposable off = no_grad();
        NetworkTrace trace = NetworkTrace.Of(network);
        var compiler = new ChannelMajorCompiler(trace, masks ?? new Dictionary<string, Tensor>());
        List<CompiledStep> compiled = compiler.Compile();
        var made = new ChannelMajorNetwork(compiler.Inputs, options);
        foreach (CompiledStep step in compiled) made._steps.Add(new Step(step));
        made.Choose();
        return made;
    }

    /// <summary>The network's outputs.</summary>
    /// <param name="images">[images, channels, height, width], Float32, on the CPU.</param>
    /// <returns>[images, outputs], or [images, channels, height, width] where the last layer is a convolution.</returns>
    /// <exception cref="ArgumentException">Another shape, type or device, or images too small for a layer, which is named.</exception>
    /// <exception cref="ObjectDisposedException">The network is disposed.</exception>
    public Tensor Run(Tensor images)
    {
        ArgumentNullException.ThrowIfNull(images);
        if (images.dim() != 4 || images.shape[1] != _inputs || images.dtype != ScalarType.Float32 || images.device_type != DeviceType.CPU)
            throw new ArgumentException($"images are {images.dtype} [{string.Join(", ", images.shape)}]; they must be Float32 [images, {_inputs}, height, width] on the CPU.", nameof(images));
        lock (_gate)
        {
            ObjectDisposedException.ThrowIf(_disposed, this);
            using DisposeScope scope = NewDisposeScope();
            using IDisposable off = no_grad();
            if (images.shape[0] == 0) throw new ArgumentException("There are no images.", nameof(images));
            Buffers buffers = Prepare((int)images.shape[0], (int)images.shape[2], (int)images.shape[3]);
            Load(images.contiguous(), buffers.Planes[0]);
            for (int i = 0; i < _steps.Count; i++) _steps[i].Run(buffers, Threads);
            return Read(buffers.Planes[^1], _steps.Count > 0 && _steps[^1].Compiled.IsFlat).MoveToOuterDisposeScope();
        }
    }

    /// <summary>Measures each layer on the options' images, and fills the times of <see cref="Layers"/>.</summary>
    /// <param name="repeats">Passes, of which the median of each layer is taken. Default 20.</param>
    /// <returns>The sum of the layers' times, in milliseconds.</returns>
    /// <exception cref="ArgumentOutOfRangeException">No repeats.</exception>
    public double Time(int repeats = 20)
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(repeats);
        lock (_gate)
        {
            ObjectDisposedException.ThrowIf(_disposed, this);
            Buffers buffers = Prepare(_options.Images, _options.Height, _options.Width);
            double[][] times = [.. _steps.Select(_ => new double[repeats])];
            for (int repeat = -3; repeat < repeats; repeat++)
            {
                for (int i = 0; i < _steps.Count; i++)
                {
                    long start = Stopwatch.GetTimestamp();
                    _steps[i].Run(buffers, Threads);
                    if (repeat >= 0) times[i][repeat] = Stopwatch.GetElapsedTime(start).TotalMilliseconds;
                }
            }

            for (int i = 0; i < _steps.Count; i++) _steps[i].Report = _steps[i].Report with { Milliseconds = Median(times[i]) };
            return _steps.Sum(step => step.Report.Milliseconds);
        }
    }

    /// <summary>Frees the working memory.</summary>
    public void Dispose()
    {
        lock (_gate)
        {
            _buffers?.Dispose();
            _buffers = null;
            _disposed = true;
        }
    }

    /// <inheritdoc/>
    public override string ToString() => string.Create(
        CultureInfo.InvariantCulture, $"ChannelMajorNetwork of {_steps.Count} layers: {Operations / 1e6:0.#} of {DenseOperations / 1e6:0.#} million operations an image");

    private int Threads => _options.Threads == 0 ? get_num_threads() : _options.Threads;

    /// <summary>Takes for each layer the quickest of its kernels, or the first.</summary>
    private void Choose()
    {
        Buffers buffers = Prepare(_options.Images, _options.Height, _options.Width);
        foreach (Step step in _steps)
        {
            if (_options.Measure && step.Compiled.Kernels.Count > 1)
            {
                double[] times = [.. step.Compiled.Kernels.Select(kernel => Try(step, kernel, buffers))];
                step.Kernel = step.Compiled.Kernels[Array.IndexOf(times, times.Min())];
            }

            Planes to = buffers.Planes[step.Compiled.Output];
            (int channels, _, _) = (buffers.Planes[step.Compiled.Inputs[0]].Channels, 0, 0);
            ChannelMajorConvolution? layer = step.Kernel?.Layer;
            long positions = (long)to.Height * to.Width, dense = 2 * step.Compiled.Weights * positions;
            step.Report = new(
                step.Compiled.Name, step.Kernel?.Name ?? step.Compiled.Kind, channels, to.Channels, to.Height, to.Width,
                step.Compiled.Weights == 0 ? 1 : (double)(layer!.StoredWeights < step.Compiled.Weights ? layer.StoredWeights : step.Compiled.Weights) / step.Compiled.Weights,
                layer is null ? 0 : 2 * layer.StoredWeights * positions, dense, double.NaN);
        }
    }

    private double Try(Step step, NamedKernel kernel, Buffers buffers)
    {
        step.Kernel = kernel;
        buffers.Reserve(kernel.Layer, buffers.Planes[step.Compiled.Inputs[0]]);
        double[] times = new double[9];
        for (int i = -2; i < times.Length; i++)
        {
            long start = Stopwatch.GetTimestamp();
            step.Run(buffers, Threads);
            if (i >= 0) times[i] = Stopwatch.GetElapsedTime(start).TotalMilliseconds;
        }

        return Median(times);
    }

    private Buffers Prepare(int images, int height, int width)
    {
        if (_buffers is { } ready && ready.Fits(images, height, width)) return ready;
        _buffers?.Dispose();
        _buffers = null;
        var made = new Buffers(images, height, width);
        try
        {
            made.Add(_inputs, height, width);
            foreach (Step step in _steps)
            {
                Planes from = made.Planes[step.Compiled.Inputs[0]];
                (int channels, int rows, int columns) = step.Compiled.Shape(from.Channels, from.Height, from.Width);
                if (rows < 1 || columns < 1)
                    throw new ArgumentException($"Images of {height} x {width} are too small: {step.Compiled.Name} gets {from.Height} x {from.Width} places.", nameof(images));
                made.Add(channels, rows, columns);
                foreach (NamedKernel kernel in step.Compiled.Kernels) made.Reserve(kernel.Layer, from);
            }

            return _buffers = made;
        }
        catch
        {
            made.Dispose();
            throw;
        }
    }

    private static void Load(Tensor images, Planes to)
    {
        float* from = (float*)TensorMemory.Address(images);
        int plane = to.Height * to.Width;
        for (int image = 0; image < to.Images; image++)
        {
            for (int channel = 0; channel < to.Channels; channel++)
                new ReadOnlySpan<float>(from + ((((long)image * to.Channels) + channel) * plane), plane).CopyTo(new Span<float>(to.Of(channel) + ((long)image * plane), plane));
        }

        GC.KeepAlive(images);
    }

    private static Tensor Read(Planes from, bool flat)
    {
        int plane = from.Height * from.Width;
        float[] numbers = new float[(long)from.Images * from.Channels * plane];
        for (int image = 0; image < from.Images; image++)
        {
            for (int channel = 0; channel < from.Channels; channel++)
                new ReadOnlySpan<float>(from.Of(channel) + ((long)image * plane), plane).CopyTo(numbers.AsSpan(((image * from.Channels) + channel) * plane, plane));
        }

        return tensor(numbers, flat ? [from.Images, (long)from.Channels * plane] : [from.Images, from.Channels, from.Height, from.Width]);
    }

    private static double Median(double[] times)
    {
        double[] sorted = [.. times.Order()];
        return sorted[sorted.Length / 2];
    }

    private sealed class Step(CompiledStep compiled)
    {
        public CompiledStep Compiled { get; } = compiled;

        public NamedKernel? Kernel { get; set; } = compiled.Kernels.Count > 0 ? compiled.Kernels[0] : null;

        public ChannelMajorLayer Report { get; set; } = null!;

        public void Run(Buffers buffers, int threads)
        {
            Planes from = buffers.Planes[Compiled.Inputs[0]], to = buffers.Planes[Compiled.Output];
            if (Kernel is { } kernel) kernel.Layer.Run(from, to, buffers.Scratch, threads);
            else Compiled.Other!(from, Compiled.Inputs.Count > 1 ? buffers.Planes[Compiled.Inputs[1]] : from, to);
        }
    }

    /// <summary>Activations of all steps for images of one size.</summary>
    private sealed class Buffers(int images, int height, int width) : IDisposable
    {
        private readonly List<nint> _memory = [];
        private long _scratch;

        public List<Planes> Planes { get; } = [];

        public nint Scratch { get; private set; }

        public bool Fits(int otherImages, int otherHeight, int otherWidth) => (images, height, width) == (otherImages, otherHeight, otherWidth);

        public void Add(int channels, int rows, int columns)
        {
            long stride = Kernels.Planes.StrideFor(checked(images * rows * columns));
            nint address = (nint)NativeMemory.AlignedAlloc((nuint)(stride * channels) * sizeof(float), 64);
            _memory.Add(address);
            new Span<byte>((void*)address, checked((int)(stride * channels * sizeof(float)))).Clear();
            Planes.Add(new(address, channels, images, rows, columns, stride));
        }

        public void Reserve(ChannelMajorConvolution layer, Planes from)
        {
            long needed = layer.ScratchLength(images, from.Height, from.Width);
            if (needed <= _scratch) return;
            NativeMemory.AlignedFree((void*)Scratch);
            (Scratch, _scratch) = ((nint)NativeMemory.AlignedAlloc((nuint)needed * sizeof(float), 64), needed);
        }

        public void Dispose()
        {
            foreach (nint address in _memory) NativeMemory.AlignedFree((void*)address);
            _memory.Clear();
            NativeMemory.AlignedFree((void*)Scratch);
            Scratch = 0;
        }
    }
}
