using Sparseland.Models;
using Sparseland.Models.Vision;
using Sparseland.Tensors;
using TorchSharp;
using static TorchSharp.torch;

namespace Sparseland.Tests.Models;

public class ImageSequentialTests
{
    [Theory]
    [InlineData(3)]
    [InlineData(1)]
    public void ChannelsLastAreTheSameImages(int channels)
    {
        using DisposeScope scope = NewDisposeScope();
        Tensor all = rand(7, channels, 4, 6, generator: new Generator(1));
        // A part of more images begins behind the start of their memory; a turned one has strides of its own.
        foreach (Tensor images in new[] { all, all.narrow(0, 2, 3), all.transpose(2, 3), all.narrow(3, 1, 4), all.narrow(0, 0, 0) })
        {
            Tensor last = ChannelsLast.Of(images);
            Assert.Equal(images.shape, last.shape);
            Assert.True(images.Equals(last));
            if (images.numel() > 0) Assert.Equal(1, last.stride(1));
        }
    }

    [Fact]
    public void AGradientComesThrough()
    {
        using DisposeScope scope = NewDisposeScope();
        foreach (int channels in new[] { 1, 2 })
        {
            Tensor images = rand(3, channels, 4, 4, generator: new Generator(1)).requires_grad_(), weights = rand(3, channels, 4, 4, generator: new Generator(2));
            (ChannelsLast.Of(images) * weights).sum().backward();
            Assert.True(images.grad!.Equals(weights));
        }
    }

    [Fact]
    public void LayersInARowGiveTheSameInEitherOrder()
    {
        using DisposeScope scope = NewDisposeScope();
        foreach ((TorchSharp.Modules.Sequential network, Tensor images) in new[]
        {
            (WideCnn.Of(16, 8, 10, seed: 1), rand(5, 3, 16, 16, generator: new Generator(1))),
            (WideCnn.Of(16, 4, 10, seed: 1), rand(5, 3, 16, 16, generator: new Generator(1))),
            (SmallClassifiers.Cnn(14, [8, 16], 10, seed: 1), rand(5, 1, 14, 14, generator: new Generator(1))),
            (SmallMobileNet.Of(), rand(5, new SmallMobileNetOptions().Channels, 16, 16, generator: new Generator(1))),
        })
        {
            Tensor plain = images;
            foreach (nn.Module layer in network.children()) plain = ((nn.Module<Tensor, Tensor>)layer).call(plain);
            foreach (Tensor input in new[] { images, images.to(ScalarType.Float32, copy: true) }) Assert.True(plain.allclose(network.call(input), 1e-4, 1e-5));
            using Tensor gradient = images.detach().requires_grad_();
            network.call(gradient).sum().backward();
            Assert.True(gradient.grad!.isfinite().all().item<bool>());
            network.Dispose();
        }
    }

    [Fact]
    public void WhatIsNoBatchOfImagesIsRefusedByTheFirstLayer()
    {
        using TorchSharp.Modules.Sequential network = WideCnn.Of(16, 8, 10, seed: 1);
        using Tensor flat = zeros(4, 768), wrong = zeros(4, 1, 16, 16);
        Assert.ThrowsAny<Exception>(() => network.call(flat));
        Assert.ThrowsAny<Exception>(() => network.call(wrong));
    }
}
