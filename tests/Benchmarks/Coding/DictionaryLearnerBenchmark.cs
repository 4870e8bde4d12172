using Sparseland.Coding;
using Sparseland.Penalties;
using TorchSharp;
using static TorchSharp.torch;

namespace Benchmarks.Coding;

/// <summary>Online dictionary learning, five epochs, against MiniBatchDictionaryLearning of scikit-learn; objectives on all samples compared.</summary>
public class DictionaryLearnerBenchmark : IQuickBenchmark
{
    /// <inheritdoc/>
    public IEnumerable<Comparison> Comparisons()
    {
        using PythonPeer? python = PythonPeer.Start("import numpy as np\nfrom sklearn.decomposition import MiniBatchDictionaryLearning");
        (Tensor X, _) = EncodeBenchmark.Planted(20000, 64, 256, 5);
        python?.Put("X", X);
        foreach (double alpha in new[] { 1.0, 0.2 })
        {
            var coder = new CoordinateCoder(new L1(alpha), new CoordinateCoderOptions { Tolerance = 1e-4 });
            OnlineDictionaryLearner Learn()
            {
                var learner = new OnlineDictionaryLearner(X, coder, new LearnerOptions { Atoms = 256, BatchSize = 256, Seed = 1 });
                learner.Fit(X, 5);
                return learner;
            }

            double Objective(Tensor dictionary)
            {
                // One coder for both, to a small gap, atoms of norm at most 1 as both have them.
                using var scope = NewDisposeScope();
                Tensor codes = new CoordinateCoder(new L1(alpha)).Codes(X, dictionary);
                return (X.sub(codes.mm(dictionary)).square().sum().item<double>() / 2 + alpha * codes.abs().sum().item<double>()) / X.shape[0];
            }

            string Note()
            {
                using OnlineDictionaryLearner ours = Learn();
                string mine = $"objective per sample {Objective(ours.Dictionary):F5}";
                if (python is null) return mine;
                using Tensor theirs = tensor(python.Get("m.components_"), [256, 64]);
                return $"{mine}, scikit-learn's {Objective(theirs):F5}";
            }

            string fit = FormattableString.Invariant($"m = MiniBatchDictionaryLearning(256, alpha={alpha:R}, max_iter=5, batch_size=256, random_state=0, fit_algorithm='cd', transform_algorithm='lasso_cd', tol=0, max_no_improvement=None).fit(X)");
            yield return new Comparison(
                $"online dictionary learning, 5 epochs of 20,000 x 64, 256 atoms, alpha = {alpha}", () => Learn().Dispose(), "scikit-learn MiniBatchDictionaryLearning(cd)",
                python is null ? null : () => python.Run(fit), 5, Note);
        }
    }
}
