"""A translator's noise: a sample's masks follow from its own seed alone."""

import pytest
import torch
from torch import nn

from cardigan.networks.noise import Dropout, noise
from cardigan.networks.unet import UNetConfig


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 8, 1), Dropout(0.5), nn.Conv2d(8, 8, 1), Dropout(0.5)).double().eval()


@pytest.fixture
def images() -> torch.Tensor:
    return torch.randn(4, 3, 5, 6, dtype=torch.float64)


def test_a_sample_is_the_same_alone_and_in_any_batch(images):
    layers = network()
    with noise(layers, [7, 8, 9, 7]):
        together = layers(images)
    with noise(layers, [9, 7]):
        turned = layers(images[[2, 0]])
    assert torch.equal(turned[0], together[2])
    assert torch.equal(turned[1], together[0])
    with noise(layers, [8]):
        assert torch.equal(layers(images[1:2]), together[1:2])
        assert torch.equal(layers(images[1:2]), together[1:2])  # asked again within one context


def test_a_unet_has_the_same_noise_alone_and_in_a_batch():
    torch.manual_seed(0)
    unet = UNetConfig(width=4, max_width=8).build(3, 3, (16, 16)).double().eval()
    images = torch.randn(3, 3, 16, 16, dtype=torch.float64)
    with noise(unet, [1, 2, 3]):
        together = unet(images)
    for index in range(3):
        with noise(unet, [index + 1]):
            torch.testing.assert_close(unet(images[index : index + 1]), together[index : index + 1])
    with noise(unet, [4, 2, 3]):
        other = unet(images)
    assert not torch.allclose(other[0], together[0])
    torch.testing.assert_close(other[1:], together[1:])


def test_off_it_is_deterministic_and_on_it_is_not_what_it_was(images):
    layers = network()
    still = layers(images)
    assert torch.equal(layers(images), still)
    with noise(layers, [0, 1, 2, 3]):
        noisy = layers(images)
        with noise(layers, None):
            assert torch.equal(layers(images), still)
        assert torch.equal(layers(images), noisy)
    assert not torch.allclose(noisy, still)
    assert torch.equal(layers(images), still)


def test_it_ends_with_an_error_too(images):
    layers = network()
    with pytest.raises(ValueError, match="2 seeds were given for a batch of 4"), noise(layers, [1, 2]):
        layers(images)
    assert [layer.seeds for layer in layers if isinstance(layer, Dropout)] == [None, None]


def test_layers_and_seeds_have_masks_of_their_own():
    layers = nn.Sequential(Dropout(0.5), Dropout(0.5)).eval()
    ones = torch.ones(2, 16, 8, 8)
    with noise(layers, [1, 2]):
        first, second = layers[0](ones), layers[1](ones)
    halves = (first != second).float().mean().item(), (first[0] != first[1]).float().mean().item()
    assert halves == pytest.approx((0.5, 0.5), abs=0.05)


@pytest.mark.parametrize("p", [0.2, 0.5])
def test_the_share_of_zeros_is_p_and_the_mean_stays(p):
    layer = Dropout(p).eval()
    ones = torch.ones(1, 64, 32, 32)
    with noise(layer, [3]):
        output = layer(ones)
    assert (output == 0).float().mean().item() == pytest.approx(p, abs=0.01)
    assert output.unique().tolist() == pytest.approx([0, 1 / (1 - p)])


def test_training_draws_from_the_global_stream(images):
    layers = network().train()
    outputs = []
    for seed in (0, 0, 1):
        torch.manual_seed(seed)
        with noise(layers, [5, 5, 5, 5]):
            outputs.append(layers(images))
    assert torch.equal(outputs[0], outputs[1])
    assert not torch.allclose(outputs[0], outputs[2])
