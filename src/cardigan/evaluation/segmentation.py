"""What can be recognised in photographs that were made of label maps.

In the spirit of the FCN score of pix2pix (Isola et al. 2017, section 4.1): a network that has learnt from real pairs says
what each pixel of a translated photograph shows, which is compared with the label map that it was made of. Here the
network is a small one of the data's own classes, so that scores compare only where its digest is the same.
"""

from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from cardigan.data.order import Order, derived_seed
from cardigan.data.palette import stored_classes
from cardigan.errors import DataError
from cardigan.evaluation.features import chunk_size, in_chunks, weights_digest
from cardigan.evaluation.keeping import Record, keep, kept, place, rate
from cardigan.evaluation.sources import Dataset

VERSION = 1
WIDTHS = (16, 32, 64, 128)
WINDOW = 64
BATCH = 16
LEARNING_RATE = 4e-3
PASSES = 40
LEAST_STEPS, MOST_STEPS = 200, 800


@dataclass(frozen=True)
class LabelledPhotos:
    """Photographs and the class of each of their pixels.

    Attributes:
        photos, maps: in the order of the pairs; a map is stored as one channel that holds the number of the class.
        digest: of the pairs.
    """

    photos: Dataset
    maps: Dataset
    classes: int
    digest: str

    def __len__(self) -> int:
        return len(self.photos)

    def at(self, indices: Tensor) -> tuple[Tensor, Tensor]:
        """Photographs (n, c, h, w) and classes, int64 (n, h, w)."""
        return self.photos.images(indices), stored_classes(self.maps.images(indices))


# ---- the network -----------------------------------------------------------------------------------------------------


class Unit(nn.Sequential):
    """3 x 3 convolution, batch normalisation, ReLU."""

    def __init__(self, inputs: int, outputs: int, stride: int = 1, dilation: int = 1) -> None:
        super().__init__(
            nn.Conv2d(inputs, outputs, 3, stride, dilation, dilation, bias=False), nn.BatchNorm2d(outputs), nn.ReLU()
        )


class SegmentationNetwork(nn.Module):
    """Down to an eighth of the size and back, with a skip at each scale (Ronneberger et al. 2015); for any size."""

    def __init__(self, channels: int, classes: int) -> None:
        super().__init__()
        pairs = list(pairwise(WIDTHS))
        self.enter = Unit(channels, WIDTHS[0])
        self.down = nn.ModuleList(Unit(high, low, 2) for high, low in pairs)
        self.middle = Unit(WIDTHS[-1], WIDTHS[-1], dilation=2)
        self.up = nn.ModuleList(Unit(low + high, high) for high, low in reversed(pairs))
        self.head = nn.Conv2d(WIDTHS[0], classes, 1)

    def forward(self, images: Float[Tensor, "n c h w"]) -> Float[Tensor, "n classes h w"]:
        """Logits of each pixel's class."""
        scales = [self.enter(images)]
        for unit in self.down:
            scales.append(unit(scales[-1]))
        x = self.middle(scales.pop())
        for unit in self.up:
            skip = scales.pop()
            x = unit(torch.cat([F.interpolate(x, skip.shape[2:]), skip], 1))
        return self.head(x)


class Segmenter:
    """A trained network that says what each pixel of a photograph shows.

    Attributes:
        accuracy: share of the pixels of real test photographs that it has right.
        digest: of its weights.
    """

    def __init__(self, network: SegmentationNetwork, accuracy: float) -> None:
        self.network = network.eval().requires_grad_(False)
        self.accuracy = accuracy
        self.digest = weights_digest(network.state_dict())

    @property
    def protocol(self) -> dict[str, str | float]:
        """What a number that it is behind has to say of it."""
        return {"digest": self.digest, "pixel accuracy on real test pairs": self.accuracy}

    def __call__(self, images: Float[Tensor, "n c h w"]) -> Int[Tensor, "n h w"]:
        """The likeliest class of each pixel, on the CPU."""
        return likeliest(self.network, images)


@torch.no_grad()
def likeliest(network: SegmentationNetwork, images: Tensor) -> Tensor:
    device = network.head.weight.device
    return torch.cat([network(part.to(device)).argmax(1).cpu() for part in in_chunks(images)])


# ---- its training ----------------------------------------------------------------------------------------------------


def train_segmenter(
    train: LabelledPhotos,
    test: LabelledPhotos,
    seed: int = 0,
    cache: Path | None = None,
    device: str | torch.device = "cpu",
) -> Segmenter:
    """Train a segmenter on real pairs, once: it is kept in the cache by the pairs, the seed and the version.

    Args:
        test: real pairs that it is scored on; it learns nothing from them.
        device: where it is trained and will run.

    Raises:
        DataError: there are no pairs to learn from, or to score it on.
    """
    for pairs in (train, test):
        if not len(pairs):
            raise DataError(f"{pairs.photos.name} has no {pairs.photos.split} pairs: a segmenter takes some of both")
    channels, height, width = train.photos.spec.shape
    folder = None if cache is None else place(cache, VERSION, train.digest, seed, (channels, height, width))
    if folder:
        network = build(channels, train.classes, seed)
        if record := kept(folder, "segmenter", network, VERSION, train.digest):
            network.to(device).eval()
            return Segmenter(network, record.accuracy if record.test == test.digest else accuracy(network, test))
    network = build(channels, train.classes, seed).to(device)
    fit(network, train, seed)
    reached = accuracy(network, test)
    if folder:
        weights = weights_digest(network.state_dict())
        keep(folder, "segmenter", network, Record(VERSION, train.digest, test.digest, seed, reached, weights))
    return Segmenter(network, reached)


