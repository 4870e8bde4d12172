namespace Sparseland.Tests.Rooms;

/// <summary>Arrows between the rooms point down, read from the compiled assembly.</summary>
public class ArchitectureTests
{
    private static readonly Lazy<(string From, string To, string Example)[]> Arrows = new(() =>
    [
        .. typeof(ProgressReport).Assembly.GetTypes()
            .Where(type => InLibrary(type) && type.Namespace is not null)
            .SelectMany(type => TypeUses.Of(type).Where(InLibrary).Select(used => (From: Room(type), To: Room(used), Example: $"{type.FullName} uses {used.FullName}")))
            .Where(arrow => arrow.From != arrow.To)
            .GroupBy(arrow => (arrow.From, arrow.To)).Select(same => same.First()),
    ]);

    [Fact]
    public void Every_arrow_points_to_a_lower_layer_or_is_a_named_pair()
    {
        string[] wrong =
        [
            .. Arrows.Value
                .Where(a => House.LayerOf(a.To) >= House.LayerOf(a.From) && !House.Pairs.Any(p => (p.From, p.To) == (a.From, a.To) && House.LayerOf(p.From) == House.LayerOf(p.To)))
                .Select(a => $"{a.From} (layer {House.LayerOf(a.From)}) -> {a.To} (layer {House.LayerOf(a.To)}): {a.Example}"),
        ];
        Assert.True(wrong.Length == 0, string.Join("\n", wrong));
    }

    [Fact]
    public void No_room_reaches_itself_through_others()
    {
        ILookup<string, string> next = Arrows.Value.ToLookup(a => a.From, a => a.To);
        foreach (string room in next.Select(g => g.Key))
        {
            var seen = new HashSet<string>();
            var open = new Stack<string>(next[room]);
            while (open.TryPop(out string? at))
            {
                Assert.False(at == room, $"{room} uses {string.Join(", ", next[room])}, and one of them leads back to it.");
                if (!seen.Add(at)) continue;
                foreach (string to in next[at]) open.Push(to);
            }
        }
    }

    [Fact]
    public void Every_named_pair_is_in_use()
    {
        foreach ((string from, string to, string why) in House.Pairs)
        {
            Assert.Contains(Arrows.Value, a => (a.From, a.To) == (from, to));
            Assert.NotEmpty(why);
        }
    }

    /// <summary>The scan itself: arrows that are plainly in the sources, by signature, by body and through a lambda's class.</summary>
    [Theory]
    [InlineData("Coding", "Solvers")]
    [InlineData("Training", "Models")]
    [InlineData("Sketching", "Kernels")]
    [InlineData("Selection", "Tensors")]
    public void The_scan_finds_what_is_there(string from, string to) => Assert.Contains(Arrows.Value, a => (a.From, a.To) == (from, to));

    /// <summary>The house page for readers lists the same rooms in the same layers.</summary>
    [Fact]
    public void The_house_page_shows_these_layers()
    {
        string page = File.ReadAllText(Path.Combine(RepositoryRoot(), "src", "Sparseland", "README.md"));
        string[] present = [.. Arrows.Value.SelectMany(a => new[] { a.From, a.To }).Where(room => room.Length > 0).Distinct()];
        for (int layer = 0; layer < House.Layers.Length; layer++)
        {
            foreach (string room in House.Layers[layer].Where(present.Contains))
                Assert.Matches($@"(?m)^\| {layer} \| .*`{room}`", page);
        }
    }

    /// <summary>Every namespace of the library is named on the house page.</summary>
    [Fact]
    public void The_house_page_names_every_room()
    {
        string page = File.ReadAllText(Path.Combine(RepositoryRoot(), "src", "Sparseland", "README.md"));
        IEnumerable<string> rooms = typeof(ProgressReport).Assembly.GetTypes().Where(type => type.IsPublic && InLibrary(type)).Select(type => type.Namespace!).Distinct()
            .Where(name => name != "Sparseland").Select(name => name["Sparseland.".Length..]);
        Assert.All(rooms, room => Assert.Contains($"`{room}`", page, StringComparison.Ordinal));
    }

    internal static string RepositoryRoot()
    {
        string folder = AppContext.BaseDirectory;
        while (!File.Exists(Path.Combine(folder, "Notebooks.sln"))) folder = Path.GetDirectoryName(folder)!;
        return folder;
    }

    private static bool InLibrary(Type type) => type.Namespace?.StartsWith("Sparseland", StringComparison.Ordinal) == true;

    private static string Room(Type type)
    {
        string[] parts = type.Namespace!.Split('.');
        return parts.Length > 1 ? parts[1] : "";
    }
}
