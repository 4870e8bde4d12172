namespace Sparseland.Training.Continual;

/// <summary>Settings of <see cref="ContinualSparse"/>.</summary>
public sealed record ContinualOptions
{
    /// <summary>Share of all weights in the mask of each task, above 0 and at most 1. Default 0.1.</summary>
    public double Density { get; init; } = 0.1;

    /// <summary>Densities of the layers. Default ERK.</summary>
    public LayerAllocation Allocation { get; init; } = LayerAllocation.Erk;

    /// <summary>When and how much the mask moves while its task is learned; null, the default, for a static mask.</summary>
    public TopologyOptions? Topology { get; init; }

    /// <summary>What is dropped, where the mask moves. Default the smallest weights.</summary>
    public IDropScore Drop { get; init; } = new DropMagnitude();

    /// <summary>What grows, where the mask moves. Default at random.</summary>
    public IGrowScore Growth { get; init; } = new GrowRandom();

    /// <summary>Where it may grow. Default everywhere.</summary>
    public GrowthCandidates Candidates { get; init; } = GrowthCandidates.All;

    /// <summary>Weights of earlier tasks are never changed. Without it every task trains all of its mask: plain finetuning. Default true.</summary>
    public bool Isolate { get; init; } = true;

    /// <summary>Accepts norms, biases and other parameters that all tasks share and go on training, which breaks isolation. Default false.</summary>
    public bool AllowSharedNorms { get; init; }

    /// <summary>
    /// As the published code does it: a weight of an earlier task that grows into the mask begins at 0 while its task is trained, and has its stored value when the task
    /// is tested, so that another network is tested than was trained. Default false: it has its stored value at once.
    /// </summary>
    public bool AsPublished { get; init; }

    /// <summary>Steps and rates of each task, with a new optimizer (AdamW). Default 120 steps of Adam at 0.003 without decay or clipping, warm-up over a tenth, then a cosine to 0.</summary>
    public TrainingOptions Training { get; init; } =
        new() { Steps = 120, LearningRate = 0.003, WarmUp = 12, FinalRate = 0, WeightDecay = 0, Beta2 = 0.999, ClipNorm = double.PositiveInfinity };

    /// <summary>Seed of the masks and of growth. Default 1.</summary>
    public long Seed { get; init; } = 1;

    /// <summary>Throws when a value is outside its range.</summary>
    /// <exception cref="ArgumentException">A value is outside its range.</exception>
    public void Validate()
    {
        if (!(Density is > 0 and <= 1)) throw new ArgumentOutOfRangeException(nameof(Density), Density, "Density must lie above 0 and not above 1.");
        ArgumentNullException.ThrowIfNull(Allocation);
        ArgumentNullException.ThrowIfNull(Drop);
        ArgumentNullException.ThrowIfNull(Growth);
        ArgumentNullException.ThrowIfNull(Training);
        Training.Validate();
        if (Training.Checkpoint is not null) throw new ArgumentException("Training.Checkpoint must be null: one file cannot serve all tasks.", nameof(Training));
        Topology?.Validate();
        if (!Enum.IsDefined(Candidates)) throw new ArgumentOutOfRangeException(nameof(Candidates), Candidates, "Candidates is All or FreeOnly.");
    }
}
