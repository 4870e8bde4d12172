using TorchSharp.Modules;
using static TorchSharp.torch.nn;
using Modules = TorchSharp.Modules;

namespace Sparseland.Models;

/// <summary>Channels that belong together: one order of them holds wherever they go.</summary>
/// <param name="Index">Number of the space.</param>
/// <param name="Channels">How many; 0 where only an unknown module knows.</param>
/// <param name="IsFixed">Whether their order must stay: the network's input and output, and what an unknown module gives or takes.</param>
/// <param name="Writers">Layers whose outputs they are.</param>
/// <param name="Readers">Layers whose inputs they are.</param>
/// <param name="Tied">Layers that have numbers for each of them: depthwise convolutions and batch norm.</param>
public sealed record ChannelSpace(int Index, int Channels, bool IsFixed, IReadOnlyList<string> Writers, IReadOnlyList<string> Readers, IReadOnlyList<string> Tied)
{
    /// <inheritdoc/>
    public override string ToString() =>
        $"{Index}: {Channels} channels{(IsFixed ? ", fixed" : "")}; written by {List(Writers)}; read by {List(Readers)}; tied {List(Tied)}";

    private static string List(IReadOnlyList<string> names) => names.Count == 0 ? "none" : string.Join(", ", names);
}

/// <summary>
/// Which channels of a network must keep one order: layers that handle each channel by itself tie their output to their input, and a residual sum ties both sides, so that all layers that write to one residual stream share
/// a space. A full convolution or linear layer begins a new one.
/// </summary>
public sealed class ChannelGraph
{
    private readonly int[] _parent;

    private ChannelGraph(Module network, NetworkTrace trace)
    {
        Network = network;
        _parent = [.. Enumerable.Range(0, trace.Steps.Count)];
        bool[] fixedAt = new bool[trace.Steps.Count];
        var barriers = new List<string>();
        for (int i = 0; i < trace.Steps.Count; i++)
        {
            TraceStep step = trace.Steps[i];
            switch (step.Kind)
            {
                case TraceKind.Convolution when step.Layer is Conv2d { groups: 1 }:
                case TraceKind.Linear:
                    break;
                case TraceKind.Convolution when step.Layer is Conv2d depthwise && depthwise.groups == depthwise.in_channels && depthwise.in_channels == depthwise.out_channels:
                    Union(i, step.Inputs[0]);
                    break;
                case TraceKind.Convolution:
                case TraceKind.Unknown:
                    barriers.Add($"{step.Path} ({step.Layer!.GetType().Name}{(step.Layer is Conv2d grouped ? $" in {grouped.groups} groups" : "")})");
                    fixedAt[i] = fixedAt[step.Inputs[0]] = true;
                    break;
                case TraceKind.Input:
                    fixedAt[i] = true;
                    break;
                default:
                    foreach (int input in step.Inputs) Union(i, input);
                    break;
            }
        }

        fixedAt[^1] = true;
        Barriers = barriers;
        int[] roots = [.. Enumerable.Range(0, _parent.Length).Select(Root).Distinct().Order()];
        Spaces = [.. roots.Select((root, index) => SpaceOf(index, root, trace, fixedAt))];
    }

    /// <summary>The network.</summary>
    public Module Network { get; }

    /// <summary>The spaces, in the order in which they are first written.</summary>
    public IReadOnlyList<ChannelSpace> Spaces { get; }

    /// <summary>Modules that are not known here, with their types: the channels on both sides of them are fixed.</summary>
    public IReadOnlyList<string> Barriers { get; }

    /// <summary>Reads a network.</summary>
    /// <param name="network">Nested <c>Sequential</c>s, <see cref="Residual"/> and <see cref="Vision.ResNet"/> of the layers that are known; another module becomes a barrier.</param>
    public static ChannelGraph Of(Module network) => new(network, NetworkTrace.Of(network));

    private ChannelSpace SpaceOf(int index, int root, NetworkTrace trace, bool[] fixedAt)
    {
        List<string> writers = [], readers = [], tied = [];
        long channels = 0;
        bool isFixed = false;
        for (int i = 0; i < trace.Steps.Count; i++)
        {
            TraceStep step = trace.Steps[i];
            bool here = Root(i) == root, reads = step.Inputs.Any(input => Root(input) == root);
            isFixed |= here && fixedAt[i];
            switch (step.Layer)
            {
                case Conv2d { groups: > 1 } convolution when here && reads:
                    tied.Add(step.Path);
                    channels = convolution.in_channels;
                    break;
                case Modules.BatchNorm norm when here:
                    tied.Add(step.Path);
                    break;
                case Conv2d convolution:
                    if (here) (channels, _) = (convolution.out_channels, Named(writers, step.Path));
                    if (reads)
                    {
                        readers.Add(step.Path);
                        if (channels == 0) channels = convolution.in_channels;
                    }

                    break;
                case Linear linear:
                    if (here) (channels, _) = (linear.out_features, Named(writers, step.Path));
                    if (reads)
                    {
                        readers.Add(step.Path);
                        if (channels == 0) channels = linear.in_features;
                    }

                    break;
                default:
                    break;
            }
        }

        return new(index, checked((int)channels), isFixed, writers, readers, tied);
    }

    private static bool Named(List<string> names, string name)
    {
        names.Add(name);
        return true;
    }

    private int Root(int at)
    {
        while (_parent[at] != at) at = _parent[at];
        return at;
    }

    // The earlier step leads.
    private void Union(int a, int b)
    {
        (a, b) = (Root(a), Root(b));
        _parent[Math.Max(a, b)] = Math.Min(a, b);
    }
}
