using System.Runtime.CompilerServices;
using Sparseland.Solvers;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Tests.Solvers;

/// <summary>A column outlives its map: no span shows memory that may be freed while somebody reads it.</summary>
public sealed class DenseMapMemoryTests
{
    [Theory]
    [InlineData(ScalarType.Float64)]
    [InlineData(ScalarType.Float32)]
    public void AColumnOutlivesItsMap(ScalarType type)
    {
        ReadOnlySpan<double> column = ColumnOfAForgottenMap(type, dispose: false), ofDisposed = ColumnOfAForgottenMap(type, dispose: true);
        for (int round = 0; round < 3; round++)
        {
            GC.Collect();
            GC.WaitForPendingFinalizers();
        }

        double[][] others = [.. Enumerable.Range(0, 20).Select(_ => new double[1_000_000])];
        Assert.Equal(0, others[^1][^1]);
        Assert.False(column.ContainsAnyExcept(7.0) || ofDisposed.ContainsAnyExcept(7.0));
    }

    [Fact]
    public void AColumnIsNoViewOfTheCallersTensor()
    {
        using Tensor atoms = ones([3, 4], dtype: ScalarType.Float64);
        using DenseMap map = DenseMap.FromAtoms(atoms);
        ReadOnlySpan<double> column = map.Column(1);
        atoms.fill_(2);
        Assert.False(column.ContainsAnyExcept(1.0));
        Assert.Throws<ArgumentOutOfRangeException>(() => map.Column(3).Length);
        map.Dispose();
        Assert.Throws<ObjectDisposedException>(() => map.Column(0).Length);
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static ReadOnlySpan<double> ColumnOfAForgottenMap(ScalarType type, bool dispose)
    {
        Tensor atoms = full([2000, 2000], 7.0, dtype: type);
        DenseMap map = DenseMap.FromAtoms(atoms);
        atoms.Dispose();
        ReadOnlySpan<double> column = map.Column(1999);
        if (dispose) map.Dispose();
        return column;
    }
}
