"""Translations are measured in every direction, against what is known to be right, and never on more than is known."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from cardigan.apps.evaluate import evaluate, evaluate_model, options_of
from cardigan.apps.model import Model, load
from cardigan.apps.translating.adaptation import accuracies
from cardigan.apps.translating.directions import BY_NAME, Context, Direction
from cardigan.apps.translating.scores import TRANSLATION_SCORES, translation_results
from cardigan.data import Dataset, DataSpec, Splits
from cardigan.data.palette import coded
from cardigan.data.sides import Pairs, Unpaired
from cardigan.data.spec import Side
from cardigan.errors import DataError, RunError
from cardigan.evaluation import Evaluation, psnr, segmentation, ssim
from cardigan.evaluation.intervals import mean_interval
from cardigan.training.recipe import build_recipe
from cardigan.training.run import RunFolder, RunRecord
from cardigan.training.trainer import Trainer
from cli_runs import refused, succeeds, write_pictures
from small import play, small_sides, small_splits, small_trainer

COLOURS = torch.tensor([[40, 40, 200], [60, 180, 60], [200, 60, 60]])
PALETTE = (("sea", (0, 0, 255)), ("wood", (0, 255, 0)), ("brick", (255, 0, 0)))
LIKENESS = ["psnr", "ssim", "l1"]

pytestmark = pytest.mark.usefixtures("cache")


def known(splits: Splits) -> Splits:
    """The same as unpaired images whose partners are known."""

    def split(pairs: Dataset) -> Unpaired:
        assert isinstance(pairs, Pairs)
        return Unpaired(*pairs.sides, pairs.spec.model_copy(update={"paired": False}), pairs)

    return Splits(split(splits.train), split(splits.test))


def labelled(coding: str = "one-hot", count: int = 60) -> Splits:
    """Maps of blocks of three classes, and photographs in which each class has a colour of its own."""
    stream = torch.Generator().manual_seed(0)
    classes = torch.randint(3, (count, 4, 4), generator=stream).repeat_interleave(4, 1).repeat_interleave(4, 2)
    noise = torch.randint(-20, 21, (count, 3, 16, 16), generator=stream)
    photos = (COLOURS[classes].movedim(-1, 1) + noise).to(torch.uint8)
    sides = (
        Side(name="labels", channels=1, palette=PALETTE, coding=coding),
        Side(name="photos", channels=3),
    )
    spec = DataSpec(channels=4, height=16, width=16, sides=sides, paired=True)

    def split(name: str, rows: slice) -> Pairs:
        both = (classes[rows, None].to(torch.uint8).contiguous(), photos[rows].contiguous())
        plain = [spec.model_copy(update={"channels": side.channels, "sides": ()}) for side in sides]
        return Pairs(
            *(Dataset("blocks", name, s, x, f"{name} {s.channels}") for s, x in zip(plain, both, strict=True)), spec
        )

    return Splits(split("train", slice(0, 40)), split("test", slice(40, None)))


def model_of(folder: Path, kind: str, splits: Splits, **changes: object) -> Model:
    trainer = play(small_trainer(folder, kind, splits=splits, **changes), 1)
    trainer.deploy()
    return load(folder, "cpu")


def translating(model: Model, by: Callable[[Tensor, int], Tensor]) -> Model:
    """The model with another way to translate: a function of what its networks see and of the side."""
    model.game.translate = lambda images, to, seeds=None: by(images, to)  # type: ignore[union-attr]
    return model


def negative(images: Tensor, to: int) -> Tensor:
    """What the second side of `small_sides` is to the first, and the first to the second."""
    return -images.flip(2)


def every(dataset: Dataset) -> Tensor:
    return dataset.images(torch.arange(len(dataset)))


def table(found: Evaluation) -> dict[str, float]:
    return {result.metric: result.value for result in found.results}


class TestLikeness:
    def test_it_is_the_mean_over_the_test_images(self, tmp_path: Path) -> None:
        splits = small_sides(channels=(3, 3))
        model = model_of(tmp_path, "pix2pix", splits, game={"noise": False})
        a, b = (every(side) for side in splits.test.sides)
        made = model.translate(a)
        expected = {"psnr": psnr(made, b), "ssim": ssim(made + 1, b + 1), "l1": (made - b).abs().mean((1, 2, 3))}
        for result in translation_results(model, splits, names=LIKENESS).results:
            mean, interval = mean_interval(expected[result.metric.removesuffix(" to b")])
            assert result.value == pytest.approx(mean, rel=1e-5)
            assert (result.low, result.high) == pytest.approx(interval, rel=1e-5)
            assert result.protocol["direction"] == "a to b"
            assert result.protocol["samples"] == len(splits.test)

    def test_a_perfect_translation_in_both_directions(self, tmp_path: Path) -> None:
        splits = known(small_sides(channels=(3, 3)))
        model = translating(model_of(tmp_path, "cyclegan", splits), negative)
        found = translation_results(model, splits)
        values = table(found)
        for to in "ab":
            assert values[f"psnr to {to}"] > 100
            assert values[f"ssim to {to}"] == pytest.approx(1, abs=1e-6)
            assert values[f"l1 to {to}"] < 1e-6
            assert [values[f"colour {c} to {to}"] for c in "Lab"] == pytest.approx([1, 1, 1], abs=1e-3)
            fd = found[f"FD(random) to {to}"]
            assert fd.value < 1e-6
            assert fd.floor is not None
            assert fd.protocol["direction"] == ("b to a" if to == "a" else "a to b")
        assert BY_NAME in found.notes

    def test_the_floor_is_a_copy_of_the_input(self, tmp_path: Path) -> None:
        splits = known(small_sides(channels=(3, 3)))
        model = translating(model_of(tmp_path, "unit", splits), lambda images, to: images)
        for result in translation_results(model, splits, names=LIKENESS).results:
            assert result.floor == pytest.approx(result.value)
            assert result.protocol["floor"] == "a copy of the input"
            assert "a copy of the input scores" in result.meaning()

    def test_what_has_other_channels_can_not_be_copied(self, tmp_path: Path) -> None:
        splits = small_sides(channels=(1, 3))
        model = model_of(tmp_path, "pix2pix", splits)
        found = translation_results(model, splits, names=[*LIKENESS, "colours"])
        assert [r.floor is None for r in found.results] == [True] * 3 + [False] * 3

    def test_images_of_two_channels_have_no_colours(self, tmp_path: Path) -> None:
        splits = small_sides(channels=(2, 2))
        found = translation_results(model_of(tmp_path, "pix2pix", splits), splits)
        assert not any("colour" in r.metric for r in found.results)
        with pytest.raises(DataError, match="colours compares grey or coloured"):
            translation_results(load(tmp_path, "cpu"), splits, names=["colours"])

    def test_the_noise_is_of_the_seed(self, tmp_path: Path) -> None:
        splits = small_sides(channels=(1, 1))
        model = model_of(tmp_path, "pix2pix", splits)
        first, again, other = (translation_results(model, splits, seed, ["l1"]).results[0] for seed in (1, 1, 2))
        assert first.value == again.value != other.value
        assert first.protocol["seed"] == 1


class TestUnpaired:
    def test_without_partners_nothing_is_compared_with_any(self, tmp_path: Path) -> None:
        splits = small_sides(False, channels=(3, 3))
        model = model_of(tmp_path, "cyclegan", splits)
        found = translation_results(model, splits)
        metrics = {r.metric for r in found.results}
        assert {"colour L to a", "colour b to b", "FD(random) to a", "FD(random) to b"} <= metrics
        assert not any(m.split()[0] in (*LIKENESS, "pixel", "IoU") for m in metrics)
        assert any("no image has a true partner" in note for note in found.notes)
        with pytest.raises(DataError, match="true partners, and this data has none"):
            translation_results(model, splits, names=["psnr"])

    def test_sides_of_unequal_length(self, tmp_path: Path) -> None:
        whole = small_sides(False, channels=(3, 3))
        a, b = whole.test.sides
        few = Dataset("blobs", "test", b.spec, ((every(b)[:15] + 1) * 127.5).round().to(torch.uint8), "few")
        splits = Splits(whole.train, Unpaired(a, few, whole.test.spec))
        model = translating(model_of(tmp_path, "cyclegan", splits), lambda images, to: images)
        found = translation_results(model, splits, names=["colours", "fd"])
        assert found["colour L to a"].protocol["samples"] == 15
        assert found["colour L to b"].protocol["samples"] == len(a)
        assert found["FD(random) to b"].protocol["samples"] == 15
        for result in found.results:
            assert result.low <= result.value <= result.high


class TestLabels:
    @pytest.fixture(autouse=True)
    def quick(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(segmentation, "LEAST_STEPS", 3)
        monkeypatch.setattr(segmentation, "MOST_STEPS", 3)

    @pytest.mark.parametrize("coding", ["one-hot", "colours"])
    def test_what_is_recognised_in_photographs_and_right_in_maps(
        self, coding: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(segmentation, "MOST_STEPS", 40)
        monkeypatch.setattr(segmentation, "LEAST_STEPS", 40)
        splits = known(labelled(coding))
        side = splits.train.spec.sides[0]
        paint = COLOURS / 127.5 - 1

        def perfect(images: Tensor, to: int) -> Tensor:
            classes = coded(side, (torch.arange(3) / 127.5 - 1).view(3, 1, 1, 1))[:, :, 0, 0]  # what is seen of each
            distances = lambda table: (images[:, None] - table[None, :, :, None, None]).square().sum(2).argmin(1)  # noqa: E731
            if to == 1:
                return paint[distances(classes)].movedim(-1, 1)
            return coded(side, (distances(paint) / 127.5 - 1)[:, None])

        model = translating(model_of(tmp_path, "cyclegan", splits, game={"identity": 0}), perfect)
        found = translation_results(model, splits, names=["segmentation"])
        assert [r.metric for r in found.results] == [
            f"{share} to {to}" for to in ("labels", "photos") for share in ("pixel accuracy", "class accuracy", "IoU")
        ]
        for share in ("pixel accuracy", "class accuracy", "IoU"):
            assert found[f"{share} to labels"].value == pytest.approx(1.0)
            seen = found[f"{share} to photos"]
            assert seen.value > 0.9
            assert seen.protocol["floor"] == "the segmenter on real photos"
            assert seen.floor is not None
            assert found[f"{share} to labels"].floor == pytest.approx(
                seen.floor
            )  # the same maps of the same photographs
        about = found["pixel accuracy to photos"].protocol["segmenter"]
        assert about["pixel accuracy on real test pairs"] == pytest.approx(found["pixel accuracy to photos"].floor)
        assert set(found["IoU to photos"].protocol["by class"]) == {"sea", "wood", "brick"}

        model = translating(model, lambda images, to: perfect(images.flip(2), to))
        for result in translation_results(model, splits, names=["segmentation"]).results:
            assert result.value < 0.7  # the right classes in the wrong places
            assert 0 <= result.low < result.value < result.high <= 1

    def test_every_score_that_suits(self, tmp_path: Path) -> None:
        splits = labelled()
        found = translation_results(model_of(tmp_path, "pix2pix", splits), splits)
        assert [r.metric.removesuffix(" to photos") for r in found.results] == [
            *LIKENESS,
            *(f"colour {c}" for c in "Lab"),
            "pixel accuracy",
            "class accuracy",
            "IoU",
            "FD(random)",
        ]
        assert found["psnr to photos"].floor is None  # a map is no photograph
        for result in found.results:
            assert result.protocol["seed"] == 0
            assert result.protocol["generated"]["digest"] == load(tmp_path, "cpu").digest
            assert result.better in ("lower", "higher")
            assert result.protocol["meaning"]
        assert Evaluation.from_json(found.to_json()) == found

    def test_nothing_is_fitted_on_test_images(self, tmp_path: Path) -> None:
        splits = labelled()
        model = model_of(tmp_path, "pix2pix", splits)
        first = translation_results(model, splits, names=["segmentation"]).results[0]
        test = splits.test
        assert isinstance(test, Pairs)
        few = [Dataset("blocks", "test", s.spec, s._pixels[:7], f"few {s.digest}") for s in test.sides]
        other = translation_results(
            model, Splits(splits.train, Pairs(*few, test.spec)), names=["segmentation"]
        ).results[0]
        assert other.protocol["segmenter"]["digest"] == first.protocol["segmenter"]["digest"]
        assert other.protocol["samples"] == 7

    def test_maps_of_another_palette_are_refused(self, tmp_path: Path) -> None:
        splits = labelled()
        model = model_of(tmp_path, "pix2pix", splits)
        with pytest.raises(DataError, match="labels and photos"):
            translation_results(model, small_sides(channels=(1, 3)))
        with pytest.raises(DataError, match="one kind of image"):
            translation_results(model, small_splits())


class TestPasses:
    def test_each_image_is_translated_once_and_few_at_a_time(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("cardigan.evaluation.features.CHUNK_NUMBERS", 5 * 3 * 8 * 8)
        splits = small_sides(channels=(3, 3))
        model = model_of(tmp_path, "pix2pix", splits)
        sizes: list[int] = []
        translate = model.translate

        def counted(images: Tensor, **how: object) -> Tensor:
            sizes.append(len(images))
            return translate(images, **how)  # type: ignore[arg-type]

        monkeypatch.setattr(model, "translate", counted)
        found = translation_results(model, splits, names=["psnr", "colours", "fd"])
        assert max(sizes) == 5
        assert sum(sizes) == len(splits.test)
        whole = table(found)
        monkeypatch.undo()
        assert whole == pytest.approx(table(translation_results(model, splits, names=["psnr", "colours", "fd"])))

    def test_some_images_are_a_fair_draw(self, tmp_path: Path) -> None:
        splits = small_sides(channels=(1, 1))
        model = model_of(tmp_path, "pix2pix", splits)
        found = translation_results(model, splits, 3, ["l1", "fd"], samples=12)
        assert [r.protocol["samples"] for r in found.results] == [12, 12]
        rows = Direction(Context(model, splits.train, splits.test, 3, 12, "auto"), 1).translations.indices
        assert len(set(rows.tolist())) == 12
        assert rows.tolist() != sorted(rows.tolist())

    def test_other_distances_by_name(self, tmp_path: Path) -> None:
        splits = small_sides(channels=(1, 1))
        model = model_of(tmp_path, "pix2pix", splits)
        found = translation_results(model, splits, names=["kid", "auth"], features="random")
        assert [r.metric for r in found.results] == ["KD(random) to b", "AuthPct(random) to b"]

    def test_too_few_images_for_a_distance(self, tmp_path: Path) -> None:
        whole = small_sides(channels=(1, 1))
        assert isinstance(whole.test, Pairs)
        one = [Dataset("blobs", "test", s.spec, s._pixels[:1], f"one {s.digest}") for s in whole.test.sides]
        splits = Splits(whole.train, Pairs(*one, whole.test.spec))
        model = model_of(tmp_path, "pix2pix", whole)
        found = translation_results(model, splits)
        assert found["psnr to b"].low == -math.inf
        assert (found["colour L to b"].low, found["colour L to b"].high) == (0.0, 1.0)
        assert any("translations to b were not compared" in note for note in found.notes)
        with pytest.raises(DataError, match="takes at least"):
            translation_results(model, splits, names=["fd"])

    def test_what_is_not_finite(self, tmp_path: Path) -> None:
        splits = small_sides(channels=(1, 1))
        model = translating(model_of(tmp_path, "pix2pix", splits), lambda images, to: images * math.nan)
        with pytest.raises(DataError, match="NaN"):
            translation_results(model, splits, names=["l1"])


class TestNames:
    def test_a_model_that_does_not_translate(self, tmp_path: Path) -> None:
        splits = small_splits()
        model = model_of(tmp_path, "gan", splits)
        for name in ("ssim", "l1", "colours", "segmentation"):
            with pytest.raises(RunError, match="small-gan does not translate"):
                evaluate_model(model, splits, metrics=["fd", name])

    def test_what_is_not_of_translations(self, tmp_path: Path) -> None:
        splits = small_sides()
        model = model_of(tmp_path, "pix2pix", splits)
        for name in ("elbo", "mse", "loglik"):
            with pytest.raises(RunError, match=f"has no {name}: choose from psnr, ssim, l1, colours, segmentation"):
                evaluate_model(model, splits, metrics=[name])

    def test_the_data_of_a_model_folder_is_read_as_it_was(self) -> None:
        spec = labelled("colours").train.spec
        options = options_of(spec)
        assert (options.pairing, options.sides, options.label_maps) == ("paired", ("labels", "photos"), ("labels",))
        assert options.coding == "colours"
        assert options_of(small_splits().train.spec).pairing == "none"


SMALL = ["--set", "batch=4", "--images", "16", "--set", "data.jitter=1", "--set", "log.previews=1"]
PATCH = "{width=4, receptive_field=16}"


class TestCommands:
    @pytest.fixture(autouse=True)
    def quick(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(segmentation, "LEAST_STEPS", 3)
        monkeypatch.setattr(segmentation, "MOST_STEPS", 3)

    def test_labels_to_photographs(self, tmp_path: Path) -> None:
        data, run = tmp_path / "data", tmp_path / "run"
        for split, pairs in (("train", labelled().train), ("test", labelled().test)):
            assert isinstance(pairs, Pairs)
            maps, photos = (((every(side) + 1) * 127.5).round().to(torch.uint8) for side in pairs.sides)
            for i in range(len(pairs)):
                for side, pixels in (
                    ("labels", np.array([c for _, c in PALETTE], np.uint8)[maps[i, 0].numpy()]),
                    ("photos", photos[i].permute(1, 2, 0).numpy()),
                ):
                    (data / split / side).mkdir(parents=True, exist_ok=True)
                    Image.fromarray(pixels).save(data / split / side / f"{i}.png")
        game = ["--set", 'game.generator={name="unet", width=4, depth=2}', "--set", f"game.discriminator={PATCH}"]
        succeeds(
            "train", data, "--out", run, "--recipe", "pix2pix", "--set", 'data.label_maps=["labels"]', *game, *SMALL
        )
        written = Evaluation.from_json((run / "evaluation.json").read_text())
        assert {"psnr to photos", "colour a to photos", "IoU to photos", "FD(random) to photos"} <= table(
            written
        ).keys()
        report = (run / "report.html").read_text(encoding="utf-8")
        assert "over and over: labels, labels to photos, photos" in report
        assert "IoU to photos" in report
        out = succeeds("evaluate", run, "--metrics", "ssim,segmentation", "-n", "10")
        assert "ssim to photos" in out
        assert "class accuracy to photos" in out
        again = evaluate(run / "model", metrics=["segmentation"])
        assert table(again) == {m: v for m, v in table(written).items() if m in table(again)}
        assert "has no elbo" in refused("evaluate", run, "--metrics", "elbo")
        write_pictures(tmp_path / "plain")
        assert "no side 'labels'" in refused("evaluate", run / "model", "--data", tmp_path / "plain")

    @pytest.mark.parametrize("recipe", ["cyclegan", "unit"])
    def test_unpaired_photographs(self, recipe: str, tmp_path: Path) -> None:
        for seed, side in enumerate(("day", "night")):
            write_pictures(tmp_path / "data" / side, 40, 8, 8, seed)
        game = {
            "cyclegan": ['game.generator={name="resnet", width=4, blocks=1}', f"game.discriminator={PATCH}"],
            "unit": ["game.translator={width=4, blocks=1}", "game.discriminator={width=4, depth=3}"],
        }[recipe]
        settings = [word for setting in game for word in ("--set", setting)]
        out = succeeds("train", tmp_path / "data", "--out", tmp_path / "run", "--recipe", recipe, *settings, *SMALL)
        for metric in ("psnr to day", "ssim to night", "colour L to night"):
            assert metric in out
        report = (tmp_path / "run" / "report.html").read_text(encoding="utf-8")
        assert "over and over: day, day to night, night, night to day" in report
        assert "a copy of the input" in report


def test_names_are_few_and_known() -> None:
    assert TRANSLATION_SCORES == ("psnr", "ssim", "l1", "colours", "segmentation", "accuracy")


class TestAccuracy:
    """Of a classifier of the recipe adaptation, on both sides."""

    def model(self, tmp_path: Path) -> tuple[Model, Splits]:
        splits = small_sides(False, (1, 1), 32, labelled=True)
        narrow = {"width": 4}
        game = {"name": "adaptation", "translator": narrow, "discriminator": narrow}
        table = {"recipe": "small", "batch": 8, "images": 80, "game": game}
        optimisers = {"translator": {"name": "adam"}, "discriminator": {"name": "adam"}}
        record = RunRecord(
            data="blobs", digest="", spec=splits.train.spec, recipe=build_recipe({**table, "optimiser": optimisers})
        )
        trainer = Trainer(record, splits, RunFolder(tmp_path), "cpu")
        return Model(trainer.model_config(), trainer.game.eval(), "cpu"), splits

    def test_it_counts_what_is_told_rightly_on_each_side(self, tmp_path: Path) -> None:
        model, splits = self.model(tmp_path)
        found = accuracies(model, splits.test)
        assert [result.metric for result in found] == ["accuracy on a", "accuracy on b"]
        for side, result in enumerate(found):
            every = torch.arange(len(splits.test.sides[side]))
            logits = model.game.classify(splits.test.sides[side].images(every), side)
            expected = (logits.argmax(1) == splits.test.sides[side].labels(every)).double().mean().item()
            assert result.value == pytest.approx(expected)
            assert result.low <= result.value <= result.high

    def test_it_is_one_of_the_scores_of_such_a_model(self, tmp_path: Path) -> None:
        model, splits = self.model(tmp_path)
        assert len(translation_results(model, splits, names=["accuracy"]).results) == 2

    def test_other_models_have_none(self, tmp_path: Path) -> None:
        trainer = small_trainer(tmp_path, "cyclegan")
        model = Model(trainer.model_config(), trainer.game.eval(), "cpu")
        with pytest.raises(DataError, match="adaptation"):
            translation_results(model, trainer.splits, names=["accuracy"])
