"""The segmenter learns what can be learnt, is trained once, and its confusions come to the textbook's shares."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch
from torch import Tensor

from cardigan.data import Dataset, DataSpec
from cardigan.errors import DataError
from cardigan.evaluation import Confusion, LabelledPhotos, Segmenter, segmentation, train_segmenter
from cardigan.evaluation.segmentation import SegmentationNetwork, confusions, number_of_steps, windows

COLOURS = torch.tensor([[40, 40, 200], [60, 180, 60], [200, 60, 60]])


def toy(count: int, seed: int, height: int = 12, width: int = 16, digest: str = "toy") -> LabelledPhotos:
    """Blocks of three classes, each of a colour of its own with some noise."""
    stream = torch.Generator().manual_seed(seed)
    blocks = torch.randint(3, (count, -(-height // 4), -(-width // 4)), generator=stream)
    classes = blocks.repeat_interleave(4, 1).repeat_interleave(4, 2)[:, :height, :width]
    noise = torch.randint(-40, 41, (count, 3, height, width), generator=stream)
    photos = (COLOURS[classes].movedim(-1, 1) + noise).clamp(0, 255).to(torch.uint8)
    spec = DataSpec(channels=3, height=height, width=width)
    grey = spec.model_copy(update={"channels": 1})
    digest = f"{digest} {seed}"
    return LabelledPhotos(
        Dataset("toy", "train", spec, photos, digest),
        Dataset("toy", "train", grey, classes[:, None].to(torch.uint8).contiguous(), digest),
        3,
        digest,
    )


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(segmentation, "LEAST_STEPS", 3)
    monkeypatch.setattr(segmentation, "MOST_STEPS", 3)


class TestConfusion:
    def test_closed_form(self) -> None:
        counts = torch.tensor([[3, 1, 0], [2, 4, 0], [0, 0, 0]])
        found = Confusion(counts)
        assert found.pixel_accuracy == pytest.approx(7 / 10)
        assert found.class_accuracy == pytest.approx((3 / 4 + 4 / 6) / 2)  # the third class does not occur
        assert found.mean_iou == pytest.approx((3 / 6 + 4 / 7) / 2)
        assert math.isnan(found.accuracies[2])

    def test_a_class_that_is_only_imagined_has_no_accuracy_and_no_overlap(self) -> None:
        found = Confusion(torch.tensor([[2, 2], [0, 0]]))
        assert found.class_accuracy == pytest.approx(1 / 2)
        assert found.mean_iou == pytest.approx((2 / 4 + 0) / 2)

    def test_of_maps(self) -> None:
        true = torch.tensor([[[0, 0, 1]], [[1, 1, 2]]])
        predicted = torch.tensor([[[0, 1, 1]], [[1, 2, 2]]])
        assert Confusion.of(predicted, true, 3).counts.tolist() == [[1, 1, 0], [0, 2, 1], [0, 0, 1]]
        assert confusions(predicted, true, 3).sum((1, 2)).tolist() == [3, 3]
        perfect = Confusion.of(true, true, 3)
        assert (perfect.pixel_accuracy, perfect.class_accuracy, perfect.mean_iou) == (1.0, 1.0, 1.0)
        swapped = Confusion.of(1 - true.clamp(max=1), true.clamp(max=1), 2)
        assert (swapped.pixel_accuracy, swapped.class_accuracy, swapped.mean_iou) == (0.0, 0.0, 0.0)

    def test_against_a_count_by_hand(self) -> None:
        stream = torch.Generator().manual_seed(0)
        true, predicted = (torch.randint(4, (3, 5, 6), generator=stream) for _ in range(2))
        counts = Confusion.of(predicted, true, 4).counts
        for i in range(4):
            for j in range(4):
                assert counts[i, j] == ((true == i) & (predicted == j)).sum()


class TestNetwork:
    @pytest.mark.parametrize("size", [(8, 8), (9, 13), (1, 5), (70, 33)])
    def test_any_size_comes_back(self, size: tuple[int, int]) -> None:
        network = SegmentationNetwork(2, 5).eval()
        assert network(torch.zeros(2, 2, *size)).shape == (2, 5, *size)

    def test_it_is_small(self) -> None:
        parameters = sum(p.numel() for p in SegmentationNetwork(3, 19).parameters())
        assert 200_000 < parameters < 500_000

    def test_windows_of_a_photograph_and_of_its_map_are_the_same(self) -> None:
        classes = torch.arange(4 * 100 * 90).view(4, 100, 90)
        images, maps = windows(classes[:, None].float(), classes, torch.Generator().manual_seed(1))
        assert images.shape == (4, 1, 64, 64)
        assert torch.equal(images[:, 0].long(), maps)
        steps = maps[:, :, 1] - maps[:, :, 0]
        assert set(steps.unique().tolist()) == {-1, 1}  # some are mirrored, some are not
        assert len({int(x) for x in maps.amin((1, 2)) % 9000}) == 4

    def test_small_photographs_are_their_own_windows(self) -> None:
        images = torch.rand(3, 2, 5, 7)
        shown, _ = windows(images, torch.zeros(3, 5, 7, dtype=torch.int64), torch.Generator().manual_seed(0))
        assert all(torch.equal(a, b) or torch.equal(a, b.flip(-1)) for a, b in zip(shown, images, strict=True))

    def test_steps_follow_the_pixels_within_bounds(self) -> None:
        assert number_of_steps(toy(4, 0)) == segmentation.LEAST_STEPS
        assert number_of_steps(toy(160, 0)) == 40 * 160 // 16
        assert number_of_steps(toy(20, 0, 128, 128)) == segmentation.LEAST_STEPS
        assert number_of_steps(toy(100, 0, 128, 128)) == segmentation.MOST_STEPS


class TestTraining:
    def test_what_can_be_told_is_learnt(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """By the colour of a pixel alone, without noise, all could be."""
        monkeypatch.setattr(segmentation, "LEAST_STEPS", 50)
        monkeypatch.setattr(segmentation, "MOST_STEPS", 50)
        found = train_segmenter(toy(48, 0), toy(16, 1))
        assert found.accuracy > 0.95
        images, classes = toy(8, 2).at(torch.arange(8))
        assert Confusion.of(found(images), classes, 3).pixel_accuracy > 0.95
        shuffled = images.flip(0)
        assert Confusion.of(found(shuffled), classes, 3).pixel_accuracy < 0.5

    @pytest.mark.usefixtures("short")
    def test_it_is_trained_once(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        train, test, other = toy(8, 0), toy(4, 1), toy(4, 2)
        first = train_segmenter(train, test, cache=tmp_path)
        again = train_segmenter(train, test, cache=None)
        assert (again.digest, again.accuracy) == (first.digest, first.accuracy)
        assert train_segmenter(train, test, seed=1).digest != first.digest

        def refuse(*_: object) -> None:
            raise AssertionError("trained again")

        monkeypatch.setattr(segmentation, "fit", refuse)
        cached = train_segmenter(train, test, cache=tmp_path)
        assert (cached.digest, cached.accuracy) == (first.digest, first.accuracy)
        elsewhere = train_segmenter(train, other, cache=tmp_path)
        assert elsewhere.digest == first.digest
        assert elsewhere.accuracy == Confusion.of(*predictions(first, other), 3).pixel_accuracy
        with pytest.raises(AssertionError):
            train_segmenter(toy(8, 3), test, cache=tmp_path)
        (weights,) = tmp_path.rglob("segmenter.safetensors")
        weights.write_bytes(weights.read_bytes()[:-1])
        with pytest.raises(AssertionError):
            train_segmenter(train, test, cache=tmp_path)

    @pytest.mark.usefixtures("short")
    def test_one_pair_is_enough_to_go_on_with(self) -> None:
        assert 0.0 <= train_segmenter(toy(1, 0, 8, 8), toy(1, 1, 8, 8)).accuracy <= 1.0

    def test_no_pairs(self) -> None:
        with pytest.raises(DataError, match="pairs"):
            train_segmenter(toy(2, 0), toy(0, 1))


def predictions(segmenter: Segmenter, pairs: LabelledPhotos) -> tuple[Tensor, Tensor]:
    images, classes = pairs.at(torch.arange(len(pairs)))
    return segmenter(images), classes
