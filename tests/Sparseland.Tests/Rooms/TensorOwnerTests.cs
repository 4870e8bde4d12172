using Sparseland.Tensors;
namespace Sparseland.Tests.Rooms;

public class TensorOwnerTests
{
    [Fact]
    public void List() => Assert.NotEmpty(TensorOwners.All);
}
