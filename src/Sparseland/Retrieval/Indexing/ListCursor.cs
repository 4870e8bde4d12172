namespace Sparseland.Retrieval.Indexing;

/// <summary>A place in the list of a query's term. Documents of a block are unpacked when the cursor enters it, values when one is asked for.</summary>
internal sealed class ListCursor
{
    /// <summary>The document of a cursor at its end.</summary>
    internal const int End = int.MaxValue;

    private readonly int[] _documents = new int[PostingBlocks.Size];
    private readonly float[] _values = new float[PostingBlocks.Size];
    private PostingLists _lists = null!;
    private double[]? _norms;
    private PartTable? _table;
    private int _block, _lastBlock, _count, _at, _valuesAt, _shallow;
    private bool _hasValues;

    /// <summary>Weight of the term: the query's times the model's.</summary>
    internal double Weight { get; private set; }

    /// <summary>Bound of its contribution to any document, at least 0, a little above the largest.</summary>
    internal double Max { get; private set; }

    /// <summary>The document it stands on.</summary>
    internal int Document { get; private set; }

    /// <summary>Postings of the list.</summary>
    internal int Postings => _lists.Frequencies[Term];

    internal long BlocksDecoded { get; set; }

    private int Term { get; set; }

    private float[] _blockMax = [];

    /// <summary>Stands on the first posting of a term.</summary>
    internal void Start(InvertedIndex index, int term, double weight)
    {
        (_lists, _norms, _table, _blockMax) = (index.Lists, index.Norms, index.Table, index.BlockMax);
        (Term, Weight, Max) = (term, weight, Bound(weight, index.TermMax[term]));
        (_block, _lastBlock, _shallow) = (_lists.FirstBlock[term], _lists.FirstBlock[term + 1] - 1, _lists.FirstBlock[term]);
        BlocksDecoded = 0;
        Decode();
    }

    private static double Bound(double weight, float max) => weight > 0 ? weight * max * (1 + 1e-6) : 0;

    private void Decode()
    {
        _count = _lists.CountOf(Term, _block);
        ReadOnlySpan<byte> from = _lists.Bytes.Span[_lists.BlockStart[_block]..];
        _valuesAt = PostingBlocks.ReadDocuments(from, _count, _block == _lists.FirstBlock[Term] ? -1 : _lists.BlockLast[_block - 1], _documents);
        (_at, _hasValues, Document) = (0, false, _documents[0]);
        BlocksDecoded++;
    }

    private float[] Values()
    {
        if (!_hasValues) PostingBlocks.ReadValues(_lists.Bytes.Span[(_lists.BlockStart[_block] + _valuesAt)..], _count, _lists.Floats, _values);
        _hasValues = true;
        return _values;
    }

    /// <summary>Contribution of the posting it stands on.</summary>
    internal double Contribution()
    {
        double value = Values()[_at];
        if (_table is not null && value <= PartTable.Counts) return Weight * _table.Parts[(PartTable.Counts * _table.Classes[Document]) + (int)value - 1];
        return Weight * (_norms is null ? value : value / (value + _norms[Document]));
    }

    /// <summary>Moves to the next posting.</summary>
    internal void Next()
    {
        if (++_at < _count) Document = _documents[_at];
        else if (_block < _lastBlock)
        {
            _block++;
            Decode();
        }
        else Document = End;
    }

    /// <summary>Moves to the first posting at a document or after it; never back.</summary>
    internal void Seek(int document)
    {
        if (Document >= document) return;
        if (_lists.BlockLast[_block] < document)
        {
            _block = BlockOf(_block, document);
            if (_block > _lastBlock)
            {
                (_block, Document) = (_lastBlock, End);
                return;
            }

            Decode();
            if (Document >= document) return;
        }

        // Halving without branches that depend on the data: the place of the first document not below.
        int low = _at, length = _count - _at;
        while (length > 1)
        {
            int half = length >> 1;
            if (_documents[low + half - 1] < document) low += half;
            length -= half;
        }

        _at = low;
        Document = _documents[low];
    }

    /// <summary>First block, from one on, that ends at a document or after it: steps that double, then halving.</summary>
    private int BlockOf(int block, int document)
    {
        int[] last = _lists.BlockLast;
        if (block > _lastBlock || last[block] >= document) return block;
        int step = 1;
        while (block + step <= _lastBlock && last[block + step] < document)
        {
            block += step;
            step <<= 1;
        }

        int low = block + 1, high = Math.Min(block + step, _lastBlock + 1);
        while (low < high)
        {
            int middle = (low + high) >>> 1;
            if (last[middle] < document) low = middle + 1;
            else high = middle;
        }

        return low;
    }

