"""Features of the images' own domain: a small classifier of the training labels, or the same network untrained."""

from pathlib import Path

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from cardigan.data.spec import DataSpec
from cardigan.errors import DataError
from cardigan.evaluation.features import NetworkFeatures, chunk_size, in_chunks, weights_digest
from cardigan.evaluation.keeping import Record, keep, kept, place, rate
from cardigan.evaluation.sources import Dataset

VERSION = 1
DIMENSIONS = 64
BATCH = 128
LEARNING_RATE = 4e-3
MOST_STEPS = 6000


class SmallNetwork(nn.Module):
    """Convolutions, each stage halving the sides until they are at most 8, then 64 features and the classes' logits."""

    def __init__(self, channels: int, height: int, width: int, classes: int) -> None:
        super().__init__()
        self.channels = channels
        layers: list[nn.Module] = []
        inputs, outputs = channels, 32
        while not layers or max(height, width) > 8:
            stride = 2 if max(height, width) > 8 else 1
            layers += [
                nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False),
                nn.BatchNorm2d(outputs),
                nn.ReLU(),
            ]
            height, width = -(-height // stride), -(-width // stride)
            inputs, outputs = outputs, 64
        layers += [nn.Conv2d(inputs, 64, 3, 1, 1, bias=False), nn.BatchNorm2d(64), nn.ReLU()]
        self.body = nn.Sequential(*layers, nn.Flatten(), nn.Linear(64 * height * width, DIMENSIONS), nn.ReLU())
        self.head = nn.Linear(DIMENSIONS, classes)

    def forward(self, images: Tensor) -> Tensor:
        """Logits (n, classes)."""
        return self.head(self.body(images))


def build(spec: DataSpec, classes: int, seed: int) -> SmallNetwork:
    """The network with He-normal weights that are a function of the seed alone."""
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        network = SmallNetwork(*spec.shape, classes)
        for module in network.modules():
            if isinstance(module, nn.Conv2d | nn.Linear):
                nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
                if module.bias is not None:
                    nn.init.zeros_(module.bias)
    return network


class RandomFeatures(NetworkFeatures):
    """An untrained network: for images without labels, and as a second opinion (Naeem et al. 2020)."""

    def __init__(self, seed: int, spec: DataSpec, device: str | torch.device = "cpu") -> None:
        super().__init__("random", build(spec, 1, seed).body, DIMENSIONS, {"seed": seed}, device)


class ClassifierFeatures(NetworkFeatures):
    """64 penultimate features of a classifier of the images' own classes, and its verdicts."""

    def __init__(self, network: SmallNetwork, accuracy: float) -> None:
        digest = weights_digest(network.state_dict())
        super().__init__("classifier", network.body, DIMENSIONS, {"test accuracy": accuracy}, digest=digest)
        self.head = network.head.eval().requires_grad_(False)
        self.accuracy = accuracy
        self.channels = network.channels

    def to(self, device: str | torch.device) -> "ClassifierFeatures":
        """Move the network; returns itself."""
        self.device = torch.device(device)
        self.network.to(device)
        self.head.to(device)
        return self

    @property
    def classes(self) -> int:
        """How many classes there are."""
        return self.head.out_features

    def classify(self, images: Float[Tensor, "n c h w"]) -> Int[Tensor, "n"]:
        """Most probable class of each image."""
        return self.logits(images).argmax(1)

    def probabilities(self, images: Float[Tensor, "n c h w"]) -> Float[Tensor, "n classes"]:
        """Of each class, float64."""
        return self.logits(images).double().softmax(1)

    @torch.no_grad()
    def logits(self, images: Tensor) -> Tensor:
        parts = (part.to(self.device) for part in in_chunks(images))
        return torch.cat([self.head(self.network(part)).cpu() for part in parts])


class ChannelFeatures:
    """One single-channel classifier on every channel in turn: the features of stacked digits, 64 per channel."""

    name = "classifier"

    def __init__(self, each: ClassifierFeatures, channels: int) -> None:
        self.each = each
        self.channels = channels
        self.dimensions = channels * each.dimensions
        self.digest = each.digest
        self.details = each.details | {"applied to": "each channel"}

    def __call__(self, images: Tensor, /) -> Tensor:
        """float32 (n, c, h, w) to float64 (n, 64 c)."""
        return self.each(images.flatten(0, 1).unsqueeze(1)).reshape(len(images), -1)


def train_classifier(
    train: Dataset,
    test: Dataset,
    seed: int,
    cache_folder: Path | None = None,
    device: str | torch.device = "cpu",
) -> ClassifierFeatures:
    """Train a small network on the labels of ``train``, once: kept in ``cache_folder`` by data, seed and version.

    Args:
        device: where it is trained and will run.

    Raises:
        DataError: when the data has no labels, or fewer than two classes.
    """
    classes = len(train.spec.classes) or _highest_label(train) + 1
    if classes < 2 or train.labels(torch.tensor([0])) is None:
        raise DataError(f"{train.name} has no classes: use --features random")
    folder = None if cache_folder is None else place(cache_folder, VERSION, train.digest, seed, train.spec.shape)
    found = _cached(folder, train, classes, test, device) if folder else None
    if found:
        return found
    network = build(train.spec, classes, seed).to(device)
    _fit(network, train, seed)
    accuracy = _accuracy(network, test)
    if folder:
        record = Record(VERSION, train.digest, test.digest, seed, accuracy, weights_digest(network.state_dict()))
        keep(folder, "classifier", network, record)
    return ClassifierFeatures(network, accuracy).to(device)


def _highest_label(dataset: Dataset) -> int:
    labels = dataset.labels(torch.arange(len(dataset)))
    return -1 if labels is None else int(labels.max())


def _epochs(examples: int) -> int:
    """Up to 40 passes over small sets, at least four over large ones."""
    return max(4, min(40, 60_000 // max(1, examples)))


def _fit(network: SmallNetwork, train: Dataset, seed: int) -> None:
    """Adam with a triangular-cosine rate on smoothed cross-entropy; shuffled by the seed."""
    generator = torch.Generator().manual_seed(seed)
    optimiser = torch.optim.Adam(network.parameters(), lr=LEARNING_RATE)
    batch = min(BATCH, len(train))
    steps = min(MOST_STEPS, _epochs(len(train)) * (len(train) // batch))
    device = network.head.weight.device
    order = torch.empty(0, dtype=torch.int64)
    network.train()
    for step in range(steps):
        if len(order) < batch:
            order = torch.randperm(len(train), generator=generator)
        chosen, order = order[:batch], order[batch:]
        labels = train.labels(chosen)
        assert labels is not None
        for group in optimiser.param_groups:
            group["lr"] = LEARNING_RATE * rate(step / steps)
        loss = F.cross_entropy(network(train.images(chosen).to(device)), labels.to(device), label_smoothing=0.05)
        loss.backward()
        optimiser.step()
        optimiser.zero_grad(set_to_none=True)
    network.eval()


@torch.no_grad()
def _accuracy(network: SmallNetwork, test: Dataset) -> float:
    right, device = 0, network.head.weight.device
    for indices in torch.arange(len(test)).split(chunk_size(test.spec.dimensions)):
        right += int((network(test.images(indices).to(device)).argmax(1).cpu() == test.labels(indices)).sum())
    return right / len(test)


def _cached(
    folder: Path, train: Dataset, classes: int, test: Dataset, device: str | torch.device
) -> ClassifierFeatures | None:
    """The stored classifier, or None where there is none or it is not whole; another test split is scored anew."""
    network = build(train.spec, classes, 0)
    record = kept(folder, "classifier", network, VERSION, train.digest)
    if record is None:
        return None
    network.eval().to(device)
    accuracy = record.accuracy if record.test == test.digest else _accuracy(network, test)
    return ClassifierFeatures(network, accuracy).to(device)
