using Sparseland.Models;
using Sparseland.Models.Language;
using Sparseland.Tensors;
using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Sparseland.FineTuning;

/// <summary>Scores of channels and heads, each [layers, units] in Float64: what <see cref="StructureSelection.ByScore"/> ranks.</summary>
public static class StructureScores
{
    /// <summary>Norm of each unit's slice of the matrix.</summary>
    /// <param name="model">The decoder.</param>
    /// <param name="matrix">The matrix.</param>
    /// <exception cref="InvalidOperationException">A matrix has been replaced by another kind of layer.</exception>
    public static Tensor Weight(TinyLM model, SlicedMatrix matrix)
    {
        using DisposeScope scope = NewDisposeScope();
        using IDisposable off = no_grad();
        return Norms(model, matrix, MatricesOf(model, matrix)).MoveToOuterDisposeScope();
    }

    /// <summary>
    /// Norm of each unit's activation on some text: of channels what enters down, of query heads what they put out, of key and value heads the same over the heads that share them.
    /// </summary>
    /// <param name="model">The decoder.</param>
    /// <param name="matrix">The matrix.</param>
    /// <param name="ids">Tokens [batch, tokens].</param>
    /// <exception cref="ArgumentException">The tokens do not fit the decoder.</exception>
    public static Tensor Activation(TinyLM model, SlicedMatrix matrix, Tensor ids)
    {
        Check(model, matrix);
        ArgumentNullException.ThrowIfNull(ids);
        using DisposeScope scope = NewDisposeScope();
        using IDisposable off = no_grad();
        bool channels = matrix is SlicedMatrix.Down or SlicedMatrix.Up or SlicedMatrix.Gate;
        Models.Language.Activation what = channels ? Models.Language.Activation.MlpHidden : Models.Language.Activation.HeadOutputs;
        var squares = new Tensor[model.Layers];
        model.Logits(ids, ActivationHook.Read(site => site.Activation == what, (site, value) =>
        {
            Tensor square = value.to(ScalarType.Float64).square();
            squares[site.Layer] = (channels ? square.sum([0, 1]) : square.sum([0, 2, 3])).DetachFromDisposeScope();
        })).Dispose();
        Tensor all = stack(squares);
        foreach (Tensor one in squares) one.Dispose();
        int units = matrix.Units(model.Config);
        if (all.shape[1] != units) all = all.view(model.Layers, units, -1).sum(2L);
        return all.sqrt().MoveToOuterDisposeScope();
    }

    /// <summary>Norm of the gradient of each unit's slice.</summary>
    /// <param name="model">The decoder; gradients that it holds stay as they are.</param>
    /// <param name="matrix">The matrix.</param>
    /// <param name="loss">The task's loss, computed by the decoder.</param>
    /// <exception cref="ArgumentException">The loss does not depend on the matrix, or its weights require no gradient.</exception>
    public static Tensor Gradient(TinyLM model, SlicedMatrix matrix, Func<Tensor> loss)
    {
        Check(model, matrix);
        ArgumentNullException.ThrowIfNull(loss);
        using DisposeScope scope = NewDisposeScope();
        Parameter[] weights = MatricesOf(model, matrix);
        if (weights.Any(w => !w.requires_grad)) throw new ArgumentException($"The weights of {matrix} require no gradient.", nameof(model));
        IReadOnlyList<Tensor> gradients = GradientsOf(loss(), weights, matrix);
        using IDisposable off = no_grad();
        return Norms(model, matrix, gradients).MoveToOuterDisposeScope();
    }

    internal static LinearSlot[] SlotsOf(TinyLM model, SlicedMatrix matrix) => [.. LinearSlots.Of(model).Where(slot => slot.Name.EndsWith(matrix.LayerName(), StringComparison.Ordinal))];

    private static IReadOnlyList<Tensor> GradientsOf(Tensor loss, Parameter[] weights, SlicedMatrix matrix)
    {
        ArgumentNullException.ThrowIfNull(loss);
        string message = $"The loss does not depend on the weights of {matrix} in every layer.";
        if (!loss.requires_grad) throw new ArgumentException(message, nameof(loss));
        try
        {
            return [.. autograd.grad([loss], weights)];
        }
        catch (System.Runtime.InteropServices.ExternalException error) when (error.Message.Contains("not have been used", StringComparison.Ordinal))
        {
            throw new ArgumentException(message, nameof(loss), error);
        }
    }

    private static Parameter[] MatricesOf(TinyLM model, SlicedMatrix matrix)
    {
        Check(model, matrix);
        return [.. SlotsOf(model, matrix).Select(slot => slot.Module is Linear linear ? linear.weight : throw new InvalidOperationException($"{slot.Name} is a {slot.Module.GetType().Name}, no linear layer; merge it first."))];
    }

    private static Tensor Norms(TinyLM model, SlicedMatrix matrix, IReadOnlyList<Tensor> values)
    {
        long other = matrix.SideOf() == SliceSide.Input ? 0 : 1;
        return stack([.. values.Select(v => v.detach().to(ScalarType.Float64).square().sum(other).view(matrix.Units(model.Config), -1).sum(1L).sqrt())]);
    }

    private static void Check(TinyLM model, SlicedMatrix matrix)
    {
        ArgumentNullException.ThrowIfNull(model);
        matrix.Check(nameof(matrix));
    }
}