    /// <summary>Bound within the block that would hold a document, without unpacking it.</summary>
    /// <param name="document">A document; calls go up.</param>
    /// <param name="last">Last document of the block; <see cref="End"/> behind the list.</param>
    internal double BlockBound(int document, out int last)
    {
        _shallow = BlockOf(_shallow, document);
        last = _shallow > _lastBlock ? End : _lists.BlockLast[_shallow];
        return _shallow > _lastBlock ? 0 : Bound(Weight, _blockMax[_shallow]);
    }

    /// <summary>Bound within a range of documents.</summary>
    /// <param name="from">First document; calls go up.</param>
    /// <param name="to">Document after the last.</param>
    internal double RangeBound(int from, int to)
    {
        _shallow = BlockOf(_shallow, from);
        float most = 0;
        for (int block = _shallow; block <= _lastBlock; block++)
        {
            if (_blockMax[block] > most) most = _blockMax[block];
            if (_lists.BlockLast[block] >= to - 1) break;
        }

        return Bound(Weight, most);
    }

    /// <summary>Adds the contributions of all postings before a document to accumulators, and stands behind them.</summary>
    /// <param name="sums">Sums of the documents from <paramref name="from"/> on.</param>
    /// <param name="from">Document of the first sum; the cursor stands at it or after it.</param>
    /// <param name="to">Document after the last.</param>
    /// <returns>Number of postings.</returns>
    internal int AddTo(Span<double> sums, int from, int to)
    {
        int scored = 0;
        while (Document < to)
        {
            float[] values = Values();
            int end = _at;
            if (_documents[_count - 1] < to) end = _count;
            else while (_documents[end] < to) end++;
            scored += end - _at;
            ReadOnlySpan<int> documents = _documents.AsSpan(_at, end - _at);
            ReadOnlySpan<float> counts = values.AsSpan(_at, documents.Length);
            double weight = Weight;
            if (_table is not null) AddParts(sums, from, documents, counts, weight, _table, _norms!);
            else if (_norms is double[] norms)
            {
                for (int i = 0; i < documents.Length; i++)
                {
                    double value = counts[i];
                    sums[documents[i] - from] += weight * (value / (value + norms[documents[i]]));
                }
            }
            else
            {
                for (int i = 0; i < documents.Length; i++) sums[documents[i] - from] += weight * counts[i];
            }

            _at = end - 1;
            Next();
        }

        return scored;
    }

    private static void AddParts(Span<double> sums, int from, ReadOnlySpan<int> documents, ReadOnlySpan<float> counts, double weight, PartTable table, double[] norms)
    {
        ushort[] classes = table.Classes;
        double[] parts = table.Parts;
        for (int i = 0; i < documents.Length; i++)
        {
            int document = documents[i], at = (int)counts[i] - 1;
            double part = at < PartTable.Counts ? parts[(PartTable.Counts * classes[document]) + at] : (double)counts[i] / (counts[i] + norms[document]);
            sums[document - from] += weight * part;
        }
    }

    /// <summary>As <see cref="AddTo"/> in float32, which is enough to see what cannot enter and takes half the room.</summary>
    internal int AddRounded(Span<float> sums, int from, int to)
    {
        int scored = 0;
        float weight = (float)Weight;
        while (Document < to)
        {
            float[] values = Values();
            int end = _at;
            if (_documents[_count - 1] < to) end = _count;
            else while (_documents[end] < to) end++;
            scored += end - _at;
            ReadOnlySpan<int> documents = _documents.AsSpan(_at, end - _at);
            ReadOnlySpan<float> counts = values.AsSpan(_at, documents.Length);
            if (_table is not null)
            {
                ushort[] classes = _table.Classes;
                float[] parts = _table.Rounded;
                for (int i = 0; i < documents.Length; i++)
                {
                    int document = documents[i], at = (int)counts[i] - 1;
                    float part = at < PartTable.Counts ? parts[(PartTable.Counts * classes[document]) + at] : (float)((double)counts[i] / (counts[i] + _norms![document]));
                    sums[document - from] += weight * part;
                }
            }
            else if (_norms is double[] norms)
            {
                for (int i = 0; i < documents.Length; i++) sums[documents[i] - from] += weight * (float)((double)counts[i] / (counts[i] + norms[documents[i]]));
            }
            else
            {
                for (int i = 0; i < documents.Length; i++) sums[documents[i] - from] += weight * counts[i];
            }

            _at = end - 1;
            Next();
        }

        return scored;
    }
}
