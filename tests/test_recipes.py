"""Every recipe is a complete training, whatever the data's shape; a wrong key never gets that far."""

import tomllib
from pathlib import Path

import pytest
import tomli_w
import torch

from cardigan.data.spec import DataSpec
from cardigan.errors import RecipeError
from cardigan.training.automatic import fit_to_data
from cardigan.training.recipe import build_recipe, data_options, merge, parse_settings, recipe_names, recipe_table
from cardigan.training.run import RunFolder, RunRecord
from cardigan.training.trainer import Trainer
from small import small_sides, small_splits, told_blobs

NAMES = [
    "autoencoder",
    "context-encoder",
    "dcgan",
    "default",
    "denoising-autoencoder",
    "gan",
    "lsgan",
    "sngan",
    "vae",
    "wgan",
    "wgan-gp",
]


def test_the_named_recipes_are_there() -> None:
    assert set(NAMES) <= set(recipe_names())


NARROW = {
    "pix2pix": {"generator": {"width": 8, "max_width": 16}, "discriminator": {"width": 8}},
    "cyclegan": {"generator": {"width": 8, "blocks": 2}, "discriminator": {"width": 8}},
    "unit": {"translator": {"width": 8, "blocks": 1}, "discriminator": {"width": 8, "depth": 4}},
    "adaptation": {"translator": {"width": 4}, "discriminator": {"width": 4}},
}
NARROW |= {f"{name}-small": NARROW[name] for name in ("pix2pix", "cyclegan", "unit")}
TRANSLATIONS = tuple(NARROW)
PAINTERS = ("stackgan", "stackgan-small")


@pytest.mark.parametrize("name", TRANSLATIONS)
@pytest.mark.parametrize("channels", [(1, 1), (3, 3)])
def test_translation_plays_a_round_at_any_size_of_its_own(name: str, channels: tuple[int, int], tmp_path: Path) -> None:
    table = merge(recipe_table(name), {"precision": "float32", "game": NARROW[name]})
    splits = small_sides(table["data"]["pairing"] == "paired", channels, 32, labelled=name == "adaptation")
    record = RunRecord(data="blobs", digest="", spec=splits.train.spec, recipe=build_recipe(table))
    trainer = Trainer(record, splits, RunFolder(tmp_path), "cpu")
    trainer.play_round()
    assert trainer.is_finite()
    assert trainer.images == table["batch"]
    assert trainer.preview(4).shape[1:] == (3, 32, 32)


@pytest.mark.parametrize("name", PAINTERS)
@pytest.mark.parametrize(("channels", "side"), [(4, 32), (3, 48)])
def test_painting_plays_a_round_of_either_stage(name: str, channels: int, side: int, tmp_path: Path) -> None:
    table = merge(recipe_table(name), {"batch": 8, "images": 16, "precision": "float32"})
    narrow(table["game"])
    splits = told_blobs(channels, side)
    record = RunRecord(data="blobs", digest="", spec=splits.train.spec, recipe=build_recipe(table))
    trainer = Trainer(record, splits, RunFolder(tmp_path), "cpu")
    for stage in (1, 2):
        trainer.play_round()
        assert trainer.stage == stage
        assert trainer.is_finite()
        assert trainer.preview(4).shape == (4, *splits.train.spec.shape)
    assert trainer.finished


