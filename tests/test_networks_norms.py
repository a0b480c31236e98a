"""Instance norm is its formula in every layout, and batch norm takes the statistics it is told to."""

import copy
from itertools import product

import pytest
import torch
from torch import Tensor, nn

from cardigan.networks.norms import BatchNorm, InstanceNorm, norm, use_statistics

LAYOUTS = [torch.contiguous_format, torch.channels_last]
STATISTICS = ["instance", "running", "batch"]


def by_hand(x: Tensor) -> Tensor:
    centred = x - x.mean((2, 3), keepdim=True)
    return centred / (centred.square().mean((2, 3), keepdim=True) + 1e-5).sqrt()


def with_gradient(layer, x: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
    """What a layer makes of x, and what comes back for a gradient."""
    x = x.clone().requires_grad_()
    output = layer(x)
    output.backward(weight)
    return output.detach(), x.grad


@pytest.mark.parametrize(("layout", "gradient_layout"), list(product(LAYOUTS, LAYOUTS)))
@pytest.mark.parametrize("batch", [1, 3])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_instance_norm_and_its_gradient_are_the_formulas(layout, gradient_layout, batch, dtype):
    torch.manual_seed(0)
    x = (torch.randn(batch, 5, 6, 7, dtype=dtype) * 3 + 1).contiguous(memory_format=layout)
    weight = torch.randn(batch, 5, 6, 7, dtype=dtype).contiguous(memory_format=gradient_layout)
    for ours, theirs in zip(with_gradient(InstanceNorm(), x, weight), with_gradient(by_hand, x, weight), strict=True):
        torch.testing.assert_close(ours, theirs)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_instance_norm_is_twice_differentiable(layout):
    x = torch.randn(1, 3, 3, 4, dtype=torch.float64).contiguous(memory_format=layout).requires_grad_()
    assert torch.autograd.gradcheck(InstanceNorm(), x)
    assert torch.autograd.gradgradcheck(InstanceNorm(), x)


def trained(statistics: str = "instance") -> BatchNorm:
    torch.manual_seed(0)
    layer = BatchNorm(4, statistics).double()
    for _ in range(3):
        layer(torch.randn(5, 4, 6, 6, dtype=torch.float64) * 2 + 3)
    return layer.eval()


def test_instance_statistics_are_what_training_takes_of_one_image():
    layer, x = trained(), torch.randn(3, 4, 6, 6, dtype=torch.float64)
    training = copy.deepcopy(layer).train()
    torch.testing.assert_close(layer(x), torch.cat([training(image) for image in x.split(1)]))
    torch.testing.assert_close(layer(x)[:1], layer(x[:1]))


def test_batch_statistics_are_what_training_takes_of_the_batch_and_leave_no_trace():
    layer, x = trained("batch"), torch.randn(3, 4, 6, 6, dtype=torch.float64)
    before = copy.deepcopy(layer.state_dict())
    torch.testing.assert_close(layer(x), copy.deepcopy(layer).train()(x))
    assert not torch.allclose(layer(x)[:1], layer(x[:1]))
    assert all(torch.equal(before[key], value) for key, value in layer.state_dict().items())


def test_running_statistics_are_torchs():
    layer, x = trained("running"), torch.randn(3, 4, 6, 6, dtype=torch.float64)
    plain = nn.BatchNorm2d(4).double().eval()
    plain.load_state_dict(layer.state_dict())
    assert torch.equal(layer(x), plain(x))
    assert not torch.allclose(layer(x), trained("instance")(x))


def test_training_is_the_same_whatever_evaluation_takes():
    layers = [trained(statistics).train() for statistics in STATISTICS]
    x = torch.randn(3, 4, 6, 6, dtype=torch.float64)
    outputs = [layer(x) for layer in layers]
    for output, layer in zip(outputs, layers, strict=True):
        assert torch.equal(output, outputs[0])
        assert torch.equal(layer.running_var, layers[0].running_var)


@pytest.mark.parametrize(("layout", "gradient_layout"), list(product(LAYOUTS, LAYOUTS)))
@pytest.mark.parametrize("statistics", [*STATISTICS, "training"])
def test_batch_norms_gradient_at_a_batch_of_one(layout, gradient_layout, statistics):
    layer = trained("instance" if statistics == "training" else statistics).train(statistics == "training")
    x = torch.randn(1, 4, 3, 3, dtype=torch.float64).contiguous(memory_format=layout)
    weight = torch.randn(1, 4, 3, 3, dtype=torch.float64).contiguous(memory_format=gradient_layout)

    def formula(x: Tensor) -> Tensor:
        if statistics == "running":
            normal = (x - layer.running_mean[:, None, None]) / (layer.running_var[:, None, None] + 1e-5).sqrt()
        else:
            normal = by_hand(x)
        return normal * layer.weight[:, None, None] + layer.bias[:, None, None]

    for ours, theirs in zip(with_gradient(formula, x, weight), with_gradient(layer, x, weight), strict=True):
        torch.testing.assert_close(ours, theirs)


def test_statistics_are_set_on_a_whole_network():
    network = nn.Sequential(
        *norm("batch", 4, "running"), nn.Sequential(*norm("batch", 4, "running")), nn.Conv2d(4, 4, 1)
    )
    use_statistics(network, "batch")
    assert [module.statistics for module in network.modules() if isinstance(module, BatchNorm)] == ["batch", "batch"]


def test_gains_are_drawn_about_one():
    layer = BatchNorm(4096, "instance")
    assert layer.weight.mean().item() == pytest.approx(1, abs=2e-3)
    assert layer.weight.std().item() == pytest.approx(0.02, rel=0.1)
    assert norm("none", 3, "instance") == []
