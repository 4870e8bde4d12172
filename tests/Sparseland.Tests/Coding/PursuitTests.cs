using Sparseland.Coding;
using Sparseland.Evaluation;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Tests.Coding;

public class PursuitTests
{
    [Fact]
    public void Codes_are_those_of_scikit_learn()
    {
        // scikit-learn 1.2.1: sparse_encode(X, D, algorithm='omp', n_nonzero_coefs=3) on the X and D of CodingData.
        double[,] expected =
        {
            { 0, 0, 0, 0, 0, 1.208282962761, -1.819264966467, -0.041970219659 },
            { 0, 0, 0.380798860583, 0, 0, 0, 1.417976245423, -0.280158558421 },
            { 0, 0, -1.934517580236, -0.318034737579, 0.895191413214, 0, 0, 0 },
        };
        using var scope = NewDisposeScope();
        Tensor X = CodingData.PeerX(), D = CodingData.PeerDictionary();
        using PursuitResult result = BatchOmp.Encode(X, D, 3);
        Assert.InRange(CodingData.MaxDifference(result.ToDense(), tensor(expected)), 0, 1e-10);
        Assert.Equal(0, result.StoppedEarly);
        Assert.InRange(CodingData.MaxDifference(result.ResidualNormSquared, (X - result.ToDense().mm(D)).pow(2).sum(1)), 0, 1e-12);
    }

    [Theory]
    [InlineData(ScalarType.Float64)]
    [InlineData(ScalarType.Float32)]
    public void Selects_and_solves_as_the_textbook_does(ScalarType type)
    {
        using var scope = NewDisposeScope();
        Tensor D = CodingData.Dictionary(90, 40, 1), X = CodingData.Random(300, 40, 2);
        using PursuitResult result = BatchOmp.Encode(X.to(type), D.to(type), 6);
        long[] indices = result.Indices.data<long>().ToArray();
        int disagreements = 0;
        for (int s = 0; s < 300; s++)
        {
            long[] textbook = Textbook(X[s], D, 6);
            if (!textbook.SequenceEqual(indices[(s * 6)..(s * 6 + 6)])) disagreements++;
        }

        // In float32 two correlations may be closer than rounding.
        Assert.InRange(disagreements, 0, type == ScalarType.Float64 ? 0 : 3);
        Tensor refit = DebiasedRefit.Fit(X, D, result.ToDense().to(ScalarType.Float64));
        Assert.InRange(CodingData.MaxDifference(refit, result.ToDense()), 0, type == ScalarType.Float64 ? 1e-10 : 1e-4);
    }

    [Fact]
    public void Atoms_of_any_length_give_the_same_reconstruction()
    {
        using var scope = NewDisposeScope();
        Tensor D = CodingData.Dictionary(50, 20, 1), X = CodingData.Random(40, 20, 2);
        Tensor lengths = linspace(0.1, 7, 50, dtype: ScalarType.Float64).view(50, 1);
        using PursuitResult unit = BatchOmp.Encode(X, D, 4), scaled = BatchOmp.Encode(X, D * lengths, 4);
        Assert.True(unit.Indices.equal(scaled.Indices).all().item<bool>());
        Assert.InRange(CodingData.MaxDifference(unit.ToDense().mm(D), scaled.ToDense().mm(D * lengths)), 0, 1e-11);
    }

    [Fact]
    public void Stops_early_with_a_flag()
    {
        using var scope = NewDisposeScope();
        Tensor D = CodingData.Dictionary(6, 5, 1);
        D[1] = D[0];
        Tensor X = stack([2 * D[0], zeros(5, dtype: ScalarType.Float64), D[2] + D[4]]);
        using PursuitResult result = BatchOmp.Encode(X, D, 3);
        long[] indices = result.Indices.data<long>().ToArray();
        Assert.Equal(0, indices[0]);
        Assert.Equal([-1, -1, -1], indices[3..6]);
        Assert.True(result.StoppedEarly >= 2);
        Assert.InRange(CodingData.MaxDifference(result.ToDense().narrow(0, 0, 2).mm(D), X.narrow(0, 0, 2)), 0, 1e-12);
        Assert.Equal(0, result.ToDense()[1].abs().sum().item<double>());
    }

    [Fact]
    public void Refuses_bad_input()
    {
        using var scope = NewDisposeScope();
        Tensor D = CodingData.Dictionary(8, 5, 1), X = CodingData.Random(3, 5, 2);
        Assert.Contains("= 5", Assert.Throws<ArgumentOutOfRangeException>(() => BatchOmp.Encode(X, D, 6)).Message);
        Assert.Throws<ArgumentOutOfRangeException>(() => BatchOmp.Encode(X, D, 0));
        Assert.Throws<ArgumentException>(() => BatchOmp.Encode(CodingData.Random(3, 4, 2), D, 2));
        Assert.Throws<ArgumentException>(() => DebiasedRefit.Fit(X, D, X));
    }

    [Fact]
    public void Refit_is_least_squares_on_the_support()
    {
        using var scope = NewDisposeScope();
        Tensor D = CodingData.Dictionary(12, 7, 1), X = CodingData.Random(20, 7, 2);
        Tensor codes = CodingData.Random(20, 12, 3);
        codes = codes.where(codes.abs() > 1.1, 0.0);
        Tensor refit = DebiasedRefit.Fit(X, D, codes);
        Tensor gradient = (X - refit.mm(D)).mm(D.t());
        Assert.InRange((gradient * (codes != 0)).abs().max().item<double>(), 0, 1e-10);
        Assert.True(((refit != 0) & (codes == 0)).sum().item<long>() == 0);

        // A duplicated atom adds nothing and must not break the factorization.
        D[1] = D[0];
        Tensor both = zeros(1, 12, dtype: ScalarType.Float64);
        both[0, 0] = 1;
        both[0, 1] = 1;
        Tensor x = 3 * D.narrow(0, 0, 1);
        Assert.InRange(CodingData.MaxDifference(DebiasedRefit.Fit(x, D, both).mm(D), x), 0, 1e-12);
    }

    private static long[] Textbook(Tensor x, Tensor D, int k)
    {
        using var scope = NewDisposeScope();
        var support = new List<long>();
        Tensor residual = x.clone();
        while (support.Count < k)
        {
            support.Add(D.mv(residual).abs().argmax().item<long>());
            Tensor chosen = D.index_select(0, tensor(support.ToArray()));
            Tensor solution = linalg.lstsq(chosen.t(), x.view(-1, 1)).Solution;
            residual = x - chosen.t().mm(solution).view(-1);
        }

        return [.. support];
    }
}
