using System.Globalization;
using Sparseland.Data;
using Sparseland.Unmixing;
using TorchSharp;
using static TorchSharp.torch;

namespace Benchmarks.Unmixing;

/// <summary>
/// Fifty sweeps of unmixing, 200 channels and 5 endmembers, against the multiplicative updates of scikit-learn's NMF from the same start. With the squared
/// loss, no penalty and free sums both do the same steps in the same order (X = Y^T, so W is A^T and comes first) and must end at the same objective;
/// ours also evaluates the objective after every sweep, scikit-learn's with tol = 0 does not. The whole method is then set against the same peer: what
/// the robust loss and the learned powers cost on top.
/// </summary>
public class UnmixingBenchmark : IQuickBenchmark
{
    private const int Sweeps = 50;
    private const int Endmembers = 5;

    /// <inheritdoc/>
    public IEnumerable<Comparison> Comparisons()
    {
        using PythonPeer? python = PythonPeer.Start("import numpy as np\nfrom sklearn.decomposition import non_negative_factorization");
        foreach ((int height, int width) in new[] { (25, 40), (100, 100), (200, 200) })
        {
            using HyperspectralScene scene = HyperspectralScene.Landscape(
                new() { Height = height, Width = width, Channels = 200, Endmembers = Endmembers, BadChannels = 20 }, 1);
            Tensor Y = scene.Pixels;
            using Tensor M = EndmemberInit.Spa(Y, Endmembers), A = EndmemberInit.EvenAbundances(Endmembers, height * width, 1);
            using (Tensor Yt = Y.t(), Mt = M.t(), At = A.t())
            {
                python?.Put("X", Yt);
                python?.Put("H0", Mt);
                python?.Put("W0", At);
            }

            UnmixingOptions robust = new()
            {
                MaxSweeps = Sweeps,
                Tolerance = 0,
                InitialEndmembers = M,
                InitialAbundances = A,
                Sparsity = AbundanceSparsity.Learned(0.2) with { FrozenSweeps = 10 },
            };
            UnmixingOptions plain = robust with { Loss = UnmixingLoss.Squared, Sparsity = AbundanceSparsity.None, SumToOneWeight = 0 };
            Action? peer = python is null ? null : () => python.Run(string.Create(
                CultureInfo.InvariantCulture,
                $"W, H, n = non_negative_factorization(X, W=W0.copy(), H=H0.copy(), n_components={Endmembers}, init='custom', solver='mu', tol=0, max_iter={Sweeps})"));
            string size = $"200 x {height * width:N0} x {Endmembers}";
            yield return new Comparison(
                $"{Sweeps} sweeps of plain NMF, {size}", () => SpectralUnmixing.Fit(Y, Endmembers, plain).Dispose(), "scikit-learn NMF(mu)", peer,
                Note: () =>
                {
                    using UnmixingResult ours = SpectralUnmixing.Fit(Y, Endmembers, plain);
                    string mine = FormattableString.Invariant($"objective after {ours.Sweeps} sweeps {ours.ObjectiveTrace[^1]:R}");
                    return python is null ? mine : FormattableString.Invariant($"{mine}, scikit-learn's after {python.Get("n")[0]} {python.Get("((X - W @ H) ** 2).sum() / 2")[0]:R}");
                });
            yield return new Comparison(
                $"{Sweeps} sweeps of the whole method, {size}", () => SpectralUnmixing.Fit(Y, Endmembers, robust).Dispose(), "scikit-learn NMF(mu), plain",
                peer);
        }
    }
}
