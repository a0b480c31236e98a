"""The U-Net is the paper's at any depth, and says which sizes it can halve."""

import re

import pytest
import torch
from pydantic import ValidationError
from torch import Tensor, nn
from torch.nn import functional as F

from cardigan.errors import RecipeError
from cardigan.networks.noise import Dropout
from cardigan.networks.norms import BatchNorm
from cardigan.networks.unet import UNet, UNetConfig


def parameters(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


@pytest.mark.parametrize(("side", "count"), [(256, 54_413_955), (128, 41_828_995)])
def test_parameter_counts(side, count):
    with torch.device("meta"):
        assert parameters(UNetConfig().build(3, 3, (side, side))) == count


def test_without_skips_the_decoder_is_half_as_wide():
    with torch.device("meta"):
        skipping, plain = (UNetConfig(skips=skips).build(3, 3, (256, 256)) for skips in (True, False))
    joined = [512, 512, 512, 512, 256, 128, 64]
    assert parameters(skipping) - parameters(plain) == 16 * sum(
        joined[index] * ([*joined, 3][index + 1]) for index in range(len(joined))
    )


def nested(network: UNet, images: Tensor, level: int = 0) -> Tensor:
    """The paper's code: a block rectifies its input, halves, goes one deeper, rectifies, doubles and joins its input."""
    last = level == network.depth - 1
    down, normalise = network.down[level][0], [m for m in network.down[level][1:] if isinstance(m, BatchNorm)]
    maps = F.leaky_relu(images, 0.2) if level else images
    maps = F.conv2d(maps, down.weight, down.bias, 2, 1)
    for layer in normalise:
        maps = F.batch_norm(maps, None, None, layer.weight, layer.bias, training=True)
    maps = F.relu(maps if last else nested(network, maps, level + 1))
    up = network.up[level - 1][0] if level else network.to_images
    if isinstance(up, nn.ConvTranspose2d):
        maps = F.conv_transpose2d(maps, up.weight, up.bias, 2, 1)
    else:
        maps = F.conv2d(F.interpolate(maps, scale_factor=2), up.weight, up.bias, padding=1)
    if not level:
        return maps.tanh()
    for layer in network.up[level - 1][1:]:
        maps = F.batch_norm(maps, None, None, layer.weight, layer.bias, training=True)
    return torch.cat([maps, images], 1) if network.skips else maps


@pytest.mark.parametrize("upsampling", ["transposed", "resize"])
@pytest.mark.parametrize("skips", [True, False])
@pytest.mark.parametrize("normalisation", ["batch", "none"])
def test_it_is_the_nested_network(upsampling, skips, normalisation):
    torch.manual_seed(0)
    config = UNetConfig(
        width=3, max_width=5, dropout=0, skips=skips, normalisation=normalisation, upsampling=upsampling
    )
    network = config.build(2, 1, (16, 32)).double()
    images = torch.randn(2, 2, 16, 32, dtype=torch.float64)
    results = []
    for forward in (network, lambda images: nested(network, images)):
        network.zero_grad()
        x = images.clone().requires_grad_()
        output = forward(x)
        (output * torch.linspace(-1, 1, output.numel(), dtype=torch.float64).view_as(output)).sum().backward()
        results.append([output.detach(), x.grad, *(parameter.grad for parameter in network.parameters())])
    for ours, theirs in zip(*results, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize(
    ("size", "depth"), [((256, 256), 8), ((128, 128), 7), ((96, 160), 5), ((32, 64), 5), ((4, 4), 2), ((240, 240), 4)]
)
def test_depth_follows_the_size(size, depth):
    with torch.device("meta"):
        network = UNetConfig(width=2, max_width=4).build(3, 1, size)
    assert network.depth == len(network.down) == depth
    assert network(torch.empty(2, 3, *size, device="meta")).shape == (2, 1, *size)


def noisy(config: UNetConfig, side: int) -> list[int]:
    """Which of the decoder's blocks, from the bottleneck on, have dropout."""
    with torch.device("meta"):
        network = config.build(3, 3, (side, side))
    return [index for index, block in enumerate(reversed(network.up)) if any(isinstance(m, Dropout) for m in block)]


def test_dropout_is_in_the_first_wide_blocks():
    assert noisy(UNetConfig(), 256) == noisy(UNetConfig(), 128) == [0, 1, 2]
    assert noisy(UNetConfig(), 64) == [0, 1]
    assert noisy(UNetConfig(), 16) == [0]
    assert noisy(UNetConfig(dropout=0), 256) == []


def test_first_layer_and_bottleneck_are_not_normalised():
    network = UNetConfig(width=2, max_width=4).build(3, 3, (16, 16))
    norms = [sum(isinstance(m, BatchNorm) for m in block) for block in network.down]
    assert norms == [0, 1, 1, 0]
    assert all(any(isinstance(m, BatchNorm) for m in block) for block in network.up)
    convolutions = [m for m in network.modules() if isinstance(m, nn.Conv2d | nn.ConvTranspose2d)]
    assert [m.bias is not None for m in convolutions] == [False] * 7 + [True]
    assert all(
        m.bias is not None
        for m in UNetConfig(width=2, normalisation="instance").build(3, 3, (8, 8)).modules()
        if isinstance(m, nn.Conv2d | nn.ConvTranspose2d)
    )


def test_initialisation():
    network = UNetConfig(width=32, max_width=64).build(3, 3, (16, 16))
    weights = torch.cat(
        [m.weight.flatten() for m in network.modules() if isinstance(m, nn.Conv2d | nn.ConvTranspose2d)]
    )
    assert weights.std().item() == pytest.approx(0.02, rel=0.02)


@pytest.mark.parametrize("side", [1, 3, 5, 17, 18, 33, 45, 62, 68, 100, 143, 286, 300, 500, 600, 1000])
def test_a_size_that_does_not_fit_is_refused_with_one_that_does(side):
    config = UNetConfig(width=1, max_width=1)
    with torch.device("meta"), pytest.raises(RecipeError, match=f"{2 * side} x {side} pixels cannot") as caught:
        config.build(1, 1, (side, 2 * side))
    height, width = (int(number) for number in re.search(r"\[(\d+),(\d+)\]", str(caught.value)).groups())
    with torch.device("meta"):
        config.build(1, 1, (height, width))
    assert height == 4 if side < 4 else 0.7 < height / side < 1.4


def test_a_depth_that_does_not_fit_is_refused():
    with pytest.raises(RecipeError, match=r"90 x 100 pixels cannot be halved 5 times: use --set data.size=\[96,96\]"):
        UNetConfig(depth=5).build(3, 3, (100, 90))
    with pytest.raises(RecipeError, match=r"data.size=\[32,32\]"):
        UNetConfig(depth=5).build(3, 3, (8, 8))
    with pytest.raises(ValidationError):
        UNetConfig(depth=1)


def test_other_sizes_are_translated_if_they_can_be_halved():
    network = UNetConfig(width=2, max_width=4, depth=3).build(3, 3, (16, 16)).eval()
    assert network(torch.randn(1, 3, 24, 40)).shape == (1, 3, 24, 40)
    with pytest.raises(RecipeError, match=r"40 x 20 pixels cannot be halved 3 times: use --set data.size=\[16,40\]"):
        network(torch.randn(1, 3, 20, 40))
