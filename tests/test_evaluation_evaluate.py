"""The whole verb: from images to numbers with their protocol."""

import json
import math
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from sklearn.datasets import load_digits
from torch import Tensor

from cardigan.data import Splits, builtin
from cardigan.data.spec import DataSpec
from cardigan.errors import DataError, RecipeError, RunError
from cardigan.evaluation import METRICS, Evaluation, FrechetScore, FromDataset, RandomFeatures, Result, evaluate
from cardigan.evaluation import classifier as classifier_module
from cardigan.evaluation.bench import split_reals
from cardigan.evaluation.sources import Dataset, Joined, Remembered


class Held:
    """A dataset in memory."""

    def __init__(
        self, images: Tensor, labels: Tensor | None, split: str, kind: str = "images", modes: object = None
    ) -> None:
        self.name, self.split, self.digest, self.known_modes = "held", split, f"{split}-{len(images)}", modes
        self.data, self.targets = images, labels
        channels, height, width = images.shape[1:]
        classes = () if labels is None else tuple(map(str, range(int(labels.max()) + 1)))
        self.spec = DataSpec(channels=channels, height=height, width=width, kind=kind, classes=classes)

    def __len__(self) -> int:
        return len(self.data)

    def images(self, indices: Tensor, /) -> Tensor:
        return self.data[indices]

    def labels(self, indices: Tensor, /) -> Tensor | None:
        return None if self.targets is None else self.targets[indices]


class Endless:
    """A model that never ends: a function of the index."""

    size = None
    name = "model"
    digest = "weights"

    def __init__(self, data: Held, noise: float = 0.0) -> None:
        self.data, self.noise, self.spec = data, noise, data.spec

    def images(self, start: int, count: int, /) -> Tensor:
        indices = torch.arange(start, start + count)
        images = self.data.images(indices * 7919 % len(self.data))
        wave = torch.sin(indices.float() * 12.9898)[:, None, None, None] * torch.sin(
            torch.arange(images[0].numel()) * 78.2
        )
        return (images + self.noise * wave[:, 0, 0].reshape(images.shape)).clamp(-4, 4)


@pytest.fixture(scope="module")
def digits() -> tuple[Held, Held]:
    bunch = load_digits()
    images = torch.from_numpy(bunch.images).float()[:, None] / 8 - 1
    labels = torch.from_numpy(bunch.target).long()
    order = torch.randperm(len(images), generator=torch.Generator().manual_seed(0))
    images, labels = images[order], labels[order]
    return Held(images[360:], labels[360:], "train"), Held(images[:360], labels[:360], "test")


@pytest.fixture(scope="module")
def quick() -> pytest.MonkeyPatch:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(classifier_module, "_epochs", lambda examples: 10)
        yield patch


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, quick: pytest.MonkeyPatch) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module")
def judged(digits: tuple[Held, Held], folder: Path) -> dict[float, Evaluation]:
    train, test = digits
    return {noise: evaluate(Endless(train, noise), test, train=train, seen=train, cache=folder) for noise in (0.0, 0.5)}


def test_default_evaluation_of_digits(judged: dict[float, Evaluation]):
    names = [result.metric for result in judged[0.5].results]
    assert names == [
        "FD(classifier)", "FD(random)", "FD∞(classifier)", "KD(classifier)", "precision(classifier)",
        "recall(classifier)", "density(classifier)", "coverage(classifier)", "modes", "reverse KL", "SWD", "MS-SSIM",
        "C_T(classifier)", "AuthPct(classifier)",
    ]  # fmt: skip
    for result in judged[0.5].results:
        assert math.isfinite(result.value), result.metric
        assert result.low <= result.value <= result.high
        assert result.floor is not None
        assert math.isfinite(result.floor)


