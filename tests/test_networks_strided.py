"""The fast strided convolutions are torch's, to rounding, in every layout, precision and order of differentiation."""

from collections.abc import Callable, Iterator

import pytest
import torch
from torch import Tensor, nn

from cardigan.networks import strided
from cardigan.networks.strided import Conv, Double, Halve, Same

SHAPES = [(5, 3), (3, 5)]
"""Coarse and fine channels: one doubling with few fine channels, one with many."""


@pytest.fixture
def always_deep(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(strided, "is_deep", lambda *_: True)


@pytest.fixture(params=["plain", "deep", "heavy", "scattered"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every way that a layer may take, whatever its size."""
    for name in ("deep", "heavy", "scattered"):
        monkeypatch.setattr(strided, f"is_{name}", lambda *_, name=name: name == request.param)


def pair(transposed: bool, coarse: int, fine: int, kernel: int = 4) -> tuple[nn.Module, nn.Module]:
    torch.manual_seed(0)
    channels = (coarse, fine) if transposed else (fine, coarse)
    ours = (Double if transposed else Halve)(*channels, kernel).double()
    rest = (4 - kernel,) if transposed else ()
    plain = (nn.ConvTranspose2d if transposed else nn.Conv2d)(*channels, kernel, 2, 1, *rest).double()
    plain.load_state_dict(ours.state_dict())
    return ours, plain


@pytest.mark.parametrize("transposed", [False, True])
@pytest.mark.parametrize(("coarse", "fine"), SHAPES)
@pytest.mark.parametrize("kernel", [4, 3])
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_gradients_are_torchs(
    transposed: bool, coarse: int, fine: int, kernel: int, layout: torch.memory_format, way: None
) -> None:
    ours, plain = pair(transposed, coarse, fine, kernel)
    x = torch.randn(2, ours.in_channels, 6, 8, dtype=torch.float64).contiguous(memory_format=layout)
    results = []
    for module in (ours, plain):
        maps = x.clone().requires_grad_()
        output = module(maps)
        output.tanh().square().sum().backward()
        results.append((output, maps.grad, module.weight.grad, module.bias.grad))
    for mine, theirs in zip(*results, strict=True):
        torch.testing.assert_close(mine, theirs)


@pytest.mark.parametrize("transposed", [False, True])
@pytest.mark.parametrize(("coarse", "fine"), SHAPES)
@pytest.mark.parametrize("kernel", [4, 3])
def test_second_derivatives(transposed: bool, coarse: int, fine: int, kernel: int, way: None) -> None:
    module, _ = pair(transposed, coarse, fine, kernel)
    x = torch.randn(1, module.in_channels, 4, 4, dtype=torch.float64, requires_grad=True)
    weight = module.weight.detach().clone().requires_grad_()

    def apply(maps: Tensor, kernel: Tensor) -> Tensor:
        return strided._Strided.apply(maps, kernel, transposed).tanh()

    assert torch.autograd.gradcheck(apply, (x, weight), fast_mode=True)
    assert torch.autograd.gradgradcheck(apply, (x, weight), fast_mode=True)


@pytest.mark.parametrize("transposed", [False, True])
@pytest.mark.parametrize("fine", [3, 64])
def test_under_autocast_the_gradient_is_as_good_as_torchs(transposed: bool, fine: int, always_deep: None) -> None:
    torch.manual_seed(0)
    channels = (64, fine) if transposed else (fine, 64)
    ours = (Double if transposed else Halve)(*channels)
    plain = (nn.ConvTranspose2d if transposed else nn.Conv2d)(*channels, 4, 2, 1)
    plain.load_state_dict(ours.state_dict())
    x = torch.randn(4, channels[0], 8, 8)
    plain(x).square().sum().backward()
    exact = plain.weight.grad.clone()
    errors = []
    for module in (ours, plain):
        module.zero_grad()
        with torch.autocast("cpu", torch.bfloat16):
            output = module(x)
        assert output.dtype == torch.bfloat16
        output.float().square().sum().backward()
        assert module.weight.grad.dtype == torch.float32
        errors.append(((module.weight.grad - exact).norm() / exact.norm()).item())
    assert errors[0] < max(1.5 * errors[1], 0.01)


def test_matrix_products_are_taken_for_deep_layers_and_fast_products_only(monkeypatch: pytest.MonkeyPatch) -> None:
    channels_last = {"memory_format": torch.channels_last}
    deep = torch.empty(512, 256, 4, 4).contiguous(**channels_last)
    shallow = torch.empty(128, 64, 4, 4).contiguous(**channels_last)
    few, many = torch.empty(64, 512, 4, 4), torch.empty(64, 512, 16, 16)
    assert torch.get_float32_matmul_precision() == "highest"
    assert not strided.is_deep(deep, few)
    assert strided.is_deep(deep, few.bfloat16())
    assert not strided.is_deep(deep, many.bfloat16())
    assert not strided.is_deep(shallow, few.bfloat16())
    monkeypatch.setattr(torch, "get_float32_matmul_precision", lambda: "medium")
    assert strided.is_deep(deep, few)
    assert not strided.is_deep(deep.contiguous(), few)
    assert not strided.is_deep(deep, few.double())


def test_large_weights_of_few_positions_are_read_once() -> None:
    weight = torch.empty(512, 512, 4, 4)
    assert strided.is_heavy(weight, 64)
    assert not strided.is_heavy(weight, 65)
    assert not strided.is_heavy(weight.bfloat16(), 64)
    assert not strided.is_heavy(weight.contiguous(memory_format=torch.channels_last), 64)


def test_weight_gradients_of_large_images_are_taken_of_contiguous_maps(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    original = torch.ops.aten.convolution_backward
    spy = lambda *given: asked.append(given[0].is_contiguous() and given[1].is_contiguous()) or original(*given)  # noqa: E731
    monkeypatch.setattr(strided.torch.ops.aten, "convolution_backward", spy)
    monkeypatch.setattr(strided, "LARGE_IMAGE", 2 * 12 * 12)
    for side in (10, 12):
        for layer in (Conv(2, 3, 3), Halve(2, 3, 3), Double(3, 2, 3)):
            maps = torch.randn(1, layer.in_channels, side, side).contiguous(memory_format=torch.channels_last)
            layer(maps).square().sum().backward()
    # Below the limit a `Conv` is torch's own; a doubling's fine maps are four times as large as its coarse ones.
    assert asked == [False, True, True, True, True]


@pytest.mark.parametrize("kernel", [4, 3])
@pytest.mark.parametrize(("height", "width"), [(7, 8), (8, 7), (5, 5)])
def test_odd_sides_are_halved_as_torch_does(kernel: int, height: int, width: int) -> None:
    ours, plain = pair(False, 3, 2, kernel)
    x = torch.randn(2, 2, height, width, dtype=torch.float64)
    torch.testing.assert_close(ours(x), plain(x))


@pytest.fixture
def two_threads() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(threads)


@pytest.mark.parametrize(("kernel", "stride", "padding"), [(1, 1, 0), (3, 1, 1), (4, 1, 1), (3, 2, 1), (5, 2, 0)])
def test_convolutions_are_torchs_in_every_order_of_differentiation(kernel: int, stride: int, padding: int) -> None:
    weight = torch.randn(3, 2, kernel, kernel, dtype=torch.float64, requires_grad=True)
    x = torch.randn(2, 2, 5, 6, dtype=torch.float64, requires_grad=True)
    step, margin = (stride, stride), (padding, padding)
    torch.testing.assert_close(
        strided._Convolved.apply(x, weight, step, margin), nn.functional.conv2d(x, weight, None, stride, padding)
    )

    def apply(maps: Tensor, weights: Tensor) -> Tensor:
        return strided._Convolved.apply(maps, weights, step, margin).tanh()

    assert torch.autograd.gradcheck(apply, (x, weight), fast_mode=True)
    assert torch.autograd.gradgradcheck(apply, (x, weight), fast_mode=True)


@pytest.mark.parametrize("layer", [lambda: Same(4, 6), lambda: Halve(4, 6), lambda: Double(6, 4)])
def test_weight_gradients_of_several_threads_are_taken_in_float32(
    layer: Callable[[], nn.Module], two_threads: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.manual_seed(0)
    module = layer()
    x = torch.randn(2, module.in_channels, 8, 8)

    def gradient(autocast: bool) -> Tensor:
        module.zero_grad()
        with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
            module(x).float().square().mean().backward()
        return module.weight.grad.clone()

    asked = []
    original = torch.ops.aten.convolution_backward
    spy = lambda *given: asked.append(given[0].dtype) or original(*given)  # noqa: E731
    monkeypatch.setattr(strided.torch.ops.aten, "convolution_backward", spy)
    coarse, exact = gradient(True), gradient(False)
    assert set(asked) == {torch.float32}
    torch.testing.assert_close(coarse, exact, rtol=0.05, atol=0.02 * float(exact.abs().max()))
