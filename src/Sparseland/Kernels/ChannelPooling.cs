namespace Sparseland.Kernels;

/// <summary>Pooling in channel-major layout, without padding.</summary>
internal static unsafe class ChannelPooling
{
    /// <summary>The mean or the largest of each window of k x k.</summary>
    public static void Windows(Planes input, Planes output, int kernel, int stride, bool largest)
    {
        for (int plane = 0; plane < input.Channels * input.Images; plane++)
        {
            int channel = plane / input.Images, image = plane % input.Images;
            float* from = input.Of(channel) + ((long)image * input.Height * input.Width), to = output.Of(channel) + ((long)image * output.Height * output.Width);
            for (int row = 0; row < output.Height; row++)
            {
                for (int column = 0; column < output.Width; column++)
                {
                    float* window = from + ((long)row * stride * input.Width) + (column * stride);
                    *to++ = largest ? Largest(window, input.Width, kernel) : Sum(window, input.Width, kernel, kernel) / (kernel * kernel);
                }
            }
        }
    }

    /// <summary>The mean of each image.</summary>
    public static void Mean(Planes input, Planes output)
    {
        for (int plane = 0; plane < input.Channels * input.Images; plane++)
        {
            int channel = plane / input.Images, image = plane % input.Images;
            output.Of(channel)[image] = Sum(input.Of(channel) + ((long)image * input.Height * input.Width), input.Width, input.Height, input.Width) / (input.Height * input.Width);
        }
    }

    /// <summary>The sum of two, cut.</summary>
    public static void Add(Planes left, Planes right, Planes output, ConvolutionClamp clamp)
    {
        for (int channel = 0; channel < left.Channels; channel++)
        {
            float* a = left.Of(channel), b = right.Of(channel), to = output.Of(channel);
            for (int i = 0; i < left.Positions; i++) to[i] = Lanes1.Clamp(a[i] + b[i], clamp.Min, clamp.Max);
        }
    }

    /// <summary>Each number cut.</summary>
    public static void Clamp(Planes input, Planes output, ConvolutionClamp clamp)
    {
        for (int channel = 0; channel < input.Channels; channel++)
        {
            float* from = input.Of(channel), to = output.Of(channel);
            for (int i = 0; i < input.Positions; i++) to[i] = Lanes1.Clamp(from[i], clamp.Min, clamp.Max);
        }
    }

    private static float Sum(float* from, int stride, int rows, int columns)
    {
        float sum = 0;
        for (int row = 0; row < rows; row++, from += stride)
        {
            for (int column = 0; column < columns; column++) sum += from[column];
        }

        return sum;
    }

    private static float Largest(float* from, int stride, int kernel)
    {
        float most = float.NegativeInfinity;
        for (int row = 0; row < kernel; row++, from += stride)
        {
            for (int column = 0; column < kernel; column++) most = MathF.Max(most, from[column]);
        }

        return most;
    }
}
