"""Winograd's convolution is the direct one: to rounding, in every layout, at every order of differentiation."""

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from cardigan.networks import winograd
from cardigan.networks.translator import ResNetConfig
from cardigan.networks.winograd import Conv3, Winograd, is_faster

LAYOUTS = [torch.contiguous_format, torch.channels_last]


@pytest.fixture(autouse=True)
def seeded():
    torch.manual_seed(0)


def operands(dtype: torch.dtype, layout: torch.memory_format = torch.contiguous_format) -> list[Tensor]:
    shapes = (2, 5, 8, 12), (3, 5, 3, 3), (3,)
    tensors = [torch.randn(shape, dtype=dtype) for shape in shapes]
    return [
        t.contiguous(memory_format=layout).requires_grad_() if t.dim() == 4 else t.requires_grad_() for t in tensors
    ]


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("gradient_layout", LAYOUTS)
def test_it_is_the_direct_convolution(layout, gradient_layout):
    maps, weight, bias = operands(torch.float64, layout)
    cotangent = torch.randn(2, 3, 6, 10, dtype=torch.float64).contiguous(memory_format=gradient_layout)
    results = []
    for convolve in (Winograd.apply, F.conv2d):
        output = convolve(maps, weight, bias)
        results.append([output, *torch.autograd.grad(output, (maps, weight, bias), cotangent)])
    for ours, theirs in zip(*results, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("biased", [True, False])
def test_derivatives(biased):
    maps, weight, bias = operands(torch.float64)

    def apply(maps: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        return Winograd.apply(maps, weight, bias if biased else None).tanh() + (0 if biased else bias.sum())

    assert torch.autograd.gradcheck(apply, (maps[:1, :2, :6, :6], weight[:2, :2], bias[:2]), fast_mode=True)
    assert torch.autograd.gradgradcheck(apply, (maps[:1, :2, :4, :6], weight[:2, :2], bias[:2]), fast_mode=True)


def test_what_needs_no_gradient_gets_none():
    maps, weight, bias = operands(torch.float64)
    (to_maps,) = torch.autograd.grad(Winograd.apply(maps, weight.detach(), bias.detach()).sum(), maps)
    torch.testing.assert_close(to_maps, torch.autograd.grad(F.conv2d(maps, weight).sum(), maps)[0])
    (to_bias,) = torch.autograd.grad(Winograd.apply(maps.detach(), weight.detach(), bias).sum(), bias)
    torch.testing.assert_close(to_bias, torch.full((3,), 2 * 6 * 10, dtype=torch.float64))


def test_rounding_is_no_worse_than_the_direct_convolutions():
    maps, weight = torch.randn(1, 192, 34, 34), torch.randn(192, 192, 3, 3)
    exact = F.conv2d(maps.double(), weight.double())
    errors = [(y - exact).square().mean().sqrt() for y in (Winograd.apply(maps, weight, None), F.conv2d(maps, weight))]
    assert errors[0] < 2 * errors[1]
    assert errors[0] < 2e-6 * exact.std()


def calls(monkeypatch: pytest.MonkeyPatch) -> list[torch.Size]:
    """Where Winograd's way has been taken from now on."""
    taken = []
    original = Winograd.apply
    monkeypatch.setattr(winograd.Winograd, "apply", lambda *given: taken.append(given[0].shape) or original(*given))
    return taken


def test_it_is_taken_where_it_pays(monkeypatch):
    assert is_faster(torch.empty(1, 1, 1, 1), (32, 32), 256)
    assert is_faster(torch.empty(4, 1, 1, 1), (16, 16), 256)
    assert not is_faster(torch.empty(1, 1, 1, 1), (16, 16), 256)
    assert not is_faster(torch.empty(1, 1, 1, 1), (64, 64), 64)
    assert not is_faster(torch.empty(1, 1, 1, 1, device="meta"), (32, 32), 256)
    with torch.autocast("cpu", torch.bfloat16):
        assert not is_faster(torch.empty(1, 1, 1, 1), (32, 32), 256)
    taken = calls(monkeypatch)
    layer = Conv3(192, 192)
    for height, width in ((33, 34), (34, 33), (16, 16), (34, 34)):
        maps = torch.randn(1, 192, height, width)
        torch.testing.assert_close(layer(maps), F.conv2d(maps, layer.weight, layer.bias), rtol=1e-3, atol=1e-4)
    assert taken == [(1, 192, 34, 34)]


def test_a_translator_is_the_same_by_either_way(monkeypatch):
    network = ResNetConfig(width=4, blocks=2).build(3, 3, (16, 24)).double()
    images = torch.randn(2, 3, 16, 24, dtype=torch.float64)
    results = []
    for way in (True, False):
        monkeypatch.setattr(winograd, "is_faster", lambda *_, way=way: way)
        taken = calls(monkeypatch)
        output = network(images)
        assert len(taken) == (4 if way else 0)
        gradients = torch.autograd.grad((output * output.detach().roll(1, 3)).sum(), list(network.parameters()))
        results.append([output, *gradients])
    for ours, theirs in zip(*results, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-9, atol=1e-10)
