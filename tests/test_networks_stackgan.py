"""StackGAN's networks: the paper's sizes, any other, and what a sentence becomes."""

import pytest
import torch
from scipy import stats
from torch import nn
from torch.distributions import Normal, kl_divergence

from cardigan.errors import RecipeError
from cardigan.networks.layers import UpConv2d
from cardigan.networks.matching import MatchingConfig
from cardigan.networks.stackgan import (
    ConditioningAugmentation,
    StackGeneratorConfig,
    encoder_halvings,
    truncated_normal,
)
from cardigan.networks.strided import Halve
from small import settle

NARROW = StackGeneratorConfig(width=4, max_width=8, code=3)
DIMS = 5


@pytest.fixture(autouse=True)
def seeded():
    torch.manual_seed(0)


def size(network: nn.Module | None) -> int:
    assert network is not None
    return sum(parameter.numel() for parameter in network.parameters())


def test_parameter_counts_are_the_papers():
    with torch.device("meta"):
        generator = StackGeneratorConfig().build(100, 1024, (3, 256, 256), 2)
        first, second = (MatchingConfig().build((3, side, side), 1024) for side in (64, 256))
    assert (size(generator.one), size(generator.two)) == (14_264_192, 26_290_080)
    assert (size(first), size(second)) == (4_029_824, 48_603_520)


def test_layers_are_the_papers():
    with torch.device("meta"):
        generator = StackGeneratorConfig().build(100, 1024, (3, 256, 256), 2)
        discriminator = MatchingConfig().build((3, 256, 256), 1024)
    ups = [
        [m.out_channels for m in stage.modules() if isinstance(m, UpConv2d)] for stage in (generator.one, generator.two)
    ]
    assert ups == [[512, 256, 128, 3], [256, 128, 64, 32]]
    assert [m.out_channels for m in generator.two.modules() if isinstance(m, Halve)] == [256, 512]
    assert [m.out_channels for m in discriminator.modules() if isinstance(m, Halve)] == [64, 128, 256, 512, 1024, 2048]
    assert discriminator.joint[0].in_channels == 512 + 128
    assert not any(m.bias is not None for m in generator.modules() if isinstance(m, nn.Conv2d))


def test_stage_ones_discriminator_has_no_activation_in_its_last_two_halvings():
    kinds = [type(layer).__name__ for layer in MatchingConfig(width=4).build((3, 64, 64), DIMS).body]
    assert kinds[6:] == ["Halve", "BatchNorm2d", "Halve", "BatchNorm2d", "Residual"]
    kinds = [type(layer).__name__ for layer in MatchingConfig(width=4).build((3, 256, 256), DIMS).body]
    assert kinds[-7:] == ["LeakyReLU", "Same", "BatchNorm2d", "LeakyReLU", "Same", "BatchNorm2d", "Residual"]


@pytest.mark.parametrize(
    ("shape", "doublings"),
    [((4, 32, 32), 1), ((1, 16, 16), 1), ((3, 64, 48), 2), ((3, 20, 28), 1), ((2, 9, 11), 0), ((4, 128, 128), 2)],
)
def test_any_channels_and_sizes(shape: tuple[int, int, int], doublings: int):
    generator = NARROW.build(6, DIMS, shape, doublings)
    latents, texts = torch.randn(2, generator.latent), torch.randn(2, DIMS)
    small = generator(latents, texts).images
    assert small.shape == (2, shape[0], shape[1] >> doublings, shape[2] >> doublings)
    if doublings:
        generator.enter(2)
    images, divergence = generator(latents, texts)
    assert images.shape == (2, *shape)
    assert images.abs().max() <= 1
    assert divergence.shape == (2,)
    discriminator = MatchingConfig(width=4, text=3).build(shape, DIMS)
    assert discriminator(images, texts).shape == (2,)