def test_stackgan_is_the_papers_training() -> None:
    recipe = build_recipe(recipe_table("stackgan"))
    game = recipe.game
    assert (game.kl, game.mismatch, game.enlarge, recipe.batch, recipe.data.sentences) == (2.0, 0.5, 4, 64, 4)
    assert all((o.lr, o.beta1) == (2e-4, 0.5) for o in recipe.optimiser.values())
    epochs = recipe.images / 8_855
    assert epochs == pytest.approx(1200, rel=1e-2)
    with torch.device("meta"):
        playing = game.build(DataSpec(channels=3, height=256, width=256, text=recipe.data.encoder))
    rates = [playing.phase((epoch + 0.5) / 1200).rate for epoch in range(1200)]
    assert rates == [0.5 ** (epoch % 600 // 100) for epoch in range(1200)]


@pytest.mark.parametrize("name", [name for name in recipe_names() if name not in (*TRANSLATIONS, *PAINTERS)])
@pytest.mark.parametrize(("channels", "side"), [(1, 8), (3, 20)])
def test_recipe_plays_a_round_on_any_shape(name: str, channels: int, side: int, tmp_path: Path) -> None:
    splits = small_splits(channels, side)
    table = merge(recipe_table(name), {"batch": 8, "precision": "float32"})
    narrow(table["game"])
    recipe = build_recipe(table)
    record = RunRecord(data="blobs", digest="", spec=splits.train.spec, recipe=recipe)
    trainer = Trainer(record, splits, RunFolder(tmp_path), "cpu")
    trainer.play_round()
    assert trainer.is_finite()
    assert trainer.images >= 8
    assert trainer.preview(4).shape[1:] == splits.train.spec.shape


def narrow(game: dict) -> None:
    """The recipe's networks at a width that a test can wait for."""
    for network in game.values():
        if isinstance(network, dict) and "width" in network:
            network |= {"width": 16, "max_width": 16}


@pytest.mark.parametrize("name", recipe_names())
def test_recipe_has_the_top_level_keys_and_survives_toml(name: str) -> None:
    recipe = build_recipe(recipe_table(name))
    assert recipe.recipe == name
    assert recipe.about
    text = tomli_w.dumps(recipe.model_dump(mode="json", exclude_none=True))
    assert {"seed", "batch", "images"} <= tomllib.loads(text).keys()
    assert build_recipe(tomllib.loads(text)) == recipe


def test_wgan_is_algorithm_1() -> None:
    recipe = build_recipe(recipe_table("wgan"))
    game = recipe.game
    assert (game.clip, game.critic_steps, game.gradient_penalty, recipe.batch) == (0.01, 5, 0.0, 64)
    assert all((o.name, o.lr) == ("rmsprop", 5e-5) for o in recipe.optimiser.values())


@pytest.mark.parametrize(
    "spec",
    [
        DataSpec(channels=1, height=8, width=8),
        DataSpec(channels=3, height=28, width=28),
        DataSpec(channels=3, height=64, width=48),
        DataSpec(channels=4, height=128, width=128),
        DataSpec(channels=2, height=1, width=1, kind="points"),
    ],
)
@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_default_fits_any_data(spec: DataSpec, device: str) -> None:
    recipe = build_recipe(fit_to_data(recipe_table("default"), spec, torch.device(device)))
    with torch.device("meta"):
        game = recipe.game.build(spec)
    assert recipe.game.objective == "relativistic"
    assert sum(p.numel() for p in game.parameters()) > 10_000


def test_settings_are_toml_values_and_tables_merge() -> None:
    table = parse_settings(["game.latent.size=32", "optimiser.generator.lr={start=1e-3, end=0}", "features=random"])
    assert table == {
        "game": {"latent": {"size": 32}},
        "optimiser": {"generator": {"lr": {"start": 1e-3, "end": 0}}},
        "features": "random",
    }


def test_a_new_name_replaces_the_table() -> None:
    base = {"network": {"name": "mlp", "widths": [3]}, "x": 1}
    assert merge(base, {"network": {"name": "dcgan"}}) == {"network": {"name": "dcgan"}, "x": 1}
    assert merge(base, {"network": {"widths": [5]}})["network"] == {"name": "mlp", "widths": [5]}


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("game.latnet.size=3", "unknown recipe key game.latnet"),
        ("batch=big", "recipe key batch: input should be a valid integer.*'big'"),
        ("batch=0", "recipe key batch: input should be greater than 0"),
        ("game.objective=wasserstien", "game.objective"),
        ("game.generator={name='unet'}", "game.generator.*unet"),
        ("micro_batches=7", "batch 64 cannot be cut into 7"),
        ("optimiser.generator.lr=-1", "lr"),
        (
            "optimiser.generator.lr={strat=1e-3, end=0}",
            r"unknown recipe key optimiser\.generator\.lr\.strat: .* start, end, shape, begin, until",
        ),
        ("optimiser.generator.lr.util=0.5", r"optimiser\.generator\.lr"),
        ("game.r1={start=1}", r"there is no key game\.r1\.end"),
        ("game.r1={start=1, end=-1}", r"recipe key game\.r1\.end: .*greater than or equal to 0, not -1"),
        ("game.r1=[1]", r"recipe key game\.r1: input should be a valid number, not \[1\]"),
        ("batch=true", "recipe key batch: input should be a valid integer, not True"),
        ("batch='64'", "recipe key batch: input should be a valid integer, not '64'"),
        ("batch=1.5", "recipe key batch: input should be a valid integer"),
        ("optimiser.generator.lr=true", r"recipe key optimiser\.generator\.lr: .*valid number, not True"),
        ("optimiser.generator.lr=inf", r"recipe key optimiser\.generator\.lr: .*finite"),
        ("game.reuse_fake=1", r"recipe key game\.reuse_fake: .*valid boolean, not 1"),
        ("data.size=true", r"recipe key data\.size: .*valid integer, not True"),
    ],
)
def test_wrong_settings_are_named(setting: str, message: str) -> None:
    with pytest.raises(RecipeError, match=message) as raised:
        build_recipe(merge(recipe_table("dcgan"), parse_settings([setting])))
    assert "\n" not in str(raised.value)


def test_data_options_are_held_to_their_types_before_the_rest() -> None:
    with pytest.raises(RecipeError, match=r"recipe key data\.size: .*valid integer, not True"):
        data_options({"size": True})
    assert data_options({"size": 32.0}).size == 32


def test_counts_may_be_written_with_an_exponent_and_sizes_as_lists() -> None:
    settings = ["images=1e6", "batch=64.0", "average.half_life=5", "data.size=[32, 48]", "optimiser.generator.lr=1"]
    recipe = build_recipe(merge(recipe_table("dcgan"), parse_settings(settings)))
    assert (recipe.images, recipe.batch, recipe.average.half_life) == (1_000_000, 64, 5.0)
    assert recipe.data.size == (32, 48)
    assert isinstance(recipe.images, int)
    assert isinstance(recipe.optimiser["generator"].lr, float)


def test_setting_without_equals_is_refused() -> None:
    with pytest.raises(RecipeError, match="is not key=value"):
        parse_settings(["batch"])


def test_unknown_recipe_suggests_and_lists() -> None:
    with pytest.raises(RecipeError, match="did you mean dcgan"):
        recipe_table("dcgna")
    with pytest.raises(RecipeError, match="choose one of adaptation, autoencoder"):
        recipe_table("qqq")


def test_recipe_from_a_file_with_a_base(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text('base = "dcgan"\nrecipe = "mine"\nbatch = 32\n[game]\nobjective = "hinge"\n')
    recipe = build_recipe(recipe_table(str(path)))
    assert (recipe.recipe, recipe.batch, recipe.game.objective) == ("mine", 32, "hinge")
    assert recipe.game.generator.name == "dcgan"
    path.write_text("batch = ")
    with pytest.raises(RecipeError, match="not valid TOML"):
        recipe_table(str(path))
