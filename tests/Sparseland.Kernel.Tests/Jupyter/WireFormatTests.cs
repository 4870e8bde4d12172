using System.Text;
using System.Text.Json.Nodes;
using FsCheck;
using FsCheck.Fluent;
using Microsoft.CodeAnalysis.CSharp;
using Sparseland.Kernel.Jupyter;

namespace Sparseland.Kernel.Tests.Jupyter;

public sealed class WireFormatTests
{
    private static readonly byte[] Key = "key"u8.ToArray();

    [Fact]
    public void Signature_is_the_known_one()
    {
        // python3: hmac.new(b"key", b"{}{}{}{}", "sha256").hexdigest()
        var signer = new MessageSigner(Key);
        byte[][] parts = [[.. "{}"u8], [.. "{}"u8], [.. "{}"u8], [.. "{}"u8]];
        Assert.Equal("ca767b02c5bc061ed184a9a029e7f93a7f2f7ed4e8fe74120fc1212f0b008fa3", Encoding.ASCII.GetString(signer.Sign(parts)));
    }

    [Fact]
    public void A_message_survives_the_wire()
    {
        var request = Decode(Key, Encode(Key, "ping_request"));
        Assert.Equal("ping_request", request.Type);
        Assert.Equal("ping_reply", request.ReplyType);
        Assert.Equal("é😀", request.Text("text"));
        Assert.Equal("id"u8.ToArray(), Assert.Single(request.Identities));
    }

    [Fact]
    public void Any_changed_byte_is_noticed()
    {
        Prop.ForAll(Gen.Choose(2, 6).ToArbitrary(), Gen.Choose(0, 10_000).ToArbitrary(), (part, at) =>
        {
            var frames = Encode(Key, "ping_request").Select(f => (byte[])f.Clone()).ToList();
            frames[part][at % frames[part].Length] ^= 1;
            Assert.Throws<MalformedMessageException>(() => Decode(Key, frames));
        }).QuickCheckThrowOnFailure();
    }

    [Fact]
    public void Without_a_key_nothing_is_signed_or_checked()
    {
        var frames = Encode([], "ping_request");
        Assert.Empty(frames[2]);
        var codec = new MessageCodec([]);
        codec.Decode(frames);
        Assert.Equal("ping_request", codec.Decode(frames).Type);
    }

    [Fact]
    public void A_repeated_signature_is_refused_also_after_many_others()
    {
        var signer = new MessageSigner(Key);
        byte[][] first = [[1], [], [], []];
        Assert.True(signer.Accepts(signer.Sign(first), first, out _));
        for (var i = 0; i < MessageSigner.Remembered - 1; i++)
        {
            byte[][] other = [BitConverter.GetBytes(i), [], [], []];
            Assert.True(signer.Accepts(signer.Sign(other), other, out _));
        }

        Assert.False(signer.Accepts(signer.Sign(first), first, out var reason));
        Assert.Equal("repeated signature", reason);
    }

    [Fact]
    public void Positions_agree_with_runes()
    {
        Prop.ForAll<string?>(text =>
        {
            var code = string.Concat((text ?? "").EnumerateRunes()) + "a😀b";
            var points = code.EnumerateRunes().ToList();
            for (int i = 0, utf16 = 0; i <= points.Count; i++)
            {
                Assert.Equal(utf16, TextPositions.ToUtf16(code, i));
                Assert.Equal(i, TextPositions.ToCodePoints(code, utf16));
                utf16 += i < points.Count ? points[i].Utf16SequenceLength : 0;
            }

            Assert.Equal(code.Length, TextPositions.ToUtf16(code, int.MaxValue));
            Assert.Equal(0, TextPositions.ToUtf16(code, -3));
            Assert.Equal(points.Count, TextPositions.ToCodePoints(code, code.Length + 9));
        }).QuickCheckThrowOnFailure();
        Assert.Equal(1, TextPositions.ToCodePoints("a😀b", 2));
    }

    [Fact]
    public void The_language_version_is_the_compilers() =>
        Assert.Equal(KernelInfo.LanguageVersion, LanguageVersion.Latest.MapSpecifiedToEffectiveVersion().ToDisplayString());

    private static IReadOnlyList<byte[]> Encode(byte[] key, string type) =>
        new MessageCodec(key).Encode(["id"u8.ToArray()], type, null, new JsonObject { ["text"] = "é😀" }, new JsonObject { ["m"] = 1 });

    private static Request Decode(byte[] key, IReadOnlyList<byte[]> frames) => new MessageCodec(key).Decode(frames);
}
