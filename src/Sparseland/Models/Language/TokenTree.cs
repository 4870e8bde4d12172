using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Models.Language;

/// <summary>
/// Tokens after a text that branch: each stands one place behind its parent and sees the text, its ancestors and itself, and no other branch. A decoder reads all branches in one pass
/// (<see cref="TinyLM.TreeLogits"/>).
/// </summary>
public sealed class TokenTree
{
    private readonly List<int> _ids, _parents, _depths;

    /// <summary>A tree with a root.</summary>
    /// <param name="start">Tokens of the text before it; the root's position.</param>
    /// <param name="root">The root's token.</param>
    /// <exception cref="ArgumentOutOfRangeException">start is negative.</exception>
    public TokenTree(int start, int root)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(start);
        Start = start;
        (_ids, _parents, _depths) = ([root], [-1], [0]);
    }

    /// <summary>Tokens of the text before the root.</summary>
    public int Start { get; }

    /// <summary>Nodes, the root included.</summary>
    public int Count => _ids.Count;

    /// <summary>Tokens of the nodes, in the order in which they were added.</summary>
    public IReadOnlyList<int> Ids => _ids;

    /// <summary>Parents of the nodes; -1 of the root.</summary>
    public IReadOnlyList<int> Parents => _parents;

    /// <summary>Edges from the root.</summary>
    public IReadOnlyList<int> Depths => _depths;

    /// <summary>Adds a node.</summary>
    /// <param name="token">Its token.</param>
    /// <param name="parent">A node that is there.</param>
    /// <returns>The node.</returns>
    /// <exception cref="ArgumentOutOfRangeException">There is no such parent.</exception>
    public int Add(int token, int parent)
    {
        if (parent < 0 || parent >= Count) throw new ArgumentOutOfRangeException(nameof(parent), parent, $"The tree has nodes 0 to {Count - 1}.");
        _ids.Add(token);
        _parents.Add(parent);
        _depths.Add(_depths[parent] + 1);
        return Count - 1;
    }

    /// <summary>The nodes from the root to a node.</summary>
    /// <param name="node">The node.</param>
    /// <exception cref="ArgumentOutOfRangeException">There is no such node.</exception>
    public IReadOnlyList<int> Path(int node)
    {
        if (node < 0 || node >= Count) throw new ArgumentOutOfRangeException(nameof(node), node, $"The tree has nodes 0 to {Count - 1}.");
        var path = new List<int>();
        for (int at = node; at >= 0; at = _parents[at]) path.Add(at);
        path.Reverse();
        return path;
    }

    /// <summary>What the nodes from one on do not see: [nodes, text and all nodes], true where hidden.</summary>
    internal Tensor Hidden(int first, Device device)
    {
        int rows = Count - first, columns = Start + Count;
        bool[] hidden = new bool[rows * columns];
        for (int row = 0; row < rows; row++)
        {
            hidden.AsSpan((row * columns) + Start, Count).Fill(true);
            for (int at = first + row; at >= 0; at = _parents[at]) hidden[(row * columns) + Start + at] = false;
        }

        return tensor(hidden, [rows, columns]).to(device);
    }
}
