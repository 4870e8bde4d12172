using System.Reflection;
using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Sparseland.Training;

/// <summary>
/// Mixed precision (Micikevicius et al. 2018): a copy of a network in bfloat16 computes losses and gradients, the network itself stays in
/// float32 and is what the optimizer steps. A processor with bfloat16 products (AVX-512 BF16, AMX) trains about twice as fast so; on others
/// it is slower. There the copy can hold the rounded weights as float32 and compute with them in float32: what the rounding of weights does is
/// the same.
/// </summary>
public sealed class Bfloat16Copy<TModel> : IDisposable
    where TModel : nn.Module<Tensor, Tensor>
{
    private readonly (Parameter Own, Parameter Copy)[] _pairs;

    /// <summary>Makes the copy.</summary>
    /// <param name="model">The network, float32.</param>
    /// <param name="another">Makes a network of the same structure; its parameters are turned to the copy's type, as <c>to</c> of TorchSharp does it.</param>
    /// <param name="arithmetic">
    /// Type that the copy holds its weights in and computes with, BFloat16 or Float32; the weights are rounded to bfloat16 in both. Default BFloat16.
    /// </param>
    /// <exception cref="ArgumentException">The two do not have the same parameters, or another arithmetic.</exception>
    public Bfloat16Copy(TModel model, Func<TModel> another, ScalarType arithmetic = ScalarType.BFloat16)
    {
        ArgumentNullException.ThrowIfNull(model);
        ArgumentNullException.ThrowIfNull(another);
        if (arithmetic is not (ScalarType.BFloat16 or ScalarType.Float32)) throw new ArgumentException($"arithmetic is {arithmetic}; it must be BFloat16 or Float32.", nameof(arithmetic));
        Model = another() ?? throw new ArgumentException("It made no network.", nameof(another));

        // Not made under another default type: that is one for the whole process, and trainings beside this one would make their tensors of it.
        Model.to(arithmetic);
        CheckFields(arithmetic);
        Dictionary<string, Parameter> own = model.named_parameters().ToDictionary(p => p.name, p => p.parameter);
        _pairs = [.. Model.named_parameters().Select(p => own.TryGetValue(p.name, out Parameter? match) && match.shape.SequenceEqual(p.parameter.shape) && p.parameter.dtype == arithmetic
            ? (match, p.parameter)
            : throw new ArgumentException($"The copy has {p.name} of {p.parameter.dtype} and shape [{string.Join(", ", p.parameter.shape)}]; the network must have it too.", nameof(another)))];
        if (_pairs.Length != own.Count) throw new ArgumentException($"The network has {own.Count} parameters, but the copy {_pairs.Length}.", nameof(another));
        if (Model.named_buffers().Any()) throw new ArgumentException("The network has buffers (batch norm): the copy's would change, and not the network's.", nameof(another));
    }

    // TorchSharp gives a module that changes its type new parameters, and puts them in the fields of its own class alone: one of a base class would go on with the old ones.
    private void CheckFields(ScalarType arithmetic)
    {
        foreach (nn.Module module in Model.modules().Prepend(Model))
        {
            for (Type? type = module.GetType(); type is not null && type != typeof(nn.Module); type = type.BaseType)
            {
                foreach (FieldInfo field in type.GetFields(BindingFlags.Instance | BindingFlags.DeclaredOnly | BindingFlags.Public | BindingFlags.NonPublic))
                {
                    if (field.GetValue(module) is Parameter parameter && (parameter.IsInvalid || parameter.dtype != arithmetic))
                        throw new ArgumentException($"{type.Name}.{field.Name} keeps its old weights when the network is turned to {arithmetic}; ask for the parameter by its name there.", "another");
                }
            }
        }
    }

    /// <summary>The copy.</summary>
    public TModel Model { get; }

    /// <summary>Takes over the network's parameters, rounded; gradients are cleared.</summary>
    public void Follow()
    {
        using IDisposable off = no_grad();
        foreach ((Parameter own, Parameter copy) in _pairs)
        {
            using Tensor rounded = own.to(ScalarType.BFloat16);
            copy.copy_(rounded);
        }
    }

    /// <summary>Mean cross entropy by the copy, from float32 logits; see <see cref="Losses.CrossEntropy"/>.</summary>
    public Tensor CrossEntropy(Batch batch)
    {
        Follow();
        Tensor logits = Model.call(batch.Input);
        return nn.functional.cross_entropy(logits.view(-1, logits.shape[^1]).to(ScalarType.Float32), batch.Target.view(-1));
    }

    /// <summary>Gives the copy's gradients to the network and clears them: for <see cref="TrainingHooks.OnGradients"/>.</summary>
    public void HandOver()
    {
        using IDisposable off = no_grad();
        using DisposeScope scope = NewDisposeScope();
        foreach ((Parameter own, Parameter copy) in _pairs)
        {
            if (copy.grad is not { } gradient) continue;
            own.grad = gradient.to(ScalarType.Float32, copy: true);
            gradient.zero_();
        }
    }

    /// <summary>Frees the copy; the network stays.</summary>
    public void Dispose() => Model.Dispose();
}
