"""The residual translator is the published stack of layers."""

import pytest
import torch
from torch import nn

from cardigan.errors import RecipeError
from cardigan.networks.translator import ResNet, ResNetConfig


@pytest.mark.parametrize(
    ("blocks", "normalisation", "count"),
    [(9, "instance", 11_378_179), (6, "instance", 7_837_699), (9, "batch", 11_383_427)],
)
def test_parameter_counts(blocks, normalisation, count):
    with torch.device("meta"):
        network = ResNetConfig(blocks=blocks, normalisation=normalisation).build(3, 3, (256, 256))
    assert sum(parameter.numel() for parameter in network.parameters()) == count


class Sum(nn.Module):
    def __init__(self, *layers: nn.Module):
        super().__init__()
        self.layers = nn.Sequential(*layers)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.layers(x)


def published(width: int, blocks: int, inputs: int, outputs: int, batch: bool, resize: bool) -> nn.Sequential:
    """The stack in torch's own layers, whose parameters come in the same order."""
    norm = nn.BatchNorm2d if batch else nn.InstanceNorm2d

    def reflected(before: int, after: int, kernel: int) -> list[nn.Module]:
        return [nn.ReflectionPad2d(kernel // 2), nn.Conv2d(before, after, kernel, bias=not batch), norm(after)]

    def up(before: int, after: int) -> list[nn.Module]:
        if resize:
            return [nn.Upsample(scale_factor=2), nn.Conv2d(before, after, 3, padding=1, bias=not batch)]
        return [nn.ConvTranspose2d(before, after, 3, 2, 1, 1, bias=not batch)]

    layers = [*reflected(inputs, width, 7), nn.ReLU()]
    for before in (width, 2 * width):
        layers += [nn.Conv2d(before, 2 * before, 3, 2, 1, bias=not batch), norm(2 * before), nn.ReLU()]
    wide = 4 * width
    layers += [Sum(*reflected(wide, wide, 3), nn.ReLU(), *reflected(wide, wide, 3)) for _ in range(blocks)]
    for before in (wide, 2 * width):
        layers += [*up(before, before // 2), norm(before // 2), nn.ReLU()]
    return nn.Sequential(*layers, nn.ReflectionPad2d(3), nn.Conv2d(width, outputs, 7), nn.Tanh())


@pytest.mark.parametrize("normalisation", ["instance", "batch"])
@pytest.mark.parametrize("upsampling", ["transposed", "resize"])
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_it_is_the_published_stack(normalisation, upsampling, layout):
    torch.manual_seed(0)
    config = ResNetConfig(width=4, blocks=2, normalisation=normalisation, upsampling=upsampling)
    ours = config.build(2, 3, (16, 20)).double()
    theirs = published(4, 2, 2, 3, normalisation == "batch", upsampling == "resize").double()
    for mine, other in zip(ours.parameters(), theirs.parameters(), strict=True):
        other.data = mine.data.clone()
    x = torch.randn(2, 2, 16, 20, dtype=torch.float64)
    results = []
    # torch's instance norm has a wrong gradient in channels_last at a batch of one: the reference stays contiguous.
    for network, images in ((ours, x.contiguous(memory_format=layout)), (theirs, x)):
        images = images.clone().requires_grad_()
        output = network(images)
        (output * torch.linspace(-1, 1, output.numel(), dtype=torch.float64).view_as(output)).sum().backward()
        results.append([output.detach(), images.grad, *(parameter.grad for parameter in network.parameters())])
    for mine, other in zip(*results, strict=True):
        torch.testing.assert_close(mine, other, rtol=1e-8, atol=1e-10)


@pytest.mark.parametrize(
    ("size", "near"), [((30, 45), "[32,44]"), ((256, 255), "[256,256]"), ((4, 16), "[8,16]"), ((1, 1), "[8,8]")]
)
def test_a_size_that_does_not_fit_is_refused_with_one_that_does(size, near):
    with pytest.raises(RecipeError) as caught:
        ResNetConfig(width=2, blocks=1).build(3, 3, size)
    assert str(caught.value).endswith(f"use --set data.size={near}")
    assert f"{size[1]} x {size[0]} pixels" in str(caught.value)


def test_at_any_other_size_it_still_translates():
    network = ResNetConfig(width=2, blocks=1).build(3, 1, (16, 16)).eval()
    assert isinstance(network, ResNet)
    assert network(torch.randn(2, 3, 17, 23)).shape == (2, 1, 17, 23)


def test_images_are_translated_independently():
    torch.manual_seed(0)
    network = ResNetConfig(width=2, blocks=1).build(3, 3, (16, 16)).double()
    images = torch.randn(3, 3, 16, 16, dtype=torch.float64)
    torch.testing.assert_close(network(images), torch.cat([network(image) for image in images.split(1)]))
