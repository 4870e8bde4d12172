using Sparseland.Probabilistic;
using Sparseland.Tensors;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Tests.Probabilistic;

/// <summary>Small models, and their posteriors by summing over every state there is, written straight from the definitions.</summary>
internal static class BruteForce
{
    public static readonly string[] Names = ["BSC", "TSC", "DSC", "MCA", "MMCA", "GSC", "GSC diagonal"];

    public static Tensor Gaussian(int rows, int columns, int seed, double mean = 0, double deviation = 1)
    {
        var random = new SeededRandom(seed);
        double[] values = new double[rows * columns];
        for (int i = 0; i < values.Length; i++) values[i] = mean + (deviation * random.NextGaussian());
        return tensor(values, [rows, columns]);
    }

    public static TruncatedSparseCoder Make(string name, int components = 5, int features = 7, int seed = 1, double sigma = 0.6)
    {
        Tensor w = Gaussian(components, features, seed), positive = w.abs() + 0.05;
        double[] Spread(double from, double step) => [.. Enumerable.Range(0, components).Select(h => from + (step * h))];
        return name switch
        {
            "BSC" => new BinarySparseCoding(w, 0.3, sigma),
            "TSC" => new TernarySparseCoding(w, 0.3, sigma),
            "DSC" => new DiscreteSparseCoding(w, [-1, 0, 0.5, 2], [0.1, 0.7, 0.15, 0.05], sigma),
            "MCA" => new MaximalCauses(positive, 0.3, sigma),
            "MMCA" => new MaximumMagnitudeCauses(w, 0.3, sigma),
            "GSC" => new SpikeSlabSparseCoding(w, Spread(1.0 / components, 0.3 / components), Spread(-1, 2.0 / components), Spread(0.3, 2.0 / components), [sigma * sigma]),
            "GSC diagonal" => new SpikeSlabSparseCoding(
                w, Spread(1.0 / components, 0.3 / components), Spread(-1, 2.0 / components), Spread(0.3, 2.0 / components), [.. Enumerable.Range(0, features).Select(d => sigma * sigma * (0.5 + (0.2 * d)))]),
            _ => throw new ArgumentException(name),
        };
    }

    /// <summary>All states of a model, one value per component.</summary>
    public static IEnumerable<double[]> States(TruncatedSparseCoder model)
    {
        double[] values = [0, .. model.Values];
        int count = (int)Math.Pow(values.Length, model.Components);
        for (int code = 0; code < count; code++)
        {
            double[] state = new double[model.Components];
            for (int h = 0, rest = code; h < state.Length; h++, rest /= values.Length) state[h] = values[rest % values.Length];
            yield return state;
        }
    }

    public static double LogPrior(TruncatedSparseCoder model, double[] state)
    {
        double sum = 0;
        for (int h = 0; h < state.Length; h++)
        {
            sum += Math.Log(model switch
            {
                DiscreteSparseCoding dsc => dsc.Probabilities[dsc.AllValues.ToList().IndexOf(state[h])],
                TernarySparseCoding tsc => state[h] == 0 ? 1 - tsc.Activity : tsc.Activity / 2,
                SpikeSlabSparseCoding gsc => state[h] == 0 ? 1 - gsc.Activities[h] : gsc.Activities[h],
                _ => state[h] == 0 ? 1 - model.Activity : model.Activity,
            });
        }

        return sum;
    }

    /// <summary>log p(y|s), with the D x D covariance of the spike and slab in full.</summary>
    public static double LogLikelihood(TruncatedSparseCoder model, double[] state, double[] y)
    {
        using var scope = NewDisposeScope();
        int[] active = [.. Enumerable.Range(0, state.Length).Where(h => state[h] != 0)];
        Tensor covariance = diag(tensor(Enumerable.Range(0, y.Length).Select(d => NoiseVariance(model, d)).ToArray())), mean;
        if (model is SpikeSlabSparseCoding gsc)
        {
            mean = gsc.Superpose(tensor(state.Select((s, h) => s * gsc.SlabMeans[h]).ToArray(), [1, state.Length]))[0];
            Tensor w = gsc.Dictionary();
            foreach (int h in active) covariance = covariance + (gsc.SlabVariances[h] * w[h].outer(w[h]));
        }
        else if (model is MaxSparseCoding { Hardness: MaxHardness.Soft } max)
        {
            mean = tensor(max.SmoothMaximum(active));
        }
        else
        {
            mean = model.Superpose(tensor(state, [1, state.Length]))[0];
        }

        Tensor rest = (tensor(y) - mean).unsqueeze(1);
        double quadratic = rest.t().mm(linalg.inv(covariance).mm(rest)).item<double>();
        return -0.5 * ((y.Length * Math.Log(2 * Math.PI)) + linalg.eigvalsh(covariance, 'L').log().sum().item<double>() + quadratic);
    }

    /// <summary>log p(y), and P(s_h is not 0 | y).</summary>
    public static (double LogLikelihood, double[] Activity, double[] Mean) Posterior(TruncatedSparseCoder model, double[] y)
    {
        double[][] states = [.. States(model)];
        double[] joint = [.. states.Select(s => LogPrior(model, s) + LogLikelihood(model, s, y))];
        double max = joint.Max(), sum = joint.Sum(j => Math.Exp(j - max));
        double[] activity = new double[model.Components], mean = new double[model.Components];
        for (int i = 0; i < states.Length; i++)
        {
            double weight = Math.Exp(joint[i] - max) / sum;
            for (int h = 0; h < activity.Length; h++)
            {
                if (states[i][h] != 0) activity[h] += weight;
                mean[h] += weight * states[i][h];
            }
        }

        return (max + Math.Log(sum), activity, mean);
    }

    public static double[][] Rows(Tensor matrix) => [.. Enumerable.Range(0, (int)matrix.shape[0]).Select(n => matrix[n].contiguous().data<double>().ToArray())];

    private static double NoiseVariance(TruncatedSparseCoder model, int feature) => model switch
    {
        SpikeSlabSparseCoding { Noise: NoiseShape.Diagonal } gsc => gsc.NoiseVariances[feature],
        SpikeSlabSparseCoding gsc => gsc.NoiseVariances[0],
        _ => model.Sigma * model.Sigma,
    };
}
