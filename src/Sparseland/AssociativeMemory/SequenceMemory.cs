using Sparseland.Tensors;

namespace Sparseland.AssociativeMemory;

/// <summary>What a recalled sequence was.</summary>
/// <param name="Codes">Code of each frame.</param>
/// <param name="Frames">Inputs that each code decodes to, ascending.</param>
public sealed record SequenceRecall(CodeResult[] Codes, int[][] Frames)
{
    /// <inheritdoc/>
    public override string ToString() => Readable.Of(this);
}

/// <summary>
/// A macrocolumn that is shown sequences frame by frame: each code is chosen by the frame (U) and the previous code (H), so the same
/// frame gets different codes in different contexts, and H alone carries a recall on from its first frame.
/// </summary>
/// <remarks>
/// Sequences are told apart only by <see cref="End"/>: without it the first frame of the next would be bound to the last of this one.
/// Forgetting it is therefore an error, not a habit.
/// </remarks>
public sealed class SequenceMemory
{
    private int[]? previous;
    private double boost = 1;
    private bool running;

    /// <summary>A sequence memory over a macrocolumn.</summary>
    /// <param name="mac">Where sequences are stored.</param>
    /// <param name="choiceSignals">
    /// Signals by which codes are chosen while learning; U alone is the control whose codes know no context, while H is still learned.
    /// Default All.
    /// </param>
    public SequenceMemory(Macrocolumn mac, MacSignals choiceSignals = MacSignals.All)
    {
        ArgumentNullException.ThrowIfNull(mac);
        if ((choiceSignals & MacSignals.U) == 0)
            throw new ArgumentException($"Codes are to be chosen by {choiceSignals}; the first frame of a sequence has U only, so U must be among them.", nameof(choiceSignals));
        Mac = mac;
        ChoiceSignals = choiceSignals;
    }

    /// <summary>Where sequences are stored.</summary>
    public Macrocolumn Mac { get; }

    /// <summary>Signals by which codes are chosen while learning.</summary>
    public MacSignals ChoiceSignals { get; }

    /// <summary>Starts a sequence: the next frame has no past.</summary>
    /// <exception cref="InvalidOperationException">Another sequence has not been ended.</exception>
    public void Begin()
    {
        if (running) throw new InvalidOperationException("A sequence is running; call End before the next one, or its first frame would follow the last of this one.");
        (running, previous, boost) = (true, null, 1);
    }

    /// <summary>Ends the sequence.</summary>
    public void End() => (running, previous, boost) = (false, null, 1);

    /// <summary>Stores the next frame.</summary>
    /// <param name="frame">Active inputs.</param>
    /// <exception cref="InvalidOperationException">No sequence is running.</exception>
    /// <exception cref="ArgumentException">The frame is malformed.</exception>
    public CodeResult Store(int[] frame)
    {
        RequireRunning();
        return Keep(Mac.Store(new(frame, previous), ChoiceSignals));
    }

    /// <summary>Recalls the code of the next frame from what is given, without learning.</summary>
    /// <param name="frame">Active inputs, or null to go on by the previous code alone.</param>
    /// <exception cref="InvalidOperationException">No sequence is running, or the first frame is null.</exception>
    /// <exception cref="ArgumentException">The frame is malformed.</exception>
    public CodeResult Recall(int[]? frame)
    {
        RequireRunning();
        if (frame is null && previous is null) throw new InvalidOperationException("A recall needs its first frame: there is no previous code to go on from.");
        return Keep(Mac.Recall(new(frame, previous, PreviousBoost: boost)));
    }

    /// <summary>Stores one whole sequence.</summary>
    /// <param name="frames">Active inputs of each frame, at least one.</param>
    /// <returns>The code of each frame.</returns>
    /// <exception cref="InvalidOperationException">A sequence is running.</exception>
    /// <exception cref="ArgumentException">No frames, or one is malformed; nothing was stored.</exception>
    public CodeResult[] StoreSequence(IReadOnlyList<int[]> frames)
    {
        CheckFrames(frames, nameof(frames));
        Begin();
        CodeResult[] codes = [.. frames.Select(Store)];
        End();
        return codes;
    }

    /// <summary>Recalls one sequence: the cue is shown, the rest follows from H alone, and each code is decoded.</summary>
    /// <param name="cue">First frames, at least one.</param>
    /// <param name="frames">Length of the whole, at least that of the cue.</param>
    /// <param name="features">Inputs to decode per frame.</param>
    /// <exception cref="InvalidOperationException">A sequence is running.</exception>
    /// <exception cref="ArgumentException">The cue is malformed, or a number is out of range.</exception>
    public SequenceRecall RecallSequence(IReadOnlyList<int[]> cue, int frames, int features)
    {
        CheckFrames(cue, nameof(cue));
        ArgumentOutOfRangeException.ThrowIfLessThan(frames, cue.Count);
        ArgumentOutOfRangeException.ThrowIfLessThan(features, 1);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(features, Mac.Options.Inputs);
        Begin();
        CodeResult[] codes = [.. Enumerable.Range(0, frames).Select(t => Recall(t < cue.Count ? cue[t] : null))];
        End();
        return new(codes, [.. codes.Select(code => code.IsActive ? Mac.Decode(code.Winners, features) : [])]);
    }

    private CodeResult Keep(CodeResult code)
    {
        // A macrocolumn that stayed off sends nothing, so the next frame has no past.
        (previous, boost) = code.IsActive ? (code.Winners, code.Boost) : (null, 1);
        return code;
    }

    private void RequireRunning()
    {
        if (!running) throw new InvalidOperationException("No sequence is running; call Begin first.");
    }

    private void CheckFrames(IReadOnlyList<int[]> frames, string name)
    {
        ArgumentNullException.ThrowIfNull(frames, name);
        if (frames.Count == 0) throw new ArgumentException("There are no frames; a sequence has at least one.", name);
        for (int t = 0; t < frames.Count; t++)
        {
            MacGuard.CheckActive(frames[t], Mac.Options.Inputs, $"{name}[{t}]", "input");
        }
    }
}
