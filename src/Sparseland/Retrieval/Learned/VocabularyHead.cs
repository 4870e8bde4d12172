using Sparseland.Models.Language;
using TorchSharp;
using TorchSharp.Modules;
using TorchSharp.Utils;
using static TorchSharp.torch;
using static TorchSharp.torch.nn;

namespace Sparseland.Retrieval.Learned;

/// <summary>
/// BERT's head for masked words: a dense layer, the exact GELU and a norm, then scores of all terms by the encoder's own embeddings and a bias.
/// Parameters have the names of Hugging Face's cls.predictions.
/// </summary>
public sealed class VocabularyHead : Module<Tensor, Tensor>
{
    // Not the encoder itself: TorchSharp takes every module in a field for a part of this one, whose weights it would list, start and save.
    private readonly Func<Tensor> _embeddings;

    /// <summary>A head with random weights: normal with deviation 0.02.</summary>
    /// <param name="body">The encoder whose embeddings it takes; stays the caller's.</param>
    /// <param name="seed">Seed. Default 1.</param>
    public VocabularyHead(BertEncoder body, long seed = 1)
        : base(nameof(VocabularyHead))
    {
        ArgumentNullException.ThrowIfNull(body);
        _embeddings = () => body.Embeddings;
        Dense = Linear(body.Config.Width, body.Config.Width);
        Norm = LayerNorm(body.Config.Width, body.Config.NormEpsilon);
        Bias = Parameter(zeros(body.Config.Vocabulary));
        register_module("transform", new NamedModules(("dense", Dense), ("LayerNorm", Norm)));
        register_parameter("bias", Bias);
        WeightStart.Normal(this, seed, 0.02, _ => 1);
    }

    /// <summary>The dense layer [dModel, dModel].</summary>
    public Linear Dense { get; }

    /// <summary>The norm behind it.</summary>
    public LayerNorm Norm { get; }

    /// <summary>Bias of each term [vocabulary].</summary>
    [field: ComponentName(Name = "bias")]
    public Parameter Bias { get; }

    /// <summary>What the embeddings are multiplied with: norm(gelu(dense(h))).</summary>
    /// <param name="hidden">h [..., dModel].</param>
    public Tensor Transform(Tensor hidden)
    {
        using DisposeScope scope = NewDisposeScope();
        return Norm.call(functional.gelu(Dense.call(hidden))).MoveToOuterDisposeScope();
    }

    /// <summary>Scores of all terms.</summary>
    /// <param name="input">h [..., dModel].</param>
    /// <returns>z [..., vocabulary].</returns>
    public override Tensor forward(Tensor input)
    {
        using DisposeScope scope = NewDisposeScope();
        return functional.linear(Transform(input), _embeddings(), Bias).MoveToOuterDisposeScope();
    }
}
