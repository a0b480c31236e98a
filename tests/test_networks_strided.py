"""The fast weight gradient is torch's, to rounding, in every layout, precision and order of differentiation."""

import pytest
import torch
from torch import nn

from cardigan.networks import strided
from cardigan.networks.strided import Double, Halve


@pytest.fixture
def always_deep(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(strided, "pays", lambda *_: True)


def pair(transposed: bool) -> tuple[nn.Module, nn.Module]:
    torch.manual_seed(0)
    ours = (Double if transposed else Halve)(5, 3).double()
    plain = (nn.ConvTranspose2d if transposed else nn.Conv2d)(5, 3, 4, 2, 1).double()
    plain.load_state_dict(ours.state_dict())
    return ours, plain


@pytest.mark.parametrize("transposed", [False, True])
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_gradients_are_torchs(transposed: bool, layout: torch.memory_format, always_deep: None) -> None:
    ours, plain = pair(transposed)
    x = torch.randn(2, 5, 6, 8, dtype=torch.float64).contiguous(memory_format=layout)
    results = []
    for module in (ours, plain):
        maps = x.clone().requires_grad_()
        output = module(maps)
        output.tanh().square().sum().backward()
        results.append((output, maps.grad, module.weight.grad, module.bias.grad))
    for mine, theirs in zip(*results, strict=True):
        torch.testing.assert_close(mine, theirs)


@pytest.mark.parametrize("transposed", [False, True])
def test_second_derivatives(transposed: bool, always_deep: None) -> None:
    module, _ = pair(transposed)
    x = torch.randn(1, 5, 4, 4, dtype=torch.float64, requires_grad=True)
    weight = module.weight.detach().clone().requires_grad_()

    def apply(maps: torch.Tensor, kernel: torch.Tensor) -> torch.Tensor:
        return strided._Strided.apply(maps, kernel, transposed).tanh()

    assert torch.autograd.gradcheck(apply, (x, weight))
    assert torch.autograd.gradgradcheck(apply, (x, weight))


@pytest.mark.parametrize("transposed", [False, True])
def test_under_autocast_the_gradient_is_as_good_as_torchs(transposed: bool, always_deep: None) -> None:
    torch.manual_seed(0)
    ours = (Double if transposed else Halve)(64, 64)
    plain = (nn.ConvTranspose2d if transposed else nn.Conv2d)(64, 64, 4, 2, 1)
    plain.load_state_dict(ours.state_dict())
    x = torch.randn(4, 64, 8, 8)
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


def test_it_is_taken_for_deep_layers_and_fast_products_only() -> None:
    cpu = torch.device("cpu")
    assert not strided.pays(256, (64, 4, 4), cpu)
    with torch.autocast("cpu", torch.bfloat16):
        assert strided.pays(256, (64, 4, 4), cpu)
        assert not strided.pays(256, (64, 16, 16), cpu)
        assert not strided.pays(64, (64, 4, 4), cpu)
        assert not strided.pays(256, (64, 4, 4), torch.device("cuda"))