def test_worse_images_score_worse(judged: dict[float, Evaluation]):
    good, bad = judged[0.0], judged[0.5]
    for result in good.results:
        other = bad[result.metric].value
        if result.better == "lower" and result.metric != "reverse KL":
            assert result.value < other, result.metric
        if result.metric.startswith(("density", "coverage")):
            assert result.value > other
    assert good["FD(classifier)"].value < 3 * good["FD(classifier)"].floor
    assert good["AuthPct(classifier)"].value < 5
    assert good["C_T(classifier)"].value < -5
    assert good["modes"].value == 10


def test_protocol_says_everything(judged: dict[float, Evaluation]):
    result = judged[0.5]["FD(classifier)"]
    protocol = result.protocol
    assert protocol["samples"] == protocol["reference"]["count"] == 360
    assert protocol["generated"] == {"name": "model", "digest": "weights"}
    assert protocol["reference"]["digest"] == "test-360"
    assert protocol["floor images"] == {"split": "train", "digest": "train-1437", "count": 360}
    assert protocol["reference"]["split"] == "test"
    assert protocol["reference"]["drawn"] == (
        "test split; floor from as many images of the train split, training images that the classifier has seen"
    )
    assert protocol["features"]["name"] == "classifier"
    assert protocol["features"]["test accuracy"] > 0.9
    assert len(protocol["features"]["digest"]) == 16
    assert protocol["seed"] == 0
    assert "jackknife" in protocol["interval"]
    assert "features" not in judged[0.5]["SWD"].protocol
    assert judged[0.5]["SWD"].protocol["arithmetic"] == "float32 patches, float64 means"
    for name in ("modes", "reverse KL", "MS-SSIM"):
        classifier = judged[0.5][name].protocol["classifier"]
        assert classifier == {key: protocol["features"][key] for key in ("digest", "test accuracy")}
    assert judged[0.5]["MS-SSIM"].protocol["pairs"] == "within a class"
    for name in ("C_T(classifier)", "AuthPct(classifier)"):
        training = judged[0.5][name].protocol["training"]
        assert training == {"name": "held", "split": "train", "digest": "train-1437", "count": 1437}


def test_table_is_for_people(judged: dict[float, Evaluation]):
    text = str(judged[0.5])
    assert "real against real scores" in text
    assert "lower is better" in text
    assert "best when equal" in text
    assert text.count("\n") == len(judged[0.5].results) + len(judged[0.5].notes)


def test_nothing_measured_is_no_table():
    assert Evaluation((), ("not measured: too few",)).lines() == ["note: not measured: too few"]


def test_json_round_trip(judged: dict[float, Evaluation]):
    evaluation = judged[0.5]
    odd = Result("odd", math.nan, -math.inf, math.inf, None, "lower", {"x": math.inf})
    text = Evaluation((*evaluation.results, odd), evaluation.notes).to_json()
    json.loads(text, parse_constant=lambda name: pytest.fail(f"{name} is not JSON"))
    back = Evaluation.from_json(text)
    assert back.results[:-1] == evaluation.results
    assert back.notes == evaluation.notes
    assert math.isnan(back["odd"].value)
    assert back["odd"].low == -math.inf
    for broken in ("", "{}", "[]", text[:-20], text.replace('"format": 1', '"format": 99')):
        with pytest.raises(RunError):
            Evaluation.from_json(broken)
    with pytest.raises(KeyError, match="FID"):
        evaluation["FID"]


def test_evaluation_is_a_function_of_its_arguments(digits: tuple[Held, Held], folder: Path):
    train, test = digits
    state = torch.random.get_rng_state()
    names = ["fd", "fd-infinity", "kid", "swd", "ms-ssim", "c_t"]
    source = Endless(train, 0.3)
    first, again = (evaluate(source, test, train=train, seen=train, metrics=names, cache=folder) for _ in range(2))
    assert first == again
    assert torch.equal(state, torch.random.get_rng_state())


