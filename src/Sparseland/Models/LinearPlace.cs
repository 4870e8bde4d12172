using TorchSharp.Modules;

namespace Sparseland.Models;

/// <summary>The place of a linear layer in a block.</summary>
internal sealed class LinearPlace : LayerPlace
{
    public LinearPlace(Linear first)
        : base(first)
    {
    }

    /// <summary>The linear layer that stands there.</summary>
    /// <exception cref="InvalidOperationException">It has been replaced by a layer of another kind.</exception>
    public Linear Linear => As<Linear>();
}

/// <summary>A module with linear layers that may be replaced.</summary>
internal interface ILinearPlaces
{
    /// <summary>The places, with their paths below the module.</summary>
    IEnumerable<(string Path, LinearPlace Place)> Places { get; }
}
