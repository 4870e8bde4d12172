using System.Text;
using System.Text.Json;
using Sparseland.IO;
using Sparseland.Models.Language;
using Sparseland.Tensors;
using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;
using static TorchSharp.torch.nn;

namespace Sparseland.Attention.Tasks;

/// <summary>
/// A decoder of a hundred thousand parameters that answers the questions of <see cref="TaskSequences"/>: Llama's blocks without positions, and at the input a token shift,
/// x_t = e(x_t) + M e(x_{t-1}), so that a value knows the key before it. Without positions it holds at lengths beyond those it was trained at.
/// </summary>
public sealed class TaskLM : LanguageModel
{
    private const string ConfigFile = "config.json", WeightsFile = "model.safetensors";
    private readonly LlamaConfig _config;
    private readonly Embedding embed_tokens;
    private readonly Linear shift, lm_head;
    private readonly LlamaBlock[] _blocks;
    private readonly RootMeanSquareNorm norm;

    /// <summary>A decoder with random weights; the shift begins orthogonal.</summary>
    /// <param name="layers">Blocks. Default 2.</param>
    /// <param name="width">Width of the residual stream; the MLP is twice as wide, and four query heads of half the width share two key and value heads. A multiple of 4. Default 64.</param>
    /// <param name="context">Longest sequence; nothing in the model depends on it. Default 4,096.</param>
    /// <param name="seed">Seed of the weights. Default 1.</param>
    /// <exception cref="ArgumentOutOfRangeException">A size is not positive, or the width no multiple of 4.</exception>
    public TaskLM(int layers = 2, int width = 64, int context = 4096, long seed = 1)
        : base(nameof(TaskLM))
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(layers);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(width);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(context);
        if (width % 4 != 0) throw new ArgumentOutOfRangeException(nameof(width), width, "width must be a multiple of 4.");
        _config = new() { Vocabulary = TaskSequences.Vocabulary, Width = width, MlpWidth = 2 * width, Layers = layers, Heads = 4, KeyValueHeads = 2, HeadWidth = width / 2, Context = context, TiedEmbeddings = false };
        embed_tokens = Embedding(TaskSequences.Vocabulary, width);
        shift = Linear(width, width, hasBias: false);
        _blocks = [.. Enumerable.Range(0, layers).Select(l => new LlamaBlock(_config, l, null))];
        norm = new RootMeanSquareNorm(width, _config.NormEpsilon, false);
        lm_head = Linear(width, TaskSequences.Vocabulary, hasBias: false);
        register_module(nameof(embed_tokens), embed_tokens);
        register_module(nameof(shift), shift);
        register_module("layers", ModuleList<Module>([.. _blocks]));
        register_module(nameof(norm), norm);
        register_module(nameof(lm_head), lm_head);

