using Sparseland.Solvers;
using Sparseland.Tensors;
using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;
using static TorchSharp.torch.nn;

namespace Sparseland.Coding;

/// <summary>
/// Learned ISTA (Gregor and LeCun 2010): K layers a_{k+1} = soft(W_e x + S a_k, theta) from a_0 = 0. At first W_e = D^T/L,
/// S = I - D^T D/L and theta = lambda/L, which is K steps of ISTA on 1/2 ||x - D a||^2 + lambda ||a||_1; training then shortens the way.
/// </summary>
/// <remarks>Tied: one W_e, S and theta for all layers, as in the paper. Untied: each layer has its own. theta is per atom.</remarks>
public sealed class Lista : Module<Tensor, Tensor>
{
    private readonly ParameterList _encoders;
    private readonly ParameterList _inhibitions;
    private readonly ParameterList _thresholds;

    /// <summary>Creates the network that equals ISTA.</summary>
    /// <param name="dictionary">D [atoms, features].</param>
    /// <param name="strength">lambda, positive.</param>
    /// <param name="layers">K.</param>
    /// <param name="tied">Whether all layers share their weights. Default true.</param>
    /// <exception cref="ArgumentException">D is not a matrix without zero atoms, or a number is out of its range.</exception>
    public Lista(Tensor dictionary, double strength, int layers, bool tied = true)
        : base(nameof(Lista))
    {
        CodingInput.CheckDictionary(dictionary);
        Finite.Positive(strength);
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(layers);
        (Layers, Tied) = (layers, tied);
        using var scope = NewDisposeScope();
        double norm = SpectralNorm.Of(dictionary), L = norm * norm;
        Lipschitz = L;
        long atoms = dictionary.shape[0];
        Tensor gram = dictionary.mm(dictionary.t()), encoder = dictionary.div(L);
        Tensor inhibition = eye(atoms, dtype: dictionary.dtype).sub_(gram.div(L)), threshold = full([atoms], strength / L, dtype: dictionary.dtype);
        int sets = tied ? 1 : layers;
        _encoders = Copies(encoder, sets);
        _inhibitions = Copies(inhibition, sets);
        _thresholds = Copies(threshold, sets);
        RegisterComponents();
    }

    /// <summary>K.</summary>
    public int Layers { get; }

    /// <summary>Whether all layers share their weights.</summary>
    public bool Tied { get; }

    /// <summary>L = ||D||_2^2 of the first weights.</summary>
    public double Lipschitz { get; }

    /// <summary>Codes [samples, atoms] after all layers.</summary>
    /// <param name="input">X [samples, features].</param>
    public override Tensor forward(Tensor input) => After(input, Layers);

    /// <summary>Codes after some of the layers.</summary>
    /// <param name="X">[samples, features].</param>
    /// <param name="layers">From 1 to <see cref="Layers"/>.</param>
    /// <exception cref="ArgumentOutOfRangeException">No such layer.</exception>
    public Tensor After(Tensor X, int layers)
    {
        if (layers < 1 || layers > Layers) throw new ArgumentOutOfRangeException(nameof(layers), layers, $"layers must be from 1 to {Layers}.");
        using var scope = NewDisposeScope();
        Tensor? codes = null;
        for (int k = 0; k < layers; k++)
        {
            int set = Tied ? 0 : k;
            Tensor z = X.mm(_encoders[set].t());
            if (codes is not null) z = z.add(codes.mm(_inhibitions[set].t()));

            // soft(z, theta) = z - clamp(z, -theta, theta); theta stays usable where training pushes it below 0.
            Tensor theta = functional.relu(_thresholds[set]);
            codes = z.sub(z.maximum(theta.neg()).minimum(theta));
        }

        return codes!.MoveToOuterDisposeScope();
    }

    private static ParameterList Copies(Tensor value, int count)
            {
        var copies = new Parameter[count];
        for (int i = 0; i < count; i++)
        {
            copies[i] = new Parameter(value.clone(), true);
            copies[i].DetachFromDisposeScope();
        }

        return ParameterList(copies);
    }
}
