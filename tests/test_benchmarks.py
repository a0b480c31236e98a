"""The benchmarks' own functions, on digits and for seconds: a table is only worth what made it."""

import argparse
import json
import math
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn

sys.path.insert(0, str(Path(__file__).parent.parent / "benchmarks"))

import ais_speed
import common
import data_path
import emd_speed
import growing
import inpainting
import lecture
import memory
import painting
import quality
import speed_captions
import speed_dcgan
import speed_generators
import speed_inpaint
import speed_stackgan
import speed_translating
import speed_translation
import stacked_digits
import startup
import turns
import wgan_correlation
from cardigan.apps.lab.findings import Findings, Row
from cardigan.data.worlds.opening import WORLDS
from cardigan.evaluation import attributes
from cardigan.objectives import OBJECTIVES
from cardigan.text import CharEncoderConfig
from cardigan.training.randomness import seed_everything

BENCHMARKS = Path(__file__).parent.parent / "benchmarks"
MINUTES = 0.002
SMALL = ("batch=16", "game.generator.width=8", "game.discriminator.width=8")


@pytest.fixture(scope="module", autouse=True)
def one_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A cache of this file's own, in which the classifier is trained once."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CARDIGAN_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


def job(recipe: str, data: str = "digits", settings: tuple[str, ...] = ()) -> common.Job:
    return common.Job(recipe, data, recipe, 0, MINUTES, settings)


def test_play_looks_so_many_times_and_counts_rounds_only() -> None:
    one = job("dcgan", settings=SMALL)
    trainer, seen = one.trainer(one.splits(), 16 * 12), []
    seconds = common.play(trainer, 4, seen.append)
    assert trainer.finished
    assert seen == sorted(seen)
    assert len(seen) == 4
    assert seen[-1] == seconds > 0


def test_looking_at_a_model_does_not_change_the_training() -> None:
    def weights(looks: int) -> torch.Tensor:
        one = job("dcgan", settings=SMALL)
        trainer = one.trainer(one.splits(), 16 * 6)

        def look(_: float) -> None:
            with common.model_of(trainer) as model:
                model.sample(8)

        common.play(trainer, looks, look)
        return torch.cat([p.detach().flatten() for p in trainer.game.parameters()])

    assert torch.equal(weights(1), weights(6))


def test_a_key_changes_with_the_recipe_and_not_with_its_notes() -> None:
    splits = job("dcgan").splits()
    plain = job("dcgan").key(splits)
    assert plain == job("dcgan", settings=("log.ticks=7",)).key(splits)
    assert plain != job("dcgan", settings=("batch=32",)).key(splits)


def test_rows_are_found_again_and_a_table_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["quality.py", "--minutes", "1"])
    results = common.Results(tmp_path / "deep", "quality")
    results.append({"label": "gan", "seed": 0, "fd": 3.0})
    results.append({"label": "gan", "seed": 0, "fd": 2.0})
    assert results.find({"label": "gan", "seed": 1}) is None
    assert results.find({"label": "gan", "seed": 0}) == {"label": "gan", "seed": 0, "fd": 2.0}
    results.publish("Quality", common.table(["a"], [["1"]]))
    text = (tmp_path / "deep" / "quality.md").read_text()
    assert "python benchmarks/quality.py --minutes 1" in text
    assert "| 1 |" in text
    assert torch.__version__ in text


def test_spread() -> None:
    assert common.spread([1.0, 3.0]) == "2.00 ± 1.41"
    assert common.spread([1.0]) == "1.00"
    assert common.spread([None]) == ""


@pytest.mark.parametrize(
    ("recipe", "settings", "measured"),
    [
        ("autoencoder", (), {"mse"}),
        ("vae", (), {"elbo", "iwae", "mse", "fd", "floor"}),
        ("dcgan", SMALL, {"fd", "floor"}),
    ],
)
def test_quality(recipe: str, settings: tuple[str, ...], measured: set[str], tmp_path: Path) -> None:
    row = quality.measure(job(recipe, settings=settings), tmp_path)
    assert {"mse", "elbo", "iwae", "fd", "floor"} & set(row) == measured
    assert len(row["curve"]) == (quality.LOOKS if "fd" in measured else 0)
    assert (tmp_path / f"quality-digits-{recipe}.png").is_file()
    assert recipe in quality.summary([{"label": recipe, "minutes": MINUTES, **row}])


