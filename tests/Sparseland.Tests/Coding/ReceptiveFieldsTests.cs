using Sparseland.Coding;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Tests.Coding;

public class ReceptiveFieldsTests
{
    [Fact]
    public void A_grating_prefers_itself()
    {
        using var scope = NewDisposeScope();
        OrientationTuning empty = ReceptiveFields.OrientationSelectivity(ones(1, 144, dtype: ScalarType.Float64), 12);
        Assert.InRange(empty.Amplitude[0, 3, 2], 0, 1e-10);
        foreach ((int orientation, int frequency) in ((int, int)[])[(0, 2), (5, 3), (12, 1), (19, 4)])
        {
            double angle = empty.Orientations[orientation], f = empty.Frequencies[frequency];
            double[] atom = new double[144];
            for (int i = 0; i < 144; i++)
                atom[i] = Math.Cos(2 * Math.PI * f * ((i % 12 - 5.5) * Math.Cos(angle) + (i / 12 - 5.5) * Math.Sin(angle)) + 0.4);
            OrientationTuning tuning = ReceptiveFields.OrientationSelectivity(tensor(atom).view(1, 144), 12);
            Assert.Equal(angle, tuning.PreferredOrientation[0], 12);
            Assert.Equal(f, tuning.PreferredFrequency[0], 12);
            Assert.True(tuning.SelectivityIndex[0] > 0.4);
        }
    }

    [Fact]
    public void White_noise_is_hardly_selective_and_a_blob_not_at_all()
    {
        using var scope = NewDisposeScope();
        OrientationTuning noise = ReceptiveFields.OrientationSelectivity(CodingData.Random(500, 100, 1), 10);
        Assert.InRange(noise.MedianSelectivity, 0.06, 0.10);
        double[] blob = new double[121];
        for (int i = 0; i < 121; i++) blob[i] = Math.Exp(-(Math.Pow(i % 11 - 5, 2) + Math.Pow(i / 11 - 5, 2)) / 4);
        Assert.InRange(ReceptiveFields.OrientationSelectivity(tensor(blob).view(1, 121), 11).SelectivityIndex[0], 0, 0.02);
    }

    [Fact]
    public void Refuses_bad_input()
    {
        using var scope = NewDisposeScope();
        Tensor D = CodingData.Random(3, 100, 1);
        Assert.Contains("81", Assert.Throws<ArgumentException>(() => ReceptiveFields.OrientationSelectivity(D, 9)).Message);
        Assert.Throws<ArgumentException>(() => ReceptiveFields.OrientationSelectivity(D, 10, frequencies: [0.7]));
        Assert.Throws<ArgumentOutOfRangeException>(() => ReceptiveFields.OrientationSelectivity(D, 10, 2));
    }
}
