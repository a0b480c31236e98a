"""UNIT's networks for domain adaptation: one code a picture, one class head for both domains."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from cardigan.errors import RecipeError
from cardigan.networks.adaptation import CoDisConfig, CoVAEConfig, with_coordinates


@pytest.fixture(autouse=True)
def seeded():
    torch.manual_seed(0)


@pytest.fixture
def pair() -> tuple[torch.Tensor, torch.Tensor]:
    return torch.rand(4, 3, 32, 32) * 2 - 1, torch.rand(5, 1, 32, 32) * 2 - 1


def moved_by(network: nn.Module, loss: torch.Tensor) -> set[str]:
    names, tensors = zip(*network.named_parameters(), strict=True)
    gradients = torch.autograd.grad(loss, tensors, allow_unused=True)
    return {name for name, gradient in zip(names, gradients, strict=True) if gradient is not None}


@pytest.mark.parametrize("coordinates", [False, True])
def test_autoencoder(coordinates, pair):
    network = CoVAEConfig(width=4, coordinates=coordinates).build((3, 1))
    assert network.encoders[1](pair[1]).shape == (5, 4, 16, 16)
    ways = network.all_ways(*pair)
    assert ways.codes.shape == (9, 64, 1, 1)
    assert [way.shape[:2] for way in ways[1:]] == [(4, 3), (5, 3), (4, 1), (5, 1)]
    assert all(way.abs().max() <= 1 for way in ways[1:])
    loss = sum((way * torch.randn_like(way)).sum() for way in ways[1:])
    loss.backward()
    assert all(parameter.grad.abs().max() > 0 for parameter in network.parameters())
    network.eval()
    torch.testing.assert_close(network.all_ways(*pair).a_to_b, network(pair[0], 0, 1))


def test_posterior():
    network = CoVAEConfig(width=2).build((3, 1))
    head = network.enter[0][-1]
    features = torch.randn(3, 16, 1, 1)
    mean, deviation = head(features).chunk(2, 1)
    torch.testing.assert_close(mean, head.mean(features))
    torch.testing.assert_close(deviation, F.softplus(head.deviation(features)))
    assert head.mean.weight.std().item() == pytest.approx(0.002, rel=0.3)
    posterior = torch.cat([torch.full((1, 4000, 1, 1), 2.0), torch.full((1, 4000, 1, 1), 3.0)], 1)
    drawn = network.drawn(posterior)
    assert drawn.shape == (1, 4000, 1, 1)
    assert drawn.mean().item() == pytest.approx(2, abs=0.2)
    assert drawn.std().item() == pytest.approx(3, rel=0.05)
    assert torch.equal(network.eval().drawn(posterior), posterior[:, :4000])


def test_only_outer_layers_are_a_domains_own(pair):
    network, judge = CoVAEConfig(width=2).build((3, 1)), CoDisConfig(width=2).build((3, 1), classes=10)
    first, second = (moved_by(network, network(images, d, d).sum()) for d, images in enumerate(pair))
    assert {name.split(".")[0] for name in first & second} == {"enter", "leave"}
    first, second = (moved_by(judge, sum(out.sum() for out in judge(images, d))) for d, images in enumerate(pair))
    assert {name.split(".")[0] for name in first & second} == {"shared", "score", "classify"}
    assert first ^ second == {"own.0.0.weight", "own.0.0.bias", "own.1.0.weight", "own.1.0.bias"}


@pytest.mark.parametrize("coordinates", [False, True])
def test_discriminator(coordinates, pair):
    network = CoDisConfig(width=3, coordinates=coordinates).build((3, 1), classes=7)
    assert [layer.p for layer in network.modules() if isinstance(layer, nn.Dropout)] == [0.1, 0.1, 0.3, 0.5, 0.5]
    assert not torch.allclose(network(pair[1], 1).scores, network(pair[1], 1).scores)
    network.eval()
    judged = network(pair[1], 1)
    assert (judged.scores.shape, judged.classes.shape) == ((5,), (5, 7))
    assert judged.features.shape == (5, 24, 2, 2)
    assert torch.equal(judged.features, network.features(pair[1], 1))
    torch.testing.assert_close(network(pair[1][:2], 1).scores, judged.scores[:2])
    torch.testing.assert_close(judged.classes, F.linear(judged.features.flatten(1), network.classify.weight.flatten(1)))


def test_coordinates():
    seen = with_coordinates(torch.zeros(2, 1, 3, 5))
    assert seen.shape == (2, 3, 3, 5)
    assert seen[1, 1].tolist() == [[-1, -0.5, 0, 0.5, 1]] * 3
    assert seen[0, 2].tolist() == [[-1] * 5, [0] * 5, [1] * 5]


def test_other_sizes_are_refused():
    for build in (
        lambda: CoVAEConfig().build((3, 1), (28, 28)),
        lambda: CoDisConfig().build((3, 1), 10, (28, 28)),
    ):
        with pytest.raises(RecipeError, match="32 x 32 pixels, not 28 x 28: use --set data.size=32"):
            build()
