using TorchSharp;
using TorchSharp.Modules;
using static TorchSharp.torch;

namespace Sparseland.Training;

// The update of the masks: planned for all layers, then made.
public sealed partial class SparseOptimizer
{
    /// <summary>What an update of the masks would change now; nothing changes.</summary>
    /// <param name="step">The step, counted from 1.</param>
    /// <exception cref="InvalidOperationException">The masks are static, or a rule needs gradients and there are none.</exception>
    public TopologyReport Plan(long step)
    {
        if (IsStatic) throw new InvalidOperationException("The masks are static: there is no drop or no growth rule.");
        double fraction = Options.FractionAt(step);
        var layers = new List<(TopologyContext Layer, long Dropped, long Grown)>();
        foreach (string name in Masks.Names)
        {
            TopologyContext layer = ContextOf(name, step, fraction);
            long active = Masks.ActiveOf(name), size = layer.Mask.numel();
            if (active != _active[name]) throw Changed(name);
            if (Options.SoftBound)
            {
                long grown = step + Options.Interval < Options.End ? Math.Min(Options.CountOf(fraction, _budgets[name]), size - _budgets[name]) : 0;
                layers.Add((layer, active - _budgets[name], grown));
                continue;
            }

            long count = active == size && !Options.Redistribute ? 0 : TopologyUpdate.Affordable(layer, _drop!, _drop!.CountOf(layer, Options.CountOf(fraction, active)));
            layers.Add((layer, count, count));
        }

        if (Options.Redistribute) layers = Redistribution.Of(layers);
        var changes = new Dictionary<string, TopologyChange>();
        foreach ((TopologyContext layer, long dropped, long grown) in layers)
        {
            if (dropped > 0 || grown > 0) changes[layer.Layer] = TopologyUpdate.Apply(layer, _drop!, _grow!, dropped, grown);
        }

        return new(step, fraction, changes);
    }

    /// <summary>Makes the update; false where nothing moved.</summary>
    private bool Move(long step)
    {
        // All layers are planned before one changes: a refusal leaves them alike.
        TopologyReport report = Plan(step);
        using (NewDisposeScope())
        using (no_grad())
        {
            var begun = report.Changes.ToDictionary(change => change.Key, change => NewValues(change.Key, step, report.Fraction));
            foreach ((string name, TopologyChange change) in report.Changes)
            {
                Tensor old = Masks[name].clone(), mask = change.Active.ToMask().reshape(old.shape).to(old.device), started = old.logical_and(mask).logical_not();
                Masks.Set(name, mask);
                if (Options.Moments == MomentRule.Reset) ResetMoments(name, started);
                Tensor grown = mask.logical_and(old.logical_not());
                foreach ((Parameter parameter, Tensor values) in begun[name]) parameter.copy_(values.where(grown, parameter));
            }
        }

        Apply();
        Remember();
        Fired.Add(Masks);
        LastUpdate = report;
        OnUpdate?.Invoke(report);
        return report.Changes.Values.Any(change => !change.Grown.Equals(change.Dropped));
    }

    private TopologyContext ContextOf(string name, long step, double fraction) => new()
    {
        Layer = name, Weight = Masks.ParameterOf(name), Mask = Masks[name], Gradient = _gradients.GetValueOrDefault(name), Average = _averages.GetValueOrDefault(name), Fired = Fired[name],
        Allowed = _scope.Allowed?.Invoke(name), Companions = _companions[name].ToDictionary(c => c.Companion.Parameter, c => (Tensor)c.Parameter), Step = step, Fraction = fraction, Seed = Options.Seed,
    };

    /// <summary>What new places begin with: the weight's values, and those of what shares its mask. Nothing for zeros.</summary>
    private List<(Parameter Parameter, Tensor Values)> NewValues(string name, long step, double fraction)
    {
        var values = new List<(Parameter, Tensor)>();
        if (Options.NewWeights.Of(ContextOf(name, step, fraction)) is { } weights) values.Add((Masks.ParameterOf(name), weights));
        foreach ((Companion companion, Parameter parameter) in _companions[name])
        {
            if (companion.Start == CompanionStart.MeanOfActive) values.Add((parameter, parameter.masked_select(Masks[name]).mean().expand(parameter.shape)));
        }

        return values;
    }
}
