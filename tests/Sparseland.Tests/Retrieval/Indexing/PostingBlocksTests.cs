using Sparseland.Retrieval.Indexing;

namespace Sparseland.Tests.Retrieval.Indexing;

public class PostingBlocksTests
{
    public static TheoryData<int, int> Widths()
    {
        var widths = new TheoryData<int, int>();
        for (int width = 0; width < 31; width++)
        {
            foreach (int count in new[] { 128, 127, 1 }) widths.Add(width, count);
        }

        return widths;
    }

    [Theory]
    [MemberData(nameof(Widths))]
    public void Blocks_of_every_width_come_back(int width, int count)
    {
        var random = new Random(width);
        int[] documents = new int[count];
        float[] values = new float[count], floats = new float[count];
        long document = -1;
        for (int i = 0; i < count; i++)
        {
            // One gap of the full width; the rest small enough for all to fit 31 bits.
            document += 1 + (i == count / 2 ? (1L << width) - 1 : random.Next(0, 2) & (width > 0 ? 1 : 0));
            documents[i] = (int)document;
            values[i] = 1 + (width > 24 ? random.Next(0, 1 << 24) : (float)random.NextInt64(0, 1L << width));
            floats[i] = random.NextSingle() + 0.001f;
        }

        foreach (bool asFloats in new[] { false, true })
        {
            var bytes = new ByteList();
            bytes.Add(77);
            PostingBlocks.Write(documents, asFloats ? floats : values, -1, asFloats, bytes);
            var (readDocuments, readValues) = (new int[128], new float[128]);
            int read = PostingBlocks.ReadDocuments(bytes.Span[1..], count, -1, readDocuments);
            PostingBlocks.ReadValues(bytes.Span[(1 + read)..], count, asFloats, readValues);
            Assert.Equal(documents, readDocuments[..count]);
            Assert.Equal(asFloats ? floats : values, readValues[..count]);
        }
    }

    [Fact]
    public void Equal_gaps_and_counts_of_one_take_two_bytes()
    {
        var bytes = new ByteList();
        PostingBlocks.Write([.. Enumerable.Range(0, 128)], [.. Enumerable.Repeat(1f, 128)], -1, floats: false, bytes);
        Assert.Equal(2, bytes.Count);
    }
}
