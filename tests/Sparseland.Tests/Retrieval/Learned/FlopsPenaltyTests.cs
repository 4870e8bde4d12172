using Sparseland.Retrieval;
using Sparseland.Retrieval.Learned;
using Sparseland.Tests.Models.Language;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Tests.Retrieval.Learned;

public class FlopsPenaltyTests
{
    private static Tensor Weights(long rows, long terms, long seed)
    {
        using var generator = new Generator((ulong)seed);
        return randn([rows, terms], ScalarType.Float64, generator: generator).relu();
    }

    /// <summary>A binary query with the penalty over idf is the idf query with the plain one: scores, loss, and gradients by the chain rule.</summary>
    [Fact]
    public void Idf_in_the_query_and_idf_in_the_penalty_are_one()
    {
        using DisposeScope scope = NewDisposeScope();
        Tensor idf = rand([7], ScalarType.Float64, generator: new Generator(3)) + 0.2, queries = (Weights(4, 7, 5) > 0.3).to(ScalarType.Float64);
        Tensor w = Weights(6, 7, 1).requires_grad_(true), u = (w.detach() * idf).requires_grad_(true);
        Tensor withTable = (queries * idf).matmul(w.t()), binary = queries.matmul(u.t());
        TinyModels.AssertClose(withTable, binary, 1e-10);
        Tensor target = arange(4, ScalarType.Int64);
        Tensor loss = RankingLosses.InfoNce(withTable, target) + (FlopsPenalty.Of(w) * 0.3), other = RankingLosses.InfoNce(binary, target) + (FlopsPenalty.IdfAware(u, idf) * 0.3);
        Assert.Equal(loss.item<double>(), other.item<double>(), 1e-10);
        loss.backward();
        other.backward();
        TinyModels.AssertClose(w.grad!, u.grad! * idf, 1e-10);
    }

    [Fact]
    public void Groups_of_one_are_the_plain_penalty_and_equal_documents_count_as_often_as_they_stand()
    {
        using DisposeScope scope = NewDisposeScope();
        Tensor w = Weights(6, 5, 2);
        Assert.Equal(FlopsPenalty.Of(w).item<double>(), FlopsPenalty.Of(w, 1).item<double>(), 1e-12);
        Assert.Equal(3 * FlopsPenalty.Of(w).item<double>(), FlopsPenalty.Of(w.repeat_interleave(3, 0), 3).item<double>(), 1e-10);
    }

    [Fact]
    public void Of_zeros_and_ones_it_is_the_expected_number_of_multiplications()
    {
        using DisposeScope scope = NewDisposeScope();
        SparseVector[] rows = [SparseVector.Of([0, 2], [1, 1]), SparseVector.Of([2], [1]), SparseVector.Of([1, 2], [1, 1]), SparseVector.Empty];
        Tensor w = tensor(new double[] { 1, 0, 1, 0, 0, 1, 0, 1, 1, 0, 0, 0 }, [4, 3]);

        // Shares 1/4, 1/4, 3/4.
        Assert.Equal((1 + 1 + 9) / 16.0, FlopsPenalty.Of(w).item<double>(), 1e-12);
        Assert.Equal((1 + 1 + 9) / 16.0, FlopsPenalty.Expected(rows, rows), 1e-12);
        Assert.Equal(0.75, FlopsPenalty.Expected([SparseVector.Of([2, 9], [5, 5])], rows), 1e-12);
    }

    [Fact]
    public void The_weight_grows_quadratically_and_stays()
    {
        Assert.Equal([0, 0.0025, 0.01, 0.04, 0.04], new long[] { 0, 25, 50, 100, 1000 }.Select(t => Math.Round(FlopsPenalty.WeightAt(0.04, 100, t), 12)));
        Assert.Throws<ArgumentOutOfRangeException>("lambda", () => FlopsPenalty.WeightAt(-1, 100, 0));
        Assert.Throws<ArgumentOutOfRangeException>("ramp", () => FlopsPenalty.WeightAt(1, 0, 0));
    }

    [Fact]
    public void Bad_input_is_named()
    {
        using DisposeScope scope = NewDisposeScope();
        Tensor w = Weights(6, 5, 2);
        Assert.Contains("6 documents do not divide into groups of 4", Assert.Throws<ArgumentException>("perQuery", () => FlopsPenalty.Of(w, 4)).Message, StringComparison.Ordinal);
        Assert.Contains("another vocabulary", Assert.Throws<ArgumentException>("idf", () => FlopsPenalty.IdfAware(w, ones(4, ScalarType.Float64))).Message, StringComparison.Ordinal);
        Assert.Throws<ArgumentException>("idf", () => FlopsPenalty.IdfAware(w, tensor(new[] { 1, 1, -1.0, 1, 1 })));
        Assert.Throws<ArgumentException>("idf", () => FlopsPenalty.IdfAware(w, tensor(new[] { 1, 1, double.NaN, 1, 1 })));
        Assert.Throws<ArgumentException>("weights", () => FlopsPenalty.Of(w[0]));
        Assert.Throws<ArgumentException>("queries", () => FlopsPenalty.Expected([], [SparseVector.Empty]));
    }
}
