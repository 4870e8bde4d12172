namespace Sparseland.Kernel.Doctor;

/// <summary>How one thing stands on this machine.</summary>
public enum Health
{
    /// <summary>It works.</summary>
    Works,

    /// <summary>It does not, and only an optional part needs it.</summary>
    Optional,

    /// <summary>It does not, and nothing runs without it.</summary>
    Fails,
}

/// <summary>What was found out about one thing.</summary>
/// <param name="Thing">What was looked at.</param>
/// <param name="Health">How it stands.</param>
/// <param name="Found">What was found, in a few words.</param>
/// <param name="Remedy">What to do about it; empty when it works.</param>
public sealed record Finding(string Thing, Health Health, string Found, string Remedy = "");
