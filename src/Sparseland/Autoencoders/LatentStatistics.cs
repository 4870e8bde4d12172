using Sparseland.Tensors;
using TorchSharp;
using TorchSharp.Utils;
using static TorchSharp.torch;

namespace Sparseland.Autoencoders;

/// <summary>
/// What is known of latents from the codes seen so far: how long each has been silent and how often it fires. Kept at no cost during training, and in a
/// checkpoint.
/// </summary>
public sealed class LatentStatistics : nn.Module
{
    [ComponentName(Name = "silent")]
    private readonly Tensor _silent;

    [ComponentName(Name = "density")]
    private readonly Tensor _density;

    [ComponentName(Name = "tokens")]
    private readonly Tensor _tokens;

    /// <summary>Statistics that have seen nothing.</summary>
    /// <param name="latents">M.</param>
    /// <param name="memory">Tokens over which densities are averaged (exponentially), positive.</param>
    public LatentStatistics(int latents, double memory)
        : base(nameof(LatentStatistics))
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(latents);
        if (!(memory > 0)) throw new ArgumentOutOfRangeException(nameof(memory), memory, "memory must be positive.");
        (Latents, Memory) = (latents, memory);
        using IDisposable off = no_grad();
        _silent = zeros(latents, dtype: ScalarType.Int64).DetachFromDisposeScope();
        _density = zeros(latents, dtype: ScalarType.Float64).DetachFromDisposeScope();
        _tokens = zeros(1, dtype: ScalarType.Int64).DetachFromDisposeScope();
        register_buffer("silent", _silent);
        register_buffer("density", _density);
        register_buffer("tokens", _tokens);
    }

    /// <summary>M.</summary>
    public int Latents { get; }

    /// <summary>Tokens over which densities are averaged.</summary>
    public double Memory { get; }

    /// <summary>Tokens seen.</summary>
    public long Tokens => _tokens[0].item<long>();

    /// <summary>Tokens since each latent was last active [latents]; all tokens for one that never was.</summary>
    public long[] TokensSilent => [.. _silent.data<long>()];

    /// <summary>Running share of tokens on which each latent is active [latents].</summary>
    public double[] Density => Buffers.Doubles(_density);

    /// <summary>Latents that have been silent for so many tokens, ascending.</summary>
    /// <param name="tokens">How long.</param>
    public int[] SilentFor(long tokens)
    {
        ReadOnlySpan<long> silent = TensorMemory.Read<long>(_silent);
        var found = new List<int>();
        for (int i = 0; i < silent.Length; i++)
        {
            if (silent[i] >= tokens) found.Add(i);
        }

        return [.. found];
    }

    /// <summary>Takes the codes of a batch in.</summary>
    /// <param name="code">Codes [tokens, latents].</param>
    /// <exception cref="ArgumentException">Another number of latents.</exception>
    public void Update(SparseCode code)
    {
        ArgumentNullException.ThrowIfNull(code);
        if (code.Latents != Latents) throw new ArgumentException($"The code has {code.Latents} latents, the statistics {Latents}.", nameof(code));
        if (code.Tokens == 0) return;
        int[] counts = code.Support.CountsPerColumn();
        Span<long> silent = TensorMemory.Part<long>(TensorMemory.StartOf(_silent), 0, Latents), tokens = TensorMemory.Part<long>(TensorMemory.StartOf(_tokens), 0, 1);
        double[] density = Density;

        // The first batches are averaged evenly; afterwards old ones fade.
        double weight = Math.Max(1 - Math.Exp(-code.Tokens / Memory), code.Tokens / (double)(tokens[0] + code.Tokens));
        for (int i = 0; i < counts.Length; i++)
        {
            silent[i] = counts[i] > 0 ? 0 : silent[i] + code.Tokens;
            density[i] += weight * (((double)counts[i] / code.Tokens) - density[i]);
        }

        tokens[0] += code.Tokens;
        Buffers.Fill(_density, density);
    }
}
