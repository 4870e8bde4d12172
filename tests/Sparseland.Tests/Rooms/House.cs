namespace Sparseland.Tests.Rooms;

/// <summary>
/// The rooms of the library in their layers. A room may use rooms of lower layers, and the root namespace; rooms of one layer use each
/// other only where <see cref="Pairs"/> says so, and why. src/Sparseland/README.md shows the same table to readers.
/// </summary>
internal static class House
{
    /// <summary>Rooms (namespaces below Sparseland) from the ground up.</summary>
    public static readonly string[][] Layers =
    [
        ["Native", "Tensors"],
        ["Selection", "Penalties", "IO"],
        ["Kernels", "Evaluation", "Data"],
        ["Models", "Solvers"],
        ["Training"],
        ["Coding", "Probabilistic", "AssociativeMemory", "Unmixing", "Bayes", "Sketching", "Autoencoders", "Retrieval", "Recommendation", "Pruning",
            "FeatureSelection", "LowRank", "FineTuning", "Attention", "ActivationSparsity"],
    ];

    /// <summary>Which rooms of one layer use each other: from, to, and the reason.</summary>
    public static readonly (string From, string To, string Why)[] Pairs =
    [
        ("FineTuning", "LowRank", "adapters are factored layers, and updates are measured by their spectra"),
        ("LowRank", "Coding", "DSFormer: a dense-sparse factorisation is dictionary learning with the rows of a weight as samples"),
    ];

    /// <summary>The layer of a room; the root namespace (Checked, ProgressReport) is below all.</summary>
    public static int LayerOf(string room) =>
        room.Length == 0 ? -1 : Array.FindIndex(Layers, rooms => rooms.Contains(room)) is >= 0 and var layer
            ? layer
            : throw new InvalidOperationException($"The room {room} stands in no layer; give it a place in {nameof(House)}.{nameof(Layers)}.");
}
