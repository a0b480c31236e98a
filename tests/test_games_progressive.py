"""Growing: the networks at each level, the schedule, the data's pyramid, and the trainer's part in it."""

from pathlib import Path

import pytest
import torch
from torch.nn import functional as F

import cardigan
from cardigan.data import Batches, DataOptions, DataSpec, open_data
from cardigan.data.cache import cache_folder
from cardigan.data.pyramid import box_filtered
from cardigan.data.spec import Batch
from cardigan.errors import RecipeError
from cardigan.games import Progressive, ProgressiveConfig
from cardigan.networks.layers import UpConv2d
from cardigan.networks.progressive import (
    MinibatchDeviation,
    ProgressiveCriticConfig,
    ProgressiveGeneratorConfig,
    doublings,
    equalised,
    halved,
    pixel_norm,
)
from cardigan.networks.strided import Same
from small import assert_same, play, small_splits, small_trainer, weights

SHAPE = (3, 32, 32)
GENERATOR = ProgressiveGeneratorConfig(width=4, max_width=8)
CRITIC = ProgressiveCriticConfig(width=4, max_width=8)


@pytest.fixture(autouse=True)
def seeded():
    torch.manual_seed(0)


def size(network: torch.nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


@pytest.mark.parametrize(
    ("width", "most", "latent", "side", "generator", "critic"),
    [
        (16, 512, 512, 1024, 23_079_115, 23_087_249),
        (32, 512, 512, 128, 13_629_810, 13_636_897),
        (128, 128, 128, 32, 1_296_908, 1_298_689),
    ],
)
def test_parameter_counts_are_the_papers(width, most, latent, side, generator, critic):
    with torch.device("meta"):
        assert size(ProgressiveGeneratorConfig(width=width, max_width=most).build(latent, (3, side, side))) == generator
        assert size(ProgressiveCriticConfig(width=width, max_width=most).build((3, side, side))) == critic


@pytest.mark.parametrize("top", [0, 1, 2, 3])
def test_a_whole_level_is_the_plain_network_of_that_resolution(top: int):
    """The same weights in networks that end at that resolution."""
    latent, side = torch.randn(4, 6), 4 << top
    for config, build in ((GENERATOR, lambda s: GENERATOR.build(6, s)), (CRITIC, CRITIC.build)):
        grown = build(SHAPE)
        grown.grow(float(top))
        if top == 0:
            continue
        plain_config = config.model_copy(update={"width": min(4 << (3 - top), 8)})
        shape = (3, side, side)
        plain = plain_config.build(6, shape) if config is GENERATOR else plain_config.build(shape)
        kept = {key: value for key, value in grown.state_dict().items() if key in plain.state_dict()}
        plain.load_state_dict({**kept, "growth": plain.growth})
        given = latent if config is GENERATOR else torch.randn(4, *shape)
        assert torch.equal(grown(given), plain(given))


@pytest.mark.parametrize("share", [0.25, 0.5])
def test_a_fade_is_the_mean_of_the_two_resolutions(share: float):
    generator, latent = GENERATOR.build(6, SHAPE), torch.randn(4, 6)

    def at(value: float) -> torch.Tensor:
        generator.grow(value)
        return generator(latent)

    expected = (1 - share) * F.interpolate(at(1.0), scale_factor=2) + share * at(2.0)
    torch.testing.assert_close(at(1.0 + share), expected)


def test_a_critic_fades_from_halved_images():
    """As a fade begins the critic is the smaller one on halved images, as it ends the larger one."""
    critic, images = CRITIC.build(SHAPE), torch.randn(4, 3, 16, 16)

    def at(value: float, x: torch.Tensor) -> torch.Tensor:
        critic.grow(value)
        return critic(x)

    step = 2**-16
    torch.testing.assert_close(at(1.0 + step, images), at(1.0, halved(images)), rtol=1e-3, atol=1e-4)
    torch.testing.assert_close(at(2.0 - step, images), at(2.0, images), rtol=1e-3, atol=1e-4)


def test_equalised_layers_equal_plain_ones_of_hes_scale():
    layer = equalised(Same(5, 7))
    stored = layer.parametrizations.weight.original.detach()
    assert stored.std() == pytest.approx(1.0, rel=0.1)
    x = torch.randn(2, 5, 6, 6)
    scaled = stored * (2 / (5 * 9)) ** 0.5
    torch.testing.assert_close(layer(x), F.conv2d(x, scaled, layer.bias, padding=1))
    once = equalised(Same(64, 64), runtime=False)
    assert once.weight.detach().std() == pytest.approx((2 / (64 * 9)) ** 0.5, rel=0.05)
    up = equalised(UpConv2d(5, 7))
    weight = up.weight
    torch.testing.assert_close(
        up(x), F.conv2d(F.interpolate(x, scale_factor=2), weight, up.bias, padding=1), rtol=1e-5, atol=1e-5
    )


def test_pixel_norm_makes_feature_vectors_of_mean_square_one():
    x = pixel_norm(torch.randn(2, 6, 3, 3) * 5)
    torch.testing.assert_close(x.square().mean(1), torch.ones(2, 3, 3), rtol=1e-4, atol=1e-4)


def test_minibatch_deviation_is_of_its_group_alone():
    layer, x = MinibatchDeviation(4), torch.randn(10, 5, 3, 3)
    extra = layer(x)[:, 5]
    expected = (x[:4].var(0, correction=0) + 1e-8).sqrt().mean()
    torch.testing.assert_close(extra[:4], expected.expand(4, 3, 3))
    assert not torch.allclose(extra[4], extra[0])
    assert torch.equal(extra[8], extra[9])  # what is left over is a group of its own
    order = torch.tensor([2, 0, 3, 1])
    torch.testing.assert_close(layer(x[order])[:, 5], extra[:4][order])
    assert layer(x[:1].expand(4, -1, -1, -1))[:, 5].max() < 2e-4
    critic = ProgressiveCriticConfig(width=4, max_width=8, group=4).build(SHAPE)
    real, fake = torch.randn(8, *SHAPE), torch.randn(8, *SHAPE)
    torch.testing.assert_close(critic(torch.cat([real, fake])), torch.cat([critic(real), critic(fake)]))


def test_in_evaluation_a_score_does_not_depend_on_the_batch():
    critic = CRITIC.build(SHAPE)
    images = torch.randn(8, *SHAPE)
    for _ in range(500):
        critic(images)
    before = critic(images)
    alone = torch.cat([critic.eval()(image[None]) for image in images])
    torch.testing.assert_close(critic(images), alone)
    assert not torch.equal(alone, before)
    torch.testing.assert_close(alone.mean(), before.mean(), rtol=0.05, atol=0.01)  # the usual deviation stands for both


def test_the_level_is_stored_with_the_weights():
    generator = GENERATOR.build(6, SHAPE)
    generator.grow(1.5)
    with torch.device("meta"):
        empty = GENERATOR.build(6, SHAPE)
    empty.load_state_dict(generator.state_dict(), assign=True)
    assert empty.level == 1.5
    latent = torch.randn(2, 6)
    assert torch.equal(empty(latent), generator(latent))


def game(**changes) -> Progressive:
    config = ProgressiveConfig(generator=GENERATOR, critic=CRITIC, **changes)
    return config.build(DataSpec(channels=3, height=32, width=32))


def test_the_schedule():
    playing = game(phase=0.1)
    progress = [0.0, 0.1, 0.15, 0.2, 0.3, 0.375, 0.5, 0.55, 0.6, 1.0]
    levels = [0, 0, 0.5, 1, 1, 1.75, 2, 2.5, 3, 3]
    assert [playing.scheduled(share) for share in progress] == pytest.approx(levels)
    assert playing.milestones == pytest.approx((0.0, 0.1, 0.3, 0.5))
    assert playing.phase(0.05).halvings == 3
    assert playing.phase(0.11).halvings == 2  # the larger resolution from the beginning of its fade
    assert playing.phase(0.9).halvings == 0
    assert game(phase=0.1, grow=False).phase(0.0).halvings == 0


def test_batches_and_rates_of_stages():
    playing = game(phase=0.1, batches=(64, 32), rates=(1.0, 1.5))
    assert [playing.phase(share).batch for share in (0.0, 0.2, 0.4, 0.9)] == [64, 32, 32, 32]
    assert [playing.phase(share).rate for share in (0.0, 0.2, 0.4, 0.9)] == [1.0, 1.5, 1.5, 1.5]
    assert game().phase(0.0).batch is None


def test_what_has_grown_does_not_shrink():
    playing = game(phase=0.1)
    playing.grow(2.0)
    assert playing.phase(0.0).stage == 2


def test_reals_are_faded_as_fakes_are():
    playing, images = game(), torch.randn(2, 3, 16, 16)
    playing.grow(1.75)
    expected = 0.25 * F.interpolate(F.avg_pool2d(images, 2), scale_factor=2) + 0.75 * images
    torch.testing.assert_close(playing.faded(images), expected)
    playing.grow(2.0)
    assert playing.faded(images) is images


def test_at_full_size_from_any_level():
    playing, latents = game(), torch.randn(3, 128)
    for value in (0.0, 0.5, 2.0, 3.0):
        playing.grow(value)
        images = playing.decode(latents)
        assert images.shape == (3, *SHAPE)
        assert playing.realness(images).shape == (3,)


@pytest.mark.parametrize("objective", ["wasserstein", "relativistic"])
def test_the_critics_loss_is_the_papers(objective: str, tmp_path: Path):
    changes = {"objective": objective, "r1": 0.5, "r2": 0.25, "gradient_penalty": 10.0, "drift": 0.5}
    trainer = small_trainer(tmp_path, "progressive", game=changes)
    playing = trainer.game
    playing.grow(1.0)
    real, fake = torch.rand(8, 1, 8, 8), torch.rand(8, 1, 8, 8)
    torch.manual_seed(3)
    move = playing.critic_move(Batch(real), fake)
    r, f = playing.critic(real), playing.critic(fake)

    def slopes(x: torch.Tensor) -> torch.Tensor:
        x = x.requires_grad_()
        (slope,) = torch.autograd.grad(playing.critic(x).sum(), x)
        return slope.square().sum((1, 2, 3))

    expected = 0.5 / 2 * slopes(real).mean() + 0.25 / 2 * slopes(fake).mean()
    if objective == "relativistic":
        expected = expected + F.softplus(f - r).mean()
    else:
        torch.manual_seed(3)
        t = torch.rand(8).view(-1, 1, 1, 1)
        mixes = t * real + (1 - t) * fake
        norms = slopes(mixes.detach()).sqrt()
        expected = expected + f.mean() - r.mean() + 10 * (norms - 1).square().mean() + 0.5 * r.square().mean()
    torch.testing.assert_close(move.loss, expected)


def test_optimisers_begin_anew_at_a_stage(tmp_path: Path):
    trainer = small_trainer(tmp_path, "progressive")
    steps = []
    for _ in range(6):
        play(trainer, 1)
        steps.append(max(s["step"].item() for s in trainer.seats[id(trainer.game.critic)].optimiser.state.values()))
    assert steps == [1, 2, 1, 2, 3, 4]
    assert trainer.images == 2 * 32 + 4 * 16
    assert {group["lr"] for seat in trainer.seats.values() for group in seat.optimiser.param_groups} == {5e-4}


def test_resume_inside_a_fade(tmp_path: Path):
    whole = play(small_trainer(tmp_path / "whole", "progressive"), 6)
    begun = play(small_trainer(tmp_path / "begun", "progressive"), 4)
    assert 0 < begun.game.generator.level < 1
    begun.save()
    resumed = small_trainer(tmp_path / "begun", "progressive")
    resumed.restore()
    assert resumed.game.generator.level == begun.game.generator.level
    assert_same(weights(play(resumed, 2)), weights(whole))


def test_levels_of_a_pack_are_box_filtered_and_mended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("CARDIGAN_CACHE", str(tmp_path / "cache"))
    from PIL import Image

    folder = tmp_path / "images"
    folder.mkdir()
    pixels = torch.randint(0, 256, (6, 16, 12, 3), dtype=torch.uint8)
    for i, picture in enumerate(pixels):
        Image.fromarray(picture.numpy()).save(folder / f"{i}.png")
    train = open_data(folder, DataOptions(held_out=0.3)).train
    small = train.halved(2)
    assert small.spec.shape == (3, 4, 3)
    every = torch.arange(len(train))
    means = F.avg_pool2d(train.images(every), 4)
    assert (small.images(every) - means).abs().max() <= 1.001 / 255
    before = small.images(every)
    (stored,) = Path(cache_folder()).glob("packs/*/images-4.bin")
    stored.write_bytes(bytes(stored.stat().st_size))
    again = open_data(folder, DataOptions(held_out=0.3)).train.halved(2)
    assert torch.equal(again.images(every), before)


def test_box_filter_rounds_once():
    pixels = torch.randint(0, 65536, (3, 2, 8, 12)).to(torch.uint16)
    exact = pixels.double().unflatten(3, (3, 4)).unflatten(2, (2, 4)).mean((3, 5))
    assert torch.equal(box_filtered(pixels, 2).double(), (exact + 0.5).floor())
    points = torch.randn(2, 1, 4, 4)
    torch.testing.assert_close(box_filtered(points, 1), F.avg_pool2d(points, 2))


def test_halved_batches_are_the_same_examples():
    train = small_splits(side=16).train
    whole, small = Batches(train, 8, seed=1, flip=True), Batches(train.halved(1), 8, seed=1, flip=True)
    assert (F.avg_pool2d(whole.at(3).images, 2) - small.at(3).images).abs().max() <= 1.001 / 255
    assert torch.equal(whole.at(3).labels, small.at(3).labels)


@pytest.mark.parametrize(
    ("side", "change", "message"),
    [
        ((28, 28), {"phase": 0.3}, r"never reaches 28 x 28 pixels.*at most --set game.phase=0.23"),
        ((100, 60), {}, r"60 x 100 pixels cannot be grown by doubling.*data.size=\[96,64\]"),
        ((9, 9), {}, r"9 x 9 pixels cannot be grown"),
    ],
)
def test_what_cannot_grow_is_refused(side: tuple[int, int], change: dict, message: str):
    spec = DataSpec(channels=1, height=side[0], width=side[1])
    with pytest.raises(RecipeError, match=message):
        ProgressiveConfig(generator=GENERATOR, critic=CRITIC, **change).build(spec)


@pytest.mark.parametrize("batches", [[6], [16, 2]])
def test_batches_that_do_not_fill_groups_are_refused(batches: list[int], tmp_path: Path):
    with pytest.raises(RecipeError, match=r"batch of \d cannot be cut into micro_batches=1 of whole groups of 4: use"):
        small_trainer(tmp_path, "progressive", game={"batches": batches})


def test_bases():
    assert doublings((1, 28, 28)).base == (7, 7)
    assert doublings((3, 64, 96)).base == (4, 6)
    assert doublings((3, 64, 96)).count == 4


def test_an_early_average_has_the_level_it_was_taken_at(tmp_path: Path):
    out = tmp_path / "run"
    settings = [
        "average.snapshots=8",
        "game.phase=0.3",
        "game.generator.width=4",
        "log.previews=0",
        "log.evaluations=0",
    ]
    cardigan.train("digits", recipe="progressive", out=out, images=320, settings=settings, device="cpu", evaluate=False)
    found = cardigan.average(out, width=0.1, images=160, device="cpu")
    assert found.images == 160
    assert 0 < found.model.game.generator.level < 1