def test_stacked_digits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stacked_digits, "SAMPLES", 500)
    monkeypatch.setattr(stacked_digits, "FRECHET_SAMPLES", 300)
    row = stacked_digits.measure(job("dcgan", "stacked-digits", SMALL), tmp_path)
    assert 0 < row["modes"] <= 500
    assert row["reverse_kl"] > 1
    assert "dcgan" in stacked_digits.summary([{"label": "dcgan", **row}])
    names = {stacked_digits.SYSTEMS[shown][0] for shown in stacked_digits.SHOWN}
    assert {"default", "gan", "dcgan", "wgan", "wgan-gp"} == names


@pytest.mark.parametrize("label", ["dcgan", "progressive", "not grown"])
def test_growing(label: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(growing, "SAMPLES", 300)
    monkeypatch.setattr(growing, "CURVE_SAMPLES", 200)
    recipe, settings = growing.SYSTEMS[label]
    row = growing.measure(job(recipe, settings=(*settings, *(SMALL if recipe == "dcgan" else ()))), tmp_path)
    assert 1 <= len(row["curve"]) <= growing.LOOKS
    assert row["fd"] > row["floor"]
    assert label in growing.summary([{"label": label, "minutes": MINUTES, "seed": 0, **row}])


def test_time_to_the_same_distance() -> None:
    grown, full = {"curve": [(1.0, 9.0), (2.0, 5.0), (3.0, 4.0)]}, {"curve": [(2.0, 9.0), (4.0, 6.0), (6.0, 7.0)]}
    text = growing.half_time({"progressive": [grown, full], "not grown": [full, grown]})
    assert text.endswith("by seed: 0.50, not reached.")


def test_speed_of_generators(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (("SIDE", 8), ("ROUNDS", 4), ("SAMPLES", 4)):
        monkeypatch.setattr(speed_generators, name, value)
    assert float(speed_generators.penalties("r3gan", 1)[-1]) > 0
    difference = float(speed_generators.sampling("progressive", 1)[-1])
    assert difference < 1e-4


@pytest.mark.parametrize(
    ("recipe", "reported"), [("wgan", {"Wasserstein estimate"}), ("dcgan", {"JSD estimate", "generator loss"})]
)
def test_correlation(recipe: str, reported: set[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wgan_correlation, "SAMPLES", 100)
    critic = "critic" if recipe == "wgan" else "discriminator"
    settings = ("batch=16", "game.generator.width=8", f"game.{critic}.width=8")
    one = common.Job(recipe, "digits", recipe, 0, 0.005, settings)
    row = wgan_correlation.measure(one, tmp_path)
    assert set(row["spearman"]) == reported
    assert len(row["series"]["fd"]) <= wgan_correlation.LOOKS
    assert recipe in wgan_correlation.summary([{"label": recipe, **row}])


def copy_weights(plain: speed_dcgan.Plain, trainer: common.Trainer) -> None:
    """Cardigan's DCGAN has linear layers where the plain one has convolutions of a 1 x 1 or to a 1 x 1 map."""
    theirs = [p for net in (plain.generator, plain.discriminator) for p in net.parameters()]
    ours = [p for net in (trainer.game.generator, trainer.game.discriminator) for p in net.parameters()]
    assert len(theirs) == len(ours)
    with torch.no_grad():
        for mine, other in zip(ours, theirs, strict=True):
            if mine.dim() == 2:  # its features are in the order of pixels, then channels
                mine = (
                    mine.reshape(4, 4, -1, speed_dcgan.LATENT).permute(3, 2, 0, 1)
                    if len(mine) > 1
                    else by_channel(mine)
                )
            other.copy_(mine)


def by_channel(weight: torch.Tensor) -> torch.Tensor:
    return weight.reshape(1, 4, 4, -1).permute(0, 3, 1, 2)


def test_the_plain_loop_and_cardigan_play_the_same_game(monkeypatch: pytest.MonkeyPatch) -> None:
    splits = speed_dcgan.noise_images(8, 64)
    monkeypatch.setattr(speed_dcgan, "BATCH", 8)
    trainer, plain = speed_dcgan.cardigan(splits, "float32"), speed_dcgan.Plain()
    copy_weights(plain, trainer)
    for turn in range(2):
        seed_everything(trainer.recipe.seed, "round", turn, 0)
        latents = torch.randn(8, speed_dcgan.LATENT)
        discriminator, generator = plain.step(trainer.batches.at(turn).images, latents)
        trainer.play_round()
        reported = trainer.meter.read()
        assert reported["discriminator"] * 2 == pytest.approx(discriminator, rel=2e-2)
        assert reported["generator"] == pytest.approx(generator, rel=2e-2)
    assert OBJECTIVES["non-saturating"] is trainer.game.objective


def test_the_plain_networks_are_dcgan() -> None:
    counts = [
        sum(p.numel() for p in net.parameters()) for net in (speed_dcgan.generator(), speed_dcgan.discriminator())
    ]
    assert counts == [3_576_704, 2_765_568]


def nothing() -> Callable[[], object]:
    return lambda: None


def test_interleaved_counts_every_turn_but_the_first_ones() -> None:
    seconds = turns.interleaved({"a": nothing, "b": nothing}, threads=1, repeats=2)
    assert {name: len(each) for name, each in seconds.items()} == {"a": 2, "b": 2}
    assert all(0 <= second < 1 for each in seconds.values() for second in each)


def test_a_comparison_is_with_the_first_candidate() -> None:
    first, second = turns.compared({"a": nothing, "b": nothing}, threads=1, steps=2)
    assert (first["label"], first["ratio"], second["label"]) == ("a", 1.0, "b")
    assert second["peak"] > 100  # MiB: torch alone


def test_the_plain_script_and_cardigan_translate_the_same_pictures(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setattr(speed_translating, "SIZES", {"cyclegan": 32})
    monkeypatch.setattr(speed_translating, "PICTURES", 2)
    monkeypatch.setattr(speed_translation, "SIZES", {"cyclegan": 32})
    monkeypatch.setattr(speed_translation, "WIDTH", 2)
    speed_translating.plain(speed_translating.BOTH)()
    assert len(list(tmp_path.glob("*/*_fake ?.png"))) == 4
    speed_translating.cardigan(speed_translating.BOTH)()
    assert len(list(tmp_path.glob("*/[ab]/*.png"))) == 4


def test_captions_are_packed() -> None:
    spent, megabytes = speed_captions.seconds(
        CharEncoderConfig(dims=8, widths=(4, 4, 4)), ("a red bird", "a blue bird")
    )
    assert spent > 0
    assert megabytes == pytest.approx(2 * 8 * 2 / 1e6)


def test_data_path(tmp_path: Path) -> None:
    data_path.write_pictures(tmp_path / "pictures", 70)
    files = data_path.PictureFiles(tmp_path / "pictures")
    splits = data_path.open_data(tmp_path / "pictures", cache=tmp_path / "cache")
    assert len(files) == 70 == len(splits.train) + len(splits.test)
    names = splits.train.names(torch.arange(3))
    assert names is not None
    for i, name in enumerate(names):
        again = files[[path.name for path in files.paths].index(Path(name).name)]
        assert torch.allclose(again, splits.train.images(torch.tensor([i]))[0], atol=1e-6)
    assert data_path.loader_seconds(tmp_path / "pictures", epochs=1) > data_path.store_seconds(splits, 5, 1)


@pytest.mark.parametrize("kind", ["array", "holes"])
def test_memory(kind: str, tmp_path: Path) -> None:
    splits = memory.prepare(kind, 0.01, tmp_path)
    assert splits.train.spec.shape == memory.SHAPE
    assert len(splits.train) + len(splits.test) == max(64, int(0.01 * memory.GIB / memory.BYTES))
    if kind == "holes":
        assert (tmp_path / "pack" / "images.bin").stat().st_blocks == 0
    assert memory.status("RssAnon") > 2**20


@pytest.mark.parametrize("recipe", ["default", "vae"])
def test_ais_speed(recipe: str) -> None:
    rows = ais_speed.measure(recipe, "digits", images=3, steps=2, repeats=1)
    assert [row["label"] for row in rows] == [f"{recipe}, loop over images", f"{recipe}, one batch"]
    assert rows[0]["ratio"] == 1
    assert all(row["rate"] > 0 for row in rows)
    assert f"{recipe}, one batch" in ais_speed.summary(rows)


def test_startup() -> None:
    assert not startup.imports_torch(["-c", "import cardigan"])
    assert startup.imports_torch(["-c", "import sys, types, torch"])
    wall, used = startup.run(["-c", "pass"])
    assert min(wall, used) > 0


def test_an_experiment_runs_what_is_missing_only(tmp_path: Path) -> None:
    command = [sys.executable, str(BENCHMARKS / "quality.py"), "--data", "digits", "--recipes", "autoencoder"]
    command += ["--seeds", "0", "--minutes", str(MINUTES), "--results", str(tmp_path)]
    for _ in range(2):
        subprocess.run(command, check=True, capture_output=True)
    rows = [json.loads(line) for line in (tmp_path / "quality.jsonl").read_text().splitlines()]
    assert [row["label"] for row in rows] == ["autoencoder"]
    assert (tmp_path / "quality-digits.md").is_file()


def test_lecture(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    row = Row("  a number", 1.0, 1.5, 1.0)
    monkeypatch.setattr("cardigan.apps.lab.notebook.experiment", lambda _: lambda seed, __: Findings((row,), f"{seed}"))
    page = tmp_path / "lecture.md"
    page.write_text("before\n<!-- duality -->\nold\n<!-- /duality -->\nafter\n", encoding="utf-8")
    lecture.main(["--docs", str(tmp_path), "--only", "duality", "--seeds", "1"])
    text = page.read_text(encoding="utf-8")
    assert "old" not in text
    assert "| &nbsp;&nbsp;a number | 1 | 1.5 | -5.0e-01 |" in text
    assert "Verdict: 0." in text
    assert text.rstrip().endswith("after")
    assert "(0 s) With seed 1: 1.\n" in text
    assert (tmp_path / "lecture" / "duality.json").is_file()
    with pytest.raises(ValueError, match="marks the place of modes 0 times"):
        lecture.main(["--docs", str(tmp_path), "--only", "modes", "--seeds"])


def test_emd_speed() -> None:
    first, second = emd_speed.measure(60, 1)
    assert first["cost"] == pytest.approx(second["cost"], rel=1e-9)
    assert "network simplex" in emd_speed.summary([first, second])


def test_completion_is_measured_with_its_ablations(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inpainting, "faces", lambda: "digits")
    monkeypatch.setattr(inpainting, "MASKS", ("center",))
    short = ["--training", "640", "--network-minutes", "0.01", "--images", "4", "--masks", "center"]
    arguments = ["inpainting.py", "--run", str(tmp_path / "run"), "--results", str(tmp_path), *short]
    monkeypatch.setattr(sys, "argv", arguments)
    inpainting.main()
    written = (tmp_path / "inpainting.md").read_text()
    rows = [line.split(" | ")[0].strip("| ") for line in written.splitlines() if "±" in line and line.startswith("|")]
    ours = ["completion", "no prior loss", "no weighting", "no blending"]
    assert rows == [*ours, "total variation", "biharmonic", "nearest training image", "network"] * 2
    before = (tmp_path / "inpainting.jsonl").read_text()
    inpainting.main()
    assert (tmp_path / "inpainting.jsonl").read_text() == before


def test_the_plain_completion_loop_takes_the_same_steps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (("STEPS", 3), ("BATCH", 4), ("ALONE", 1), ("SOME", 2)):
        monkeypatch.setattr(speed_inpaint, name, value)
    monkeypatch.setattr(sys, "argv", ["speed_inpaint.py", "--repeats", "1", "--results", str(tmp_path)])
    speed_inpaint.main()
    assert "| 4 | " in (tmp_path / "speed_inpaint.md").read_text()


def test_the_plain_translators_are_the_papers() -> None:
    with torch.device("meta"):
        counts = [
            sum(p.numel() for p in network.parameters())
            for network in (
                speed_translation.residual_generator(),
                speed_translation.u_net(),
                speed_translation.patches(3, nn.InstanceNorm2d, bias=True),
                speed_translation.patches(6, nn.BatchNorm2d, bias=False),
            )
        ]
    assert counts == [7_837_699, 54_413_955, 2_764_737, 2_768_705]


def test_plain_stackgan_is_the_papers() -> None:
    with torch.device("meta"):
        one, two, critic = (
            speed_stackgan.PlainStageOne(),
            speed_stackgan.PlainStageTwo(),
            speed_stackgan.PlainDiscriminator(),
        )
    counts = [sum(p.numel() for p in network.parameters()) for network in (one, two, critic)]
    assert counts == [14_264_192, 26_290_080, 48_603_520]


def test_plain_and_own_rounds_of_stackgan_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(speed_stackgan, "WIDTHS", {"generator": 4, "discriminator": 2})
    losses = speed_stackgan.plain(2)()
    assert isinstance(losses, list)
    assert all(map(math.isfinite, losses))
    trainer = speed_stackgan.trainer(2, "float32")
    trainer.play_round()
    assert trainer.stage == 2
    assert trainer.is_finite()


def test_pictures_of_sentences_are_measured_row_by_row(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In this process, on few birds; a second run finds all rows."""
    small = {name: replace(world, counts=(40, 20)) for name, world in WORLDS.items()}
    monkeypatch.setattr("cardigan.data.worlds.opening.WORLDS", small)
    monkeypatch.setattr(attributes, "LEAST_STEPS", 2)
    reader = "data.encoder={name='char-cnn-rnn', dims=8, widths=[8, 8, 8], steps=2, side=8}"
    tiny = (
        "data.size=16",
        reader,
        "game.generator.width=4",
        "game.generator.max_width=8",
        "game.discriminator.width=4",
    )
    trained = []

    def here(script: str, args: argparse.Namespace, jobs: list[common.Job], measure: Callable[..., dict]) -> list[dict]:
        results = common.Results(args.results, Path(script).stem)
        for one in jobs:
            if results.find(one.key(one.splits())) is None:
                trained.append(one.label)
                results.append({**one.key(one.splits()), **measure(one, args.results)})
        return [row | {"label": one.label} for one in jobs if (row := results.find(one.key(one.splits())))]

    monkeypatch.setattr(painting, "experiment", here)
    arguments = ["painting.py", "--images", "32", "--seeds", "0", "--results", str(tmp_path), "--set", *tiny]
    monkeypatch.setattr(sys, "argv", arguments)
    for _ in range(2):
        painting.main()
    assert trained == list(painting.SYSTEMS)
    lines = (tmp_path / "painting-birds.md").read_text().splitlines()
    cells = {line.split(" | ")[0].strip("| "): line.split(" | ")[1:] for line in lines if line.startswith("|")}
    assert list(cells)[2:] == [*painting.SYSTEMS, "real images", "by chance"]
    assert all(float(cell) >= 0 for label in painting.SYSTEMS for cell in cells[label][:4])
    games = {
        label: common.Job(label, "birds", recipe, 0, None, (*painting.TOLD, *more), 1)
        for label, (recipe, more) in painting.SYSTEMS.items()
    }
    resolved = {label: one.resolved(one.splits(), 1) for label, one in games.items()}
    assert {recipe.data.encoder for recipe in resolved.values()} == {resolved["two stages"].data.encoder}
    objectives = {label: recipe.game.objective for label, recipe in resolved.items()}
    assert objectives.pop("the paper's objective") == "non-saturating"
    assert set(objectives.values()) == {"relativistic"}
    assert len({recipe.game.model_dump_json() for recipe in resolved.values()}) == len(painting.SYSTEMS)


@pytest.mark.parametrize("name", ["cyclegan", "pix2pix"])
def test_plain_and_own_rounds_of_translation_run(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(speed_translation, "SIZES", {"cyclegan": 32, "pix2pix": 256})
    monkeypatch.setattr(speed_translation, "WIDTH", 2)
    losses = speed_translation.plain(name)()
    assert isinstance(losses, list)
    assert all(map(math.isfinite, losses))
    trainer = speed_translation.trainer(name, "float32")
    assert sum(p.numel() for p in trainer.game.parameters()) > 10_000_000