@pytest.mark.parametrize("normalisation", ["batch", "layer", "spectral", "none"])
def test_every_part_of_the_networks_learns(normalisation: str):
    generator = NARROW.build(6, DIMS, (3, 32, 32), 1)
    discriminator = MatchingConfig(width=4, text=3, normalisation=normalisation).build((3, 32, 32), DIMS)
    assert discriminator.couples_batch == (normalisation == "batch")
    generator.enter(2)
    latents, texts = torch.randn(4, generator.latent), torch.randn(4, DIMS)
    images, divergence = generator(latents, texts)
    (discriminator(images, texts).sum() + divergence.sum()).backward()
    for network in (generator.two, discriminator):
        assert all(p.grad is not None and p.grad.isfinite().all() for p in network.parameters())
    assert all(p.grad is None for p in generator.one.parameters())


def test_stage_two_halves_as_far_as_it_can():
    assert [encoder_halvings((3, side, side)) for side in (64, 32, 16, 14, 10, 9, 8)] == [2, 2, 2, 1, 1, 0, 1]
    assert [len(NARROW.build(6, DIMS, (3, 64, 64), d).two.layers) for d in (1, 2)] == [3 + 2 + 9 + 2, 3 + 4 + 12 + 2]


@pytest.mark.parametrize(("shape", "doublings"), [((3, 16, 16), 2), ((3, 30, 32), 2), ((3, 8, 8), 1), ((3, 6, 6), 0)])
def test_sizes_that_do_not_fit_are_refused(shape: tuple[int, int, int], doublings: int):
    with pytest.raises(RecipeError, match=r"which Stage I draws: use --set data\.size=\[\d+,\d+\]") as raised:
        NARROW.build(6, DIMS, shape, doublings)
    assert "\n" not in str(raised.value)
    assert ("game.enlarge=2" in str(raised.value)) == (doublings == 2)


# ---- conditioning augmentation ---------------------------------------------------------------------------------------


def with_moments(kind: str, mean: torch.Tensor, log_deviation: torch.Tensor) -> ConditioningAugmentation:
    augment = ConditioningAugmentation(DIMS, len(mean), kind)
    wanted = torch.cat([mean, log_deviation])
    with torch.no_grad():
        augment.linear.weight.zero_()
        augment.linear.bias.copy_(torch.where(wanted > 0, wanted, wanted / 0.2))  # before the leaky ReLU
    return augment


def test_the_divergence_is_the_closed_form_per_number():
    mean, log_deviation = torch.tensor([0.5, -1.0, 0.0, 2.0]), torch.tensor([0.2, -0.7, 0.0, -0.1])
    _, divergence = with_moments("normal", mean, log_deviation)(torch.randn(3, DIMS), torch.randn(3, 4))
    expected = kl_divergence(Normal(mean, log_deviation.exp()), Normal(0.0, 1.0)).mean()
    torch.testing.assert_close(divergence, expected.expand(3))
    _, nought = with_moments("normal", torch.zeros(4), torch.zeros(4))(torch.randn(3, DIMS), torch.randn(3, 4))
    assert torch.equal(nought, torch.zeros(3))


def test_a_code_is_its_mean_and_noise_times_its_deviation():
    mean, log_deviation = torch.tensor([0.5, -1.0]), torch.tensor([0.2, -0.7])
    noise, texts = torch.randn(8, 2) * 2, torch.randn(8, DIMS)
    code, _ = with_moments("normal", mean, log_deviation)(texts, noise)
    torch.testing.assert_close(code, mean + log_deviation.exp() * noise)
    code, _ = with_moments("truncated", mean, log_deviation)(texts, noise)
    assert ((code - mean).abs() <= 2 * log_deviation.exp() + 1e-6).all()


def test_without_augmentation_a_code_is_a_function_of_the_sentence():
    generator = StackGeneratorConfig(width=4, max_width=8, code=3, augmentation="none").build(6, DIMS, (1, 16, 16), 1)
    assert generator.latent == 6 + 1
    code, divergence = generator.one.augment(torch.randn(4, DIMS), torch.empty(4, 0))
    assert code.shape == (4, 3)
    assert torch.equal(divergence, torch.zeros(4))