def test_two_sets_of_unlabelled_pictures(digits: tuple[Held, Held]):
    train, test = (Held(part.data, None, part.split) for part in digits)
    evaluation = evaluate(FromDataset(test), train)
    assert evaluation.results[0].metric == "FD(random)"
    assert evaluation.results[0].protocol["samples"] == 360
    assert any("copying was not looked for" in note for note in evaluation.notes)
    assert any("fewer than ten times" in note for note in evaluation.notes)
    assert evaluation.results[0].value < 2 * evaluation.results[0].floor


def test_large_reference_split_is_used_as_it_is(digits: tuple[Held, Held], folder: Path):
    train, test = digits
    evaluation = evaluate(
        Endless(train), test, train=train, metrics=["fd"], samples=300, features="random", cache=folder
    )
    assert [result.metric for result in evaluation.results] == ["FD(random)"]
    assert evaluation.results[0].protocol["reference"]["count"] == 300
    assert "test split; floor" in evaluation.results[0].protocol["reference"]["drawn"]


def test_replayed_training_images_do_not_beat_reality(digits: tuple[Held, Held]):
    train, test = digits
    found = evaluate(FromDataset(train, seed=3), test, train=train, metrics=["fd"], features="random")
    (result,) = found.results
    assert result.protocol["reference"] == {
        "name": "held", "digest": "test-360", "split": "test", "count": 360,
        "drawn": "test split; floor from as many images of the train split",
    }  # fmt: skip
    assert result.value > 0.8 * result.floor


def test_a_test_split_twice_as_large_gives_both_sides(digits: tuple[Held, Held], folder: Path):
    train, test = digits
    found = evaluate(Endless(train), test, train=train, metrics=["fd"], samples=180, cache=folder)
    assert found.results[0].protocol["reference"]["drawn"] == "test split; floor from as many others of it"
    reals = split_reals(test, train, 180, seed=0)
    sides = torch.cat([side.images(0, 180).flatten(1) for side in (reals.reference, reals.held)])
    assert len(sides.unique(dim=0)) == len(test.images(torch.arange(360)).flatten(1).unique(dim=0))


def test_a_pool_says_what_is_in_it(digits: tuple[Held, Held]):
    train, test = digits
    few = Held(test.data[:8], None, "test")
    found = evaluate(Endless(train), few, train=train, seen=train, metrics=["fd"], features="random", samples=300)
    entry = found.results[0].protocol["reference"]
    assert (entry["split"], entry["digest"], entry["count"]) == ("test + train", "test-8 + train-1437", 300)
    assert any("holds training images" in note for note in found.notes)