def build(channels: int, classes: int, seed: int) -> SegmentationNetwork:
    """The network with He-normal weights that are a function of the seed alone."""
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        network = SegmentationNetwork(channels, classes)
        for module in network.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
        assert network.head.bias is not None
        nn.init.zeros_(network.head.bias)
    return network


def fit(network: SegmentationNetwork, train: LabelledPhotos, seed: int) -> None:
    """Adam on the cross-entropy of windows of at most 64 x 64 pixels, half of them mirrored."""
    stream = torch.Generator().manual_seed(derived_seed(seed, "windows"))
    order = Order(len(train), derived_seed(seed, "segmenter"))
    optimiser = torch.optim.Adam(network.parameters(), lr=LEARNING_RATE)
    steps, device = number_of_steps(train), network.head.weight.device
    network.train()
    for step in range(steps):
        images, classes = windows(*train.at(order.indices(step * BATCH, BATCH)), stream)
        for group in optimiser.param_groups:
            group["lr"] = LEARNING_RATE * rate(step / steps)
        F.cross_entropy(network(images.to(device)), classes.to(device)).backward()
        optimiser.step()
        optimiser.zero_grad(set_to_none=True)
    network.eval()


def number_of_steps(train: LabelledPhotos) -> int:
    """As many as show each pixel 40 times, within bounds."""
    _, height, width = train.photos.spec.shape
    seen = BATCH * min(height, WINDOW) * min(width, WINDOW)
    return min(max(LEAST_STEPS, PASSES * len(train) * height * width // seen), MOST_STEPS)


def windows(images: Tensor, classes: Tensor, stream: torch.Generator) -> tuple[Tensor, Tensor]:
    """A window of each photograph and of its map, where larger than 64 x 64 at random, and mirrored at random."""
    n, height, width = classes.shape
    tall, wide = min(height, WINDOW), min(width, WINDOW)
    tops = torch.randint(height - tall + 1, (n,), generator=stream).tolist()
    lefts = torch.randint(width - wide + 1, (n,), generator=stream).tolist()
    mirrored = torch.rand(n, generator=stream) < 0.5
    places = [(..., slice(top, top + tall), slice(left, left + wide)) for top, left in zip(tops, lefts, strict=True)]
    images, classes = (
        torch.stack([whole[place] for whole, place in zip(every, places, strict=True)]) for every in (images, classes)
    )
    images = torch.where(mirrored[:, None, None, None], images.flip(-1), images)
    return images, torch.where(mirrored[:, None, None], classes.flip(-1), classes)


def accuracy(network: SegmentationNetwork, test: LabelledPhotos) -> float:
    """Share of all pixels that it has right."""
    right = pixels = 0
    for indices in torch.arange(len(test)).split(chunk_size(test.photos.spec.dimensions)):
        images, classes = test.at(indices)
        right += int((likeliest(network, images) == classes).sum())
        pixels += classes.numel()
    return right / pixels


# ---- how right a map of classes is -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Confusion:
    """What pixels of each class are taken for.

    Attributes:
        counts: int64 (classes, classes), of pixels whose class is the row and which are taken for the column.
    """

    counts: Tensor

    @classmethod
    def of(cls, predicted: Int[Tensor, "n h w"], true: Int[Tensor, "n h w"], classes: int) -> "Confusion":
        """Of maps of classes, those predicted beside the true ones."""
        return cls(confusions(predicted, true, classes).sum(0))

    @property
    def pixel_accuracy(self) -> float:
        """Share of the pixels that are right."""
        return float(self.counts.diagonal().sum().double() / self.counts.sum())

    @property
    def accuracies(self) -> Float[Tensor, "classes"]:
        """Share of the pixels of each class that are right, float64; NaN for a class that does not occur."""
        return self.counts.diagonal().double() / self.counts.sum(1)

    @property
    def class_accuracy(self) -> float:
        """The mean of these shares over the classes that occur."""
        return float(self.accuracies.nanmean())

    @property
    def mean_iou(self) -> float:
        """Mean over the classes of intersection over union; one that occurs in neither map is left out."""
        right = self.counts.diagonal().double()
        return float((right / (self.counts.sum(0) + self.counts.sum(1) - right)).nanmean())


def confusions(
    predicted: Int[Tensor, "n h w"], true: Int[Tensor, "n h w"], classes: int
) -> Int[Tensor, "n classes classes"]:
    """The counts of a `Confusion` for each map."""
    n = len(true)
    image = torch.arange(n).view(n, 1, 1)
    cells = (image * classes + true) * classes + predicted
    return torch.bincount(cells.flatten(), minlength=n * classes**2).view(n, classes, classes)