def test_text_once_leaves_stage_two_nothing_but_the_image():
    generator = StackGeneratorConfig(width=4, max_width=8, code=3, text_twice=False).build(6, DIMS, (1, 16, 16), 1)
    assert generator.latent == 6 + 3 + 1
    generator.enter(2)
    images = torch.rand(2, 1, 8, 8)
    first, second = (generator.two(images, torch.empty(2, 0), torch.randn(2, DIMS)).images for _ in range(2))
    assert torch.equal(first, second)


def test_truncated_numbers_have_the_truncated_normals_distribution():
    noise = torch.randn(20_000, dtype=torch.float64)
    drawn = truncated_normal(noise)
    assert stats.kstest(drawn.numpy(), stats.truncnorm(-2, 2).cdf).pvalue > 1e-3
    assert torch.equal(drawn.argsort(), noise.argsort())
    assert truncated_normal(torch.tensor([-60.0, 0.0, 60.0])).tolist() == pytest.approx([-2.0, 0.0, 2.0], abs=1e-5)
    assert truncated_normal(torch.randn(1000)).isfinite().all()


# ---- both stages -----------------------------------------------------------------------------------------------------


def test_a_latent_has_parts_of_its_own_for_either_stage():
    generator = NARROW.build(6, DIMS, (1, 16, 16), 1)
    with torch.no_grad():
        generator.two.augment.linear.weight.mul_(100)
    settle(generator)
    latents, texts = torch.randn(1, 6 + 3 + 3 + 1), torch.randn(1, DIMS)
    assert generator.latent == latents.shape[1]

    def changed(place: int) -> tuple[bool, bool]:
        other = latents.clone()
        other[0, place] += 1.0
        small, large = (
            torch.equal(f(latents, texts).images, f(other, texts).images) for f in (generator.drawn, generator.refined)
        )
        return not small, not large

    assert [changed(place) for place in (0, 6, 9, 12)] == [(True, True), (True, True), (False, True), (False, False)]


def test_stage_one_stands_still_and_its_images_do_not_depend_on_the_batch():
    generator = NARROW.build(6, DIMS, (1, 16, 16), 1)
    latents, texts = torch.randn(8, generator.latent), torch.randn(8, DIMS)
    generator(latents, texts)
    generator.enter(2)
    seen = []
    generator.two.register_forward_hook(lambda module, given, made: seen.append(given[0]))
    before = {key: value.clone() for key, value in generator.one.state_dict().items()}
    generator.train()
    generator(latents, texts)
    generator(latents[:2], texts[:2])
    assert all(torch.equal(value, before[key]) for key, value in generator.one.state_dict().items())
    torch.testing.assert_close(seen[1], seen[0][:2])


def test_the_stage_is_stored_with_the_weights():
    generator = NARROW.build(6, DIMS, (1, 16, 16), 1)
    generator.enter(2)
    with torch.device("meta"):
        empty = NARROW.build(6, DIMS, (1, 16, 16), 1)
    assert empty.stage == 1
    empty.load_state_dict(generator.state_dict(), assign=True)
    assert empty.stage == 2


def test_remembered_sentences_are_equally_likely():
    generator = NARROW.build(6, DIMS, (1, 16, 16), 1)
    count = len(generator.sentences)
    generator.sentences.copy_(torch.arange(count)[:, None].expand(-1, DIMS))
    chosen = generator.remembered(torch.randn(200 * count, generator.latent))[:, 0].long()
    assert stats.chisquare(torch.bincount(chosen, minlength=count).numpy()).pvalue > 1e-3
    ends = torch.zeros(2, generator.latent)
    ends[:, -1] = torch.tensor([-40.0, 40.0])
    assert generator.remembered(ends)[:, 0].tolist() == [0.0, count - 1.0]