def test_a_prefix_of_a_source_is_a_fair_draw():
    dataset = Held(torch.arange(1000.0)[:, None, None, None], torch.arange(1000) // 100, "train")
    joined = Joined([(dataset, torch.arange(600)), (dataset, torch.arange(600, 1000))], "all", seed=1)
    for source in (joined, FromDataset(dataset, seed=1)):
        values = source.images(0, 1000).flatten()
        assert torch.equal(values.sort().values, torch.arange(1000.0))
        assert torch.equal(source.images(37, 5).flatten(), values[37:42])
        assert abs(values[:100].mean() - 499.5) < 3 * 289 / 10
    assert not torch.equal(values, FromDataset(dataset, seed=2).images(0, 1000).flatten())


def ring(n: int, seed: int, modes: object) -> Held:
    generator = torch.Generator().manual_seed(seed)
    which = torch.randint(8, (n,), generator=generator)
    points = modes.centres[which] + modes.deviation * torch.randn(n, 2, generator=generator)
    return Held(points[..., None, None], None, f"part {seed}", kind="points", modes=modes)


def test_points_are_measured_as_they_are():
    angles = torch.arange(8) * math.tau / 8
    modes = SimpleNamespace(centres=torch.stack([angles.cos(), angles.sin()], 1), deviation=0.05)
    train, test = ring(4000, 0, modes), ring(4000, 1, modes)
    evaluation = evaluate(FromDataset(ring(3000, 2, modes)), test, train=train, seen=train)
    assert [r.metric for r in evaluation.results] == [
        "high quality", "modes", "reverse KL", "EMD", "FD(identity)", "C_T(identity)", "AuthPct(identity)",
    ]  # fmt: skip
    quality = evaluation["high quality"]
    assert quality.value == pytest.approx(quality.floor, abs=0.01)
    assert evaluation["modes"].value == 8
    assert evaluation["EMD"].value < 2 * evaluation["EMD"].floor
    swd = evaluate(FromDataset(test), test, train=train, metrics=["swd"])["SWD"]
    assert swd.value < 0.1


def test_stacked_digits_count_1000_modes(digits: tuple[Held, Held], folder: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("cardigan.evaluation.metrics.mode.STACKED_SAMPLES", 5000)
    train, test = digits
    base = SimpleNamespace(train=train, test=test)

    def stacked(split: Held, digit: int | None = None) -> Held:
        pool = split.data if digit is None else split.data[split.targets == digit]
        order = torch.randint(len(pool), (5000, 3), generator=torch.Generator().manual_seed(len(pool)))
        return Held(pool[order, 0], None, split.split, modes=SimpleNamespace(base=base))

    reference, learnt = stacked(test), stacked(train)
    names = ["fd", "modes", "reverse-kl"]
    good = evaluate(Endless(learnt), reference, train=learnt, metrics=names, samples=1000, cache=folder)
    assert good["modes"].value > 980
    assert good["modes"].protocol["samples"] == 5000
    assert good["reverse KL"].value == pytest.approx(999 / 10_000, rel=0.4)
    assert good["FD(classifier)"].protocol["features"]["dimensions"] == 192
    collapsed = evaluate(Endless(stacked(train, 3)), reference, train=learnt, metrics=names, samples=1000, cache=folder)
    assert collapsed["modes"].value < 50
    assert collapsed["reverse KL"].value > 6


def test_requests_that_make_no_sense_are_refused_in_one_line(digits: tuple[Held, Held], folder: Path):
    train, test = digits
    bare = Held(test.data, None, "test")
    small = Held(test.data[..., :4, :4], None, "test")
    source = Endless(train)
    broken = Endless(Held(train.data * math.nan, None, "train"))
    refusals = [
        (RecipeError, "unknown metric 'fids'", lambda: evaluate(source, test, metrics=["fids"])),
        (DataError, "1x4x4", lambda: evaluate(Endless(small), test)),
        (DataError, "at least 10", lambda: evaluate(source, test, samples=3)),
        (DataError, "at least 20", lambda: evaluate(source, Held(test.data[:9], None, "test"))),
        (DataError, "no test images", lambda: evaluate(source, Held(test.data[:0], None, "test"))),
        (DataError, "evaluate a run on the data it was trained on", lambda: evaluate(source, bare, metrics=["c_t"])),
        (DataError, "known modes", lambda: evaluate(source, bare, metrics=["modes"])),
        (DataError, "points", lambda: evaluate(source, bare, metrics=["emd"])),
        (DataError, "--features random", lambda: evaluate(source, bare, features="classifier")),
        (DataError, "NaN", lambda: evaluate(broken, bare, metrics=["fd"])),
        (RunError, "no weights file", lambda: evaluate(source, bare, features="inception:/nowhere")),
    ]
    for kind, words, call in refusals:
        with pytest.raises(kind, match=words) as caught:
            call()
        assert "\n" not in str(caught.value)


def test_constant_images_score_badly_but_finitely(digits: tuple[Held, Held], folder: Path):
    train, test = digits
    black = Held(torch.full((900, 1, 8, 8), -1.0), None, "fakes")
    evaluation = evaluate(FromDataset(black), test, train=train, cache=folder)
    assert all(math.isfinite(result.value) for result in evaluation.results)
    assert evaluation["modes"].value == 1
    assert evaluation["FD(classifier)"].value > 20 * evaluation["FD(classifier)"].floor
    assert evaluation["recall(classifier)"].value == 0


def test_the_smallest_comparison_gives_numbers(digits: tuple[Held, Held]):
    train, test = (Held(part.data[:20], None, part.split) for part in digits)
    evaluation = evaluate(FromDataset(test, torch.arange(10)), test, train=train)
    assert evaluation.results[0].protocol["samples"] == 10
    assert all(math.isfinite(result.value) and result.floor is not None for result in evaluation.results)


def test_frechet_score_equals_the_full_distance(digits: tuple[Held, Held]):
    train, test = digits
    features = RandomFeatures(0, test.spec)
    score = FrechetScore(train, features, count=1000)
    assert (score.name, score.count) == ("FD(random)", 1000)
    assert score(Endless(train)) < score(Endless(train, 0.5))
    assert math.isnan(score(Endless(Held(train.data * math.nan, None, "train"))))


def test_remembered_source_asks_once(digits: tuple[Held, Held], monkeypatch: pytest.MonkeyPatch):
    asked = []

    class Counting(Endless):
        def images(self, start: int, count: int, /) -> Tensor:
            asked.append((start, count))
            return super().images(start, count)

    source = Remembered(Counting(digits[0]))
    assert torch.equal(source.images(0, 5), source.images(0, 5))
    assert asked == [(0, 5)]
    monkeypatch.setattr("cardigan.evaluation.sources.KEEP_BYTES", 0)
    source.images(5, 5), source.images(5, 5)
    assert asked == [(0, 5), (5, 5), (5, 5)]


@pytest.mark.parametrize("world", [builtin.digits, builtin.stacked_digits, builtin.ring])
def test_real_datasets_are_what_this_room_asks_for(world: Callable[[], Splits], folder: Path):
    splits = world()
    assert isinstance(splits.test, Dataset)
    names = ["fd", *(["modes", "reverse-kl"] if splits.test.known_modes else [])]
    evaluation = evaluate(
        FromDataset(splits.train), splits.test, train=splits.train, metrics=names, samples=640, cache=folder
    )
    assert all(math.isfinite(result.value) for result in evaluation.results)


def test_shares_do_not_exceed_one(judged: dict[float, Evaluation]):
    names = {"precision(classifier)": 1, "recall(classifier)": 1, "coverage(classifier)": 1, "AuthPct(classifier)": 100}
    for evaluation in judged.values():
        assert all(0 <= evaluation[name].low <= evaluation[name].high <= most for name, most in names.items())


def test_wide_features_take_fewer_distances(digits: tuple[Held, Held], monkeypatch: pytest.MonkeyPatch):
    train, test = digits
    asked = []
    monkeypatch.setattr("cardigan.evaluation.metrics.distance.WIDE", 63)
    monkeypatch.setattr("cardigan.evaluation.frechet.frechet_distance", lambda x, y: asked.append(len(x)) or 1 / len(x))
    found = evaluate(FromDataset(train), test, train=train, metrics=["fd-infinity"], features="random")
    assert len(asked) == (4 + 2) * (1 + 2 + 3)
    assert found.results[0].protocol["interval"] == "jackknife of 4 groups, Student's t"


def test_every_metric_is_documented_by_name():
    assert set(METRICS) == {
        "fd", "fd-infinity", "kid", "precision", "recall", "density", "coverage", "modes", "reverse-kl",
        "high-quality", "emd", "swd", "ms-ssim", "c_t", "auth",
    }  # fmt: skip


def test_a_pool_that_the_classifier_has_seen_says_so(digits: tuple[Held, Held], folder: Path):
    train, test = digits
    few = Held(test.data[:8], test.targets[:8], "test")
    few.spec = test.spec
    found = evaluate(Endless(train), few, train=train, metrics=["fd"], samples=300, cache=folder)
    assert "most of both seen by the classifier" in found.results[0].protocol["reference"]["drawn"]
