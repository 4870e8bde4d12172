using System.Security.Cryptography;
using System.Text;

namespace Sparseland.Kernel.Jupyter;

/// <summary>
/// HMAC-SHA256 over the four JSON frames of a message, as hexadecimal text. With an empty key messages are
/// not signed, as the protocol says.
/// </summary>
internal sealed class MessageSigner(byte[] key)
{
    /// <summary>How many signatures are remembered to recognise a replayed message.</summary>
    public const int Remembered = 65_536;

    private readonly HashSet<string> seen = [];
    private readonly Queue<string> order = new();

    public bool Signs => key.Length > 0;

    /// <summary>The signature frame of an outgoing message.</summary>
    public byte[] Sign(ReadOnlySpan<byte[]> frames) =>
        Signs ? Encoding.ASCII.GetBytes(Convert.ToHexStringLower(Compute(frames))) : [];

    /// <summary>Checks a message that came in; says in <paramref name="reason"/> why it is not accepted. One thread at a time.</summary>
    public bool Accepts(byte[] signature, ReadOnlySpan<byte[]> frames, out string reason)
    {
        reason = "";
        if (!Signs)
            return true;

        var expected = Encoding.ASCII.GetBytes(Convert.ToHexStringLower(Compute(frames)));
        if (!CryptographicOperations.FixedTimeEquals(expected, signature))
        {
            reason = "wrong signature";
            return false;
        }

        var text = Encoding.ASCII.GetString(signature);
        if (!seen.Add(text))
        {
            reason = "repeated signature";
            return false;
        }

        order.Enqueue(text);
        if (order.Count > Remembered)
            seen.Remove(order.Dequeue());
        return true;
    }

    private byte[] Compute(ReadOnlySpan<byte[]> frames)
    {
        using var hmac = IncrementalHash.CreateHMAC(HashAlgorithmName.SHA256, key);
        foreach (var frame in frames)
            hmac.AppendData(frame);
        return hmac.GetHashAndReset();
    }
}
