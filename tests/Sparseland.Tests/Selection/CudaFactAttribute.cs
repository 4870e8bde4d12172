using TorchSharp;

namespace Sparseland.Tests.Selection;

/// <summary>A test that needs a CUDA device, and is reported as skipped where there is none.</summary>
internal sealed class CudaFactAttribute : FactAttribute
{
    public CudaFactAttribute()
    {
        if (!torch.cuda.is_available())
            Skip = "No CUDA device.";
    }
}