        // Embeddings of deviation 1, matrices of 1 / sqrt(width): far larger than a language model's, and retrieval is then learned in hundreds of steps.
        WeightStart.Normal(this, seed, 1, name => name.StartsWith(nameof(embed_tokens), StringComparison.Ordinal) ? 1 : name.Contains("down_proj", StringComparison.Ordinal) ? 1 / Math.Sqrt(2 * width) : 1 / Math.Sqrt(width));
        using DisposeScope scope = NewDisposeScope();
        using IDisposable off = no_grad();
        shift.weight!.copy_(linalg.qr(randn(new long[] { width, width }, generator: new Generator((ulong)seed + 77))).Q);
    }

    /// <inheritdoc/>
    public override int Vocabulary => TaskSequences.Vocabulary;

    /// <inheritdoc/>
    public override int Context => _config.Context;

    /// <inheritdoc/>
    public override int Layers => _config.Layers;

    /// <inheritdoc/>
    public override int Width => _config.Width;

    /// <inheritdoc/>
    public override Parameter Embeddings => embed_tokens.weight!;

    /// <summary>The blocks.</summary>
    public IReadOnlyList<LlamaBlock> Blocks => _blocks;

    internal override WeightLayout Layout => throw new NotSupportedException("TaskLM has files of its own; call Save.");

    internal override string ConfigJson => JsonSerializer.Serialize(new Sizes("tasklm", Layers, Width, Context));

    private protected override (int Heads, int HeadDim) KeyValueShape => (_config.KeyValueHeads, _config.HeadDim);

    private protected override IReadOnlyList<Module> Modules => _blocks;

    /// <summary>Writes config.json and model.safetensors. An older config.json goes first and the new one comes last, so a folder that was cut off has none.</summary>
    /// <param name="folder">Made where it is not there.</param>
    public void Save(string folder)
    {
        ArgumentException.ThrowIfNullOrWhiteSpace(folder);
        Directory.CreateDirectory(folder);
        string config = Path.Combine(folder, ConfigFile);
        using ReplacedFile weights = SafeTensors.Begin(Path.Combine(folder, WeightsFile), state_dict());
        File.Delete(config);
        weights.Commit();
        ReplacedFile.Write(config, stream => stream.Write(Encoding.UTF8.GetBytes(ConfigJson + "\n")));
    }

    /// <summary>Reads what <see cref="Save"/> wrote.</summary>
    /// <param name="folder">The folder.</param>
    /// <exception cref="InvalidDataException">The files do not describe such a model; the message says what is wrong.</exception>
    public static TaskLM Load(string folder)
    {
        ArgumentException.ThrowIfNullOrWhiteSpace(folder);
        string file = Path.Combine(folder, ConfigFile);
        Sizes sizes;
        try
        {
            sizes = JsonSerializer.Deserialize<Sizes>(File.ReadAllText(file)) ?? throw new InvalidDataException($"{file} is empty.");
        }
        catch (JsonException error)
        {
            throw new InvalidDataException($"{file} is no config: {error.Message}", error);
        }

        if (sizes.model_type != "tasklm") throw new InvalidDataException($"{file} says model_type '{sizes.model_type}', not 'tasklm'.");
        TaskLM model;
        try
        {
            model = new(sizes.layers, sizes.width, sizes.context);
        }
        catch (ArgumentException error)
        {
            throw new InvalidDataException($"{file}: {error.Message}", error);
        }

        try
        {
            using DisposeScope scope = NewDisposeScope();
            using IDisposable off = no_grad();
            string weights = Path.Combine(folder, WeightsFile);
            Dictionary<string, Tensor> read = SafeTensors.Load(weights), own = model.state_dict();
            if (read.Keys.Except(own.Keys).FirstOrDefault() is { } strange) throw new InvalidDataException($"{weights} has '{strange}', which the model has not.");
            foreach ((string name, Tensor parameter) in own)
            {
                if (!read.TryGetValue(name, out Tensor? value)) throw new InvalidDataException($"{weights} has no '{name}'.");
                if (!value.shape.SequenceEqual(parameter.shape)) throw new InvalidDataException($"'{name}' in {weights} is [{string.Join(", ", value.shape)}], not [{string.Join(", ", parameter.shape)}].");
                parameter.copy_(value);
            }

            return model;
        }
        catch
        {
            model.Dispose();
            throw;
        }
    }

    private protected override Tensor Embed(Tensor ids, int position)
    {
        if (position > 0) throw new NotSupportedException("TaskLM reads whole sequences: its token shift needs the token before the first one, which a cache has not.");
        Tensor x = embed_tokens.call(ids);
        return x + shift.call(functional.pad(x.narrow(1, 0, x.shape[1] - 1), [0, 0, 1, 0]));
    }

    private protected override Tensor Block(int layer, Tensor x, Rotation? rotation, ModelCall call) => _blocks[layer].Run(layer, x, rotation!.Value, call);

    // Turned by nothing: no positions.
    private protected override Rotation? Rotate(int from, Tensor x) =>
        new(ones([x.shape[1], _config.HeadDim], dtype: x.dtype, device: x.device), zeros([x.shape[1], _config.HeadDim], dtype: x.dtype, device: x.device), _config.HeadDim);

    private protected override bool Serves(Activation activation) => Enum.IsDefined(activation);

    private protected override Tensor LastNorm(Tensor x) => norm.call(x);

    private protected override Tensor Scores(Tensor normed) => lm_head.call(normed);

    private protected override (Tensor Gain, bool Centred, Tensor Unembedding) Direct => (norm.Gain, false, lm_head.weight!);

    private sealed record Sizes(string model_type, int layers, int width, int context);
}
